"""The journal, read from and written to its ConfigMap; several runs may do so at a time."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from job.cluster import CONFIG_MAPS, Cluster
from job.domain.errors import ClusterError
from job.domain.failures import PASSING
from job.domain.model import Reason
from job.domain.text import clean
from job.journal.records import NAME, Journal, decode, encode
from job.runtime.pool import wait_before

log = logging.getLogger(__name__)

TRIES = 6


class JournalStore:
    """The journal of one namespace. What goes wrong with it is a warning: a run does not depend on it."""

    def __init__(self, cluster: Cluster, namespace: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._sleep = sleep
        self._warned = False

    def read(self) -> Journal | None:
        """The journal; an empty one where there is none yet, None where it cannot be read."""
        try:
            return self._get()[0]
        except ClusterError as error:
            self._warn("cannot be read", error)
            return None

    def update(self, change: Callable[[Journal], Journal]) -> Journal | None:
        """Change the journal; on a conflict with another writer the change is made again to what that one wrote.

        Returns:
            The journal as it is now, or None where it could not be written.
        """
        for tries in range(1, TRIES + 1):
            try:
                journal, version = self._get()
                changed = change(journal)
                self._put(changed, version)
                return changed
            except ClusterError as error:
                # A timeout is tried once more; and one that was deleted since it was read is made anew.
                once_more = tries == 1 and error.code in (404, 504)
                if tries == TRIES or not (error.reason in PASSING or once_more):
                    self._warn("cannot be written", error)
                    return None
                self._sleep(min(5.0, wait_before(tries, error.reason, error.retry_after, random.random)))
        return None

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
                "the journal %s/%s is begun anew: it was unreadable (%s)", self.namespace, NAME, clean(str(error))
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
            self._cluster.replace(CONFIG_MAPS, self.namespace, body)

    def _warn(self, what: str, error: ClusterError) -> None:
        if self._warned:
            return
        self._warned = True
        advice = " (grant get, create and update on that ConfigMap)" if error.reason is Reason.FORBIDDEN else ""
        log.warning("the journal %s/%s %s: %s%s", self.namespace, NAME, what, error, advice)
