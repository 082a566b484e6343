"""A complete promotion (move, build, wait, run, notes) with real repositories, a real registry, and the sandbox."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from tests.sandbox.client import Sandbox, until
from tests.support.forge import Folder
from tests.support.place import Ended, Place, ended
from tests.support.rights import WATCH
from tests.support.tiers import slow

WHOLE_RUN = "whole promotions of several repositories take many seconds; the way through gates"


REVISION = "org.opencontainers.image.revision"
FAST = ("--interval", "1s", "--timeout", "60s")


@dataclass
class Shop:
    """Three repositories, their streams in a namespace, and a registry that gets an image when the test pushes one."""

    folder: Folder
    place: Place

    def build(self, name: str, commit: str | None, *, stream: str = "", label: str = REVISION) -> str:
        """Push what a build would push: an image with its commit as label."""
        assert commit
        return self.place.push(stream or name, f"{name} at {commit}", labels={label: commit})

    def promote(self, *arguments: str, **more: str | None) -> Ended:
        return self.folder.promote(*arguments, **self.environment(**more))

    def environment(self, **more: str | None) -> dict[str, str]:
        return self.place.environment(**{"PUSHGATEWAY_ADDRESS": None, **more})

    def wait_for_checks(self, stream: str, times: int = 2) -> None:
        """Wait for further checks of an image; with two, at least one began after this call."""
        before = len(self.place.imports(stream))
        until(lambda: len(self.place.imports(stream)) >= before + times, seconds=40)

    def tip(self, name: str, branch: str = "main") -> str:
        found = self.folder.origins[name].tip(branch)
        assert found
        return found


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, WATCH)
    sandbox.remove_faults()


@pytest.fixture
def shop(folder: Folder, place: Place) -> Shop:
    shop = Shop(folder, place)
    for name in ("library", "worker", "web"):
        folder.origin(name)
    for name in ("worker", "web"):
        shop.build(name, shop.tip(name, "stable"))
        place.stream(name)
        place.sandbox.import_tag(place.namespace, name, "prod")
    shop.build("worker", shop.tip("worker", "stable"), stream="beat")
    place.stream("beat")
    place.sandbox.import_tag(place.namespace, "beat", "prod")
    for name in ("library", "worker", "web"):
        folder.origins[name].commit(f"Fix {name} (#7)", author="Jim <jim>")
    folder.write(
        folder.table("library"),
        folder.table("worker", 'streams = ["worker", "beat"]\nafter = ["library"]'),
        folder.table("web", 'streams = ["web:prod"]'),
    )
    return shop


def test_everything_in_one_command(shop: Shop) -> None:
    shop.place.sandbox.create_workload(shop.place.namespace, "Deployment", "worker", tag="worker:prod", replicas=1)
    old = shop.tip("worker", "stable")
    new = shop.tip("worker")
    arguments = ("move", "--yes", "--wait", "--run", *FAST, "--output", "json")
    with shop.folder.promoting(*arguments, **shop.environment()) as process:
        until(lambda: shop.tip("worker", "stable") == new and shop.tip("web", "stable") == shop.tip("web"))
        digest = shop.build("worker", new)
        # Nothing is imported while an image is missing.
        shop.wait_for_checks("web")
        assert process.poll() is None
        assert shop.place.current("worker") != digest
        shop.build("worker", new[:12], stream="beat", label="vcs-ref")
        shop.build("web", shop.tip("web"))
        done = ended(process)
    assert done.status == 0, done.stderr
    assert done.results == {"beat:prod": "updated", "web:prod": "updated", "worker:prod": "updated"}
    assert [rollout["result"] for rollout in done.report["rollouts"]] == ["healthy"]
    assert f"worker:prod has arrived: {new[:9]}" in done.stderr

    notes = shop.promote("notes", "--output", "json")
    assert notes.status == 0, notes.stderr
    assert [run["id"] for run in notes.report["runs"]] == [done.report["run"]["id"]]
    by_name = {each["name"]: each["changes"] for each in notes.report["repositories"]}
    assert set(by_name) == {"worker", "web"}
    # The label of one image is an abbreviated hash.
    assert sorted(change["tags"] for change in by_name["worker"]) == [["beat:prod"], ["worker:prod"]]
    for change in by_name["worker"]:
        assert change["before"] == old and new.startswith(change["after"])
        assert [commit["subject"] for commit in change["commits"]] == ["Fix worker (#7)"]
        assert change["commits"][0]["pull_requests"] == ["#7"]
    markdown = shop.promote("notes", "--output", "markdown").stdout
    assert "# Deployed to prod" in markdown
    assert f"worker:prod: {old[:9]} → {new[:9]}, 1 commit by Jim" in markdown
    assert f"- Fix worker (#&#8203;7, `{new[:9]}`, Jim" in markdown


def test_status_before_and_after(shop: Shop) -> None:
    before = shop.promote("status", "--output", "json")
    assert before.status == 0, before.stderr
    assert before.report["cluster_error"] is None
    worker = next(each for each in before.report["repositories"] if each["name"] == "worker")
    assert (worker["between"], worker["only_on_stable"]) == (1, 0)
    assert {run["tag"]: run["place"] for run in worker["running"]} == {
        "worker:prod": "same as stable",
        "beat:prod": "same as stable",
    }
    assert shop.promote("move", "--yes").status == 0
    after = shop.promote("status", "--output", "table")
    assert after.status == 0
    assert [line.split()[-3:] for line in after.stdout.splitlines() if line.startswith("web:prod")] == [
        ["1", "behind", "stable"]
    ]
    assert max(map(len, after.stdout.splitlines())) <= 100


@slow(WHOLE_RUN)
def test_status_of_a_stream_that_does_not_exist(shop: Shop) -> None:
    text = shop.folder.config.read_text(encoding="utf-8").replace('"web:prod"', '"wbe:prod", "web:prod"')
    shop.folder.config.write_text(text, encoding="utf-8")
    done = shop.promote("status", "--output", "json")
    assert (done.status, done.report["cluster_error"]) == (0, None), done.stderr
    running = {run["tag"]: run["place"] for each in done.report["repositories"] for run in each["running"]}
    assert (running["wbe:prod"], running["web:prod"]) == ("no such tag", "same as stable")


def test_status_without_a_cluster(shop: Shop) -> None:
    for more, message in (
        ({"HOST": "http://127.0.0.1:1"}, "127.0.0.1"),
        ({"HOST": None, "TOKEN": None, "KUBECONFIG": "/nowhere"}, "no cluster to talk to"),
        ({"DEPLOYMENT": None}, "DEPLOYMENT: not set"),
    ):
        done = shop.promote("status", "--output", "json", **more)
        assert done.status == 0, done.stderr
        assert "the cluster's images are not shown: " in done.stderr and message in done.stderr
        assert [each["between"] for each in done.report["repositories"]] == [1, 1, 1]


@slow(WHOLE_RUN)
def test_status_of_broken_repositories(shop: Shop) -> None:
    shop.folder.origins["library"].remove("stable")
    shop.folder.origins["web"].commit("Fix on stable", "stable")
    done = shop.promote("status", "--output", "table")
    assert done.status == 1
    assert "library: there is no branch stable" in done.stderr
    assert "1, 1 only on stable" in done.stdout
    shop.folder.origins["web"].folder.rename(shop.folder.folder / "gone")
    done = shop.promote("status", "--output", "json")
    assert done.status == 1 and "web: cannot be fetched" in done.stderr
    assert "unknown commit" not in done.stdout


@slow(WHOLE_RUN)
def test_wait_by_itself_and_its_timeout(shop: Shop) -> None:
    assert shop.promote("move", "worker", "web", "--yes").status == 0
    done = shop.promote("wait", "--interval", "1s", "--timeout", "2s", "--output", "json")
    assert done.status == 6
    assert "after 2 s 3 of 3 images have not arrived: worker:prod of " in done.stderr
    assert {image["state"] for image in done.report["images"]} == {"waiting"}
    shop.build("worker", shop.tip("worker"))
    shop.build("worker", shop.tip("worker"), stream="beat")
    done = shop.promote("wait", "worker", *FAST, "--output", "table")
    assert done.status == 0, done.stderr
    assert [line.split()[2] for line in done.stdout.strip().splitlines()[1:]] == ["arrived", "arrived"]
    assert "to import them: import-images run" in done.stderr
    # The wait did not import anything.
    assert shop.place.current("worker") != shop.place.push(
        "worker", f"worker at {shop.tip('worker')}", labels={REVISION: shop.tip("worker")}
    )


@slow(WHOLE_RUN)
def test_wait_accepts_a_commit_that_stable_was_moved_to_meanwhile(shop: Shop) -> None:
    assert shop.promote("move", "web", "--yes").status == 0
    web = shop.folder.origins["web"]
    with shop.folder.promoting("wait", "web", *FAST, "--output", "json", **shop.environment()) as process:
        shop.wait_for_checks("web")
        later = web.commit("Later")
        shop.build("web", later)
        # An image of the rolling branch was not promoted, although it contains the commit.
        shop.wait_for_checks("web")
        assert process.poll() is None
        web.move("stable", later)
        done = ended(process)
    assert done.status == 0, done.stderr
    assert done.report["images"][0]["state"] == "later"
    assert "which comes after" in done.stderr


@slow(WHOLE_RUN)
def test_wait_continues_after_temporary_problems(shop: Shop) -> None:
    assert shop.promote("move", "web", "--yes").status == 0
    shop.place.sandbox.registry.delete(f"{shop.place.namespace}/web", str(shop.place.current("web")))
    with shop.folder.promoting("wait", "web", *FAST, "--output", "json", **shop.environment()) as process:
        shop.wait_for_checks("web")
        shop.place.push("web", "without a label")
        shop.wait_for_checks("web")
        shop.build("web", shop.tip("web"))
        done = ended(process)
    assert done.status == 0, done.stderr
    assert "web:prod: not_found: " in done.stderr
    assert "has no revision label" in done.stderr


@slow(WHOLE_RUN)
def test_wait_ends_on_a_permanent_refusal(shop: Shop) -> None:
    shop.place.import_fault(status={"code": 403, "message": "you may not"})
    done = shop.promote("wait", *FAST)
    assert done.status == 3
    assert "cannot be checked: " in done.stderr


def test_wait_is_stopped_by_a_signal(shop: Shop) -> None:
    assert shop.promote("move", "web", "--yes").status == 0
    with shop.folder.promoting("wait", "web", *FAST, **shop.environment()) as process:
        until(lambda: shop.place.imports("web"))
        process.send_signal(signal.SIGTERM)
        done = ended(process)
    assert done.status == 6
    assert "stopped" in done.stderr


@slow(WHOLE_RUN)
def test_held_tags_are_not_waited_for(shop: Shop) -> None:
    first = str(shop.place.current("worker"))
    shop.build("worker", "a" * 40)
    shop.place.sandbox.import_tag(shop.place.namespace, "worker", "prod")
    shop.place.roll_back("worker", first)
    assert shop.promote("move", "--yes").status == 0
    shop.build("worker", shop.tip("worker"), stream="beat")
    done = shop.promote("wait", "worker", *FAST, "--output", "json")
    assert done.status == 0, done.stderr
    assert [image["stream"] for image in done.report["images"]] == ["beat"]
    assert "worker:prod: not waiting for it, since a run skips it (held)" in done.stderr


def test_mistakes_that_concern_later_steps_are_found_before_anything_is_moved(shop: Shop) -> None:
    for more, message in (
        ({"DEPLOYMENT": None}, "DEPLOYMENT: not set"),
        ({"DEPLOYMENT": "stg"}, "has no tag stg; tags there: prod"),
        ({"HOST": None, "TOKEN": None, "KUBECONFIG": "/nowhere"}, "no cluster to talk to"),
    ):
        done = shop.promote("move", "--yes", "--wait", **more)
        assert done.status == 2, done.stderr
        assert message in done.stderr
    assert shop.promote("move", "--yes", "--wait", "--dry-run").status == 2
    assert shop.promote("move", "--yes", "--wait", "--timeout", "soon").status == 2
    assert shop.promote("wait", "library").status == 2
    for name in ("worker", "web"):
        assert shop.tip(name, "stable") != shop.tip(name)


@slow(WHOLE_RUN)
def test_no_wait_unless_everything_was_moved(shop: Shop) -> None:
    shop.folder.origins["library"].hook("update", "exit 1")
    done = shop.promote("move", "--yes", "--wait", "--run", *FAST, "--output", "json")
    assert done.status == 1
    assert "not waiting for images, since not everything was moved" in done.stderr
    results = {each["repository"]: each["result"] for each in done.report["repositories"]}
    assert results == {"library": "failed", "worker": "behind", "web": "moved"}


@slow(WHOLE_RUN)
def test_the_run_includes_tags_that_deployment_does_not_name(shop: Shop) -> None:
    shop.place.push("api", "api 1", tag="live", labels={REVISION: shop.tip("web", "stable")})
    shop.place.stream("api", {"live": shop.place.source("api", "live"), "old": shop.place.source("api", "old")})
    text = shop.folder.config.read_text(encoding="utf-8").replace('["web:prod"]', '["web:prod", "api:live"]')
    shop.folder.config.write_text(text, encoding="utf-8")
    done = shop.promote("wait", "web", "--run", *FAST, "--output", "json")
    assert done.status == 0, done.stderr
    assert set(done.results) == {"api:live", "beat:prod", "web:prod", "worker:prod"}


def test_notes_of_several_runs(shop: Shop) -> None:
    web = shop.folder.origins["web"]
    first = shop.tip("web", "stable")
    runs = []
    for number in range(3):
        commit = web.commit(f"Number {number} *x*")
        shop.build("web", commit)
        done = shop.place.run(PUSHGATEWAY_ADDRESS=None)
        runs.append(done.report["run"])
        # --since has a resolution of a second, so each run starts in another one.
        began = datetime.fromisoformat(runs[-1]["started_at"])
        until(lambda began=began: datetime.now(UTC) >= began + timedelta(seconds=1))  # type: ignore[misc]
    everything = shop.promote("notes", "--since", runs[0]["id"], "--output", "json").report
    assert [run["id"] for run in everything["runs"]] == [run["id"] for run in reversed(runs)]
    (change,) = everything["repositories"][0]["changes"]
    assert (change["before"], change["after"]) == (first, shop.tip("web"))
    assert len(change["commits"]) == 4
    for since, count in ((runs[1]["id"], 2), (runs[2]["started_at"], 1), ("1h", 3)):
        assert len(shop.promote("notes", "--since", since, "--output", "json").report["runs"]) == count
    assert r"Number 2 \*x\*" in shop.promote("notes").stdout
    # Back to an older image, which removes its commits.
    shop.build("web", first)
    assert shop.place.run(PUSHGATEWAY_ADDRESS=None).status == 0
    (change,) = shop.promote("notes", "--output", "json").report["repositories"][0]["changes"]
    assert (len(change["commits"]), len(change["taken_back"])) == (0, 4)
    assert "Removed, since the new image does not have them:" in shop.promote("notes").stdout


@slow(WHOLE_RUN)
def test_notes_without_commits(shop: Shop) -> None:
    assert shop.promote("notes").stdout.endswith("Nothing: no run updated an image.\n")
    shop.build("web", "1234567890abcdef")
    shop.place.push("redis", "redis 7")
    shop.place.stream("redis")
    assert shop.place.run(PUSHGATEWAY_ADDRESS=None).status == 0
    markdown = shop.promote("notes").stdout
    assert "Not a commit of web: 1234567890abcdef" in markdown
    assert "## Other images\n\n- redis:prod: ? → ?" in markdown
    assert shop.promote("notes", "--since", "20200101T000000Z-0000").status == 2
    assert shop.promote("notes", "--since", "soon").status == 2
    shop.folder.origins["web"].folder.rename(shop.folder.folder / "gone")
    done = shop.promote("notes")
    assert done.status == 1 and "cannot be fetched" in done.stdout
    shop.place.fault("configmaps", "GET", status={"code": 403, "message": "you may not"})
    assert shop.promote("notes").status == 3


def test_labels_that_name_no_promoted_commit_are_reported_at_once(shop: Shop) -> None:
    assert shop.promote("move", "web", "worker", "--yes", "--force").status == 0
    later = shop.folder.origins["web"].commit("Later")
    shop.build("web", later)
    shop.place.push("worker", "by hand", labels={REVISION: "main"})
    shop.build("beat", "1234567")
    arguments = ("wait", "web", "worker", "--interval", "1s", "--timeout", "2s")
    done = shop.promote(*arguments)
    assert done.status == 6
    assert "worker:prod: the revision label 'main' does not name a commit" in done.stderr
    assert "beat:prod: the revision label '1234567' is not a commit of this repository; of a base image?" in done.stderr
    assert "web:prod: the image's commit is 1 after the promoted one, on main" in done.stderr
    text = shop.folder.config.read_text(encoding="utf-8").replace('["web:prod"]', '["web:prod"]\nlater = true')
    shop.folder.config.write_text(text, encoding="utf-8")
    done = shop.promote("wait", "web", *FAST, "--output", "json")
    assert done.status == 0, done.stderr
    assert done.report["images"][0]["state"] == "later"


def test_the_timeout_bounds_a_check_that_hangs(shop: Shop) -> None:
    shop.place.import_fault(latency=30)
    began = time.monotonic()
    done = shop.promote("wait", "web", "--timeout", "2s", "--interval", "1s")
    assert done.status == 6, done.stderr
    assert time.monotonic() - began < 20
