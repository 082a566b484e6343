"""Any sequence of what the job and others do: what was true before a step and has to stay so is true after it."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from job.journal.decoding import decode
from tests.faults.scenarios import ROLLS_BACK
from tests.faults.world import World, check, check_holds, check_settled, currents, report_of
from tests.sandbox.client import Json, Sandbox
from tests.support.actors import How, Request, Strike
from tests.support.place import Ended
from tests.support.tiers import slow

NAMES = ("a", "b")
# Longer than any of the commands here.
ANYWHERE = st.integers(1, 40)
HOWS = st.sampled_from(list(How))
names = st.sampled_from(NAMES)
commands = st.sampled_from(["run", "rollback", "resume"])
# How many sequences, and of how many steps, gate and do not.
GATING, STEPS = 4, 10
SEQUENCES, LONG = 60, 25
_POLICIES = ("importPolicy", "referencePolicy")


class Sequence(RuleBasedStateMachine):
    """`a` is followed by a Deployment, `b` by nothing."""

    sandbox: ClassVar[Sandbox]

    @initialize()
    def begin(self) -> None:
        self.world = World(self.sandbox)
        self.world.stream("a", images=2, workload="Deployment")
        self.world.stream("b", images=2)
        self.manifests = dict(self.world.references)

    # Others

    @rule(name=names, behaves=st.sampled_from(["", "", "crash"]))
    def push(self, name: str, behaves: str) -> None:
        self.world.push(name, behaves)

    @rule(name=names)
    def oc_tag(self, name: str) -> None:
        """Somebody moves the tag by hand to the first image it had, and means it to stay."""
        self.world.retag(name, str(self.world.place.history(name)[-1]["image"]))
        self.world.references[name] = self.world.reference(name)

    @rule(name=names)
    def oc_apply(self, name: str) -> None:
        """Somebody applies the manifest: the source comes back, whatever annotation is there stays."""
        self.world.references[name] = self.manifests[name]
        self.world.apply(name)

    @rule(replicas=st.integers(0, 2))
    def scale(self, replicas: int) -> None:
        self.world.scale("a", replicas)

    @precondition(lambda self: any(self.world.held(name) for name in NAMES))
    @rule()
    def time_passes_until_holds_end(self) -> None:
        for name in NAMES:
            if self.world.held(name):
                self.world.let_holds_end(name)

    # The job

    @rule()
    def run(self) -> None:
        self._command("run")

    @rule()
    def run_that_rolls_back(self) -> None:
        self._command("run", environment=ROLLS_BACK)

    @rule(hours=st.sampled_from([-48, 48]))
    def run_after_the_clock_jumped(self, hours: int) -> None:
        self._command("run", clock=hours * 3600.0)

    @rule()
    def run_inside_a_freeze(self) -> None:
        before = currents(self.world)
        ended = self._command("run", environment={"FREEZE": "* * * * * 1h"})
        assert ended.status == 2 and currents(self.world) == before, ended.stderr

    @rule()
    def plan(self) -> None:
        versions = self.world.place.versions()
        ended, requests = self.world.run("plan")
        assert ended.status in (0, 1), ended.stderr
        assert self.world.place.versions() == versions
        # What is only asked by a POST: what an import would bring, and who asks.
        asked = ("imagestreamimports", "selfsubjectreviews")
        assert not [each for each in requests if each.writes and not each.path.endswith(asked)]

    @rule(name=names)
    def rollback(self, name: str) -> None:
        reference = self.world.reference(name)
        first = not self.world.held(name)
        ended = self._command("rollback", name, "--yes")
        if ended.status == 0 and first:
            hold = self.world.hold(name)
            assert hold is not None and hold["original"]["from"] == reference["from"]

    @rule(name=names)
    def resume(self, name: str) -> None:
        held = self.world.held(name)
        ended = self._command("resume", name, "--yes")
        # After a rollback it is the identity.
        assert (ended.status != 2) == held, ended.stderr
        if held:
            assert self.world.hold(name) is None
            assert self.world.reference(name)["from"] == self.world.references[name]["from"]

    @rule(command=commands, name=names, how=HOWS, number=ANYWHERE, onwards=st.booleans())
    def struck(self, command: str, name: str, how: How, number: int, onwards: bool) -> None:
        """The process is killed, or loses connections, at one of its requests."""
        arguments = {"run": (), "rollback": (name, "--yes"), "resume": (name, "--yes")}[command]
        self._command(command, *arguments, strike=Strike(how, number, onwards=onwards))

    @rule(number=ANYWHERE, name=names, second=commands)
    def two_at_a_time(self, number: int, name: str, second: str) -> None:
        """A run stops before a request, and a whole other command comes between."""
        world = self.world
        with world.running("run", gated=True) as actor:
            # What it was let do before has taken effect once it waits at the next one.
            for _ in range(number):
                if waits := actor.next_request() is not None:
                    actor.go()
            waits = waits and actor.next_request() is not None
            arguments = {"run": (), "rollback": (name, "--yes"), "resume": (name, "--yes")}[second]
            before = currents(world)
            other, _ = world.run(second, *arguments)
            check(world, other, before)
            held = [each for each in NAMES if world.held(each)]
            if waits:
                actor.go()
            actor.run_on()
            ended = actor.ended()
        report = report_of(ended)
        assert report is None or ended.status == report["run"]["exit_status"]
        # Whatever was held when the other command ended is held still: nothing is due here.
        undone = [each for each in held if not world.held(each) and not self._due(each)]
        assert not undone, (undone, ended.stderr, other.stderr)

    def _due(self, name: str) -> bool:
        hold = self.world.hold(name)
        return hold is None or hold.get("until") is not None

    def _command(self, *arguments: str, **options: Any) -> Ended:
        world = self.world
        before = currents(world)
        held = {name: hold for name in NAMES if world.held(name) and (hold := world.hold(name))}
        ended, requests = world.run(*arguments, **options)
        check(world, ended, before)
        self._check_holds_stayed(arguments, held, ended)
        report = report_of(ended)
        if report is not None and "strike" not in options and ended.status in (0, 1, 5):
            self._check_journal(report, requests)
        return ended

    def _check_holds_stayed(self, arguments: tuple[str, ...], held: dict[str, Json], ended: Ended) -> None:
        """A valid hold is undone by nobody but `resume`, its end, and a rollback that replaces it."""
        for name, hold in held.items():
            if name in arguments or hold.get("until") is not None:
                continue
            assert self.world.held(name) and self.world.hold(name) == hold, (name, arguments, ended.stderr)

    def _check_journal(self, report: Json, requests: list[Request]) -> None:
        """The journal has what was reported."""
        found = self.world.journal()
        assert found is not None, requests
        record = next((each for each in decode(found).runs if each.id == report["run"]["id"]), None)
        assert record is not None
        assert (record.outcome, record.exit_status) == (report["run"]["outcome"], report["run"]["exit_status"])

    @invariant()
    def policies_never_change(self) -> None:
        if not hasattr(self, "world"):
            return
        for name in NAMES:
            spec = self.world.place.spec(name)
            assert {key: spec.get(key) for key in _POLICIES} == {
                key: self.manifests[name].get(key) for key in _POLICIES
            }
        check_holds(self.world)

    def teardown(self) -> None:
        """Whatever came before, a run that nothing disturbs settles everything."""
        if hasattr(self, "world"):
            self._command("run")
            check_settled(self.world)


def play(sandbox: Sandbox, count: int, steps: int, *, fixed: bool) -> None:
    Sequence.sandbox = sandbox
    run_state_machine_as_test(
        Sequence,
        settings=settings(
            max_examples=count,
            stateful_step_count=steps,
            deadline=None,
            derandomize=fixed,
            database=None,
            print_blob=True,
            # Each step takes a second: what is found is shown as it was found.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)
def test_some_sequences(sandbox: Sandbox) -> None:
    play(sandbox, GATING, STEPS, fixed=True)


@slow("many long sequences, other ones each time")
@pytest.mark.timeout(7200)
def test_many_sequences(sandbox: Sandbox) -> None:
    play(sandbox, SEQUENCES, LONG, fixed=False)
