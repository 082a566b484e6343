"""`rollback` and `resume`: to which image, what is written, what comes in between, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.sandbox.client import IMAGE, Json, Sandbox, until
from tests.support.place import HOLD, PATIENCE, PROGRAM, Ended, Place, ended, of
from tests.support.pods import make_cron_job, scheduled
from tests.support.rights import ROLL_BACK, without
from tests.support.tiers import representatives, slow

WHOLE_RUN = "a whole run of seconds; one of its kind gates"
TAIL = "the long tail of a matrix, each a whole run or request of its own"


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def history_of(place: Place, *contents: str, name: str = "app", **reference: Any) -> list[str]:
    """A stream whose tag prod had those images, one after the other; gives their digests."""
    source = {"from": {"kind": "DockerImage", "name": place.source(name)}, "importPolicy": {"insecure": True}}
    digests = []
    for content in contents:
        digests.append(place.push(name, content))
        if len(digests) == 1:
            place.stream(name, {"prod": {**source, **reference}})
        place.sandbox.import_tag(place.namespace, name, "prod")
    return digests


def back(place: Place, *arguments: str, name: str = "app", **environment: str | None) -> Ended:
    return place.run("rollback", name, "--yes", "--output", "json", *arguments, **environment)


def spec_of(place: Place, name: str = "app", tag: str = "prod") -> Json:
    """A spec tag, but for the generation, which only the server sets."""
    return {key: value for key, value in place.spec(name, tag).items() if key != "generation"}


def hold_on(place: Place, name: str = "app") -> Json:
    found = json.loads(place.spec(name)["annotations"][HOLD])
    assert isinstance(found, dict)
    return found


def put_tag(place: Place, reference: Mapping[str, Any], name: str = "app") -> None:
    """Somebody writes a tag by hand."""
    tag = f"{name}:{reference['name']}"
    metadata = {"name": tag, "namespace": place.namespace, "annotations": reference.get("annotations")}
    body = {"kind": "ImageStreamTag", "apiVersion": "image.openshift.io/v1", "metadata": metadata, "tag": reference}
    place.sandbox.replace(f"{IMAGE}/namespaces/{place.namespace}/imagestreamtags/{tag}", body)


def writes(place: Place) -> list[Json]:
    """What was asked for that changes streams."""
    return [*place.requests("PUT", "imagestreamtags/"), *place.imports()]


class TestWhichImage:
    def test_the_one_before_and_what_is_left_on_the_tag(self, place: Place) -> None:
        old, bad = history_of(place, "old", "bad")
        before = spec_of(place)
        done = back(place, "--reason", "crashes", "--until", "2099-01-01T00:00:00+01:00")
        assert done.status == 0, done.stderr
        assert place.current("app") == old
        assert [each["image"] for each in place.history("app")] == [old, bad, old]
        assert place.spec("app")["from"] == {"kind": "ImageStreamImage", "name": f"app@{old}"}
        hold = hold_on(place)
        assert (hold["version"], hold["reason"], hold["until"]) == (1, "crashes", "2098-12-31T23:00:00Z")
        assert hold["by"] == f"system:serviceaccount:{place.namespace}:import-images"
        assert (hold["image"], hold["from"]) == (old, place.spec("app")["from"])
        assert {key: value for key, value in hold["original"].items() if key != "generation"} == {
            key: value for key, value in before.items() if value is not None or key in hold["original"]
        }
        report = done.report
        assert (report["kind"], report["version"]) == ("Rollback", 1)
        assert (report["from"], report["to"], report["in_registry"]) == (bad, old, True)
        assert report["hold"]["rolled_back_from"] == bad
        assert report["errors"] == []
        assert done.results == {"app:prod": "rolled_back"}
        assert not place.objects("coordination.k8s.io/v1/leases")

    def test_steps_are_counted_by_when_images_first_came(self, place: Place) -> None:
        first, second, third = history_of(place, "1", "2", "3")
        original = spec_of(place)
        assert back(place, "--to", "3").status == 2
        assert back(place).status == 0
        assert place.current("app") == second
        assert back(place).status == 0
        assert place.current("app") == first
        hold = hold_on(place)
        assert hold["original"]["from"] == original["from"]
        assert HOLD not in (hold["original"].get("annotations") or {})
        assert hold["bad"] == third
        last = back(place)
        assert last.status == 2
        assert "its history has no earlier image" in last.stderr
        assert place.run("resume", "app", "--yes").status == 0
        assert place.current("app") == third
        assert spec_of(place) == original
        # Newest first the history now reads 3, 1, 2, 3, 2, 1, and 2 was itself rolled back from.
        assert back(place, "--to", "2").status == 2
        assert back(place).status == 0
        assert place.current("app") == first

    @slow(WHOLE_RUN)
    def test_the_beginning_of_a_digest(self, place: Place) -> None:
        first, _, third = history_of(place, "1", "2", "3")
        assert back(place, "--to", first.removeprefix("sha256:")[:12]).status == 0
        assert place.current("app") == first
        # Forward again is a rollback like any other.
        assert back(place, "--to", third[:20]).status == 0
        assert place.current("app") == third
        again = back(place, "--to", third)
        assert again.status == 2
        assert f"it is already at {third}" in again.stderr

    @pytest.mark.parametrize(
        "to", representatives(["0", "-1", "1000", "latest", "sha256:xyz", "abcdef123456", ""], TAIL)
    )
    def test_what_names_no_image(self, place: Place, to: str) -> None:
        history_of(place, "1", "2")
        done = back(place, f"--to={to}")
        assert done.status == 2
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert not place.requests("PUT", "imagestreamtags/")

    @pytest.mark.parametrize("mode", representatives(["Legacy", "PreserveOriginal"], TAIL))
    def test_one_that_only_the_registry_has(self, place: Place, mode: str) -> None:
        _, bad = history_of(place, "old", "bad", importPolicy={"insecure": True, "importMode": mode})
        original = spec_of(place)
        older = place.push("app", "older", "archive")
        done = back(place, "--to", older)
        assert done.status == 0, done.stderr
        assert place.current("app") == older
        repository = place.source("app").rpartition(":")[0]
        assert place.spec("app")["from"] == {"kind": "DockerImage", "name": f"{repository}@{older}"}
        assert place.run().results == {"app:prod": "skipped held"}
        # From there to one of the history, still with the first original.
        assert back(place, "--to", bad).status == 0
        assert place.run("resume", "app", "--yes").status == 0
        assert spec_of(place) == original

    @slow(WHOLE_RUN)
    def test_one_that_nobody_has(self, place: Place) -> None:
        history_of(place, "old", "bad")
        version = place.versions()
        done = back(place, "--to", "sha256:" + "0" * 64)
        assert done.status == 2
        assert "is not in its history, and the registry does not give it" in done.stderr
        assert place.versions() == version

    @slow(WHOLE_RUN)
    def test_one_that_does_not_come_in_after_all(self, place: Place) -> None:
        """The registry had it when it was asked, and the import fails: the tag is put as it was."""
        history_of(place, "old", "bad")
        original, older = spec_of(place), place.push("app", "older", "archive")
        place.fault("imagestreamimports$", "POST", body='"import": *true', status={"code": 422, "message": "no more"})
        done = back(place, "--to", older)
        assert done.status == 1
        assert "was restored to what it was before" in done.stderr
        assert spec_of(place) == original
        assert HOLD not in (place.spec("app").get("annotations") or {})

    @slow(WHOLE_RUN)
    def test_one_that_the_registry_has_no_more_is_warned_of(self, place: Place) -> None:
        old, _ = history_of(place, "old", "bad")
        place.sandbox.registry.delete(f"{place.namespace}/app", old)
        done = back(place)
        assert done.status == 0
        assert done.report["in_registry"] is False
        assert any("the registry no longer has it" in each for each in done.report["warnings"])
        assert place.current("app") == old

    @slow(WHOLE_RUN)
    def test_one_that_was_rolled_back_from_is_skipped_unless_it_is_named(self, place: Place) -> None:
        old, bad = history_of(place, "old", "bad")
        assert back(place).status == 0
        place.push("app", "fixed")
        assert place.run("resume", "app").status == 0
        # The bad image is not what a second rollback goes to, unless it is named.
        done = back(place)
        assert (done.status, place.current("app"), done.report["warnings"]) == (0, old, [])
        named = back(place, "--to", bad)
        assert (named.status, place.current("app")) == (0, bad)
        assert any("itself rolled back from" in each for each in named.report["warnings"])


class TestWhatCannotBe:
    @slow(WHOLE_RUN)
    def test_tags_of_which_there_is_nothing_to_go_back_to(self, place: Place) -> None:
        place.push("app", "1")
        tags: dict[str, str | Json] = {
            "prod": place.source("app"),
            "live": {"from": {"kind": "ImageStreamTag", "name": "prod"}},
            "word": {"reference": True, "from": {"kind": "DockerImage", "name": place.source("app")}},
            "empty": place.source("app", "nothing"),
        }
        place.stream("app", tags)
        place.sandbox.import_tag(place.namespace, "app", "prod")
        copied = {"from": {"kind": "ImageStreamTag", "name": "app:prod"}}
        place.stream("other", {"prod": copied})
        told = {
            "app:prod": "no earlier image",
            "app:live": "follows prod: roll that one back",
            "app:word": "is a reference",
            "app:empty": "has no image yet",
            "other:prod": "copied once from app:prod",
            "app:none": "has no tag none",
            "none": "matches no stream",
            "a*": "globs are not taken",
        }
        versions = place.versions()
        for name, why in told.items():
            done = back(place, name=name)
            assert done.status == 2, name
            assert why in done.stderr
            assert done.stdout == ""
        assert "name one of" in back(place, DEPLOYMENT=None).stderr
        assert place.versions() == versions

    @slow(WHOLE_RUN)
    def test_a_tag_that_is_gone_from_the_spec(self, place: Place) -> None:
        history_of(place, "1", "2")
        stream = place.sandbox.stream(place.namespace, "app")
        stream["spec"]["tags"] = []
        place.sandbox.replace(f"{IMAGE}/namespaces/{place.namespace}/imagestreams/app", stream)
        done = back(place)
        assert done.status == 2
        assert "it is gone from spec.tags" in done.stderr

    @slow(WHOLE_RUN)
    def test_without_anybody_to_ask_it_wants_to_be_told(self, place: Place) -> None:
        history_of(place, "1", "2")
        done = place.run("rollback", "app")
        assert done.status == 2
        assert "add --yes" in done.stderr
        assert not place.requests()

    @pytest.mark.parametrize(
        "text", representatives(["yesterday", "2020-01-01", "2020-01-01T00:00:00Z", "-3d", "3 days"], TAIL)
    )
    def test_an_end_that_is_none(self, place: Place, text: str) -> None:
        done = back(place, f"--until={text}")
        assert (done.status, len(done.stderr.splitlines())) == (2, 1)
        assert "--until: " in done.stderr
        assert not place.requests()

    @slow(WHOLE_RUN)
    def test_resume_without_a_hold(self, place: Place) -> None:
        history_of(place, "1", "2")
        version = place.versions()
        done = place.run("resume", "app", "--yes")
        assert (done.status, done.stdout) == (2, "")
        assert "is not held; nothing was changed" in done.stderr
        assert place.versions() == version


REFERENCES = [
    {"importPolicy": {"insecure": True, "scheduled": True, "importMode": "Legacy"}},
    {"importPolicy": {"insecure": True, "importMode": "PreserveOriginal"}},
    {"importPolicy": {"insecure": True}, "referencePolicy": {"type": "Local"}},
    {"importPolicy": {"insecure": True}, "annotations": {"note": "ours", "import-images.dev/wave": "1"}},
    {"importPolicy": {"insecure": True}, "annotations": {"import-images.dev/skip": "true"}},
]


class TestThereAndBack:
    @pytest.mark.parametrize("reference", representatives(REFERENCES, TAIL))
    def test_all_of_the_reference_comes_back(self, place: Place, reference: Json) -> None:
        old, bad = history_of(place, "old", "bad", **reference)
        before = spec_of(place)
        assert back(place).status == 0
        held = spec_of(place)
        assert place.current("app") == old
        assert held["importPolicy"] == {k: v for k, v in before["importPolicy"].items() if k != "scheduled"}
        assert held["referencePolicy"] == before["referencePolicy"]
        assert {k: v for k, v in held["annotations"].items() if k != HOLD} == reference.get("annotations", {})
        assert place.run().results == {"app:prod": "skipped held"}
        with place.sandbox.settings(import_controller=True):
            done = place.run("resume", "app", "--yes", "--output", "json", RETRIES="4")
        assert done.status == 0, done.stderr
        assert done.results == {"app:prod": "updated"}
        assert done.report["released"]["image"] == old
        assert spec_of(place) == before
        assert place.current("app") == bad

    def test_an_alias_moves_along(self, place: Place) -> None:
        old, bad = history_of(place, "old", "bad")
        put_tag(place, {"name": "live", "from": {"kind": "ImageStreamTag", "name": "prod"}})
        done = back(place)
        assert done.tags["app:prod"]["moved_with"] == ["live"]
        assert place.current("app", "live") == old
        done = place.run("resume", "app", "--yes", "--output", "json")
        assert done.tags["app:prod"]["moved_with"] == ["live"]
        assert place.current("app", "live") == bad

    @slow(WHOLE_RUN)
    def test_a_tag_that_is_pinned_to_a_digest(self, place: Place) -> None:
        """No run imports it, so that what it was pinned to the platform itself brings back."""
        old, bad = history_of(place, "old", "bad")
        put_tag(place, {**place.spec("app"), "from": {"kind": "ImageStreamImage", "name": f"app@{bad}"}})
        before = spec_of(place)
        assert back(place).status == 0
        assert place.current("app") == old
        done = place.run("resume", "app", "--yes", "--output", "json")
        assert (done.status, done.results) == (0, {"app:prod": "updated"})
        assert spec_of(place) == before
        assert place.current("app") == bad

    @slow(WHOLE_RUN)
    def test_to_what_its_source_names_already(self, place: Place) -> None:
        """The server looks only at what changed: the same source again would leave the tag where it is."""
        old, bad = history_of(place, "old", "bad")
        put_tag(place, {**place.spec("app"), "from": {"kind": "ImageStreamImage", "name": f"app@{old}"}})
        place.sandbox.import_images(
            place.namespace,
            "app",
            [
                {
                    "from": {"kind": "DockerImage", "name": place.source("app")},
                    "to": {"name": "prod"},
                    "importPolicy": {"insecure": True},
                }
            ],
        )
        # A push to the internal registry changes the image and leaves the source.
        put_status(place, old)
        assert place.current("app") == bad
        assert place.spec("app")["from"]["name"] == f"app@{old}"
        done = back(place, "--to", old)
        assert done.status == 0, done.stderr
        assert place.current("app") == old
        assert place.run().results == {"app:prod": "skipped held"}

    @slow(WHOLE_RUN)
    def test_resume_that_cannot_import(self, place: Place) -> None:
        history_of(place, "old", "bad")
        before = spec_of(place)
        assert back(place).status == 0
        place.push("app", "newer")
        place.import_fault("app", status={"code": 403, "message": "not for you"})
        done = place.run("resume", "app", "--yes", "--output", "json")
        assert done.status == 1, done.stderr
        assert done.results == {"app:prod": "failed forbidden"}
        assert spec_of(place) == before
        assert "tag_held" not in place.metrics()


def put_status(place: Place, digest: str) -> None:
    """The spec names an image again that the tag no longer has, as after a push to it."""
    path = f"{IMAGE}/namespaces/{place.namespace}/imagestreams/app"
    stream = place.sandbox.stream(place.namespace, "app")
    (tag,) = stream["spec"]["tags"]
    items = stream["status"]["tags"][0]["items"]
    tag["from"] = {"kind": "ImageStreamImage", "name": f"app@{digest}"}
    place.sandbox.replace(path, stream)
    stream = place.sandbox.stream(place.namespace, "app")
    stream["status"]["tags"][0]["items"] = items
    place.sandbox.replace(f"{path}/status", stream)


class TestMeanwhile:
    def test_a_run_under_way_neither_stops_it_nor_undoes_it(self, place: Place) -> None:
        old, bad = history_of(place, "old", "bad")
        place.push("app", "worse")
        place.fault("imagestreamimports$", "POST", latency=5.0, times=1, body='"import": *true')
        with place.running() as process:
            place.wait_for_import("app")
            assert place.objects("coordination.k8s.io/v1/leases")
            done = back(place)
            assert done.status == 0, done.stderr
            assert process.poll() is None
            run = ended(process)
        assert run.results == {"app:prod": "skipped held"}
        assert (run.tags["app:prod"]["before"]["digest"], place.current("app")) == (bad, old)

    @slow(WHOLE_RUN)
    def test_a_change_of_something_else(self, place: Place) -> None:
        old, _ = history_of(place, "old", "bad")
        place.fault("imagestreamtags/", "PUT", change="before", times=1)
        assert back(place).status == 0
        assert place.current("app") == old

    @pytest.mark.parametrize("command", representatives(["rollback", "resume"], TAIL))
    def test_a_tag_that_somebody_else_moved(self, place: Place, command: str) -> None:
        history_of(place, "old", "bad")
        arguments = ["--yes"] if command == "rollback" else []
        if command == "resume":
            assert back(place).status == 0
        newer = place.push("app", "newer")
        before = len(place.requests("PUT", "imagestreamtags/"))
        place.fault("imagestreamtags/", "PUT", latency=3.0, times=1)
        with place.running(command, "app", *arguments) as process:
            until(lambda: [r for r in place.sandbox.requests(method="PUT", path="imagestreamtags/") if not r["ended"]])
            source = {"kind": "DockerImage", "name": place.source("app")}
            wanted = {"from": source, "to": {"name": "prod"}, "importPolicy": {"insecure": True}}
            place.sandbox.import_images(place.namespace, "app", [wanted])
            done = ended(process)
        assert done.status == (1 if command == "rollback" else 2)
        assert "nothing was done" in done.stderr
        assert place.current("app") == newer
        assert [each["status"] for each in place.requests("PUT", "imagestreamtags/")[before:]] == [409]

    @pytest.mark.parametrize(
        "fault",
        representatives(
            [
                pytest.param({"reset": "after"}, id="the answer is lost"),
                pytest.param({"reset": "before"}, id="the request is lost"),
                pytest.param({"status": {"code": 409}}, id="409"),
                pytest.param({"status": {"code": 429, "headers": {"Retry-After": "1"}}}, id="429"),
                pytest.param({"status": {"code": 503}}, id="503"),
                pytest.param({"status": {"code": 500}}, id="500"),
                pytest.param({"status": {"code": 504}}, id="504"),
            ],
            TAIL,
        ),
    )
    def test_what_passes(self, place: Place, fault: Json) -> None:
        old, bad = history_of(place, "old", "bad")
        before = spec_of(place)
        place.fault("imagestreamtags/", "PUT", times=1, **fault)
        done = back(place)
        assert done.status == 0, done.stderr
        assert [each["image"] for each in place.history("app")] == [old, bad, old]
        place.sandbox.remove_faults()
        place.fault("imagestreamtags/", "PUT", times=1, **fault)
        resumed = place.run("resume", "app", "--yes", "--output", "json")
        assert resumed.status == 0, resumed.stderr
        assert resumed.results == {"app:prod": "updated"}
        assert spec_of(place) == before

    @slow(WHOLE_RUN)
    def test_an_api_that_stays_broken(self, place: Place) -> None:
        _, bad = history_of(place, "old", "bad")
        before = spec_of(place)
        place.fault("imagestreamtags/", "PUT", status={"code": 503})
        done = back(place)
        assert (done.status, done.stdout) == (3, "")
        assert (place.current("app"), spec_of(place)) == (bad, before)

    def test_an_answer_that_is_lost_every_time(self, place: Place) -> None:
        old, _ = history_of(place, "old", "bad")
        place.fault("imagestreamtags/", "PUT", reset="after")
        done = back(place)
        assert done.status == 0, done.stderr
        assert place.current("app") == old


def test_a_write_of_which_nothing_is_known(place: Place) -> None:
    """It takes effect, its answer is lost, and no read succeeds afterwards."""
    old, _ = history_of(place, "old", "bad")
    place.fault("imagestreamtags/", "PUT", reset="after", times=1)
    place.fault("imagestreams/app$", "GET", after=2, status={"code": 503})
    done = place.run("rollback", "app", "--yes", RETRIES="0")
    place.sandbox.remove_faults()
    assert place.current("app") == old
    assert done.status == 1
    assert "nothing was" not in done.stderr
    assert "whether app:prod was changed is not known" in done.stderr
    assert f"check it: import-images history app:prod -n {place.namespace}" in done.stderr


def test_a_restore_that_fails_says_how_to_repair_the_tag(place: Place) -> None:
    history_of(place, "old", "bad")
    older = place.push("app", "older", "archive")
    place.fault("imagestreamimports$", "POST", body='"import": *true', status={"code": 422, "message": "no more"})
    place.fault("imagestreamtags/", "PUT", after=1, status={"code": 503})
    done = back(place, "--to", older, RETRIES="0")
    assert done.status == 1, done.stderr
    assert f"points to {older}, which the registry did not give, and restoring it failed" in done.stderr
    repair = f"oc -n {place.namespace} tag --source=docker --insecure {place.source('app')} app:prod"
    assert done.stderr.rstrip().endswith(f"repair it: {repair}")


def test_resume_asks_where_the_registry_still_has_the_bad_image(place: Place) -> None:
    old, bad = history_of(place, "old", "bad")
    assert back(place).status == 0
    refused = place.run("resume", "app")
    assert (refused.status, refused.stdout) == (2, "")
    assert f"still is {bad}, the image that app:prod was rolled back from" in refused.stderr
    assert "--yes" in refused.stderr
    assert (place.current("app"), place.run().results) == (old, {"app:prod": "skipped held"})
    fixed = place.push("app", "fixed")
    assert place.run("resume", "app").status == 0
    assert place.current("app") == fixed


def test_the_right_to_move_a_tag_is_needed(place: Place) -> None:
    _, bad = history_of(place, "old", "bad")
    before = spec_of(place)
    token = place.sandbox.create_account(place.namespace, "no-update", without("imagestreamtags", "update", ROLL_BACK))
    done = back(place, TOKEN=token)
    assert (done.status, done.stdout) == (3, "")
    assert "grant update on imagestreamtags, or add the rollback component" in done.stderr
    assert (place.current("app"), spec_of(place)) == (bad, before)
    assert back(place).status == 0
    version = place.versions()
    refused = place.run("resume", "app", "--yes", TOKEN=token)
    assert refused.status == 3
    assert "grant update on imagestreamtags" in refused.stderr
    assert place.versions() == version


@pytest.mark.parametrize(
    ("resource", "verb"),
    representatives([("statefulsets", "list"), ("statefulsets", "get"), ("pods", "list"), ("pods", "delete")], TAIL),
)
def test_without_the_other_rights_it_is_done_and_said(sandbox: Sandbox, resource: str, verb: str) -> None:
    place = Place(sandbox, without(resource, verb, ROLL_BACK))
    old, bad = history_of(place, "old", "bad")
    sandbox.create_workload(place.namespace, "StatefulSet", "app", tag="app:prod")
    sandbox.image_behaves(bad, "crash")
    until(lambda: sandbox.pods(place.namespace, "app"))
    done = back(place, ROLLOUT_TIMEOUT="6s")
    assert place.current("app") == old
    assert done.status == (1 if verb == "list" and resource == "statefulsets" else 5), done.stderr
    assert f"grant {verb} on {resource}" in done.stderr + json.dumps(done.report)


class Asked:
    """`rollback` on a terminal of its own."""

    def __init__(self, place: Place, *arguments: str, output: bool = False) -> None:
        self._main, side = pty.openpty()
        self.process = subprocess.Popen(
            [PROGRAM, "rollback", "app", *arguments],
            env=place.environment(TERM="xterm", COLUMNS="100"),
            stdin=side,
            stdout=subprocess.PIPE if output else side,
            stderr=side,
            text=True,
            start_new_session=True,
        )
        os.close(side)
        self.text = ""

    def read_until(self, wanted: str) -> None:
        end = time.monotonic() + PATIENCE
        while wanted not in self.text:
            assert time.monotonic() < end, self.text
            if select.select([self._main], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self._main, 65536).decode(errors="replace")
                except OSError:
                    raise AssertionError(self.text) from None

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def end(self) -> int:
        """Read to the end; gives the exit status."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([self._main], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self._main, 65536).decode(errors="replace")
                    continue
                except OSError:
                    break
            if self.process.poll() is not None:
                break
        status = self.process.wait(PATIENCE)
        os.close(self._main)
        return status


class TestOnATerminal:
    @pytest.mark.parametrize(
        ("typed", "status"), representatives([("y\n", 0), ("YES\n", 0), ("n\n", 2), ("\n", 2), ("\x04", 2)], TAIL)
    )
    def test_it_asks(self, place: Place, typed: str, status: int) -> None:
        old, bad = history_of(place, "old", "bad", "newest")[:2]
        sandbox = place.sandbox
        sandbox.create_workload(place.namespace, "Deployment", "app", tag="app:prod")
        asked = Asked(place, "--to", "2", "--reason", "crashes")
        asked.read_until("[y/N]")
        assert not place.requests("PUT", "imagestreamtags/")
        for told in (old, f"{place.namespace}/Deployment/app", "crashes", "import-images resume app:prod"):
            assert told in asked.text.replace("\r\n", "\n")
        asked.type(typed)
        assert asked.end() == status, asked.text
        assert bad not in asked.text
        assert (place.current("app") == old) == (status == 0)
        if status:
            assert "nothing was changed" in asked.text
            assert not place.requests("PUT", "imagestreamtags/")

    @slow(WHOLE_RUN)
    def test_a_signal_ends_the_waiting(self, place: Place) -> None:
        history_of(place, "old", "bad")
        asked = Asked(place)
        asked.read_until("[y/N]")
        asked.process.send_signal(signal.SIGINT)
        assert asked.end() == 6
        assert "stopped; nothing was changed" in asked.text
        assert not place.requests("PUT", "imagestreamtags/")

    def test_ctrl_c_says_that_the_tag_was_moved_already(self, place: Place) -> None:
        old, _ = history_of(place, "old", "bad")
        place.fault("configmaps", "POST", latency=2.0)
        asked = Asked(place, "--yes")
        asked.read_until("and held")
        asked.process.send_signal(signal.SIGINT)
        asked.read_until("press Ctrl-C again to stop at once")
        assert "stopping: app:prod is rolled back already; " in asked.text
        asked.end()
        assert place.current("app") == old

    def test_a_document_stays_alone_on_stdout(self, place: Place) -> None:
        history_of(place, "old", "bad")
        asked = Asked(place, "--output", "json", output=True)
        asked.read_until("[y/N]")
        asked.type("y\n")
        assert asked.process.stdout is not None
        with asked.process.stdout as stdout:
            document = json.loads(stdout.read())
        assert asked.end() == 0
        assert document["kind"] == "Rollback"


class TestMetrics:
    def test_a_hold_shows_at_once_in_the_group_of_the_run(self, place: Place) -> None:
        history_of(place, "old")
        place.push("other", "1")
        place.stream("other")
        assert place.run().status == 0
        bad = place.push("app", "bad")
        assert place.run().status == 0
        before = place.metrics()
        assert back(place, "--until", "3d", DEPLOYMENT=None, name="app:prod").status == 0
        after = place.metrics()
        assert after["tag_held"] == {of("app"): 1}
        assert of("app") in after["tag_hold_end_timestamp_seconds"]
        assert after["tag_result"] == {of("app", result="rolled_back"): 1, of("other", result="unchanged"): 1}
        untouched = (
            "last_run_timestamp_seconds",
            "last_success_timestamp_seconds",
            "run_duration_seconds",
            "run_outcome",
            "tags",
            "tag_last_success_timestamp_seconds",
        )
        for name in untouched:
            assert after[name] == before[name], name
        resumed = place.run("resume", "app:prod", "--yes", DEPLOYMENT=None)
        assert resumed.status == 0
        now = place.metrics()
        assert "tag_held" not in now
        for name in untouched[:-1]:
            assert now[name] == before[name], name
        ((labels, _),) = [each for each in now["tag_image_info"].items() if ("stream", "app") in each[0]]
        assert ("digest", bad) in labels

    @slow(WHOLE_RUN)
    def test_the_group_is_that_of_the_last_scheduled_run(self, place: Place) -> None:
        """Whoever imports it by hand, without DEPLOYMENT, has a group of their own."""
        history_of(place, "old")
        assert place.run(**scheduled(place, make_cron_job(place))).status == 0
        place.push("app", "bad")
        assert place.run("run", "app:prod", DEPLOYMENT=None).status == 0
        assert back(place, name="app:prod", DEPLOYMENT=None).status == 0
        assert place.metrics(deployment="prod")["tag_held"] == {of("app"): 1}

    @slow(WHOLE_RUN)
    def test_before_any_run_it_is_the_tags_own(self, place: Place) -> None:
        history_of(place, "old", "bad")
        assert back(place, name="app:prod", DEPLOYMENT="stg").status == 0
        assert place.metrics(deployment="prod")["tag_held"] == {of("app"): 1}
        assert place.metrics(deployment="stg") == {}

    @slow(WHOLE_RUN)
    def test_a_gateway_that_cannot_be_read_changes_nothing(self, place: Place) -> None:
        old, _ = history_of(place, "old", "bad")
        done = back(place, PUSHGATEWAY_ADDRESS="http://127.0.0.1:1")
        assert done.status == 0
        assert place.current("app") == old
