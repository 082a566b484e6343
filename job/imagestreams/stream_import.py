"""The imports of one stream, one request after another, from the tags chosen in it to what became of each."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from job.cluster import IMAGE_STREAM_IMPORTS, IMAGE_STREAMS
from job.domain.errors import ClusterError
from job.domain.failures import of_image
from job.domain.model import By, ImageFacts, Item, Reason, Result, Skip, Stream, Tag, TagResult
from job.domain.records import replace
from job.domain.rules import NONE, BlockRule
from job.domain.selection import Choice, skip_reason
from job.domain.sources import explain_skip
from job.domain.text import clean
from job.imagestreams.api_types import stream_from
from job.imagestreams.descriptions import to_describe
from job.imagestreams.import_context import ImportContext
from job.imagestreams.import_requests import Imported, answer_from, import_of
from job.imagestreams.pending import Pending, Settled, batch_of
from job.imagestreams.results import result_of


class StreamImport:
    """The imports of one stream."""

    def __init__(self, stream: Stream, choices: Sequence[Choice], context: ImportContext) -> None:
        self._context = context
        self._stream = stream
        self._rules = context.rules.get(stream.namespace, NONE)
        self._first = {tag.name: tag.current for tag in stream.tags}
        self._pending: list[Pending] = []
        self._doubtful: list[tuple[Pending, ClusterError, By]] = []
        self._settled: list[Settled] = []
        self._stale = False
        # Results come from a worker, and once the run is to stop also from the main thread.
        self._lock = threading.Lock()
        for choice in choices:
            if choice.skip is None:
                self._pending.append(Pending(choice.tag, choice.tag.current))
            else:
                self._skip(choice.tag, choice.skip)
        self._undescribed: list[tuple[str, bool]] | None = None

    def step(self) -> float | None:
        """Do one request; see `pool.Task`."""
        if self._pending:
            if self._stale:
                self._read_again()
            else:
                self._import(self._next_batch())
        elif self._doubtful:
            self._read_afterwards()
        elif self._undescribed is None:
            self._undescribed = to_describe(self._settled, self._context.describer)
        if not self._pending and not self._doubtful and self._undescribed:
            digest, again = self._undescribed.pop()
            self._context.describer.describe(self._stream.namespace, self._stream.name, digest, again=again)
        return self._wait()

    def _wait(self) -> float | None:
        if self._pending:
            return max(0.0, min(pending.ready for pending in self._pending) - self._context.clock.monotonic())
        return 0.0 if self._doubtful or self._undescribed is None or self._undescribed else None

    def _next_batch(self) -> list[Pending]:
        """The next images of one request; where some are blocked, each is asked for before it is imported."""
        now = self._context.clock.monotonic()
        judged = [pending for pending in self._pending if self._may_write(pending)]
        return batch_of(judged, now) or batch_of([p for p in self._pending if p not in judged], now)

    def _may_write(self, pending: Pending) -> bool:
        return self._context.options.write and (pending.judged or not self._rules.blocked)

    def _import(self, batch: Sequence[Pending]) -> None:
        context = self._context
        if not batch:
            return
        write = self._may_write(batch[0])
        body = import_of(self._stream, [pending.tag for pending in batch], write=write)
        begun = context.clock.monotonic()
        again = next((pending.failed for pending in batch if pending.failed), None)
        if again:
            context.retried(self._stream.namespace, again)
        for pending in batch:
            pending.attempts += write or not context.options.write
        try:
            data = context.cluster.create(
                IMAGE_STREAM_IMPORTS, self._stream.namespace, body, timeout=context.options.timeout
            )
            answer = answer_from(data, len(batch))
            if answer is None or not self._is_ours(answer.stream, write=write):
                raise ClusterError(Reason.API_ERROR, "the answer does not cover every image", answered=False)
        except ClusterError as error:
            self._spend(batch, begun)
            self._refused(batch, error, write=write)
            return
        self._spend(batch, begun)
        context.throttle.succeeded()
        if answer.stream is not None:
            self._stream = answer.stream
        for pending, imported in zip(batch, answer.images, strict=True):
            self.take(pending, imported, write=write)

    def take(self, pending: Pending, imported: Imported, *, write: bool) -> None:
        """Take the server's answer for one image, from a request of this stream or of several."""
        if imported.digest is None:
            self._not_imported(pending, imported)
        else:
            self._imported(pending, imported.digest, imported.facts, write=write)

    @property
    def pending(self) -> Sequence[Pending]:
        """The tags that have no result yet."""
        return tuple(self._pending)

    @property
    def stream(self) -> Stream:
        """The stream as it was read last."""
        return self._stream

    def _is_ours(self, stream: Stream | None, *, write: bool) -> bool:
        """Whether an answer is about this stream: a proxy that mixes answers up must not be believed."""
        if stream is None:
            return not write
        return (stream.namespace, stream.name) == (self._stream.namespace, self._stream.name)

    def _spend(self, batch: Sequence[Pending], begun: float) -> None:
        spent = self._context.clock.monotonic() - begun
        for pending in batch:
            pending.seconds += spent

    def _refused(self, batch: Sequence[Pending], error: ClusterError, *, write: bool) -> None:
        """The whole request did not succeed."""
        context = self._context
        if write and error.may_have_taken_effect:
            for pending in batch:
                pending.doubtful = True
        self._pace(error)
        if error.reason is Reason.CONFLICT or error.may_have_taken_effect:
            self._stale = context.options.chosen_here
        if (error.code == 422 or error.reason is Reason.TIMEOUT) and len(batch) > 1:
            for pending in batch:
                pending.alone, pending.failed = True, error.reason
                if error.reason is Reason.TIMEOUT:
                    pending.spent = replace(pending.spent, timeouts=pending.spent.timeouts + 1)
            self._stale = not error.answered and context.options.chosen_here
            return
        for pending in batch:
            self._try_again_or_fail(pending, error, By.API)
        # The API is failing, so the stream's other images wait too.
        ready = max((pending.ready for pending in batch), default=0.0)
        for pending in self._pending:
            pending.ready = max(pending.ready, ready)

    def _pace(self, error: ClusterError) -> None:
        """Send fewer requests to an API that is in trouble."""
        if error.code in (429, 503):
            self._context.throttle.slow_down()
        if error.reason in (Reason.RATE_LIMITED, Reason.UNREACHABLE, Reason.API_ERROR):
            self._context.throttle.refused()

    def _not_imported(self, pending: Pending, imported: Imported) -> None:
        reason, by = of_image(imported.reason, imported.message)
        if reason is Reason.RATE_LIMITED:
            self._context.throttle.slow_down()
        if not imported.reason:
            # Another image of the same request may be the cause.
            pending.alone = True
        self._try_again_or_fail(pending, ClusterError(reason, clean(imported.message)), by)

    def _try_again_or_fail(self, pending: Pending, error: ClusterError, by: By) -> None:
        context = self._context
        pending.failed = error.reason
        now = context.clock.monotonic()
        retry = context.options.policy.decide(error, pending.spent, context.clock.chance())
        if retry and now + retry.wait < context.options.deadline:
            pending.ready, pending.spent = now + retry.wait, retry.attempts
        elif pending.doubtful or (
            context.options.chosen_here and by is By.API and error.reason in (Reason.CONFLICT, Reason.NOT_FOUND)
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
            for pending in [p for p in self._pending if p.ready <= self._context.clock.monotonic()]:
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
                # It may follow another source now.
                pending.tag, pending.judged = tag, False

    def read(self) -> Stream:
        """The stream as it is now."""
        stream = stream_from(self._context.cluster.get(IMAGE_STREAMS, self._stream.namespace, self._stream.name))
        if (stream.namespace, stream.name) != (self._stream.namespace, self._stream.name):
            raise ClusterError(Reason.API_ERROR, "the answer is not the stream that was asked for")
        return stream

    def _read_afterwards(self) -> None:
        """An answer was lost, and with it whether the import took effect: what the stream holds now shows that."""
        doubtful, self._doubtful = self._doubtful, []
        stream: Stream | None
        try:
            stream = self._stream = self.read()
        except ClusterError:
            stream = None
        for pending, error, by in doubtful:
            self._settle_by_read(pending, stream, error.reason, by, str(error))

    def _settle_by_read(
        self, pending: Pending, stream: Stream | None, reason: Reason, by: By | None, message: str
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

    def _imported(self, pending: Pending, digest: str, facts: ImageFacts | None, *, write: bool) -> None:
        before = pending.before
        if facts is not None:
            self._context.describer.learn(digest, facts)
        rule = self._rules.blocking(digest, facts.revision if facts else None)
        if not write and rule and (before is None or before.digest != digest):
            message = str(rule) if rule.digest else f"{digest}: {rule}"
            self._settle(pending, Result.SKIPPED, pending.tag.current, Skip.BLOCKED, message=message)
        elif not write and self._context.options.write:
            pending.judged = True
        else:
            self._settle_imported(pending, digest, rule, write=write)

    def _settle_imported(self, pending: Pending, digest: str, rule: BlockRule | None, *, write: bool) -> None:
        name, before = pending.tag.name, pending.before
        if write:
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
            # The registry's tag may move between the question and the import.
            self._settle(pending, Result.UPDATED, after, message=f"imported although {rule}" if rule else None)

    def _current(self, name: str) -> Item | None:
        tag = self._stream.tag(name)
        return tag.current if tag else None

    def _settle(
        self,
        pending: Pending,
        result: Result,
        after: Item | None,
        reason: Reason | Skip | None = None,
        by: By | None = None,
        message: str | None = None,
    ) -> None:
        seconds = pending.seconds if pending.attempts else None
        settled = Settled(pending.tag, result, pending.before, after, reason, by, message, pending.attempts, seconds)
        with self._lock:
            if pending.settled:
                return
            pending.settled = True
            if pending in self._pending:
                self._pending.remove(pending)
            self._settled.append(settled)
        self._context.settled()

    def _skip(self, tag: Tag, skip: Skip, pending: Pending | None = None) -> None:
        if pending is None:
            pending = Pending(tag, tag.current)
        pending.tag = tag
        # A reason of its own says enough in a run; plan, status and doctor give the fix.
        explained = skip is Skip.ALIAS or not self._context.options.write
        message = explain_skip(self._stream, tag, skip) if explained else None
        self._settle(pending, Result.SKIPPED, tag.current, skip, message=message)

    @property
    def is_in_doubt(self) -> bool:
        """Whether an answer was lost and nothing has shown since what became of the import."""
        return bool(self._doubtful) or any(pending.doubtful for pending in self._pending)

    def abandon(self, *, under_way: bool, stream: Stream | None = None) -> None:
        """End what has no result yet as aborted.

        Args:
            under_way: a request was sent and its answer is no longer waited for.
            stream: what a read afterwards showed.
        """
        for pending in [*self._pending, *(pending for pending, _, _ in self._doubtful)]:
            if pending.doubtful or (under_way and pending.attempts):
                pending.doubtful = self._context.options.write
                message = "stopped before the API answered"
                self._settle_by_read(pending, stream, Reason.ABORTED, None, message)
            else:
                first = "its import began" if self._context.options.write else "it was checked"
                message = "stopped between two tries" if pending.attempts else f"stopped before {first}"
                self._settle(pending, Result.FAILED, self._current(pending.tag.name), Reason.ABORTED, None, message)

    def results(self) -> list[TagResult]:
        """What became of each tag, with its images described as far as is known."""
        with self._lock:
            settled = list(self._settled)
        return [result_of(attempt, self._stream, self._first, self._context.describer.facts) for attempt in settled]
