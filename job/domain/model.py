"""The nouns of a run: plain, immutable values that the rest of the program passes on.

Times are timezone-aware and in UTC, durations are seconds, digests are written `sha256:...`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from job.domain.costs import Identity, Tally
from job.domain.enums import (
    Blame,
    By,
    Client,
    Command,
    Explained,
    Gate,
    GateVerdict,
    GatewayKind,
    NotifyOn,
    OnBadRollout,
    Outcome,
    Reason,
    Result,
    RetryClass,
    RolloutResult,
    Skip,
    Stage,
    TriggerKind,
    member,
)
from job.domain.records import dataclass, field
from job.domain.rules import Rules
from job.domain.scope import Shard
from job.domain.verdicts import Verdict

if TYPE_CHECKING:
    from job.domain.verification import CheckedQuery

__all__ = (
    "Blame", "By", "Client", "Command", "Explained", "Gate", "GateVerdict", "GatewayKind", "Identity", "NotifyOn",
    "OnBadRollout", "Outcome", "Reason", "Result", "RetryClass", "RolloutResult", "Skip", "Stage", "Tally",
    "TriggerKind", "Verdict", "member",
)  # fmt: skip

# The ConfigMap that keeps what runs leave for later ones.
JOURNAL = "import-images-journal"
# The prefix of this program's annotations. Only annotations with it are read from streams and tags.
ANNOTATION_PREFIX = "import-images.dev/"


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
    `repository_url` is the page of the source code's repository.
    """

    created: datetime | None = None
    revision: str | None = None
    version: str | None = None
    manifest: str | None = None
    architecture: str | None = field(default=None, compare=False)
    platforms: tuple[str, ...] = field(default=(), compare=False)
    repository_url: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a tag held it.

    `platforms` are those of an index (`linux/amd64`), as far as they are known; `architecture` is that of an image
    without an index. `repository_url` is the page of its source code's repository.
    """

    digest: str
    created: datetime | None
    imported_at: datetime | None
    revision: str | None
    version: str | None
    platforms: tuple[str, ...] = field(default=(), compare=False)
    repository_url: str | None = field(default=None, compare=False)
    architecture: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a stream, as one read of the stream showed it.

    Attributes:
        import_policy: the API's own object, sent back word for word.
        reference_policy: likewise.
        past: the digests of its newest images, the current one first; empty where there is only that.
        origin: the repository that its current image was imported from, where the spec no longer has a source for the
            tag; None where the spec has one, or the image was pushed.
        chooses_platform: its annotations choose one platform of an image that has several.
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
    chooses_platform: bool = False


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
    that one. `first_imported` is when the tag first had `image`, which a pruned history no longer shows.
    """

    at: datetime | None
    until: datetime | None
    by: str | None
    reason: str | None
    image: str
    until_newer: bool = False
    bad: str | None = None
    first_imported: datetime | None = None


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
    # Earlier images that the registry still has; None where that was not asked.
    rollback_targets: int | None = None
    # Which of the run's waves it belonged to, from 0.
    wave: int = 0
    # What the gates said of the registry's image, and that image where it was not imported.
    gates: tuple[Verdict, ...] = ()
    candidate: Image | None = None

    @property
    def name(self) -> TagName:
        """The tag that it is about."""
        return TagName(self.namespace, self.stream, self.tag)

    @property
    def was_tried(self) -> bool:
        """Whether the run got as far as the tag: a result of one that it did not reach says nothing of the tag."""
        return self.reason is not Skip.WAVE and not (self.reason is Reason.ABORTED and not self.attempts)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What became of one workload that follows tags whose image changed.

    `tags` are those tags; `seconds` is how long it was watched. `blame` says what makes it bad; None where it is not.
    `culprits` are the tags whose images do; empty where that is not known, so that it may be any.
    """

    namespace: str
    kind: str
    name: str
    tags: tuple[TagName, ...]
    result: RolloutResult
    message: str | None = None
    seconds: float | None = None
    blame: Blame | None = None
    culprits: tuple[TagName, ...] = ()

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
class RunError:
    """Something that went wrong for a namespace as a whole."""

    namespace: str
    stage: Stage
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """The single source of every output about a run."""

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
    # Seconds of the run that its process took to start, before the first request.
    startup: float = 0.0
    shard: Shard | None = None
    job: str | None = None
    scheduled_at: datetime | None = None
    next_run: datetime | None = None
    rollouts: tuple[Rollout, ...] = ()
    identity: Identity | None = None
    queries: tuple[CheckedQuery, ...] = ()
    # Workloads (namespace, kind, name) whose rollout was bad and that are gone, or follow none of its tags any more.
    gone_workloads: tuple[tuple[str, str, str], ...] = ()
    # By namespace, those in force when the run began; a namespace whose rules were not read is not there.
    rules: Mapping[str, Rules] = field(default_factory=dict)

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
