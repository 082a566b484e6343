"""Waves: the order of imports, what stops them, and the tags that come with none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.client import Json, Sandbox
from tests.support.place import Place
from tests.support.rights import ROLL_BACK, RUN
from tests.support.tiers import slow

WHOLE_RUN = "a whole run of seconds; one of its kind gates"


WAVE = "import-images.dev/wave"


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def make(place: Place, name: str, wave: str | None, *, workload: bool = False) -> str:
    """A stream whose registry has something new, with the wave on its tag; gives the new digest."""
    content = f"{place.namespace} {name}"
    old = place.push(name, f"{content} old")
    reference: Json = {
        "from": {"kind": "DockerImage", "name": place.source(name)},
        "importPolicy": {"insecure": True},
        **({"annotations": {WAVE: wave}} if wave is not None else {}),
    }
    place.stream(name, {"prod": reference})
    place.sandbox.import_tag(place.namespace, name, "prod")
    if workload:
        image = f"{place.source(name).rpartition(':')[0]}@{old}"
        place.sandbox.create_workload(place.namespace, "Deployment", name, tag=f"{name}:prod", image=image)
    return place.push(name, f"{content} new")


def order(place: Place) -> list[str]:
    return [each["stream"] for each in place.imports()]


def test_they_come_one_after_another_and_the_unreadable_last(place: Place) -> None:
    for name, wave in {"c": "2", "b": "1", "z": "soon", "a": "-1", "none": None, "also": "1"}.items():
        make(place, name, wave)
    plan = place.run("plan")
    assert set(plan.results.values()) == {"updated"}
    assert "import-images.dev/wave is not a whole number" in plan.stderr
    place.sandbox.clear_log()
    done = place.run()
    assert done.status == 0, done.stderr
    assert set(done.results.values()) == {"updated"}
    found = order(place)
    assert (found[:2], sorted(found[2:4]), found[4:]) == (["a", "none"], ["also", "b"], ["c", "z"])
    assert done.stderr.count("is not a whole number, so it is in the last wave") == 1


def test_a_bad_rollout_stops_those_after_it(place: Place) -> None:
    bad = make(place, "first", "1", workload=True)
    make(place, "second", "2", workload=True)
    make(place, "third", "3")
    place.sandbox.image_behaves(bad, "crash")
    versions = place.versions()
    done = place.run(ROLLOUT_TIMEOUT="40s")
    assert (done.status, done.report["run"]["outcome"]) == (5, "unhealthy")
    assert done.results == {"first:prod": "updated", "second:prod": "skipped wave", "third:prod": "skipped wave"}
    assert {name: v for name, v in place.versions().items() if versions[name] == v}.keys() == {"second", "third"}
    assert "wave 1 of 3 was bad" in done.stderr
    assert place.metrics()["tags"][(("result", "skipped"),)] == 2


@slow(WHOLE_RUN)
def test_after_a_rollback_too_they_stop_even_past_the_deadline(place: Place) -> None:
    bad = make(place, "first", "1", workload=True)
    make(place, "second", "2")
    place.sandbox.image_behaves(bad, "crash")
    place.fault("imagestreamtags/", "PUT", latency=12.0)
    done = place.run(ON_BAD_ROLLOUT="rollback", DEADLINE="12s")
    assert done.status == 5, done.stderr
    assert done.results == {"first:prod": "rolled_back", "second:prod": "skipped wave"}


@slow(WHOLE_RUN)
def test_a_failed_import_stops_those_after_it(place: Place) -> None:
    make(place, "first", "1")
    make(place, "second", "2")
    place.import_fault("first", status={"code": 422, "message": "no"})
    done = place.run()
    assert done.status == 1
    assert done.results == {"first:prod": "failed invalid", "second:prod": "skipped wave"}


@slow(WHOLE_RUN)
def test_a_deadline_aborts_and_blames_no_wave(place: Place) -> None:
    hangs = make(place, "first", "1", workload=True)
    make(place, "second", "2")
    place.sandbox.image_behaves(hangs, "hang")
    done = place.run(DEADLINE="6s")
    assert done.status == 6
    assert done.results == {"first:prod": "updated", "second:prod": "failed aborted"}


def test_without_the_right_to_look_nothing_is_imported_anywhere(sandbox: Sandbox) -> None:
    place, other = Place(sandbox, RUN), Place(sandbox, ())
    sandbox.grant(other.namespace, "import-images", ROLL_BACK, of=place.namespace)
    for where in (place, other):
        where.push("app", "old")
        where.stream("app")
        make(where, "first", "1")
        make(where, "second", "2")
    first = place.run()
    assert (first.status, first.report["tags"]) == (3, [])
    assert "or add the rollouts component" in first.stderr
    both = place.run(NAMESPACE=f"{place.namespace},{other.namespace}")
    assert (both.status, both.report["tags"]) == (3, [])
    assert {each["namespace"] for each in both.report["errors"]} == {place.namespace, other.namespace}
    assert both.report["run"]["outcome"] == "failure"
    assert not place.imports() and not other.imports()
    assert "last_success_timestamp_seconds" not in other.metrics()
    # One wave alone waits for nothing, and neither does a plan.
    assert place.run("plan").status == 0
    assert place.run("run", "first", "app").status == 3
    assert place.run("run", "first").status == 0


def test_a_stream_in_two_waves_and_its_alias(place: Place) -> None:
    place.push("app", "prod old")
    place.push("app", "next old", "next")

    def docker(tag: str, wave: str) -> Json:
        source = {"kind": "DockerImage", "name": place.source("app", tag)}
        return {"from": source, "importPolicy": {"insecure": True}, "annotations": {WAVE: wave}}

    live = {"from": {"kind": "ImageStreamTag", "name": "prod"}}
    place.stream("app", {"prod": docker("prod", "2"), "next": docker("next", "1"), "live": live})
    done = place.run(DEPLOYMENT=None, RETRIES="2")
    assert done.status == 0, done.stderr
    assert done.results == {"app:prod": "updated", "app:next": "updated", "app:live": "skipped alias"}
    assert done.tags["app:prod"]["moved_with"] == ["live"]


@slow(WHOLE_RUN)
def test_a_hold_that_is_let_go_comes_with_its_wave(place: Place) -> None:
    make(place, "first", None)
    make(place, "second", "1", workload=True)
    old = place.current("second")
    assert old
    place.sandbox.import_tag(place.namespace, "second", "prod")
    place.roll_back("second", old, until="2026-01-01T00:00:00Z")
    annotations = place.spec("second")["annotations"]
    assert annotations[WAVE] == "1"
    done = place.run()
    assert done.status == 0, done.stderr
    assert done.results == {"first:prod": "updated", "second:prod": "updated"}
    assert order(place)[-2:] == ["first", "second"]
    assert [each["name"] for each in done.report["rollouts"]] == ["second"]


def in_waves(place: Place, name: str, waves: dict[str, str]) -> dict[str, str]:
    """A stream with a tag per wave, each with something new in the registry; gives the new digests by tag."""
    old = {tag: place.push(name, f"{place.namespace} {tag} old", tag) for tag in waves}
    tags: dict[str, str | Json] = {
        tag: {
            "from": {"kind": "DockerImage", "name": place.source(name, tag)},
            "importPolicy": {"insecure": True},
            "annotations": {WAVE: wave},
        }
        for tag, wave in waves.items()
    }
    place.stream(name, {**tags, "live": {"from": {"kind": "ImageStreamTag", "name": list(waves)[-1]}}})
    for tag in waves:
        place.sandbox.import_tag(place.namespace, name, tag)
    assert {tag: place.current(name, tag) for tag in waves} == old
    return {tag: place.push(name, f"{place.namespace} {tag} new", tag) for tag in waves}


def test_a_stream_in_two_waves_is_imported_in_both(place: Place) -> None:
    """The second wave is chosen on the stream as the first one left it, so that no retry is needed."""
    new = in_waves(place, "app", {"first": "1", "second": "2"})
    done = place.run("run", DEPLOYMENT=None, RETRIES="0")
    assert done.status == 0, done.stderr
    assert done.results == {"app:first": "updated", "app:second": "updated", "app:live": "skipped alias"}
    assert [place.current("app", tag) for tag in ("first", "second")] == [new["first"], new["second"]]
    assert [each["status"] for each in place.imports()] == [201, 201]
    # The alias has the image of the tag that it follows, also where that comes in a later wave.
    assert done.tags["app:live"]["after"]["digest"] == new["second"] == place.current("app", "live")
    images = {dict(labels)["tag"]: dict(labels)["digest"] for labels in place.metrics(deployment="")["tag_image_info"]}
    assert images == {"first": new["first"], "second": new["second"], "live": new["second"]}


def test_an_alias_of_a_tag_whose_rollout_is_watched_has_its_image(place: Place) -> None:
    place.imported("app", "old")
    place.sandbox.create_stream(
        place.namespace,
        "web",
        {
            "prod": {"from": {"kind": "DockerImage", "name": place.source("app")}, "importPolicy": {"insecure": True}},
            "live": {"from": {"kind": "ImageStreamTag", "name": "prod"}},
        },
    )
    place.sandbox.import_tag(place.namespace, "web", "prod")
    new = place.push("app", "new")
    done = place.run("run", "web:*", WATCH_ROLLOUTS="true")
    assert done.results == {"web:prod": "updated", "web:live": "skipped alias"}
    assert [done.tags[f"web:{tag}"]["after"]["digest"] for tag in ("prod", "live")] == [new, new]
