"""The closed lists: commands, results, reasons and the like. What depends on a member alone is in its line.

`job.domain.model` has them all, too, so that a module imports its nouns from one place.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Self, TypeVar

E = TypeVar("E", bound=StrEnum)


def member(kind: type[E], value: object, default: E) -> E:
    """The member with that value, as another program may have written it; else `default`."""
    return next((candidate for candidate in kind if candidate == value), default)


class Command(StrEnum):
    """What the program can be asked to do."""

    RUN = "run"
    PLAN = "plan"
    STATUS = "status"
    HISTORY = "history"
    ROLLBACK = "rollback"
    RESUME = "resume"
    DOCTOR = "doctor"
    PROMOTE = "promote"


class TriggerKind(StrEnum):
    """What started a run: the CronJob's schedule, a Job made from it by hand, or a person's own shell."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    LOCAL = "local"


class Client(StrEnum):
    """How the cluster is reached: by the kubernetes package, or by the user's own `oc`."""

    API = "api"
    OC = "oc"


class GatewayKind(StrEnum):
    """What receives the metrics: a Pushgateway, or one that sums what it is sent."""

    PUSHGATEWAY = "pushgateway"
    AGGREGATION = "aggregation"


class OnBadRollout(StrEnum):
    """What a run does about a rollout that its import made bad."""

    REPORT = "report"
    ROLLBACK = "rollback"


class NotifyOn(StrEnum):
    """When to send a message: after runs that changed something, every one, or those with a new problem."""

    CHANGE = "change"
    ALWAYS = "always"
    PROBLEM = "problem"


class Stage(StrEnum):
    """Which step of a run a namespace's error belongs to.

    `RULES`: its rules could not be read. `SELECT`: nothing there matches. `LOCK`: the lock could not be read or
    written; `LOCKED`: another run holds it. `WAVES`: nothing was imported, since there are waves and their rollouts
    cannot be watched. `ROLLOUTS`: imported, but rollouts could not be watched.
    """

    RULES = "rules"
    LIST = "list"
    SELECT = "select"
    LOCK = "lock"
    LOCKED = "locked"
    WAVES = "waves"
    ROLLOUTS = "rollouts"


class Explained(StrEnum):
    """The base of closed lists whose members `explain` and the documentation describe.

    Attributes:
        meaning: one or two sentences.
    """

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        """A member: its value, and what it means. The default is for a look-up by value: `Result("failed")`."""
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member


class Result(Explained):
    """The result of a tag: what the cluster holds after the run, compared with what it held before."""

    UPDATED = "updated", "The tag has a new image."
    UNCHANGED = "unchanged", "The registry has no other image than the tag."
    FAILED = "failed", "The import failed; the tag keeps the image it had. `reason` and `by` say why and who refused."
    SKIPPED = "skipped", "The tag was not imported. `reason` says why."
    ROLLED_BACK = (
        "rolled_back",
        "The tag was updated and, because its rollout was bad, rolled back to the image it had.",
    )


class RetryClass(Enum):
    """Whether sending the same request again may help."""

    NEVER = "never"
    ONCE = "once"
    BACKOFF = "backoff"


class Reason(Explained):
    """Why something failed. The list is closed: dashboards and alerts name its members.

    Everything that depends on the reason alone is in its line here.

    Attributes:
        retry_class: whether another try may help.
        cluster_unusable: whether the cluster could not be used at all where the API refuses every import for it; the
            other reasons are about one tag.
    """

    retry_class: RetryClass
    cluster_unusable: bool

    def __new__(
        cls,
        value: str,
        meaning: str = "",
        retry_class: RetryClass = RetryClass.NEVER,
        cluster_unusable: bool = False,
    ) -> Self:
        """A member: its value, and what depends on it. The defaults are for a look-up by value: `Reason("timeout")`."""
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        member.retry_class, member.cluster_unusable = retry_class, cluster_unusable
        return member

    @property
    def is_lasting(self) -> bool:
        """Whether the next run will get the same answer unless something is changed."""
        return self.retry_class is RetryClass.NEVER and self is not Reason.ABORTED

    NOT_FOUND = (
        "not_found",
        "The registry has no such image or repository, or the API no such object.",
        RetryClass.NEVER,
    )
    UNAUTHORIZED = (
        "unauthorized",
        "By the registry: no valid pull secret. By the API: the token is wrong or has expired.",
        RetryClass.NEVER,
        True,
    )
    FORBIDDEN = (
        "forbidden",
        "By the registry: the pull secret may not read the repository. By the API: a right is missing, or the cluster "
        "blocks the registry.",
        RetryClass.NEVER,
        True,
    )
    RATE_LIMITED = "rate_limited", "The registry or the API asked to slow down.", RetryClass.BACKOFF, True
    REGISTRY_ERROR = "registry_error", "The registry answered with an error of its own.", RetryClass.BACKOFF
    UNREACHABLE = "unreachable", "No connection: DNS, network, proxy or TLS.", RetryClass.BACKOFF, True
    TIMEOUT = "timeout", "No answer within `IMPORT_TIMEOUT`.", RetryClass.ONCE
    CONFLICT = (
        "conflict",
        "Another client kept changing the stream, or the registry has another image than the one that the gates judged "
        "or that the plan names.",
        RetryClass.BACKOFF,
    )
    INVALID = (
        "invalid",
        "The API refuses the reference, the registry is not one that the cluster allows, or an annotation of a gate "
        "cannot be read.",
        RetryClass.NEVER,
    )
    API_ERROR = "api_error", "The API failed.", RetryClass.BACKOFF, True
    UNUSABLE = (
        "unusable",
        "A node could not pull the new image or make a container of it, so that it was not imported.",
        RetryClass.NEVER,
    )
    ABORTED = (
        "aborted",
        "The run was stopped, by a signal or by `DEADLINE`, before the tag had a result.",
        RetryClass.NEVER,
    )


class Skip(Explained):
    """Why a matching tag is not imported; the first that applies, in this order."""

    HELD = "held", "The tag was rolled back and is held on that image."
    OPTED_OUT = (
        "opted_out",
        'The tag has the annotation `import-images.dev/skip: "true"`, or its stream has and the tag does not say '
        '`"false"`.',
    )
    REFERENCE = "reference", "The tag is a mere reference (`reference: true`), which imports nothing."
    ALIAS = "alias", "The tag follows another tag of its stream, so it moves when that one does."
    COPY = "copy", "The tag was copied once from another stream or namespace, and nothing repeats that."
    PINNED = "pinned", "The source is a digest or an ImageStreamImage, so there is nothing newer to import."
    REMOVED = (
        "removed",
        "The tag is gone from `spec.tags`, and its images came from a registry; nothing imports it any more.",
    )
    NO_SOURCE = "no_source", "The tag has no source to import from: images are pushed into it."
    WAVE = "wave", "The tag belongs to a wave after one that was bad."
    BLOCKED = (
        "blocked",
        "What the registry has is on the list of known-bad images: import-images unblock, or push a newer one.",
    )
    YOUNG = "young", "The new image is younger than `MIN_AGE`. A later run imports it."
    UNPROVEN = (
        "unproven",
        "The new image, or its revision, has not been for `PROVEN_FOR` where `PROVEN_IN` says, with healthy followers.",
    )
    UNREHEARSED = (
        "unrehearsed",
        "Whether nodes can use the new image could not be found out: a quota, no room, a node or a missing right. That "
        "says nothing of the image, and a later run tries again.",
    )


class By(StrEnum):
    """Which side refused."""

    API = "api"
    REGISTRY = "registry"
    NODE = "node"


class Gate(Explained):
    """What may hold a new image back. The gates judge in this order."""

    MIN_AGE = "min_age", "The image is as old as `MIN_AGE` says: by its build time, else since a run first saw it."
    PROVEN = "proven", "The image, or its revision, has proven itself in the tags of `PROVEN_IN` for `PROVEN_FOR`."
    REHEARSE = "rehearse", "Nodes can pull the image and make a container of it, which runs nothing of it."
    VERIFY = "verify", "The queries of `VERIFY` are true after the rollouts."


class GateVerdict(Explained):
    """What a gate says of an image. Only `passed` lets it through."""

    PASSED = "passed", "The gate lets the image through."
    HELD = "held", "The gate holds the image back."
    NOT_ASKED = "not_asked", "A plan asks every gate but `rehearse`, since it creates no pods."
    INCONCLUSIVE = "inconclusive", "The gate could not judge the image, which counts as held back."


class Outcome(Explained):
    """What became of a run, in one namespace or over all."""

    SUCCESS = "success", "All tags match the registry, or were skipped."
    PARTIAL = "partial", "Some tags failed, or rollouts could not be watched."
    FAILURE = "failure", "All tags failed, or the namespace could not be read."
    UNHEALTHY = "unhealthy", "Images were imported, and a rollout did not become healthy."
    ABORTED = "aborted", "The run was stopped by a signal, by `DEADLINE`, or because it lost its lock."
    FROZEN = "frozen", "A scheduled run inside a freeze window, or where the rules have a freeze; nothing was imported."
    LOCKED = "locked", "Another run holds the lock; nothing was imported."


class RolloutResult(Explained):
    """What became of the rollout of a workload that follows a tag."""

    HEALTHY = (
        "healthy",
        "All pods run the image of the tag and have been ready for `ROLLOUT_STABLE`. A CronJob: its next "
        "Job will run it.",
    )
    FAILED = (
        "failed",
        "Crash loop, image pull error, configuration error, `ProgressDeadlineExceeded`, or complete with another "
        "image. The message has the pod's own reason. Exit status 5.",
    )
    TIMED_OUT = "timed_out", "Not healthy within `ROLLOUT_TIMEOUT`. Exit status 5."
    WAITING = (
        "waiting",
        "The new image waits for a person: a paused Deployment, `OnDelete`, a partition. Exit status 5.",
    )
    WILL_NOT_REDEPLOY = (
        "will_not_redeploy",
        "The image trigger cannot fire: `paused` as a string, a wrong `fieldPath`, and so on. Exit status 5.",
    )
    UNVERIFIED = (
        "unverified",
        "The pods are ready, and a query of `VERIFY` has no clear answer. Nothing is rolled back for that. "
        "Exit status 5.",
    )
    PAUSED = "paused", "The image trigger is switched off on purpose (`paused: true`)."
    ABORTED = (
        "aborted",
        "No longer watched: the run was stopped (exit status 6), or the workload could not be read (5).",
    )


class Blame(Explained):
    """What makes a rollout bad, as far as its pods show. Only an image that is to blame is rolled back by a run."""

    IMAGE = "image", "The image that was imported: it cannot be pulled or started, crashes, or never becomes ready."
    CONFIGURATION = "configuration", "A Secret, ConfigMap, pull secret or quota that the pods need."
    CONTAINER = "container", "Another container of the pods, whose image the run did not move."
    NODE = "node", "The node or its way to the registry: no room, no connection."
    UNKNOWN = "unknown", "No cause has been found yet."
