"""Reading and writing the journal's ConfigMap; several runs may do so at the same time."""

from __future__ import annotations

import logging
from collections.abc import Callable

from job.cluster import Cluster
from job.domain.errors import ClusterError
from job.domain.retries import Attempts
from job.domain.text import clean
from job.journal import config_maps
from job.journal.decoding import NAME, decode
from job.journal.encoding import encode
from job.journal.records import Journal
from job.runtime.clock import SYSTEM, Clock

log = logging.getLogger(__name__)


class JournalStore:
    """The journal of one namespace. A problem with it is a warning, since no run depends on it."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Clock = SYSTEM) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._clock = clock
        self._warned = False
        # What was written last, with its version: the next change needs no read unless another client wrote meanwhile.
        self._written: tuple[Journal, str] | None = None

    def read(self) -> Journal | None:
        """The journal: an empty one where there is none yet, None where the API refuses it."""
        try:
            return self._get()[0]
        except ClusterError as error:
            self._warn("cannot be read", error)
            return None

    def update(self, change: Callable[[Journal], Journal]) -> Journal | None:
        """Change the journal; after a conflict the change is applied again to what the other writer wrote.

        Returns:
            The journal as it is now, or None where it could not be written.
        """
        attempts = Attempts()
        while True:
            try:
                journal, version = self._written or self._get()
                self._written = None
                changed = change(journal)
                self._written = changed, self._put(changed, version)
                return changed
            except ClusterError as error:
                retry = config_maps.POLICY.decide(error, attempts, self._clock.chance())
                if retry is None:
                    self._warn("cannot be written", error)
                    return None
                self._clock.sleep(retry.wait)
                attempts = retry.attempts

    def _get(self) -> tuple[Journal, str | None]:
        config_map = config_maps.get(self._cluster, self.namespace, NAME)
        if config_map is None:
            return Journal(), None
        try:
            journal = decode(config_map)
        except ValueError as error:
            log.warning(
                "the journal %s/%s cannot be read and was started afresh: %s", self.namespace, NAME, clean(str(error))
            )
            journal = Journal()
        return journal, str(config_map["metadata"]["resourceVersion"])

    def _put(self, journal: Journal, version: str | None) -> str:
        metadata = {"name": NAME, "namespace": self.namespace, "labels": config_maps.LABELS}
        if version is not None:
            metadata["resourceVersion"] = version
        content = {"metadata": metadata, **encode(journal)}
        return config_maps.put(self._cluster, self.namespace, content, is_new=version is None)

    def _warn(self, what: str, error: ClusterError) -> None:
        if self._warned:
            return
        self._warned = True
        advice = " (grant get, create and update on that ConfigMap)" if error.lacks_right else ""
        log.warning("the journal %s/%s %s: %s%s", self.namespace, NAME, what, error, advice)
