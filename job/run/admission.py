"""Whether a run may go ahead: outside a freeze, and as the only one of its kind in each namespace."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from job.domain.errors import ClusterError, UsageError
from job.domain.model import Outcome, Reason, Report, RunError, Stage, TriggerKind
from job.domain.schedule import Freeze, frozen_at, parse_zone
from job.domain.times import iso
from job.journal.records import Journal, RunRecord, start_run
from job.journal.store import JournalStore
from job.run.context import Run, record_of, report_of, scope_of
from job.run.lease import Holder, Keeper, Lock, LockedError
from job.runtime.pool import gather

log = logging.getLogger(__name__)


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
    if run.trigger.kind is not TriggerKind.SCHEDULED:
        raise UsageError([f"{_told(freeze)}; to run all the same: --ignore-freeze, or IGNORE_FREEZE=true in the Job"])
    log.warning("%s: nothing is imported", _told(freeze))
    for namespace in run.namespaces:
        # No lock is held, so what another run is doing there is none of this one's business.
        memory = run.memories[namespace] = JournalStore(run.cluster, namespace)
        run.records[namespace] = record_of(run)
        if (journal := memory.read()) is not None:
            run.journals[namespace] = journal
    outcomes = dict.fromkeys(run.namespaces, Outcome.FROZEN)
    return report_of(run, [], [], outcomes, 0)


def _told(freeze: Freeze) -> str:
    return f"frozen from {iso(freeze.start)} until {iso(freeze.end)} by the window {freeze.text!r}"


@contextmanager
def locked(run: Run) -> Iterator[list[RunError]]:
    """Hold the locks of the namespaces; gives an error for each namespace whose lock could not be had."""

    def lost(namespace: str) -> None:
        run.stop.request(f"the lock in {namespace} was lost", at_once=True)

    with Keeper(lost, run.settings.concurrency) as keeper:
        taking = {namespace: functools.partial(_take_lock, run, namespace, keeper) for namespace in run.namespaces}
        taken = gather(taking, run.settings.concurrency, run.stopping, grace=5)
        refused = [error for name in run.namespaces if (error := _lock_error(run, name, taken.get(name, _LATE)))]
        lost_in = {error.namespace for error in refused}
        locked_in = [namespace for namespace in run.namespaces if namespace not in lost_in]
        starting = {namespace: functools.partial(_write_start, run, namespace) for namespace in locked_in}
        # The journal may hang like everything else; one that hangs still when the run is stopped stays unknown.
        for namespace, started in gather(starting, run.settings.concurrency, run.stopping, grace=2).items():
            if not isinstance(started, ClusterError):
                _remember_start(run, namespace, started)
        yield refused


_LATE = ClusterError(Reason.ABORTED, "stopped before the lock was taken")


def _take_lock(run: Run, namespace: str, keeper: Keeper) -> LockedError | None:
    """Take the lock of one namespace; the error where another run holds it.

    Raises:
        ClusterError: Leases cannot be read or written there.
    """
    scope = scope_of(run.settings.wanted)
    holder = Holder("/".join(filter(None, (run.trigger.job, run.id))), run.trigger.job_id)
    lock = Lock(run.cluster, namespace, scope, holder, stopping=run.stopping)
    try:
        run.retrier.call(lock.acquire, lambda reason: run.counts.retried(namespace, reason))
    except LockedError as error:
        return error
    # Other namespaces may wait for a minute, in which this lock has to be renewed already.
    keeper.keep(lock)
    return None


def _lock_error(run: Run, namespace: str, answer: LockedError | ClusterError | None) -> RunError | None:
    """Why there is no lock."""
    if answer is None:
        return None
    if isinstance(answer, LockedError) and not run.stopping():
        return RunError(namespace, Stage.LOCKED, Reason.CONFLICT, f"{namespace}: {answer}")
    if isinstance(answer, LockedError) or answer is _LATE:
        return RunError(namespace, Stage.LOCK, Reason.ABORTED, f"stopped before the lock in {namespace} was taken")
    advice = " (grant get, list, create and update on leases)" if answer.code == 403 else ""
    return RunError(namespace, Stage.LOCK, answer.reason, f"the lock in {namespace} cannot be taken: {answer}{advice}")


@dataclass(frozen=True, slots=True)
class _Started:
    """That the run has begun, as one journal has it; `before` is what the journal held, None where it is unknown."""

    store: JournalStore
    record: RunRecord
    before: Journal | None


def _write_start(run: Run, namespace: str) -> _Started:
    """Write into the journal of one namespace that the run has begun."""
    store, record = JournalStore(run.cluster, namespace), record_of(run)
    before: list[Journal] = []

    def change(journal: Journal) -> Journal:
        # A change may be made again, to what another writer left.
        before[:] = [journal]
        return start_run(journal, record, scope_of(run.settings.wanted))[0]

    written = store.update(change)
    return _Started(store, record, before[0] if written is not None else None)


def _remember_start(run: Run, namespace: str, started: _Started) -> None:
    run.memories[namespace], run.records[namespace] = started.store, started.record
    if started.before is not None:
        run.journals[namespace] = started.before
