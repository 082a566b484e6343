"""From chosen tags to results: the imports of each stream, one request after another, streams side by side.

Rules that come from OpenShift (measured; see docs/imports.md):

- one request carries at most three images, since the server spends a budget of three at once and then two a second on
  each request; two images of one repository that differ in `insecure` never share one, since the server would use the
  first one's for both;
- requests of one stream follow one another, since two at a time conflict;
- each carries the resourceVersion of the read its tags were chosen on. When the stream has changed since, it is read
  and its tags are chosen again, so that a rollback made meanwhile is never undone;
- a whole request that timed out or was found invalid tells nothing of its images, so they are sent again one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from job.cluster import IMAGE_STREAM_IMPORTS, IMAGE_STREAMS, Cluster
from job.domain.errors import ClusterError
from job.domain.failures import of_image
from job.domain.holds import hold_of
from job.domain.model import By, ImageFacts, Item, Reason, Result, Skip, Stream, Tag, TagResult
from job.domain.retries import Attempts, RetryPolicy
from job.domain.selection import Choice, aliases_of, skip_reason
from job.domain.sources import explain_skip
from job.domain.text import clean
from job.imagestreams.api_types import Imported, answer_from, image_of, import_of, repository_of, stream_from
from job.imagestreams.descriptions import Describer
from job.runtime.clock import SYSTEM, Clock
from job.runtime.pool import Throttle, gather, run_tasks

IMAGES_A_REQUEST = 3
GRACE_SECONDS = 30.0
READ_AFTERWARDS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to import.

    Attributes:
        write: False asks only what would be imported.
        policy: when an import is tried again.
        timeout: seconds of one request, sent to the server too.
        deadline: the monotonic time at which no further request is begun.
        chosen_here: the tags are those of the stream, so that reading it again tells what became of them.
    """

    write: bool
    policy: RetryPolicy
    timeout: float
    deadline: float
    chosen_here: bool = True


@dataclass(slots=True, eq=False)
class _Pending:
    """A tag on its way to a result."""

    tag: Tag
    before: Item | None
    attempts: int = 0
    seconds: float = 0.0
    ready: float = 0.0
    alone: bool = False
    spent: Attempts = field(default_factory=Attempts)
    failed: Reason | None = None
    # An answer was lost, so that the import may have taken effect all the same.
    doubtful: bool = False
    settled: bool = False


@dataclass(frozen=True, slots=True)
class _Settled:
    """A result, but for the description of its images."""

    tag: Tag
    result: Result
    before: Item | None
    after: Item | None
    reason: Reason | Skip | None = None
    by: By | None = None
    message: str | None = None
    attempts: int = 0
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all streams of a run share."""

    cluster: Cluster
    options: Options
    describer: Describer
    throttle: Throttle
    retried: Callable[[str, str], None]
    settled: Callable[[], None]
    clock: Clock = SYSTEM
    grace: Callable[[], float] = lambda: GRACE_SECONDS


class StreamImport:
    """The imports of one stream."""

    def __init__(self, stream: Stream, choices: Sequence[Choice], around: Surroundings) -> None:
        self._around = around
        self._stream = stream
        self._first = {tag.name: tag.current for tag in stream.tags}
        self._pending: list[_Pending] = []
        self._doubtful: list[tuple[_Pending, ClusterError, By]] = []
        self._settled: list[_Settled] = []
        self._stale = False
        # Results come from a worker, and once the run was told to stop also from the main thread.
        self._lock = threading.Lock()
        for choice in choices:
            if choice.skip is None:
                self._pending.append(_Pending(choice.tag, choice.tag.current))
            else:
                self._skip(choice.tag, choice.skip)
        self._undescribed: list[str] | None = None

    def step(self) -> float | None:
        """Do one request; see `pool.Task`."""
        if self._pending:
            if self._stale:
                self._read_again()
            else:
                self._import(self._batch())
        elif self._doubtful:
            self._read_afterwards()
        elif self._undescribed is None:
            self._undescribed = self._around.describer.unknown(self._digests_to_describe())
        if not self._pending and not self._doubtful and self._undescribed:
            self._around.describer.describe(self._stream.namespace, self._stream.name, self._undescribed.pop())
        return self._wait()

    def _wait(self) -> float | None:
        if self._pending:
            return max(0.0, min(pending.ready for pending in self._pending) - self._around.clock.monotonic())
        return 0.0 if self._doubtful or self._undescribed is None or self._undescribed else None

    def _batch(self) -> list[_Pending]:
        """The next images that may go together."""
        now = self._around.clock.monotonic()
        batch: list[_Pending] = []
        insecure: dict[str, bool] = {}
        for pending in self._pending:
            if pending.ready > now or (batch and pending.alone):
                continue
            source = pending.tag.source
            policy = pending.tag.import_policy or {}
            repository = repository_of(source) if source else ""
            if insecure.setdefault(repository, policy.get("insecure") is True) != (policy.get("insecure") is True):
                continue
            batch.append(pending)
            if pending.alone or len(batch) == IMAGES_A_REQUEST:
                break
        return batch

    def _import(self, batch: Sequence[_Pending]) -> None:
        around = self._around
        if not batch:
            return
        body = import_of(self._stream, [pending.tag for pending in batch], write=around.options.write)
        begun = around.clock.monotonic()
        again = next((pending.failed for pending in batch if pending.failed), None)
        if again:
            around.retried(self._stream.namespace, again)
        for pending in batch:
            pending.attempts += 1
        try:
            data = around.cluster.create(
                IMAGE_STREAM_IMPORTS, self._stream.namespace, body, timeout=around.options.timeout
            )
            answer = answer_from(data, len(batch))
            if answer is None or not self._is_ours(answer.stream):
                raise ClusterError(Reason.API_ERROR, "the answer does not tell of every image", answered=False)
        except ClusterError as error:
            self._spend(batch, begun)
            self._refused(batch, error)
            return
        self._spend(batch, begun)
        around.throttle.succeeded()
        if answer.stream is not None:
            self._stream = answer.stream
        for pending, imported in zip(batch, answer.images, strict=True):
            if imported.digest is None:
                self._not_imported(pending, imported)
            else:
                self._imported(pending, imported.digest, imported.facts)

    def _is_ours(self, stream: Stream | None) -> bool:
        """Whether an answer tells of this stream: a proxy that mixes answers up must not pass for a server."""
        if stream is None:
            return not self._around.options.write
        return (stream.namespace, stream.name) == (self._stream.namespace, self._stream.name)

    def _spend(self, batch: Sequence[_Pending], begun: float) -> None:
        spent = self._around.clock.monotonic() - begun
        for pending in batch:
            pending.seconds += spent

    def _refused(self, batch: Sequence[_Pending], error: ClusterError) -> None:
        """The whole request did not succeed."""
        around = self._around
        if around.options.write and error.may_have_taken_effect:
            for pending in batch:
                pending.doubtful = True
        self._pace(error)
        if error.reason is Reason.CONFLICT or error.may_have_taken_effect:
            self._stale = around.options.chosen_here
        if (error.code == 422 or error.reason is Reason.TIMEOUT) and len(batch) > 1:
            for pending in batch:
                pending.alone, pending.failed = True, error.reason
                if error.reason is Reason.TIMEOUT:
                    pending.spent = replace(pending.spent, timeouts=pending.spent.timeouts + 1)
            self._stale = not error.answered and around.options.chosen_here
            return
        for pending in batch:
            self._try_again_or_fail(pending, error, By.API)
        # The API is in trouble, so the stream's other images wait along.
        ready = max((pending.ready for pending in batch), default=0.0)
        for pending in self._pending:
            pending.ready = max(pending.ready, ready)

    def _pace(self, error: ClusterError) -> None:
        """Go easy on an API that is in trouble."""
        if error.code in (429, 503):
            self._around.throttle.slow_down()
        if error.reason in (Reason.RATE_LIMITED, Reason.UNREACHABLE, Reason.API_ERROR):
            self._around.throttle.refused()

    def _not_imported(self, pending: _Pending, imported: Imported) -> None:
        reason, by = of_image(imported.reason, imported.message)
        if reason is Reason.RATE_LIMITED:
            self._around.throttle.slow_down()
        if not imported.reason:
            # What spoils it may be another image of the same request.
            pending.alone = True
        self._try_again_or_fail(pending, ClusterError(reason, clean(imported.message)), by)

    def _try_again_or_fail(self, pending: _Pending, error: ClusterError, by: By) -> None:
        around = self._around
        pending.failed = error.reason
        now = around.clock.monotonic()
        retry = around.options.policy.decide(error, pending.spent, around.clock.chance())
        if retry and now + retry.wait < around.options.deadline:
            pending.ready, pending.spent = now + retry.wait, retry.attempts
        elif pending.doubtful or (
            around.options.chosen_here and by is By.API and error.reason in (Reason.CONFLICT, Reason.NOT_FOUND)
        ):
            # What the stream holds now is not what it held when it was read.
            self._pending.remove(pending)
            self._doubtful.append((pending, error, by))
        else:
            self._settle(pending, Result.FAILED, self._current(pending.tag.name), error.reason, by, str(error))

    def _read_again(self) -> None:
        """The stream has changed, or may have: read it, and choose again."""
        try:
            self._stream = self.read()
        except ClusterError as error:
            self._pace(error)
            for pending in [p for p in self._pending if p.ready <= self._around.clock.monotonic()]:
                self._try_again_or_fail(pending, error, By.API)
            return
        self._stale = False
        for pending in list(self._pending):
            tag = self._stream.tag(pending.tag.name)
            if tag is None:
                message = "the tag was removed while the run was under way"
                self._settle(pending, Result.FAILED, None, Reason.NOT_FOUND, By.API, message)
            elif (skip := skip_reason(self._stream, tag)) is not None:
                self._skip(tag, skip, pending)
            else:
                pending.tag = tag

    def read(self) -> Stream:
        """The stream as it is now."""
        found = stream_from(self._around.cluster.get(IMAGE_STREAMS, self._stream.namespace, self._stream.name))
        if (found.namespace, found.name) != (self._stream.namespace, self._stream.name):
            raise ClusterError(Reason.API_ERROR, "the answer is not the stream that was asked for")
        return found

    def _read_afterwards(self) -> None:
        """An answer was lost, and with it whether the import took effect: what the stream holds now tells."""
        doubtful, self._doubtful = self._doubtful, []
        stream: Stream | None
        try:
            stream = self._stream = self.read()
        except ClusterError:
            stream = None
        for pending, error, by in doubtful:
            self._settle_by_read(pending, stream, error.reason, by, str(error))

    def _settle_by_read(
        self, pending: _Pending, stream: Stream | None, reason: Reason, by: By | None, message: str
    ) -> None:
        tag = stream.tag(pending.tag.name) if stream else None
        after = tag.current if tag else None
        if stream is not None:
            self._stream = stream
        if pending.doubtful and after and after.digest != (pending.before.digest if pending.before else None):
            message = f"{message}; a read afterwards shows that it was imported"
            self._settle(pending, Result.UPDATED, after, message=message)
        else:
            self._settle(pending, Result.FAILED, after, reason, by, message)

    def _imported(self, pending: _Pending, digest: str, facts: ImageFacts | None) -> None:
        name, before = pending.tag.name, pending.before
        if facts is not None:
            self._around.describer.learn(digest, facts)
        if self._around.options.write:
            after = self._current(name)
            if after is None:
                message = "the server reported success, but the tag has no image"
                self._settle(pending, Result.FAILED, None, Reason.API_ERROR, By.API, message)
                return
        else:
            after = before if before and before.digest == digest else Item(digest, None)
        if before and before.digest == after.digest:
            self._settle(pending, Result.UNCHANGED, after)
        else:
            self._settle(pending, Result.UPDATED, after)

    def _moved_with(self, name: str, digest: str) -> tuple[str, ...]:
        moved = []
        for alias in sorted(aliases_of(self._stream, name)):
            before, after = self._first.get(alias), self._current(alias)
            if after and after.digest == digest and (before is None or before.digest != digest):
                moved.append(alias)
        return tuple(moved)

    def _current(self, name: str) -> Item | None:
        tag = self._stream.tag(name)
        return tag.current if tag else None

    def _settle(
        self,
        pending: _Pending,
        result: Result,
        after: Item | None,
        reason: Reason | Skip | None = None,
        by: By | None = None,
        message: str | None = None,
    ) -> None:
        seconds = pending.seconds if pending.attempts else None
        settled = _Settled(pending.tag, result, pending.before, after, reason, by, message, pending.attempts, seconds)
        with self._lock:
            if pending.settled:
                return
            pending.settled = True
            if pending in self._pending:
                self._pending.remove(pending)
            self._settled.append(settled)
        self._around.settled()

    def _skip(self, tag: Tag, skip: Skip, pending: _Pending | None = None) -> None:
        if pending is None:
            pending = _Pending(tag, tag.current)
        pending.tag = tag
        message = explain_skip(self._stream, tag, skip)
        self._settle(pending, Result.SKIPPED, tag.current, skip, message=message)

    @property
    def is_in_doubt(self) -> bool:
        """Whether an answer was lost and nothing has told since what became of the import."""
        return bool(self._doubtful) or any(pending.doubtful for pending in self._pending)

    def abandon(self, *, under_way: bool, stream: Stream | None = None) -> None:
        """End what has no result yet as aborted.

        Args:
            under_way: a request was sent and nobody waits for its answer any longer.
            stream: what a read afterwards showed.
        """
        for pending in [*self._pending, *(pending for pending, _, _ in self._doubtful)]:
            if pending.doubtful or (under_way and pending.attempts):
                pending.doubtful = self._around.options.write
                message = "stopped before the API answered"
                self._settle_by_read(pending, stream, Reason.ABORTED, None, message)
            else:
                message = "stopped before the import was begun" if not pending.attempts else "stopped between two tries"
                self._settle(pending, Result.FAILED, self._current(pending.tag.name), Reason.ABORTED, None, message)

    def _digests_to_describe(self) -> list[str]:
        digests = []
        for settled in self._settled:
            if settled.result is not Result.UNCHANGED:
                digests += [item.digest for item in (settled.before, settled.after) if item]
        return digests

    def results(self) -> Iterable[TagResult]:
        """What became of each tag, with its images described as far as is known."""
        known = self._around.describer.facts
        with self._lock:
            found = list(self._settled)
        for settled in found:
            after = settled.after
            if settled.result is Result.SKIPPED:
                # An alias may have moved along with the tag that it follows.
                after = self._current(settled.tag.name) or after
            yield TagResult(
                namespace=self._stream.namespace,
                stream=self._stream.name,
                tag=settled.tag.name,
                source=settled.tag.source.name if settled.tag.source else None,
                result=settled.result,
                reason=settled.reason,
                by=settled.by,
                message=settled.message,
                attempts=settled.attempts,
                seconds=settled.seconds,
                moved_with=self._moved_with(settled.tag.name, after.digest)
                if after and settled.result is Result.UPDATED
                else (),
                before=image_of(settled.before, known(settled.before.digest)) if settled.before else None,
                after=image_of(after, known(after.digest)) if after else None,
                hold=hold_of(settled.tag) if settled.reason is Skip.HELD else None,
            )


def run_imports(
    chosen: Sequence[tuple[Stream, tuple[Choice, ...]]],
    around: Surroundings,
    stopping: Callable[[], bool],
) -> list[TagResult]:
    """Import what was chosen.

    Args:
        chosen: each stream with the tags chosen in it.
        around: what the streams share.
        stopping: whether the run was told to stop; the deadline stops it too.

    Returns:
        A result for every chosen tag, in the order given.
    """
    tasks = [StreamImport(stream, choices, around) for stream, choices in chosen]

    def stop() -> bool:
        return stopping() or around.clock.monotonic() >= around.options.deadline

    left = run_tasks(tasks, around.throttle, stop, around.grace)
    found = _read_afterwards([task for task in tasks if task in left or task.is_in_doubt])
    for task in tasks:
        task.abandon(under_way=task in left, stream=found.get(task))
    return [result for task in tasks for result in task.results()]


def _read_afterwards(left: Sequence[StreamImport]) -> Mapping[StreamImport, Stream]:
    """The streams of imports that were abandoned while under way, as far as they can be read in a few seconds."""
    until = SYSTEM.monotonic() + READ_AFTERWARDS_SECONDS
    answers = gather({task: task.read for task in left}, 32, lambda: SYSTEM.monotonic() > until)
    return {task: answer for task, answer in answers.items() if isinstance(answer, Stream)}
