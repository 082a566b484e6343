"""How long to wait between tries, and how many tasks are under way at a time."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.errors import ClusterError
from job.domain.model import Reason
from job.runtime.pool import APART_SECONDS, LONGEST_WAIT_SECONDS, Limit, Pool, persist, wait_before

TRIES = st.integers(1, 1_000_000)
CHANCES = st.floats(0, 1, exclude_max=True)
REASONS = st.sampled_from(Reason)


def test_nobody_waits_for_an_hour_because_a_server_asks_for_it() -> None:
    calls: list[float] = []

    def call() -> None:
        calls.append(time.monotonic())
        raise ClusterError(Reason.RATE_LIMITED, "later", retry_after=3600.0)

    with pytest.raises(ClusterError):
        persist(call, 4, lambda: False)
    assert len(calls) == 1


class TestWaits:
    @given(TRIES, REASONS, CHANCES)
    def test_they_are_above_nothing_and_bounded(self, tries: int, reason: Reason, chance: float) -> None:
        assert 0 < wait_before(tries, reason, None, lambda: chance) <= LONGEST_WAIT_SECONDS

    @given(TRIES, REASONS, CHANCES, st.floats(0, 1e6))
    def test_they_are_never_shorter_than_the_server_asks(
        self, tries: int, reason: Reason, chance: float, retry_after: float
    ) -> None:
        assert retry_after <= wait_before(tries, reason, retry_after, lambda: chance) <= retry_after + 1

    @given(st.integers(1, 50), REASONS, CHANCES)
    def test_they_grow(self, tries: int, reason: Reason, chance: float) -> None:
        assert wait_before(tries, reason, None, lambda: chance) <= wait_before(tries + 1, reason, None, lambda: chance)

    @given(TRIES, REASONS)
    def test_half_of_them_is_chance(self, tries: int, reason: Reason) -> None:
        shortest = wait_before(tries, reason, None, lambda: 0.0)
        assert wait_before(tries, reason, None, lambda: 1.0) == pytest.approx(2 * shortest)

    def test_a_conflict_passes_sooner_than_an_overload(self) -> None:
        conflict = wait_before(1, Reason.CONFLICT, None, lambda: 0.5)
        assert conflict <= 0.1 < wait_before(1, Reason.RATE_LIMITED, None, lambda: 0.5)


class TestLimit:
    def test_it_is_halved_when_somebody_asks_to_slow_down(self) -> None:
        limit = Limit(32)
        limit.slow_down(0)
        assert limit.now == 16

    def test_many_who_ask_at_one_moment_count_once(self) -> None:
        limit = Limit(32)
        for moment in (0.0, 0.1, 0.9):
            limit.slow_down(moment)
        assert limit.now == 16
        limit.slow_down(1.0)
        assert limit.now == 8

    def test_it_comes_back_one_by_one(self) -> None:
        limit = Limit(8)
        limit.slow_down(0)
        for _ in range(4):
            assert limit.now == 4
            limit.went_well()
        assert limit.now == 5

    @given(st.integers(1, 256), st.lists(st.none() | st.floats(0, 10), max_size=300))
    def test_it_is_never_below_one_or_above_what_was_set(self, most: int, asked: list[float | None]) -> None:
        limit, clock = Limit(most), 0.0
        for wait in asked:
            if wait is None:
                limit.went_well()
            else:
                clock += wait
                limit.slow_down(clock)
            assert 1 <= limit.now <= most

    @given(st.integers(1, 64))
    def test_in_the_end_it_is_as_before(self, most: int) -> None:
        limit = Limit(most)
        for clock in range(10):
            limit.slow_down(float(clock))
        for _ in range(most * most):
            limit.went_well()
        assert limit.now == most


class Steps:
    """A task of so many steps, with a wait between them."""

    def __init__(self, count: int = 1, wait: float = 0.0, work: Callable[[], None] = lambda: None) -> None:
        self.left = count
        self.done = 0
        self.under_way = 0
        self.overlapped = False
        self.times: list[float] = []
        self._wait = wait
        self._work = work

    def step(self) -> float | None:
        self.under_way += 1
        self.overlapped |= self.under_way > 1
        self.times.append(time.monotonic())
        self._work()
        self.under_way -= 1
        self.left -= 1
        self.done += 1
        return self._wait if self.left > 0 else None


def never() -> bool:
    return False


class TestPool:
    @pytest.mark.parametrize("limit", [1, 2, 32])
    def test_every_task_is_done_step_by_step(self, limit: int) -> None:
        tasks = [Steps(count) for count in range(1, 40)]
        assert Pool(limit).run(tasks, never, 1) == frozenset()
        assert [task.left for task in tasks] == [0] * len(tasks)
        assert not any(task.overlapped for task in tasks)

    def test_nothing_to_do_is_done(self) -> None:
        assert Pool(4).run([], never, 1) == frozenset()

    @pytest.mark.parametrize("limit", [1, 3])
    def test_no_more_are_under_way_than_the_limit(self, limit: int) -> None:
        most, now, lock = 0, 0, threading.Lock()

        def work() -> None:
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.002)
            with lock:
                now -= 1

        Pool(limit).run([Steps(2, work=work) for _ in range(12)], never, 1)
        assert 1 <= most <= limit

    def test_asked_to_slow_down_fewer_are_under_way(self) -> None:
        pool = Pool(8)
        pool.slow_down()
        most, now, lock = 0, 0, threading.Lock()

        def work() -> None:
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.002)
            with lock:
                now -= 1

        pool.run([Steps(work=work) for _ in range(16)], never, 1)
        assert most <= 4

    def test_while_nothing_is_served_steps_are_begun_apart(self) -> None:
        pool = Pool(8)
        tasks = [Steps(work=pool.refused) for _ in range(4)]
        pool.refused()
        pool.run(tasks, never, 1)
        times = sorted(task.times[0] for task in tasks)
        assert all(later - sooner >= 0.9 * APART_SECONDS for sooner, later in itertools.pairwise(times))

    def test_once_something_is_served_they_are_not(self) -> None:
        pool, begun = Pool(2), time.monotonic()
        pool.refused()
        pool.run([Steps(work=pool.went_well) for _ in range(200)], never, 1)
        assert time.monotonic() - begun < 200 * APART_SECONDS / 2

    def test_a_task_that_waits_keeps_nobody_waiting(self) -> None:
        slow, quick = Steps(2, wait=0.3), [Steps(2) for _ in range(5)]
        Pool(1).run([slow, *quick], never, 1)
        assert max(task.times[-1] for task in quick) < slow.times[-1]

    def test_a_wait_is_kept(self) -> None:
        task = Steps(2, wait=0.05)
        Pool(2).run([task], never, 1)
        assert task.times[1] - task.times[0] >= 0.05

    def test_told_to_stop_before_it_begins_it_does_not_begin(self) -> None:
        tasks = [Steps() for _ in range(50)]
        Pool(8).run(tasks, lambda: True, 1)
        assert sum(task.done for task in tasks) == 0

    def test_told_to_stop_it_begins_no_further_step(self) -> None:
        asked, begun = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            assert asked.wait(10)

        def stopping() -> bool:
            if begun.is_set():
                asked.set()
            return begun.is_set()

        tasks = [Steps(5, work=work) for _ in range(5)]
        assert Pool(1).run(tasks, stopping, 5) == frozenset()
        assert sum(task.done for task in tasks) == 1

    def test_what_is_under_way_when_the_grace_is_over_is_told(self) -> None:
        begun, let_go = threading.Event(), threading.Event()

        def hang() -> None:
            begun.set()
            let_go.wait(10)

        hanging = Steps(work=hang)
        try:
            assert Pool(2).run([hanging], begun.is_set, 0.01) == {hanging}
        finally:
            let_go.set()

    def test_what_ends_within_the_grace_is_not_left(self) -> None:
        begun = threading.Event()

        def work() -> None:
            begun.set()
            time.sleep(0.02)

        assert Pool(1).run([Steps(work=work)], begun.is_set, 10) == frozenset()

    def test_where_threads_run_out_fewer_do_the_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        start, left = threading.Thread.start, iter(range(2))

        def scarce(thread: threading.Thread) -> None:
            if next(left, None) is None:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", scarce)
        tasks = [Steps(2) for _ in range(20)]
        assert Pool(8).run(tasks, never, 1) == frozenset()
        assert [task.left for task in tasks] == [0] * 20

    def test_where_there_are_no_threads_nothing_is_begun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def none(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", none)
        task = Steps()
        with pytest.raises(RuntimeError):
            Pool(8).run([task], never, 1)
        assert task.done == 0

    def test_an_error_of_the_program_itself_ends_it(self) -> None:
        def defect() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            Pool(2).run([Steps(work=defect), *(Steps() for _ in range(3))], never, 1)
