"""One report to every sink.

None of the sinks changes the exit status; what fails is logged.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from job.domain.records import replace
from job.publish.events import EventsSink
from job.publish.journal_entries import JournalSink
from job.publish.metrics_sink import MetricsSink
from job.publish.notify_sink import NotifySink
from job.publish.sink import Publication, Sink
from job.publish.stdout import StdoutSink
from job.publish.termination import TerminationSink
from job.runtime.logs import log_defect

log = logging.getLogger(__name__)

# In this order: first what nothing else could restore, last what depends on an external server. Those that need the
# lock come before those that do not.
SINKS: tuple[Sink, ...] = (
    TerminationSink(),
    JournalSink(),
    EventsSink(),
    StdoutSink(),
    MetricsSink(),
    NotifySink(),
)
SECONDS_AFTER_A_STOP = 12.0


def publish(publication: Publication, release: Callable[[], None] = lambda: None) -> None:
    """Give a run's report to every sink; once the run was asked to stop, for no longer than the pod has time for.

    Args:
        publication: the report, and what the sinks need besides.
        release: releases the run's locks. Called before the first sink that does not need them.
    """
    publisher = threading.Thread(target=_publish, args=(publication, release), name="publisher", daemon=True)
    begun, stop = time.monotonic(), publication.run.stop
    try:
        publisher.start()
    except RuntimeError:
        # The machine has no thread to give. Sinks that hang cannot be left then, and the report is not lost.
        _publish(publication, release)
        return
    while publisher.is_alive():
        publisher.join(0.2)
        since = max(stop.since or 0.0, begun) if stop else None
        if since is not None and time.monotonic() - since > SECONDS_AFTER_A_STOP:
            log.error("no time left to publish all of the report: journal, Events or metrics may be missing")
            return


def _publish(publication: Publication, release: Callable[[], None]) -> None:
    for sink in SINKS:
        try:
            if not sink.needs_lock and publication.released_at is None and _may_release(publication):
                release()
                publication = replace(publication, released_at=time.monotonic())
            publication = sink.publish(publication)
        except Exception as error:  # Each sink logs the failures that it knows; this one is a defect of the program.
            log_defect(f"{sink.name} could not be written", error)


def _may_release(publication: Publication) -> bool:
    """Whether a later run can be noticed without the lock: it writes into the journal that it has begun."""
    return all(entry.before is not None for entry in publication.entries.values())
