"""How fast: waits between tries, and how many tasks are under way at a time.

A task is worked on in steps of one request each. Between two steps it may wait without keeping anybody else waiting,
and it is never under way twice at a time.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from job.domain.errors import ClusterError, StoppedError
from job.domain.failures import PASSING
from job.domain.model import Reason

T = TypeVar("T")

FIRST_WAIT_SECONDS = 1.0
FIRST_CONFLICT_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 30.0
# Between two requests to an API that serves none: thousands of streams would spend their tries on it within seconds.
APART_SECONDS = 0.1
# Nobody sits before a terminal for longer because a server asks for it.
MOST_PATIENT_SECONDS = 120.0


def wait_before(tries: int, reason: Reason, retry_after: float | None, chance: Callable[[], float]) -> float:
    """Seconds to wait after so many tries: exponential, half of it by chance, never less than the server asked for.

    Args:
        tries: how many there were, from 1.
        reason: why the last one failed; a conflict passes sooner than an overload.
        retry_after: what the server asked for, in seconds.
        chance: a random number in [0, 1).
    """
    first = FIRST_CONFLICT_WAIT_SECONDS if reason is Reason.CONFLICT else FIRST_WAIT_SECONDS
    longest: float = min(LONGEST_WAIT_SECONDS, first * 2 ** min(tries - 1, 16))
    if retry_after is not None:
        return retry_after + first * chance()
    return longest * (1 + chance()) / 2


def persist(call: Callable[[], T], retries: int, stopping: Callable[[], bool]) -> T:
    """What `call` returns, trying again what may pass, unless the server asks to wait for minutes.

    Raises:
        ClusterError: the last one.
    """
    for tries in itertools.count(1):
        try:
            return call()
        except ClusterError as error:
            if tries > retries or error.reason not in PASSING or stopping():
                raise
            wait = wait_before(tries, error.reason, error.retry_after, random.random)
            if wait > MOST_PATIENT_SECONDS:
                raise
            pause(wait, stopping)
            if stopping():
                raise
    raise AssertionError("never ends without a result")


def pause(seconds: float, stopping: Callable[[], bool]) -> None:
    """Wait, but no longer than until the run is told to stop."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0 and not stopping():
        time.sleep(min(0.2, left))


def unless_stopped(call: Callable[[], T], stopping: Callable[[], bool]) -> T:
    """What `call` returns, waited for no longer than until the run is told to stop.

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

    thread = threading.Thread(target=work, name="asking", daemon=True)
    thread.start()
    while thread.is_alive() and not stopping():
        thread.join(0.2)
    if failed:
        raise failed[0]
    if not done:
        raise StoppedError("stopped before anything was imported")
    return done[0]


class Task(Protocol):
    """Work in steps."""

    def step(self) -> float | None:
        """Do one request; returns the seconds until the next step, or None when there is none."""


class Limit:
    """How many may be under way: halved when somebody asks to slow down, one more after as many that went well."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.now = most
        self._well = 0
        self._slowed_at = float("-inf")

    def slow_down(self, clock: float) -> None:
        """Somebody asked to slow down; many of them at one moment count once."""
        self._well = 0
        if clock - self._slowed_at >= 1.0:
            self._slowed_at = clock
            self.now = max(1, self.now // 2)

    def went_well(self) -> None:
        """A request was answered as usual."""
        self._well += 1
        if self.now < self.most and self._well >= self.now:
            self._well = 0
            self.now += 1


class Pool:
    """Works on tasks with up to `limit` threads."""

    def __init__(self, limit: int) -> None:
        self._limit = Limit(limit)
        self._refused = False
        self._not_before = 0.0
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Task]] = []
        self._order = itertools.count()
        self._under_way: set[Task] = set()
        self._stopping: Callable[[], bool] = lambda: False
        self._stopped = False
        self._failure: BaseException | None = None

    def slow_down(self) -> None:
        """Called by a task that was asked to slow down."""
        with self._changed:
            self._limit.slow_down(time.monotonic())

    def refused(self) -> None:
        """Called by a task that the API did not serve: until it serves one, steps are begun some time apart."""
        with self._changed:
            self._refused = True
            self._not_before = max(self._not_before, time.monotonic() + APART_SECONDS)

    def went_well(self) -> None:
        """Called by a task whose request was answered."""
        with self._changed:
            self._limit.went_well()
            self._refused = False
            self._not_before = 0.0
            self._changed.notify()

    def run(
        self, tasks: Iterable[Task], stopping: Callable[[], bool], grace: float | Callable[[], float]
    ) -> frozenset[Task]:
        """Work until all tasks are done, or until told to stop.

        Args:
            tasks: what to work on.
            stopping: asked several times a second; once true, no further step is begun.
            grace: seconds that the steps under way then have to end; asked when it comes to that.

        Returns:
            The tasks that were still under way when the grace was over.
        """
        now = time.monotonic()
        self._stopping = stopping
        self._waiting = [(now, next(self._order), task) for task in tasks]
        count = min(self._limit.most, len(self._waiting))
        for number in range(count):
            # A daemon, since a step that hangs must not keep the process from ending.
            thread = threading.Thread(target=self._work, name=f"import-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The machine has no more to give; fewer do the same work, and what they do has to be told.
                if number == 0:
                    raise
                break
        with self._changed:
            while (self._waiting or self._under_way) and not stopping() and not self._failure:
                self._changed.wait(0.2)
            self._stopped = True
            self._changed.notify_all()
            until = time.monotonic() + (grace() if callable(grace) else grace)
            while self._under_way and not self._failure and time.monotonic() < until:
                self._changed.wait(0.2)
            if self._failure:
                raise self._failure
            return frozenset(self._under_way)

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
            # Asked here, too: whoever waits for the threads may hear of a stop later than they take the next task.
            while not self._stopped and not self._stopping():
                if not self._waiting and not self._under_way:
                    return None
                wait = None
                if self._waiting and len(self._under_way) < self._limit.now:
                    now = time.monotonic()
                    wait = max(self._waiting[0][0], self._not_before) - now
                    if wait <= 0:
                        task = heapq.heappop(self._waiting)[2]
                        if self._refused:
                            self._not_before = now + APART_SECONDS
                        self._under_way.add(task)
                        return task
                self._changed.wait(wait)
            return None
