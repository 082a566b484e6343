"""How images are imported: what is asked, what a fault costs, and that nothing is undone or lost."""

from __future__ import annotations

import base64
import json
from itertools import pairwise

import pytest

from tests.support.place import Ended, Place, ended
from tests.support.servers import Answered, Asked, guarded_registry, serving
from tests.support.tiers import representatives, slow

WHOLE_RUN = "a whole run of seconds; one of its kind gates"
TAIL = "the long tail of a matrix, each a whole run or request of its own"


# What a client that lost an answer cannot tell from one that never came.
HTML = {"status": 200, "content_type": "text/html", "body": "<html>surprise</html>"}


def docker(place: Place, name: str, tag: str = "prod") -> dict[str, str]:
    return {"kind": "DockerImage", "name": place.source(name, tag)}


POLICIES = (
    ({"insecure": True, "importMode": "PreserveOriginal"}, {"type": "Local"}),
    ({"insecure": True, "importMode": "Legacy", "scheduled": True}, {"type": "Source"}),
    ({"insecure": True, "importMode": "PreserveOriginal", "scheduled": True}, {"type": "Local"}),
    ({"insecure": True, "importMode": "Legacy"}, {"type": "Local"}),
)


def test_policies_survive_word_for_word(place: Place) -> None:
    for number, (importing, referring) in enumerate(POLICIES):
        name = f"app-{number}"
        place.push(name, "one", platforms=("amd64", "arm64"))
        tag = {"from": docker(place, name), "importPolicy": importing, "referencePolicy": referring}
        place.stream(name, {"prod": tag})
    for expected in ("updated", "unchanged"):
        done = place.run()
        assert set(done.results.values()) == {expected}
        for number, (importing, referring) in enumerate(POLICIES):
            spec = place.spec(f"app-{number}")
            assert (spec["importPolicy"], spec["referencePolicy"]) == (importing, referring)


def test_requests_carry_timeout_version_and_target(place: Place) -> None:
    tags = {f"t{number}": place.source("app", f"t{number}") for number in range(5)}
    for tag in tags:
        place.push("app", tag, tag)
    created = place.stream("app", tags)
    with serving(place.sandbox.server) as server:
        done = place.run(HOST=server.url, DEPLOYMENT=None, IMPORT_TIMEOUT="90s")
    assert done.status == 0, done.stderr
    imports = [each for each in server.asked if "imagestreamimports" in each.path]
    assert len(imports) == 2
    assert all(each.path.endswith("?timeout=90000ms") for each in imports)
    bodies = [each.json for each in imports]
    assert [len(body["spec"]["images"]) for body in bodies] == [3, 2]
    assert {image["to"]["name"] for body in bodies for image in body["spec"]["images"]} == set(tags)
    assert [body["spec"]["import"] for body in bodies] == [True, True]
    versions = [body["metadata"]["resourceVersion"] for body in bodies]
    assert versions[0] == created["metadata"]["resourceVersion"]
    assert int(versions[0]) < int(versions[1]) < int(place.versions()["app"])


@pytest.mark.parametrize(("tags", "requests"), representatives([(1, 1), (3, 1), (4, 2), (20, 7)], TAIL))
def test_a_stream_costs_a_request_for_three_tags(place: Place, tags: int, requests: int) -> None:
    names = [f"t{number:02}" for number in range(tags)]
    for name in names:
        place.push("app", name, name)
    place.stream("app", {name: place.source("app", name) for name in names})
    done = place.run(DEPLOYMENT=None)
    assert set(done.results.values()) == {"updated"}
    imports = place.imports()
    assert len(imports) == requests
    assert sorted(tag for each in imports for tag in each["tags"]) == names
    assert max(len(each["tags"]) for each in imports) <= 3
    # Listed twice: before it locks or writes, a run that a person starts checks that there is something to import.
    assert [each["path"] for each in place.requests("GET", "imagestreams($|/)")] == [
        f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams"
    ] * 2
    # The tags had no image before, so there is nothing to describe.
    assert place.requests("GET", "imagestreamimages") == []


@slow(WHOLE_RUN)
def test_earlier_images_cost_one_request_each_and_only_once(place: Place) -> None:
    for name in ("changed", "same"):
        # Of one content they would be one image, which either import's answer describes.
        place.imported(name, f"{name} old")
    place.push("changed", "new")
    place.stream("gone", {"prod": place.source("changed", "was-there")})
    place.sandbox.clear_log()
    place.run()
    (asked,) = place.requests("GET", "imagestreamimages/")
    assert "/changed@" in asked["path"]
    # The journal knows both from now on.
    place.push("changed", "newer")
    place.sandbox.clear_log()
    tag = place.run().tags["changed:prod"]
    assert tag["before"]["created"]
    assert place.requests("GET", "imagestreamimages/") == []


@slow(WHOLE_RUN)
def test_more_than_500_streams_are_two_pages(place: Place) -> None:
    place.push("app", "one")
    for number in range(500):
        place.sandbox.create_stream(place.namespace, f"s{number:03}")
    place.stream("zzz", {"prod": place.source("app")})
    place.sandbox.clear_log()
    done = place.run()
    assert done.results == {"zzz:prod": "updated"}
    pages = place.requests("GET", "imagestreams$")
    # Read once to see whether anything matches, and again once the lock is held.
    assert [each["query"].get("limit") for each in pages] == ["500"] * 4
    assert ["continue" in each["query"] for each in pages] == [False, True] * 2


def test_streams_go_side_by_side_and_the_requests_of_one_in_a_row(place: Place) -> None:
    tags = [f"t{number}" for number in range(7)]
    streams = [f"app-{number}" for number in range(5)]
    for name in streams:
        for tag in tags:
            place.push(name, f"{name} {tag}", tag)
        place.stream(name, {tag: place.source(name, tag) for tag in tags})
    place.import_fault(latency=0.1)
    place.sandbox.clear_log()
    done = place.run(DEPLOYMENT=None, CONCURRENCY="3")
    assert set(done.results.values()) == {"updated"}
    assert place.sandbox.log()["most_imports_in_flight"] == 3
    for name in streams:
        imports = place.imports(name)
        assert len(imports) == 3
        assert all(one["ended"] <= other["started"] for one, other in pairwise(imports))


@slow(WHOLE_RUN)
def test_insecure_and_secure_of_one_repository_never_share_a_request(place: Place) -> None:
    for tag in ("a", "b", "c"):
        place.push("app", tag, tag)
    secure = {"from": docker(place, "app", "b"), "importPolicy": {"importMode": "Legacy"}}
    place.stream("app", {"a": place.source("app", "a"), "b": secure, "c": place.source("app", "c")})
    done = place.run(DEPLOYMENT=None, RETRIES="0")
    assert done.results == {"app:a": "updated", "app:b": "failed unreachable", "app:c": "updated"}
    assert sorted(each["tags"] for each in place.imports()) == [["a", "c"], ["b"]]


# Conflicts


@pytest.mark.parametrize("times", representatives([1, 3], TAIL))
def test_conflict_is_tried_again_on_a_fresh_read(place: Place, times: int) -> None:
    digest = place.push("app", "one")
    place.stream("app")
    place.import_fault("app", change="during", times=times)
    done = place.run(RETRIES="4")
    assert done.status == 0, done.stderr
    tag = done.tags["app:prod"]
    assert (tag["result"], tag["attempts"], tag["after"]["digest"]) == ("updated", times + 1, digest)
    assert len(place.requests("GET", "imagestreams/app$")) == times
    assert done.report["run"]["retries"] == times
    assert place.metrics()["retries"] == {(("reason", "conflict"),): times}


@slow(WHOLE_RUN)
def test_conflict_for_ever_is_a_failure(place: Place) -> None:
    old = place.imported("app", "old")
    place.push("app", "new")
    place.imported("good")
    place.import_fault("app", change="during")
    done = place.run(RETRIES="2")
    assert done.status == 1
    tag = done.tags["app:prod"]
    assert (tag["result"], tag["reason"], tag["by"], tag["attempts"]) == ("failed", "conflict", "api", 3)
    assert tag["after"]["digest"] == old == place.current("app")
    assert done.results["good:prod"] == "unchanged"


def test_stream_changed_between_list_and_import_is_read_again(place: Place) -> None:
    digest = place.push("app", "one")
    place.stream("app")
    place.import_fault("app", latency=1.5, times=1)
    with place.running() as process:
        place.wait_for_import("app")
        path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/app"
        place.sandbox.patch(path, {"metadata": {"labels": {"changed": "yes"}}})
        done = ended(process)
    tag = done.tags["app:prod"]
    assert (done.status, tag["result"], tag["attempts"]) == (0, "updated", 2)
    assert place.current("app") == digest


def test_rollback_made_meanwhile_is_not_undone(place: Place) -> None:
    old = place.imported("app", "old")
    bad = place.push("app", "bad")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    place.push("app", "worse")
    place.import_fault("app", latency=1.5, times=1)
    with place.running() as process:
        place.wait_for_import("app")
        place.roll_back("app", old)
        assert place.imports("app")[0]["ended"] is None, "the rollback came too late to prove anything"
        version = place.versions()["app"]
        done = ended(process)
    assert place.current("app") == old
    assert place.versions()["app"] == version
    tag = done.tags["app:prod"]
    assert (done.status, tag["result"], tag["reason"]) == (0, "skipped", "held")
    assert (tag["before"]["digest"], tag["after"]["digest"]) == (bad, old)
    assert place.metrics()["tag_held"] == {(("stream", "app"), ("tag", "prod")): 1}


def test_rollback_between_two_requests_of_a_stream_is_not_undone(place: Place) -> None:
    tags = ("a", "b", "c", "prod")
    for tag in tags:
        place.push("app", f"{tag} old", tag)
    place.stream("app", {tag: place.source("app", tag) for tag in tags})
    for tag in tags:
        place.sandbox.import_tag(place.namespace, "app", tag)
    old = place.current("app")
    assert old
    place.push("app", "prod new", "prod")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    news = {tag: place.push("app", f"{tag} newest", tag) for tag in tags}
    place.import_fault("app", latency=1.5, after=1, times=1)
    with place.running(DEPLOYMENT=None) as process:
        place.wait_for_import("app")
        while len(place.imports("app")) < 2:
            assert process.poll() is None
        place.roll_back("app", old)
        done = ended(process)
    assert done.results == {
        "app:a": "updated",
        "app:b": "updated",
        "app:c": "updated",
        "app:prod": "skipped held",
    }
    assert place.current("app") == old
    assert {tag: place.current("app", tag) for tag in ("a", "b", "c")} == {t: news[t] for t in ("a", "b", "c")}


@slow(WHOLE_RUN)
def test_tag_and_stream_removed_meanwhile_are_told(place: Place) -> None:
    for name in ("stream", "tag"):
        place.push(name, "one")
        place.stream(name)
        place.import_fault(name, latency=1.5, times=1)
    with place.running() as process:
        place.wait_for_import("stream")
        place.wait_for_import("tag")
        root = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}"
        place.sandbox.delete(f"{root}/imagestreams/stream")
        place.sandbox.delete(f"{root}/imagestreamtags/tag:prod")
        done = ended(process)
    assert done.status == 1
    assert done.results == {"stream:prod": "failed not_found", "tag:prod": "failed not_found"}
    assert {tag["by"] for tag in done.tags.values()} == {"api"}
    # A failed import of what is gone must not bring it back.
    assert "stream" not in place.versions()
    assert place.sandbox.stream(place.namespace, "tag")["spec"].get("tags", []) == []


# Whole requests that are refused


def three(place: Place) -> dict[str, str]:
    """A stream of three tags with new images; gives their digests."""
    digests = {tag: place.push("app", tag, tag) for tag in ("a", "b", "c")}
    place.stream("app", {tag: place.source("app", tag) for tag in digests})
    return digests


def test_request_that_timed_out_goes_image_by_image(place: Place, faulty: str) -> None:
    digests = {tag: place.push("app", tag, tag) for tag in ("a", "b")}
    hanging = {"from": {"kind": "DockerImage", "name": f"{faulty}/slow-8:prod"}, "importPolicy": {"insecure": True}}
    place.stream("app", {"a": place.source("app", "a"), "b": place.source("app", "b"), "c": hanging})
    done = place.run(DEPLOYMENT=None, IMPORT_TIMEOUT="1s", RETRIES="0")
    assert done.status == 1, done.stderr
    assert done.results == {"app:a": "updated", "app:b": "updated", "app:c": "failed timeout"}
    assert {tag: place.current("app", tag) for tag in digests} == digests
    assert sorted(len(each["tags"]) for each in place.imports()) == [1, 1, 1, 3]


def test_one_registry_that_is_not_allowed_does_not_stop_the_others(place: Place) -> None:
    digests = {tag: place.push("app", tag, tag) for tag in ("a", "b")}
    bad = {"from": {"kind": "DockerImage", "name": "registry.example.com/team/app:prod"}}
    place.stream("app", {"a": place.source("app", "a"), "b": place.source("app", "b"), "c": bad})
    with place.sandbox.settings(allowed_registries=[place.sandbox.registry_address]):
        done = place.run(DEPLOYMENT=None)
    assert done.status == 1, done.stderr
    assert done.results == {"app:a": "updated", "app:b": "updated", "app:c": "failed invalid"}
    assert {tag: place.current("app", tag) for tag in digests} == digests
    tag = done.tags["app:c"]
    assert tag["by"] == "api"
    assert "registry.example.com" in tag["message"]


@pytest.mark.parametrize(
    ("code", "reason"),
    representatives([(429, "rate_limited"), (500, "api_error"), (503, "api_error"), (502, "api_error")], TAIL),
)
def test_refusal_that_passes_is_tried_again(place: Place, code: int, reason: str) -> None:
    digests = three(place)
    place.import_fault("app", status={"code": code, "headers": {"Retry-After": "1"}}, times=1)
    done = place.run(DEPLOYMENT=None)
    assert done.status == 0, done.stderr
    assert {tag: place.current("app", tag) for tag in digests} == digests
    assert {tag["attempts"] for tag in done.tags.values()} == {2}
    assert set(place.metrics(deployment="")["retries"]) == {(("reason", reason),)}
    first, second = place.imports()
    assert second["started"] - first["ended"] >= 1.0


@pytest.mark.parametrize(
    ("code", "reason"),
    representatives([(429, "rate_limited"), (500, "api_error"), (403, "forbidden"), (401, "unauthorized")], TAIL),
)
def test_cluster_that_refuses_every_import_is_status_3(place: Place, code: int, reason: str) -> None:
    place.imported("app", "old")
    place.push("app", "new")
    place.push("other", "one")
    place.stream("other")
    place.import_fault(status={"code": code, "message": "no, said the server"})
    done = place.run(RETRIES="0")
    assert done.status == 3, done.stderr
    assert set(done.results.values()) == {f"failed {reason}"}
    assert {tag["by"] for tag in done.tags.values()} == {"api"}
    assert all("no, said the server" in tag["message"] for tag in done.tags.values())
    assert done.report["run"]["outcome"] == "failure"


def test_what_cannot_pass_is_not_tried_again(place: Place, faulty: str) -> None:
    for name in ("manifest-unknown", "unauthorized-json", "denied"):
        place.stream(name, {"prod": f"{faulty}/{name}:prod"})
    done = place.run(RETRIES="4")
    assert {tag["attempts"] for tag in done.tags.values()} == {1}
    assert done.report["run"]["retries"] == 0
    assert len(place.imports()) == 3


def test_registry_that_recovers_is_tried_again_image_by_image(place: Place) -> None:
    """Of the images of one request only the one that failed is sent again."""
    place.push("app", "good", "good")
    place.push("app", "bad", "bad")
    refused: list[Asked] = []

    def refuse_once(asked: Asked) -> Answered | None:
        if "/manifests/" not in asked.path or refused:
            return None
        refused.append(asked)
        return Answered(503, b"unavailable")

    with serving(f"http://{place.sandbox.registry_address}", refuse_once) as server:
        bad = f"{server.address}/{place.namespace}/app:bad"
        place.stream("app", {"bad": bad, "good": place.source("app", "good")})
        done = place.run(DEPLOYMENT=None)
    assert done.results == {"app:bad": "updated", "app:good": "updated"}
    assert [each["tags"] for each in place.imports()] == [["bad", "good"], ["bad"]]
    assert {name: tag["attempts"] for name, tag in done.tags.items()} == {"app:bad": 2, "app:good": 1}


# Answers that are lost


@pytest.mark.parametrize(
    "fault",
    representatives([{"reset": "before"}, {"reset": "after"}, {"raw": HTML}, {"truncate": 40}, {"truncate": 0}], TAIL),
    ids=lambda fault: "-".join(fault) + str(fault.get("reset", "")),
)
def test_lost_answer_is_tried_again(place: Place, fault: dict[str, object]) -> None:
    old = place.imported("app", "old")
    new = place.push("app", "new")
    place.import_fault("app", times=1, **fault)
    done = place.run()
    tag = done.tags["app:prod"]
    assert (done.status, tag["result"]) == (0, "updated"), done.stderr
    assert (tag["before"]["digest"], tag["after"]["digest"], place.current("app")) == (old, new, new)


@pytest.mark.parametrize(
    "fault", representatives([{"reset": "after"}, {"truncate": 40}], TAIL), ids=["reset", "truncate"]
)
def test_read_afterwards_tells_what_a_lost_answer_did_not(place: Place, fault: dict[str, object]) -> None:
    new = place.push("app", "new")
    place.stream("app")
    place.import_fault("app", **fault)
    done = place.run(RETRIES="0")
    tag = done.tags["app:prod"]
    assert (done.status, tag["result"], tag["after"]["digest"]) == (0, "updated", new), done.stderr
    assert tag["after"]["imported_at"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    representatives([({"reset": "before"}, "unreachable"), ({"raw": HTML}, "api_error")], TAIL),
    ids=["reset", "html"],
)
def test_lost_answer_without_effect_is_a_failure(place: Place, fault: dict[str, object], reason: str) -> None:
    old = place.imported("app", "old")
    place.push("app", "new")
    place.imported("good")
    place.import_fault("app", **fault)
    done = place.run(RETRIES="0")
    tag = done.tags["app:prod"]
    assert (done.status, tag["result"], tag["reason"], tag["by"]) == (1, "failed", reason, "api")
    assert tag["after"]["digest"] == old == place.current("app")


def test_success_without_an_image_is_a_failure(place: Place) -> None:
    done = stale_secret(place, retries="0")
    assert done.results == {"app:good": "failed registry_error", "app:stale": "failed unauthorized"}
    assert place.current("app", "good") is None


@slow(WHOLE_RUN)
def test_success_without_an_image_is_tried_again_alone(place: Place) -> None:
    done = stale_secret(place, retries="1")
    assert done.results == {"app:good": "updated", "app:stale": "failed unauthorized"}
    assert [each["tags"] for each in place.imports()] == [["good", "stale"], ["good"]]


def stale_secret(place: Place, retries: str) -> Ended:
    """A password that one repository refuses: the server then answers Success without image for the other."""
    place.push("good", "one")
    with guarded_registry(place.sandbox, "user:word") as address:
        config = {"auths": {address: {"auth": base64.b64encode(b"user:word").decode()}}}
        secret = {
            "metadata": {"name": "pull"},
            "type": "kubernetes.io/dockerconfigjson",
            "data": {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()},
        }
        place.sandbox.create(f"/api/v1/namespaces/{place.namespace}/secrets", secret)
        tags = {
            "good": f"{address}/{place.namespace}/good:prod",
            "stale": f"{address}/{place.namespace}/stale/app:prod",
        }
        place.stream("app", tags)
        done = place.run(DEPLOYMENT=None, RETRIES=retries)
    assert done.status == 1, done.stderr
    return done


@slow(WHOLE_RUN)
def test_expired_token_in_the_middle(place: Place) -> None:
    names = [f"app-{number}" for number in range(5)]
    digests = {name: place.push(name, "one") for name in names}
    for name in names:
        place.stream(name)
    place.import_fault(after=2, status={"code": 401, "message": "Unauthorized"})
    done = place.run(CONCURRENCY="1")
    assert done.status == 1, done.stderr
    assert [tag["result"] for tag in done.report["tags"]] == ["updated"] * 2 + ["failed"] * 3
    assert [(tag["reason"], tag["by"]) for tag in done.report["tags"]] == [(None, None)] * 2 + [
        ("unauthorized", "api")
    ] * 3
    assert [place.current(name) for name in names] == [digests[name] for name in names[:2]] + [None] * 3
    assert len(place.imports()) == 5
    assert place.metrics()["tags"][(("result", "updated"),)] == 2
