"""The namespaces of `--all-namespaces`: those that have a tag that was asked for, as far as the login may see."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from job.cluster import IMAGE_STREAMS, NAMESPACES, PROJECTS, Cluster
from job.config.settings import Settings
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Reason
from job.imagestreams.api_types import stream_from
from job.runtime.pool import gather


def namespaces_with_tags(cluster: Cluster, settings: Settings, stopping: Callable[[], bool]) -> tuple[str, ...]:
    """The names, sorted; by one list over the cluster where that is allowed, else by a list in each project.

    Raises:
        UsageError: there is not one.
        ClusterError: neither the streams of the cluster nor its projects can be listed.
    """
    try:
        namespaces = _matching(settings, cluster.list(IMAGE_STREAMS, "", settings.selector))
    except ClusterError as error:
        if error.reason is not Reason.FORBIDDEN:
            raise
        calls = {name: functools.partial(_in_one, cluster, settings, name) for name in _visible(cluster)}
        answers = gather(calls, settings.concurrency, stopping)
        namespaces = {name for name, matches in answers.items() if matches is True}
    if not namespaces:
        raise UsageError(["--all-namespaces: no namespace that you may read has a tag that was asked for"])
    return tuple(sorted(namespaces))


def _matching(settings: Settings, streams: Iterable[Mapping[str, Any]]) -> set[str]:
    wanted = settings.wanted
    parsed = (stream_from(data) for data in streams)
    return {s.namespace for s in parsed if any(wanted.includes(s.name, tag.name) for tag in s.tags)}


def _in_one(cluster: Cluster, settings: Settings, namespace: str) -> bool:
    """Whether a namespace has such a tag."""
    return bool(_matching(settings, cluster.list(IMAGE_STREAMS, namespace, settings.selector)))


def _visible(cluster: Cluster) -> list[str]:
    """The namespaces that the login may see. OpenShift lists a user's own projects; elsewhere it takes a right."""
    try:
        return [str(item["metadata"]["name"]) for item in cluster.list(PROJECTS, "")]
    except ClusterError as error:
        if error.code != 404:
            raise
        return [str(item["metadata"]["name"]) for item in cluster.list(NAMESPACES, "")]
