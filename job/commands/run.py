"""`run` and `plan`."""

from __future__ import annotations

import logging
import os

from job.admission import frozen, locked
from job.commands.places import place
from job.commands.showing import show
from job.running import perform, start
from job.settings import Settings
from job.stopping import Stop

log = logging.getLogger(__name__)


def run(command: str, settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Import, or for a plan look up, what was asked for; returns the exit status."""
    if settings.gateway is None and command == "run":
        log.info("PUSHGATEWAY_ADDRESS is not set: no metrics are pushed")
    with place(settings, stop) as where:
        progress = where.progress
        run = start(where, command=command, environment=os.environ, progress=progress.show)
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
