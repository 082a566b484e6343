"""The report as one message to people, where NOTIFY is set."""

from __future__ import annotations

import functools
import logging
from collections import Counter

from job.domain.model import Outcome
from job.domain.news import TagKey, news_of
from job.journal.records import gone_after
from job.publish.notified import notified_of
from job.publish.sink import Publication

log = logging.getLogger(__name__)


class NotifySink:
    """Sends the message, remembers what it said, and counts what became of it. The last of the sinks."""

    name = "the message"
    needs_lock = False

    def publish(self, publication: Publication) -> Publication:
        """See `Sink`."""
        settings, report = publication.run.settings.notify, publication.report
        if settings is None or report.outcome in (Outcome.FROZEN, Outcome.LOCKED):
            return publication
        notified = notified_of(publication)
        news = news_of(report, notified.known(report.namespaces), functools.partial(_is_gone, publication))
        if not news.is_wanted(settings.notify_on, report.outcome):
            return publication
        # Loads apprise, which most runs do not need.
        from job.publish.notify import notify

        results = notify(settings, report, news)
        for service, problem in results.items():
            if problem is None:
                log.info("the message was sent to service %s of NOTIFY", service)
            else:
                log.error("the message was not sent to service %s of NOTIFY: %s", service, problem)
        if any(problem is None for problem in results.values()):
            # A problem that no service took is news for the next run.
            notified.remember(news.problems)
        _count(publication, Counter("sent" if problem is None else "failed" for problem in results.values()))
        return publication


def _is_gone(publication: Publication, namespace: str, key: TagKey) -> bool:
    """Whether a tag that a message was about does not exist any more."""
    run, entry = publication.run, publication.entries.get(namespace)
    if entry is None or entry.before is None:
        return False
    return gone_after(entry.before, publication.report, namespace, entry.record, narrowed=run.settings.narrowed)(key)


def _count(publication: Publication, results: Counter[str]) -> None:
    gateway = publication.run.settings.gateway
    if gateway is None:
        return
    from job.publish.push import push_notifications

    push_notifications(publication, gateway, results)
