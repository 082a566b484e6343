"""An API that asks for less gets less, for as long as it does; and nothing is left behind by many runs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.bench.soak import soak
from tests.sandbox.client import IMAGE, Json, until
from tests.support.place import Place, ended
from tests.support.tiers import representatives, slow

MEMBERS = "the job treats them alike, as unit tests hold; one of them gates"
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


def under_way(place: Place) -> int:
    return sum(each["ended"] is None for each in place.imports())


def allowed(successes: int) -> int:
    """How many imports may be under way after the API asked to slow down and then served so many."""
    now, well = CONCURRENCY // 2, 0
    for _ in range(successes):
        well += 1
        if well == now < CONCURRENCY:
            now, well = now + 1, 0
    return now


@pytest.mark.parametrize("code", representatives([429, 503], MEMBERS))
def test_asked_to_slow_down_it_does_and_recovers(place: Place, code: int) -> None:
    """Each part of the run is kept at a gate until as many imports wait there as are meant to."""
    many(place, 2 * STREAMS)
    first = place.import_fault(gate=True, times=CONCURRENCY)
    place.import_fault(times=CONCURRENCY, status={"code": code, "headers": {"Retry-After": "1"}})
    slowed = place.import_fault(gate=True, after=CONCURRENCY)
    recovered = place.import_fault(gate=True, after=CONCURRENCY + STREAMS)
    with place.running(CONCURRENCY=str(CONCURRENCY), RETRIES="4") as process:
        for gate, count in ((first, CONCURRENCY), (slowed, CONCURRENCY // 2), (recovered, CONCURRENCY)):
            until(lambda count=count: under_way(place) == count)  # type: ignore[misc]
            place.sandbox.remove_faults(gate)
        done = ended(process)
    assert done.status == 0, done.stderr
    imports = sorted(place.imports(), key=lambda each: each["started"])
    refused, served = imports[:CONCURRENCY], imports[CONCURRENCY:]
    assert {each["status"] for each in refused} == {code}
    assert {each["status"] for each in served} == {201}
    for number, each in enumerate(served):
        before = [other["ended"] for other in (*refused, *served[:number])]
        now = 1 + sum(moment > each["started"] for moment in before)
        successes = sum(moment <= each["started"] for moment in before[CONCURRENCY:])
        assert now <= allowed(successes), (number, now, successes)


@pytest.mark.parametrize(
    "fault", representatives([{"status": {"code": 503}}, {"status": {"code": 500}}, {"reset": "before"}], MEMBERS)
)
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


@slow("many runs in a row")
@pytest.mark.timeout(600)
def test_many_runs_leak_nothing() -> None:
    assert soak(15)[1] == []
