"""PROVEN_IN where tags are rolled back, several match, nothing runs, or the run is stopped meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.runs.test_gates import follower, planned_later, ready, stage, unique, verdicts
from tests.sandbox.client import Sandbox, until
from tests.support.place import Place, ended
from tests.support.rights import PROVEN, ROLL_BACK
from tests.support.tiers import slow


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    made = Place(sandbox)
    made.imported("web", unique(made, "old"))
    yield made
    sandbox.remove_faults()


def image_of(place: Place, digest: str) -> str:
    return f"{place.source('web').rpartition(':')[0]}@{digest}"


@slow("a rollback and three plans; unit tests of the history hold the rule")
def test_an_image_that_was_rolled_back_to_one_that_the_tag_never_had_is_not_proven(
    sandbox: Sandbox, place: Place
) -> None:
    """The history alone does not show that: the hold does."""
    stg = Place(sandbox, ROLL_BACK)
    sandbox.grant(stg.namespace, "import-images", PROVEN, of=place.namespace)
    earlier = place.push("web", unique(place, "earlier"), "stg")
    bad = place.push("web", unique(place, "bad"), "stg")
    sandbox.create_stream(stg.namespace, "web", {"stg": place.source("web", "stg")})
    sandbox.import_tag(stg.namespace, "web", "stg")
    sandbox.create_workload(stg.namespace, "Deployment", "web", tag="web:stg", image=image_of(place, bad))
    until(lambda: ready(place, stg.namespace, "web"))
    place.push("web", unique(place, "bad"))
    settings = {"PROVEN_IN": f"{stg.namespace}/*:stg", "PROVEN_FOR": "1s"}
    assert planned_later(place, **settings).results == {"web:prod": "updated"}
    back = stg.run("rollback", "web:stg", "--to", earlier, "--yes", "--reason", "bad", DEPLOYMENT="stg")
    assert back.status == 0, back.stderr
    until(lambda: ready(place, stg.namespace, "web"))
    done = place.run(**settings)
    assert done.results == {"web:prod": "skipped unproven"}
    assert "was rolled back from it" in done.tags["web:prod"]["message"]


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Deployment", {"replicas": 0}),
        pytest.param("CronJob", {"suspend": True}, marks=slow("another kind, which the same code judges")),
    ],
)
def test_where_what_follows_runs_nothing_nothing_is_proven(place: Place, kind: str, spec: dict[str, object]) -> None:
    content = unique(place, "new")
    stg = stage(place, web=content)
    digest = place.push("web", content)
    place.sandbox.create_workload(stg, kind, "web", tag="web:stg", image=image_of(place, digest), spec=spec)
    settings = {"PROVEN_IN": f"{stg}/*:stg", "PROVEN_FOR": "1s"}
    done = planned_later(place, **settings)
    assert (done.results, verdicts(done, "web:prod")) == ({"web:prod": "skipped unproven"}, {"proven": "inconclusive"})
    assert f"{kind} web there is to run nothing now" in done.tags["web:prod"]["message"]
    # One that runs it is enough.
    place.sandbox.create_workload(stg, "StatefulSet", "web", tag="web:stg", image=image_of(place, digest))
    until(lambda: ready(place, stg, "web"))
    assert place.run(**settings).results == {"web:prod": "updated"}


def test_of_several_tags_that_match_one_with_healthy_followers_is_enough(place: Place) -> None:
    content = unique(place, "new")
    stg = place.sandbox.create_namespace()
    place.push("web", content, "stg")
    tags = ("archive", "stg")
    place.sandbox.create_stream(stg, "web", dict.fromkeys(tags, place.source("web", "stg")))
    for tag in tags:
        place.sandbox.import_tag(stg, "web", tag)
    place.sandbox.grant(stg, "import-images", PROVEN, of=place.namespace)
    follower(place, stg, "web", content)
    place.push("web", content)
    done = planned_later(place, PROVEN_IN=f"{stg}/*:*", PROVEN_FOR="1s")
    assert done.results == {"web:prod": "updated"}, done.tags["web:prod"]["message"]


@pytest.mark.parametrize(
    "what", ["imagestreams", pytest.param("deployments", marks=slow("a later request of the same gate"))]
)
def test_a_run_that_is_stopped_meanwhile_is_aborted(place: Place, what: str) -> None:
    """It knows nothing of the image, so that the gate holds nothing back and the run is no success."""
    content = unique(place, "new")
    stg = stage(place, web=content)
    follower(place, stg, "web", content)
    place.push("web", content)
    settings = {"PROVEN_IN": f"{stg}/*:stg", "PROVEN_FOR": "1s"}
    planned_later(place, **settings)
    request = {"method": "GET", "path": f"/namespaces/{stg}/{what}"}
    place.sandbox.add_fault(**request, hang=True)
    with place.running(**settings) as process:
        until(lambda: place.sandbox.requests(**request, user="^$|serviceaccount")[-1]["ended"] is None)
        process.terminate()
        done = ended(process)
    assert (done.status, done.results) == (6, {"web:prod": "failed aborted"})
    assert done.report["run"]["outcome"] == "aborted"
