"""Imports behind gates: the images of guarded tags are asked for, judged, and only then imported.

The registry's tag may move between the question and the import. So what came in is compared with what was judged; a
different image is judged once more, and one that does not pass is moved out again, where that is possible.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from job.domain.model import By, GateVerdict, Reason, Result, Skip, Stream, Tag, TagName, TagResult, Verdict
from job.domain.planned import departure
from job.domain.records import dataclass, replace
from job.domain.verdicts import first_refusal
from job.imagestreams.api_types import image_of
from job.imagestreams.import_context import ImportContext
from job.imagestreams.importer import run_imports
from job.imagestreams.listing import Chosen
from job.run.gates import Candidate, Guard, judge_all

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
    rest = _without(wave, {_name_of(result) for result in stopped})
    if run.dry_run:
        judged = _judge(guard, run_imports(rest, importing, run.stopping))
        return [*stopped, *judged.held, *judged.passed.values(), *judged.others]
    guarded = _guarded(guard, rest)
    asking = replace(importing, options=replace(importing.options, write=False), settled=lambda: None)
    judged = _judge(guard, run_imports(guarded, asking, run.stopping))
    final = [*stopped, *judged.held, *judged.others]
    for _ in final:
        importing.settled()
    imported = run_imports(_without(rest, {_name_of(result) for result in final}), importing, run.stopping)
    return [*final, *_check(guard, imported, judged.passed)]


def _name_of(result: TagResult) -> TagName:
    return TagName(result.namespace, result.stream, result.tag)


def _without(chosen: Sequence[Chosen], names: Collection[TagName]) -> list[Chosen]:
    """What was chosen but these tags."""
    kept = [
        (stream, tuple(c for c in choices if TagName(stream.namespace, stream.name, c.tag.name) not in names))
        for stream, choices in chosen
    ]
    return [(stream, choices) for stream, choices in kept if choices]


def _guarded(guard: Guard, chosen: Sequence[Chosen]) -> list[Chosen]:
    """Those that are judged before they are imported."""
    unguarded = {
        name
        for stream, choices in chosen
        for choice in choices
        if choice.skip is not None or not guard.guards(TagName(stream.namespace, stream.name, choice.tag.name))
        for name in [TagName(stream.namespace, stream.name, choice.tag.name)]
    }
    return _without(chosen, unguarded)


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


def _judge(guard: Guard, asked: Sequence[TagResult]) -> _Judged:
    held: list[TagResult] = []
    others: list[TagResult] = []
    new: list[TagResult] = []
    for result in asked:
        why = _departure(guard, result)
        if why is not None:
            held.append(_refused(result, Reason.CONFLICT, By.REGISTRY, f"left alone: {why}"))
        elif result.result is Result.UPDATED:
            new.append(result)
        else:
            others.append(result)
    verdicts = judge_all(guard, [candidate for result in new if (candidate := _candidate(guard, result))])
    passed: dict[TagName, TagResult] = {}
    for result in new:
        name = _name_of(result)
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
            held.append(_refused(result, refusal.reason or Skip.UNPROVEN, refusal.by, _message(result.gates)))
    return _Judged(tuple(held), passed, tuple(others))


def _departure(guard: Guard, result: TagResult) -> str | None:
    """How what the registry has differs from the plan that the run follows."""
    if guard.planned is None or result.result not in (Result.UPDATED, Result.UNCHANGED) or result.after is None:
        return None
    planned = guard.planned.get(_name_of(result))
    if planned is None:
        return "it is not in the plan"
    return departure(planned, result.before.digest if result.before else None, result.source, result.after.digest)


def _candidate(guard: Guard, result: TagResult) -> Candidate | None:
    policy = guard.policies.get(_name_of(result))
    if policy is None or result.after is None:
        return None
    return Candidate(_name_of(result), result.source or "", result.after, policy, result.before)


def _message(verdicts: Sequence[Verdict]) -> str:
    return "; ".join(verdict.message or str(verdict.gate) for verdict in verdicts if not verdict.passed)


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
        judged = passed.get(_name_of(result))
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
            _name_of(result),
        )
    # Only few runs ever get here.
    from job.run.put_back import put_back

    by_name = {_name_of(result): result for result in moved}
    for refused in again.held:
        name = _name_of(refused)
        checked.append(put_back(guard, by_name[name], refused, passed[name]))
    return [*checked, *again.passed.values(), *again.others]
