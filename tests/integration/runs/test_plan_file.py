"""`run --plan`: exactly what was reviewed is imported, and what differs by now is left alone and reported."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.client import IMAGE, Sandbox, until
from tests.support.place import PROGRAM, Ended, Place, ended, told
from tests.support.rights import ROLL_BACK


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def write_plan(place: Place, folder: Path, *arguments: str, **settings: str) -> Path:
    """A plan as `plan -o json` prints it, in a file."""
    planned = place.run("plan", *arguments, **settings)
    assert planned.status == 0, planned.stderr
    file = folder / "plan.json"
    file.write_text(planned.stdout, encoding="utf-8")
    return file


def test_exactly_the_plan_is_imported(place: Place, tmp_path: Path) -> None:
    names = ("moves", "changed", "same", "newer", "gone", "elsewhere", "rolled")
    before = {name: place.imported(name, f"{name} old") for name in names}
    new = {name: place.push(name, f"{name} new") for name in names if name not in ("same", "newer")}
    file = write_plan(place, tmp_path)
    later = {name: place.push(name, f"{name} later") for name in ("changed", "newer")}
    place.imported("unplanned", "unplanned old")
    place.push("unplanned", "unplanned new")
    sandbox, namespace = place.sandbox, place.namespace
    sandbox.delete(f"{IMAGE}/namespaces/{namespace}/imagestreams/gone")
    stream = sandbox.stream(namespace, "elsewhere")
    stream["spec"]["tags"][0]["from"]["name"] = place.source("moves")
    sandbox.replace(f"{IMAGE}/namespaces/{namespace}/imagestreams/elsewhere", stream)
    sandbox.import_tag(namespace, "rolled", "prod")
    place.push("rolled", "rolled later")
    sandbox.import_tag(namespace, "rolled", "prod")
    done = place.run("run", "--plan", str(file))
    assert done.results == {
        "moves:prod": "updated",
        "same:prod": "unchanged",
        **dict.fromkeys(("changed:prod", "newer:prod", "elsewhere:prod", "rolled:prod"), "failed conflict"),
        "gone:prod": "failed not_found",
    }, done.stderr
    assert (done.status, done.report["run"]["outcome"]) == (1, "partial")
    assert {name: place.current(name) for name in ("moves", "changed", "newer", "unplanned")} == {
        "moves": new["moves"],
        "changed": before["changed"],
        "newer": before["newer"],
        "unplanned": place.history("unplanned")[-1]["image"],
    }
    messages = {name: done.tags[f"{name}:prod"]["message"] for name in ("changed", "newer", "elsewhere", "rolled")}
    assert new["changed"] in messages["changed"]
    assert later["changed"] in messages["changed"]
    assert done.tags["changed:prod"]["candidate"]["digest"] == later["changed"]
    assert "follows" in messages["elsewhere"]
    assert "the tag has" in messages["rolled"]
    # The others of the deployment stay as they were in metrics and journal.
    again = place.run("run", "--plan", str(file), "moves", "same")
    assert (again.status, again.results) == (0, {"moves:prod": "unchanged", "same:prod": "unchanged"})


def test_what_moves_after_it_was_compared_is_rolled_back(place: Place, tmp_path: Path) -> None:
    old = place.imported("web", "old")
    planned = place.push("web", "planned")
    file = write_plan(place, tmp_path)
    gate = place.fault("imagestreamimports$", "POST", body='"import": *true', gate=True)
    with place.running("run", "--plan", str(file)) as process:
        # The first request was the plan's, the second compares.
        until(lambda: any(each["ended"] is None for each in place.imports("web")[2:]), told="the import")
        later = place.push("web", "later")
        place.sandbox.remove_faults(gate)
        done = ended(process)
    message = done.tags["web:prod"]["message"]
    assert (done.results, place.current("web")) == ({"web:prod": "failed conflict"}, old)
    assert f"the registry has {later} now, and had {planned} when it was planned" in message
    assert f"rolled back to {old}" in message
    assert "left alone" not in message


def test_a_hold_that_ends_is_not_released(place: Place, tmp_path: Path) -> None:
    """Once a tag is released the server imports by itself what the registry has, which the plan does not name."""
    old = place.imported("web", "old")
    bad = place.push("web", "planned, and bad")
    file = write_plan(place, tmp_path)
    place.sandbox.import_tag(place.namespace, "web", "prod")
    place.roll_back("web", old, until_newer=True, bad=bad)
    newer = place.push("web", "newer than the plan")
    done = place.run("run", "--plan", str(file))
    assert (done.results, place.current("web")) == ({"web:prod": "skipped held"}, old), done.stderr
    assert "not released: a run that follows a plan leaves holds alone" in done.tags["web:prod"]["message"]
    assert "hold" in str(place.spec("web")["annotations"])
    assert (place.run().results, place.current("web")) == ({"web:prod": "updated"}, newer)


def from_stdin(place: Place, text: str, *arguments: str, **settings: str | None) -> Ended:
    done = subprocess.run(
        [PROGRAM, "run", "--plan", "-", *arguments, "--output", "json"],
        env=place.environment(**settings),
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return told(done.returncode, done.stdout, done.stderr)


def test_a_plan_from_stdin_says_where(place: Place) -> None:
    place.imported("web", "old")
    new = place.push("web", "new")
    plan = place.run("plan")
    done = from_stdin(place, plan.stdout, NAMESPACE=None, DEPLOYMENT=None)
    assert (done.status, done.results, place.current("web")) == (0, {"web:prod": "updated"}, new), done.stderr
    assert done.report["run"]["deployment"] == "prod"


def test_a_gate_holds_back_what_was_planned_without_it(place: Place, tmp_path: Path) -> None:
    old = place.imported("web", "old")
    place.push("web", "new", created="2026-11-29T00:00:00Z")
    file = write_plan(place, tmp_path)
    assert place.run("run", "--plan", str(file), MIN_AGE="3000d").results == {"web:prod": "skipped young"}
    held = write_plan(place, tmp_path, MIN_AGE="3000d")
    # It names no image for the tag.
    done = place.run("run", "--plan", str(held))
    assert (done.status, place.current("web")) == (2, old)
    assert "no tag that could be imported" in done.stderr


DIGEST = "sha256:" + "0" * 64


def plan_document(**run: Any) -> dict[str, Any]:
    tag: dict[str, Any] = {"namespace": "ns", "stream": "web", "tag": "prod", "source": None, "result": "updated"}
    tag |= {"before": None, "after": {"digest": DIGEST}}
    return {"kind": "Report", "version": 1, "run": {"command": "plan", "namespaces": ["ns"], **run}, "tags": [tag]}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "is not a plan"),
        ("{", "is not a plan"),
        ("[]", "not a document"),
        (json.dumps({**plan_document(), "kind": "Status"}), "not a document"),
        (json.dumps({**plan_document(), "version": 2}), "version is 2"),
        (json.dumps(plan_document(command="run")), "report of 'run'"),
        (json.dumps(plan_document(namespaces=["../x"])), "is not a name"),
        (json.dumps(plan_document()).replace(DIGEST, "latest"), "is not a digest"),
        (json.dumps({**plan_document(), "tags": [{}]}), "is not a plan"),
        (json.dumps({**plan_document(), "tags": []}), "no tag that could be imported"),
        (json.dumps(plan_document()), "has tags of ns"),
        (json.dumps(plan_document(deployment="stg")), "deployment stg"),
        (json.dumps({**plan_document(), "tags": plan_document()["tags"] * 2}), "has ns/web:prod twice"),
        ("[" * 100_000, "is not a plan"),
    ],
)
def test_a_bad_file_ends_with_2_before_anything_is_asked(place: Place, text: str, named: str) -> None:
    done = from_stdin(place, text)
    assert (done.status, done.stdout) == (2, "")
    assert named in done.stderr
    assert place.requests() == []


def test_a_missing_file_ends_with_2(place: Place, tmp_path: Path) -> None:
    done = place.run("run", "--plan", str(tmp_path / "none.json"))
    assert (done.status, "cannot be read" in done.stderr, place.requests()) == (2, True, [])
