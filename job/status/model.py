"""The nouns of `status`, and the sentence that sums it up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from job.domain.model import By, Hold, Image, Reason, RolloutResult, RunError, Skip, TagName, TagResult
from job.domain.records import dataclass, field
from job.domain.rules import Rules
from job.domain.states import Problem, State
from job.journal.records import Journal, RunRecord
from job.journal.waiting import Waiting
from job.status.punctuality import Punctuality, Timetable

OLD = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class TagFacts:
    """What was collected about a tag.

    Attributes:
        result: of a look-up in the registry.
        problem: reason, message and time of the failed import that its stream records.
    """

    result: TagResult
    problem: tuple[str, str, datetime | None] | None = None

    @property
    def name(self) -> TagName:
        """The tag's name."""
        return TagName(self.result.namespace, self.result.stream, self.result.tag)


@dataclass(frozen=True, slots=True)
class WorkloadStatus:
    """A workload that follows tags, as one read showed it.

    Attributes:
        result: None while its rollout is in progress.
        moved_at: when the last of the tags got its image.
        command: what may help; None where nothing is wrong.
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
    """A part that could not be read (`registry`, `journal`, `schedule` or `workloads`), and what that needs."""

    namespace: str
    part: str
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that `status` judges.

    Attributes:
        journals: by namespace; those that could be read.
        timetables: of the CronJobs of this program.
        workloads: those that follow the tags.
        errors: of namespaces that could not be read at all.
        rollout_timeout: how long a rollout may take.
        rules: those in force, by namespace, as far as they could be read.
        bad_rules: namespace and line of rules that cannot be read.
    """

    now: datetime
    deployment: str | None
    namespaces: tuple[str, ...]
    tags: Sequence[TagFacts] = ()
    journals: Mapping[str, Journal] = field(default_factory=dict)
    timetables: Sequence[Timetable] = ()
    workloads: Sequence[WorkloadStatus] = ()
    unknown: Sequence[Unknown] = ()
    errors: Sequence[RunError] = ()
    rollout_timeout: timedelta = timedelta(minutes=10)
    rules: Mapping[str, Rules] = field(default_factory=dict)
    bad_rules: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that a person must attend to.

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
class TagStatus:
    """The status of a tag.

    Attributes:
        image: its current image.
        registry: the registry's image, where the registry answered.
        message: more about the state, for a person.
        last_success: when a run last confirmed that it has the registry's image.
        failed_runs: how many runs in a row failed to import it.
        failing_since: when that began, as far as is known.
        is_old: whether its image was built long ago.
        waiting: what a gate held back in the last run, if that is what the registry has.
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
    waiting: Waiting | None = None


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run in the journal of a namespace."""

    namespace: str
    record: RunRecord


@dataclass(frozen=True, slots=True)
class StatusReport:
    """The status of a deployment."""

    now: datetime
    deployment: str | None
    namespaces: tuple[str, ...]
    attention: tuple[Attention, ...]
    unknown: tuple[Unknown, ...]
    tags: tuple[TagStatus, ...]
    runs: tuple[PastRun, ...]
    schedules: tuple[Punctuality, ...]
    workloads: tuple[WorkloadStatus, ...]
    rollout_timeout: timedelta
    rules: Mapping[str, Rules] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Whether nothing needs attention, of what could be read."""
        return not self.attention


def is_rolling_out(workload: WorkloadStatus, now: datetime, timeout: timedelta) -> bool:
    """Whether a workload is still rolling out an image that its tag got within the timeout."""
    return workload.result is None and workload.moved_at is not None and now - workload.moved_at <= timeout


def counts(report: StatusReport) -> str:
    """How many tags are in each state, in words."""
    by_state = Counter(tag.state for tag in report.tags)
    words = {State.SKIPPED: "skipped", State.UNKNOWN: "not known"}
    parts = [f"{by_state[state]} {words.get(state, state)}" for state in State if by_state[state]]
    old = sum(tag.is_old for tag in report.tags)
    return ", ".join([*parts, *([f"{old} built more than {OLD.days} days ago"] if old else [])])


def verdict(report: StatusReport) -> str:
    """The one sentence that says whether all is well."""
    number = len(report.attention)
    if number:
        return f"{number} thing{'s need' if number > 1 else ' needs'} attention:"
    seen = "As far as could be checked, all is well" if report.unknown else "All is well"
    return f"{seen}: {counts(report) or 'no tags'}."
