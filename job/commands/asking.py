"""Many requests at once, of which any may be refused, and what somebody is allowed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any, Generic, TypeVar

from job.checks.rights import Right, account_of
from job.clusters import SELF_SUBJECT_ACCESS_REVIEWS, Cluster, Resource
from job.errors import ClusterError, StoppedError
from job.model import Reason
from job.pacing import Pool, persist
from job.runs import Context

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

LOCAL_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io/v1", "LocalSubjectAccessReview", "localsubjectaccessreviews"
)
# Lists of workloads are large.
LISTS_AT_ONCE = 4


class _Asking(Generic[T]):
    """One request, of one page or several."""

    def __init__(self, call: Callable[[], T], where: Context) -> None:
        self.answer: T | ClusterError = ClusterError(Reason.ABORTED, "stopped before the answer came")
        self._call = call
        self._where = where

    def step(self) -> None:
        """See `pacing.Task`."""
        try:
            self.answer = persist(self._call, self._where.settings.retries, self._where.stopping)
        except ClusterError as error:
            self.answer = error


def ask_all(
    where: Context, calls: Mapping[K, Callable[[], T]], at_once: int | None = None
) -> dict[K, T | ClusterError]:
    """The answers, or why there is none.

    Raises:
        StoppedError: the command was told to stop.
    """
    tasks = {key: _Asking(call, where) for key, call in calls.items()}
    limit = min(where.settings.concurrency, at_once or where.settings.concurrency)
    Pool(limit).run(list(tasks.values()), where.stopping, 0.0)
    if where.stopping():
        raise StoppedError("stopped before everything was looked at")
    return {key: task.answer for key, task in tasks.items()}


def allowed(
    where: Context, namespace: str, rights: Collection[Right], user: str | None = None
) -> dict[Right, bool | ClusterError]:
    """What is allowed in a namespace: to this login, or to another user, which only some may ask."""

    def asking(right: Right) -> Callable[[], bool]:
        return lambda: _is_allowed(where.cluster, namespace, right, user)

    return ask_all(where, {right: asking(right) for right in dict.fromkeys(rights)})


def _is_allowed(cluster: Cluster, namespace: str, right: Right, user: str | None) -> bool:
    resource, subresource = right.resource.partition("/")[::2]
    attributes = {
        "namespace": namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "name": right.name,
    }
    spec: dict[str, Any] = {"resourceAttributes": attributes}
    kind, metadata, where = SELF_SUBJECT_ACCESS_REVIEWS, {}, ""
    if user is not None:
        home = account_of(user)[0]
        groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{home}"]
        spec |= {"user": user, "groups": groups if home else groups[:1]}
        kind, metadata, where = LOCAL_SUBJECT_ACCESS_REVIEWS, {"namespace": namespace}, namespace
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
    status = cluster.create(kind, where, body).get("status")
    return isinstance(status, dict) and status.get("allowed") is True
