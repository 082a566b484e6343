"""A run that is killed before or after any of its requests: the next one finds its way, and nothing is left behind."""

from __future__ import annotations

import pytest

from tests.faults.measured import record
from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.world import World, check, check_holds, currents
from tests.sandbox.client import Sandbox
from tests.support.actors import How, Request, Strike
from tests.support.tiers import gating, slow

EVERY = "every request of every scenario; the kills around a write to an image stream gate"
OTHERS = "some ten runs each; a run and a rollback, which each end a kind of write, gate"
_STREAMS = ("imagestreamimports", "imagestreamtags")


def trace(scenario: Scenario, sandbox: Sandbox) -> list[Request]:
    """What the undisturbed command asks, in order; it ends as the scenario says."""
    world, arguments = scenario.begin(sandbox)
    before = currents(world)
    ended, requests = world.run(*arguments)
    check(world, ended, before)
    assert ended.status == scenario.status, (ended.stdout, ended.stderr)
    assert len(requests) >= scenario.requests, requests
    scenario.settle(world)
    return requests


def crash(scenario: Scenario, sandbox: Sandbox, strike: Strike) -> bool:
    """Kill the command at a request and run it again; False where it ended before that request."""
    world, arguments = scenario.begin(sandbox)
    ended, _ = world.run(*arguments, strike=strike)
    if ended.status != -9:
        return False
    check_holds(world)
    _again(scenario, world, arguments)
    scenario.settle(world)
    return True


def _again(scenario: Scenario, world: World, arguments: tuple[str, ...]) -> None:
    before = currents(world)
    ended, _ = world.run(*arguments)
    check(world, ended, before)
    # 2: the killed one had done it already, and there is nothing left to do.
    assert ended.status in (0, 2, scenario.status), (ended.status, ended.stdout, ended.stderr)


def points(requests: list[Request], *, every: bool) -> list[Strike]:
    """Where to kill: before and after the requests, counted from 1."""
    return [
        Strike(how, number)
        for number, request in enumerate(requests, 1)
        for how in (How.KILL_BEFORE, How.KILL_AFTER)
        if every or (request.writes and any(each in request.path for each in _STREAMS))
    ]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=slow(EVERY))], ids=["streams", "every"])
@pytest.mark.parametrize("scenario", gating(SCENARIOS, OTHERS, "run", "rollback"), ids=lambda scenario: scenario.name)
def test_killed_at_a_request(scenario: Scenario, every: bool, sandbox: Sandbox) -> None:
    requests = trace(scenario, sandbox)
    struck, failures = 0, []
    for strike in points(requests, every=every):
        try:
            struck += crash(scenario, sandbox, strike)
        except (AssertionError, TimeoutError) as error:
            failures.append(f"{strike.how} {strike.number} {requests[strike.number - 1]}: {error}")
    assert not failures, "\n\n".join(failures)
    # The polls of a rollout vary by a few with the speed of the machine.
    assert struck >= (2 * len(requests) * 3 // 4 if every else 2)
    if every:
        record(f"crashes/{scenario.name}", struck)
