"""Requests that are sent again where that may help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from job.domain.errors import ClusterError
from job.domain.model import Reason
from job.domain.records import dataclass
from job.domain.retries import Attempts, RetryPolicy
from job.runtime.clock import SYSTEM, Clock

T = TypeVar("T")

# Upper bound for honouring Retry-After where a request is waited for in place.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Retrier:
    """Sends a request until it succeeds, another try cannot help, or the program is to stop.

    Attributes:
        policy: how often and how long apart.
        stopping: whether to give up; asked several times a second while waiting.
        clock: where waits and their random part come from.
    """

    policy: RetryPolicy
    stopping: Callable[[], bool]
    clock: Clock = SYSTEM

    def call(self, request: Callable[[], T], retried: Callable[[Reason], None] = lambda reason: None) -> T:
        """What `request` returns.

        Args:
            request: sends it once; raises `ClusterError` where it failed.
            retried: called with the reason before each further try.

        Raises:
            ClusterError: the last one.
        """
        attempts = Attempts()
        while True:
            try:
                return request()
            except ClusterError as error:
                attempts = self.wait(error, attempts)
                retried(error.reason)

    def wait(self, error: ClusterError, attempts: Attempts) -> Attempts:
        """Wait until the next try; returns what is spent by then.

        Raises:
            ClusterError: `error`, where there is no next try.
        """
        retry = None if self.stopping() else self.policy.decide(error, attempts, self.clock.chance())
        if retry is None:
            raise error
        self.clock.pause(retry.wait, self.stopping)
        if self.stopping():
            raise error
        return retry.attempts


def retrier(retries: int, stopping: Callable[[], bool], clock: Clock = SYSTEM) -> Retrier:
    """A `Retrier` for requests that are waited for in place: no single wait is longer than two minutes."""
    return Retrier(RetryPolicy(retries, patience=PATIENCE_SECONDS), stopping, clock)
