"""Which workloads there are that may follow a tag: in the namespaces of a run, and wherever else one may look."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from job.cluster import CRON_JOBS, PROJECTS, Cluster, Resource
from job.cluster.unstructured import object_in
from job.domain.errors import ClusterError
from job.domain.failures import PASSING
from job.domain.model import Reason, RunError, Stage
from job.runtime.pool import Pool, wait_before
from job.workloads.cronjob import NAME
from job.workloads.image_triggers import KINDS, Workload, workload_from

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
    """

    workloads: tuple[Workload, ...]
    errors: tuple[RunError, ...] = ()
    left_out: tuple[str, ...] = ()


class _Listing(Generic[T]):
    """What `read` makes of every object of a kind in a namespace, or an error."""

    def __init__(
        self,
        cluster: Cluster,
        resource: Resource,
        namespace: str,
        read: Callable[[Mapping[str, Any]], T | None],
        retries: int,
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self.found: tuple[T, ...] = ()
        self.error: ClusterError | None = ClusterError(Reason.ABORTED, "stopped before the answer came")
        self._cluster = cluster
        self._read = read
        self._retries = retries
        self._tries = 0

    def step(self) -> float | None:
        """List them, all pages; see `pacing.Task`."""
        self._tries += 1
        try:
            read = map(self._read, self._cluster.list(self.resource, self.namespace))
            self.found = tuple(each for each in read if each is not None)
        except ClusterError as error:
            self.error = error
            # As everywhere: a timeout is tried once more.
            again = self._retries if error.reason in PASSING else min(1, self._retries)
            if self._tries > again or error.reason not in {*PASSING, Reason.TIMEOUT}:
                return None
            return wait_before(self._tries, error.reason, error.retry_after, random.random)
        self.error = None
        return None

    @property
    def is_refused(self) -> bool:
        """Whether there may be some that it does not know of. A kind that the cluster does not have has none."""
        return self.error is not None and self.error.code != 404


def survey(
    cluster: Cluster,
    namespaces: Sequence[str],
    *,
    retries: int,
    stopping: Callable[[], bool],
    concurrency: int,
    everywhere: bool = True,
) -> Survey:
    """Find the workloads that have image triggers.

    Args:
        cluster: the cluster.
        namespaces: where all of them must be seen.
        retries: more tries of what may pass.
        stopping: whether the run was told to stop; what is not known by then is an error.
        concurrency: requests at a time, at most.
        everywhere: look in every other namespace too, as far as that is allowed.
    """

    def run(listings: Collection[_Listing[T]], at_once: int) -> list[T]:
        Pool(max(1, min(concurrency, at_once))).run(listings, stopping, 0.0)
        return [each for listing in listings for each in listing.found]

    def listing(kind: Resource, namespace: str) -> _Listing[Workload]:
        return _Listing(cluster, kind, namespace, lambda data: workload_from(kind, data), retries)

    found: list[Workload] = []
    kinds: Sequence[Resource] = KINDS
    others: Sequence[str] = ()
    if everywhere:
        # One list a kind, where that is allowed; else a service account still sees its own projects.
        whole = [listing(kind, "") for kind in KINDS]
        run(whole, WHOLE_LISTS_AT_ONCE)
        found += [each for listing in whole if not listing.is_refused for each in listing.found]
        kinds = [listing.resource for listing in whole if listing.is_refused]
        if kinds:
            names = run([_Listing(cluster, PROJECTS, "", _name_of, retries)], 1)
            others = [name for name in names if name not in namespaces]
    single = [listing(kind, namespace) for namespace in (*namespaces, *others) for kind in kinds]
    found += run(single, LISTS_AT_ONCE)
    refused = {each.namespace: [one for one in single if one.namespace == each.namespace] for each in single}
    errors = [_error_of(name, refused[name]) for name in namespaces if name in refused]
    order = {kind: number for number, kind in enumerate(KINDS)}
    return Survey(
        workloads=tuple(sorted(found, key=lambda each: (each.namespace, order[each.resource], each.name))),
        errors=tuple(error for error in errors if error),
        left_out=tuple(sorted(name for name in others if any(one.is_refused for one in refused[name]))),
    )


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


def _name_of(data: Mapping[str, Any]) -> str:
    return str(object_in(data, "metadata").get("name", ""))


def _error_of(namespace: str, listings: Sequence[_Listing[Workload]]) -> RunError | None:
    errors = [(each.resource.plural, each.error) for each in listings if each.is_refused and each.error]
    if not errors:
        return None
    forbidden = [plural for plural, error in errors if error.reason is Reason.FORBIDDEN]
    # A right that is missing says most, since it is mended by whoever reads this.
    reason, first = Reason.FORBIDDEN if forbidden else errors[0][1].reason, errors[0][1]
    plurals = ", ".join(forbidden or [plural for plural, _ in errors])
    advice = f"grant list on {plurals}, or add the rollouts component" if forbidden else str(first)
    return RunError(namespace, Stage.ROLLOUTS, reason, f"cannot list {plurals} in {namespace}: {advice}")
