"""The imports of a run, wave by wave, each with the rollouts that follow it.

The next wave starts when the rollouts of the one before are healthy; after a bad one the rest is left as it is.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from job.cluster import IMAGE_STREAMS
from job.domain.errors import ClusterError
from job.domain.model import OnBadRollout, Reason, Result, Rollout, RolloutResult, Skip, Stream, TagName, TagResult
from job.domain.records import dataclass, field, replace
from job.domain.retries import RetryPolicy
from job.domain.selection import LAST_WAVE, WAVE_ANNOTATION, Choice, choose, wave_of
from job.imagestreams.api_types import stream_from
from job.imagestreams.descriptions import Describer
from job.imagestreams.import_context import GRACE_SECONDS, ImportContext, Options
from job.imagestreams.importer import run_imports
from job.imagestreams.listing import Chosen
from job.journal.records import Journal
from job.run.context import Run
from job.runtime.pool import Throttle
from job.runtime.progress import Progress

if TYPE_CHECKING:
    from job.domain.verification import CheckedQuery
    from job.run.gates import Guard
    from job.workloads.image_triggers import Workload

log = logging.getLogger(__name__)

# Once the lock is lost others may take it soon.
GRACE_AT_ONCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of tags, of the rollouts that followed them, and of the queries that were asked then."""

    tags: tuple[TagResult, ...] = ()
    rollouts: tuple[Rollout, ...] = ()
    queries: tuple[CheckedQuery, ...] = ()


def waves_of(chosen: Sequence[Chosen]) -> tuple[tuple[Chosen, ...], ...]:
    """What was chosen by wave, in order. Skipped tags belong to the first."""
    waves: defaultdict[int, list[Chosen]] = defaultdict(list)
    left_alone: list[Chosen] = []
    for stream, choices in chosen:
        by_wave: defaultdict[int, list[Choice]] = defaultdict(list)
        for choice in choices:
            if choice.skip is None:
                wave = wave_of(stream, choice.tag)
                by_wave[LAST_WAVE if wave is None else wave].append(choice)
        for wave, together in by_wave.items():
            waves[wave].append((stream, tuple(together)))
        if skipped := tuple(choice for choice in choices if choice.skip is not None):
            left_alone.append((stream, skipped))
    ordered = [tuple(waves[wave]) for wave in sorted(waves)] or [()]
    return ((*left_alone, *ordered[0]), *ordered[1:])


def unreadable_waves(chosen: Sequence[Chosen]) -> Iterator[str]:
    """A warning for each tag whose wave is not a number."""
    for stream, choices in chosen:
        for choice in choices:
            if wave_of(stream, choice.tag) is None:
                name = TagName(stream.namespace, stream.name, choice.tag.name)
                yield f"{name.namespace}/{name}: {WAVE_ANNOTATION} is not a whole number, so it is in the last wave"


def import_waves(
    run: Run,
    chosen: Sequence[Chosen],
    *,
    workloads: Sequence[Workload] | None = None,
    journals: Collection[Journal] = (),
    notes: Mapping[TagName, str] | None = None,
    guard: Guard | None = None,
) -> Imported:
    """Import what was chosen, or query it for a plan; the results are in the order given.

    Args:
        run: the run.
        chosen: the streams with the tags chosen in them.
        workloads: those that may follow the tags; None where rollouts are not watched.
        journals: what they know of images is not asked for again.
        notes: more to report of some of the tags.
        guard: the gates of the tags; None where there are none.
    """
    count = _Count(sum(len(choices) for _, choices in chosen), run.progress)
    importing = _importing(run, count, journals)
    # A plan writes nothing, so that there is nothing to wait for between waves.
    waves = waves_of(chosen) if workloads is not None else (tuple(chosen),)
    results: dict[TagName, TagResult] = {}
    rollouts: list[Rollout] = []
    queries: list[CheckedQuery] = []
    bad = False
    for number, wave in enumerate(waves):
        if bad:
            wave = tuple((s, tuple(Choice(c.tag, c.skip or Skip.WAVE) for c in choices)) for s, choices in wave)
        elif number:
            wave = _read_again(run, wave, {(name.namespace, name.stream) for name in results})
        run.progress.begin(_title(run, number, len(waves)))
        count.show()
        imported = _import_wave(run, wave, importing, workloads, guard)
        if run.settings.verification is not None and workloads is not None:
            from job.run.verification import verify_wave

            imported = verify_wave(run, number, imported, workloads)
        results |= {result.name: replace(result, wave=number) for result in imported.tags}
        rollouts += imported.rollouts
        queries += imported.queries
        if not bad and number + 1 < len(waves):
            bad = _is_bad(run, imported)
            if bad:
                log.error("wave %d of %d was bad: the waves after it are not imported", number + 1, len(waves))
    results = _with_aliases(results)
    names = [TagName(stream.namespace, stream.name, c.tag.name) for stream, choices in chosen for c in choices]
    tags = tuple(_noted(results[name], (notes or {}).get(name)) for name in names)
    return Imported(tags, tuple(rollouts), tuple(queries))


def _importing(run: Run, count: _Count, journals: Collection[Journal]) -> ImportContext:
    """What the imports of all waves share."""
    settings, describer = run.settings, Describer(run.cluster, run.stopping)
    for journal in journals:
        for digest, facts in journal.images.items():
            describer.learn(digest, facts)
    return ImportContext(
        cluster=run.cluster,
        options=Options(not run.dry_run, RetryPolicy(settings.retries), settings.import_timeout, run.deadline),
        describer=describer,
        throttle=Throttle(settings.concurrency),
        retried=run.counts.retried,
        settled=count,
        under_way=run.progress.detail,
        grace=lambda: GRACE_AT_ONCE_SECONDS if run.stop.at_once else GRACE_SECONDS,
        rules=run.rules,
    )


@dataclass(slots=True)
class _Count:
    """Shows how many tags have a result; called from several threads."""

    total: int
    progress: Progress
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> None:
        with self.lock:
            self.done += 1
            self.show()

    def show(self) -> None:
        """Show the count as it is."""
        self.progress.show(self.done, self.total, "tags")


def _title(run: Run, number: int, count: int) -> str:
    if run.dry_run:
        return "asking the registries"
    return f"importing wave {number + 1} of {count}" if count > 1 else "importing"


def _import_wave(
    run: Run,
    wave: Sequence[Chosen],
    importing: ImportContext,
    workloads: Sequence[Workload] | None,
    guard: Guard | None,
) -> Imported:
    if guard is None:
        results = run_imports(wave, importing, run.stopping)
    else:
        from job.run.gated_imports import import_guarded

        results = import_guarded(guard, wave, importing)
    if workloads is None:
        return Imported(tuple(results))
    from job.run.bad_rollouts import roll_back_bad
    from job.run.rollout_watch import watch_rollouts
    from job.workloads.followers import Moved

    moved = {
        TagName(result.namespace, result.stream, tag): Moved(result.after.digest)
        for result in results
        if result.result is Result.UPDATED and result.after
        for tag in (result.tag, *result.moved_with)
    }
    rollouts = watch_rollouts(run, workloads, moved, run.stopping)
    if run.settings.on_bad_rollout is OnBadRollout.ROLLBACK and not run.stop:
        results, again = roll_back_bad(run, workloads, results, rollouts)
        rollouts = (*rollouts, *again)
    return Imported(tuple(results), rollouts)


def _is_bad(run: Run, imported: Imported) -> bool:
    """Whether a wave was bad. What an interruption left without a result does not make it bad."""
    interrupted = run.stopping()
    return any(tag.result is Result.FAILED and tag.reason is not Reason.ABORTED for tag in imported.tags) or any(
        rollout.is_bad and not (interrupted and rollout.result is RolloutResult.ABORTED)
        for rollout in imported.rollouts
    )


def _read_again(run: Run, wave: Sequence[Chosen], written: Collection[tuple[str, str]]) -> tuple[Chosen, ...]:
    """The wave with its streams as they are now, where an earlier wave of this run has changed them."""
    after: list[Chosen] = []
    for stream, choices in wave:
        if (stream.namespace, stream.name) in written:
            stream, choices = _chosen_again(run, stream, choices)
        after.append((stream, choices))
    return tuple(after)


def _chosen_again(run: Run, stream: Stream, choices: Sequence[Choice]) -> Chosen:
    namespace, name = stream.namespace, stream.name
    try:
        now = stream_from(run.retrier.call(lambda: run.cluster.get(IMAGE_STREAMS, namespace, name)))
    except ClusterError as error:
        # Importing by the earlier read ends in a conflict, which has its own retries and its own result.
        log.info("%s/%s could not be read again before its next wave: %s", namespace, name, error)
        return stream, tuple(choices)
    chosen = {choice.tag.name: choice for choice in choose(now, run.settings.wanted)}
    # A tag that was removed meanwhile keeps its earlier choice: its import finds out, and reports it.
    return now, tuple(_as_chosen_now(choice, chosen.get(choice.tag.name, choice)) for choice in choices)


def _as_chosen_now(before: Choice, now: Choice) -> Choice:
    """The later choice. A tag that is imported is still compared with the image that it had before the run."""
    return now if now.skip else Choice(replace(now.tag, current=before.tag.current), None)


def _with_aliases(results: Mapping[TagName, TagResult]) -> dict[TagName, TagResult]:
    """The results, where an alias has the image of the tag that it moved with, whichever wave that tag was in."""
    images = {
        TagName(result.namespace, result.stream, alias): result.after
        for result in results.values()
        if result.result in (Result.UPDATED, Result.ROLLED_BACK)
        for alias in result.moved_with
    }
    return {
        name: replace(result, after=images[name]) if name in images and result.reason is Skip.ALIAS else result
        for name, result in results.items()
    }


def _noted(result: TagResult, note: str | None) -> TagResult:
    if note is None:
        return result
    return replace(result, message=f"{note}; {result.message}" if result.message else note)
