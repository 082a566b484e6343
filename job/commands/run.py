"""`run` and `plan`."""

from __future__ import annotations

import logging
import os
import sys

from job.admission import frozen, locked
from job.clusters.connecting import connect
from job.commands.showing import show
from job.progress import Progress
from job.running import perform, start
from job.runs import Counts
from job.settings import Settings
from job.stopping import Stop

log = logging.getLogger(__name__)


def run(command: str, settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Import, or for a plan look up, what was asked for; returns the exit status."""
    if settings.gateway is None and command == "run":
        log.info("PUSHGATEWAY_ADDRESS is not set: no metrics are pushed")
    counts = Counts()
    cluster = connect(settings, counts.requested)
    progress = Progress(sys.stderr)
    try:
        run = start(settings, cluster, counts, stop, command=command, environment=os.environ, progress=progress.show)
        if command == "plan":
            return show(perform(run), progress, as_table=as_table)
        from job.telling import tell

        if (report := frozen(run)) is not None:
            show(report, progress, as_table=as_table)
            tell(run, report, os.environ)
            return report.exit_status
        with locked(run) as refused:
            report = perform(run, refused)
            show(report, progress, as_table=as_table)
            tell(run, report, os.environ)
            return report.exit_status
    finally:
        progress.end()
        cluster.close()
