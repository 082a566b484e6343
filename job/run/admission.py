"""Whether a run may go ahead: outside a freeze, and as the only one of its kind in each namespace."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager

from job.domain.errors import ClusterError, UsageError
from job.domain.failures import PASSING
from job.domain.model import Outcome, Reason, Report, RunError, Stage, TriggerKind
from job.domain.schedule import Freeze, frozen_at, parse_zone
from job.domain.times import iso
from job.journal.records import Journal, start_run
from job.journal.store import JournalStore
from job.run.context import Run, record_of, report_of, scope_of
from job.run.lease import Holder, Keeper, Lock, LockedError
from job.runtime.pool import Pool, wait_before

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
        asked = [_Acquiring(run, namespace, keeper) for namespace in run.namespaces]
        left = Pool(run.settings.concurrency).run(asked, run.stopping, grace=5)
        taken = [each for each in asked if each not in left and each.taken]
        begun_in = [_Beginning(run, each.lock.namespace) for each in taken]
        hanging = Pool(run.settings.concurrency).run(begun_in, run.stopping, grace=2)
        for beginning in begun_in:
            if beginning not in hanging:
                beginning.take_over()
        yield [each.error() for each in asked if each not in taken]


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
            # As everywhere: a timeout is tried once more.
            again = min(1, self._run.settings.retries) if error.reason is Reason.TIMEOUT else self._run.settings.retries
            if error.reason in {*PASSING, Reason.TIMEOUT} and self._tries <= again:
                self._run.counts.retried(self.lock.namespace, error.reason)
                return wait_before(self._tries, error.reason, error.retry_after, random.random)
        return None

    def error(self) -> RunError:
        """Why there is no lock."""
        namespace = self.lock.namespace
        if isinstance(self._problem, ClusterError):
            advice = " (grant get, list, create and update on leases)" if self._problem.code == 403 else ""
            message = f"the lock in {namespace} cannot be taken: {self._problem}{advice}"
            return RunError(namespace, Stage.LOCK, self._problem.reason, message)
        if isinstance(self._problem, LockedError) and not self._run.stopping():
            return RunError(namespace, Stage.LOCKED, Reason.CONFLICT, f"{namespace}: {self._problem}")
        return RunError(namespace, Stage.LOCK, Reason.ABORTED, f"stopped before the lock in {namespace} was taken")


class _Beginning:
    """The journal of one namespace, which may hang like everything else."""

    def __init__(self, run: Run, namespace: str) -> None:
        self._run = run
        self._namespace = namespace
        self._memory = JournalStore(run.cluster, namespace)
        self._record = record_of(run)
        self._before: Journal | None = None

    def step(self) -> float | None:
        """Write that the run has begun; see `pacing.Task`."""
        if self._memory.update(self._change) is None:
            self._before = None
        return None

    def _change(self, journal: Journal) -> Journal:
        # What was known before; a change may be made twice, to what another writer left.
        self._before = journal
        return start_run(journal, self._record, scope_of(self._run.settings.wanted))[0]

    def take_over(self) -> None:
        """Let the run know of it. One that hangs still when the run is stopped is never known of."""
        run, namespace = self._run, self._namespace
        run.memories[namespace], run.records[namespace] = self._memory, self._record
        if self._before is not None:
            run.journals[namespace] = self._before
