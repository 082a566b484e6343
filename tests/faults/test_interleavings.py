"""What others do between any two requests of the job: nothing of theirs is undone, and the report is true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.faults.measured import record
from tests.faults.scenarios import run_once
from tests.faults.world import World, check_holds, currents, report_of, row_of
from tests.sandbox.client import Sandbox
from tests.support.actors import Actor, Request
from tests.support.place import Ended
from tests.support.tiers import representatives, slow

EVERY = "between any two requests; those around the requests to image streams gate"
OTHERS = "some ten runs each; a rollback beside a run, the pair of unlike commands, gates"


@dataclass(frozen=True)
class Deed:
    """What somebody else does to the stream `a`, and what must hold of it at the end, whatever the job did.

    Attributes:
        do: the deed.
        stays: whether its effect is still there.
    """

    name: str
    do: Callable[[World], None]
    stays: Callable[[World], bool]


def _roll_back(world: World) -> None:
    run_once(world, "rollback", "a", "--to", _first(world), "--yes")


def _first(world: World) -> str:
    return str(world.place.history("a")[-1]["image"])


def _there_and_back(world: World) -> None:
    """The tag moves A, B, A between two looks, and the source comes back word for word."""
    now, reference = world.place.current("a"), world.reference("a")
    assert now is not None
    world.retag("a", _first(world))
    world.retag("a", now)
    world.write("a", reference)


DEEDS = (
    Deed("rollback", _roll_back, lambda world: world.held("a") and world.place.current("a") == _first(world)),
    # Retagged by hand, the tag follows another image; whoever did that meant it.
    Deed(
        "oc-tag",
        lambda world: world.retag("a", _first(world)),
        lambda world: world.place.spec("a")["from"]["kind"] == "ImageStreamImage",
    ),
    Deed("oc-apply", lambda world: world.apply("a"), lambda world: world.hold("a") is None),
    Deed("there-and-back", _there_and_back, lambda world: world.hold("a") is None),
)


def between(world: World, number: int, deed: Callable[[World], None], *arguments: str) -> tuple[Ended, bool]:
    """Run the job, and do something before its request `number`; whether it came to that request."""
    with world.running(*arguments, gated=True) as actor:
        came = _advance(actor, number)
        if came:
            deed(world)
            actor.go()
        actor.run_on()
        return actor.ended(), came


def _advance(actor: Actor, number: int) -> bool:
    for _ in range(number - 1):
        if actor.next_request() is None:
            return False
        actor.go()
    return actor.next_request() is not None


def requests_of(sandbox: Sandbox, *, every: bool) -> list[int]:
    """The requests of a run, by number from 1, before which something is done."""
    world = _world(sandbox)
    _, requests = world.run("run")
    return [number for number, each in enumerate(requests, 1) if every or _of_streams(each)]


def _of_streams(request: Request) -> bool:
    return any(each in request.path for each in ("imagestreams", "imagestreamimports", "imagestreamtags"))


def _world(sandbox: Sandbox) -> World:
    world = World(sandbox)
    world.stream("a", images=2)
    world.stream("b")
    world.push("a")
    world.push("b")
    return world


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=slow(EVERY))], ids=["streams", "every"])
@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.name)
def test_done_between_two_requests_of_a_run(deed: Deed, every: bool, sandbox: Sandbox) -> None:
    failures, numbers = [], requests_of(sandbox, every=every)
    for number in numbers:
        world = _world(sandbox)
        before = currents(world)
        try:
            ended, came = between(world, number, deed.do, "run")
            assert came
            assert deed.stays(world), f"{deed.name} was undone: {world.place.spec('a')}\n{ended.stderr}"
            _check_around(world, ended, before)
        except (AssertionError, TimeoutError) as error:
            failures.append(f"before request {number}: {error}")
    assert not failures, "\n\n".join(failures)
    if every:
        record(f"interleavings/{deed.name}", len(numbers))


def _check_around(world: World, ended: Ended, before: dict[str, str | None]) -> None:
    """What is said of `b` is exact; of `a`, which moved meanwhile, it was so when it was said."""
    report = report_of(ended)
    assert report is not None, ended.stderr
    assert ended.status == report["run"]["exit_status"]
    b = row_of(report, "b")
    assert b is not None and b["after"] and b["after"]["digest"] == world.place.current("b")
    a = row_of(report, "a")
    history = {item["image"] for item in world.place.history("a")}
    assert a is not None
    assert a["after"] is None or a["after"]["digest"] in history, a
    # One conflict is made good within the run.
    assert a["result"] in ("updated", "skipped", "unchanged"), (a, ended.stderr)
    if a["result"] == "updated":
        assert a["after"]["digest"] == world.wanted["a"] != before["a"], a
    check_holds(world)


# Two commands at a time, each of which stops before some of its requests

PAIRS = (
    ("rollback", ("rollback", "a", "--to", "FIRST", "--yes"), ("run",)),
    ("run", ("run",), ("run", "a", "b")),
    ("rollbacks", ("rollback", "a", "--to", "FIRST", "--yes"), ("rollback", "a", "--to", "FIRST", "--yes")),
)


def serial_ends(sandbox: Sandbox, one: tuple[str, ...], other: tuple[str, ...]) -> list[list[object]]:
    """How the cluster ends when one command follows the other, in either order, and when `other` alone is done."""
    ends = []
    for first, second in ((one, other), (other, one), (other, ())):
        world = _world(sandbox)
        for arguments in filter(None, (first, second)):
            world.run(*_with_first(world, arguments))
        ends.append(_end(world))
    return ends


def _with_first(world: World, arguments: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_first(world) if each == "FIRST" else each for each in arguments)


def _end(world: World) -> list[object]:
    """Which image each tag has at the end, by its age, and whether it is held."""
    ends: list[object] = []
    for name in world.names:
        images = list(dict.fromkeys(item["image"] for item in reversed(world.place.history(name))))
        now = world.place.current(name)
        ends.append((name, "newest" if now == world.wanted[name] else images.index(str(now)), world.held(name)))
    return ends


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=slow(EVERY))], ids=["streams", "every"])
@pytest.mark.parametrize(("name", "one", "other"), representatives(PAIRS, OTHERS), ids=[pair[0] for pair in PAIRS])
def test_two_at_a_time_are_like_one_after_the_other(
    name: str, one: tuple[str, ...], other: tuple[str, ...], every: bool, sandbox: Sandbox
) -> None:
    allowed, failures = serial_ends(sandbox, one, other), []
    world = _world(sandbox)
    _, requests = world.run(*_with_first(world, one))
    numbers = [number for number, each in enumerate(requests, 1) if every or _of_streams(each)]
    for number in numbers:
        world = _world(sandbox)
        with world.running(*_with_first(world, one), gated=True) as actor:
            assert _advance(actor, number)
            # The pod of the same Job does not wait for a lock that nobody renews meanwhile.
            second, _ = world.run(*_with_first(world, other))
            actor.go()
            actor.run_on()
            first = actor.ended()
        try:
            assert {first.status, second.status} <= {0, 1, 2, 3, 4, 6}, (first.stderr, second.stderr)
            # Who refuses, since what was decided on is no longer so, has done nothing.
            refused = first.status in (1, 2, 3, 4) and "nothing was done" in first.stderr
            assert _end(world) in (allowed if refused else allowed[:2]), (
                _end(world),
                allowed,
                first.stderr,
                second.stderr,
            )
            check_holds(world)
        except AssertionError as error:
            failures.append(f"before request {number}: {error}")
    assert not failures, "\n\n".join(failures)
    if every:
        record(f"pairs/{name}", len(numbers))
