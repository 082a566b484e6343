"""The streams of a namespace, and the tags chosen in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from job.cluster import IMAGE_STREAMS, Cluster
from job.domain.errors import ClusterError
from job.domain.model import Reason, RunError, Stage, Stream, TagName
from job.domain.records import dataclass, replace
from job.domain.selection import Choice, Wanted, choose, in_share
from job.domain.text import clean
from job.imagestreams.api_types import stream_from
from job.runtime.retry import Retrier

Chosen = tuple[Stream, tuple[Choice, ...]]


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found in one namespace.

    Attributes:
        namespace: its name.
        matched: whether any tag there matches, also one in another shard's share.
        chosen: the streams of which tags were chosen; none where `error` is set.
        error: why there is no list.
        nothing_matched: where nothing matches, that, with a hint at what is there.
    """

    namespace: str
    matched: bool = False
    chosen: tuple[Chosen, ...] = ()
    error: RunError | None = None
    nothing_matched: RunError | None = None


def narrowed(chosen: Iterable[Chosen], is_kept: Callable[[TagName, Choice], bool]) -> list[Chosen]:
    """What was chosen, with only some of the tags; streams without one are left out."""
    kept = [
        (stream, tuple(c for c in choices if is_kept(TagName(stream.namespace, stream.name, c.tag.name), c)))
        for stream, choices in chosen
    ]
    return [(stream, choices) for stream, choices in kept if choices]


def list_chosen(
    cluster: Cluster,
    namespace: str,
    wanted: Wanted,
    selector: str | None,
    *,
    retrier: Retrier,
    retried: Callable[[str, str], None],
) -> Listing:
    """List the streams of a namespace, all pages, and choose tags in them. A list that breaks is begun once more.

    Args:
        cluster: the cluster.
        namespace: where.
        wanted: what the run is to import.
        selector: a label selector on streams.
        retrier: when to give up; of its tries one more is used at most.
        retried: called with namespace and reason when the list is begun once more.
    """
    once_more = replace(retrier, policy=replace(retrier.policy, retries=1))
    try:
        return once_more.call(
            lambda: _list(cluster, namespace, wanted, selector), lambda reason: retried(namespace, reason)
        )
    except ClusterError as error:
        advice = " (grant list on imagestreams, or correct the namespace)" if error.lacks_right else ""
        message = f"cannot list image streams in {namespace}: {error}{advice}"
        return Listing(namespace, error=RunError(namespace, Stage.LIST, error.reason, message))


def stopped(namespace: str) -> Listing:
    """The listing of a namespace whose list was not complete when the run had to stop."""
    message = f"stopped before the image streams of {namespace} were listed"
    return Listing(namespace, error=RunError(namespace, Stage.LIST, Reason.ABORTED, message))


def _list(cluster: Cluster, namespace: str, wanted: Wanted, selector: str | None) -> Listing:
    chosen: list[Chosen] = []
    tags: set[str] = set()
    matched, count = False, 0
    for item in cluster.list(IMAGE_STREAMS, namespace, selector):
        stream = stream_from(item)
        count += 1
        tags.update(tag.name for tag in stream.tags)
        if choices := choose(stream, wanted):
            matched = True
            if in_share(stream.namespace, stream.name, wanted.shard):
                chosen.append((stream, choices))
    nothing = None if matched else _nothing_matched(namespace, wanted, tags, count)
    return Listing(namespace, matched, tuple(chosen), nothing_matched=nothing)


def _nothing_matched(namespace: str, wanted: Wanted, tags: Collection[str], count: int) -> RunError:
    requested = ", ".join(f"{p.stream}:{p.tag or wanted.deployment or '*'}" for p in wanted.patterns) or (
        f"tag {wanted.deployment}" if wanted.deployment else "any tag"
    )
    message = f"nothing in {namespace} matches {requested}: it has {count} image stream{'' if count == 1 else 's'}"
    if wanted.deployment and wanted.deployment not in tags:
        names = sorted(tags)
        import difflib

        near = difflib.get_close_matches(wanted.deployment, names, n=3) or names[:5]
        if near:
            message += f"; tags there: {', '.join(near)}"
    return RunError(namespace, Stage.SELECT, Reason.NOT_FOUND, clean(message))
