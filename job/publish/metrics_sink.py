"""The report as metrics of a Pushgateway, where one is set."""

from __future__ import annotations

import functools
import logging

from job.domain.model import Outcome
from job.publish.sink import Publication
from job.runtime.background import call_within

log = logging.getLogger(__name__)

# The requests have 120 s in all; a gateway that sends byte by byte could make each of them last for ever.
SECONDS = 150.0


class MetricsSink:
    """Pushes metrics, after the report is shown and the lock released, since a gateway may take its time to answer."""

    name = "metrics"
    needs_lock = False

    def publish(self, publication: Publication) -> Publication:
        """See `Sink`."""
        gateway = publication.run.settings.gateway
        # A locked-out run must not overwrite the other run's metrics.
        if gateway is not None and publication.report.outcome is not Outcome.LOCKED:
            # Most commands do not need it.
            from job.publish.push import push_metrics

            if not call_within(SECONDS, functools.partial(push_metrics, publication, gateway), "metrics"):
                log.error("metrics were not pushed within %g s: %s does not end its answer", SECONDS, gateway.url)
        return publication
