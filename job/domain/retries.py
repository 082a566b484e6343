"""When a failed request is sent again: one policy for every request of the program."""

from __future__ import annotations

from job.domain.errors import ClusterError
from job.domain.model import Reason, RetryClass
from job.domain.records import dataclass

FIRST_WAIT_SECONDS = 1.0
FIRST_CONFLICT_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Attempts:
    """The retries used so far: in all, and after a timeout."""

    retries: int = 0
    timeouts: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """That a request is to be sent again: in how many seconds, and what is spent by then."""

    wait: float
    attempts: Attempts


def backoff(tries: int, reason: Reason, retry_after: float | None, chance: float) -> float:
    """Seconds to wait after so many failed tries: exponential, half of it random, never less than the server asked for.

    Args:
        tries: how many tries failed, from 1.
        reason: why the last one failed; a conflict passes sooner than an overload.
        retry_after: what the server asked for (RFC 9110, Retry-After), in seconds.
        chance: a random number in [0, 1).
    """
    first = FIRST_CONFLICT_WAIT_SECONDS if reason is Reason.CONFLICT else FIRST_WAIT_SECONDS
    if retry_after is not None:
        return retry_after + first * chance
    longest: float = min(LONGEST_WAIT_SECONDS, first * 2 ** min(tries - 1, 16))
    return longest * (1 + chance) / 2


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how long apart.

    Attributes:
        retries: RETRIES: retries at most, at most one of them after a timeout.
        longest_wait: seconds; a computed wait is cut to it.
        patience: seconds; where the wait would be longer, since the server asked for it, there is no other try.
    """

    retries: int
    longest_wait: float = LONGEST_WAIT_SECONDS
    patience: float = float("inf")

    def decide(self, error: ClusterError, attempts: Attempts, chance: float) -> Retry | None:
        """Whether to try again after `error`, and when; None where another try cannot help or none is left.

        Args:
            error: why the last try failed.
            attempts: what was spent on the tries before it.
            chance: a random number in [0, 1).
        """
        retry_class = error.reason.retry_class
        timeouts = attempts.timeouts + (retry_class is RetryClass.ONCE)
        if retry_class is RetryClass.NEVER or timeouts > 1 or attempts.retries >= self.retries:
            return None
        spent = Attempts(attempts.retries + 1, timeouts)
        wait = backoff(spent.retries, error.reason, error.retry_after, chance)
        if error.retry_after is None:
            wait = min(wait, self.longest_wait)
        return Retry(wait, spent) if wait <= self.patience else None
