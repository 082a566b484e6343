"""How many tasks are under way at a time."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.errors import ClusterError, StoppedError
from job.domain.model import Reason
from job.runtime.pool import APART_SECONDS, Limit, Throttle, gather, interruptible, run_tasks


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
            limit.succeeded()
        assert limit.now == 5

    @given(st.integers(1, 256), st.lists(st.none() | st.floats(0, 10), max_size=300))
    def test_it_is_never_below_one_or_above_what_was_set(self, most: int, asked: list[float | None]) -> None:
        limit, clock = Limit(most), 0.0
        for wait in asked:
            if wait is None:
                limit.succeeded()
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
            limit.succeeded()
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


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


class TestTasks:
    @pytest.mark.parametrize("limit", [1, 2, 32])
    def test_every_task_is_done_step_by_step(self, limit: int) -> None:
        tasks = [Steps(count) for count in range(1, 40)]
        assert run_tasks(tasks, Throttle(limit), never, 1) == frozenset()
        assert [task.left for task in tasks] == [0] * len(tasks)
        assert not any(task.overlapped for task in tasks)

    def test_nothing_to_do_is_done(self) -> None:
        assert run_tasks([], Throttle(4), never, 1) == frozenset()

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

        run_tasks([Steps(2, work=work) for _ in range(12)], Throttle(limit), never, 1)
        assert 1 <= most <= limit

    def test_asked_to_slow_down_fewer_are_under_way(self) -> None:
        throttle = Throttle(8)
        throttle.slow_down()
        most, now, lock = 0, 0, threading.Lock()

        def work() -> None:
            nonlocal most, now
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.002)
            with lock:
                now -= 1

        run_tasks([Steps(work=work) for _ in range(16)], throttle, never, 1)
        assert most <= 4

    def test_while_nothing_is_served_steps_are_begun_apart(self) -> None:
        throttle = Throttle(8)
        tasks = [Steps(work=throttle.refused) for _ in range(4)]
        throttle.refused()
        run_tasks(tasks, throttle, never, 1)
        times = sorted(task.times[0] for task in tasks)
        assert all(later - sooner >= 0.9 * APART_SECONDS for sooner, later in itertools.pairwise(times))

    def test_once_something_is_served_they_are_not(self) -> None:
        throttle, begun = Throttle(2), time.monotonic()
        throttle.refused()
        run_tasks([Steps(work=throttle.succeeded) for _ in range(200)], throttle, never, 1)
        assert time.monotonic() - begun < 200 * APART_SECONDS / 2

    def test_a_task_that_waits_keeps_nobody_waiting(self) -> None:
        slow, quick = Steps(2, wait=0.3), [Steps(2) for _ in range(5)]
        run_tasks([slow, *quick], Throttle(1), never, 1)
        assert max(task.times[-1] for task in quick) < slow.times[-1]

    def test_a_wait_is_kept(self) -> None:
        task = Steps(2, wait=0.05)
        run_tasks([task], Throttle(2), never, 1)
        assert task.times[1] - task.times[0] >= 0.05

    def test_told_to_stop_before_it_begins_it_does_not_begin(self) -> None:
        tasks = [Steps() for _ in range(50)]
        run_tasks(tasks, Throttle(8), lambda: True, 1)
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
        assert run_tasks(tasks, Throttle(1), stopping, 5) == frozenset()
        assert sum(task.done for task in tasks) == 1

    def test_what_is_under_way_when_the_grace_is_over_is_told(self) -> None:
        begun, let_go = threading.Event(), threading.Event()

        def hang() -> None:
            begun.set()
            let_go.wait(10)

        hanging = Steps(work=hang)
        try:
            assert run_tasks([hanging], Throttle(2), begun.is_set, 0.01) == {hanging}
        finally:
            let_go.set()

    def test_what_ends_within_the_grace_is_not_left(self) -> None:
        begun = threading.Event()

        def work() -> None:
            begun.set()
            time.sleep(0.02)

        assert run_tasks([Steps(work=work)], Throttle(1), begun.is_set, 10) == frozenset()

    def test_where_threads_run_out_fewer_do_the_work(self, monkeypatch: pytest.MonkeyPatch) -> None:
        start, left = threading.Thread.start, iter(range(2))

        def scarce(thread: threading.Thread) -> None:
            if next(left, None) is None:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", scarce)
        tasks = [Steps(2) for _ in range(20)]
        assert run_tasks(tasks, Throttle(8), never, 1) == frozenset()
        assert [task.left for task in tasks] == [0] * 20

    def test_where_there_are_no_threads_one_task_follows_another(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        tasks = [Steps(3, wait=0.001) for _ in range(5)]
        assert run_tasks(tasks, Throttle(8), never, 1) == frozenset()
        assert [task.left for task in tasks] == [0] * 5
        assert not any(task.overlapped for task in tasks)

    def test_a_throttle_keeps_its_pace_from_one_round_of_tasks_to_the_next(self) -> None:
        throttle = Throttle(4)
        for _ in range(2):
            tasks = [Steps() for _ in range(6)]
            assert run_tasks(tasks, throttle, never, 1) == frozenset()
            assert [task.done for task in tasks] == [1] * 6

    def test_an_error_of_the_program_itself_ends_it(self) -> None:
        def defect() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run_tasks([Steps(work=defect), *(Steps() for _ in range(3))], Throttle(2), never, 1)


class TestGather:
    def test_answers_come_in_the_order_of_the_questions(self) -> None:
        calls = {number: functools.partial(abs, -number) for number in range(30)}
        assert list(gather(calls, 4, never).items()) == [(number, number) for number in range(30)]

    def test_what_the_api_refuses_is_the_answer(self) -> None:
        refused = ClusterError(Reason.FORBIDDEN, "no")

        def refuse() -> str:
            raise refused

        assert gather({"a": lambda: "yes", "b": refuse}, 2, never) == {"a": "yes", "b": refused}

    def test_a_defect_is_raised(self) -> None:
        def defect() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            gather({"a": defect}, 2, never)

    def test_what_has_not_ended_is_left_out(self) -> None:
        begun, over = threading.Event(), threading.Event()

        def hang() -> str:
            begun.set()
            over.wait(10)
            return "late"

        try:
            assert gather({"a": hang, "b": lambda: "never begun"}, 1, begun.is_set) == {}
        finally:
            over.set()

    def test_none_is_an_answer(self) -> None:
        assert gather({"a": lambda: None}, 1, never) == {"a": None}


class TestInterruptible:
    def test_it_returns_or_raises_what_the_call_does(self) -> None:
        assert interruptible(lambda: 7, never) == 7
        with pytest.raises(ClusterError):
            interruptible(_refuse, never)

    def test_a_call_that_hangs_is_left_when_told_to_stop(self) -> None:
        over = threading.Event()
        try:
            with pytest.raises(StoppedError):
                interruptible(lambda: over.wait(10), lambda: True)
        finally:
            over.set()

    def test_without_a_thread_it_is_called_in_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threading.Thread, "start", no_thread)
        assert interruptible(lambda: 7, never) == 7


def _refuse() -> None:
    raise ClusterError(Reason.FORBIDDEN, "no")
