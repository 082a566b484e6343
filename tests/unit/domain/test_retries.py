"""Whether a failed request is sent again, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.errors import ClusterError
from job.domain.model import Outcome, Reason, RetryClass, Skip
from job.domain.retries import LONGEST_WAIT_SECONDS, Attempts, RetryPolicy, backoff
from job.runtime.retry import PATIENCE_SECONDS, retrier
from tests.unit.objects import ManualClock

TRIES = st.integers(1, 1_000_000)
CHANCES = st.floats(0, 1, exclude_max=True)
REASONS = st.sampled_from(Reason)
PASSING = [reason for reason in Reason if reason.retry_class is RetryClass.BACKOFF]


@pytest.mark.parametrize("kind", [Reason, Skip, Outcome])
def test_every_member_says_what_it_means(kind: type[Reason] | type[Skip] | type[Outcome]) -> None:
    for member in kind:
        assert member.meaning.endswith("."), member
        assert kind(str(member)) is member


class TestWaits:
    @given(TRIES, REASONS, CHANCES)
    def test_they_are_above_nothing_and_bounded(self, tries: int, reason: Reason, chance: float) -> None:
        assert 0 < backoff(tries, reason, None, chance) <= LONGEST_WAIT_SECONDS

    @given(TRIES, REASONS, CHANCES, st.floats(0, 1e6))
    def test_they_are_never_shorter_than_the_server_asks(
        self, tries: int, reason: Reason, chance: float, retry_after: float
    ) -> None:
        assert retry_after <= backoff(tries, reason, retry_after, chance) <= retry_after + 1

    @given(st.integers(1, 50), REASONS, CHANCES)
    def test_they_grow(self, tries: int, reason: Reason, chance: float) -> None:
        assert backoff(tries, reason, None, chance) <= backoff(tries + 1, reason, None, chance)

    @given(TRIES, REASONS)
    def test_half_of_them_is_random(self, tries: int, reason: Reason) -> None:
        assert backoff(tries, reason, None, 1.0) == pytest.approx(2 * backoff(tries, reason, None, 0.0))

    def test_a_conflict_passes_sooner_than_an_overload(self) -> None:
        conflict = backoff(1, Reason.CONFLICT, None, 0.5)
        assert conflict <= 0.1 < backoff(1, Reason.RATE_LIMITED, None, 0.5)


class TestPolicy:
    @given(st.lists(REASONS, max_size=12), st.integers(0, 6), CHANCES)
    def test_how_often_is_bounded_by_retries_and_by_what_may_pass(
        self, failures: list[Reason], retries: int, chance: float
    ) -> None:
        policy, attempts, again = RetryPolicy(retries), Attempts(), 0
        for reason in failures:
            retry = policy.decide(ClusterError(reason, "no"), attempts, chance)
            if retry is None:
                used_up = attempts.retries == retries
                second_timeout = reason is Reason.TIMEOUT and attempts.timeouts == 1
                assert used_up or second_timeout or reason.retry_class is RetryClass.NEVER
                return
            assert retry.attempts.retries == attempts.retries + 1
            assert retry.attempts.timeouts <= 1
            attempts, again = retry.attempts, again + 1
            assert again <= retries

    def test_a_timeout_is_tried_once_more(self) -> None:
        late, policy = ClusterError(Reason.TIMEOUT, "late"), RetryPolicy(4)
        first = policy.decide(late, Attempts(), 0.5)
        assert first is not None
        assert policy.decide(late, first.attempts, 0.5) is None

    @given(st.sampled_from(PASSING), CHANCES)
    def test_a_computed_wait_is_cut_and_one_that_was_asked_for_is_not(self, reason: Reason, chance: float) -> None:
        policy = RetryPolicy(9, longest_wait=0.01)
        cut = policy.decide(ClusterError(reason, "no"), Attempts(5), chance)
        asked = policy.decide(ClusterError(reason, "no", retry_after=7.0), Attempts(5), chance)
        assert cut is not None
        assert asked is not None
        assert cut.wait <= 0.01 < 7.0 <= asked.wait

    @given(st.integers(0, 20), st.sampled_from(PASSING), CHANCES)
    def test_all_waits_of_a_budget_are_bounded(self, retries: int, reason: Reason, chance: float) -> None:
        policy, attempts, waits = RetryPolicy(retries), Attempts(), []
        while retry := policy.decide(ClusterError(reason, "no"), attempts, chance):
            waits.append(retry.wait)
            attempts = retry.attempts
        assert len(waits) == retries
        assert sum(waits) <= LONGEST_WAIT_SECONDS * retries
        assert waits == sorted(waits)


class TestRetrier:
    @given(st.lists(REASONS, max_size=8), st.integers(0, 6))
    def test_it_calls_until_it_succeeds_or_must_not_call_again(self, failures: list[Reason], retries: int) -> None:
        calls: list[Reason | None] = []
        told: list[Reason] = []

        def call() -> str:
            failure = failures[len(calls)] if len(calls) < len(failures) else None
            calls.append(failure)
            if failure:
                raise ClusterError(failure, "no", retry_after=0)
            return "done"

        try:
            assert retrier(retries, lambda: False, ManualClock().clock).call(call, told.append) == "done"
            assert calls[-1] is None
        except ClusterError as error:
            assert error.reason is calls[-1]
        assert len(calls) <= retries + 1
        assert told == calls[:-1]

    def test_a_server_that_asks_for_an_hour_is_not_waited_for(self) -> None:
        clock, calls = ManualClock(), 0

        def call() -> None:
            nonlocal calls
            calls += 1
            raise ClusterError(Reason.RATE_LIMITED, "later", retry_after=3600.0)

        with pytest.raises(ClusterError):
            retrier(4, lambda: False, clock.clock).call(call)
        assert calls == 1
        assert clock.slept == []

    def test_it_waits_as_long_as_it_says(self) -> None:
        clock, left = ManualClock(), [ClusterError(Reason.API_ERROR, "no", retry_after=PATIENCE_SECONDS / 2)]

        def call() -> None:
            if left:
                raise left.pop()

        retrier(4, lambda: False, clock.clock).call(call)
        assert sum(clock.slept) >= PATIENCE_SECONDS / 2

    def test_told_to_stop_it_does_not_wait(self) -> None:
        clock, stopped = ManualClock(), False

        def call() -> None:
            nonlocal stopped
            stopped = True
            raise ClusterError(Reason.API_ERROR, "no")

        with pytest.raises(ClusterError):
            retrier(4, lambda: stopped, clock.clock).call(call)
        assert clock.slept == []
