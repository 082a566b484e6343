"""The fault matrix over everything else that changes a cluster: rollback, resume, waves, holds that end, two at a time.

An arm is a scenario with the moments at which its requests can fail. Every fault of the API's answers comes at each of
them; what somebody else does, the gateway and the process come at the moment of its write. The expected exit status is
not listed: the oracle of `world.check` holds what is reported against the cluster, whichever way the command took.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache

from tests.faults import catalogue
from tests.faults.scenarios import SCENARIOS, WATCHED, Scenario
from tests.faults.world import World, check, check_holds, currents
from tests.sandbox.client import IMAGE, Json, Sandbox
from tests.support.actors import Actor
from tests.support.place import Ended
from tests.support.pods import JOURNAL, write_lease
from tests.support.servers import Answered, Asked, serving

# Requests: the method and the end of the path, as regular expressions for the sandbox.
READ = ("GET", "imagestreams(/[a-z]+)?$")
IMPORT = ("POST", "imagestreamimports$")
TAG = ("PUT", "imagestreamtags/")
PODS = ("GET", "pods$")
JOURNAL_WRITE = ("PUT|POST", "configmaps")
Moment = tuple[str, str]
# How long a command may take against an API that answers nothing of one kind. Each request has 60 s (READ_SECONDS), and
# one that times out is sent once more; the most that a command sends of one kind in turn is three: the journal is read
# at the beginning, and twice at the end. A write of a ConfigMap has 15 s. Beside these it may watch a rollout for 8 s
# and 10 more.
LONGEST_SECONDS = 3 * 60.0 + 18.0 + 42.0
MOMENT_NAMES = {READ: "read", IMPORT: "import", TAG: "tag", PODS: "pods", JOURNAL_WRITE: "journal"}


@dataclass(frozen=True)
class Arm:
    """A scenario and its moments; the first is that of the write that matters most."""

    scenario: Scenario
    moments: tuple[Moment, ...]
    # What somebody else does at the first moment in every case.
    beside: Callable[[World], None] | None = None

    @property
    def name(self) -> str:
        return self.scenario.name


@dataclass(frozen=True)
class Trouble:
    """A fault that comes at a moment: by rules of the sandbox, by what is done then, or by settings made before.

    Attributes:
        name: as in the catalogue of the run's matrix.
        rule: the parts of a rule of the sandbox.
        deed: what is done while the request waits.
        prepare: what is set up before the command.
        environment: more settings.
    """

    name: str
    rule: Json = field(default_factory=dict)
    deed: Callable[[World, Actor], None] | None = None
    prepare: Callable[[World, ExitStack], None] | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A trouble in an arm at a moment."""

    arm: Arm
    trouble: Trouble
    moment: Moment

    @property
    def name(self) -> str:
        return f"{self.arm.name}-{self.trouble.name}-{MOMENT_NAMES[self.moment]}"


# Arms


def _scenario(name: str) -> Scenario:
    return next(each for each in SCENARIOS if each.name == name)


def _good_waves(world: World) -> tuple[str, ...]:
    world.stream("a", workload="Deployment", wave="1")
    world.stream("b", wave="2")
    world.push("a")
    world.push("b")
    return ("run",)


def _two(world: World) -> tuple[str, ...]:
    world.stream("a")
    world.stream("b", images=2)
    world.push("a")
    world.push("b")
    return ("run",)


def _roll_back_b(world: World) -> None:
    first = str(world.place.history("b")[-1]["image"])
    world.run("rollback", "b", "--to", first, "--yes")


ARMS = (
    Arm(_scenario("rollback"), (TAG, READ, PODS, JOURNAL_WRITE)),
    Arm(_scenario("resume"), (TAG, IMPORT, READ, PODS, JOURNAL_WRITE)),
    Arm(replace(_scenario("bad-wave"), name="bad-rollout"), (TAG, IMPORT, READ, PODS, JOURNAL_WRITE)),
    Arm(Scenario("waves", _good_waves, lambda world: None, WATCHED), (IMPORT, READ, PODS, JOURNAL_WRITE)),
    Arm(
        Scenario("retries-0", _scenario("run").prepare, lambda world: None, {"RETRIES": "0"}),
        (IMPORT, READ, JOURNAL_WRITE),
    ),
    Arm(replace(_scenario("release"), name="ending-hold"), (TAG, IMPORT, READ, JOURNAL_WRITE)),
    Arm(Scenario("two-at-a-time", _two, lambda world: None), (IMPORT, READ, JOURNAL_WRITE), _roll_back_b),
)

# What somebody else does, and what befalls the process


def _delete_account(world: World, actor: Actor) -> None:
    world.sandbox.delete(f"/api/v1/namespaces/{world.place.namespace}/serviceaccounts/import-images")


def _withdraw_rights(world: World, actor: Actor) -> None:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{world.place.namespace}/rolebindings"
    for binding in world.sandbox.items(path):
        world.sandbox.delete(f"{path}/{binding['metadata']['name']}")


def _delete_stream(world: World, actor: Actor) -> None:
    world.sandbox.delete(f"{IMAGE}/namespaces/{world.place.namespace}/imagestreams/a")
    del world.references["a"]


def _newer_image(world: World, actor: Actor) -> None:
    world.push("a")


def _apply(world: World, actor: Actor) -> None:
    world.apply("a")


def _take_locks(world: World, actor: Actor) -> None:
    for name in world.lease_holders():
        write_lease(world.place, name, holderIdentity="somebody")


def _delete_locks(world: World, actor: Actor) -> None:
    for name in world.lease_holders():
        world.sandbox.delete(f"/apis/coordination.k8s.io/v1/namespaces/{world.place.namespace}/leases/{name}")


def _spoil_journal(world: World, actor: Actor) -> None:
    path = f"/api/v1/namespaces/{world.place.namespace}/configmaps"
    if world.journal() is not None:
        world.sandbox.delete(f"{path}/{JOURNAL}")
    world.sandbox.create(path, {"metadata": {"name": JOURNAL}, "data": {"journal.json": '{"version": 1, "runs": ['}})


def _signal(name: str) -> Callable[[World, Actor], None]:
    return lambda world, actor: actor.signal(signal.Signals[name])


DEEDS: dict[str, Callable[[World, Actor], None]] = {
    "token-expired": _delete_account,
    "rights-withdrawn": _withdraw_rights,
    "stream-deleted": _delete_stream,
    "tag-moves": _newer_image,
    "manifest-applied": _apply,
    "lock-taken": _take_locks,
    "lock-deleted": _delete_locks,
    "journal-unparseable": _spoil_journal,
    "sigterm": _signal("SIGTERM"),
    "sigint": _signal("SIGINT"),
    "sigkill": _signal("SIGKILL"),
}


def _gateway(parts: Json) -> Callable[[World, ExitStack], None]:
    def prepare(world: World, stack: ExitStack) -> None:
        left = [parts.get("times")]

        def instead(asked: Asked) -> Answered | None:
            if (asked.method == "GET") != bool(parts.get("reads")) or left[0] == 0:
                return None
            if left[0] is not None:
                left[0] -= 1
            if parts.get("after"):
                server.forward(asked)
            return Answered(parts.get("status", 200), b"<html>no</html>", {})

        server = stack.enter_context(serving(world.sandbox.pushgateway, instead))
        world.environment["PUSHGATEWAY_ADDRESS"] = server.url

    return prepare


def _no_gateway(world: World, stack: ExitStack) -> None:
    world.environment["PUSHGATEWAY_ADDRESS"] = "http://127.0.0.1:1"


def _anywhere() -> Iterator[Trouble]:
    """The faults of the API's answers."""
    for fault in catalogue.faults():
        if fault.kind == "rule":
            environment = {key: value for key, value in fault.environment.items() if key != "RETRIES"}
            yield Trouble(fault.name, dict(fault.parts), environment=environment)


def _at_the_write() -> Iterator[Trouble]:
    for name, deed in DEEDS.items():
        yield Trouble(name, deed=deed)
    yield Trouble("gateway-refused", prepare=_no_gateway)
    for fault in catalogue.faults():
        if fault.kind == "gateway" and not fault.parts.get("hang"):
            yield Trouble(fault.name, prepare=_gateway(dict(fault.parts)))


def _makes_sense(trouble: Trouble, moment: Moment) -> bool:
    """A read has no version that could conflict, and a request of no earlier kind cannot be mixed up."""
    reads = moment[0] == "GET"
    return not (reads and ((trouble.rule.get("status") or {}).get("code") == 409 or "change" in trouble.rule))


@cache
def cases() -> tuple[Case, ...]:
    """Every trouble in every arm at each moment where it makes sense."""
    found = [Case(arm, each, arm.moments[0]) for arm in ARMS for each in _at_the_write()]
    found += [
        Case(arm, each, moment)
        for arm in ARMS
        for each in _anywhere()
        for moment in arm.moments
        if _makes_sense(each, moment)
    ]
    return tuple(found)


# Of every arm: an answer that is lost for good at its write, a right that goes, an error at a read.
GATING = ("api-reset-after-always", "rights-withdrawn")
# Cases in which the job once reported what was not so.
FOUND = ("bad-rollout-stream-deleted-tag", "ending-hold-manifest-applied-tag", "ending-hold-stream-deleted-tag")


def gates(case: Case) -> bool:
    return case.name in FOUND or (case.trouble.name in GATING and case.moment == case.arm.moments[0])


# Running them


def perform(case: Case, sandbox: Sandbox) -> None:
    """Run the command into its trouble, and hold what it says against the cluster."""
    world, arguments = case.arm.scenario.begin(sandbox)
    world.environment |= case.trouble.environment
    before = currents(world)
    with ExitStack() as stack:
        stack.callback(sandbox.remove_faults)
        if case.trouble.prepare:
            case.trouble.prepare(world, stack)
        if case.trouble.rule:
            method, path = case.moment
            sandbox.add_fault(path=f"/namespaces/{world.place.namespace}/.*{path}", method=method, **case.trouble.rule)
        ended = _ended(world, case, arguments)
    before = {name: digest for name, digest in before.items() if name in world.references}
    check(world, ended, _moved_beside(case, world, before), {"b"} if case.arm.beside else ())
    check_holds(world)


def _moved_beside(case: Case, world: World, before: dict[str, str | None]) -> dict[str, str | None]:
    """What there was before, with what the other command moved."""
    if case.arm.beside is None or not world.held("b"):
        return before
    return {**before, "b": world.place.current("b")}


def _ended(world: World, case: Case, arguments: tuple[str, ...]) -> Ended:
    gated = case.trouble.deed is not None or case.arm.beside is not None
    with world.running(*arguments, gated=gated) as actor:
        if gated:
            _act_at(world, case, actor)
            actor.run_on()
        return actor.ended(LONGEST_SECONDS)


def _act_at(world: World, case: Case, actor: Actor) -> None:
    """Let the process come to its moment, and do there what is to be done."""
    method, path = case.arm.moments[0]
    while (request := actor.next_request()) is not None:
        if re.fullmatch(method, request.method) and re.search(path, request.path):
            if case.arm.beside:
                case.arm.beside(world)
            if case.trouble.deed:
                case.trouble.deed(world, actor)
            actor.go()
            return
        actor.go()
