"""Holds: how each ends, who ends it, and what is said where the right is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sandbox.client import IMAGE, Json, Sandbox, image
from tests.support.place import HOLD, Ended, Place, of
from tests.support.rights import ROLL_BACK, RUN
from tests.support.tiers import representatives, slow

WHOLE_RUN = "a whole run of seconds; one of its kind gates"
TAIL = "the long tail of a matrix, each a whole run or request of its own"


KUBECTL = Path(sys.executable).with_name("kubectl")
Foreign = Callable[["Held"], None]


class Held:
    """A tag that was rolled back by the program itself from the newest image, and is held."""

    def __init__(self, sandbox: Sandbox, tmp_path: Path, *arguments: str) -> None:
        self.place = place = Place(sandbox, ROLL_BACK)
        self.home = tmp_path
        self.old = place.push("app", "old")
        self.kubectl("apply", "-f", "-", stdin=self.manifest())
        place.sandbox.import_tag(place.namespace, "app", "prod")
        self.bad = place.push("app", "bad")
        place.sandbox.import_tag(place.namespace, "app", "prod")
        done = place.run("rollback", "app", "--yes", "--output", "json", *arguments)
        assert done.status == 0, done.stderr
        assert place.current("app") == self.old
        self.told = done

    def manifest(self, **annotations: str) -> Json:
        place = self.place
        source = {"kind": "DockerImage", "name": place.source("app")}
        tag = {"name": "prod", "from": source, "importPolicy": {"insecure": True}}
        metadata = {"name": "app", "namespace": place.namespace, "annotations": annotations}
        kind = {"apiVersion": "image.openshift.io/v1", "kind": "ImageStream"}
        return {**kind, "metadata": metadata, "spec": {"tags": [tag]}}

    def kubectl(self, *arguments: str, stdin: Json | None = None) -> None:
        sandbox = self.place.sandbox
        file = sandbox.kubeconfig(sandbox.token, self.place.namespace)
        subprocess.run(
            [KUBECTL, "--kubeconfig", file, *arguments],
            input=json.dumps(stdin),
            env={"HOME": str(self.home)},
            capture_output=True,
            check=True,
            text=True,
            timeout=30,
        )

    @property
    def annotated(self) -> bool:
        return HOLD in (self.place.spec("app").get("annotations") or {})

    def without_rights(self) -> str:
        """A token of an account that may run, and no more."""
        return self.place.sandbox.create_account(self.place.namespace, "only-runs", RUN)

    def run(self, *arguments: str, **environment: str | None) -> Ended:
        return self.place.run(*arguments, **environment)


@pytest.fixture
def held(sandbox: Sandbox, tmp_path: Path) -> Iterator[Held]:
    yield Held(sandbox, tmp_path)
    sandbox.remove_faults()


def apply(held: Held) -> None:
    held.kubectl("apply", "-f", "-", stdin=held.manifest(changed="yes"))


def apply_on_the_server(held: Held) -> None:
    held.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=held.manifest())


def foreign_import(held: Held) -> None:
    place = held.place
    place.sandbox.import_images(place.namespace, "app", [image(place.source("app"), "prod")])


def replace_the_stream(held: Held) -> None:
    held.kubectl("replace", "-f", "-", stdin=held.manifest())


def tag_by_hand(held: Held) -> None:
    """What `oc tag --source=docker` sends: a reference that carries no annotations."""
    place = held.place
    source = {"kind": "DockerImage", "name": place.source("app")}
    body = {
        "kind": "ImageStreamTag",
        "apiVersion": "image.openshift.io/v1",
        "metadata": {"name": "app:prod", "namespace": place.namespace},
        "tag": {"name": "prod", "from": source, "importPolicy": {"insecure": True}, "generation": 0},
    }
    place.sandbox.replace(f"{IMAGE}/namespaces/{place.namespace}/imagestreamtags/app:prod", body)


LEAVE_IT = [apply, apply_on_the_server, foreign_import]


def test_while_all_is_as_it_was_left_it_is_held(held: Held) -> None:
    held.place.push("app", "newer")
    before = held.place.versions()
    done = held.run()
    assert (done.status, done.results) == (0, {"app:prod": "skipped held"})
    assert done.report["run"]["outcome"] == "success"
    assert done.tags["app:prod"]["message"] is None
    assert held.place.versions() == before
    assert held.annotated


@pytest.mark.parametrize("foreign", representatives(LEAVE_IT, TAIL))
def test_what_leaves_the_annotation_ends_the_hold_all_the_same(held: Held, foreign: Foreign) -> None:
    foreign(held)
    assert held.annotated
    source = held.place.spec("app")["from"]["name"]
    plan = held.run("plan")
    assert "the hold that was on it is over" in plan.tags["app:prod"]["message"]
    assert held.annotated
    newer = held.place.push("app", "newer")
    done = held.run()
    assert done.status == 0, done.stderr
    assert done.results == {"app:prod": "updated"}
    assert "the hold that was on it is over" in done.tags["app:prod"]["message"]
    assert held.place.current("app") == newer
    assert not held.annotated
    assert held.place.spec("app")["from"] == {"kind": "DockerImage", "name": source}
    again = held.run()
    assert (again.results, again.tags["app:prod"]["message"]) == ({"app:prod": "unchanged"}, None)


@pytest.mark.parametrize("foreign", representatives(LEAVE_IT, TAIL))
def test_without_the_right_the_annotation_stays_and_it_is_said(held: Held, foreign: Foreign) -> None:
    foreign(held)
    newer = held.place.push("app", "newer")
    done = held.run(TOKEN=held.without_rights())
    assert (done.status, done.results) == (0, {"app:prod": "updated"})
    assert "annotation stays: no right: " in done.tags["app:prod"]["message"]
    assert held.place.current("app") == newer
    assert held.annotated


@pytest.mark.parametrize("foreign", representatives([replace_the_stream, tag_by_hand], TAIL))
def test_what_drops_the_annotation_ends_the_hold(held: Held, foreign: Foreign) -> None:
    foreign(held)
    assert not held.annotated
    newer = held.place.push("app", "newer")
    done = held.run()
    assert (done.status, done.results) == (0, {"app:prod": "updated"})
    assert "hold" not in done.stderr
    assert held.place.current("app") == newer


@slow(WHOLE_RUN)
def test_what_somebody_retagged_by_hand_is_left_as_it_is(held: Held) -> None:
    """The annotation says that it is held, and its source another image: of both the person's own counts."""
    place = held.place
    spec = {**place.spec("app"), "from": {"kind": "ImageStreamImage", "name": f"app@{held.bad}"}}
    metadata = {"name": "app:prod", "namespace": place.namespace, "annotations": spec["annotations"]}
    body = {"kind": "ImageStreamTag", "apiVersion": "image.openshift.io/v1", "metadata": metadata, "tag": spec}
    place.sandbox.replace(f"{IMAGE}/namespaces/{place.namespace}/imagestreamtags/app:prod", body)
    assert place.current("app") == held.bad
    resumed = held.run("resume", "app", "--yes")
    assert resumed.status == 2
    assert "is not held: its hold is over" in resumed.stderr
    done = held.run()
    assert (done.status, done.results) == (0, {"app:prod": "skipped pinned"})
    assert place.current("app") == held.bad
    assert place.spec("app")["from"] == spec["from"]


def test_the_manifest_that_will_end_the_hold_is_warned_of(held: Held) -> None:
    assert any("the next apply ends the hold" in each for each in held.told.report["warnings"])


def short(held: Held) -> None:
    """The end of the hold passes."""
    place = held.place
    spec = place.spec("app")
    hold = {**json.loads(spec["annotations"][HOLD]), "until": "2026-01-01T00:00:00Z"}
    spec["annotations"][HOLD] = json.dumps(hold)
    metadata = {"name": "app:prod", "namespace": place.namespace, "annotations": spec["annotations"]}
    body = {"kind": "ImageStreamTag", "apiVersion": "image.openshift.io/v1", "metadata": metadata, "tag": spec}
    place.sandbox.replace(f"{IMAGE}/namespaces/{place.namespace}/imagestreamtags/app:prod", body)


def test_a_hold_whose_end_has_passed_is_let_go(held: Held) -> None:
    short(held)
    newer = held.place.push("app", "newer")
    before = held.place.versions()
    plan = held.run("plan")
    assert plan.results == {"app:prod": "skipped held"}
    assert plan.tags["app:prod"]["message"] == "its hold ended at 2026-01-01T00:00:00Z: a run would release it"
    assert held.place.versions() == before

    refused = held.run(TOKEN=held.without_rights())
    assert (refused.status, refused.results) == (0, {"app:prod": "skipped held"})
    message = refused.tags["app:prod"]["message"]
    assert message.startswith("its hold ended at 2026-01-01T00:00:00Z, not released: no right: ")
    assert "grant update on imagestreamtags" in message
    assert held.place.versions() == before
    assert held.place.metrics()["tag_held"] == {of("app"): 1}

    done = held.run()
    assert done.status == 0, done.stderr
    assert done.results == {"app:prod": "updated"}
    assert done.tags["app:prod"]["message"] == "its hold ended at 2026-01-01T00:00:00Z: released"
    assert done.tags["app:prod"]["before"]["digest"] == held.old
    assert held.place.current("app") == newer
    assert not held.annotated
    assert "tag_held" not in held.place.metrics()


@slow(WHOLE_RUN)
def test_several_holds_of_one_stream_are_let_go_together(sandbox: Sandbox) -> None:
    """What the platform imports before the last of them is let go counts as new all the same."""
    place = Place(sandbox, ROLL_BACK)
    tags = ("a", "b", "c")
    olds = {tag: place.push("app", f"{tag} old", tag) for tag in tags}
    place.stream("app", {tag: place.source("app", tag) for tag in tags})
    for tag in tags:
        place.sandbox.import_tag(place.namespace, "app", tag)
    news = {tag: place.push("app", f"{tag} new", tag) for tag in tags}
    for tag in tags:
        place.sandbox.import_tag(place.namespace, "app", tag)
        place.roll_back("app", olds[tag], tag, until="2026-01-01T00:00:00Z")
    # Each write of the job waits, so that the platform's own imports are quicker.
    fault = place.fault("imagestreamtags/", "PUT", latency=1.0)
    with sandbox.settings(import_controller=True):
        done = place.run(DEPLOYMENT=None, RETRIES="4")
    sandbox.remove_faults(fault)
    assert done.status == 0, done.stderr
    assert done.results == dict.fromkeys(("app:a", "app:b", "app:c"), "updated")
    assert {tag: place.current("app", tag) for tag in tags} == news
    assert {name: tag["before"]["digest"] for name, tag in done.tags.items()} == {f"app:{t}": olds[t] for t in tags}


class TestUntilNewer:
    @pytest.fixture
    def held(self, sandbox: Sandbox, tmp_path: Path) -> Iterator[Held]:
        yield Held(sandbox, tmp_path, "--until-newer")
        sandbox.remove_faults()

    def test_it_lasts_while_the_registry_has_the_bad_one(self, held: Held) -> None:
        plan, done = held.run("plan"), held.run()
        for each in (plan, done):
            assert (each.status, each.results) == (0, {"app:prod": "skipped held"})
            told = "the registry still has the image that it was rolled back from"
            assert each.tags["app:prod"]["message"] == told
        assert held.annotated

    def test_it_ends_with_something_newer(self, held: Held) -> None:
        newer = held.place.push("app", "newer")
        plan = held.run("plan")
        assert plan.tags["app:prod"]["message"].endswith(f"and it has {newer}: a run would release it")
        assert held.annotated
        done = held.run()
        assert (done.status, done.results) == (0, {"app:prod": "updated"})
        assert held.place.current("app") == newer
        assert not held.annotated

    @slow(WHOLE_RUN)
    def test_it_ends_when_the_registry_has_the_held_one(self, held: Held) -> None:
        held.place.push("app", "old")
        done = held.run()
        assert (done.status, done.results) == (0, {"app:prod": "unchanged"})
        assert not held.annotated

    @slow(WHOLE_RUN)
    def test_it_lasts_while_nobody_knows(self, held: Held) -> None:
        held.place.sandbox.registry.delete(f"{held.place.namespace}/app", held.bad)
        done = held.run()
        assert (done.status, done.results) == (0, {"app:prod": "skipped held"})
        assert done.tags["app:prod"]["message"].startswith("what the registry has could not be found out: ")
        assert held.annotated

    @slow(WHOLE_RUN)
    def test_a_second_rollback_still_waits_for_something_else_than_the_first_bad_one(self, sandbox: Sandbox) -> None:
        place = Place(sandbox, ROLL_BACK)
        place.imported("app", "oldest")
        for content in ("old", "bad"):
            place.push("app", content)
            place.sandbox.import_tag(place.namespace, "app", "prod")
        for _ in range(2):
            assert place.run("rollback", "app", "--yes", "--until-newer").status == 0
        assert place.run().results == {"app:prod": "skipped held"}
        newer = place.push("app", "newer")
        assert place.run().results == {"app:prod": "updated"}
        assert place.current("app") == newer


@slow(WHOLE_RUN)
def test_of_an_image_for_several_architectures_the_tags_own_is_looked_at(sandbox: Sandbox) -> None:
    """The server finds the preferred architecture on the tag that the question names."""
    place = Place(sandbox, ROLL_BACK)
    both = ("amd64", "arm64")
    place.push("app", "old", platforms=both)
    source = {"kind": "DockerImage", "name": place.source("app")}
    annotations = {"importer.image.openshift.io/prefer-arch": "arm64"}
    place.stream("app", {"prod": {"from": source, "importPolicy": {"insecure": True}, "annotations": annotations}})
    place.sandbox.import_tag(place.namespace, "app", "prod")
    place.push("app", "bad", platforms=both)
    place.sandbox.import_tag(place.namespace, "app", "prod")
    assert place.run("rollback", "app", "--yes", "--until-newer").status == 0
    done = place.run()
    assert done.results == {"app:prod": "skipped held"}
    assert "still has the image that it was rolled back from" in done.tags["app:prod"]["message"]
    place.push("app", "newer", platforms=both)
    assert place.run().results == {"app:prod": "updated"}


def test_a_plan_says_what_the_registry_has_for_a_held_tag(held: Held) -> None:
    place = held.place
    assert held.run().tags["app:prod"]["message"] is None
    told = held.run("plan").tags["app:prod"]["message"]
    assert told == "the registry still has the image that it was rolled back from"
    newer = place.push("app", "newer", labels={"vcs-ref": "abc123"})
    before = place.versions()
    told = held.run("plan").tags["app:prod"]["message"]
    assert told == f"the registry has something newer: {newer} (abc123)"
    place.push("app", "old")
    assert held.run("plan").tags["app:prod"]["message"] == "the registry has the held image"
    assert place.versions() == before


@slow(WHOLE_RUN)
def test_a_reason_that_is_no_fit_text_is_shown_as_one(sandbox: Sandbox) -> None:
    place = Place(sandbox, ROLL_BACK)
    place.imported("app", "old")
    place.push("app", "bad")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    reason = "\x1b[31mred\nsee https://jane:hunter2@example.org/?token=abcdef " + "x" * 100_000
    done = place.run("rollback", "app", "--yes", "--reason", reason, "--output", "json")
    assert done.status == 0, done.stderr
    table = place.run("history", "app", "--output", "table")
    held = place.run("--output", "table")
    for text in (done.stdout, done.stderr, table.stdout, held.stdout, json.dumps(place.spec("app"))):
        assert "\x1b" not in text
        assert "hunter2" not in text
        assert "abcdef" not in text
        assert len(text) < 20_000
    assert "red see https://***@example.org/?token=***" in " ".join(table.stdout.split())
    hold = json.loads(place.run("history", "app", "--output", "json").stdout)["tags"][0]["hold"]
    assert hold["reason"].startswith("[31mred see")
    assert len(hold["reason"]) <= 1000
