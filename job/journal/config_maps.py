"""ConfigMaps that several clients write: how one is read, written, and tried again after a conflict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from job.cluster import CONFIG_MAPS, Cluster
from job.domain.errors import ClusterError
from job.domain.model import Reason
from job.domain.retries import RetryPolicy

# They are small and written often, so that conflicts are usual and waits are short.
POLICY = RetryPolicy(retries=5, longest_wait=5.0, patience=5.0)
# Of one write, sent to the server too. What is recorded there must not delay what the user waits for by minutes.
WRITE_SECONDS = 15.0
LABELS = {"app.kubernetes.io/name": "import-images"}


def get(cluster: Cluster, namespace: str, name: str) -> Mapping[str, Any] | None:
    """The ConfigMap; None where it does not exist.

    Raises:
        ClusterError: the API refuses it.
    """
    try:
        return cluster.get(CONFIG_MAPS, namespace, name)
    except ClusterError as error:
        if error.code == 404:
            return None
        raise


def put(cluster: Cluster, namespace: str, content: Mapping[str, Any], *, is_new: bool) -> str:
    """Create the ConfigMap, or replace the one whose resourceVersion `content` has.

    Returns:
        its new resourceVersion.

    Raises:
        ClusterError: the API refuses it; `conflict` where another client wrote or deleted it first.
    """
    body = {"apiVersion": CONFIG_MAPS.api_version, "kind": CONFIG_MAPS.kind, **content}
    if is_new:
        return _version_of(cluster.create(CONFIG_MAPS, namespace, body, WRITE_SECONDS))
    try:
        return _version_of(cluster.replace(CONFIG_MAPS, namespace, body, WRITE_SECONDS))
    except ClusterError as error:
        if error.code != 404:
            raise
        # It was deleted since it was read, which is one more way in which another client came first.
        raise ClusterError(Reason.CONFLICT, str(error), code=409) from error


def _version_of(config_map: Mapping[str, Any]) -> str:
    return str(config_map["metadata"]["resourceVersion"])
