"""What every command works with (`Context`), and one run or plan (`Run`): immutable values that steps pass on.

What a step finds out is its return value; nothing is collected here.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from job.cluster import NAMESPACES, Cluster
from job.config.settings import Settings
from job.domain.errors import ClusterError, StoppedError, UsageError
from job.domain.model import Command, Identity, Outcome, Reason, Report, Rollout, RunError, TagName, TagResult, Tally
from job.domain.outcome import overall
from job.domain.planned import Planned
from job.domain.records import dataclass, field
from job.domain.rules import Rules
from job.domain.scope import Scope
from job.domain.selection import Wanted
from job.imagestreams.lookup import Answer, Question, look_up
from job.journal.records import RunRecord
from job.run.origin import Trigger
from job.runtime.pool import gather, interruptible
from job.runtime.progress import SILENT, Progress
from job.runtime.retry import Retrier, retrier
from job.runtime.shutdown import Stop

if TYPE_CHECKING:
    from job.workloads.discovery import Survey

log = logging.getLogger(__name__)

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

# How long a command waits at its end for the name of its user, which is asked for at its beginning.
IDENTITY_SECONDS = 1.0


class Counts:
    """Counters of a run under way, by namespace; safe to use from several threads."""

    def __init__(self) -> None:
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)
        self._lock = threading.Lock()

    def requested(self, namespace: str, code: str) -> None:
        """A request was sent; `code` is its HTTP status, or `none`."""
        with self._lock:
            self.tallies[namespace].requests[code] += 1

    def snapshot(self) -> dict[str, Tally]:
        """A copy of the counters; requests that publish the report are still counted afterwards."""
        with self._lock:
            return {
                namespace: Tally(Counter(tally.requests), Counter(tally.retries))
                for namespace, tally in self.tallies.items()
            }

    def retried(self, namespace: str, reason: str) -> None:
        """A request will be retried, for `reason`."""
        with self._lock:
            self.tallies[namespace].retries[reason] += 1


@dataclass(frozen=True, slots=True)
class Context:
    """What every command works with: its settings, the cluster, the requests counted there, and whether to stop."""

    settings: Settings
    cluster: Cluster
    counts: Counts
    stop: Stop
    identify: Callable[[float], Identity | None] = field(default=lambda seconds: None, kw_only=True)

    def stopping(self) -> bool:
        """Whether nothing new may be begun."""
        return bool(self.stop)

    @property
    def deadline(self) -> float:
        """The monotonic time at which nothing new is begun."""
        return time.monotonic() + self.settings.deadline

    @property
    def retrier(self) -> Retrier:
        """Retries a request where that may help, until the command is to stop."""
        return retrier(self.settings.retries, self.stopping)

    def patient(self, call: Callable[[], T]) -> T:
        """What `call` returns; temporary failures are retried until the command is to stop.

        Raises:
            StoppedError: the command is to stop.
            ClusterError: the failure of the last try.
        """
        return interruptible(lambda: self.retrier.call(call), self.stopping)

    def ask_all(self, calls: Mapping[K, Callable[[], T]], at_once: int | None = None) -> dict[K, T | ClusterError]:
        """The answers to many requests; the answer of a refused one is its error.

        Raises:
            StoppedError: the command was asked to stop.
        """
        limit = self.settings.concurrency
        patient = {key: functools.partial(self.retrier.call, call) for key, call in calls.items()}
        answers = gather(patient, min(limit, at_once or limit), self.stopping)
        if self.stop:
            raise StoppedError("stopped before every request was answered")
        late = ClusterError(Reason.ABORTED, "no answer before the deadline")
        return {key: answers.get(key, late) for key in calls}

    def look_up(self, questions: Sequence[Question]) -> Mapping[Question, Answer]:
        """Ask registries, through the API server, for images."""
        settings = self.settings
        return look_up(
            self.cluster,
            questions,
            concurrency=settings.concurrency,
            retries=settings.retries,
            timeout=settings.import_timeout,
            deadline=self.deadline,
            retried=self.counts.retried,
            stopping=self.stopping,
        )

    def survey(self, namespaces: Sequence[str]) -> Survey:
        """Find the workloads with image triggers: in these namespaces, and in all others that may be read."""
        from job.workloads.discovery import survey

        settings = self.settings
        return survey(
            self.cluster,
            namespaces,
            retrier=self.retrier,
            concurrency=settings.concurrency,
        )


@dataclass(frozen=True, slots=True)
class Run(Context):
    """One run or plan.

    Attributes:
        namespaces: where it works.
        command: which command it serves.
        dry_run: whether it only asks what would be imported.
        trigger: what started it.
        progress: gets what is under way.
        started: when it began, in UTC: where it is what its process is for, when that started.
        begun: the same moment by the monotonic clock.
        startup: seconds that the process had then taken to start; they are a part of the run.
        suffix: the random part of its id.
        rules: those that are in force, by namespace.
        unread_rules: why those of a namespace cannot be read; only of a plan, which goes on.
        planned: by tag, what the plan says that it follows; None where it follows none.
    """

    namespaces: tuple[str, ...]
    command: Command
    dry_run: bool = False
    trigger: Trigger = field(default_factory=Trigger)
    progress: Progress = SILENT
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = field(default_factory=time.monotonic)
    startup: float = 0.0
    suffix: str = field(default_factory=lambda: os.urandom(1).hex())
    rules: Mapping[str, Rules] = field(default_factory=dict)
    unread_rules: Mapping[str, str] = field(default_factory=dict)
    planned: Mapping[TagName, Planned] | None = None

    @property
    def id(self) -> str:
        """UTC start time, with 256ths of its second, and a random part; so ids sort by time."""
        return f"{self.started:%Y%m%dT%H%M%SZ}-{self.started.microsecond * 256 // 1_000_000:02x}{self.suffix}"

    def stopping(self) -> bool:
        """Whether nothing new may be begun: a signal came, the lock was lost, or the deadline has passed."""
        return bool(self.stop) or time.monotonic() >= self.deadline

    def now(self) -> datetime:
        """The current time, by the monotonic clock, so that a clock that is set meanwhile does not matter."""
        return self.started + timedelta(seconds=time.monotonic() - self.begun)

    @property
    def deadline(self) -> float:
        """The monotonic time of the deadline."""
        return self.begun + self.settings.deadline


def namespaces_of(context: Context) -> tuple[str, ...]:
    """The namespaces to work in.

    Raises:
        UsageError: neither settings nor login name any.
        ClusterError: the namespaces with NAMESPACE_SELECTOR's labels cannot be listed.
    """
    settings, cluster = context.settings, context.cluster
    if settings.all_namespaces:
        from job.run.everywhere import namespaces_with_tags

        return namespaces_with_tags(cluster, settings, context.stopping)
    if settings.namespaces:
        return settings.namespaces
    if settings.namespace_selector:
        items = cluster.list(NAMESPACES, "", settings.namespace_selector)
        names = tuple(sorted(str(item["metadata"]["name"]) for item in items))
        if not names:
            raise UsageError([f"NAMESPACE_SELECTOR: no namespace has the labels {settings.namespace_selector}"])
        return names
    if cluster.default_namespace:
        return (cluster.default_namespace,)
    raise UsageError(["NAMESPACE: not set, and the login names none; set it, or SERVICE and DEPLOYMENT"])


def nothing_matches(namespaces: Sequence[str], wanted: Wanted) -> UsageError:
    """The error for arguments and DEPLOYMENT that match no tag."""
    requested = ", ".join(f"{pattern.stream}:{pattern.tag or wanted.deployment or '*'}" for pattern in wanted.patterns)
    requested = requested or (f"tag {wanted.deployment}" if wanted.deployment else "any tag")
    return UsageError([f"nothing in {', '.join(namespaces)} matches {requested}; see: oc get imagestreams"])


def scope_of(wanted: Wanted) -> Scope:
    """What a run may import: any deployment's tags where an argument names a tag."""
    named = any(pattern.tag is not None for pattern in wanted.patterns)
    return Scope(None if named else wanted.deployment, wanted.shard)


def record_of(run: Run) -> RunRecord:
    """The run's record in a journal, as it is written when the run begins."""
    return RunRecord(
        run.id,
        run.started,
        trigger=run.trigger.kind,
        deployment=run.settings.wanted.deployment,
        shard=run.settings.wanted.shard,
        job=run.trigger.job,
        scheduled_at=run.trigger.scheduled_at,
        command=run.command,
        narrowed=run.settings.narrowed,
    )


def report_of(
    run: Run,
    tags: Sequence[TagResult],
    errors: Sequence[RunError],
    outcomes: Mapping[str, Outcome],
    status: int,
    rollouts: Sequence[Rollout] = (),
    gone_workloads: Sequence[tuple[str, str, str]] = (),
) -> Report:
    """The report of the run, which ends now."""
    wanted, trigger = run.settings.wanted, run.trigger
    # To the millisecond, as the journal and the JSON report keep times, so that all of them compare as equal.
    finished = run.now()
    finished = finished.replace(microsecond=finished.microsecond // 1000 * 1000)
    if Outcome.ABORTED in outcomes.values():
        log.error("stopped: %s", run.stop.reason or f"the deadline of {run.settings.deadline:g} s has passed")
    identity = run.identify(IDENTITY_SECONDS)
    return Report(
        id=run.id,
        command=run.command,
        trigger=trigger.kind,
        started_at=run.started,
        startup=run.startup,
        finished_at=finished,
        outcome=overall(list(outcomes.values())),
        exit_status=status,
        deployment=wanted.deployment,
        namespaces=run.namespaces,
        tags=tuple(tags),
        errors=tuple(errors),
        tallies=run.counts.snapshot(),
        outcomes=outcomes,
        shard=wanted.shard,
        job=trigger.job,
        scheduled_at=trigger.scheduled_at,
        rollouts=tuple(rollouts),
        identity=identity,
        gone_workloads=tuple(gone_workloads),
        rules=run.rules,
        next_run=trigger.schedule.next_after(finished) if trigger.schedule else None,
    )
