"""The nouns of a run: plain, immutable values that the rest of the program passes on.

Times are timezone-aware and in UTC, durations are seconds, digests are written `sha256:...`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

# The ConfigMap in which runs are remembered.
JOURNAL = "import-images-journal"
# Of an error of a namespace whose rollouts cannot be watched.
ROLLOUTS_STAGE = "rollouts"


class Result(StrEnum):
    """What became of a tag: what the cluster holds after the run, against what it held before."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"
    ROLLED_BACK = "rolled_back"


class Reason(StrEnum):
    """Why something failed. The list is closed: dashboards and alerts name its members."""

    NOT_FOUND = "not_found"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    REGISTRY_ERROR = "registry_error"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    CONFLICT = "conflict"
    INVALID = "invalid"
    API_ERROR = "api_error"
    ABORTED = "aborted"


class Skip(StrEnum):
    """Why a tag that matches is left alone; the first that applies, in this order."""

    HELD = "held"
    OPTED_OUT = "opted_out"
    REFERENCE = "reference"
    ALIAS = "alias"
    PINNED = "pinned"
    NO_SOURCE = "no_source"
    WAVE = "wave"


class By(StrEnum):
    """Who refused."""

    API = "api"
    REGISTRY = "registry"


class Outcome(StrEnum):
    """What became of a run, in one namespace or over all."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    UNHEALTHY = "unhealthy"
    ABORTED = "aborted"
    FROZEN = "frozen"
    LOCKED = "locked"


class RolloutResult(StrEnum):
    """What became of the rollout of a workload that follows a tag.

    `waiting`: the new image waits for a person (a paused Deployment, a partition, OnDelete). `will_not_redeploy`: its
    trigger cannot fire. `paused`: its trigger is switched off on purpose. `aborted`: watched no longer.
    """

    HEALTHY = "healthy"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    WAITING = "waiting"
    WILL_NOT_REDEPLOY = "will_not_redeploy"
    PAUSED = "paused"
    ABORTED = "aborted"


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

    An index has neither; `manifest` then names the digest of the one manifest that speaks for it.
    """

    created: datetime | None = None
    revision: str | None = None
    version: str | None = None
    manifest: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """An image as a tag held it."""

    digest: str
    created: datetime | None
    imported_at: datetime | None
    revision: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a stream, as one read of the stream showed it.

    `import_policy` and `reference_policy` are the API's own objects, sent back word for word.
    """

    name: str
    source: Source | None
    reference: bool
    import_policy: Mapping[str, Any] | None
    reference_policy: Mapping[str, Any] | None
    annotations: Mapping[str, str]
    current: Item | None


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


@dataclass(frozen=True, slots=True)
class Rollout:
    """What became of one workload that follows tags whose image changed.

    `tags` are those tags; `seconds` is how long it was watched.
    """

    namespace: str
    kind: str
    name: str
    tags: tuple[TagName, ...]
    result: RolloutResult
    message: str | None = None
    seconds: float | None = None

    @property
    def is_bad(self) -> bool:
        """Whether the new image was imported and yet does not run where it should."""
        return self.result not in (RolloutResult.HEALTHY, RolloutResult.PAUSED)

    @property
    def is_broken(self) -> bool:
        """Whether the image itself is to blame, as far as one can tell."""
        return self.result in (RolloutResult.FAILED, RolloutResult.TIMED_OUT)


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
    stage: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run cost in one namespace: requests by HTTP status, more tries by reason."""

    requests: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Report:
    """All that is said about a run, by whatever means, is said from this."""

    id: str
    command: str
    trigger: str
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

    @property
    def requests(self) -> int:
        """How many requests were sent to the API."""
        return sum(sum(tally.requests.values()) for tally in self.tallies.values())

    def unseen(self, namespace: str) -> bool:
        """Whether the run did not get to see the namespace's tags."""
        return self.outcomes[namespace] is Outcome.FROZEN or any(
            error.namespace == namespace and error.stage not in ("select", ROLLOUTS_STAGE) for error in self.errors
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
