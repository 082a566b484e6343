"""The imports of a run, wave by wave, and what follows each: rollouts are watched, and bad images put back.

The next wave starts when the one before is all right; a bad one leaves the rest as it is.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from job.domain.errors import ImportImagesError
from job.domain.holds import Terms, hold_of
from job.domain.model import Image, Item, OnBadRollout, Reason, Result, Rollout, RolloutResult, Skip, TagName, TagResult
from job.domain.retries import RetryPolicy
from job.domain.selection import LAST_WAVE, WAVE_ANNOTATION, Choice, wave_of
from job.domain.text import clean, humanize
from job.imagestreams.descriptions import Describer
from job.imagestreams.importer import GRACE_SECONDS, Options, Surroundings, run_imports
from job.imagestreams.listing import Chosen
from job.imagestreams.retag import current_user, roll_back
from job.run.context import Run
from job.runtime.pool import Throttle
from job.runtime.retry import retrier
from job.workloads.health import Health
from job.workloads.image_triggers import Workload
from job.workloads.rollouts import Moved, followed_by, watch

log = logging.getLogger(__name__)

# Once the lock is lost others may take it soon.
GRACE_AT_ONCE_SECONDS = 5.0


def waves_of(chosen: Sequence[Chosen]) -> tuple[tuple[Chosen, ...], ...]:
    """What was chosen by wave, in order. Tags that are left alone come with the first."""
    waves: defaultdict[int, list[Chosen]] = defaultdict(list)
    alone: list[Chosen] = []
    for stream, choices in chosen:
        mine: defaultdict[int, list[Choice]] = defaultdict(list)
        for choice in choices:
            if choice.skip is None:
                wave = wave_of(stream, choice.tag)
                mine[LAST_WAVE if wave is None else wave].append(choice)
        for wave, together in mine.items():
            waves[wave].append((stream, tuple(together)))
        if skipped := tuple(choice for choice in choices if choice.skip is not None):
            alone.append((stream, skipped))
    ordered = [tuple(waves[wave]) for wave in sorted(waves)] or [()]
    return ((*alone, *ordered[0]), *ordered[1:])


def unreadable_waves(chosen: Sequence[Chosen]) -> Iterator[str]:
    """What there is to say of tags whose wave is no number."""
    for stream, choices in chosen:
        for choice in choices:
            if wave_of(stream, choice.tag) is None:
                name = TagName(stream.namespace, stream.name, choice.tag.name)
                yield f"{name.namespace}/{name}: {WAVE_ANNOTATION} is not a whole number, so it comes last"


class Rounds:
    """Everything that a run does to the tags that were chosen."""

    def __init__(self, run: Run, workloads: Sequence[Workload] | None) -> None:
        """Begin.

        Args:
            run: the run.
            workloads: those that may follow the tags; None where rollouts are not watched.
        """
        self.rollouts: list[Rollout] = []
        self._run = run
        self._workloads = workloads
        self._done = self._total = 0
        self._lock = threading.Lock()
        settings = run.settings
        describer = Describer(run.cluster, run.stopping)
        for journal in run.journals.values():
            for digest, facts in journal.images.items():
                describer.learn(digest, facts)
        self._around = Surroundings(
            cluster=run.cluster,
            options=Options(not run.dry_run, RetryPolicy(settings.retries), settings.import_timeout, run.deadline),
            describer=describer,
            throttle=Throttle(settings.concurrency),
            retried=run.counts.retried,
            settled=self._settled,
            grace=lambda: GRACE_AT_ONCE_SECONDS if run.stop.at_once else GRACE_SECONDS,
        )

    def _settled(self) -> None:
        with self._lock:
            self._done += 1
            self._run.progress(self._done, self._total, "tags")

    def take(self, chosen: Sequence[Chosen], notes: Mapping[TagName, str]) -> list[TagResult]:
        """Import what was chosen, or look it up for a plan; the results are in the order given.

        Args:
            chosen: the streams with the tags chosen in them.
            notes: what else there is to say of some of the tags.
        """
        self._total = sum(len(choices) for _, choices in chosen)
        found: dict[TagName, TagResult] = {}
        bad = False
        # A plan writes nothing, so nothing is to be waited for.
        waves = waves_of(chosen) if self._workloads is not None else (tuple(chosen),)
        for number, wave in enumerate(waves):
            if bad:
                wave = tuple((s, tuple(Choice(c.tag, c.skip or Skip.WAVE) for c in choices)) for s, choices in wave)
            results, rollouts = self._round(wave)
            self.rollouts += rollouts
            found |= {TagName(result.namespace, result.stream, result.tag): result for result in results}
            if not bad and number + 1 < len(waves):
                bad = self._is_bad(results, rollouts)
                if bad:
                    log.error("wave %d of %d was bad: those after it are left as they are", number + 1, len(waves))
        names = [TagName(stream.namespace, stream.name, c.tag.name) for stream, choices in chosen for c in choices]
        return [_noted(found[name], notes.get(name)) for name in names]

    def _is_bad(self, results: Sequence[TagResult], rollouts: Sequence[Rollout]) -> bool:
        """Whether a wave was bad; that it was broken off says nothing of it."""
        broken_off = self._run.stopping()
        return any(each.result is Result.FAILED and each.reason is not Reason.ABORTED for each in results) or any(
            each.is_bad and not (broken_off and each.result is RolloutResult.ABORTED) for each in rollouts
        )

    def _round(self, wave: Sequence[Chosen]) -> tuple[list[TagResult], list[Rollout]]:
        run = self._run
        results = run_imports(wave, self._around, run.stopping)
        if self._workloads is None:
            return results, []
        moved = {
            TagName(result.namespace, result.stream, tag): Moved(result.after.digest)
            for result in results
            if result.result is Result.UPDATED and result.after
            for tag in (result.tag, *result.moved_with)
        }
        rollouts = self.watch(moved, run.stopping)
        if run.settings.on_bad_rollout is OnBadRollout.ROLLBACK and not run.stop:
            results, again = self._roll_back(results, rollouts)
            rollouts += again
        return results, rollouts

    def watch(self, moved: Mapping[TagName, Moved], stopping: Callable[[], bool]) -> list[Rollout]:
        """Watch the workloads that follow tags which moved."""
        settings = self._run.settings
        followed = followed_by(self._workloads or (), moved)
        done = 0

        def changed(workload: Workload, found: Health) -> None:
            nonlocal done
            done += found.result is not None
            self._run.progress(done, len(followed), "rollouts")
            told = ": ".join(filter(None, (humanize(found.result) if found.result else "", found.message)))
            # On a terminal the line of progress tells enough.
            log.log(logging.DEBUG if sys.stderr.isatty() else logging.INFO, "%s: %s", workload, told)

        return list(
            watch(
                self._run.cluster,
                followed,
                timeout=settings.rollout_timeout,
                stopping=stopping,
                concurrency=settings.concurrency,
                changed=changed,
            )
        )

    def _roll_back(
        self, results: Sequence[TagResult], rollouts: Sequence[Rollout]
    ) -> tuple[list[TagResult], list[Rollout]]:
        """Put back exactly the tags that broken rollouts follow, and watch that they come up again."""
        blamed: dict[TagName, list[str]] = {}
        for rollout in rollouts:
            if rollout.is_broken:
                told = f"rollout of {rollout.kind} {rollout.name} {rollout.result}: {rollout.message}"
                for name in rollout.tags:
                    blamed.setdefault(name, []).append(told)
        after: list[TagResult] = []
        moved: dict[TagName, Moved] = {}
        images: dict[TagName, Image] = {}
        by = current_user(self._run.cluster) if blamed else None
        for result in results:
            names = [TagName(result.namespace, result.stream, tag) for tag in (result.tag, *result.moved_with)]
            why = [told for name in names for told in blamed.get(name, ())]
            if result.result is Result.UPDATED and why:
                bad = result.after
                result = self._put_back(result, names[0], clean("; ".join(dict.fromkeys(why)), 1000), by)
                if result.result is Result.ROLLED_BACK and result.after and bad:
                    moved |= dict.fromkeys(names, Moved(result.after.digest, bad.digest))
                    images |= dict.fromkeys(names, result.after)
            after.append(result)
        # Neither the deadline nor an earlier failure cuts it short, only a signal does.
        again = self.watch(moved, lambda: bool(self._run.stop))
        return [_moved_along(result, images) for result in after], again

    def _put_back(self, result: TagResult, name: TagName, why: str, by: str | None) -> TagResult:
        run = self._run
        if result.before is None or result.after is None:
            log.error("%s/%s: %s; there is no earlier image to put back", name.namespace, name, why)
            return replace(result, message=f"{why}; left as it is: there is no earlier image")
        target = Item(result.before.digest, result.before.imported_at)
        terms = Terms(at=run.now(), by=by, reason=why)
        settings = run.settings
        log.error("%s/%s: %s; putting back %s", name.namespace, name, why, target.digest)
        try:
            tag = roll_back(
                run.cluster,
                name,
                target,
                terms,
                bad=result.after.digest,
                # The deadline does not cut it short, only a signal does.
                retrier=retrier(settings.retries, lambda: bool(run.stop)),
                timeout=settings.import_timeout,
            )
        except ImportImagesError as error:
            log.error("%s/%s was not put back: %s", name.namespace, name, error)
            return replace(result, message=f"{why}; not put back: {error}")
        return replace(
            result,
            result=Result.ROLLED_BACK,
            after=replace(result.before, imported_at=tag.current.imported_at if tag.current else None),
            message=f"put back from {result.after.digest}: {why}",
            hold=hold_of(tag),
        )


def _moved_along(result: TagResult, images: Mapping[TagName, Image]) -> TagResult:
    """The result of an alias whose tag was put back has what the tag has."""
    image = images.get(TagName(result.namespace, result.stream, result.tag))
    return replace(result, after=image) if image is not None and result.reason is Skip.ALIAS else result


def _noted(result: TagResult, note: str | None) -> TagResult:
    if note is None:
        return result
    return replace(result, message=f"{note}; {result.message}" if result.message else note)
