"""The way to the cluster that CLIENT names. Only what it needs is loaded."""

from __future__ import annotations

from collections.abc import Callable

from job.cluster import Cluster
from job.config.settings import Settings
from job.domain.model import Client


def connect(settings: Settings, counted: Callable[[str, str], None]) -> Cluster:
    """Find the cluster.

    Args:
        settings: of these CLIENT, and what its adapter uses.
        counted: called with the namespace and the HTTP status (or `none`) of every request.

    Raises:
        UsageError: there is no way to a cluster, or it cannot be read.
    """
    if settings.client is Client.OC:
        from job.cluster.oc import client

        return client.connect(settings, counted)
    from job.cluster import api

    return api.connect(settings, counted)
