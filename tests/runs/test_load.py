"""An API that asks for less gets less, for as long as it does; and nothing is left behind by many runs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.runs.place import Place, ended
from tests.sandbox.client import IMAGE, Json, until
from tests.soak import soak

STREAMS = 120
CONCURRENCY = 12
# How long each import takes, so that several are under way at once.
LATENCY = 0.1


def many(place: Place, count: int = STREAMS) -> None:
    """Streams that follow one image."""
    place.push("app", "one")
    for number in range(count):
        place.stream(f"app-{number:03}", {"prod": place.source("app")})


def most_at_once(imports: list[Json], since: float, until: float) -> int:
    """How many of the imports were under way at one time, in a part of the run."""
    changes = [(each["started"], 1) for each in imports] + [(each["ended"], -1) for each in imports]
    now = most = 0
    for moment, change in sorted(changes):
        now += change
        if since <= moment <= until:
            most = max(most, now)
    return most


@pytest.mark.parametrize("code", [429, 503])
def test_asked_to_slow_down_it_does_and_recovers(place: Place, code: int) -> None:
    many(place, 3 * STREAMS)
    place.import_fault(latency=LATENCY)
    place.import_fault(after=2 * CONCURRENCY, times=CONCURRENCY, status={"code": code, "headers": {"Retry-After": "1"}})
    done = place.run(CONCURRENCY=str(CONCURRENCY), RETRIES="4")
    assert done.status == 0, done.stderr
    imports = place.imports()
    refused = [each for each in imports if each["status"] == code]
    assert len(refused) == CONCURRENCY
    first, last = min(each["ended"] for each in refused), max(each["ended"] for each in refused)
    end = max(each["ended"] for each in imports)
    assert most_at_once(imports, 0, first) == CONCURRENCY
    # Those that were under way when the first was refused have ended by then.
    assert 1 <= most_at_once(imports, last + 2 * LATENCY, last + 3 * LATENCY) <= CONCURRENCY // 2 + 1
    assert most_at_once(imports, end - 1.0, end) > CONCURRENCY // 2 + 1


@pytest.mark.parametrize("fault", [{"status": {"code": 503}}, {"status": {"code": 500}}, {"reset": "before"}])
def test_an_outage_costs_few_requests_and_no_tag(place: Place, fault: dict[str, Any]) -> None:
    """Without a rein, streams by the hundred would spend all their tries on a server that serves nobody."""
    many(place)
    number = place.import_fault(after=10, **fault)
    with place.running(CONCURRENCY=str(CONCURRENCY), RETRIES="4") as process:
        until(lambda: len(place.imports()) > 10)
        time.sleep(3.0)
        place.sandbox.remove_faults(number)
        done = ended(process)
    assert done.status == 0, done.stderr
    assert set(done.results.values()) == {"updated"}
    refused = [each["started"] for each in place.imports() if each["status"] != 201]
    # Those that were under way when it began, and then one in a tenth of a second for as long as it lasted.
    assert CONCURRENCY < len(refused) <= 2 * CONCURRENCY + (max(refused) - min(refused)) * 10


def test_no_more_at_once_than_was_said(place: Place) -> None:
    many(place)
    place.import_fault(latency=LATENCY)
    place.sandbox.clear_log()
    assert place.run(CONCURRENCY="5").status == 0
    log = place.sandbox.log()
    assert log["most_imports_in_flight"] == 5
    # Beside them the lock is renewed.
    assert most_at_once(place.requests(path=f"{IMAGE}|leases"), 0, time.time()) <= 6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_runs_leak_nothing() -> None:
    assert soak(15)[1] == []
