"""Runs within the memory of their pod (80Mi, in a control group) that others feed what they can: each survives it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.test_gateway import ENDLESS, endless_samples, hostile
from tests.attacks.test_journal import BOMBS, packed, write
from tests.bench.limits import CGROUPS, MEMORY, Group, limited
from tests.integration.runs.conftest import sandbox as sandbox
from tests.sandbox.client import Sandbox
from tests.support.place import PATIENCE, PROGRAM, Ended, Place, told
from tests.support.pods import lease
from tests.support.tiers import representatives

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not any(os.access(CGROUPS / path, os.W_OK) for path in ("memory", "cgroup.controllers")),
    reason="needs root and control groups",
)
# Below the bounds, and as much as they let through.
NEARLY = {"objects": '{"version":1,"x":[' + ",".join(["{}"] * 60_000) + "]}"}
# A process each; see test_journal and test_gateway for the same without one.
REPEATED = "the same bounds stop each of them, and a process in a control group takes seconds"
JOURNALS = ["lists", "wide characters", *(name for name in BOMBS if name not in ("lists", "wide characters"))]
GATEWAYS = ["a text", "gzip", "samples", *(name for name in ENDLESS if name not in ("a text", "gzip", "samples"))]


@pytest.fixture
def group() -> Iterator[Group]:
    with limited(None) as found:
        yield found


def run_within(group: Group, place: Place, **environment: str | None) -> Ended:
    """Run the job in a control group; a run beyond its memory is killed, and ends with -9."""
    done = subprocess.run(
        [PROGRAM, "--output", "json"],
        env=place.environment(**environment),
        stdin=subprocess.DEVNULL,
        preexec_fn=group.enter,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return told(done.returncode, done.stdout, done.stderr)


def peak(group: Group) -> int:
    return int(Path(group.peak).read_text())


@pytest.mark.parametrize("name", representatives(JOURNALS, REPEATED, gating=2))
def test_a_hostile_journal(sandbox: Sandbox, group: Group, name: str) -> None:
    place = Place(sandbox)
    place.imported("app")
    write(place, packed(BOMBS[name]))
    done = run_within(group, place)
    assert done.status == 0, done.stderr
    assert "was started afresh" in done.stderr
    assert peak(group) < MEMORY * 3 // 4


def test_a_journal_just_within_its_bounds(sandbox: Sandbox, group: Group) -> None:
    place = Place(sandbox)
    place.imported("app")
    write(place, packed(NEARLY["objects"]))
    done = run_within(group, place)
    assert done.status == 0, done.stderr
    assert peak(group) < MEMORY


@pytest.mark.parametrize("name", representatives(GATEWAYS, REPEATED, gating=3))
def test_a_hostile_gateway(sandbox: Sandbox, group: Group, name: str) -> None:
    place = Place(sandbox)
    place.imported("app")
    place.push("app", "two")
    with hostile(endless_samples(place.namespace) if name == "samples" else ENDLESS[name]) as server:
        done = run_within(group, place, PUSHGATEWAY_ADDRESS=server.url)
    assert done.status == 0, done.stderr
    assert done.results == {"app:prod": "updated"}
    assert "its metrics cannot be read" in done.stderr
    assert peak(group) < MEMORY
    assert not lease(place).get("holderIdentity")
    assert [event["reason"] for event in sandbox.items(f"/api/v1/namespaces/{place.namespace}/events")] == [
        "ImageImported"
    ]
