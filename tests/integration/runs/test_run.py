"""The command `run` from settings to exit status: the whole report, the whole group of metrics."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from tests.sandbox.client import Json
from tests.support.place import Place, metrics_of, of
from tests.support.registries import CREATED

EARLIER = "2026-10-01T08:00:00Z"


def test_imports_every_stream_of_the_deployment(place: Place) -> None:
    digests = {name: place.push(name, f"{name} one") for name in ("service", "worker")}
    for name in digests:
        place.stream(name)
    done = place.run()
    assert done.status == 0, done.stderr
    assert done.results == {"service:prod": "updated", "worker:prod": "updated"}
    assert {name: place.current(name) for name in digests} == digests
    held = metrics_of(place.sandbox.pushgateway, stream_namespace=place.namespace, deployment="prod")
    assert held["tags"][(("result", "updated"),)] == 2


def six_streams(place: Place, faulty: str) -> dict[str, str]:
    """One stream of each kind; gives the digests that matter."""
    labels = {"org.opencontainers.image.revision": "1a2b3c", "org.opencontainers.image.version": "1.0"}
    digests = {"old": place.push("updated", "one", labels=labels, created=EARLIER)}
    follower = {"live": {"from": {"kind": "ImageStreamTag", "name": "prod"}}}
    place.stream("updated", {"prod": place.source("updated"), **follower})
    place.sandbox.import_tag(place.namespace, "updated", "prod")
    digests["unchanged"] = place.imported("unchanged", "same")
    place.stream("missing")
    digests["pinned"] = place.push("pinned", "pinned")
    place.stream("pinned", {"prod": f"{place.sandbox.registry_address}/{place.namespace}/pinned@{digests['pinned']}"})
    place.sandbox.import_tag(place.namespace, "pinned", "prod")
    place.stream("alias", {"prod": {"from": {"kind": "ImageStreamTag", "name": "unchanged:prod"}}})
    place.stream("unauthorized", {"prod": f"{faulty}/unauthorized-json:prod"})
    labels = {"vcs-ref": "4d5e6f", "version": "1.1"}
    digests["new"] = place.push("updated", "two", labels=labels)
    return digests


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def image(
    place: Place, digest: str, stream: str, number: int = 0, revision: str | None = None, version: str | None = None
) -> Json:
    """An image as the report has it; `number` is its place in the history of its tag."""
    item = place.history(stream)[number]
    assert item["image"] == digest
    created = CREATED if number == 0 else EARLIER
    return {
        "digest": digest,
        "created": created,
        "imported_at": item["created"],
        "revision": revision,
        "version": version,
        "repository_url": None,
    }


def expected_tags(place: Place, faulty: str, digests: dict[str, str]) -> list[Json]:
    unchanged = image(place, digests["unchanged"], "unchanged")
    pinned = image(place, digests["pinned"], "pinned")
    alias = {**unchanged, "imported_at": place.history("alias")[0]["created"]}
    not_found = f'dockerimage.image.openshift.io "{place.source("missing")}" not found'
    refused = f'you may not have access to the container image "{faulty}/unauthorized-json:prod"'
    done: Json = {"reason": None, "by": None, "message": None, "attempts": 1, "moved_with": []}
    done |= {"gates": [], "candidate": None}
    skipped = {**done, "result": "skipped", "attempts": 0}
    failed = {**done, "result": "failed", "by": "registry", "before": None, "after": None}
    found: list[Json] = [
        {"stream": "alias", "source": "unchanged:prod", **skipped, "reason": "copy", "before": alias, "after": alias},
        {"stream": "missing", **failed, "reason": "not_found", "message": not_found},
        {"stream": "pinned", **skipped, "reason": "pinned", "before": pinned, "after": pinned},
        {"stream": "unauthorized", **failed, "reason": "unauthorized", "message": refused},
        {"stream": "unchanged", **done, "result": "unchanged", "before": unchanged, "after": unchanged},
        {
            "stream": "updated",
            **done,
            "result": "updated",
            "moved_with": ["live"],
            "before": image(place, digests["old"], "updated", 1, "1a2b3c", "1.0"),
            "after": image(place, digests["new"], "updated", 0, "4d5e6f", "1.1"),
        },
    ]
    sources = {name: place.source(name) for name in ("missing", "unchanged", "updated")}
    sources["pinned"] = f"{place.sandbox.registry_address}/{place.namespace}/pinned@{digests['pinned']}"
    sources["unauthorized"] = f"{faulty}/unauthorized-json:prod"
    return [
        {"namespace": place.namespace, "tag": "prod", **({"source": sources.get(tag["stream"])} | tag)} for tag in found
    ]


def test_six_streams_give_exactly_this_report(place: Place, faulty: str) -> None:
    digests = six_streams(place, faulty)
    done = place.run(RETRIES="0")
    assert done.status == 1, done.stderr
    report = done.report
    took = {tag["stream"]: tag.pop("seconds") for tag in report["tags"]}
    assert {name for name, value in took.items() if value is None} == {"alias", "pinned"}
    assert all(0 <= value < 60 for value in took.values() if value is not None)
    # What is unchanged is described as well, from the answer to its import.
    assert report["tags"] == expected_tags(place, faulty, digests)
    assert (report["kind"], report["version"]) == ("Report", 1)
    assert (report["rollouts"], report["queries"], report["errors"]) == ([], [], [])
    assert set(report) == {"kind", "version", "run", "tags", "rollouts", "queries", "errors"}
    run = report["run"]
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", run.pop("id"))
    started, finished = seconds(run.pop("started_at")), seconds(run.pop("finished_at"))
    assert 0 <= finished - started < 60
    # Both times are whole seconds.
    assert 0 < run.pop("startup_seconds") < finished - started + 1
    requests = run.pop("requests")
    asked = place.requests()
    assert 0 < requests <= len(asked)
    assert run == {
        "command": "run",
        "trigger": "local",
        "server": place.sandbox.server,
        "user": f"system:serviceaccount:{place.namespace}:import-images",
        "job": None,
        "scheduled_at": None,
        "outcome": "partial",
        "exit_status": 1,
        "deployment": "prod",
        "namespaces": [place.namespace],
        "shard": None,
        "retries": 0,
    }


def test_six_streams_give_exactly_these_metrics(place: Place, faulty: str) -> None:
    digests = six_streams(place, faulty)
    done = place.run(RETRIES="0")
    held = place.metrics()
    tags = done.tags
    finished = held["last_run_timestamp_seconds"][()]
    assert finished == pytest.approx(seconds(done.report["run"]["finished_at"]), abs=1.001)
    assert held.pop("run_duration_seconds")[()] >= 0
    assert set(held.pop("api_requests")) == {(("code", "200"),), (("code", "201"),), (("code", "404"),)}
    ((version, one),) = held.pop("build_info").items()
    assert (version[0][0], one) == ("version", 1)
    assert [held.pop(name) for name in ("push_time_seconds", "push_failure_time_seconds") if name in held] == []
    streams = ("alias", "missing", "pinned", "unauthorized", "unchanged", "updated")
    results = {name: tags[f"{name}:prod"]["result"] for name in streams}
    assert held.pop("tag_import_seconds") == {
        of(name): pytest.approx(tags[f"{name}:prod"]["seconds"], abs=0.001)
        for name in streams
        if results[name] != "skipped"
    }
    pinned = f"{place.sandbox.registry_address}/{place.namespace}/pinned@{digests['pinned']}"
    assert held == {
        "last_run_timestamp_seconds": {(): finished},
        "frozen": {(): 0},
        "blocked_images": {(): 0},
        "run_outcome": {
            (("outcome", outcome),): float(outcome == "partial")
            for outcome in ("success", "partial", "failure", "unhealthy", "aborted", "frozen", "locked")
        },
        "tags": {
            (("result", "updated"),): 1,
            (("result", "unchanged"),): 1,
            (("result", "failed"),): 2,
            (("result", "skipped"),): 2,
            (("result", "rolled_back"),): 0,
        },
        "tag_result": {of(name, result=result): 1 for name, result in results.items()},
        "tag_failure": {of("missing", reason="not_found"): 1, of("unauthorized", reason="unauthorized"): 1},
        "tag_failed_runs": {of("missing"): 1, of("unauthorized"): 1},
        "tag_image_info": {
            of("alias", digest=digests["unchanged"], source="unchanged:prod"): 1,
            of("pinned", digest=digests["pinned"], source=pinned): 1,
            of("unchanged", digest=digests["unchanged"], source=place.source("unchanged")): 1,
            of("updated", digest=digests["new"], revision="4d5e6f", source=place.source("updated")): 1,
        },
        "tag_image_created_timestamp_seconds": {
            of(name): seconds(CREATED) for name in ("alias", "pinned", "unchanged", "updated")
        },
        "tag_updated_timestamp_seconds": {
            of(name): seconds(place.history(name)[0]["created"]) for name in ("alias", "pinned", "unchanged", "updated")
        },
        "tag_last_success_timestamp_seconds": {of("unchanged"): finished, of("updated"): finished},
    }


def test_group_has_the_documented_key(place: Place) -> None:
    place.imported("app")
    place.run()
    found = place.sandbox.pushgateway
    held = metrics_of(found, stream_namespace=place.namespace, deployment="prod")
    assert () in held["last_success_timestamp_seconds"]
    place.run(DEPLOYMENT=None)
    without = metrics_of(found, stream_namespace=place.namespace)
    assert () in without["last_success_timestamp_seconds"]
    assert (("deployment", "prod"),) in without["last_success_timestamp_seconds"]


LABELS: tuple[dict[str, str], ...] = (
    {"org.opencontainers.image.revision": "abc", "org.opencontainers.image.version": "1"},
    {"vcs-ref": "def", "version": "2"},
    # The standard's own names win.
    {
        "org.opencontainers.image.revision": "123",
        "vcs-ref": "no",
        "org.opencontainers.image.version": "3",
        "version": "no",
    },
    {},
)


def test_every_image_is_described_before_and_after(place: Place) -> None:
    for number, labels in enumerate(LABELS):
        place.imported(f"app-{number}", "old", labels=labels, created=EARLIER)
        place.push(f"app-{number}", "new", labels=LABELS[(number + 1) % len(LABELS)])
    tags = place.run().tags
    told = {
        when: [(tags[f"app-{n}:prod"][when]["revision"], tags[f"app-{n}:prod"][when]["version"]) for n in range(4)]
        for when in ("before", "after")
    }
    facts = [("abc", "1"), ("def", "2"), ("123", "3"), (None, None)]
    assert told == {"before": facts, "after": facts[1:] + facts[:1]}
    assert {tag["before"]["created"] for tag in tags.values()} == {EARLIER}
    assert {tag["after"]["created"] for tag in tags.values()} == {CREATED}
    for name in range(4):
        newer, older = place.history(f"app-{name}")
        tag = tags[f"app-{name}:prod"]
        assert (tag["before"]["imported_at"], tag["before"]["digest"]) == (older["created"], older["image"])
        assert (tag["after"]["imported_at"], tag["after"]["digest"]) == (newer["created"], newer["image"])


def test_index_is_described_by_one_of_its_manifests(place: Place) -> None:
    platforms = ("arm64", "amd64")
    place.push("app", "old", platforms=platforms, labels={"vcs-ref": "old"}, created=EARLIER)
    policy = {"insecure": True, "importMode": "PreserveOriginal"}
    source = {"kind": "DockerImage", "name": place.source("app")}
    place.stream("app", {"prod": {"from": source, "importPolicy": policy, "referencePolicy": {"type": "Source"}}})
    place.sandbox.import_tag(place.namespace, "app", "prod")
    index = place.push("app", "new", platforms=platforms, labels={"vcs-ref": "new"})
    place.sandbox.clear_log()
    tag = place.run().tags["app:prod"]
    assert (tag["before"]["revision"], tag["before"]["created"]) == ("old", EARLIER)
    assert (tag["after"]["revision"], tag["after"]["created"], tag["after"]["digest"]) == ("new", CREATED, index)
    # The index has neither labels nor build time, so what it was is two requests; what it is came with the answer.
    assert len(place.requests("GET", "imagestreamimages/")) == 2
    assert place.spec("app")["importPolicy"] == policy


def test_pruned_image_has_only_its_digest(place: Place) -> None:
    old = place.imported("app", "old")
    new = place.push("app", "new")
    place.fault("imagestreamimages/", "GET", status={"code": 404})
    done = place.run()
    tag = done.tags["app:prod"]
    assert (done.status, tag["result"]) == (0, "updated")
    nothing = {"created": None, "revision": None, "version": None, "repository_url": None}
    assert tag["before"] == {"digest": old, "imported_at": place.history("app")[1]["created"], **nothing}
    assert tag["after"]["digest"] == new


def test_table_is_for_people(place: Place, faulty: str) -> None:
    digests = six_streams(place, faulty)
    done = place.run("--output", "table", RETRIES="0")
    assert done.status == 1
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in done.stdout
    row = next(line for line in lines if line.startswith("updated:prod"))
    for part in ("updated", digests["old"][7:19], digests["new"][7:19], "4d5e6f", "live"):
        assert part in row
    assert re.search(r"^missing:prod\s+failed\b.*not_found", done.stdout, re.MULTILINE)
    assert re.search(r"^pinned:prod\s+skipped\b.*pinned", done.stdout, re.MULTILINE)
    assert "partial" in lines[-1]


def test_json_is_the_default_where_no_terminal_is(place: Place) -> None:
    place.imported("app")
    for arguments in ((), ("run",), ("run", "--output", "json"), ("--output=json",)):
        assert place.run(*arguments).report["kind"] == "Report"


def test_metrics_count_the_same_requests_as_the_report(place: Place) -> None:
    place.imported("app")
    report, held = place.run().report, place.metrics()
    assert sum(held["api_requests"].values()) == report["run"]["requests"]
