"""Reading and writing the journal's ConfigMap; several runs may do so at the same time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from job.cluster import CONFIG_MAPS, Cluster
from job.domain.errors import ClusterError
from job.domain.model import Reason
from job.domain.retries import Attempts, RetryPolicy
from job.domain.text import clean
from job.journal.encoding import NAME, decode, encode
from job.journal.records import Journal
from job.runtime.clock import SYSTEM, Clock

log = logging.getLogger(__name__)

# A journal is small and written often by several runs, so that conflicts are usual and waits are short.
POLICY = RetryPolicy(retries=5, longest_wait=5.0, patience=5.0)


class JournalStore:
    """The journal of one namespace. A problem with it is a warning, since no run depends on it."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Clock = SYSTEM) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._clock = clock
        self._warned = False

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
                journal, version = self._get()
                changed = change(journal)
                self._put(changed, version)
                return changed
            except ClusterError as error:
                retry = POLICY.decide(error, attempts, self._clock.chance())
                if retry is None:
                    self._warn("cannot be written", error)
                    return None
                self._clock.sleep(retry.wait)
                attempts = retry.attempts

    def _get(self) -> tuple[Journal, str | None]:
        try:
            found = self._cluster.get(CONFIG_MAPS, self.namespace, NAME)
        except ClusterError as error:
            if error.code == 404:
                return Journal(), None
            raise
        try:
            journal = decode(found)
        except ValueError as error:
            log.warning(
                "the journal %s/%s cannot be read and was started afresh: %s", self.namespace, NAME, clean(str(error))
            )
            journal = Journal()
        return journal, str(found["metadata"]["resourceVersion"])

    def _put(self, journal: Journal, version: str | None) -> None:
        metadata = {
            "name": NAME,
            "namespace": self.namespace,
            "labels": {"app.kubernetes.io/name": "import-images"},
        }
        body = {
            "apiVersion": CONFIG_MAPS.api_version,
            "kind": CONFIG_MAPS.kind,
            "metadata": metadata,
            **encode(journal),
        }
        if version is None:
            self._cluster.create(CONFIG_MAPS, self.namespace, body)
        else:
            metadata["resourceVersion"] = version
            self._replace(body)

    def _replace(self, body: Mapping[str, Any]) -> None:
        try:
            self._cluster.replace(CONFIG_MAPS, self.namespace, body)
        except ClusterError as error:
            if error.code != 404:
                raise
            # It was deleted since it was read, which is one more way in which another client came first.
            raise ClusterError(Reason.CONFLICT, str(error), code=409) from error

    def _warn(self, what: str, error: ClusterError) -> None:
        if self._warned:
            return
        self._warned = True
        advice = " (grant get, create and update on that ConfigMap)" if error.lacks_right else ""
        log.warning("the journal %s/%s %s: %s%s", self.namespace, NAME, what, error, advice)
