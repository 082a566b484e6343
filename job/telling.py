"""What is done with a report: termination message, journal, metrics and Events.

None of it changes what the run ends with; what fails is logged.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path

from job.events import events_of, post
from job.journal import ended
from job.model import Outcome, Report
from job.reporting import termination_message
from job.running import Run

log = logging.getLogger(__name__)

TERMINATION_LOG = "/dev/termination-log"


def tell(run: Run, report: Report, environment: Mapping[str, str]) -> None:
    """Pass a run's report on."""
    _leave_message(report, Path(environment.get("TERMINATION_LOG") or TERMINATION_LOG))
    if report.outcome is Outcome.LOCKED:
        # Metrics and journal are the other run's.
        return
    for namespace, memory in run.memories.items():
        memory.update(
            functools.partial(
                ended, report=report, namespace=namespace, run=run.records[namespace], narrowed=run.settings.narrowed
            )
        )
    if run.settings.gateway is not None:
        from job.pushing import push_metrics

        push_metrics(run, report, run.settings.gateway, environment.get("POD_NAMESPACE", "").strip())
    for namespace in report.namespaces:
        post(run.cluster, namespace, events_of(report, namespace, run.trigger.owner), report.finished_at)


def _leave_message(report: Report, path: Path) -> None:
    # Only a container has the file; it is never made.
    if path.exists():
        try:
            path.write_text(termination_message(report), encoding="utf-8")
        except OSError as error:
            log.warning("the termination message was not written: %s", error)
