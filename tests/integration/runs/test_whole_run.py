"""The whole run back: what it moved is rolled back together, and released again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.client import Json, Sandbox, until
from tests.support.place import Place
from tests.support.pods import journal
from tests.support.rights import ROLL_BACK
from tests.support.tiers import slow

WAVE = "import-images.dev/wave"
WAVES = {"api": "1", "db": "1", "web": "1", "worker": "2", "cron": "2", "mail": "2", "docs": "2"}
BAD = ("worker", "mail")


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def stream(place: Place, name: str, wave: str) -> tuple[str, str]:
    """A stream with an image, and another one in the registry; gives both digests."""
    old = place.push(name, f"{place.namespace} {name} old")
    reference: Json = {
        "from": {"kind": "DockerImage", "name": place.source(name)},
        "importPolicy": {"insecure": True},
        "annotations": {WAVE: wave, "note": name},
    }
    place.stream(name, {"prod": reference})
    place.sandbox.import_tag(place.namespace, name, "prod")
    return old, place.push(name, f"{place.namespace} {name} new")


def spec(place: Place, name: str) -> Json:
    """The tag's reference without what only the server sets."""
    return {key: value for key, value in place.spec(name).items() if key != "generation"}


def test_a_tuesday_is_undone(place: Place) -> None:
    digests = {name: stream(place, name, wave) for name, wave in WAVES.items()}
    for name in BAD:
        image = f"{place.source(name).rpartition(':')[0]}@{digests[name][0]}"
        place.sandbox.create_workload(place.namespace, "StatefulSet", name, tag=f"{name}:prod", image=image)
        place.sandbox.image_behaves(digests[name][1], "crash")
    until(lambda: all(place.images(name) == {digests[name][0]} for name in BAD))
    before = {name: spec(place, name) for name in WAVES}
    done = place.run(ROLLOUT_TIMEOUT="40s")
    assert done.status == 5, done.stderr
    assert set(done.results.values()) == {"updated"}
    record = journal(place).runs[0]
    assert {(move.stream, move.before, move.after, move.wave) for move in record.moves} == {
        (name, *digests[name], int(wave) - 1) for name, wave in WAVES.items()
    }
    # One tag has moved on since; it is left alone.
    newer = place.push("docs", f"{place.namespace} docs newer")
    assert place.run("run", "docs").results == {"docs:prod": "updated"}
    place.fault("imagestreamtags/", "PUT", reset="after", times=1)
    run_id = done.report["run"]["id"]
    back = place.run("rollback", "--run", run_id, "--yes", "--reason", "broken", ROLLOUT_TIMEOUT="40s")
    assert back.status == 0, back.stderr
    names = [name for name in WAVES if name != "docs"]
    assert back.results == {f"{name}:prod": "rolled_back" for name in names}
    assert {name: place.current(name) for name in names} == {name: digests[name][0] for name in names}
    assert [each["tag"] for each in back.report["left_alone"]] == ["docs:prod"]
    assert (place.current("docs"), f"has moved on to {newer}" in back.stderr) == (newer, True)
    assert {each["name"]: each["result"] for each in back.report["rollouts"]} == dict.fromkeys(BAD, "healthy")
    writes = [each["path"].rpartition("/")[2] for each in place.requests("PUT", "imagestreamtags/")]
    waves = [WAVES[each.partition(":")[0]] for each in writes]
    assert waves == sorted(waves, reverse=True)
    assert place.run().results == {f"{n}:prod": "skipped held" if n != "docs" else "unchanged" for n in WAVES}
    listed = {run["id"]: run for run in place.run("history", "--runs").report["runs"]}
    moved = {each["tag"]: each for each in listed[run_id]["moved"]}
    assert {tag: each["rolled_back"] for tag, each in moved.items()} == {f"{n}:prod": n != "docs" for n in WAVES}
    assert (moved["web:prod"]["from"], moved["web:prod"]["to"]) == digests["web"]
    table = place.run("history", "web", "--runs", "--output", "table")
    assert (run_id in table.stdout, "rolled back since" in table.stdout) == (True, True), table.stderr
    # Given again it changes nothing.
    versions = place.versions()
    again = place.run("rollback", "--run", run_id, "--yes", ROLLOUT_TIMEOUT="40s")
    assert (again.status, place.versions()) == (0, versions), again.stderr
    asks = place.run("resume", "--run", run_id)
    assert (asks.status, place.versions()) == (2, versions)
    assert "--yes" in asks.stderr
    for name in BAD:
        place.sandbox.image_behaves(digests[name][1], "ready")
    resumed = place.run("resume", "--run", run_id, "--yes", ROLLOUT_TIMEOUT="40s")
    assert resumed.status == 0, resumed.stderr
    assert {name: place.current(name) for name in names} == {name: digests[name][1] for name in names}
    assert {name: spec(place, name) for name in WAVES} == before


def test_the_last_run_is_the_last_that_moved_a_tag(place: Place) -> None:
    old, new = stream(place, "web", "1")
    other = stream(place, "api", "1")
    assert place.run("rollback", "--run", "last", "--yes").status == 2
    assert place.run().status == 0
    assert place.run().results == {"web:prod": "unchanged", "api:prod": "unchanged"}
    unknown = place.run("rollback", "--run", "20200101T000000Z-0000", "--yes")
    assert (unknown.status, "history --runs" in unknown.stderr) == (2, True)
    # An argument chooses among the run's tags.
    assert place.run("rollback", "w*", "--run", "last", "--yes").results == {"web:prod": "rolled_back"}
    assert (place.current("web"), place.current("api")) == (old, other[1])
    assert place.run("rollback", "--yes").status == 2
    assert place.run("resume", "--run", "last", "--yes").status == 0
    assert place.current("web") == new


def test_the_last_run_is_that_of_the_deployment(place: Place) -> None:
    old, _ = stream(place, "web", "1")
    place.push("api", f"{place.namespace} old", "stg")
    place.stream("api", {"stg": place.source("api", "stg")})
    place.sandbox.import_tag(place.namespace, "api", "stg")
    assert place.run().results == {"web:prod": "updated"}
    newest = place.push("api", f"{place.namespace} new", "stg")
    assert place.run(DEPLOYMENT="stg").results == {"api:stg": "updated"}
    assert place.run("rollback", "--run", "last", "--yes").results == {"web:prod": "rolled_back"}
    assert (place.current("web"), place.current("api", "stg")) == (old, newest)
    assert place.run("resume", "--run", "last", "--yes").results == {"web:prod": "updated"}
    none = place.run("rollback", "--run", "last", "--yes", DEPLOYMENT="dev")
    assert (none.status, "no run of dev that moved a tag" in none.stderr) == (2, True)
    # Without a deployment it is the last of all.
    assert place.run("rollback", "--run", "last", "--yes", DEPLOYMENT=None).results == {"api:stg": "rolled_back"}


def test_the_tags_of_one_stream_are_released_together(place: Place) -> None:
    tags = ("blue", "green", "red")
    for tag in tags:
        place.push("app", f"{place.namespace} {tag} old", tag)
    place.stream("app", {tag: place.source("app", tag) for tag in tags})
    for tag in tags:
        place.sandbox.import_tag(place.namespace, "app", tag)
    new = {tag: place.push("app", f"{place.namespace} {tag} new", tag) for tag in tags}
    names = [f"app:{tag}" for tag in tags]
    assert place.run(DEPLOYMENT=None).results == dict.fromkeys(names, "updated")
    back = place.run("rollback", "--run", "last", "--yes", DEPLOYMENT=None)
    assert back.results == dict.fromkeys(names, "rolled_back"), back.stderr
    resumed = place.run("resume", "--run", "last", "--yes", DEPLOYMENT=None, RETRIES="0")
    assert (resumed.status, resumed.results) == (0, dict.fromkeys(names, "updated")), resumed.stderr
    assert {tag: place.current("app", tag) for tag in tags} == new


def test_a_release_that_is_refused_does_not_hide_the_others(place: Place) -> None:
    digests = {name: stream(place, name, "1") for name in ("api", "web")}
    assert place.run().status == 0
    assert place.run("rollback", "--run", "last", "--yes").status == 0
    place.fault("imagestreamtags/api", "PUT", status=500)
    resumed = place.run("resume", "--run", "last", "--yes", RETRIES="0")
    assert resumed.status == 1, resumed.stderr
    assert resumed.results == {"api:prod": "failed api_error", "web:prod": "updated"}
    assert resumed.tags["api:prod"]["message"].startswith("not released: ")
    assert (place.current("api"), place.current("web")) == (digests["api"][0], digests["web"][1])
    place.sandbox.remove_faults()
    again = place.run("resume", "--run", "last", "--yes")
    assert again.results == {"api:prod": "updated"}, again.stderr
    assert place.current("api") == digests["api"][1]


def test_the_runs_link_what_changed(place: Place) -> None:
    labels = {"org.opencontainers.image.source": "https://github.com/packit/packit-service.git"}
    commits = ("1a" * 20, "2b" * 20)
    place.push("web", "one", labels={**labels, "org.opencontainers.image.revision": commits[0]})
    place.stream("web")
    assert place.run().status == 0
    place.push("web", "two", labels={**labels, "org.opencontainers.image.revision": commits[1]})
    assert place.run().status == 0
    page = "https://github.com/packit/packit-service"
    newest, first = (run["moved"][0] for run in place.run("history", "--runs").report["runs"])
    assert newest["compare"] == f"{page}/compare/{commits[0]}...{commits[1]}"
    assert (newest["from_link"], newest["to_link"]) == tuple(f"{page}/commit/{commit}" for commit in commits)
    assert (first["from_link"], first["compare"]) == (None, f"{page}/commit/{commits[0]}")
    table = place.run("history", "--runs", "-o", "table").stdout
    assert newest["compare"] in table
    # Which cluster it is, and each tag below its run.
    assert table.startswith(place.sandbox.server) and "\n  web:prod  1a1a" in table
    mistyped = place.run("history", "--runs", "wbe")
    assert (mistyped.status, "did you mean web?" in mistyped.stderr) == (2, True), mistyped.stderr


def test_the_runs_link_what_the_configuration_of_promote_knows(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commits = ("1a" * 20, "2b" * 20)
    for number, commit in enumerate(commits):
        for name in ("web", "shared"):
            place.push(name, f"{name} {number}", labels={"org.opencontainers.image.revision": commit})
            if not number:
                place.stream(name)
        assert place.run().status == 0
    table = '[[repository]]\nname = "{0}"\nurl = "https://user:secret@github.com/packit/{0}.git"\nstreams = [{1}]\n'
    config = tmp_path / "promote.toml"
    config.write_text(table.format("web", '"web:prod"') + table.format("other", '"web:stg"'))
    done = place.run("history", "--runs")
    links = {moved["tag"]: moved["compare"] for moved in done.report["runs"][0]["moved"]}
    assert links == {
        "web:prod": f"https://github.com/packit/web/compare/{commits[0]}...{commits[1]}",
        "shared:prod": None,
    }
    assert "secret" not in done.stdout + done.stderr
    config.write_text("[[repository]]\nnome = 1\n")
    broken = place.run("history", "--runs")
    assert (broken.status, {moved["compare"] for moved in broken.report["runs"][0]["moved"]}) == (0, {None})
    assert "promote.toml is left out, so some commits have no link" in broken.stderr


@slow("a minute of rollouts; test_a_tuesday_is_undone and the tests of the rules gate")
def test_a_tuesday_from_the_first_run_to_the_last(place: Place) -> None:
    digests = {name: stream(place, name, wave) for name, wave in WAVES.items()}
    for name in BAD:
        image = f"{place.source(name).rpartition(':')[0]}@{digests[name][0]}"
        place.sandbox.create_workload(place.namespace, "StatefulSet", name, tag=f"{name}:prod", image=image)
        place.sandbox.image_behaves(digests[name][1], "crash")
        # Another deployment follows the same repository.
        place.stream(f"{name}-stg", {"stg": place.source(name)})
    place.stream("web-stg", {"stg": place.source("web")})
    until(lambda: all(place.images(name) == {digests[name][0]} for name in BAD))
    before = {name: spec(place, name) for name in WAVES}
    done = place.run(ROLLOUT_TIMEOUT="40s")
    assert (done.status, set(done.results.values())) == (5, {"updated"}), done.stderr
    # While pods crash, and one answer is lost.
    assert all(any(image.endswith("!") for image in place.images(name)) for name in BAD)
    place.fault("imagestreamtags/", "PUT", reset="after", times=1)
    back = place.run("rollback", "--run", "last", "--yes", "--reason", "broken", ROLLOUT_TIMEOUT="40s")
    assert (back.status, set(back.results.values())) == (0, {"rolled_back"}), back.stderr
    assert {name: place.current(name) for name in WAVES} == {name: old for name, (old, _) in digests.items()}
    assert {each["name"]: each["result"] for each in back.report["rollouts"]} == dict.fromkeys(BAD, "healthy")
    # A colleague's run on a laptop, with rights of its own and none of the CronJob's settings.
    assert place.run("freeze", "--reason", "a bad Tuesday").status == 0
    colleague = place.sandbox.create_account(place.namespace, "colleague", ROLL_BACK)
    versions = place.versions()
    stopped = place.run(TOKEN=colleague)
    assert (stopped.status, place.versions(), "a bad Tuesday" in stopped.stderr) == (2, versions, True)
    # Which two were bad is found, and they stay out of the second deployment.
    bad = [digests[name][1] for name in BAD]
    assert place.run("block", *bad, "--reason", "found by Ada").status == 0
    second = place.run(DEPLOYMENT="stg", IGNORE_FREEZE="true", TOKEN=colleague)
    assert second.results == {
        "mail-stg:stg": "skipped blocked",
        "web-stg:stg": "updated",
        "worker-stg:stg": "skipped blocked",
    }, second.stderr
    assert [place.current(f"{name}-stg", "stg") for name in BAD] == [None, None]
    for name in BAD:
        place.sandbox.image_behaves(digests[name][1], "ready")
    assert place.run("unblock", *bad).status == 0
    assert place.run("thaw").status == 0
    resumed = place.run("resume", "--run", done.report["run"]["id"], "--yes", ROLLOUT_TIMEOUT="40s")
    assert (resumed.status, set(resumed.results.values())) == (0, {"updated"}), resumed.stderr
    assert {name: place.current(name) for name in WAVES} == {name: new for name, (_, new) in digests.items()}
    assert {name: spec(place, name) for name in WAVES} == before
    assert set(place.run(DEPLOYMENT="stg").results.values()) == {"updated", "unchanged"}
