"""The command `plan`: the same choice and the same truth, and nothing is written anywhere."""

from __future__ import annotations

import re

from tests.support.place import HOLD, Place
from tests.support.servers import serving

OLD = "2026-10-01T08:00:00Z"


def prepared(place: Place, faulty: str) -> dict[str, str]:
    """Streams of which one would be updated, one is new, one unchanged, one fails and one is skipped."""
    digests = {"old": place.imported("changed", "old", labels={"vcs-ref": "0123456789abcdef"}, created=OLD)}
    digests["new"] = place.push("changed", "new", labels={"vcs-ref": "fedcba9876543210"})
    digests["same"] = place.imported("same")
    digests["first"] = place.push("first", "first")
    place.stream("first")
    place.stream("refused", {"prod": f"{faulty}/unauthorized-json:prod"})
    place.stream("alias", {"prod": {"from": {"kind": "ImageStreamTag", "name": "same:prod"}}})
    return digests


def test_plan_tells_what_a_run_would_bring(place: Place, faulty: str) -> None:
    digests = prepared(place, faulty)
    before = place.versions()
    plan = place.run("plan", RETRIES="0")
    assert plan.status == 1, plan.stderr
    assert plan.results == {
        "alias:prod": "skipped copy",
        "changed:prod": "updated",
        "first:prod": "updated",
        "refused:prod": "failed unauthorized",
        "same:prod": "unchanged",
    }
    changed = plan.tags["changed:prod"]
    assert (changed["before"]["digest"], changed["before"]["revision"]) == (digests["old"], "0123456789abcdef")
    assert (changed["after"]["digest"], changed["after"]["revision"]) == (digests["new"], "fedcba9876543210")
    assert changed["before"]["created"] == OLD
    assert (plan.tags["first:prod"]["before"], plan.tags["first:prod"]["after"]["digest"]) == (None, digests["first"])
    assert place.versions() == before
    assert place.current("changed") == digests["old"]
    # And a run then does just that.
    run = place.run(RETRIES="0")
    assert run.results == plan.results
    assert {name: tag["after"] and tag["after"]["digest"] for name, tag in run.tags.items()} == {
        name: tag["after"] and tag["after"]["digest"] for name, tag in plan.tags.items()
    }


def test_plan_writes_nothing_at_all(place: Place, faulty: str) -> None:
    prepared(place, faulty)
    before = place.versions()
    with serving(place.sandbox.server) as server:
        place.run("plan", HOST=server.url)
    assert place.versions() == before
    writes = [each for each in server.asked if each.method != "GET"]
    assert {each.path.partition("?")[0].rpartition("/")[2] for each in writes} == {
        "imagestreamimports",
        "selfsubjectreviews",
    }
    assert {each.json["spec"]["import"] for each in writes if "imports" in each.path} == {False}
    assert place.objects("configmaps") == []
    assert place.objects("events") == []
    assert place.objects("coordination.k8s.io/v1/leases") == []
    assert place.metrics() == {}


def test_plan_does_not_mind_what_would_change(place: Place) -> None:
    place.imported("app", "old")
    place.push("app", "new")
    done = place.run("plan")
    assert (done.status, done.results) == (0, {"app:prod": "updated"})
    assert done.report["run"]["outcome"] == "success"


def test_table_shows_digests_age_and_revision(place: Place, faulty: str) -> None:
    digests = prepared(place, faulty)
    done = place.run("plan", "--output", "table", RETRIES="0")
    assert done.status == 1
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if ":prod " in line}
    for part in (digests["old"][7:19], digests["new"][7:19], "fedcba987", "would update"):
        assert part in rows["changed:prod"]
    assert re.search(r"\b\d+[smhd]\b", rows["changed:prod"])
    assert digests["same"][7:19] in rows["same:prod"]
    assert "unauthorized" in rows["refused:prod"]
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_plan_needs_no_lock_and_no_right_to_write(place: Place) -> None:
    place.imported("app")
    place.fault("(leases|configmaps$|configmaps/import-images-journal|events)", status={"code": 403})
    done = place.run("plan")
    assert (done.status, done.stderr.count("warning"), done.stderr.count("error")) == (0, 0, 0), done.stderr
    path = "/apis/coordination.k8s.io/|/configmaps$|/import-images-journal|/events"
    assert place.sandbox.requests(path=path, user=place.namespace) == []


def test_plan_of_a_conflicting_stream_reads_again(place: Place) -> None:
    place.imported("app", "old")
    place.push("app", "new")
    version = place.versions()
    place.import_fault("app", times=1, status={"code": 409})
    done = place.run("plan")
    assert (done.status, done.tags["app:prod"]["attempts"]) == (0, 2)
    assert place.versions() == version


def test_plan_of_a_held_tag_says_so(place: Place) -> None:
    old = place.imported("app", "old")
    place.push("app", "new")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    place.roll_back("app", old)
    assert HOLD in place.spec("app")["annotations"]
    versions = place.versions()
    done = place.run("plan", "--output", "table")
    assert done.status == 0
    assert "held: bad release" in done.stdout
    assert "the registry has something newer" in done.stdout
    assert place.versions() == versions


def test_plan_that_cannot_use_the_cluster_is_status_3(place: Place) -> None:
    place.fault("imagestreams$", "GET", status={"code": 403, "message": "you may not list"})
    assert place.run("plan").status == 3


def test_plan_of_nothing_is_status_2(place: Place) -> None:
    place.imported("app")
    assert place.run("plan", DEPLOYMENT="prodd").status == 2
