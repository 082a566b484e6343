"""The report in the journal of each of its namespaces."""

from __future__ import annotations

import functools
import logging

from job.domain.model import Outcome
from job.domain.records import replace
from job.journal.records import finish_run, is_overtaken
from job.publish.sink import Publication
from job.run.admission import JournalEntry
from job.runtime.logs import log_defect

log = logging.getLogger(__name__)


class JournalSink:
    """Writes the end of the run into the journals, and finds out where a later run has taken over."""

    name = "the journal"
    needs_lock = True

    def publish(self, publication: Publication) -> Publication:
        """See `Sink`."""
        # A locked-out run must not overwrite the other run's journal.
        if publication.report.outcome is Outcome.LOCKED:
            return publication
        overtaken = {name for name, entry in publication.entries.items() if _finish(publication, name, entry)}
        return replace(publication, overtaken=publication.overtaken | overtaken)


def _finish(publication: Publication, namespace: str, entry: JournalEntry) -> bool:
    """Whether a run that began since has taken over the namespace."""
    change = functools.partial(
        finish_run,
        report=publication.report,
        namespace=namespace,
        run=entry.record,
        narrowed=publication.run.settings.narrowed,
    )
    try:
        journal = entry.store.update(change)
    except Exception as error:  # A defect in one namespace must not lose the others' entries.
        log_defect(f"the journal of {namespace} was not written", error)
        return False
    if journal is None or not is_overtaken(journal, publication.run.id):
        return False
    log.warning("journal and metrics of %s are left to the run that has begun since and took the lock", namespace)
    return True
