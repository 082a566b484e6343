"""doctor, where nothing is wrong and where faults are planted."""

from __future__ import annotations

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.conftest import MakePlace, on_sandbox
from tests.e2e.place import JOB, Place
from tests.e2e.workloads import TRIGGERS, trigger
from tests.support.tiers import slow

pytestmark = [pytest.mark.needs("workloads"), on_sandbox(slow("integration/runs gates the same as whole runs"))]


@pytest.fixture
def well(make_place: MakePlace) -> Place:
    place = make_place("rollback")
    place.follow("web")
    # An image to roll back to.
    for content in ("second", "third"):
        place.images.push("web", content)
        assert place.run().status == 0
    return place


def findings(place: Place, *severities: str) -> list[tuple[str, str]]:
    done = place.person("doctor")
    return sorted(
        (finding["check"], finding["where"])
        for finding in done.report["findings"]
        if not severities or finding["severity"] in severities
    )


def test_nothing_is_wrong(well: Place) -> None:
    assert findings(well, "error") == []


def test_planted_faults_are_found(well: Place, cluster: Cluster) -> None:
    annotations = {TRIGGERS: trigger("web:prod", "misspelt")}
    cluster.patch("Deployment", well.namespace, "web", {"metadata": {"annotations": annotations}})
    cluster.delete("RoleBinding", well.namespace, JOB)
    found = findings(well, "error")
    assert {check for check, _ in found} == {"trigger-never-fires", "rights-base"}, found
