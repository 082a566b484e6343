"""The way to the cluster, from the settings to the end of the command."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from job.cluster.connect import connect
from job.config.settings import Settings
from job.run.context import Context, Counts
from job.runtime.shutdown import Stop
from job.runtime.terminal import Progress


@dataclass(slots=True)
class Place(Context):
    """What a command works with, and where it shows how far it is."""

    progress: Progress


@contextmanager
def place(settings: Settings, stop: Stop) -> Iterator[Place]:
    """The way to the cluster, while a command works."""
    counts = Counts()
    cluster = connect(settings, counts.requested)
    progress = Progress(sys.stderr)
    try:
        yield Place(settings, cluster, counts, stop, progress)
    finally:
        progress.end()
        cluster.close()
