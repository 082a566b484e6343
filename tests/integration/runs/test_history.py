"""`history`: what a tag had, as a document and as a table; and CHECK_HORIZON, which counts it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.sandbox.client import Json, Sandbox
from tests.support.place import Ended, Place, of
from tests.support.rights import ROLL_BACK, RUN, without
from tests.support.tiers import slow

WHOLE_RUN = "a whole run of seconds; one of its kind gates"


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def had(place: Place, *contents: str, name: str = "app") -> list[str]:
    """A stream whose tag prod had those images; gives their digests."""
    digests = []
    for number, content in enumerate(contents):
        digests.append(place.push(name, content, labels={"vcs-ref": f"rev{number}"}))
        if not number:
            place.stream(name)
        place.sandbox.import_tag(place.namespace, name, "prod")
    return digests


def tags(done: Ended) -> list[Json]:
    assert (done.report["kind"], done.report["version"]) == ("History", 1)
    found = done.report["tags"]
    assert isinstance(found, list)
    return found


def test_after_a_rollback(place: Place) -> None:
    old, bad = had(place, "old", "bad")
    assert place.run("rollback", "app", "--yes", "--reason", "crashes").status == 0
    place.sandbox.registry.delete(f"{place.namespace}/app", bad)
    done = place.run("history", "app", "--check", "--output", "json")
    assert done.status == 0, done.stderr
    (tag,) = tags(done)
    assert [(i["digest"], i["current"], i["held"], i["put_back"], i["rolled_back_from"]) for i in tag["images"]] == [
        (old, True, True, True, False),
        (bad, False, False, False, True),
        (old, False, False, False, False),
    ]
    assert [each["in_registry"] for each in tag["images"]] == [True, False, True]
    assert [each["revision"] for each in tag["images"]] == ["rev0", "rev1", "rev0"]
    assert (tag["hold"]["reason"], tag["hold"]["rolled_back_from"]) == ("crashes", bad)
    assert tag["source"].startswith(f"pinned to app@{old}")
    assert tag["import_error"] is None
    table = place.run("history", "app", "--check", "--output", "table")
    assert all(len(line) <= 100 for line in table.stdout.splitlines())
    for told in (old[7:19], bad[7:19], "current, held", "bad: rolled back", "gone", "crashes"):
        assert told in table.stdout


@slow(WHOLE_RUN)
def test_globs_and_tags_of_all_kinds(place: Place) -> None:
    had(place, "one")
    place.stream("empty", {"prod": place.source("empty")})
    place.push("app", "one", "stg")
    live = {"from": {"kind": "ImageStreamTag", "name": "stg"}}
    place.stream("more", {"stg": place.source("app", "stg"), "prod": live})
    found = {f"{each['stream']}:{each['tag']}": each for each in tags(place.run("history", "*", "--output", "json"))}
    assert found.keys() == {"app:prod", "empty:prod", "more:prod"}
    assert found["app:prod"]["source"] == f"imported from {place.source('app')} (insecure)"
    assert found["more:prod"]["source"] == "follows stg"
    assert found["empty:prod"]["images"] == []
    assert "no image yet" in place.run("history", "empty", "--output", "table").stdout
    none = place.run("history", "nothing")
    assert (none.status, none.stdout) == (2, "")
    assert place.run("history").status == 2


def test_a_failed_import_is_told(place: Place) -> None:
    had(place, "one")
    place.sandbox.registry.delete(f"{place.namespace}/app", str(place.current("app")))
    assert place.run().status == 1
    (tag,) = tags(place.run("history", "app", "--output", "json"))
    assert tag["import_error"]["reason"] == "NotFound"
    assert "import failed" in place.run("history", "app", "--output", "table").stdout


@slow(WHOLE_RUN)
def test_a_registry_that_does_not_tell(place: Place) -> None:
    had(place, "one")
    place.fault("imagestreamimports$", "POST", status={"code": 404})
    done = place.run("history", "app", "--check", "--output", "json")
    assert done.status == 1
    assert [each["in_registry"] for each in tags(done)[0]["images"]] == [None]


def test_nothing_is_written_and_few_rights_are_enough(sandbox: Sandbox) -> None:
    place = Place(sandbox, without("imagestreamimages", "get"))
    had(place, "one", "two")
    before = place.versions()
    done = place.run("history", "app", "--output", "json")
    assert done.status == 0
    assert "grant get on imagestreamimages" in done.stderr
    assert place.versions() == before
    assert {each["method"] for each in place.requests()} == {"GET"}
    stranger = Place(sandbox, ())
    refused = stranger.run("history", "app")
    assert (refused.status, refused.stdout, len(refused.stderr.splitlines())) == (3, "", 1)


class TestHorizon:
    @pytest.fixture
    def place(self, sandbox: Sandbox) -> Iterator[Place]:
        yield Place(sandbox, RUN)
        sandbox.remove_faults()

    def test_earlier_images_that_are_left_are_counted(self, place: Place) -> None:
        first, second, _ = had(place, "1", "2", "3")
        had(place, "1", name="single")
        place.stream("never")
        assert "tag_rollback_targets" not in (place.run(), place.metrics())[1]
        assert place.run(CHECK_HORIZON="true").status == 1
        assert place.metrics()["tag_rollback_targets"] == {of("app"): 2, of("single"): 0, of("never"): 0}
        place.sandbox.registry.delete(f"{place.namespace}/app", first)
        place.run("run", "app", "--check-horizon")
        assert place.metrics()["tag_rollback_targets"][of("app")] == 1
        place.roll_back("app", second)
        place.run("--check-horizon")
        assert place.metrics()["tag_rollback_targets"][of("app")] == 0

    @slow(WHOLE_RUN)
    def test_what_the_registry_does_not_tell_is_not_counted_as_gone(self, place: Place) -> None:
        had(place, "1", "2")
        place.fault("imagestreamimports$", "POST", body='"import": *false', status={"code": 503})
        done = place.run(CHECK_HORIZON="true")
        assert (done.status, done.results) == (0, {"app:prod": "unchanged"})
        assert "tag_rollback_targets" not in place.metrics()

    @slow(WHOLE_RUN)
    def test_a_plan_asks_for_none_of_it(self, place: Place) -> None:
        had(place, "1", "2")
        place.run("plan", CHECK_HORIZON="true")
        assert len(place.imports()) == 1


def test_a_document_can_be_read_whatever_a_label_says(place: Place) -> None:
    place.push("app", "one", labels={"vcs-ref": "\x1b[31m\u202e" + "x" * 5000, "version": '"\n'})
    place.stream("app")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    json.loads(place.run("history", "app", "--output", "json").stdout)
    done = place.run("history", "app", "--output", "table")
    lines = done.stdout.splitlines()
    assert done.status == 0 and len(lines) >= 2, done.stderr
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
    assert all(len(line) <= 100 for line in lines)
