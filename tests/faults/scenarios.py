"""What the job does in a world: what is there before, one command, and what must come of it.

A scenario can be begun again at any point: the same command, run once more without a disturbance, ends where the
undisturbed one does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.faults.world import World, check, check_settled, currents
from tests.sandbox.client import Sandbox, until

WATCHED = {"WATCH_ROLLOUTS": "true"}
ROLLS_BACK = {"ON_BAD_ROLLOUT": "rollback"}


@dataclass(frozen=True)
class Scenario:
    """One command in a world.

    Attributes:
        name: what the tests call it.
        prepare: what is there before; gives the arguments of the command.
        settle: what must hold after the command was run once more, to its end.
        environment: settings beside those of the world.
        status: the exit status of the undisturbed command.
        requests: how many it makes at least.
    """

    name: str
    prepare: Callable[[World], tuple[str, ...]]
    settle: Callable[[World], None]
    environment: dict[str, str] = field(default_factory=dict)
    status: int = 0
    requests: int = 0

    def begin(self, sandbox: Sandbox) -> tuple[World, tuple[str, ...]]:
        """A new world in which the command can be run."""
        world = World(sandbox)
        arguments = self.prepare(world)
        world.environment |= self.environment
        return world, arguments


def run_once(
    world: World, *arguments: str, statuses: tuple[int, ...] = (0,), environment: Mapping[str, str] | None = None
) -> int:
    """Run a command that nothing disturbs, and hold what it reports against the cluster."""
    before = currents(world)
    ended, _ = world.run(*arguments, environment=environment or {})
    check(world, ended, before)
    assert ended.status in statuses, (arguments, ended.status, ended.stdout[-1500:], ended.stderr)
    return ended.status


def _all_current(world: World) -> None:
    assert currents(world) == world.wanted
    check_settled(world)


# A run


def _two_streams(world: World) -> tuple[str, ...]:
    world.stream("a")
    world.stream("b")
    world.push("a")
    world.push("b")
    return ("run",)


# A rollback, and the way back


def _bad_image(world: World) -> tuple[str, ...]:
    old, _ = world.stream("a", images=2, workload="Deployment")
    return ("rollback", "a", "--to", old, "--yes", "--reason", "crashes")


def _held_and_releasable(world: World) -> None:
    first = world.place.history("a")[-1]["image"]
    assert world.place.current("a") == first
    assert world.held("a"), world.place.spec("a")
    check_settled(world)
    # The hold survives a run, and its release is the identity.
    run_once(world, "run")
    assert world.held("a")
    world.push("a")
    run_once(world, "resume", "a", "--yes")
    assert world.hold("a") is None
    _all_current(world)


def _held(world: World) -> tuple[str, ...]:
    old, _ = world.stream("a", images=2, workload="Deployment")
    run_once(world, "rollback", "a", "--to", old, "--yes")
    world.push("a")
    return ("resume", "a", "--yes")


def _released(world: World) -> None:
    run_once(world, "run")
    assert world.hold("a") is None
    _all_current(world)


# A whole run of two waves, of which the second is bad


def _bad_run(world: World) -> tuple[str, ...]:
    for name, wave in (("a", "1"), ("b", "2"), ("c", "2")):
        world.stream(name, workload="Deployment" if name == "b" else "", wave=wave)
        world.push(name, "crash" if name == "b" else "")
    run_once(world, "run", statuses=(5,))
    return ("rollback", "--run", "last", "--yes", "--block", "--reason", "a bad Tuesday")


def _undone(world: World) -> None:
    first = {name: world.place.history(name)[-1]["image"] for name in world.names}
    assert currents(world) == first
    assert all(world.held(name) for name in world.names)
    until(lambda: world.place.images("b") == {first["b"]})
    assert world.blocked() == {digest for digest in world.wanted.values() if digest}
    check_settled(world)
    # The way back, to what the references were word for word.
    world.sandbox.image_behaves(str(world.wanted["b"]), "ready")
    run_once(world, "resume", "--run", "last", "--yes")
    assert world.blocked() == set()
    _all_current(world)


# A hold whose end has passed


def _hold_that_ends(world: World) -> tuple[str, ...]:
    old, _ = world.stream("a", images=2)
    world.stream("b")
    run_once(world, "rollback", "a", "--to", old, "--yes", "--until", "3d")
    world.let_holds_end("a")
    world.push("a")
    world.push("b")
    return ("run",)


# Waves, of which the first is bad


def _bad_wave(world: World) -> tuple[str, ...]:
    world.stream("a", workload="Deployment", wave="1")
    world.stream("b", wave="2")
    world.push("a", "crash")
    world.push("b")
    return ("run",)


def _recovers(world: World) -> None:
    """Whatever became of the bad image, the fixed one comes in and what was held is released."""
    first = world.place.history("a")[-1]["image"]
    assert world.held("a") or world.place.current("a") == world.wanted["a"], world.place.spec("a")
    assert not world.held("a") or world.place.current("a") == first
    world.push("a")
    if world.held("a"):
        run_once(world, "resume", "a", "--yes")
    run_once(world, "run", environment=ROLLS_BACK)
    _all_current(world)
    until(lambda: world.place.images("a") == {world.wanted["a"]})


SCENARIOS = (
    Scenario("run", _two_streams, _all_current, requests=16),
    Scenario("rollback", _bad_image, _held_and_releasable, requests=26),
    Scenario("rollback-run", _bad_run, _undone, requests=30),
    Scenario("resume", _held, _released, requests=24),
    Scenario("release", _hold_that_ends, _all_current, requests=18),
    Scenario("bad-wave", _bad_wave, _recovers, ROLLS_BACK, 5, requests=40),
)
