"""`run` and `plan`."""

from __future__ import annotations

import logging
import os

from job.config.settings import Settings
from job.domain.model import Command, Report
from job.run.admission import entries_of, freeze_of, frozen_report, locked
from job.run.context import Run
from job.run.engine import perform, start
from job.run.session import Place, place
from job.runtime.shutdown import Stop
from job.views.output import show

log = logging.getLogger(__name__)


def run(command: Command, settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Import the chosen tags, or for a plan query their registries; returns the exit status."""
    if settings.gateway is None and command is Command.RUN:
        log.info("PUSHGATEWAY_ADDRESS is not set: no metrics are pushed")
    with place(settings, stop) as where:
        run = start(
            where,
            command=command,
            dry_run=command is Command.PLAN,
            environment=os.environ,
            progress=where.progress,
        )
        report = perform(run) if run.dry_run else _import(where, run)
    # Everything is published and the lock is free, however long the reader of stdout takes.
    return show(report, as_table=as_table)


def _import(where: Place, run: Run) -> Report:
    from job.publish.publisher import publish
    from job.publish.sink import Publication

    if (freeze := freeze_of(run)) is not None:
        report = frozen_report(run, freeze)
        publish(Publication(run, report, entries_of(run), os.environ))
        return report
    with locked(run) as admission:
        report = perform(run, admission)
        where.progress.end()
        publish(Publication(run, report, admission.entries, os.environ), admission.release)
        return report
