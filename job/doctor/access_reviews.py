"""What an account may do, as the API answers."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

from job.cluster import SELF_SUBJECT_ACCESS_REVIEWS, Cluster, Resource
from job.doctor.rights import Right, account_of
from job.domain.errors import ClusterError
from job.domain.records import dataclass
from job.run.context import Context

LOCAL_SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io/v1", "LocalSubjectAccessReview", "localsubjectaccessreviews"
)


@dataclass(frozen=True, slots=True)
class Review:
    """Whether this login may do something in a namespace; with `account`: whether that service account may."""

    namespace: str
    right: Right
    account: str | None = None


def allowed(where: Context, reviews: Iterable[Review]) -> dict[Review, bool | None]:
    """Whether each is allowed; None where the API did not say."""
    answers = where.ask_all({review: functools.partial(_is_allowed, where.cluster, review) for review in reviews})
    return {review: None if isinstance(answer, ClusterError) else answer for review, answer in answers.items()}


def _is_allowed(cluster: Cluster, review: Review) -> bool:
    resource, subresource = review.right.resource.partition("/")[::2]
    attributes = {
        "namespace": review.namespace,
        "verb": review.right.verb,
        "group": review.right.group,
        "resource": resource,
        "subresource": subresource,
        "name": review.right.name,
    }
    spec: dict[str, Any] = {"resourceAttributes": attributes}
    kind, metadata, namespace = SELF_SUBJECT_ACCESS_REVIEWS, {}, ""
    if review.account is not None:
        home = account_of(review.account)[0]
        groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{home}"]
        spec |= {"user": review.account, "groups": groups}
        namespace = review.namespace
        kind, metadata = LOCAL_SUBJECT_ACCESS_REVIEWS, {"namespace": namespace}
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}
    status = cluster.create(kind, namespace, body).get("status")
    return isinstance(status, dict) and status.get("allowed") is True
