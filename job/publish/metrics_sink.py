"""The report as metrics of a Pushgateway, where one is set."""

from __future__ import annotations

from job.domain.model import Outcome
from job.publish.sink import Publication


class MetricsSink:
    """Pushes metrics. The last of the sinks, and without a lock, since a gateway may take its time to answer."""

    name = "metrics"
    needs_lock = False

    def publish(self, publication: Publication) -> Publication:
        """See `Sink`."""
        gateway = publication.run.settings.gateway
        # A locked-out run must not overwrite the other run's metrics.
        if gateway is not None and publication.report.outcome is not Outcome.LOCKED:
            # Loads the Prometheus client, which most commands do not need.
            from job.publish.push import push_metrics

            push_metrics(publication, gateway)
        return publication
