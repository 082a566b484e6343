"""Who works on which cluster, so that what is shown, asked and reported can say it."""

from __future__ import annotations

import threading

from job.cluster import Cluster
from job.cluster.whoami import current_user
from job.domain.model import Identity


class IdentityLookup:
    """Asks the API for the user's name while the command works; a command never waits for the answer to end."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._user: str | None = None
        self._thread = threading.Thread(target=self._ask, name="identity", daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        self._user = current_user(self._cluster)

    def get(self, seconds: float = 0.0) -> Identity:
        """Server, context and user; the user is None where the answer takes longer than `seconds`."""
        self._thread.join(seconds)
        return Identity(self._cluster.server, self._cluster.context, self._user)
