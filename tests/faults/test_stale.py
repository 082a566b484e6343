"""Reads that are some writes old, as a cache that lags gives them: no hold is undone, nothing untrue is said."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.faults.scenarios import ROLLS_BACK, run_once
from tests.faults.world import World, check, check_holds, check_settled, currents, report_of, row_of
from tests.sandbox.client import IMAGE, Json, Sandbox, until
from tests.support.actors import Actor
from tests.support.tiers import representatives

TAIL = "more old answers in a row; one gates"


def keep_view(world: World) -> Callable[[int | None, int | None], None]:
    """Remember what lists and gets of streams show now; gives what lets the next so many of them show that again."""
    root = f"{IMAGE}/namespaces/{world.place.namespace}/imagestreams"
    shown = [(f"{root}$", world.sandbox.get(root))]
    shown += [(f"{root}/{name}$", world.sandbox.get(f"{root}/{name}")) for name in world.names]

    def show(lists: int | None, gets: int | None) -> None:
        for (path, body), times in zip(shown, (lists, *(gets for _ in world.names)), strict=True):
            if times != 0:
                raw = {"status": 200, "content_type": "application/json", "body": json.dumps(body)}
                world.sandbox.add_fault(method="GET", path=path, raw=raw, times=times)

    return show


def _rolled_back(world: World) -> str:
    """`a` is rolled back behind the back of whoever sees what was before."""
    old = str(world.place.history("a")[-1]["image"])
    run_once(world, "rollback", "a", "--to", old, "--yes", "--reason", "crashes")
    return old


@pytest.mark.parametrize(
    ("lists", "gets"), representatives([(1, 0), (1, 1), (1, 2), (None, 3), (None, None)], TAIL, gating=2)
)
def test_a_run_that_sees_the_tag_before_its_rollback(lists: int | None, gets: int | None, sandbox: Sandbox) -> None:
    world = World(sandbox)
    world.stream("a", images=2)
    world.stream("b")
    world.push("a")
    world.push("b")
    show = keep_view(world)
    old = _rolled_back(world)
    show(lists, gets)
    before = currents(world)
    try:
        ended, _ = world.run("run")
    finally:
        sandbox.remove_faults()
    assert world.place.current("a") == old and world.held("a"), ended.stderr
    report = report_of(ended)
    assert report is not None
    a, b = row_of(report, "a"), row_of(report, "b")
    assert a is not None and b is not None
    assert (a["result"], a["reason"]) in (("skipped", "held"), ("failed", "conflict")), ended.stderr
    assert b["result"] == "updated"
    if lists == 1 and gets == 0:
        check(world, ended, before)
    run_once(world, "run")
    check_settled(world)


@pytest.mark.parametrize("gets", representatives([1, 2, 3], TAIL))
def test_a_rollback_and_a_resume_that_see_an_older_tag(gets: int, sandbox: Sandbox) -> None:
    """What was decided on an older view is refused when it is written."""
    world = World(sandbox)
    first, _ = world.stream("a", images=2)
    show = keep_view(world)
    newest = world.push("a")
    run_once(world, "run")
    show(0, gets)
    try:
        ended, _ = world.run("rollback", "a", "--to", first, "--yes")
    finally:
        sandbox.remove_faults()
    # Told to leave the image it saw, it leaves no other.
    assert world.place.current("a") in (newest, first), ended.stderr
    if world.place.current("a") == newest:
        assert ended.status != 0 and world.hold("a") is None, ended.stderr
    else:
        hold = world.hold("a")
        assert hold is not None and hold["bad"] == newest, hold
    check_holds(world)
    if not world.held("a"):
        run_once(world, "rollback", "a", "--to", first, "--yes")
    show = keep_view(world)
    run_once(world, "resume", "a", "--yes")
    show(0, gets)
    try:
        again, _ = world.run("resume", "a", "--yes")
    finally:
        sandbox.remove_faults()
    assert again.status in (0, 1, 2), again.stderr
    run_once(world, "run")
    assert currents(world) == world.wanted
    check_settled(world)


@pytest.mark.parametrize("lists", representatives([1, None], TAIL))
def test_a_run_that_sees_a_hold_which_was_released(lists: int | None, sandbox: Sandbox) -> None:
    world = World(sandbox)
    world.stream("a", images=2)
    _rolled_back(world)
    world.push("a")
    show = keep_view(world)
    run_once(world, "resume", "a", "--yes")
    show(lists, 0)
    try:
        ended, _ = world.run("run")
    finally:
        sandbox.remove_faults()
    # What it saw it reports; what there is it leaves alone.
    assert ended.status in (0, 1), ended.stderr
    assert world.place.current("a") == world.wanted["a"] and world.hold("a") is None
    run_once(world, "run")
    check_settled(world)


# What happens between two looks at a rollout

STABLE_SECONDS = 1.5


def _container(world: World) -> Json:
    """The status of the one container."""
    (pod,) = world.sandbox.pods(world.place.namespace, "a")
    (found,) = pod["status"]["containerStatuses"]
    assert isinstance(found, dict)
    return found


def _next_look(actor: Actor) -> None:
    """Let the command come to its next read of pods, and stop before it."""
    while (request := actor.next_request()) is not None and not request.path.endswith("/pods"):
        actor.go()
    assert request is not None


def test_a_pod_that_crashes_and_recovers_between_two_looks(sandbox: Sandbox) -> None:
    """Ready at both looks, it is healthy only when it was so for long enough since; one crash condemns no image."""
    world = World(sandbox)
    world.stream("a", workload="Deployment")
    new = world.push("a")
    with world.running("run", gated=True, environment={**ROLLS_BACK, "ROLLOUT_STABLE": "1500ms"}) as actor:
        _next_look(actor)
        until(lambda: world.place.images("a") == {new})
        actor.go()
        _next_look(actor)
        sandbox.image_behaves(new, "crash")
        until(lambda: "terminated" in _container(world)["state"])
        sandbox.image_behaves(new, "ready")
        until(lambda: world.place.images("a") == {new})
        assert _container(world)["restartCount"] == 1
        recovered = time.monotonic()
        actor.go()
        actor.run_on()
        ended = actor.ended()
    assert time.monotonic() - recovered >= STABLE_SECONDS
    report = report_of(ended)
    assert ended.status == 0 and report is not None, ended.stderr
    assert [each["result"] for each in report["rollouts"]] == ["healthy"]
    assert world.place.current("a") == new and world.hold("a") is None
    assert set(world.place.metrics()["rollout_healthy"].values()) == {1}
