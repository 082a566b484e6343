"""Gates: what holds a new image back before its tag moves, and that nothing changes where there are none."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sandbox.client import IMAGE, Sandbox, until
from tests.support.place import HOLD, Ended, Place, ended, of
from tests.support.rights import PROVEN, ROLL_BACK, RUN, without
from tests.support.tiers import slow


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


# What tools that build reproducibly write: it says nothing of when the image was built.
EPOCH = "1970-01-01T00:00:00Z"


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def verdicts(done: Ended, name: str) -> dict[str, str]:
    """By gate, what it said of the image of a tag."""
    return {each["gate"]: each["verdict"] for each in done.tags[name]["gates"]}


def annotate(place: Place, stream: str, tag: str | None = None, **annotations: str) -> None:
    """Set annotations of ours on a stream, or on one of its spec tags."""
    names = {f"import-images.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    data = place.sandbox.stream(place.namespace, stream)
    if tag is None:
        data["metadata"]["annotations"] = {**(data["metadata"].get("annotations") or {}), **names}
    else:
        entry = next(each for each in data["spec"]["tags"] if each["name"] == tag)
        entry["annotations"] = {**(entry.get("annotations") or {}), **names}
    place.sandbox.replace(f"{IMAGE}/namespaces/{place.namespace}/imagestreams/{stream}", data)


def test_young_images_wait_and_old_ones_move(place: Place) -> None:
    before = {name: place.imported(name, f"{name} old") for name in ("young", "grown", "same")}
    place.push("young", "young new", created=ago(hours=3))
    grown = place.push("grown", "grown new", created=ago(hours=30))
    done = place.run(MIN_AGE="1d")
    assert (done.status, done.results) == (
        0,
        {"young:prod": "skipped young", "grown:prod": "updated", "same:prod": "unchanged"},
    )
    assert (place.current("young"), place.current("grown")) == (before["young"], grown)
    assert verdicts(done, "young:prod") == {"min_age": "held"}
    assert verdicts(done, "grown:prod") == {"min_age": "passed"}
    assert verdicts(done, "same:prod") == {}
    assert "waits for 20h 59m" in done.tags["young:prod"]["message"]


def test_an_image_without_a_build_time_ages_from_when_a_run_first_saw_it(place: Place) -> None:
    place.imported("web", "old")
    new = place.push("web", "new", created=EPOCH)
    first = place.run(MIN_AGE="4s")
    assert first.results == {"web:prod": "skipped young"}, first.stderr
    assert "build time is not known" in first.tags["web:prod"]["message"]
    # A plan knows it, too, and a run of other tags does not make it young again.
    until(lambda: place.run("plan", MIN_AGE="4s").results == {"web:prod": "updated"})
    assert place.run(MIN_AGE="4s").results == {"web:prod": "updated"}
    assert place.current("web") == new


@slow("it waits for an image to age; the journal's unit tests hold the rule")
def test_an_image_that_aged_is_not_young_again_after_its_import_failed(place: Place) -> None:
    place.imported("web", "old")
    new = place.push("web", "new", created=EPOCH)
    assert place.run(MIN_AGE="4s").results == {"web:prod": "skipped young"}
    until(lambda: place.run("plan", MIN_AGE="4s").results == {"web:prod": "updated"})
    place.fault("imagestreamimports$", "POST", body='"import": *true', status={"code": 503})
    assert place.run(MIN_AGE="4s", RETRIES="0").results == {"web:prod": "failed api_error"}
    place.sandbox.remove_faults()
    assert (place.run(MIN_AGE="4s").results, place.current("web")) == ({"web:prod": "updated"}, new)


def stage(place: Place, *, rules: Any = PROVEN, **tags: str) -> str:
    """A namespace whose streams follow the same repositories; the run's account may do there what the rules say."""
    name = place.sandbox.create_namespace()
    for stream, content in tags.items():
        place.push(stream, content, "stg")
        place.sandbox.create_stream(name, stream, {"stg": place.source(stream, "stg")})
        place.sandbox.import_tag(name, stream, "stg")
    if rules:
        place.sandbox.grant(name, "import-images", rules, of=place.namespace)
    return name


def follower(place: Place, namespace: str, name: str, content: str) -> None:
    """A workload that runs what the tag stg of a stream has."""
    digest = place.push(name, content, "stg")
    image = f"{place.source(name, 'stg').rpartition(':')[0]}@{digest}"
    place.sandbox.create_workload(namespace, "Deployment", name, tag=f"{name}:stg", image=image)
    until(lambda: ready(place, namespace, name), told=f"{name} to be ready")


def ready(place: Place, namespace: str, app: str) -> bool:
    """Whether a workload has pods, and all are ready."""
    pods = place.sandbox.pods(namespace, app)
    conditions = [{each["type"]: each["status"] for each in pod["status"].get("conditions", ())} for pod in pods]
    return bool(pods) and all(each.get("Ready") == "True" for each in conditions)


def planned_later(place: Place, **settings: str) -> Ended:
    """A plan, once no image waits for a second to pass any more."""
    plans: list[Ended] = []

    def is_later() -> bool:
        plans.append(place.run("plan", **settings))
        return not any("waits for" in (tag["message"] or "") for tag in plans[-1].report["tags"])

    until(is_later)
    return plans[-1]


def unique(place: Place, content: str) -> str:
    return f"{place.namespace} {content}"


def test_what_waits_shows_everywhere(place: Place) -> None:
    place.imported("web", "old")
    new = place.push("web", "new", created=ago(hours=3))
    for _ in range(2):
        assert place.run(MIN_AGE="1d").results == {"web:prod": "skipped young"}
    (tag,) = place.run("status").report["tags"]
    assert (tag["state"], tag["gate"]["gate"], tag["gate"]["digest"]) == ("gated", "min_age", new)
    assert "min age: waits for 20h 59m" in re.sub(r"\s+", " ", place.run("status", "--output", "wide").stdout)
    metrics = place.metrics()
    assert metrics["tag_gate"] == {of("web", gate="min_age", verdict="held"): 1}
    (start,) = metrics["tag_gate_start_timestamp_seconds"].values()
    # Since the first of the two runs.
    assert 0 < metrics["last_run_timestamp_seconds"][()] - start < 60
    assert start < metrics["last_run_timestamp_seconds"][()] - 0.1
    events = place.sandbox.items(f"/api/v1/namespaces/{place.namespace}/events")
    (event,) = [each for each in events if each["reason"] == "ImageHeldBack"]
    assert (event["type"], event["count"], event["involvedObject"]["name"]) == ("Normal", 2, "web")
    assert new in event["message"]
    table = place.run("plan", "--output", "table", MIN_AGE="1d").stdout
    assert "min_age" in table
    assert "waits for 20h 59m" in table
    assert place.run().results == {"web:prod": "updated"}
    assert place.metrics().keys().isdisjoint({"tag_gate", "tag_gate_start_timestamp_seconds"})
    (tag,) = place.run("status").report["tags"]
    assert (tag["state"], tag["gate"]) == ("current", None)


def test_only_what_another_namespace_has_proven_moves(place: Place) -> None:
    content = {name: unique(place, f"{name} new") for name in ("proven", "unknown", "sick", "unused")}
    before = {name: place.imported(name, unique(place, f"{name} old")) for name in content}
    stg = stage(place, **{**content, "unknown": unique(place, "another")})
    for name in ("proven", "sick"):
        follower(place, stg, name, content[name])
    new = {name: place.push(name, text) for name, text in content.items()}
    place.sandbox.image_behaves(new["sick"], "crash")
    until(lambda: any("CrashLoop" in json.dumps(pod) for pod in place.sandbox.pods(stg, "sick")), told="a crash loop")
    settings = {"PROVEN_IN": f"{stg}/*:stg", "PROVEN_FOR": "1s"}
    early = place.run("plan", **{**settings, "PROVEN_FOR": "3d"})
    assert set(early.results.values()) == {"skipped unproven"}
    assert f"waits for 2d 23h in {stg}/proven:stg" in early.tags["proven:prod"]["message"]
    planned_later(place, **settings)
    done = place.run(**settings)
    assert (done.status, done.results) == (
        0,
        {"proven:prod": "updated", **dict.fromkeys(("unknown:prod", "sick:prod", "unused:prod"), "skipped unproven")},
    ), done.stderr
    assert place.current("proven") == new["proven"]
    assert {name: place.current(name) for name in ("unknown", "sick", "unused")} == {
        name: before[name] for name in ("unknown", "sick", "unused")
    }
    assert "has not had it" in done.tags["unknown:prod"]["message"]
    assert "sick there is not healthy" in done.tags["sick:prod"]["message"]
    assert verdicts(done, "unused:prod") == {"proven": "inconclusive"}


def test_another_build_of_the_same_revision_is_proven(place: Place) -> None:
    place.imported("web", unique(place, "old"))
    labels = {"org.opencontainers.image.revision": "4d5e6f7" * 5 + "aaaaa"}
    stg = stage(place)
    place.push("web", unique(place, "built for stg"), "stg", labels=labels)
    place.sandbox.create_stream(stg, "web", {"stg": place.source("web", "stg")})
    place.sandbox.import_tag(stg, "web", "stg")
    digest = str(place.sandbox.stream(stg, "web")["status"]["tags"][0]["items"][0]["image"])
    image = f"{place.source('web').rpartition(':')[0]}@{digest}"
    place.sandbox.create_workload(stg, "Deployment", "web", tag="web:stg", image=image)
    new = place.push("web", unique(place, "built for prod"), labels=labels)
    assert new != digest
    until(lambda: place.run("plan", PROVEN_IN=f"{stg}/*:stg", PROVEN_FOR="1s").results == {"web:prod": "updated"})
    assert place.run(PROVEN_IN=f"{stg}/*:stg", PROVEN_FOR="1s").results == {"web:prod": "updated"}


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (("imagestreams", "get"), "grant get and list on imagestreams"),
        (("deployments", "list"), "grant list on deployments"),
        (("pods", "list"), "list on pods"),
    ],
)
def test_a_right_that_is_missing_there_is_named_and_never_a_pass(
    place: Place, missing: tuple[str, str], named: str
) -> None:
    place.imported("web", unique(place, "old"))
    content = unique(place, "new")
    stg = stage(place, rules=without(*missing, rules=PROVEN), web=content)
    follower(place, stg, "web", content)
    place.push("web", content)
    done = planned_later(place, PROVEN_IN=f"{stg}/*:stg", PROVEN_FOR="1s")
    assert done.results == {"web:prod": "skipped unproven"}
    assert verdicts(done, "web:prod") == {"proven": "held"}
    assert named in done.tags["web:prod"]["message"]


def plain(path: str) -> str:
    """The path of a request within its namespace, without names that change from run to run."""
    inner = re.sub(r".*/namespaces/[^/]+/", "", path)
    return re.sub(r"sha256:[0-9a-f]+", "DIGEST", re.sub(r"(events|leases)/.*", r"\1/NAME", inner))


def moved_between(place: Place, content: str, **more: Any) -> tuple[Ended, str]:
    """A run behind MIN_AGE whose registry gets another image between the judgement and the import."""
    gate = place.fault("imagestreamimports$", "POST", body='"import": *true', gate=True)
    with place.running(MIN_AGE="1d") as process:
        place.wait_for_import("web")
        until(lambda: any(each["ended"] is None for each in place.imports("web")[1:]), told="the import")
        later = place.push("web", content, **more)
        place.sandbox.remove_faults(gate)
        return ended(process), later


@pytest.mark.parametrize("rules", [ROLL_BACK, RUN], ids=["may roll back", "may not"])
def test_what_came_in_unjudged_is_put_back_or_reported(sandbox: Sandbox, rules: Any) -> None:
    place = Place(sandbox, rules)
    old = place.imported("web", "old")
    judged = place.push("web", "judged", created=ago(days=3))
    built = ago(hours=1)
    done, later = moved_between(place, "young", created=built)
    tag = done.tags["web:prod"]
    assert (done.status, done.results) == (1, {"web:prod": "failed conflict"})
    assert judged in tag["message"]
    assert later in tag["message"]
    if rules is RUN:
        assert (place.current("web"), tag["after"]["digest"]) == (later, later)
        assert "import-images rollback" in tag["message"]
        assert "grant" in tag["message"]
        return
    assert (place.current("web"), tag["after"]["digest"]) == (old, old)
    hold = json.loads(place.spec("web")["annotations"][HOLD])
    assert datetime.fromisoformat(hold["until"]) == datetime.fromisoformat(built) + timedelta(days=1)
    # The hold lasts until the gate would let the image through; until then no run imports it.
    assert place.run(MIN_AGE="1d").results == {"web:prod": "skipped held"}


def test_what_came_in_unjudged_and_passes_stays(place: Place) -> None:
    place.imported("web", "old")
    place.push("web", "judged", created=ago(days=3))
    done, later = moved_between(place, "another old one", created=ago(days=2))
    assert (done.status, done.results, place.current("web")) == (0, {"web:prod": "updated"}, later)
    (verdict,) = done.tags["web:prod"]["gates"]
    assert (verdict["verdict"], verdict["digest"]) == ("passed", later)


def test_annotations_win_and_bad_ones_are_reported(place: Place) -> None:
    for name in ("stream", "tag", "bad", "free"):
        place.imported(name, f"{name} old")
        place.push(name, f"{name} new", created=ago(hours=3))
    annotate(place, "stream", min_age="1d")
    annotate(place, "tag", min_age="1d")
    annotate(place, "tag", "prod", min_age="1h")
    annotate(place, "bad", "prod", min_age="three days", proven_in="packit-stg")
    done = place.run()
    assert (done.status, done.results) == (
        1,
        {
            "stream:prod": "skipped young",
            "tag:prod": "updated",
            "bad:prod": "failed invalid",
            "free:prod": "updated",
        },
    )
    message = done.tags["bad:prod"]["message"]
    assert "min-age: 'three days'" in message
    assert "proven-in: 'packit-stg'" in message
    # None of the tags without a gate was asked for first.
    assert {json.dumps(each["stream"]) for each in place.imports()} >= {'"free"'}
    annotate(place, "stream", min_age="none")
    assert place.run(MIN_AGE="1d").results["stream:prod"] == "updated"


def test_without_gates_the_requests_are_the_same(place: Place) -> None:
    for name in ("one", "two"):
        place.imported(name, f"{name} old")
        place.push(name, f"{name} new", created=ago(hours=3))
    assert place.run(PUSHGATEWAY_ADDRESS="").results == {"one:prod": "updated", "two:prod": "updated"}
    asked = Counter(f"{each['method']} {plain(each['path'])}" for each in place.requests())
    # What a run asked for before there were gates.
    # The lock is renewed in a slow run.
    asked = Counter({request: count for request, count in asked.items() if "leases" not in request})
    assert asked == {
        "GET configmaps/import-images-journal": 1,
        "GET configmaps/import-images-rules": 1,
        "GET imagestreamimages/one@DIGEST": 1,
        "GET imagestreamimages/two@DIGEST": 1,
        "GET imagestreams": 2,
        "POST configmaps": 1,
        "POST events": 2,
        "POST imagestreamimports": 2,
        "PUT configmaps/import-images-journal": 1,
    }


def test_a_hold_that_has_ended_lasts_until_the_gate_lets_the_image_through(place: Place) -> None:
    """Once a tag is released the server imports by itself what nobody has judged."""
    old = place.imported("web", "old")
    new = place.push("web", "new", created=ago(hours=3))
    place.sandbox.import_tag(place.namespace, "web", "prod")
    place.roll_back("web", old, until=ago(hours=1))
    done = place.run(MIN_AGE="1d")
    assert (done.results, place.current("web")) == ({"web:prod": "skipped held"}, old)
    message = done.tags["web:prod"]["message"]
    assert "not released: gate min_age holds" in message
    assert new in message
    assert place.run("plan", MIN_AGE="1d").tags["web:prod"]["message"] == message
    released = place.run(MIN_AGE="1h")
    assert (released.results, place.current("web")) == ({"web:prod": "updated"}, new)
