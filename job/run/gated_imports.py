"""Imports behind gates: the images of guarded tags are asked for, judged, and only then imported.

The registry's tag may move between the question and the import. So the image that was imported is compared with the
one that was judged; a different one is judged once more, and if it does not pass, the tag is rolled back where that is
possible.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from job.domain.model import By, GateVerdict, Reason, Result, Skip, Stream, Tag, TagName, TagResult
from job.domain.planned import departure
from job.domain.records import dataclass, replace
from job.domain.verdicts import first_refusal, refusals
from job.imagestreams.api_types import image_of
from job.imagestreams.import_context import ImportContext
from job.imagestreams.importer import run_imports
from job.imagestreams.listing import Chosen, narrowed
from job.run.gates import LEFT_ALONE, Candidate, Guard, judge_all

log = logging.getLogger(__name__)


def import_guarded(guard: Guard, wave: Sequence[Chosen], importing: ImportContext) -> list[TagResult]:
    """Import what was chosen, as `run_imports` does, but what gates hold back; a plan only judges.

    Returns:
        A result for every chosen tag.
    """
    run = guard.run
    stopped = [
        result
        for stream, choices in wave
        for choice in choices
        if choice.skip is None and (result := _obstacle(guard, stream, choice.tag, importing))
    ]
    obstructed = {result.name for result in stopped}
    rest = narrowed(wave, lambda name, choice: name not in obstructed)
    if run.dry_run:
        judged = _judge(guard, run_imports(rest, importing, run.stopping))
        return [*stopped, *judged.held, *judged.passed.values(), *judged.others]
    guarded = narrowed(rest, lambda name, choice: choice.skip is None and guard.guards(name))
    asking = replace(importing, options=replace(importing.options, write=False), settled=lambda: None)
    judged = _judge(guard, run_imports(guarded, asking, run.stopping))
    final = [*stopped, *judged.held, *judged.others]
    for _ in final:
        importing.settled()
    done = {result.name for result in final}
    imported = run_imports(narrowed(rest, lambda name, choice: name not in done), importing, run.stopping)
    return [*final, *_check(guard, imported, judged.passed)]


def _obstacle(guard: Guard, stream: Stream, tag: Tag, importing: ImportContext) -> TagResult | None:
    """Why a tag is not even asked for: gates that cannot be read, or a change since it was planned."""
    name = TagName(stream.namespace, stream.name, tag.name)
    source, before = tag.source.name if tag.source else None, tag.current
    message = guard.errors.get(name)
    reason, by = Reason.INVALID, By.API
    if message is None and guard.planned is not None:
        planned = guard.planned.get(name)
        message = departure(planned, before.digest if before else None, source, None) if planned else "not in the plan"
        reason = Reason.CONFLICT
    if message is None:
        return None
    image = image_of(before, importing.describer.facts(before.digest)) if before else None
    return TagResult(
        name.namespace, name.stream, name.tag, source, Result.FAILED, reason, by, message, before=image, after=image
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """Results of look-ups, after the gates: new images that were held back, those that passed, and all others."""

    held: tuple[TagResult, ...]
    passed: Mapping[TagName, TagResult]
    others: tuple[TagResult, ...]


def _judge(guard: Guard, looked_up: Sequence[TagResult]) -> _Judged:
    held: list[TagResult] = []
    others: list[TagResult] = []
    new: list[TagResult] = []
    for result in looked_up:
        why = _departure(guard, result)
        if why is not None:
            held.append(_refused(result, Reason.CONFLICT, By.REGISTRY, LEFT_ALONE + why))
        elif result.result is Result.UPDATED:
            new.append(result)
        else:
            others.append(result)
    verdicts = judge_all(guard, [candidate for result in new if (candidate := _candidate(guard, result))])
    passed: dict[TagName, TagResult] = {}
    for result in new:
        name = result.name
        result = replace(result, gates=verdicts.get(name, ()))
        refusal = first_refusal(result.gates)
        if refusal is None:
            passed[name] = result
        elif guard.run.stopping() and refusal.verdict is GateVerdict.INCONCLUSIVE:
            # The next run judges it: nothing is known of it, and it is no failure of the tag.
            untried = replace(result, gates=(), attempts=0)
            held.append(_refused(untried, Reason.ABORTED, None, "stopped before the new image was judged"))
        else:
            log.info("%s/%s: held back by gate %s: %s", name.namespace, name, refusal.gate, refusal.message)
            held.append(_refused(result, refusal.reason or Skip.UNPROVEN, refusal.by, refusals(result.gates)))
    return _Judged(tuple(held), passed, tuple(others))


def _departure(guard: Guard, result: TagResult) -> str | None:
    """How what the registry has differs from the plan that the run follows."""
    if guard.planned is None or result.result not in (Result.UPDATED, Result.UNCHANGED) or result.after is None:
        return None
    planned = guard.planned.get(result.name)
    if planned is None:
        return "it is not in the plan"
    return departure(planned, result.before.digest if result.before else None, result.source, result.after.digest)


def _candidate(guard: Guard, result: TagResult) -> Candidate | None:
    policy = guard.policies.get(result.name)
    if policy is None or result.after is None:
        return None
    return Candidate(result.name, result.source or "", result.after, policy, result.before)


def _refused(result: TagResult, reason: Reason | Skip, by: By | None, message: str) -> TagResult:
    """A look-up's result as that of a tag which keeps its image."""
    return replace(
        result,
        result=Result.SKIPPED if isinstance(reason, Skip) else Result.FAILED,
        reason=reason,
        by=by,
        message=message,
        after=result.before,
        candidate=result.after,
    )


def _is_judged(result: TagResult, judged: TagResult) -> bool:
    """Whether the tag got the image that was judged."""
    return result.after is not None and judged.after is not None and result.after.digest == judged.after.digest


def _check(guard: Guard, imported: Sequence[TagResult], passed: Mapping[TagName, TagResult]) -> list[TagResult]:
    """The results of imports, where an image that was not judged is judged now."""
    checked: list[TagResult] = []
    moved: list[TagResult] = []
    for result in imported:
        judged = passed.get(result.name)
        if judged is None:
            checked.append(result)
        elif result.result is Result.UPDATED and not _is_judged(result, judged):
            moved.append(result)
        else:
            checked.append(replace(result, gates=judged.gates))
    if not moved:
        return checked
    again = _judge(guard, moved)
    for result in again.passed.values():
        log.warning(
            "%s/%s: the registry's image changed before it was imported, and passed the gates too",
            result.namespace,
            result.name,
        )
    # Only few runs ever get here.
    from job.run.restore import restore

    by_name = {result.name: result for result in moved}
    for refused in again.held:
        name = refused.name
        checked.append(restore(guard, by_name[name], refused, passed[name]))
    return [*checked, *again.passed.values(), *again.others]
