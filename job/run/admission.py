"""Whether a run may go ahead: as the only one of its kind in each namespace that its rules do not spare."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from job.domain.errors import ClusterError
from job.domain.model import Reason, RunError, Stage
from job.domain.records import dataclass, field
from job.journal.records import Journal, RunRecord, abort_runs, start_run
from job.journal.store import JournalStore
from job.run.context import Run, record_of, scope_of
from job.run.lease import Holder, Lock, LockedError
from job.run.lease_keeper import Keeper
from job.runtime.pool import gather

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The run in the journal of one namespace.

    Attributes:
        store: reads and writes that journal.
        record: the run, as it was when it began.
        before: what the journal held then; None where it could not be read or written.
    """

    store: JournalStore
    record: RunRecord
    before: Journal | None


@dataclass(frozen=True, slots=True)
class Admission:
    """Where a run may go ahead.

    Attributes:
        refused: an error for each namespace whose rules could not be read or whose lock could not be taken.
        frozen: the namespaces that a freeze spares.
        entries: by namespace, the run's entry in the journals of the others.
        release: releases the locks; a second call does nothing.
    """

    refused: tuple[RunError, ...] = ()
    frozen: frozenset[str] = frozenset()
    entries: Mapping[str, JournalEntry] = field(default_factory=dict)
    release: Callable[[], None] = lambda: None

    @property
    def journals(self) -> dict[str, Journal]:
        """By namespace, what the journals held before the run, as far as is known."""
        return {name: entry.before for name, entry in self.entries.items() if entry.before is not None}


def entries_of(run: Run, namespaces: Collection[str]) -> dict[str, JournalEntry]:
    """By namespace, the journal entries of a run that takes no lock there, and so does not write that it began."""
    stores = {namespace: JournalStore(run.cluster, namespace) for namespace in namespaces}
    return {name: JournalEntry(store, record_of(run), store.read()) for name, store in stores.items()}


@contextmanager
def locked(run: Run, refused: Sequence[RunError] = (), frozen: Collection[str] = ()) -> Iterator[Admission]:
    """Hold the locks of the run's namespaces, and write into their journals that it has begun.

    Args:
        run: the run.
        refused: errors of namespaces that are left alone.
        frozen: namespaces that are left alone because of a freeze.
    """
    spared = {*frozen, *(error.namespace for error in refused)}
    namespaces = [name for name in run.namespaces if name not in spared]

    def lost(namespace: str) -> None:
        run.stop.request(f"the lock in {namespace} was lost", at_once=True)

    with Keeper(lost, run.settings.concurrency) as keeper:
        taking = {namespace: functools.partial(_take_lock, run, namespace, keeper) for namespace in namespaces}
        taken = gather(taking, run.settings.concurrency, run.stopping, grace=5)
        failed = [error for name in namespaces if (error := _lock_error(run, name, taken.get(name, _LATE)))]
        failed_in = {error.namespace for error in failed}
        locked_in = [namespace for namespace in namespaces if namespace not in failed_in]
        starting = {namespace: functools.partial(_write_start, run, namespace) for namespace in locked_in}
        # The journal may hang like everything else; one that still hangs when the run is stopped stays unknown.
        started = gather(starting, run.settings.concurrency, run.stopping, grace=2)
        entries = {name: entry for name, entry in started.items() if isinstance(entry, JournalEntry)}
        ending = "requests under way may take 30 s to end, then the lock is released; "

        def leave() -> None:
            keeper.release()
            change = functools.partial(abort_runs, ids={run.id})
            writes = {name: functools.partial(entry.store.update, change) for name, entry in entries.items()}
            gather(writes, run.settings.concurrency, lambda: False)

        with run.stop.leaving(leave, ending):
            yield Admission((*refused, *failed), frozenset(frozen), entries, keeper.release)


_LATE = ClusterError(Reason.ABORTED, "stopped before the lock was taken")


def _take_lock(run: Run, namespace: str, keeper: Keeper) -> LockedError | None:
    """Take the lock of one namespace; the error where another run holds it.

    Raises:
        ClusterError: Leases cannot be read or written there.
    """
    scope = scope_of(run.settings.wanted)
    holder = Holder("/".join(filter(None, (run.trigger.job, run.id))), run.trigger.job_id)
    lock = Lock(run.cluster, namespace, scope, holder, stopping=run.stopping, progress=run.progress)
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
    advice = " (grant get, list, create and update on leases, or correct the namespace)" if answer.lacks_right else ""
    return RunError(namespace, Stage.LOCK, answer.reason, f"the lock in {namespace} cannot be taken: {answer}{advice}")


def _write_start(run: Run, namespace: str) -> JournalEntry:
    """Write into the journal of one namespace that the run has begun."""
    store, record = JournalStore(run.cluster, namespace), record_of(run)
    before: list[Journal] = []

    def change(journal: Journal) -> Journal:
        # A change may be made again, to what another writer left.
        before[:] = [journal]
        return start_run(journal, record, scope_of(run.settings.wanted))[0]

    written = store.update(change)
    return JournalEntry(store, record, before[0] if written is not None else None)
