"""The rules of a namespace: one freeze for all, and known-bad images that no run imports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from tests.sandbox.client import Sandbox, until
from tests.support.place import HOLD, Place
from tests.support.pods import journal, make_cron_job, scheduled
from tests.support.rights import ROLL_BACK, without
from tests.support.tiers import slow

RULES = "import-images-rules"


WHOLE_RUN = "a whole run of seconds; one of its kind gates"


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def path(place: Place) -> str:
    return f"/api/v1/namespaces/{place.namespace}/configmaps"


def write(place: Place, **data: str) -> None:
    """Write the rules as a person does."""
    place.sandbox.create(path(place), {"metadata": {"name": RULES}, "data": data})


def rules(place: Place) -> dict[str, Any]:
    """What the rules say, by key."""
    found = place.sandbox.get(f"{path(place)}/{RULES}").get("data") or {}
    return {key: yaml.safe_load(text) for key, text in found.items()}


def new_image(place: Place, *names: str, content: str = "two", **more: Any) -> tuple[str, str]:
    """Streams of one repository with an image, and another one in the registry; gives both digests."""
    old = place.push("app", "one")
    for name in names:
        place.stream(name, {"prod": place.source("app")})
        place.sandbox.import_tag(place.namespace, name, "prod")
    return old, place.push("app", content, **more)


def test_one_freeze_for_all(place: Place) -> None:
    old, new = new_image(place, "web")
    cron_job = make_cron_job(place)
    missing = place.run("freeze")
    assert (missing.status, "--reason" in missing.stderr, place.requests()) == (2, True, [])
    frozen = place.run("freeze", "--reason", "the demo", "--until", "3d")
    assert frozen.status == 0, frozen.stderr
    (rule,) = frozen.report["namespaces"][0]["freezes"]
    assert (rule["reason"], rule["by"].rpartition(":")[2]) == ("the demo", "import-images")
    # A colleague's laptop has none of the CronJob's settings.
    local = place.run()
    assert (local.status, local.stdout) == (2, "")
    assert "the demo" in local.stderr
    assert "import-images thaw" in local.stderr
    assert "--ignore-freeze" in local.stderr
    assert (place.current("web"), journal(place).runs) == (old, ())
    done = place.run(**scheduled(place, cron_job))
    assert (done.status, done.report["run"]["outcome"], place.current("web")) == (0, "frozen", old)
    plan = place.run("plan")
    assert (plan.status, plan.results) == (0, {"web:prod": "updated"})
    assert "the demo" in plan.stderr
    assert place.run("run", "--ignore-freeze").results == {"web:prod": "updated"}
    # A rollback is not stopped, and says so.
    back = place.run("rollback", "web", "--yes")
    assert (back.status, place.current("web")) == (0, old), back.stderr
    assert "a rollback is done all the same" in back.stderr
    thawed = place.run("thaw")
    assert (thawed.status, thawed.report["namespaces"][0]["freezes"]) == (0, []), thawed.stderr
    assert place.run("thaw").status == 2
    assert place.run().results == {"web:prod": "skipped held"}
    resumed = place.run("resume", "web", "--yes")
    assert (resumed.status, place.current("web")) == (0, new), resumed.stderr


@slow(WHOLE_RUN)
def test_a_freeze_that_has_ended_is_over(place: Place) -> None:
    new_image(place, "web")
    write(place, freeze="- reason: old\n  until: 2026-01-01T00:00:00Z\n")
    assert place.run().results == {"web:prod": "updated"}


@slow(WHOLE_RUN)
def test_a_frozen_namespace_does_not_stop_the_others(place: Place) -> None:
    other = Place(place.sandbox, ROLL_BACK)
    for each in (place, other):
        new_image(each, "web")
    both = f"{place.namespace},{other.namespace}"
    place.sandbox.grant(other.namespace, "import-images", ROLL_BACK, of=place.namespace)
    assert other.run("freeze", "--reason", "theirs").status == 0
    cron_job = make_cron_job(place)
    stopped = place.run(NAMESPACE=both)
    assert (stopped.status, place.current("web") != other.current("web")) == (2, False)
    done = place.run(**{**scheduled(place, cron_job), "NAMESPACE": both})
    assert (done.status, done.report["run"]["outcome"]) == (0, "success"), done.stderr
    assert [tag["namespace"] for tag in done.report["tags"]] == [place.namespace]
    assert [each.outcome for each in journal(other).runs] == ["frozen"]
    assert f"{other.namespace}: frozen" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["plan"],
        ["freeze", "--reason", "a"],
        ["thaw"],
        ["block", "1a2b3c4", "--reason", "a"],
        ["unblock", "1a2b3c4"],
        ["rollback", "web", "--yes"],
        ["resume", "web", "--yes"],
    ],
)
def test_a_typo_stops_everything_and_changes_nothing(place: Place, arguments: list[str]) -> None:
    old, _ = new_image(place, "web")
    if arguments[0] == "rollback":
        assert place.run().status == 0
    if arguments[0] == "resume":
        place.push("app", "older")
        place.sandbox.import_tag(place.namespace, "web", "prod")
        place.roll_back("web", old)
    text = "- reason: the demo\n  utnil: 2030-01-01T00:00:00Z\n"
    write(place, freeze=text)
    versions = place.versions()
    done = place.run(*arguments)
    assert (done.status, done.stdout) == (2, ""), done.stderr
    assert f"{place.namespace}/{RULES}: freeze, line 2: unknown name 'utnil'" in done.stderr
    assert f"correct it: oc -n {place.namespace} edit configmap {RULES}" in done.stderr
    assert "did you mean until" in done.stderr
    assert (place.versions(), place.sandbox.get(f"{path(place)}/{RULES}")["data"]) == (versions, {"freeze": text})


def test_a_blocked_image_is_kept_out_of_every_tag(place: Place) -> None:
    old, new = new_image(place, "web", "worker")
    place.imported("api")
    newer = place.push("api", "newer")
    short = place.run("block", "sha256:abc", "packit-worker", "--reason", "a")
    assert (short.status, place.requests()) == (2, [])
    assert "packit-worker" in short.stderr
    done = place.run("block", new, "--reason", "loses messages")
    assert done.status == 0, done.stderr
    assert done.report["namespaces"][0]["blocked"][0]["tags"] == []
    plan = place.run("plan")
    assert plan.results == {"api:prod": "updated", "web:prod": "skipped blocked", "worker:prod": "skipped blocked"}
    run = place.run()
    assert run.results == plan.results
    assert run.status == 0
    assert run.tags["web:prod"]["message"].endswith(": loses messages")
    assert new in run.tags["web:prod"]["message"]
    assert [place.current(name) for name in ("web", "worker", "api")] == [old, old, newer]
    # A deployment of its own takes the same image from the same place.
    place.stream("second", {"stg": place.source("app")})
    assert place.run(DEPLOYMENT="stg").results == {"second:stg": "skipped blocked"}
    assert place.current("second", "stg") is None
    other = place.run("unblock", "sha256:000000")
    assert other.status == 2
    assert place.run("unblock", new[:20]).status == 0
    assert rules(place) == {}
    assert place.run().results == {"api:prod": "unchanged", "web:prod": "updated", "worker:prod": "updated"}
    # What is there already is named, not taken away.
    table = place.run("block", new, "--reason", "late", "-o", "table")
    assert (table.status, "import-images rollback web:prod" in table.stdout) == (0, True), table.stdout


@slow(WHOLE_RUN)
def test_an_image_is_blocked_by_the_commit_that_it_was_built_from(place: Place) -> None:
    commit = "1a2b3c4d" * 5
    old, new = new_image(place, "web", labels={"org.opencontainers.image.revision": commit})
    assert place.run("block", commit[:8].upper(), "--reason", "bad").status == 0
    assert place.run().results == {"web:prod": "skipped blocked"}
    newest = place.push("app", "three", labels={"org.opencontainers.image.revision": "9" * 40})
    assert place.run().results == {"web:prod": "updated"}
    assert place.current("web") == newest
    assert old != new


def test_rules_that_have_ended_make_room(place: Place) -> None:
    ended = "  until: 2026-01-01T00:00:00Z\n"
    freezes = "".join(f"- reason: release {number}\n{ended}" for number in range(50))
    blocked = "".join(f"- revision: {number:040x}\n{ended}" for number in range(300))
    write(place, freeze=freezes, blocked=blocked)
    assert place.run("block", "4d5e6f7a8b9c", "--reason", "loses messages").status == 0
    done = place.run("freeze", "--reason", "incident")
    assert done.status == 0, done.stderr
    assert [rule["reason"] for rule in rules(place)["freeze"]] == ["incident"]
    assert [rule["revision"] for rule in rules(place)["blocked"]] == ["4d5e6f7a8b9c"]


def test_no_blocked_images_cost_one_request(place: Place) -> None:
    new_image(place, "web")
    assert place.run().status == 0
    asked = [each["path"].rpartition("/")[2] for each in place.requests("GET", "configmaps/")]
    assert asked.count(RULES) == 1
    assert len(place.imports()) == 1


def test_what_is_rolled_back_is_blocked_and_unblocked_by_its_release(place: Place) -> None:
    old, new = new_image(place, "web", "worker")
    assert place.run("run", "web").results == {"web:prod": "updated"}
    back = place.run("rollback", "web", "--yes", "--reason", "crashes")
    assert (back.status, back.report["blocked"]) == (0, [new]), back.stderr
    assert rules(place)["blocked"][0]["reason"] == "crashes"
    assert place.run().results == {"web:prod": "skipped held", "worker:prod": "skipped blocked"}
    versions = place.versions()
    asks = place.run("resume", "web")
    assert (asks.status, place.versions(), len(rules(place)["blocked"])) == (2, versions, 1)
    assert "--yes" in asks.stderr
    resumed = place.run("resume", "web", "--yes")
    assert (resumed.status, resumed.results, place.current("web")) == (0, {"web:prod": "updated"}, new), resumed.stderr
    assert rules(place) == {}
    assert place.run().results == {"web:prod": "unchanged", "worker:prod": "updated"}
    assert old != new


@slow(WHOLE_RUN)
def test_a_rollback_need_not_block(place: Place) -> None:
    new_image(place, "web", "worker")
    assert place.run("run", "web").status == 0
    assert place.run("rollback", "web", "--yes", "--block", "--no-block").status == 2
    back = place.run("rollback", "web", "--yes", "--no-block")
    assert (back.status, back.report["blocked"], RULES in place.objects("configmaps")) == (0, [], False)
    assert place.run().results == {"web:prod": "skipped held", "worker:prod": "updated"}


@slow(WHOLE_RUN)
def test_a_whole_run_blocks_only_when_it_is_asked_to(place: Place) -> None:
    _, new = new_image(place, "web", "worker")
    place.imported("api")
    api = place.push("api", "newer")
    run_id = place.run().report["run"]["id"]
    back = place.run("rollback", "--run", "last", "--yes")
    assert (back.status, back.report["blocked"], RULES in place.objects("configmaps")) == (0, [], False)
    # Given again with --block, what is rolled back already is blocked.
    again = place.run("rollback", "--run", run_id, "--yes", "--block")
    assert (again.status, again.report["blocked"]) == (0, sorted([new, api])), again.stderr
    resumed = place.run("resume", "--run", run_id, "--yes")
    assert (resumed.status, set(resumed.results.values()), rules(place)) == (0, {"updated"}, {}), resumed.stderr


def test_a_run_that_rolls_back_blocks(place: Place) -> None:
    old, new = new_image(place, "web")
    image = f"{place.source('app').rpartition(':')[0]}@{old}"
    place.sandbox.create_workload(place.namespace, "Deployment", "web", tag="web:prod", image=image)
    until(lambda: place.images("web") == {old})
    place.sandbox.image_behaves(new, "crash")
    done = place.run(ON_BAD_ROLLOUT="rollback", ROLLOUT_TIMEOUT="40s")
    assert (done.status, done.results) == (5, {"web:prod": "rolled_back"}), done.stderr
    assert [each["digest"] for each in rules(place)["blocked"]] == [new]


def test_a_rollback_without_the_right_to_block_holds_all_the_same(sandbox: Sandbox) -> None:
    place = Place(sandbox, [rule for rule in ROLL_BACK if "update" not in rule["verbs"] or RULES not in str(rule)])
    new_image(place, "web")
    write(place)
    assert place.run().status == 0
    back = place.run("rollback", "web", "--yes")
    assert (back.status, back.report["blocked"]) == (0, []), back.stderr
    assert "not blocked" in back.stderr
    assert "grant get, create and update on the ConfigMap" in back.stderr


def test_without_the_right_to_the_rules_nothing_is_imported(sandbox: Sandbox) -> None:
    place = Place(sandbox, without("configmaps", "get"))
    old, _ = new_image(place, "web")
    done = place.run()
    assert (done.status, place.current("web")) == (3, old), done.stderr
    assert "grant get on the ConfigMap" in done.stderr
    assert [each["stage"] for each in done.report["errors"]] == ["rules"]
    assert place.run("plan").results == {"web:prod": "updated"}
    for command in (["freeze", "--reason", "a"], ["block", "1a2b3c4", "--reason", "a"]):
        assert place.run(*command).status == 3


@slow(WHOLE_RUN)
def test_a_hold_that_ends_does_not_bring_a_blocked_image_back(place: Place) -> None:
    old, new = new_image(place, "web")
    assert place.run().status == 0
    soon = datetime.now(UTC) - timedelta(minutes=1)
    place.roll_back("web", old, until=soon.strftime("%Y-%m-%dT%H:%M:%SZ"), bad=new)
    assert place.run("block", new, "--reason", "bad").status == 0
    done = place.run()
    assert done.results == {"web:prod": "skipped held"}, done.stderr
    assert "not released" in done.tags["web:prod"]["message"]
    assert place.current("web") == old
    assert json.loads(place.spec("web")["annotations"][HOLD])["bad"] == new
    assert place.run("unblock", new).status == 0
    assert place.run().results == {"web:prod": "updated"}


@slow(WHOLE_RUN)
def test_a_block_ends_with_the_hold_of_its_rollback(place: Place) -> None:
    _, new = new_image(place, "web")
    assert place.run().status == 0
    assert place.run("rollback", "web", "--yes", "--until", "3d").status == 0
    (rule,) = rules(place)["blocked"]
    hold = json.loads(place.spec("web")["annotations"][HOLD])
    assert (rule["digest"], rule["until"]) == (new, hold["until"])


def test_status_shows_the_rules_and_where_a_blocked_image_runs(place: Place) -> None:
    old, new = new_image(place, "web", "worker")
    image = f"{place.source('app').rpartition(':')[0]}@{old}"
    place.sandbox.create_workload(place.namespace, "Deployment", "web", tag="web:prod", image=image)
    until(lambda: place.images("web") == {old})
    assert place.run("block", old, "--reason", "leaks").status == 0
    assert place.run("block", new, "--reason", "crashes").status == 0
    assert place.run("freeze", "--reason", "the demo", "--until", "3d").status == 0
    done = place.run("status")
    (shown,) = done.report["rules"]
    assert [each["reason"] for each in shown["freezes"]] == ["the demo"]
    assert {each["digest"]: each["tags"] for each in shown["blocked"]} == {old: ["web:prod", "worker:prod"], new: []}
    problems = {each["subject"]: each for each in done.report["attention"] if each["problem"] == "blocked"}
    assert set(problems) == {"web:prod", "worker:prod"}
    assert "it runs in Deployment/web" in problems["web:prod"]["message"]
    assert problems["web:prod"]["command"].startswith("import-images rollback web:prod")
    states = {f"{tag['stream']}:{tag['tag']}": (tag["state"], tag["reason"]) for tag in done.report["tags"]}
    assert states == {"web:prod": ("skipped", "blocked"), "worker:prod": ("skipped", "blocked")}
    table = place.run("status", "-o", "table").stdout
    assert "frozen by" in table
    assert "the demo" in table
    doctor = place.run("doctor")
    assert {each["where"] for each in doctor.report["findings"] if each["check"] == "blocked-image-runs"} == {
        "web:prod",
        "worker:prod",
    }


def test_status_and_doctor_show_a_rule_that_cannot_be_read(place: Place) -> None:
    new_image(place, "web")
    write(place, freeze="- until: soon\n")
    done = place.run("status")
    assert done.status == 1
    (problem,) = [each for each in done.report["attention"] if each["problem"] == "bad_rule"]
    assert "freeze, line 1: until: 'soon'" in problem["message"]
    doctor = place.run("doctor")
    assert doctor.status == 1
    (finding,) = [each for each in doctor.report["findings"] if each["check"] == "rule-cannot-be-read"]
    assert "freeze, line 1" in finding["message"]
