"""A connection that breaks before or after a request: what is reported is what the cluster holds, and it can go on."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.test_crashes import trace
from tests.faults.world import check, check_holds, currents
from tests.sandbox.client import Sandbox
from tests.support.actors import How, Request, Strike
from tests.support.tiers import gating, slow

EVERY = "every write of every scenario; a lost answer to each kind of write gates"
OTHERS = "some ten runs each; the rollback, whose write to a tag is the one that hurts, gates"
_STREAMS = ("imagestreamimports", "imagestreamtags")


def strikes(requests: list[Request], *, every: bool) -> list[Strike]:
    """Each write, told by how many of its kind came before: once, and from it on for good."""
    found, seen = [], Counter[tuple[str, str]]()
    for request in requests:
        if not request.writes:
            continue
        kind = request.method, request.path.split("/")[-1 if request.method == "POST" else -2]
        seen[kind] += 1
        if not every and (kind[1] not in _STREAMS or seen[kind] > 1):
            continue
        hows = (How.LOSE_AFTER, How.LOSE_BEFORE) if every else (How.LOSE_AFTER,)
        for onwards in (False, True):
            found += [Strike(how, seen[kind], kind[0], kind[1], onwards) for how in hows]
    return found


def lose(scenario: Scenario, sandbox: Sandbox, strike: Strike) -> None:
    world, arguments = scenario.begin(sandbox)
    before = currents(world)
    ended, _ = world.run(*arguments, strike=strike)
    check(world, ended, before)
    if not strike.onwards:
        # One lost answer is made good within the run.
        assert ended.status == scenario.status, (ended.status, ended.stderr)
    before = currents(world)
    again, _ = world.run(*arguments)
    check(world, again, before)
    assert again.status in (0, 2, scenario.status), (again.status, again.stderr)
    check_holds(world)
    scenario.settle(world)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=slow(EVERY))], ids=["streams", "every"])
@pytest.mark.parametrize("scenario", gating(SCENARIOS, OTHERS, "rollback"), ids=lambda scenario: scenario.name)
def test_answers_lost_from_a_write_on(scenario: Scenario, every: bool, sandbox: Sandbox) -> None:
    requests = trace(scenario, sandbox)
    found, failures = strikes(requests, every=every), []
    assert len(found) >= 2
    for strike in found:
        try:
            lose(scenario, sandbox, strike)
        except (AssertionError, TimeoutError) as error:
            failures.append(f"{strike}: {error}")
    assert not failures, "\n\n".join(failures)
