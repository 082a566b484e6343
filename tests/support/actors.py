"""The job as processes that start at once and stop at any of their requests.

A process is forked from a server that has loaded the program already, which takes a tenth of starting Python. The
rest is the same as for a user: arguments, environment, two output streams, an exit status, and SIGKILL kills it. Every
request of the process, to the API and to the Pushgateway, passes one place. There it is counted, and there the process
can be killed, lose an answer, or wait until another one has made a request of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.place import Ended, told

PATIENCE = 90.0
# What a run loads; modules that are loaded only in some of the runs cost those a moment.
PRELOADED = (
    *("job.cli", "job.commands.run", "job.commands.rollback", "job.run.engine", "job.run.admission", "job.cluster.api"),
    *("job.publish.publisher", "job.publish.push", "job.publish.metrics", "job.publish.pushgateway", "ijson"),
    *("job.publish.events", "job.journal.store", "job.views.output", "job.views.documents", "kubernetes.client"),
    *("job.status.command", "tests.support.actors"),
)
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(PRELOADED))


class How(StrEnum):
    """What strikes at a request.

    `KILL_BEFORE` and `KILL_AFTER` end the process before the request is sent and after its answer has arrived;
    `LOSE_BEFORE` and `LOSE_AFTER` let the connection break before the request is sent and after it took effect.
    """

    KILL_BEFORE = "kill-before"
    KILL_AFTER = "kill-after"
    LOSE_BEFORE = "lose-before"
    LOSE_AFTER = "lose-after"


@dataclass(frozen=True)
class Strike:
    """Which requests are struck: the one of that number, counted from 1, among those that fit.

    Attributes:
        how: what happens to it.
        number: which of the requests that fit.
        method: that fits; any if empty.
        path: what the path of a request that fits contains.
        onwards: whether all requests after it are struck as well, also those that do not fit.
    """

    how: How
    number: int = 1
    method: str = ""
    path: str = ""
    onwards: bool = False

    def fits(self, method: str, path: str) -> bool:
        return self.path in path and self.method in ("", method)


@dataclass(frozen=True)
class Request:
    """One request that the process made; the path without the query."""

    method: str
    path: str

    @property
    def writes(self) -> bool:
        return self.method != "GET"


class Actor:
    """A process of the job under way."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        strike: Strike | None = None,
        gated: bool = False,
        pauses: float | None = None,
        clock: float = 0.0,
    ) -> None:
        """Start it.

        Args:
            arguments: those of the command line.
            environment: all of it.
            strike: what happens to some of its requests.
            gated: whether each request waits for `go`.
            pauses: seconds between two looks at a rollout, and the longest wait for a retry; None: as in the program.
            clock: seconds that its time of day is ahead of the real one.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="actor-")
        folder = Path(self._folder.name)
        self._out, self._err, self._trace = (folder / name for name in ("stdout", "stderr", "trace"))
        for file in (self._out, self._err, self._trace):
            file.touch()
        self._gate, theirs = _CONTEXT.Pipe()
        files = tuple(map(str, (self._out, self._err, self._trace)))
        parts = (list(arguments), dict(environment), files, strike, theirs if gated else None, pauses, clock)
        self.process = _CONTEXT.Process(target=_perform, args=parts, daemon=True)
        self.process.start()
        theirs.close()

    def next_request(self, patience: float = PATIENCE) -> Request | None:
        """The request at which the gated process waits now; None once it has ended."""
        with suppress(EOFError, ConnectionResetError):
            if not self._gate.poll(patience):
                raise TimeoutError(f"no request and no end: {self._err.read_text()}")
            method, path = self._gate.recv()
            return Request(method, path)
        return None

    def go(self) -> None:
        """Let the request pass at which the process waits."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._gate.send(True)

    def run_on(self) -> None:
        """Let all its requests pass from now on."""
        while self.next_request() is not None:
            self.go()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing where it has ended."""
        if self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it as a node that dies does."""
        self.signal(signal.SIGKILL)

    def ended(self, patience: float = PATIENCE) -> Ended:
        """Wait for its end; a killed one has the status -9."""
        self.process.join(patience)
        if self.process.exitcode is None:
            self.kill()
            self.process.join()
            raise TimeoutError(f"it did not end: {self._err.read_text()[-3000:]}")
        return told(self.process.exitcode, self._out.read_text(), self._err.read_text())

    @property
    def requests(self) -> list[Request]:
        """What it asked so far, in order."""
        return [Request(*line.split(" ", 1)) for line in self._trace.read_text().splitlines()]

    def close(self) -> None:
        if self.process.exitcode is None:
            self.kill()
            self.process.join()
        self.process.close()
        self._gate.close()
        self._folder.cleanup()

    def __enter__(self) -> Actor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def act(arguments: Sequence[str], environment: Mapping[str, str], **options: Any) -> tuple[Ended, list[Request]]:
    """Run the job to its end; gives what it said, and what it asked."""
    with Actor(arguments, environment, **options) as actor:
        ended = actor.ended()
        return ended, actor.requests


# In the process itself


def _perform(
    arguments: list[str],
    environment: dict[str, str],
    files: tuple[str, str, str],
    strike: Strike | None,
    gate: Connection | None,
    pauses: float | None,
    clock: float,
) -> None:
    out, err, trace = files
    for number, path in enumerate((os.devnull, out, err)):
        opened = os.open(path, os.O_RDWR | (os.O_APPEND if number else 0))
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, "rw"[number > 0]) for number in range(3))
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["import-images", *arguments]
    _interpose(trace, strike, gate)
    if pauses is not None:
        _hurry(pauses)
    if clock:
        _set_clock(clock)
    from job.cli import main

    try:
        status = main()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _set_clock(ahead: float) -> None:
    """Let the program read another time of day; durations stay the same."""
    from job.runtime.clock import SYSTEM

    usual = SYSTEM.now
    object.__setattr__(SYSTEM, "now", lambda: usual() + timedelta(seconds=ahead))


def _hurry(seconds: float) -> None:
    """Shorten the waits of the program; what it decides stays the same."""
    import job.domain.retries
    import job.workloads.rollouts

    for module, names in (
        (job.workloads.rollouts, ("FIRST_PAUSE_SECONDS", "PAUSE_SECONDS")),
        (job.domain.retries, ("FIRST_WAIT_SECONDS", "FIRST_CONFLICT_WAIT_SECONDS", "LONGEST_WAIT_SECONDS")),
    ):
        for name in names:
            # A constant that was renamed is to be renamed here as well.
            assert hasattr(module, name), f"{module.__name__} has no {name}"
            setattr(module, name, seconds)


def _interpose(trace: str, strike: Strike | None, gate: Connection | None) -> None:
    """Let every request pass through here, those to the API and those to a Pushgateway."""
    import threading

    from job.runtime.http import HttpError, KeptConnections, Problem

    usual = KeptConnections.request
    lock = threading.Lock()
    seen = 0
    log = Path(trace).open("a", buffering=1)  # noqa: SIM115 - as long as the process

    def request(connections: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        path = urlsplit(url).path
        with lock:
            if gate is not None:
                with suppress(EOFError, BrokenPipeError):
                    gate.send((method, path))
                    gate.recv()
            log.write(f"{method} {path}\n")
            if strike is not None and strike.fits(method, path):
                seen += 1
                came = seen == strike.number
            else:
                came = False
            struck = came or (strike is not None and strike.onwards and seen >= strike.number)
        how = strike.how if struck and strike is not None else None
        if how is How.KILL_BEFORE:
            os.kill(os.getpid(), signal.SIGKILL)
        if how is How.LOSE_BEFORE:
            raise HttpError(Problem.LOST, "Connection reset by peer")
        answer = usual(connections, method, url, *args, **kwargs)
        if how is How.KILL_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        if how is How.LOSE_AFTER:
            raise HttpError(Problem.LOST, "Connection reset by peer")
        return answer

    KeptConnections.request = request  # type: ignore[assignment, method-assign]
