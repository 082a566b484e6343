"""What a real Pushgateway holds after one run and the next: what survives, what goes, what a narrowed run changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.place import Place, Series, of
from tests.support.pods import make_cron_job, scheduled
from tests.support.rights import RUN
from tests.support.servers import Answered, Asked, pushgateway, serving

JOURNAL = "import-images-journal"
Held = dict[str, Series]


def forget(place: Place) -> None:
    """Remove the journal."""
    place.sandbox.delete(f"/api/v1/namespaces/{place.namespace}/configmaps/{JOURNAL}")


def of_tags(held: Held, stream: str) -> Held:
    """The series of one stream's tags, by family."""
    found = {
        name: {labels: value for labels, value in series.items() if ("stream", stream) in labels}
        for name, series in held.items()
    }
    return {name: series for name, series in found.items() if series}


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "gateway"])
def test_last_success_survives_failures(place: Place, journal: bool) -> None:
    place.imported("app")
    place.imported("good")
    app = of("app")
    place.run()
    first = place.metrics()
    success = first["tag_last_success_timestamp_seconds"][app]
    assert first["last_success_timestamp_seconds"] == {(): success}
    fault = place.import_fault("app", status={"code": 400})
    for runs in (1, 2):
        if not journal:
            forget(place)
        assert place.run(RETRIES="0").status == 1
        held = place.metrics()
        assert held["tag_last_success_timestamp_seconds"][app] == pytest.approx(success, abs=0.01)
        assert held["last_success_timestamp_seconds"][()] == pytest.approx(success, abs=0.01)
        assert held["tag_failed_runs"] == {app: runs}
        assert held["tag_failure"] == {of("app", reason="invalid"): 1}
        assert held["last_run_timestamp_seconds"][()] > success
        assert held["tag_last_success_timestamp_seconds"][of("good")] > success
    place.sandbox.remove_faults(fault)
    assert place.run().status == 0
    held = place.metrics()
    assert held["tag_last_success_timestamp_seconds"][app] > success
    assert "tag_failed_runs" not in held
    assert "tag_failure" not in held


def test_what_is_gone_vanishes(place: Place) -> None:
    for name in ("stays", "goes", "loses"):
        place.imported(name)
    place.run()
    root = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}"
    place.sandbox.delete(f"{root}/imagestreams/goes")
    place.sandbox.delete(f"{root}/imagestreamtags/loses:prod")
    assert place.run().status == 0
    held = place.metrics()
    streams = {dict(labels).get("stream") for series in held.values() for labels in series}
    assert streams == {None, "stays"}


NARROWINGS = (
    ("run", "app"),
    ("--selector", "pick=me"),
    ("--exclude", "other"),
    ("run", "app:prod"),
    ("run", "app", "--exclude", "x"),
)


@pytest.mark.parametrize(
    ("arguments", "fails"), [*((each, False) for each in NARROWINGS), (("run", "app"), True)], ids=str
)
def test_narrowed_run_changes_only_its_tags_and_last_run(place: Place, arguments: tuple[str, ...], fails: bool) -> None:
    place.imported("app", "old")
    place.imported("other")
    path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/app"
    place.sandbox.patch(path, {"metadata": {"labels": {"pick": "me"}}})
    assert place.run().status == 0
    before = place.metrics()
    new = place.push("app", "new")
    place.push("other", "new")
    if fails:
        place.import_fault("app", status={"code": 400})
    done = place.run(*arguments, RETRIES="0")
    assert done.status == int(fails), done.stderr
    after = place.metrics()
    assert of_tags(after, "other") == of_tags(before, "other")
    of_run = {name: series for name, series in before.items() if not name.startswith("tag_")}
    later = {name: series for name, series in after.items() if not name.startswith("tag_")}
    assert later.pop("last_run_timestamp_seconds")[()] > of_run.pop("last_run_timestamp_seconds")[()]
    assert later == of_run
    assert after["tag_result"][of("app", result="failed" if fails else "updated")] == 1
    infos = [dict(labels)["digest"] for labels in after["tag_image_info"] if ("stream", "app") in labels]
    assert (new in infos) is not fails
    assert len(infos) == 1
    if not fails:
        success = after["tag_last_success_timestamp_seconds"][of("app")]
        assert success > before["tag_last_success_timestamp_seconds"][of("app")]


@pytest.mark.parametrize("setting", [{"SELECTOR": "pick!=me"}, {"EXCLUDE": "app"}], ids=["SELECTOR", "EXCLUDE"])
def test_selection_of_the_job_itself_is_the_whole(place: Place, setting: dict[str, str]) -> None:
    place.imported("app")
    place.imported("other")
    path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/app"
    place.sandbox.patch(path, {"metadata": {"labels": {"pick": "me"}}})
    place.run()
    success = place.metrics()["last_success_timestamp_seconds"][()]
    assert place.run(**setting).status == 0
    held = place.metrics()
    assert held["tags"][(("result", "unchanged"),)] == 1
    assert held["last_success_timestamp_seconds"][()] > success
    assert of_tags(held, "app") == {}


def test_narrowed_run_without_a_past_says_only_its_own(place: Place) -> None:
    for name in ("app", "other"):
        place.imported(name)
    assert place.run("run", "app").status == 0
    held = place.metrics()
    assert held["tag_result"] == {of("app", result="unchanged"): 1}
    assert "last_success_timestamp_seconds" not in held
    assert "tags" not in held
    assert () in held["last_run_timestamp_seconds"]


def test_status_3_says_only_three_families(place: Place) -> None:
    place.imported("app")
    place.run()
    before = place.metrics()
    place.fault("imagestreams$", "GET", status={"code": 403})
    with serving(place.sandbox.pushgateway) as server:
        done = place.run(PUSHGATEWAY_ADDRESS=server.url, RETRIES="0")
    assert done.status == 3
    (asked,) = [each for each in server.asked if each.method != "GET"]
    assert asked.method == "POST"
    types = [line.split()[2] for line in asked.body.decode().splitlines() if line.startswith("# TYPE")]
    names = ("last_run_timestamp_seconds", "run_duration_seconds", "run_outcome")
    assert sorted(types) == sorted(f"import_images_{name}" for name in names)
    after = place.metrics()
    assert after["run_outcome"][(("outcome", "failure"),)] == 1
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {*names, "push_time_seconds"}
    assert after["last_run_timestamp_seconds"][()] > before["last_run_timestamp_seconds"][()]


def test_list_that_failed_among_others_keeps_the_tags(place: Place) -> None:
    place.imported("app")
    place.run()
    before = place.metrics()
    other = Place(place.sandbox)
    place.sandbox.grant(other.namespace, "import-images", RUN, of=place.namespace)
    other.imported("fine")
    place.fault("imagestreams$", "GET", status={"code": 500})
    done = place.run(NAMESPACE=f"{place.namespace},{other.namespace}", RETRIES="0")
    assert done.status == 1
    after = place.metrics()
    assert of_tags(after, "app") == of_tags(before, "app")
    assert after["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"]
    assert after["run_outcome"][(("outcome", "failure"),)] == 1


def test_nothing_matched_leaves_no_tags(place: Place) -> None:
    place.imported("app")
    place.run()
    before = place.metrics()
    place.sandbox.delete(f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/app")
    assert place.run(**scheduled(place, make_cron_job(place))).status == 2
    after = place.metrics()
    assert not [name for name in after if name.startswith("tag_")]
    assert set(after["tags"].values()) == {0}
    assert after["last_run_timestamp_seconds"][()] > before["last_run_timestamp_seconds"][()]
    assert after["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"]


@pytest.mark.parametrize("problem", [{"CONCURRENCY": "many"}, {"HOST": None}])
def test_bad_settings_push_nothing(place: Place, problem: dict[str, str | None]) -> None:
    place.imported("app")
    assert place.run(**problem).status == 2
    assert place.metrics() == {}


def test_wiped_pushgateway_gets_the_past_from_the_journal(place: Place, tmp_path: Path) -> None:
    place.imported("app")
    place.imported("good")
    place.run()
    place.import_fault("app", status={"code": 400})
    place.run(RETRIES="0")
    before = place.metrics()
    with pushgateway(tmp_path) as wiped:
        place.run(RETRIES="0", PUSHGATEWAY_ADDRESS=wiped)
        after = place.metrics(wiped)
    name = "tag_last_success_timestamp_seconds"
    assert after[name][of("app")] == pytest.approx(before[name][of("app")], abs=0.01)
    assert after["tag_failed_runs"] == {of("app"): 2}
    assert after["last_success_timestamp_seconds"][()] == pytest.approx(
        before["last_success_timestamp_seconds"][()], abs=0.01
    )


def test_pushgateway_need_not_be_read_where_the_journal_knows(place: Place) -> None:
    place.imported("app")
    cron_job = make_cron_job(place)
    place.run(**scheduled(place, cron_job))
    with serving(place.sandbox.pushgateway) as server:
        place.run(PUSHGATEWAY_ADDRESS=server.url, **scheduled(place, cron_job, "import-images-2"))
    assert server.methods() == ["PUT"]


def test_full_run_by_hand_does_not_take_away_when_the_next_is_due(place: Place) -> None:
    place.imported("app")
    place.run(**scheduled(place, make_cron_job(place)))
    due = place.metrics()["next_run_timestamp_seconds"]
    assert place.run().status == 0
    assert place.metrics()["next_run_timestamp_seconds"] == due


def test_past_that_nobody_tells_is_left_where_it_is(place: Place) -> None:
    place.imported("app")
    place.imported("gone")
    place.run()
    before = place.metrics()
    forget(place)
    place.sandbox.delete(f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/gone")
    place.import_fault("app", status={"code": 400})

    def unreadable(asked: Asked) -> Answered | None:
        return Answered(403, b"not for you") if asked.method == "GET" else None

    with serving(place.sandbox.pushgateway, unreadable) as server:
        done = place.run(PUSHGATEWAY_ADDRESS=server.url, RETRIES="0")
    assert "PUT" not in server.methods()
    assert server.methods().count("POST") == 1
    assert sum("cannot be read" in line for line in done.stderr.splitlines()) == 1
    after = place.metrics()
    name = "tag_last_success_timestamp_seconds"
    assert after[name][of("app")] == before[name][of("app")]
    assert after["last_success_timestamp_seconds"] == before["last_success_timestamp_seconds"]
    # What the run does know is current.
    assert after["tag_failure"] == {of("app", reason="invalid"): 1}
    assert after["last_run_timestamp_seconds"][()] > before["last_run_timestamp_seconds"][()]


def test_groups_of_others_are_left_alone(place: Place) -> None:
    place.imported("app")
    other = Place(place.sandbox)
    other.imported("app")
    other.run()
    before = other.metrics()
    place.run()
    assert other.metrics() == before
    place.run(DEPLOYMENT=None)
    first = place.metrics()
    place.run("run", "app", DEPLOYMENT=None)
    assert place.metrics() == first


def test_run_of_all_tags_and_of_one_have_groups_of_their_own(place: Place) -> None:
    place.imported("app")
    place.push("app", "stg", "stg")
    path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/app"
    stream = place.sandbox.stream(place.namespace, "app")
    stream["spec"]["tags"].append({**stream["spec"]["tags"][0], "name": "stg"})
    stream["spec"]["tags"][1]["from"] = {"kind": "DockerImage", "name": place.source("app", "stg")}
    place.sandbox.replace(path, stream)
    for deployment in ("prod", "stg"):
        assert place.run(DEPLOYMENT=deployment).status == 0
    assert set(place.metrics()["tag_result"]) == {of("app", result="unchanged")}
    assert set(place.metrics(deployment="stg")["tag_result"]) == {of("app", "stg", result="updated")}


def test_aborted_run_keeps_what_is_known(place: Place) -> None:
    for name in ("a", "b"):
        place.imported(name)
    place.run()
    before = place.metrics()
    place.import_fault("a", latency=1.5)
    done = place.run(CONCURRENCY="1", DEADLINE="1s")
    assert done.status == 6, done.stderr
    after = place.metrics()
    assert after["run_outcome"][(("outcome", "aborted"),)] == 1
    assert after["last_success_timestamp_seconds"][()] == pytest.approx(
        before["last_success_timestamp_seconds"][()], abs=0.01
    )
    name = "tag_last_success_timestamp_seconds"
    assert after[name][of("b")] == pytest.approx(before[name][of("b")], abs=0.01)
    assert after["tag_failure"][of("b", reason="aborted")] == 1
