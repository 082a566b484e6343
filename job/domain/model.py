"""The nouns of a run: plain, immutable values that the rest of the program passes on.

Times are timezone-aware and in UTC, durations are seconds, digests are written `sha256:...`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Self, TypeVar

# The ConfigMap that keeps what runs leave for later ones.
JOURNAL = "import-images-journal"
# Of every annotation of ours. Only annotations with it are read from streams and tags.
ANNOTATION_PREFIX = "import-images.dev/"


E = TypeVar("E", bound=StrEnum)


def member(kind: type[E], value: object, default: E) -> E:
    """The member with that value, as another program may have written it; else `default`."""
    return next((each for each in kind if each == value), default)


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
    """Which runs are worth a message: those that changed something, every one, or those with a new problem."""

    CHANGE = "change"
    ALWAYS = "always"
    PROBLEM = "problem"


class Stage(StrEnum):
    """Which step of a run a namespace's error belongs to.

    `SELECT`: nothing there matches. `LOCK`: the lock could not be read or written; `LOCKED`: another run holds it.
    `WAVES`: nothing was imported, since there are waves and their rollouts cannot be watched. `ROLLOUTS`: imported,
    but rollouts could not be watched.
    """

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

    Everything that depends on the reason alone stands in its line here.

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
    CONFLICT = "conflict", "Another client kept changing the stream.", RetryClass.BACKOFF
    INVALID = (
        "invalid",
        "The API refuses the reference, or the registry is not one that the cluster allows.",
        RetryClass.NEVER,
    )
    API_ERROR = "api_error", "The API failed.", RetryClass.BACKOFF, True
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


class By(StrEnum):
    """Which side refused."""

    API = "api"
    REGISTRY = "registry"


class Outcome(Explained):
    """What became of a run, in one namespace or over all."""

    SUCCESS = "success", "All tags are as the registry has them, or were skipped."
    PARTIAL = "partial", "Some tags failed, or rollouts could not be watched."
    FAILURE = "failure", "All tags failed, or the namespace could not be read."
    UNHEALTHY = "unhealthy", "Images were imported, and a rollout did not become healthy."
    ABORTED = "aborted", "The run was stopped by a signal, by `DEADLINE`, or because it lost its lock."
    FROZEN = "frozen", "A scheduled run inside a freeze window; nothing was imported."
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
    UNKNOWN = "unknown", "Nothing that was seen so far."


@dataclass(frozen=True, slots=True, order=True)
class TagName:
    """Which tag: namespace, stream and tag."""

    namespace: str
    stream: str
    tag: str

    def __str__(self) -> str:
        return f"{self.stream}:{self.tag}"

    def seen_from(self, namespace: str) -> str:
        """`STREAM:TAG`, with its namespace in front where that is another one."""
        return str(self) if namespace == self.namespace else f"{self.namespace}/{self}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a tag takes its image from: `from` of a spec tag."""

    kind: str
    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a tag's history: an image, and when the tag got it.

    `pull_spec`, where it can be pulled from, is known only of a history that was read for its own sake.
    """

    digest: str
    imported_at: datetime | None
    pull_spec: str = ""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image says of itself: its build time and labels.

    An index has neither; `manifest` then names the digest of the one manifest that speaks for it. `architecture` is
    that of the image or of that manifest (None: not known), `platforms` (`linux/amd64`) are those of an index.
    """

    created: datetime | None = None
    revision: str | None = None
    version: str | None = None
    manifest: str | None = None
    architecture: str | None = field(default=None, compare=False)
    platforms: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a tag held it. `platforms` are those of an index (`linux/amd64`), as far as they are known."""

    digest: str
    created: datetime | None
    imported_at: datetime | None
    revision: str | None
    version: str | None
    platforms: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a stream, as one read of the stream showed it.

    Attributes:
        import_policy: the API's own object, sent back word for word.
        reference_policy: likewise.
        past: the digests of its newest images, the current one first; empty where there is only that.
        origin: the repository that its current image was imported from, where the spec no longer has a source for the
            tag; None where the spec has one, or the image was pushed.
    """

    name: str
    source: Source | None
    reference: bool
    import_policy: Mapping[str, Any] | None
    reference_policy: Mapping[str, Any] | None
    annotations: Mapping[str, str]
    current: Item | None
    origin: str | None = None
    past: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """An ImageStream, as one read showed it; `version` is that read's resourceVersion."""

    namespace: str
    name: str
    version: str
    annotations: Mapping[str, str]
    tags: tuple[Tag, ...]

    def tag(self, name: str) -> Tag | None:
        """The tag of that name, if the stream has one."""
        return next((tag for tag in self.tags if tag.name == name), None)


@dataclass(frozen=True, slots=True)
class Hold:
    """What a rollback left on a tag, so that no run undoes it.

    `bad` is the image that it was rolled back from; with `until_newer` the hold lasts only while the registry still has
    that one. `came` is when `image` first came into the tag, which a pruned history no longer tells.
    """

    at: datetime | None
    until: datetime | None
    by: str | None
    reason: str | None
    image: str
    until_newer: bool = False
    bad: str | None = None
    came: datetime | None = None


@dataclass(frozen=True, slots=True)
class TagResult:
    """What became of one tag."""

    namespace: str
    stream: str
    tag: str
    source: str | None
    result: Result
    reason: Reason | Skip | None = None
    by: By | None = None
    message: str | None = None
    attempts: int = 0
    seconds: float | None = None
    moved_with: tuple[str, ...] = ()
    before: Image | None = None
    after: Image | None = None
    hold: Hold | None = None
    # Earlier images that the registry still has; None where nobody asked.
    rollback_targets: int | None = None
    # Which of the run's waves it belonged to, from 0.
    wave: int = 0

    @property
    def was_tried(self) -> bool:
        """Whether the run got as far as the tag: a result of one that it did not reach says nothing of the tag."""
        return self.reason is not Skip.WAVE and not (self.reason is Reason.ABORTED and not self.attempts)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What became of one workload that follows tags whose image changed.

    `tags` are those tags; `seconds` is how long it was watched. `blame` says what makes it bad; None where it is not.
    """

    namespace: str
    kind: str
    name: str
    tags: tuple[TagName, ...]
    result: RolloutResult
    message: str | None = None
    seconds: float | None = None
    blame: Blame | None = None

    @property
    def is_bad(self) -> bool:
        """Whether the new image was imported and yet does not run where it should."""
        return self.result not in (RolloutResult.HEALTHY, RolloutResult.PAUSED)

    @property
    def is_broken(self) -> bool:
        """Whether the image itself is to blame, as far as its pods show."""
        return self.result in (RolloutResult.FAILED, RolloutResult.TIMED_OUT) and self.blame is Blame.IMAGE


@dataclass(frozen=True, slots=True)
class BadRollout:
    """A workload whose last rollout was bad, until it is seen healthy, is rolled back or is gone.

    Attributes:
        namespace: of the workload.
        kind: its kind.
        name: its name.
        digests: by stream and tag, the image that was rolled out; empty where it is not known.
    """

    namespace: str
    kind: str
    name: str
    digests: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """Which workload."""
        return self.namespace, self.kind, self.name


@dataclass(frozen=True, slots=True)
class Shard:
    """The share of a run that is one of several: `index` counts from 0."""

    index: int
    count: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run imports in a namespace: one deployment's tags or any (None), all streams (None) or a share."""

    deployment: str | None = None
    shard: Shard | None = None

    def overlaps(self, other: Scope) -> bool:
        """Whether both may import the same tag."""
        if None not in (self.deployment, other.deployment) and self.deployment != other.deployment:
            return False
        if self.shard is None or other.shard is None or self.shard.count != other.shard.count:
            return True
        return self.shard.index == other.shard.index


@dataclass(frozen=True, slots=True)
class RunError:
    """Something that went wrong for a namespace as a whole."""

    namespace: str
    stage: Stage
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run cost in one namespace: requests by HTTP status, more tries by reason."""

    requests: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who works on which cluster.

    Attributes:
        server: the address of the API, without a login.
        context: the kubeconfig's context, if the login comes from one.
        user: the name that the API knows the login by; None where it is not known.
    """

    server: str
    context: str | None = None
    user: str | None = None

    def __str__(self) -> str:
        context = f" (context {self.context})" if self.context else ""
        return f"{self.server}{context}" + (f" as {self.user}" if self.user else "")


@dataclass(frozen=True, slots=True)
class Report:
    """All that is said about a run, by whatever means, is said from this."""

    id: str
    command: Command
    trigger: TriggerKind
    started_at: datetime
    finished_at: datetime
    outcome: Outcome
    exit_status: int
    deployment: str | None
    namespaces: tuple[str, ...]
    tags: tuple[TagResult, ...]
    errors: tuple[RunError, ...]
    tallies: Mapping[str, Tally]
    outcomes: Mapping[str, Outcome]
    shard: Shard | None = None
    job: str | None = None
    scheduled_at: datetime | None = None
    next_run: datetime | None = None
    rollouts: tuple[Rollout, ...] = ()
    identity: Identity | None = None
    # Workloads (namespace, kind, name) whose rollout was bad and that are gone, or follow none of its tags any more.
    gone_workloads: tuple[tuple[str, str, str], ...] = ()

    @property
    def requests(self) -> int:
        """How many requests were sent to the API."""
        return sum(sum(tally.requests.values()) for tally in self.tallies.values())

    def unseen(self, namespace: str) -> bool:
        """Whether the run did not get to see the namespace's tags."""
        return self.outcomes[namespace] is Outcome.FROZEN or any(
            error.namespace == namespace and error.stage not in (Stage.SELECT, Stage.ROLLOUTS) for error in self.errors
        )

    @property
    def start_delay(self) -> float | None:
        """Seconds from when the run was due to when it began; None where it was not on a schedule."""
        if self.scheduled_at is None:
            return None
        return max(0.0, (self.started_at - self.scheduled_at).total_seconds())

    @property
    def retries(self) -> int:
        """How many of them were more tries of what had failed."""
        return sum(sum(tally.retries.values()) for tally in self.tallies.values())


@dataclass(frozen=True, slots=True)
class Involved:
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str | None = None
