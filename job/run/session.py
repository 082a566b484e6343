"""The connection to the cluster, for as long as a command works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from job.cluster.connect import connect
from job.config.settings import Settings
from job.run.context import Context, Counts
from job.run.identity import IdentityLookup
from job.runtime.shutdown import Stop
from job.runtime.terminal import Progress


@dataclass(frozen=True, slots=True)
class Place(Context):
    """What a command works with, and the line that shows its progress."""

    progress: Progress


@contextmanager
def place(settings: Settings, stop: Stop) -> Iterator[Place]:
    """Connect to the cluster; the connection is closed when the command is done."""
    counts = Counts()

    def count(namespace: str, code: str) -> None:
        # A request about no namespace, such as who the user is, belongs to no group of metrics.
        if namespace:
            counts.requested(namespace, code)

    cluster = connect(settings, count)
    progress = Progress(sys.stderr)
    try:
        yield Place(settings, cluster, counts, stop, progress, identify=IdentityLookup(cluster).get)
    finally:
        progress.end()
        cluster.close()
