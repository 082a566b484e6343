"""One write of a spec tag at the version that was read, and whether it took effect."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from job.cluster import IMAGE_STREAM_TAGS, IMAGE_STREAMS, Cluster
from job.domain.errors import ClusterError, ImportImagesError
from job.domain.model import Reason, Stream, Tag, TagName
from job.domain.records import replace
from job.domain.retries import Attempts
from job.domain.shell import ours
from job.imagestreams.api_types import stream_from
from job.imagestreams.import_requests import as_written, put_of
from job.runtime.retry import Retrier

log = logging.getLogger(__name__)

Json = Mapping[str, Any]
# What it takes to change a tag, for messages about a refusal.
RIGHT = "grant update on imagestreamtags, or add the rollback component"


class MovedError(ImportImagesError):
    """Another client changed the tag meanwhile; nothing was written."""


class NoHoldError(ImportImagesError):
    """There is no hold to release; nothing was touched."""

    exit_status = 2


class NotThereError(ImportImagesError):
    """The tag cannot be moved; nothing was touched, or everything was restored."""


class UncertainError(ImportImagesError):
    """A write to the tag was sent, and what came of it is not known; the message says how to find out.

    Attributes:
        reason: why nothing more could be read.
    """

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


def read_stream(cluster: Cluster, name: TagName, retrier: Retrier) -> Json:
    """The JSON of the tag's stream."""
    return retrier.call(lambda: cluster.get(IMAGE_STREAMS, name.namespace, name.stream))


def rewrite(
    cluster: Cluster,
    name: TagName,
    change: Callable[[Json, Stream, Tag], Json],
    is_done: Callable[[Stream, Tag], bool],
    retrier: Retrier,
) -> Stream:
    """Write a spec tag at the version that was read; after a lost answer a read shows whether it took effect.

    A write that was answered stays written where no read succeeds afterwards: it is then reported as far as it
    is known.

    Raises:
        UncertainError: a write was not answered, and no read afterwards showed whether it took effect.
        ClusterError: the API refused, and nothing was written.
    """
    doubtful = False
    attempts = Attempts()
    while True:
        try:
            data = read_stream(cluster, name, retrier)
        except ClusterError as error:
            if not doubtful:
                raise
            raise _unknown(name, error) from error
        stream = stream_from(data)
        tag = stream.tag(name.tag)
        if tag is None:
            raise NotThereError(f"{name} is no longer in {name.namespace}")
        if doubtful and is_done(stream, tag):
            return stream
        try:
            reference = change(data, stream, tag)
            answer = cluster.replace(IMAGE_STREAM_TAGS, name.namespace, put_of(stream, reference))
        except ClusterError as error:
            lost = error.may_have_taken_effect
            if error.code == 403:
                advice = f" ({RIGHT})" if error.lacks_right else ""
                raise ClusterError(Reason.FORBIDDEN, f"{error}{advice}", code=403) from error
            try:
                attempts = retrier.wait(error, attempts)
            except ClusterError:
                doubtful |= lost
                fresh = _read_afterwards(cluster, name, retrier) if doubtful else None
                current = fresh.tag(name.tag) if fresh else None
                if fresh and current and is_done(fresh, current):
                    return fresh
                raise
            doubtful |= lost
            continue
        try:
            return stream_from(read_stream(cluster, name, to_the_end(retrier)))
        except ClusterError as error:
            log.warning("%s/%s was changed, but cannot be read any more: %s", name.namespace, name, error)
            return as_written(data, reference, answer)


def _read_afterwards(cluster: Cluster, name: TagName, retrier: Retrier) -> Stream:
    """The stream after the last try of a write whose answer was lost."""
    try:
        return stream_from(read_stream(cluster, name, retrier))
    except ClusterError as error:
        raise _unknown(name, error) from error


def _unknown(name: TagName, error: ClusterError) -> UncertainError:
    check = f"check it: {ours('history', name)}"
    return UncertainError(f"whether {name} was changed is not known: {error}; {check}", error.reason)


def to_the_end(retrier: Retrier) -> Retrier:
    """A Retrier that ignores stop requests: what was begun is not left half done."""
    return replace(retrier, stopping=lambda: False)
