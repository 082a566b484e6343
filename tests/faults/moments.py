"""When a fault comes: the moments of a run, each told by a request that the job makes then."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from tests.support.place import Place
from tests.support.servers import Answered, Asked, Instead, serving

PATIENCE = 60.0


class Moment(StrEnum):
    """`FIRST`, `BETWEEN` and `LAST` are imports: of the streams `a`, `c` and `d`."""

    START = "start"
    LIST = "list"
    FIRST = "first"
    BETWEEN = "between"
    LAST = "last"
    PUSH = "push"
    JOURNAL = "journal"
    END = "end"


IMPORTS = (Moment.FIRST, Moment.BETWEEN, Moment.LAST)
STREAM_AT = {Moment.FIRST: "a", Moment.BETWEEN: "c", Moment.LAST: "d"}


def request_at(place: Place, moment: Moment) -> dict[str, Any]:
    """The parts of a rule that say which requests to the API are made at a moment; from the push on, all of them."""
    if moment in IMPORTS:
        path, method = "imagestreamimports$", "POST"
        return {**_of(place, path, method), "body": f'"metadata": *{{[^}}]*"name": *"{STREAM_AT[moment]}"'}
    match moment:
        case Moment.START:
            return _of(place, "leases$", "GET")
        case Moment.LIST:
            # The first time is the check that something matches, before the lock.
            return {**_of(place, "imagestreams$", "GET"), "after": 1}
        case Moment.JOURNAL:
            # The first time is when the run begins.
            return {**_of(place, "configmaps/", "PUT"), "after": 1}
        case Moment.END:
            return _of(place, "leases/", "PUT")
    return _of(place, "", "")


def _of(place: Place, path: str, method: str) -> dict[str, Any]:
    return {"path": f"/namespaces/{place.namespace}/{path}", "method": method}


class Gate(Protocol):
    """Keeps a request waiting."""

    def reached(self) -> bool:
        """Whether the job has come to it."""

    def open(self) -> None:
        """Let the request pass."""


@dataclass
class ApiGate:
    """Before a request to the API."""

    place: Place
    number: int

    def reached(self) -> bool:
        return any(each["id"] == self.number and each["acted"] for each in self.place.sandbox.faults())

    def open(self) -> None:
        self.place.sandbox.remove_faults(self.number)


class PushGate:
    """Before the first metrics that are pushed."""

    def __init__(self, instead: Instead) -> None:
        self._instead = instead
        self._reached, self._opened = threading.Event(), threading.Event()

    def __call__(self, asked: Asked) -> Answered | None:
        if asked.method in ("PUT", "POST") and not self._reached.is_set():
            self._reached.set()
            self._opened.wait(PATIENCE)
        return self._instead(asked)

    def reached(self) -> bool:
        return self._reached.is_set()

    def open(self) -> None:
        self._opened.set()


@contextmanager
def gate(place: Place, moment: Moment, answer: Mapping[str, Any]) -> Iterator[tuple[Gate, dict[str, str]]]:
    """A gate at a moment, and the settings that lead the job there; `answer` is what a rule may have the API answer."""
    if moment is Moment.PUSH:
        guard = PushGate(lambda asked: None)
        with serving(place.sandbox.pushgateway, guard) as server:
            try:
                yield guard, {"PUSHGATEWAY_ADDRESS": server.url}
            finally:
                guard.open()
    else:
        rule = place.sandbox.add_fault(**request_at(place, moment), **answer, gate=True, times=1)
        yield ApiGate(place, rule), {}
