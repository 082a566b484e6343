"""How things stand: the nouns of `status`, and the words for the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from job.domain.model import By, Hold, Image, Reason, RolloutResult, RunError, Skip, TagName, TagResult
from job.journal.records import Journal, RunRecord
from job.status.punctuality import Punctuality, Timetable

OLD = timedelta(days=90)


class State(StrEnum):
    """How a tag stands against its registry; `unknown`: nobody could be asked."""

    CURRENT = "current"
    BEHIND = "behind"
    FAILED = "failed"
    UNKNOWN = "unknown"
    HELD = "held"
    SKIPPED = "skipped"


class Problem(StrEnum):
    """Why something needs attention. The list is closed, for scripts."""

    UNREAD = "unread"
    SCHEDULE = "schedule"
    SUSPENDED = "suspended"
    RUN_MISSED = "run_missed"
    RUN_FAILED = "run_failed"
    RUN_HANGS = "run_hangs"
    FAILING = "failing"
    NOT_KNOWN = "not_known"
    STALE = "stale"
    HOLD_EXPIRED = "hold_expired"
    HOLD_FORGOTTEN = "hold_forgotten"
    ROLLOUT = "rollout"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found out of a tag.

    Attributes:
        result: of a look-up in the registry.
        problem: reason, message and time of an import that failed, as its stream tells.
    """

    result: TagResult
    problem: tuple[str, str, datetime | None] | None = None

    @property
    def name(self) -> TagName:
        """Which tag."""
        return TagName(self.result.namespace, self.result.stream, self.result.tag)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a workload that follows tags says.

    Attributes:
        result: None while its rollout is on its way.
        moved_at: when the last of the tags got its image.
        command: what may help.
    """

    namespace: str
    kind: str
    name: str
    tags: tuple[TagName, ...]
    result: RolloutResult | None
    message: str | None = None
    moved_at: datetime | None = None
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A part that cannot be told, with what it takes to tell it: `registry`, `journal`, `schedule` or `workloads`."""

    namespace: str
    part: str
    message: str


@dataclass(frozen=True, slots=True)
class Findings:
    """All that there is to judge by.

    Attributes:
        journals: of the namespaces where it could be read.
        timetables: of the CronJobs there are.
        looks: at the workloads that follow the tags.
        errors: of namespaces that could not be read at all.
        rollout_timeout: how long a rollout may take.
    """

    now: datetime
    deployment: str | None
    namespaces: tuple[str, ...]
    tags: Sequence[Seen] = ()
    journals: Mapping[str, Journal] = field(default_factory=dict)
    timetables: Sequence[Timetable] = ()
    looks: Sequence[Look] = ()
    unknown: Sequence[Unknown] = ()
    errors: Sequence[RunError] = ()
    rollout_timeout: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that needs a person.

    Attributes:
        subject: the tag, run, CronJob, workload or namespace.
        since: since when, as far as is known.
        command: what to do.
    """

    namespace: str
    subject: str
    problem: Problem
    message: str
    since: datetime | None = None
    command: str | None = None


@dataclass(frozen=True, slots=True)
class TagStanding:
    """How a tag stands.

    Attributes:
        image: that it has.
        registry: what the registry has, where it told.
        message: what there is to say beside that.
        last_success: when a run last saw it to be as the registry has it.
        failed_runs: in a row.
        failing_since: when that began, as far as is known.
        is_old: whether its image was built long ago.
    """

    name: TagName
    source: str | None
    state: State
    reason: Reason | Skip | None
    by: By | None
    image: Image | None
    registry: Image | None
    message: str | None
    hold: Hold | None
    last_success: datetime | None
    failed_runs: int
    failing_since: datetime | None
    is_old: bool


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that the journal of a namespace tells of."""

    namespace: str
    record: RunRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """How everything stands."""

    now: datetime
    deployment: str | None
    namespaces: tuple[str, ...]
    attention: tuple[Attention, ...]
    unknown: tuple[Unknown, ...]
    tags: tuple[TagStanding, ...]
    runs: tuple[PastRun, ...]
    schedules: tuple[Punctuality, ...]
    looks: tuple[Look, ...]
    rollout_timeout: timedelta

    @property
    def is_well(self) -> bool:
        """Whether nothing needs attention, of what can be told."""
        return not self.attention


def is_rolling_out(look: Look, now: datetime, timeout: timedelta) -> bool:
    """Whether it is on its way to an image that came only just now."""
    return look.result is None and look.moved_at is not None and now - look.moved_at <= timeout


def counts(standing: Standing) -> str:
    """The tags by their state, in words."""
    found = Counter(tag.state for tag in standing.tags)
    words = {State.SKIPPED: "left alone", State.UNKNOWN: "not known"}
    parts = [f"{found[state]} {words.get(state, state)}" for state in State if found[state]]
    old = sum(tag.is_old for tag in standing.tags)
    return ", ".join([*parts, *([f"{old} built more than {OLD.days} days ago"] if old else [])])


def verdict(standing: Standing) -> str:
    """The one sentence that says whether all is well."""
    number = len(standing.attention)
    if number:
        return f"{number} thing{'s need' if number > 1 else ' needs'} attention:"
    seen = "As far as can be told all is well" if standing.unknown else "All is well"
    return f"{seen}: {counts(standing) or 'no tags'}."
