"""The holds that a run meets: those that are due are let go, those that are over lose their annotation.

A hold is due once its end has passed or, of one that lasts until there is something newer, once the registry has
another image than the bad one. Where the right is missing the tag stays held, and the report says so.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from job.domain.errors import ClusterError, ImportImagesError
from job.domain.holds import hold_of, is_over, source_before
from job.domain.model import Hold, Item, Skip, Stream, TagName
from job.domain.selection import Choice, choose
from job.domain.times import iso
from job.imagestreams.listing import Chosen
from job.imagestreams.lookup import Answer, Question
from job.imagestreams.retag import forget, let_go
from job.run.context import Run
from job.runtime.pool import Pool

log = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
OVER = "the hold that was on it is over: the tag was moved since"


@dataclass(frozen=True, slots=True)
class Released:
    """What was chosen, as it is after holds were let go, and what there is to say of the tags concerned."""

    chosen: Sequence[Chosen]
    notes: Mapping[TagName, str] = field(default_factory=dict)


def release(run: Run, chosen: Sequence[Chosen]) -> Released:
    """Let go of what is due; a plan only says what a run would do."""
    newer = _newer(run, chosen)
    notes: dict[TagName, str] = {}
    tasks: list[_Release] = []
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
                    due[tag.name] = why
                elif answer is not None:
                    notes[name] = _what_registry_has(hold, answer)
        if run.dry_run:
            notes |= {
                TagName(stream.namespace, stream.name, tag): f"{why}: a run would let it go" for tag, why in due.items()
            }
        elif due or over:
            tasks.append(_Release(run, stream, choices, due, over))
    if not tasks:
        return Released(chosen, notes)
    left = Pool(run.settings.concurrency).run(tasks, run.stopping, GRACE_SECONDS)
    changed = {(each.stream.namespace, each.stream.name): each for each in tasks if each not in left}
    after = []
    for stream, choices in chosen:
        found = changed.get((stream.namespace, stream.name))
        after.append((found.stream, found.choices) if found else (stream, choices))
        notes |= found.notes if found else {}
    return Released(after, notes)


def _why_due(run: Run, hold: Hold, answer: Answer | None) -> str | None:
    if hold.until is not None and hold.until <= run.started:
        return f"its hold ended at {iso(hold.until)}"
    if hold.until_newer and answer and answer.image and answer.image.digest != (hold.bad or hold.image):
        return f"held until the registry had another image than the bad one, and it has {answer.image.digest}"
    return None


def _what_registry_has(hold: Hold, answer: Answer) -> str:
    if answer.image is None:
        return f"what the registry has could not be found out: {answer.message}"
    if answer.image.digest == hold.image:
        return "the registry has the held image"
    if answer.image.digest == hold.bad:
        return "the registry still has the image that it was rolled back from"
    revision = f" ({answer.image.revision})" if answer.image.revision else ""
    return f"the registry has something newer: {answer.image.digest}{revision}"


def _newer(run: Run, chosen: Sequence[Chosen]) -> Mapping[TagName, Answer]:
    """What the registry has for held tags: all of a plan's, of a run's those that wait for it."""
    questions: dict[TagName, Question] = {}
    for stream, choices in chosen:
        for choice in choices:
            hold = hold_of(choice.tag) if choice.skip is Skip.HELD else None
            if hold and (run.dry_run or hold.until_newer) and (before := source_before(choice.tag)):
                question = Question(stream.namespace, stream.name, *before, tag=choice.tag.name)
                questions[TagName(stream.namespace, stream.name, choice.tag.name)] = question
    if not questions:
        return {}
    answers = run.look_up(list(questions.values()))
    return {name: answers[question] for name, question in questions.items()}


class _Release:
    """The holds of one stream."""

    def __init__(
        self, run: Run, stream: Stream, choices: tuple[Choice, ...], due: Mapping[str, str], over: Sequence[str]
    ) -> None:
        self.stream = stream
        self.choices = choices
        self.notes: dict[TagName, str] = {}
        self._run = run
        self._due = dict(due)
        self._over = list(over)
        # What the tags had before the first was let go: from then on the server imports by itself.
        self._had: dict[str, Item | None] | None = None

    def step(self) -> float | None:
        """Deal with one tag; see `pacing.Task`."""
        retries, stopping = self._run.settings.retries, self._run.stopping
        if self._due:
            tag, why = self._due.popitem()
            self._write(tag, why, functools.partial(let_go, retries=retries, stopping=stopping))
        elif self._over:
            self._write(self._over.pop(), None, functools.partial(forget, retries=retries, stopping=stopping))
        return 0.0 if self._due or self._over else None

    def _write(self, tag: str, why: str | None, act: functools.partial[Stream]) -> None:
        name = TagName(self.stream.namespace, self.stream.name, tag)
        try:
            stream = act(self._run.cluster, name)
        except ImportImagesError as error:
            because = "no right" if isinstance(error, ClusterError) and error.code == 403 else "not possible"
            if why is None:
                self.notes[name] = f"{OVER}; its annotation stays: {because}: {error}"
                log.info("%s/%s: %s", name.namespace, name, self.notes[name])
                return
            self.notes[name] = f"{why}, not released: {because}: {error}"
            log.warning("%s/%s: %s", name.namespace, name, self.notes[name])
            return
        if self._had is not None:
            had = self._had
            tags = (replace(each, current=had.get(each.name, each.current)) for each in stream.tags)
            stream = replace(stream, tags=tuple(tags))
        if why is not None:
            self._had = {each.name: each.current for each in stream.tags}
            self.notes[name] = f"{why}: let go"
            log.info("%s/%s: %s", name.namespace, name, self.notes[name])
        wanted = self._run.settings.wanted
        asked = {choice.tag.name for choice in self.choices}
        # Tags that appeared meanwhile are the next run's.
        self.stream, self.choices = stream, tuple(c for c in choose(stream, wanted) if c.tag.name in asked)
