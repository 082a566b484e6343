"""How many requests are under way at a time, and the threads that send them."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Protocol, TypeVar

from job.domain.errors import ClusterError, StoppedError

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Seconds = float

POLL_SECONDS = 0.2
# Between two requests to an API that serves none: thousands of streams would spend their tries on it within seconds.
APART_SECONDS = 0.1


class Task(Protocol):
    """Work in steps of one request each, which may wait between steps without occupying a thread."""

    def step(self) -> float | None:
        """Do one request; returns the seconds until the next step, or None when there is none."""


class Limit:
    """How many may be under way: halved when the server asks to slow down, one more after as many successes.

    This is additive increase and multiplicative decrease, as TCP's congestion control has it.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.now = most
        self._successes = 0
        self._slowed_at = float("-inf")

    def slow_down(self, clock: float) -> None:
        """The server asked to slow down; many such answers within one second count once."""
        self._successes = 0
        if clock - self._slowed_at >= 1.0:
            self._slowed_at = clock
            self.now = max(1, self.now // 2)

    def succeeded(self) -> None:
        """A request was answered as usual."""
        self._successes += 1
        if self.now < self.most and self._successes >= self.now:
            self._successes = 0
            self.now += 1


class Throttle:
    """The pace of requests to one server, shared by the tasks of a run; its methods are called from any thread."""

    def __init__(self, limit: int) -> None:
        """Begin with up to `limit` requests at a time."""
        self._limit = Limit(limit)
        self._refused = False
        self._not_before = 0.0
        self.changed = threading.Condition()

    @property
    def most(self) -> int:
        """The upper limit of concurrent requests."""
        return self._limit.most

    def slow_down(self) -> None:
        """A request was answered with 429 or 503."""
        with self.changed:
            self._limit.slow_down(time.monotonic())

    def refused(self) -> None:
        """The API did not serve a request: until it serves one, steps begin some time apart."""
        with self.changed:
            self._refused = True
            self._not_before = max(self._not_before, time.monotonic() + APART_SECONDS)

    def succeeded(self) -> None:
        """A request was answered as usual."""
        with self.changed:
            self._limit.succeeded()
            self._refused = False
            self._not_before = 0.0
            self.changed.notify()

    def wait_for_turn(self, under_way: int, ready: float) -> float | None:
        """Seconds until a task that is ready at `ready` (monotonic) may take its step; None while too many do.

        The caller holds `changed`. With 0 or less the turn is taken.
        """
        if under_way >= self._limit.now:
            return None
        now = time.monotonic()
        wait = max(ready, self._not_before) - now
        if wait <= 0 and self._refused:
            self._not_before = now + APART_SECONDS
        return wait


def run_tasks(
    tasks: Iterable[Task],
    throttle: Throttle,
    stopping: Callable[[], bool],
    grace: Seconds | Callable[[], Seconds] = 0.0,
) -> frozenset[Task]:
    """Work until all tasks are done, or until asked to stop. No task is ever under way twice at a time.

    Args:
        tasks: what to work on.
        throttle: how many at a time.
        stopping: asked several times a second; once true, no further step begins.
        grace: seconds that the steps under way then have to end; a callable is asked when it comes to that.

    Returns:
        The tasks that were still under way when the grace was over.

    Raises:
        BaseException: the first one that a step raised.
    """
    return _Workers(tasks, throttle, stopping).run(grace)


class _Workers:
    """The threads of one `run_tasks`."""

    def __init__(self, tasks: Iterable[Task], throttle: Throttle, stopping: Callable[[], bool]) -> None:
        self._throttle = throttle
        self._changed = throttle.changed
        self._stopping = stopping
        self._order = itertools.count()
        now = time.monotonic()
        self._waiting = [(now, next(self._order), task) for task in tasks]
        self._under_way: set[Task] = set()
        self._stopped = False
        self._failure: BaseException | None = None

    def run(self, grace: Seconds | Callable[[], Seconds]) -> frozenset[Task]:
        """See `run_tasks`."""
        if not self._start():
            # The machine has no thread to give. One after another is slow, and nothing is lost.
            self._work()
        with self._changed:
            while (self._waiting or self._under_way) and not self._stopping() and not self._failure:
                self._changed.wait(POLL_SECONDS)
            self._stopped = True
            self._changed.notify_all()
            until = time.monotonic() + (grace() if callable(grace) else grace)
            while self._under_way and not self._failure and time.monotonic() < until:
                self._changed.wait(POLL_SECONDS)
            if self._failure:
                raise self._failure
            return frozenset(self._under_way)

    def _start(self) -> bool:
        count = min(self._throttle.most, len(self._waiting))
        for number in range(count):
            # A daemon, since a step that hangs must not keep the process from ending.
            thread = threading.Thread(target=self._work, name=f"worker-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return number > 0
        return True

    def _work(self) -> None:
        while (task := self._next()) is not None:
            try:
                wait = task.step()
            except BaseException as error:
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._under_way.discard(task)
                if wait is not None:
                    heapq.heappush(self._waiting, (time.monotonic() + wait, next(self._order), task))
                self._changed.notify()
                if not self._waiting and not self._under_way:
                    self._changed.notify_all()

    def _next(self) -> Task | None:
        with self._changed:
            # Asked here too, since the thread that waits for the workers may notice a stop later than they do.
            while not self._stopped and not self._stopping():
                if not self._waiting and not self._under_way:
                    return None
                wait = None
                if self._waiting:
                    wait = self._throttle.wait_for_turn(len(self._under_way), self._waiting[0][0])
                    if wait is not None and wait <= 0:
                        task = heapq.heappop(self._waiting)[2]
                        self._under_way.add(task)
                        return task
                self._changed.wait(wait)
            return None


class _Call:
    """One call of `gather`."""

    def __init__(self, key: Hashable, call: Callable[[], object]) -> None:
        self.key = key
        self._call = call
        self.answer: object = None
        self.done = False

    def step(self) -> float | None:
        """See `Task`."""
        try:
            self.answer = self._call()
        except ClusterError as error:
            self.answer = error
        self.done = True
        return None


def gather(
    calls: Mapping[K, Callable[[], T]],
    limit: int,
    stopping: Callable[[], bool],
    grace: Seconds | Callable[[], Seconds] = 0.0,
) -> dict[K, T | ClusterError]:
    """What many calls return, several of them at a time; a `ClusterError` that one raises is its answer.

    Args:
        calls: by the key of the answer.
        limit: how many at a time.
        stopping: asked several times a second; once true, no further call begins.
        grace: seconds that the calls under way then have to end.

    Returns:
        The answers of those that ended, in the order of `calls`.
    """
    tasks = {key: _Call(key, call) for key, call in calls.items()}
    unfinished = run_tasks(tasks.values(), Throttle(max(1, limit)), stopping, grace)
    return {key: task.answer for key, task in tasks.items() if task.done and task not in unfinished}  # type: ignore[misc]


def interruptible(call: Callable[[], T], stopping: Callable[[], bool]) -> T:
    """What `call` returns, waited for until the program is asked to stop at the latest.

    Raises:
        StoppedError: it was.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(call())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="request", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # The machine has no thread to give, so that this one cannot be interrupted.
        return call()
    while thread.is_alive() and not stopping():
        thread.join(POLL_SECONDS)
    if failed:
        raise failed[0]
    if not done:
        raise StoppedError("stopped before anything was imported")
    return done[0]
