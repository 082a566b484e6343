"""The locks of a run while it works: renewed from a thread of its own, and released in the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from job.domain.errors import ImportImagesError
from job.run.lease import RENEW_SECONDS, Lock
from job.runtime.logs import log_defect
from job.runtime.pool import gather

log = logging.getLogger(__name__)

RELEASE_SECONDS = 4.0


class NoThreadError(ImportImagesError):
    """The lock could not be renewed, so that the run did not begin."""

    exit_status = 3


class Keeper:
    """Renews locks from a thread of its own until they are released, `at_once` of them at a time."""

    def __init__(self, lost: Callable[[str], None], at_once: int) -> None:
        self._locks: list[Lock] = []
        self._at_once = at_once
        self._lost = lost
        self._ended = threading.Event()
        self._releasing = threading.Lock()
        self._thread = threading.Thread(target=self._renew, name="locks", daemon=True)

    def keep(self, lock: Lock) -> None:
        """Renew this one, too; it was taken just now."""
        self._locks.append(lock)

    def __enter__(self) -> Keeper:
        """Start renewing.

        Raises:
            NoThreadError: the machine has no thread to give.
        """
        try:
            self._thread.start()
        except RuntimeError as error:
            message = f"no thread can be started to renew the lock ({error}): raise the limit of processes (pids)"
            raise NoThreadError(f"{message}; nothing was imported") from error
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Release the locks, which takes at most twice `RELEASE_SECONDS`. A second call waits for the first."""
        with self._releasing:
            if not self._ended.is_set():
                self._ended.set()
                self._thread.join(RELEASE_SECONDS)
                self._release()

    def _release(self) -> None:
        until = time.monotonic() + RELEASE_SECONDS
        releases = {lock: lock.release for lock in self._locks}
        try:
            released = gather(releases, self._at_once, lambda: time.monotonic() > until)
        except Exception as error:  # A defect here must not keep the report from being published.
            log_defect("a lock was not released, and expires by itself", error)
            return
        for lock in releases:
            if lock not in released:
                log.info("the lock in %s was not released in time; it expires by itself", lock.namespace)

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            for lock in list(self._locks):
                if self._ended.is_set():
                    return
                # Each may take its time when the API hangs, so all are checked before each renewal.
                late = next((held for held in self._locks if held.expired), None)
                if late or not lock.renew():
                    self._lost((late or lock).namespace)
                    return
