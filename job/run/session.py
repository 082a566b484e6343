"""The connection to the cluster, for as long as a command works."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from job.cluster.connect import connect
from job.config.settings import Settings
from job.domain.records import dataclass
from job.run.context import Context, Counts
from job.run.identity import IdentityLookup
from job.runtime.progress import TerminalProgress
from job.runtime.shutdown import Stop


@dataclass(frozen=True, slots=True)
class Place(Context):
    """What a command works with, and the line that shows its progress."""

    progress: TerminalProgress


@contextmanager
def place(settings: Settings, stop: Stop) -> Iterator[Place]:
    """Connect to the cluster; the connection is closed when the command is done."""
    counts = Counts()

    def count(namespace: str, code: str) -> None:
        # A request about no namespace, such as who the user is, belongs to no group of metrics.
        if namespace:
            counts.requested(namespace, code)

    progress = TerminalProgress(sys.stderr, stop)
    progress.begin("connecting")
    try:
        cluster = connect(settings, count)
    except BaseException:
        progress.end()
        raise
    progress.begin(f"waiting for {cluster.server}")
    try:
        yield Place(settings, cluster, counts, stop, progress, identify=IdentityLookup(cluster).get)
    finally:
        progress.end()
        cluster.close()
