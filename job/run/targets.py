"""The tags that a command is about, as their streams have them now."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from job.cluster import IMAGE_STREAMS, Cluster
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Stream, Tag, TagName
from job.domain.natural import natural
from job.domain.records import dataclass, field
from job.imagestreams.api_types import stream_from
from job.run.context import Context, namespaces_of
from job.run.matching import unmatched

_GLOB = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class SelectedTag:
    """A tag that was asked for, and the JSON of its stream."""

    name: TagName
    tag: Tag
    stream: Stream
    data: Mapping[str, Any] = field(repr=False)


def find(where: Context) -> list[SelectedTag]:
    """The tags that were asked for.

    Raises:
        UsageError: an argument matches nothing.
        ClusterError: a namespace cannot be read.
    """
    selected, namespaces = find_existing(where), namespaces_of(where)
    wanted = where.settings.wanted
    if all(any(p.matches(f.name.stream, f.name.tag, wanted.deployment) for f in selected) for p in wanted.patterns):
        return sorted(selected, key=lambda target: (target.name.namespace, natural(str(target.name))))
    # Only now are all names needed, for a hint.
    names = {name for namespace in namespaces for name in where.patient(functools.partial(_names, where, namespace))}
    raise UsageError(unmatched(wanted, names, namespaces))


def find_existing(where: Context) -> list[SelectedTag]:
    """The tags that were asked for, as far as they exist.

    Raises:
        ClusterError: a namespace cannot be read.
    """
    selected: list[SelectedTag] = []
    for namespace in namespaces_of(where):
        selected += where.patient(functools.partial(_in_namespace, where, namespace))
    return selected


def _names(where: Context, namespace: str) -> list[tuple[str, str]]:
    streams = (stream_from(data) for data in where.cluster.list(IMAGE_STREAMS, namespace))
    return [(stream.name, tag.name) for stream in streams for tag in stream.tags]


def _in_namespace(where: Context, namespace: str) -> list[SelectedTag]:
    wanted = where.settings.wanted
    names = {pattern.stream for pattern in wanted.patterns}
    streams: Iterator[Mapping[str, Any]]
    if any(_GLOB & set(name) for name in names):
        streams = where.cluster.list(IMAGE_STREAMS, namespace)
    else:
        streams = (data for name in sorted(names) if (data := _stream(where.cluster, namespace, name)) is not None)
    return [
        SelectedTag(TagName(namespace, stream.name, tag.name), tag, stream, data)
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


def find_one(where: Context) -> SelectedTag:
    """The one tag that was asked for.

    Raises:
        UsageError: there is none, or more than one.
        ClusterError: the stream cannot be read.
    """
    pattern = where.settings.wanted.patterns[0]
    if _GLOB & set(pattern.stream + (pattern.tag or "")):
        raise UsageError([f"{pattern.stream}: one tag is moved at a time, so globs are not taken here"])
    if len(namespaces_of(where)) > 1:
        raise UsageError(["NAMESPACE: one tag is moved at a time; name one namespace"])
    selected = find(where)
    if len(selected) > 1:
        names = ", ".join(str(target.name) for target in selected[:5])
        raise UsageError([f"{pattern.stream} has several tags: name one of {names}, or set DEPLOYMENT"])
    return selected[0]
