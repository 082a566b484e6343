"""`promote wait`: ask for the images of promoted commits, through the cluster, until all of them are there."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from job.domain.errors import ClusterError, ImportImagesError, StoppedError, UsageError
from job.domain.model import By, Reason, TagName
from job.domain.selection import skip_reason
from job.domain.text import clean
from job.imagestreams.lookup import Answer, Question
from job.promote.arrivals import Judge, State
from job.promote.bench import Bench
from job.promote.commits import SHOWN
from job.promote.config import Repository
from job.promote.deployed import fed_by
from job.promote.git import GitError
from job.run.context import Context, namespaces_of
from job.runtime.pool import pause
from job.runtime.terminal import Line

log = logging.getLogger(__name__)

LOG_EVERY_SECONDS = 60.0
# What the API itself refuses, it refuses the next time, too.
_FOR_GOOD = frozenset({Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.INVALID})


class LateError(ImportImagesError):
    """Some images did not arrive in time."""

    exit_status = 6


@dataclass(slots=True)
class Awaited:
    """An image that is waited for, and what is known of it; `has` is the revision that the registry has instead."""

    repository: Repository
    name: TagName
    question: Question
    commit: str = ""
    state: State = State.WAITING
    has: str | None = None
    problem: str | None = None
    seconds: float | None = None

    def told(self) -> str:
        """What the registry has instead, for a person."""
        return self.problem or f"the registry has {self.has[:SHOWN] if self.has else 'an image without revision label'}"

    def as_document(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "repository": self.repository.name,
            "namespace": self.name.namespace,
            "stream": self.name.stream,
            "tag": self.name.tag,
            "commit": self.commit,
            "state": str(self.state),
            "revision": self.has,
            "message": self.problem,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
        }


def awaited_in(place: Context, repositories: Sequence[Repository]) -> list[Awaited]:
    """The images of repositories that a run would import; what it would leave alone is warned of.

    Raises:
        UsageError: there is none, or a stream is not there.
        ClusterError: the cluster cannot be read.
    """
    fed, missing = fed_by(place, repositories)
    if missing:
        where = ", ".join(namespaces_of(place))
        raise UsageError([f"streams: there is no {', '.join(missing)} in {where}; correct it, or name the namespace"])
    found = []
    for each in fed:
        tag, name = each.found.tag, each.found.name
        skip = skip_reason(each.found.stream, tag)
        if skip is not None or tag.source is None:
            log.warning("%s/%s is not waited for: a run leaves it alone (%s)", name.namespace, name, skip)
            continue
        # As a run asks: an annotation of the tag may say which architecture of several is meant.
        question = Question(name.namespace, name.stream, tag.source.name, tag.import_policy or {}, tag.name)
        found.append(Awaited(each.repository, name, question))
    if not found:
        raise UsageError(["streams: a run would import none of them, so there is no image to wait for"])
    return found


@dataclass(slots=True)
class Waiting:
    """A wait: for which images, of which commits (by repository), how long, and how often to ask."""

    bench: Bench
    place: Context
    awaited: Sequence[Awaited]
    commits: Mapping[str, str]
    timeout: float
    interval: float
    _judges: dict[str, Judge] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)

    def perform(self) -> None:
        """Wait until every image is there.

        Raises:
            LateError: the timeout passed; the message tells what has not arrived.
            ClusterError: the cluster refuses to ask.
            StoppedError: it was told to stop.
        """
        for each in self.awaited:
            each.commit = self.commits[each.repository.name]
        line, logged = Line(sys.stderr), float("-inf")
        try:
            while True:
                self._look(line)
                left = [each for each in self.awaited if each.state is State.WAITING]
                if not left:
                    return
                passed = time.monotonic() - self._begun
                if passed >= self.timeout:
                    raise LateError(self._late(left, passed))
                if not line.is_there and time.monotonic() - logged >= LOG_EVERY_SECONDS:
                    logged = time.monotonic()
                    log.info("waiting for %d of %d images: %s", len(left), len(self.awaited), _told(left[:5]))
                self._pause(min(self.interval, self.timeout - passed), line, left)
        finally:
            line.clear()

    @property
    def is_over(self) -> bool:
        """Whether every image is there."""
        return all(each.state is not State.WAITING for each in self.awaited)

    def _look(self, line: Line) -> None:
        """Ask once for those that have not arrived."""
        left = [each for each in self.awaited if each.state is State.WAITING]
        answers = self.place.look_up([each.question for each in left])
        if self.place.stop:
            raise StoppedError("stopped while waiting; nothing was imported")
        for each in left:
            self._take(each, answers.get(each.question), line)

    def _take(self, each: Awaited, answer: Answer | None, line: Line) -> None:
        before = each.problem
        if answer is None or answer.image is None:
            message = answer.message if answer else None
            if answer is not None and answer.by is By.API and answer.reason and answer.reason in _FOR_GOOD:
                told = f"{each.name} in {each.name.namespace} cannot be asked for: {message}"
                raise ClusterError(answer.reason, told)
            each.problem = clean(f"{answer.reason if answer else 'no answer'}: {message or 'not told why'}")
        else:
            each.has, each.problem = answer.image.revision, None
            try:
                each.state = self._judge(each).state(each.has)
            except GitError as error:
                each.problem = str(error)
            if each.state is State.WAITING and each.has is None:
                each.problem = "its image has no label that names a revision, so it cannot be told"
        if each.state is not State.WAITING:
            each.seconds, each.problem = time.monotonic() - self._begun, None
            line.clear()
            later = f", which comes after {each.commit[:SHOWN]} on stable" if each.state is State.LATER else ""
            log.info("%s is there: %s%s", each.name, (each.has or "")[:SHOWN], later)
        elif each.problem and each.problem != before:
            line.clear()
            log.warning("%s: %s", each.name, each.problem)

    def _judge(self, each: Awaited) -> Judge:
        repository = each.repository
        if repository.name not in self._judges:
            clone = self.bench.clone(repository)
            self._judges[repository.name] = Judge(each.commit, repository.stable, clone)
        return self._judges[repository.name]

    def _pause(self, seconds: float, line: Line, left: Sequence[Awaited]) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            passed = int(now - self._begun)
            done = len(self.awaited) - len(left)
            line.show(f"{passed // 60}:{passed % 60:02}  {done}/{len(self.awaited)} images; waiting for {_told(left)}")
            pause(min(1.0, until - now), self.place.stopping)
            if self.place.stop:
                raise StoppedError("stopped while waiting; nothing was imported")

    def _late(self, left: Sequence[Awaited], passed: float) -> str:
        told = "; ".join(f"{each.name} of {each.commit[:SHOWN]}: {each.told()}" for each in left[:10])
        more = f" and {len(left) - 10} more" if len(left) > 10 else ""
        advice = "look at the builds, then go on: import-images promote wait"
        return f"after {int(passed)} s {len(left)} of {len(self.awaited)} images are not there: {told}{more}; {advice}"


def _told(left: Sequence[Awaited]) -> str:
    return ", ".join(f"{each.name} ({(each.has or '?')[:SHOWN]}, not yet {each.commit[:SHOWN]})" for each in left)


def rows(awaited: Sequence[Awaited]) -> list[tuple[str, ...]]:
    """What became of them, as a table."""
    table: list[tuple[str, ...]] = [("TAG", "COMMIT", "IMAGE", "REVISION", "AFTER")]
    for each in awaited:
        after = "-" if each.seconds is None else f"{each.seconds:.0f}s"
        cells = (each.commit[:SHOWN], str(each.state), clean(each.has or "-")[:SHOWN], after)
        table.append((str(each.name), *cells))
    return table
