"""Every fault at every moment: the job tells what the cluster holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.catalogue import ALL, Case, cases, faults, gating
from tests.faults.making import MAKING, perform
from tests.faults.moments import Moment
from tests.faults.scene import Scene
from tests.faults.truth import Allowed, verify
from tests.sandbox.client import Sandbox
from tests.support.tiers import slow

TAIL = "the matrix of all faults at all moments; one case of each family of faults gates"
PARAMETERS = [pytest.param(case, id=case.name, marks=[] if case.name in gating() else [slow(TAIL)]) for case in cases()]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", PARAMETERS)
def test_what_is_told_is_what_the_cluster_holds(case: Case, sandbox: Sandbox, tmp_path: Path) -> None:
    fault = case.fault
    scene = Scene(sandbox, tmp_path, flawed=fault.flawed, remembered=fault.remembered)
    try:
        done = perform(scene, case)
    finally:
        sandbox.remove_faults()
    allowed = Allowed(fault.statuses(case.moment), case.failing, fault.lacking, fault.doubt, fault.internal)
    verify(scene, done, scene.held(), allowed)


def test_there_are_as_many_as_promised() -> None:
    assert len(cases()) >= 250
    assert len(gating()) >= 60


def test_what_gates_has_every_fault_and_every_moment() -> None:
    taken = [case for case in cases() if case.name in gating()]
    assert len(taken) == len(gating()) == len({fault.family for fault in faults()})
    assert {case.moment for case in taken} == set(Moment)
    assert {case.fault.family for case in taken} == {fault.family for fault in faults()}
    assert not [case.name for case in taken if case.moment in case.fault.slow]


def test_every_exclusion_says_why() -> None:
    assert len(cases()) == len(faults()) * len(ALL) - sum(len(fault.excluded) for fault in faults())
    assert all(why for fault in faults() for why in fault.excluded.values())
    assert all(fault.kind in MAKING for fault in faults())
