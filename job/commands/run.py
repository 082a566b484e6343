"""`run` and `plan`."""

from __future__ import annotations

import functools
import logging
import os

from job.config.settings import Settings
from job.domain.model import Command
from job.run.admission import entries_of, freeze_of, frozen_report, locked
from job.run.context import Run
from job.run.engine import perform, start
from job.run.session import Place, place
from job.runtime.background import Background
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
        if run.dry_run:
            report = perform(run)
            where.progress.end()
            return show(report, as_table=as_table)
        shown = _import(where, run, as_table=as_table)
    # Everything is published and the lock is free, however long the reader of stdout takes.
    return shown.result()


def _import(where: Place, run: Run, *, as_table: bool) -> Background[int]:
    """Import and publish; what shows the report has begun where there was time for it."""
    from job.publish.publisher import publish
    from job.publish.sink import Publication

    if (freeze := freeze_of(run)) is not None:
        report = frozen_report(run, freeze)
        shown = Background(functools.partial(show, report, as_table=as_table), "stdout")
        publish(Publication(run, report, entries_of(run), os.environ, shown=shown))
        return shown
    with locked(run) as admission:
        report = perform(run, admission)
        where.progress.end()
        shown = Background(functools.partial(show, report, as_table=as_table), "stdout")
        publish(Publication(run, report, admission.entries, os.environ, shown=shown), admission.release)
        return shown
