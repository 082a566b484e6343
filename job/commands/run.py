"""`run` and `plan`."""

from __future__ import annotations

import functools
import logging
import os

from job.config.settings import Settings
from job.domain.model import Command
from job.domain.records import replace
from job.run.admission import entries_of, locked
from job.run.engine import perform, start
from job.run.rules import Ruling, frozen_report, rule, warn_of_freeze
from job.run.session import Place, place
from job.runtime.background import Background
from job.runtime.clock import process_age
from job.runtime.shutdown import Stop
from job.views.output import show

log = logging.getLogger(__name__)


def run(
    command: Command,
    settings: Settings,
    stop: Stop,
    *,
    as_table: bool,
    is_whole_process: bool = False,
    plan_file: str | None = None,
) -> int:
    """Import the chosen tags, or for a plan query their registries; returns the exit status.

    With `is_whole_process` the run began when the process started; else it is a step of another command. With
    `plan_file` only the images of that plan are imported.
    """
    planned = server = None
    if plan_file is not None:
        from job.run.plan_file import read_plan, settings_for

        plan = read_plan(plan_file)
        settings, planned, server = settings_for(plan, settings), plan.tags, plan.server
    if settings.gateway is None and command is Command.RUN:
        log.info("PUSHGATEWAY_ADDRESS is not set: no metrics are pushed")
    with place(settings, stop) as where:
        run = start(
            where,
            command=command,
            dry_run=command is Command.PLAN,
            environment=os.environ,
            progress=where.progress,
            startup=process_age() if is_whole_process else 0.0,
        )
        if server is not None and server != where.cluster.server:
            # A pod knows the API by another address than a workstation.
            log.warning("the plan was made at %s, and this is %s", server, where.cluster.server)
        run = replace(run, planned=planned)
        ruling = rule(run)
        if run.dry_run:
            report = perform(ruling.run)
            where.progress.end()
            return show(report, as_table=as_table)
        shown = _import(where, ruling, as_table=as_table)
    # Everything is published and the lock is free, however long the reader of stdout takes.
    return shown.result()


def _import(where: Place, ruling: Ruling, *, as_table: bool) -> Background[int]:
    """Import and publish; what shows the report has begun where there was time for it."""
    from job.publish.publisher import publish
    from job.publish.sink import Publication

    run, frozen = ruling.run, ruling.frozen or {}
    if ruling.is_frozen:
        report = frozen_report(ruling)
        shown = Background(functools.partial(show, report, as_table=as_table), "stdout")
        publish(Publication(run, report, entries_of(run, run.namespaces), os.environ, shown=shown))
        return shown
    warn_of_freeze(ruling)
    with locked(run, ruling.refused, frozen) as admission:
        report = perform(run, admission)
        where.progress.end()
        shown = Background(functools.partial(show, report, as_table=as_table), "stdout")
        entries = {**admission.entries, **entries_of(run, frozen)}
        publish(Publication(run, report, entries, os.environ, shown=shown), admission.release)
        return shown
