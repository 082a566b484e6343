"""The report's summary as the container's termination message, which `oc describe pod` shows."""

from __future__ import annotations

import logging
import os

from job.publish.sink import Publication
from job.views.documents import termination_message

log = logging.getLogger(__name__)

TERMINATION_LOG = "/dev/termination-log"


class TerminationSink:
    """Writes the file that the kubelet reads (Kubernetes: `terminationMessagePath`)."""

    name = "the termination message"
    needs_lock = True

    def publish(self, publication: Publication) -> Publication:
        """See `Sink`."""
        path = publication.environment.get("TERMINATION_LOG") or TERMINATION_LOG
        # Only a container has the file; it is never created.
        if os.path.exists(path):  # noqa: PTH110 - pathlib is slow to load
            try:
                with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - the same
                    file.write(termination_message(publication.report))
            except OSError as error:
                log.warning("the termination message was not written: %s", error)
        return publication
