"""What is done with a report: termination message, journal, metrics and Events.

None of it changes what the run ends with; what fails is logged.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from job.config.settings import GatewaySettings
from job.domain.model import Outcome, Report
from job.journal.records import finish_run, is_overtaken
from job.publish.events import events_of, post
from job.run.context import Run
from job.views.documents import termination_message

log = logging.getLogger(__name__)

TERMINATION_LOG = "/dev/termination-log"
SECONDS_AFTER_A_STOP = 12.0


def tell(run: Run, report: Report, environment: Mapping[str, str]) -> None:
    """Pass a run's report on; once the run was told to stop, for no longer than the pod has time for."""
    teller = threading.Thread(target=_tell, args=(run, report, environment), name="telling", daemon=True)
    begun = time.monotonic()
    teller.start()
    while teller.is_alive():
        teller.join(0.2)
        since = max(run.stop.since or 0.0, begun) if run.stop else None
        if since is not None and time.monotonic() - since > SECONDS_AFTER_A_STOP:
            log.error("no time left to tell all of it: journal, metrics or Events may be missing")
            return


def _tell(run: Run, report: Report, environment: Mapping[str, str]) -> None:
    _guarded("the termination message", lambda: _leave_message(report, environment))
    # Of a run that was locked out, metrics and journal are the other run's.
    if report.outcome is not Outcome.LOCKED:
        overtaken: set[str] = set()
        for namespace in run.memories:
            remember = functools.partial(_remember, run, report, namespace, overtaken)
            _guarded(f"the journal of {namespace}", remember)
        if run.settings.gateway is not None:
            _guarded("metrics", functools.partial(_push, run, report, run.settings.gateway, environment, overtaken))
    events = events_of(report, run.trigger.owner)
    _guarded("Events", functools.partial(post, run.cluster, events, report.finished_at))


def _guarded(what: str, call: Callable[[], object]) -> None:
    """What was imported stays imported, and what is said of it stays true, whatever breaks here."""
    try:
        call()
    except Exception as error:  # Each of them tells of the failures that it knows; this is one that nobody foresaw.
        log.error("%s could not be written: %s: %s; please report it", what, type(error).__name__, error)


def _remember(run: Run, report: Report, namespace: str, overtaken: set[str]) -> None:
    change = functools.partial(
        finish_run, report=report, namespace=namespace, run=run.records[namespace], narrowed=run.settings.narrowed
    )
    journal = run.memories[namespace].update(change)
    if journal is not None and is_overtaken(journal, run.id):
        # What that run says of the tags is newer.
        overtaken.add(namespace)
        log.warning("journal and metrics of %s are left to the run that has begun since and took the lock", namespace)


def _push(
    run: Run, report: Report, settings: GatewaySettings, environment: Mapping[str, str], overtaken: Collection[str]
) -> None:
    from job.publish.push import push_metrics

    push_metrics(run, report, settings, environment.get("POD_NAMESPACE", "").strip(), overtaken)


def _leave_message(report: Report, environment: Mapping[str, str]) -> None:
    path = Path(environment.get("TERMINATION_LOG") or TERMINATION_LOG)
    # Only a container has the file; it is never made.
    if path.exists():
        try:
            path.write_text(termination_message(report), encoding="utf-8")
        except OSError as error:
            log.warning("the termination message was not written: %s", error)
