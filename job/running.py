"""One run or plan, from settings to report: lock, list, choose, import, and remember what became of it."""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from job.clusters import NAMESPACES, Cluster
from job.describing import Describer
from job.errors import ClusterError, UsageError
from job.holds import hold_of, is_over
from job.importing import GRACE_SECONDS, Options, Surroundings, run_imports
from job.journal import Journal, RunRecord, begun
from job.listing import Chosen, Listing
from job.locking import Holder, Keeper, Lock, LockedError
from job.model import Outcome, Reason, Report, RunError, Scope, TagResult, Tally
from job.pacing import Pool, persist, unless_stopped, wait_before
from job.reasons import PASSING
from job.remembering import Memory
from job.reporting import iso
from job.schedule import Freeze, frozen_at, parse_zone
from job.selection import Wanted
from job.settings import Settings
from job.stopping import Stop
from job.triggers import Trigger, find_trigger
from job.verdicts import LOCKED_STAGE, exit_status, outcome_of, overall

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
# Once the lock is lost others may take it soon.
GRACE_AT_ONCE_SECONDS = 5.0
T = TypeVar("T")


class Counts:
    """The tallies of a run while it goes on, by namespace."""

    def __init__(self) -> None:
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)
        self._lock = threading.Lock()

    def requested(self, namespace: str, code: str) -> None:
        """A request was sent; `code` is its HTTP status, or `none`."""
        with self._lock:
            self.tallies[namespace].requests[code] += 1

    def snapshot(self) -> dict[str, Tally]:
        """The tallies as they are now; the run goes on counting what telling of it costs."""
        with self._lock:
            return {
                namespace: Tally(Counter(tally.requests), Counter(tally.retries))
                for namespace, tally in self.tallies.items()
            }

    def retried(self, namespace: str, reason: str) -> None:
        """Something will be tried again."""
        with self._lock:
            self.tallies[namespace].retries[reason] += 1


@dataclass(slots=True)
class Run:
    """A run under way.

    Attributes:
        memories: the journals of the namespaces that are this run's, by namespace.
        records: what it began with in each of them.
        journals: what each journal held then.
    """

    settings: Settings
    cluster: Cluster
    counts: Counts
    stop: Stop
    namespaces: tuple[str, ...]
    command: str
    trigger: Trigger = field(default_factory=Trigger)
    progress: Progress = lambda done, total: None
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    begun: float = field(default_factory=time.monotonic)
    id: str = ""
    memories: dict[str, Memory] = field(default_factory=dict)
    records: dict[str, RunRecord] = field(default_factory=dict)
    journals: dict[str, Journal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.id = f"{self.started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"

    def stopping(self) -> bool:
        """Whether nothing new may be begun: a signal came, the lock was lost, or the deadline has passed."""
        return bool(self.stop) or time.monotonic() >= self.deadline

    @property
    def deadline(self) -> float:
        """The monotonic time of the deadline."""
        return self.begun + self.settings.deadline


def start(
    settings: Settings,
    cluster: Cluster,
    counts: Counts,
    stop: Stop,
    *,
    command: str,
    environment: Mapping[str, str],
    progress: Progress = lambda done, total: None,
) -> Run:
    """Find out where to work and, for a run, what started it.

    Raises:
        UsageError: there is no namespace to work in.
        ClusterError: the namespaces with NAMESPACE_SELECTOR's labels cannot be listed.
    """
    end = time.monotonic() + settings.deadline

    def stopping() -> bool:
        return bool(stop) or time.monotonic() >= end

    def patient(call: Callable[[], T]) -> T:
        return unless_stopped(lambda: persist(call, settings.retries, stopping), stopping)

    namespaces = patient(lambda: _namespaces(settings, cluster))
    trigger = find_trigger(cluster, environment, patient, settings.time_zone) if command == "run" else Trigger()
    return Run(settings, cluster, counts, stop, namespaces, command, trigger, progress)


def _namespaces(settings: Settings, cluster: Cluster) -> tuple[str, ...]:
    if settings.namespaces:
        return settings.namespaces
    if settings.namespace_selector:
        found = cluster.list(NAMESPACES, "", settings.namespace_selector)
        names = tuple(sorted(str(each["metadata"]["name"]) for each in found))
        if not names:
            raise UsageError([f"NAMESPACE_SELECTOR: no namespace has the labels {settings.namespace_selector}"])
        return names
    if cluster.default_namespace:
        return (cluster.default_namespace,)
    raise UsageError(["NAMESPACE: not set, and the login names none; set it, or SERVICE and DEPLOYMENT"])


def frozen(run: Run) -> Report | None:
    """The report of a scheduled run inside a freeze window; None when it may go ahead.

    Raises:
        UsageError: it was started by hand, so that somebody is there to decide.
    """
    settings = run.settings
    if settings.ignore_freeze or not settings.freeze:
        return None
    try:
        zone = parse_zone(settings.time_zone or run.trigger.time_zone)
    except ValueError as error:
        raise UsageError([f"the CronJob's timeZone: {error}; mend it, or set TIME_ZONE for FREEZE"]) from error
    freeze = frozen_at(settings.freeze, run.started, zone)
    if freeze is None:
        return None
    if run.trigger.kind != "scheduled":
        raise UsageError([f"{_told(freeze)}; to run all the same: --ignore-freeze, or IGNORE_FREEZE=true in the Job"])
    log.warning("%s: nothing is imported", _told(freeze))
    for namespace in run.namespaces:
        # No lock is held, so what another run is doing there is none of this one's business.
        memory = run.memories[namespace] = Memory(run.cluster, namespace)
        run.records[namespace] = _record(run)
        if (journal := memory.read()) is not None:
            run.journals[namespace] = journal
    outcomes = dict.fromkeys(run.namespaces, Outcome.FROZEN)
    return _report(run, [], [], outcomes, 0)


def _told(freeze: Freeze) -> str:
    return f"frozen from {iso(freeze.start)} until {iso(freeze.end)} by the window {freeze.text!r}"


@contextmanager
def locked(run: Run) -> Iterator[list[RunError]]:
    """Hold the locks of the namespaces; gives an error for each namespace whose lock could not be had."""
    with Keeper(lambda namespace: run.stop.request(f"the lock in {namespace} was lost", at_once=True)) as keeper:
        asked = [_Acquiring(run, namespace, keeper) for namespace in run.namespaces]
        left = Pool(run.settings.concurrency).run(asked, run.stopping, grace=5)
        taken = [each for each in asked if each not in left and each.taken]
        Pool(run.settings.concurrency).run(
            [_Beginning(run, each.lock.namespace) for each in taken], run.stopping, grace=2
        )
        yield [each.error() for each in asked if each not in taken]


def scope_of(wanted: Wanted) -> Scope:
    """What a run may import: more than DEPLOYMENT where an argument names a tag."""
    named = any(pattern.tag is not None for pattern in wanted.patterns)
    return Scope(None if named else wanted.deployment, wanted.shard)


class _Acquiring:
    """The lock of one namespace on its way."""

    def __init__(self, run: Run, namespace: str, keeper: Keeper) -> None:
        scope = scope_of(run.settings.wanted)
        holder = Holder("/".join(filter(None, (run.trigger.job, run.id))), run.trigger.job_id)
        self.lock = Lock(run.cluster, namespace, scope, holder, stopping=run.stopping)
        self.taken = False
        self._run = run
        self._keeper = keeper
        self._tries = 0
        self._problem: Exception | None = None

    def step(self) -> float | None:
        """Take the lock; see `pacing.Task`."""
        self._tries += 1
        try:
            self.lock.acquire()
            # Others may be watched for a minute, in which this one must not stand still.
            self._keeper.keep(self.lock)
            self.taken = True
        except LockedError as error:
            self._problem = error
        except ClusterError as error:
            self._problem = error
            if error.reason in PASSING and self._tries <= self._run.settings.retries:
                self._run.counts.retried(self.lock.namespace, error.reason)
                return wait_before(self._tries, error.reason, error.retry_after, random.random)
        return None

    def error(self) -> RunError:
        """Why there is no lock."""
        namespace = self.lock.namespace
        if isinstance(self._problem, ClusterError):
            advice = " (grant get, list, create and update on leases)" if self._problem.code == 403 else ""
            message = f"the lock in {namespace} cannot be taken: {self._problem}{advice}"
            return RunError(namespace, "lock", self._problem.reason, message)
        if isinstance(self._problem, LockedError) and not self._run.stopping():
            return RunError(namespace, LOCKED_STAGE, Reason.CONFLICT, f"{namespace}: {self._problem}")
        return RunError(namespace, "lock", Reason.ABORTED, f"stopped before the lock in {namespace} was taken")


class _Beginning:
    """The journal of one namespace, which may hang like everything else."""

    def __init__(self, run: Run, namespace: str) -> None:
        self._run = run
        self._namespace = namespace

    def step(self) -> float | None:
        """Write that the run has begun; see `pacing.Task`."""
        _remember_begin(self._run, self._namespace)
        return None


def _remember_begin(run: Run, namespace: str) -> None:
    """Write into the journal that the run has begun, and tell of runs that never ended."""
    memory, record = Memory(run.cluster, namespace), _record(run)

    def change(journal: Journal) -> Journal:
        # What was known before; a change may be made twice, to what another writer left.
        run.journals[namespace] = journal
        return begun(journal, record, scope_of(run.settings.wanted))[0]

    if memory.update(change) is None:
        run.journals.pop(namespace, None)
    run.memories[namespace], run.records[namespace] = memory, record


def _record(run: Run) -> RunRecord:
    return RunRecord(
        run.id,
        run.started,
        trigger=run.trigger.kind,
        deployment=run.settings.wanted.deployment,
        shard=run.settings.wanted.shard,
        job=run.trigger.job,
        scheduled_at=run.trigger.scheduled_at,
    )


def perform(run: Run, refused: Sequence[RunError] = ()) -> Report:
    """List, choose and import (for a plan: look up) in every namespace but those that were refused."""
    lost = {error.namespace for error in refused}
    listings = [
        Listing(run.cluster, namespace, run.settings.wanted, run.settings.selector, run.counts.retried)
        for namespace in run.namespaces
        if namespace not in lost
    ]
    left = Pool(run.settings.concurrency).run(listings, run.stopping, grace=0)
    # One that is still under way may come to an end at any moment: it is not looked at any more.
    errors = [*refused, *(Listing.stopped(listing.namespace) for listing in listings if listing in left)]
    listings = [listing for listing in listings if listing not in left]
    errors += [error for listing in listings if (error := listing.error())]
    chosen = [pair for listing in listings for pair in listing.chosen()]
    matched = any(listing.matched for listing in listings)
    _tell_of_killed_runs(run, chosen, {listing.namespace for listing in listings if not listing.error()})
    tags = _import(run, chosen) if chosen else []
    nothing = [listing.nothing_matched() for listing in listings if not listing.matched and not listing.error()]
    if not matched and not errors:
        errors = nothing
    else:
        for error in nothing:
            log.warning("%s", error.message)
    outcomes = {namespace: outcome_of(namespace, tags, errors) for namespace in run.namespaces}
    status = exit_status(tags, errors, len(run.namespaces), matched=matched, outcome=overall(list(outcomes.values())))
    return _report(run, tags, errors, outcomes, status)


def _import(run: Run, chosen: Sequence[Chosen]) -> list[TagResult]:
    for stream, choices in chosen:
        for choice in choices:
            if is_over(choice.tag):
                place = f"{stream.namespace}/{stream.name}:{choice.tag.name}"
                log.info("the hold on %s is over: the tag was moved since", place)
            hold = hold_of(choice.tag)
            if hold and hold.until and hold.until < run.started:
                place = f"{stream.namespace}/{stream.name}:{choice.tag.name}"
                log.warning("the hold on %s expired at %s, not released: this version cannot", place, iso(hold.until))
    done, total, lock = 0, sum(len(choices) for _, choices in chosen), threading.Lock()

    def settled() -> None:
        nonlocal done
        with lock:
            done += 1
            run.progress(done, total)

    describer = Describer(run.cluster, run.stopping)
    for journal in run.journals.values():
        for digest, facts in journal.images.items():
            describer.learn(digest, facts)
    settings = run.settings
    around = Surroundings(
        cluster=run.cluster,
        options=Options(run.command == "run", settings.retries, settings.import_timeout, run.deadline),
        describer=describer,
        pool=Pool(settings.concurrency),
        retried=run.counts.retried,
        settled=settled,
        grace=lambda: GRACE_AT_ONCE_SECONDS if run.stop.at_once else GRACE_SECONDS,
    )
    return run_imports(chosen, around, run.stopping)


def _tell_of_killed_runs(run: Run, chosen: Sequence[Chosen], listed: Collection[str]) -> None:
    """A run that never ended left no report; what it imported is in the streams."""
    for namespace, journal in run.journals.items():
        for killed in begun(journal, run.records[namespace], scope_of(run.settings.wanted))[1]:
            since = killed.started_at
            moved = [
                f"{stream.name}:{choice.tag.name}"
                for stream, choices in chosen
                if stream.namespace == namespace
                for choice in choices
                if since and choice.tag.current and (when := choice.tag.current.imported_at) and when >= since
            ]
            told = ", ".join(moved[:20]) + (f" and {len(moved) - 20} more" if len(moved) > 20 else "")
            log.warning(
                "run %s, begun at %s in %s, never ended and counts as aborted; of this run's tags, new since then: %s",
                killed.id,
                iso(since),
                namespace,
                told or ("nothing" if namespace in listed else "not known"),
            )


def _report(
    run: Run,
    tags: Sequence[TagResult],
    errors: Sequence[RunError],
    outcomes: Mapping[str, Outcome],
    status: int,
) -> Report:
    wanted, trigger = run.settings.wanted, run.trigger
    # By the clock that nobody sets.
    finished = run.started + timedelta(seconds=time.monotonic() - run.begun)
    if Outcome.ABORTED in outcomes.values():
        log.error("stopped: %s", run.stop.reason or f"the deadline of {run.settings.deadline:g} s has passed")
    return Report(
        id=run.id,
        command=run.command,
        trigger=trigger.kind,
        started_at=run.started,
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
        next_run=trigger.schedule.next_after(finished) if trigger.schedule else None,
    )
