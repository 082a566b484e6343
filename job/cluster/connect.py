"""Connecting to the cluster by the adapter that CLIENT names; the other one is not loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from job.cluster import Cluster
from job.config.settings import Settings
from job.domain.model import Client


def connect(settings: Settings, count: Callable[[str, str], None]) -> Cluster:
    """Find the cluster.

    Args:
        settings: of these CLIENT, and those that its adapter uses.
        count: called with the namespace and the HTTP status (or `none`) of every request.

    Raises:
        UsageError: no cluster is configured, or its configuration cannot be read.
    """
    match settings.client:
        case Client.API:
            from job.cluster import api

            return api.connect(settings, count)
        case Client.OC:
            from job.cluster.oc import client

            return client.connect(settings, count)
        case _:
            assert_never(settings.client)
