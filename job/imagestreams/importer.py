"""From chosen tags to results: the imports of each stream, one request after another, streams side by side.

Rules that come from OpenShift (measured; see docs/imports.md):

- one request carries at most three images, since the server spends a budget of three at once and then two a second on
  each request; two images of one repository that differ in `insecure` never share one, since the server would use the
  first one's for both;
- requests of one stream follow one another, since two at a time conflict;
- each carries the resourceVersion of the read its tags were chosen on. When the stream has changed since, it is read
  and its tags are chosen again, so that a rollback made meanwhile is never undone;
- a look-up writes nothing, so its requests carry images of several streams;
- a whole request that timed out or was found invalid says nothing about its images, so they are sent again one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from job.domain.durations import describe
from job.domain.model import Stream, TagResult
from job.domain.selection import Choice
from job.imagestreams.import_context import ImportContext
from job.imagestreams.stream_import import StreamImport
from job.runtime.clock import SYSTEM
from job.runtime.pool import Task, gather, run_tasks

READ_AFTERWARDS_SECONDS = 5.0


def run_imports(
    chosen: Sequence[tuple[Stream, tuple[Choice, ...]]],
    context: ImportContext,
    stopping: Callable[[], bool],
) -> list[TagResult]:
    """Import what was chosen.

    Args:
        chosen: each stream with the tags chosen in it.
        context: what the streams share.
        stopping: whether the run is to stop; the deadline stops it too.

    Returns:
        A result for every chosen tag, in the order given.
    """
    tasks = [_Reporting(stream, choices, context) for stream, choices in chosen]

    def stop() -> bool:
        return stopping() or context.clock.monotonic() >= context.options.deadline

    unfinished = frozenset[Task]()
    if not context.options.write:
        # A run does not need it.
        from job.imagestreams.mixed_lookup import MixedLookup, mixed

        # What these leave without a result is asked for by its stream.
        abandoned = run_tasks(mixed(tasks, context), context.throttle, stop, context.grace)
        unfinished = frozenset(
            task for lookup in abandoned if isinstance(lookup, MixedLookup) for task, _ in lookup.members
        )
    unfinished |= run_tasks([task for task in tasks if task not in unfinished], context.throttle, stop, context.grace)
    streams = _read_afterwards([task for task in tasks if task in unfinished or task.is_in_doubt])
    for task in tasks:
        task.abandon(under_way=task in unfinished, stream=streams.get(task))
    return [result for task in tasks for result in task.results()]


class _Reporting(StreamImport):
    """The imports of one stream, which report what they do and for what they wait."""

    def __init__(self, stream: Stream, choices: Sequence[Choice], context: ImportContext) -> None:
        super().__init__(stream, choices, context)
        self._under_way = functools.partial(context.under_way, f"{stream.namespace}/{stream.name}")

    def step(self) -> float | None:
        """See `Task`."""
        self._under_way("request under way")
        wait = super().step()
        self._under_way(None if wait is None else f"retried in {describe(wait)}" if wait >= 1 else "queued")
        return wait


def _read_afterwards(unfinished: Sequence[StreamImport]) -> Mapping[StreamImport, Stream]:
    """The streams of imports that were abandoned while under way, as far as they can be read in a few seconds."""
    until = SYSTEM.monotonic() + READ_AFTERWARDS_SECONDS
    answers = gather({task: task.read for task in unfinished}, 32, lambda: SYSTEM.monotonic() > until)
    return {task: answer for task, answer in answers.items() if isinstance(answer, Stream)}
