"""Which workloads there are that may follow a tag: in the namespaces of a run, and wherever else one may look."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from job.cluster import CRON_JOBS, IMAGE_STREAMS, PROJECTS, Cluster, Resource
from job.cluster.unstructured import object_in, objects_in
from job.domain.errors import ClusterError
from job.domain.model import Reason, RunError, Stage, TagName
from job.domain.records import dataclass, replace
from job.runtime.pool import gather
from job.runtime.retry import Retrier
from job.workloads.cronjob import NAME
from job.workloads.image_triggers import Workload
from job.workloads.kinds import KINDS, kind_of, settle, workload_from

# A page of workloads is large, and the pod of a run is small.
WHOLE_LISTS_AT_ONCE = 1
LISTS_AT_ONCE = 4
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Survey:
    """The workloads that have image triggers.

    Attributes:
        errors: one for each namespace that was asked for and could not be read in full.
        left_out: the other namespaces that could not be read in full.
        others_known: whether it is known which other namespaces there are, so that all of them were read or left out.
    """

    workloads: tuple[Workload, ...]
    errors: tuple[RunError, ...] = ()
    left_out: tuple[str, ...] = ()
    others_known: bool = True


@dataclass(frozen=True, slots=True)
class _Listing(Generic[T]):
    """What was made of every object of a kind in a namespace, or why they could not be listed."""

    resource: Resource
    namespace: str
    items: tuple[T, ...] = ()
    error: ClusterError | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the list is incomplete. 404 means that the cluster does not serve the kind, so that there is none."""
        return self.error is not None and self.error.code != 404


def survey(
    cluster: Cluster,
    namespaces: Sequence[str],
    *,
    retrier: Retrier,
    concurrency: int,
    everywhere: bool = True,
) -> Survey:
    """Find the workloads that have image triggers.

    Args:
        cluster: the cluster.
        namespaces: where all of them must be seen.
        retrier: sends a request again where that may help; what is not known when it is to stop is an error.
        concurrency: requests at a time, at most.
        everywhere: look in every other namespace too, as far as that is allowed.
    """

    def list_all(wanted: Sequence[tuple[Resource, str]], at_once: int) -> list[_Listing[Workload]]:
        calls = {
            (kind, namespace): functools.partial(
                retrier.call,
                functools.partial(_list, cluster, kind, namespace, functools.partial(workload_from, kind)),
            )
            for kind, namespace in wanted
        }
        answers = gather(calls, min(concurrency, at_once), retrier.stopping)
        stopped = ClusterError(Reason.ABORTED, "stopped before the answer came")
        return [_listing(kind, namespace, answers.get((kind, namespace), stopped)) for kind, namespace in wanted]

    workloads: list[Workload] = []
    kinds: Sequence[Resource] = KINDS
    others: Sequence[str] = ()
    others_known = True
    if everywhere:
        # One list a kind, where that is allowed; else a service account still sees its own projects.
        whole = list_all([(kind, "") for kind in KINDS], WHOLE_LISTS_AT_ONCE)
        workloads += [workload for listing in whole if not listing.is_refused for workload in listing.items]
        kinds = [listing.resource for listing in whole if listing.is_refused]
        if kinds:
            projects = _projects(cluster, retrier)
            others, others_known = [name for name in projects or () if name not in namespaces], projects is not None
    single = list_all([(kind, name) for name in (*namespaces, *others) for kind in kinds], LISTS_AT_ONCE)
    workloads += [workload for listing in single for workload in listing.items]
    refused = {listing.namespace: [one for one in single if one.namespace == listing.namespace] for listing in single}
    errors = [_error_of(name, refused[name]) for name in namespaces if name in refused]
    workloads = _settled(cluster, workloads, retrier, min(concurrency, LISTS_AT_ONCE))
    order = {kind: number for number, kind in enumerate(KINDS)}
    return Survey(
        workloads=tuple(
            sorted(workloads, key=lambda workload: (workload.namespace, order[workload.resource], workload.name))
        ),
        errors=tuple(error for error in errors if error),
        left_out=tuple(sorted(name for name in others if any(one.is_refused for one in refused[name]))),
        others_known=others_known,
    )


def _settled(cluster: Cluster, workloads: Sequence[Workload], retrier: Retrier, at_once: int) -> list[Workload]:
    """The workloads with what one trigger does to another while tags have no image.

    A tag that cannot be read is taken to have one.
    """
    deciding = {candidate: kind_of(candidate.resource).deciding_tags(candidate.follows) for candidate in workloads}
    streams = sorted({(tag.namespace, tag.stream) for tags in deciding.values() for tag in tags})
    if not streams:
        return list(workloads)
    calls = {
        stream: functools.partial(retrier.call, functools.partial(cluster.get, IMAGE_STREAMS, *stream))
        for stream in streams
    }
    answers = gather(calls, at_once, retrier.stopping)

    def has_image(tag: TagName) -> bool:
        answer = answers.get((tag.namespace, tag.stream))
        if answer is None or isinstance(answer, ClusterError):
            return answer is None or answer.code != 404
        tags = objects_in(object_in(answer, "status"), "tags")
        return any(status_tag.get("tag") == tag.tag and status_tag.get("items") for status_tag in tags)

    settled = []
    for workload, tags in deciding.items():
        unresolved = frozenset(tag for tag in tags if not has_image(tag))
        settled.append(settle(replace(workload, unresolved=unresolved), unresolved))
    return settled


def cron_jobs_in(cluster: Cluster, namespace: str) -> list[Mapping[str, Any]]:
    """The CronJobs of a namespace; ours alone where they may not be listed, as with the account of a run.

    Raises:
        ClusterError: neither may be read.
    """
    try:
        return list(cluster.list(CRON_JOBS, namespace))
    except ClusterError as error:
        if error.reason is not Reason.FORBIDDEN:
            raise
        refused = error
    try:
        return [cluster.get(CRON_JOBS, namespace, NAME)]
    except ClusterError as error:
        if error.code == 404:
            return []
        raise refused from error


def _list(
    cluster: Cluster, kind: Resource, namespace: str, read: Callable[[Mapping[str, Any]], T | None]
) -> tuple[T, ...]:
    return tuple(workload for workload in map(read, cluster.list(kind, namespace)) if workload is not None)


def _listing(kind: Resource, namespace: str, answer: tuple[T, ...] | ClusterError) -> _Listing[T]:
    if isinstance(answer, ClusterError):
        return _Listing(kind, namespace, error=answer)
    return _Listing(kind, namespace, answer)


def _projects(cluster: Cluster, retrier: Retrier) -> Sequence[str] | None:
    """The names of the projects that this login may see; None where they cannot be listed."""
    try:
        return retrier.call(lambda: _list(cluster, PROJECTS, "", _name_of))
    except ClusterError:
        return None


def _name_of(data: Mapping[str, Any]) -> str:
    return str(object_in(data, "metadata").get("name", ""))


def _error_of(namespace: str, listings: Sequence[_Listing[Workload]]) -> RunError | None:
    errors = [(listing.resource.plural, listing.error) for listing in listings if listing.is_refused and listing.error]
    if not errors:
        return None
    forbidden = [plural for plural, error in errors if error.reason is Reason.FORBIDDEN]
    # A right that is missing says most, since the reader can fix it.
    reason, first = Reason.FORBIDDEN if forbidden else errors[0][1].reason, errors[0][1]
    plurals = ", ".join(forbidden or [plural for plural, _ in errors])
    advice = f"grant list on {plurals}, or add the rollouts component" if forbidden else str(first)
    return RunError(namespace, Stage.ROLLOUTS, reason, f"cannot list {plurals} in {namespace}: {advice}")
