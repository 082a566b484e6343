"""Every fault in everything else that changes a cluster: what is reported is what the cluster holds."""

from __future__ import annotations

import pytest

from tests.faults.arms import ARMS, FOUND, Case, cases, gates, perform
from tests.sandbox.client import Sandbox
from tests.support.tiers import slow

TAIL = "the matrix of all arms, faults and moments; two faults of every arm gate, and what was wrong once"


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.name, marks=[] if gates(case) else [slow(TAIL)]) for case in cases()]
)
def test_what_is_reported_is_what_the_cluster_holds(case: Case, sandbox: Sandbox) -> None:
    perform(case, sandbox)


def test_every_arm_meets_every_fault() -> None:
    names = {(case.arm.name, case.trouble.name) for case in cases()}
    troubles = {trouble for _, trouble in names}
    assert names == {(arm.name, trouble) for arm in ARMS for trouble in troubles}
    assert sum(map(gates, cases())) == 2 * len(ARMS) + len(FOUND)
    assert len({case.name for case in cases()}) == len(cases())
