"""The holds that a run meets: those that are due are released, and of those that have ended the annotation is removed.

A hold is due once its end has passed or, with `until_newer`, once the registry has another image than the bad one.
Where the right is missing the tag stays held, and the report says so.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from job.domain.errors import ClusterError, ImportImagesError
from job.domain.holds import hold_of, is_over, source_before
from job.domain.model import Hold, Skip, Stream, TagName
from job.domain.records import dataclass, field
from job.domain.rules import NONE
from job.domain.selection import Choice, choose
from job.domain.times import iso
from job.domain.verdicts import first_refusal
from job.imagestreams.api_types import stream_from
from job.imagestreams.listing import Chosen
from job.imagestreams.lookup import Answer, Question
from job.imagestreams.retag import release_hold, remove_stale_hold, with_images_of
from job.imagestreams.rewrite import NoHoldError, UncertainError, read_stream
from job.run.context import Run
from job.runtime.pool import gather

if TYPE_CHECKING:
    from job.run.gates import Guard

log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
OVER = "the hold that was on it is over: the tag was moved since"


@dataclass(frozen=True, slots=True)
class Released:
    """What was chosen, after holds were released, and notes for the report on the tags concerned."""

    chosen: Sequence[Chosen]
    notes: Mapping[TagName, str] = field(default_factory=dict)


def release(run: Run, chosen: Sequence[Chosen], guard: Guard | None = None) -> Released:
    """Release what is due; a plan only reports what a run would do.

    Args:
        run: the run.
        chosen: the streams with the tags chosen in them.
        guard: the gates of the tags, held ones too; None where there are none.
    """
    newer = _newer(run, chosen, guard)
    shut = _shut(run, chosen, guard, newer) if guard else {}
    notes: dict[TagName, str] = {}
    ended: dict[tuple[str, str], _Ended] = {}
    for stream, choices in chosen:
        due: dict[str, str] = {}
        over: list[str] = []
        for choice in choices:
            tag, name = choice.tag, TagName(stream.namespace, stream.name, choice.tag.name)
            if is_over(tag):
                log.info("%s/%s: %s", name.namespace, name, OVER)
                notes[name] = OVER
                over.append(tag.name)
            elif choice.skip is Skip.HELD and (hold := hold_of(tag)):
                answer = newer.get(name)
                if why := _why_due(run, hold, answer):
                    if kept := _why_kept(run, name, answer) or shut.get(name):
                        log.warning("%s/%s: %s, not released: %s", name.namespace, name, why, kept)
                        notes[name] = f"{why}, not released: {kept}"
                    else:
                        due[tag.name] = why
                elif answer is not None:
                    notes[name] = _what_registry_has(hold, answer)
        if run.dry_run:
            notes |= {
                TagName(stream.namespace, stream.name, tag): f"{why}: a run would release it"
                for tag, why in due.items()
            }
        elif due or over:
            ended[stream.namespace, stream.name] = _Ended(stream, choices, due, over)
    calls = {key: functools.partial(_end_holds, run, tags) for key, tags in ended.items()}
    answers = gather(calls, run.settings.concurrency, run.stopping, GRACE_SECONDS) if calls else {}
    freed = {key: answer for key, answer in answers.items() if isinstance(answer, _Released)}
    after = []
    for stream, choices in chosen:
        freed_stream = freed.get((stream.namespace, stream.name))
        after.append((freed_stream.stream, freed_stream.choices) if freed_stream else (stream, choices))
    notes |= _notes_of(ended, freed)
    return Released(after, notes)


def _notes_of(
    ended: Mapping[tuple[str, str], _Ended], freed: Mapping[tuple[str, str], _Released]
) -> Mapping[TagName, str]:
    """Notes on the tags whose holds were to end. Without an answer, the run was stopped while it released them."""
    notes: dict[TagName, str] = {}
    for key, stream in ended.items():
        if key in freed:
            notes |= freed[key].notes
        else:
            for tag, why in stream.due.items():
                name = TagName(stream.stream.namespace, stream.stream.name, tag)
                notes[name] = f"{why}; whether it was released is not known"
    return notes


def _why_due(run: Run, hold: Hold, answer: Answer | None) -> str | None:
    if hold.until is not None and hold.until <= run.started:
        return f"its hold ended at {iso(hold.until)}"
    if hold.until_newer and answer and answer.image and answer.image.digest != (hold.bad or hold.image):
        return f"held until the registry had another image than the bad one, and it has {answer.image.digest}"
    return None


def _why_kept(run: Run, name: TagName, answer: Answer | None) -> str | None:
    """Why a hold that is due is kept: the server imports what the registry has as soon as a tag is released."""
    rules = run.rules.get(name.namespace, NONE)
    if not rules.blocked or answer is None:
        return None
    if answer.image is None:
        return f"whether the registry has a blocked image is not known: {answer.message}"
    rule = rules.blocking(answer.image.digest, answer.image.revision)
    return f"the registry has {answer.image.digest}, and {rule}" if rule else None


def _shut(run: Run, chosen: Sequence[Chosen], guard: Guard, newer: Mapping[TagName, Answer]) -> Mapping[TagName, str]:
    """Why holds that are due are kept: by itself the server would import what no gate has judged, or no plan has."""
    from job.run.gates import Candidate, judge_all

    shut: dict[TagName, str] = {}
    candidates: list[Candidate] = []
    for stream, choices in chosen:
        for choice in choices:
            name, hold = TagName(stream.namespace, stream.name, choice.tag.name), hold_of(choice.tag)
            answer, policy = newer.get(name), guard.policies.get(name)
            if choice.skip is not Skip.HELD or hold is None or _why_due(run, hold, answer) is None:
                continue
            if guard.planned is not None:
                shut[name] = "a run that follows a plan leaves holds alone"
            elif name in guard.errors:
                shut[name] = guard.errors[name]
            elif policy and answer and answer.image is None:
                shut[name] = f"what the registry has cannot be judged: {answer.message}"
            elif policy and answer and answer.image and answer.image.digest != hold.image:
                source = source_before(choice.tag)
                candidates.append(Candidate(name, source[0] if source else "", answer.image, policy))
    for name, verdicts in judge_all(guard, candidates).items():
        if refusal := first_refusal(verdicts):
            shut[name] = f"gate {refusal.gate} holds {refusal.digest} back: {refusal.message}"
    return shut


def _what_registry_has(hold: Hold, answer: Answer) -> str:
    if answer.image is None:
        return f"what the registry has could not be found out: {answer.message}"
    if answer.image.digest == hold.image:
        return "the registry has the held image"
    if answer.image.digest == hold.bad:
        return "the registry still has the image that it was rolled back from"
    revision = f" ({answer.image.revision})" if answer.image.revision else ""
    return f"the registry has something newer: {answer.image.digest}{revision}"


def _newer(run: Run, chosen: Sequence[Chosen], guard: Guard | None) -> Mapping[TagName, Answer]:
    """What the registry has for held tags: a plan looks up all, a run those for which it decides on the release."""
    questions: dict[TagName, Question] = {}
    for stream, choices in chosen:
        for choice in choices:
            hold = hold_of(choice.tag) if choice.skip is Skip.HELD else None
            name = TagName(stream.namespace, stream.name, choice.tag.name)
            blocks = bool(run.rules.get(stream.namespace, NONE).blocked) or (guard is not None and guard.guards(name))
            ends = hold and (hold.until_newer or (blocks and hold.until and hold.until <= run.started))
            if hold and (run.dry_run or ends) and (before := source_before(choice.tag)):
                question = Question(stream.namespace, stream.name, *before, tag=choice.tag.name)
                questions[name] = question
    if not questions:
        return {}
    answers = run.look_up(list(questions.values()))
    return {name: answers[question] for name, question in questions.items()}


@dataclass(frozen=True, slots=True)
class _Ended:
    """The holds of one stream that are to end: those that are due with why, and annotations left by ended ones."""

    stream: Stream
    choices: tuple[Choice, ...]
    due: Mapping[str, str]
    over: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Released:
    """The stream after its holds ended, and what there is to report of its tags."""

    stream: Stream
    choices: tuple[Choice, ...]
    notes: Mapping[TagName, str]


def _end_holds(run: Run, ended: _Ended) -> _Released:
    """Write one tag after the other; the first write that is refused concerns only its tag."""
    stream, choices, notes = ended.stream, ended.choices, {}
    # What the tags had before the first was released: from then on the server imports by itself.
    before: Stream | None = None
    for tag in (*ended.due, *ended.over):
        why = ended.due.get(tag)
        name = TagName(stream.namespace, stream.name, tag)
        try:
            if why is None:
                stream = remove_stale_hold(run.cluster, name, run.retrier)
            else:
                stream = release_hold(run.cluster, name, run.retrier)
        except ImportImagesError as error:
            fresh = _without_hold(run, name) if isinstance(error, NoHoldError) else None
            if fresh is None:
                notes[name] = _not_released(name, why, error)
                if isinstance(error, ClusterError) and error.code == 404:
                    # It is gone, so there is nothing to report of it.
                    choices = tuple(choice for choice in choices if choice.tag.name != tag)
                continue
            log.info("%s/%s: %s", name.namespace, name, OVER)
            stream, notes[name], why = fresh, OVER, None
        if before is not None:
            stream = with_images_of(before, stream)
        if why is not None:
            before = stream
            notes[name] = f"{why}: released"
            log.info("%s/%s: %s", name.namespace, name, notes[name])
        # Tags that appeared since the list are the next run's.
        matched = {choice.tag.name for choice in choices}
        choices = tuple(choice for choice in choose(stream, run.settings.wanted) if choice.tag.name in matched)
    return _Released(stream, choices, notes)


def _without_hold(run: Run, name: TagName) -> Stream | None:
    """The stream, where another client has ended the hold on the tag; None where it is held, or that is not known."""
    try:
        stream = stream_from(read_stream(run.cluster, name, run.retrier))
    except ImportImagesError as error:
        log.warning("%s/%s: the stream was not read again: %s", name.namespace, name, error)
        return None
    tag = stream.tag(name.tag)
    return None if tag is not None and hold_of(tag) else stream


def _not_released(name: TagName, why: str | None, error: ImportImagesError) -> str:
    because = "no right" if isinstance(error, ClusterError) and error.code == 403 else "not possible"
    if why is None:
        note = f"{OVER}; its annotation stays: {because}: {error}"
        log.info("%s/%s: %s", name.namespace, name, note)
    else:
        # An UncertainError says itself that the outcome is unknown.
        note = f"{why}; {error}" if isinstance(error, UncertainError) else f"{why}, not released: {because}: {error}"
        log.warning("%s/%s: %s", name.namespace, name, note)
    return note
