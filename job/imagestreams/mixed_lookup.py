"""Look-ups for several streams in one request, which the server allows where nothing is written.

A preview (`spec.import: false`) may carry images of any repositories under the name of any stream: measured, three
repositories in one request. So a plan of N streams takes a third of N requests. A tag whose annotations choose one
platform of several stays with its own stream, since the server reads them from the tag that `to` names there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from job.cluster import IMAGE_STREAM_IMPORTS
from job.domain.errors import ClusterError
from job.domain.model import Reason, Stream
from job.domain.records import replace
from job.imagestreams.import_context import ImportContext
from job.imagestreams.import_requests import answer_from, import_of
from job.imagestreams.pending import IMAGES_A_REQUEST, Pending, batch_of
from job.imagestreams.stream_import import StreamImport

# Of so many images the next request takes those that may go together.
_WINDOW = 10 * IMAGES_A_REQUEST


class MixedLookup:
    """One request for images of several streams of a namespace.

    Where the request as a whole is refused or lost, its images stay pending: each stream asks for its own, so that one
    image which spoils a request costs the others nothing but time.
    """

    def __init__(self, members: Sequence[tuple[StreamImport, Pending]], context: ImportContext) -> None:
        self.members = members
        self._context = context

    def step(self) -> None:
        """Send the request; see `pool.Task`."""
        context, (namespace, name) = self._context, _key(self.members[0][0])
        taken = {tag.name for task, _ in self.members for tag in task.stream.tags}
        made_up = (known_as for number in itertools.count() if (known_as := f"q{number}") not in taken)
        tags = [replace(pending.tag, name=next(made_up)) for _, pending in self.members]
        begun = context.clock.monotonic()
        for _, pending in self.members:
            pending.attempts += 1
        try:
            body = import_of(Stream(namespace, name, "", {}, tuple(tags)), tags, write=False)
            data = context.cluster.create(IMAGE_STREAM_IMPORTS, namespace, body, timeout=context.options.timeout)
            answer = answer_from(data, len(tags))
            if answer is None or answer.stream is not None:
                raise ClusterError(Reason.API_ERROR, "the answer does not cover every image", answered=False)
        except ClusterError as error:
            if error.code in (429, 503):
                context.throttle.slow_down()
            for _, pending in self.members:
                pending.failed = error.reason
            return
        finally:
            spent = context.clock.monotonic() - begun
            for _, pending in self.members:
                pending.seconds += spent
        context.throttle.succeeded()
        for (task, pending), imported in zip(self.members, answer.images, strict=True):
            task.take(pending, imported, write=False)


def mixed(tasks: Iterable[StreamImport], context: ImportContext) -> list[MixedLookup]:
    """The requests for the images of several streams. What would be alone in its request is left to its stream."""
    by_namespace: dict[str, list[tuple[StreamImport, Pending]]] = {}
    for task in tasks:
        for pending in task.pending:
            if not pending.tag.chooses_platform:
                by_namespace.setdefault(_key(task)[0], []).append((task, pending))
    return [
        MixedLookup(batch, context)
        for members in by_namespace.values()
        for batch in _batches(members)
        if len({_key(task) for task, _ in batch}) > 1
    ]


def _batches(members: Sequence[tuple[StreamImport, Pending]]) -> Iterator[list[tuple[StreamImport, Pending]]]:
    owners = {id(pending): task for task, pending in members}
    remaining = [pending for _, pending in members]
    while remaining:
        batch = batch_of(remaining[:_WINDOW], float("inf"))
        taken = {id(pending) for pending in batch}
        remaining = [pending for pending in remaining[:_WINDOW] if id(pending) not in taken] + remaining[_WINDOW:]
        yield [(owners[id(pending)], pending) for pending in batch]


def _key(task: StreamImport) -> tuple[str, str]:
    return task.stream.namespace, task.stream.name
