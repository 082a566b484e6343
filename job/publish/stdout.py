"""The report on stdout, which must not wait for a gateway."""

from __future__ import annotations

import logging

from job.publish.sink import Publication

log = logging.getLogger(__name__)

# How long the other sinks wait for a reader that takes its time, such as a pager.
SECONDS = 5.0


class StdoutSink:
    """Shows the report as soon as the lock is free, and before a gateway or a service may take its time."""

    name = "the report on stdout"
    needs_lock = False

    def publish(self, publication: Publication) -> Publication:
        """See `Sink`."""
        # What ends later, or goes wrong, is left to the command, which asks for the result.
        if publication.shown is not None:
            publication.shown.begin(SECONDS)
        return publication
