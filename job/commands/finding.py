"""The tags that a command is about, as their streams have them now."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from job.clusters import IMAGE_STREAMS, Cluster
from job.clusters.connecting import connect
from job.errors import ClusterError, UsageError
from job.lookups import Answer, Question, look_up
from job.model import Stream, Tag, TagName
from job.openshift import stream_from
from job.pacing import persist, unless_stopped
from job.progress import Progress
from job.runs import Counts
from job.settings import Settings
from job.stopping import Stop

T = TypeVar("T")
_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Found:
    """A tag that was asked for, and the JSON of its stream."""

    name: TagName
    tag: Tag
    stream: Stream
    data: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """What a command works with."""

    settings: Settings
    cluster: Cluster
    counts: Counts
    stop: Stop
    progress: Progress

    def stopping(self) -> bool:
        """Whether the command was told to stop."""
        return bool(self.stop)

    def patient(self, call: Callable[[], T]) -> T:
        """What `call` returns, trying again what may pass, until the command is told to stop."""
        return unless_stopped(lambda: persist(call, self.settings.retries, self.stopping), self.stopping)

    def look_up(self, questions: Sequence[Question]) -> Mapping[Question, Answer]:
        """Ask for images of registries."""
        settings = self.settings
        return look_up(
            self.cluster,
            questions,
            concurrency=settings.concurrency,
            retries=settings.retries,
            timeout=settings.import_timeout,
            deadline=time.monotonic() + settings.deadline,
            retried=self.counts.retried,
            stopping=self.stopping,
        )

    def namespaces(self) -> tuple[str, ...]:
        """Where to work.

        Raises:
            UsageError: it is not known.
        """
        if self.settings.namespaces:
            return self.settings.namespaces
        if self.cluster.default_namespace:
            return (self.cluster.default_namespace,)
        raise UsageError(["NAMESPACE: not set, and the login names none; set it, or SERVICE and DEPLOYMENT"])


@contextmanager
def place(settings: Settings, stop: Stop) -> Iterator[Place]:
    """The way to the cluster."""
    counts = Counts()
    cluster = connect(settings, counts.requested)
    progress = Progress(sys.stderr)
    try:
        yield Place(settings, cluster, counts, stop, progress)
    finally:
        progress.end()
        cluster.close()


def find(place: Place) -> list[Found]:
    """The tags that were asked for.

    Raises:
        UsageError: there are none.
        ClusterError: a namespace cannot be read.
    """
    found: list[Found] = []
    namespaces = place.namespaces()
    for namespace in namespaces:
        found += place.patient(functools.partial(_in_namespace, place, namespace))
    if not found:
        asked = ", ".join(f"{p.stream}:{p.tag}" if p.tag else p.stream for p in place.settings.wanted.patterns)
        raise UsageError([f"nothing in {', '.join(namespaces)} matches {asked}; see: import-images plan"])
    return found


def _in_namespace(place: Place, namespace: str) -> list[Found]:
    wanted = place.settings.wanted
    names = {pattern.stream for pattern in wanted.patterns}
    streams: Iterator[Mapping[str, Any]]
    if any(_GLOB & set(name) for name in names):
        streams = place.cluster.list(IMAGE_STREAMS, namespace)
    else:
        streams = (data for name in sorted(names) if (data := _stream(place.cluster, namespace, name)) is not None)
    return [
        Found(TagName(namespace, stream.name, tag.name), tag, stream, data)
        for data in streams
        for stream in [stream_from(data)]
        for tag in stream.tags
        if wanted.includes(stream.name, tag.name)
    ]


def _stream(cluster: Cluster, namespace: str, name: str) -> Mapping[str, Any] | None:
    try:
        return cluster.get(IMAGE_STREAMS, namespace, name)
    except ClusterError as error:
        if error.code == 404:
            return None
        raise


def find_one(place: Place) -> Found:
    """The one tag that was asked for.

    Raises:
        UsageError: there is none, or more than one.
        ClusterError: the stream cannot be read.
    """
    pattern = place.settings.wanted.patterns[0]
    if _GLOB & set(pattern.stream + (pattern.tag or "")):
        raise UsageError([f"{pattern.stream}: one tag is moved at a time, so globs are not taken here"])
    if len(place.namespaces()) > 1:
        raise UsageError(["NAMESPACE: one tag is moved at a time; name one namespace"])
    found = find(place)
    if len(found) > 1:
        names = ", ".join(str(each.name) for each in found[:5])
        raise UsageError([f"{pattern.stream} has several tags: name one of {names}, or set DEPLOYMENT"])
    return found[0]
