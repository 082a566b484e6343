"""The user that the API knows this program by."""

from __future__ import annotations

import logging

from job.cluster import SELF_SUBJECT_REVIEWS, Cluster
from job.domain.errors import ClusterError
from job.domain.text import clean

log = logging.getLogger(__name__)


def current_user(cluster: Cluster) -> str | None:
    """The user name that the API knows this program by; None where it does not answer."""
    body = {
        "apiVersion": SELF_SUBJECT_REVIEWS.api_version,
        "kind": SELF_SUBJECT_REVIEWS.kind,
        "metadata": {"name": "me"},
    }
    try:
        answer = cluster.create(SELF_SUBJECT_REVIEWS, "", body)
    except ClusterError as error:
        log.debug("the API does not say who this is: %s", error)
        return None
    status = answer.get("status")
    user = status.get("userInfo") if isinstance(status, dict) else None
    name = user.get("username") if isinstance(user, dict) else None
    return clean(str(name), 200) if name else None
