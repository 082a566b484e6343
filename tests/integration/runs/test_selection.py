"""Which tags a run takes, which it leaves alone, and that it does leave them alone."""

from __future__ import annotations

import pytest

from tests.sandbox.client import Json
from tests.support.place import HOLD, Place
from tests.support.tiers import representatives, slow

WHOLE_RUN = "a whole run of seconds; one of its kind gates"
TAIL = "the long tail of a matrix, each a whole run or request of its own"


SKIP = "import-images.dev/skip"


def docker(place: Place, name: str, **more: object) -> Json:
    """A tag reference that follows a repository of this namespace."""
    return {
        "from": {"kind": "DockerImage", "name": place.source(name)},
        "importPolicy": {"insecure": True, "importMode": "Legacy"},
        "referencePolicy": {"type": "Source"},
        **more,
    }


def test_what_is_left_alone_stays_as_it_was(place: Place) -> None:
    old = place.imported("held", "old")
    place.push("held", "new")
    place.sandbox.import_tag(place.namespace, "held", "prod")
    place.roll_back("held", old)
    place.imported("other")
    digest = place.push("pinned", "pinned")
    place.stream("pinned", {"prod": f"{place.sandbox.registry_address}/{place.namespace}/pinned@{digest}"})
    place.stream(
        "pinned-image", {"prod": {"from": {"kind": "ImageStreamImage", "name": f"other@{place.current('other')}"}}}
    )
    place.stream("alias", {"prod": {"from": {"kind": "ImageStreamTag", "name": "other:prod"}}})
    place.stream("dangling", {"prod": {"from": {"kind": "ImageStreamTag", "name": "latest"}}})
    place.imported("removed")
    path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/removed"
    place.sandbox.patch(path, {"spec": {"tags": []}})
    place.push("reference", "reference")
    place.stream("reference", {"prod": docker(place, "reference", reference=True)})
    place.push("opted-out", "one")
    place.stream("opted-out", annotations={SKIP: "true"})
    place.push("tag-opted-out", "one")
    place.stream("tag-opted-out", {"prod": docker(place, "tag-opted-out", annotations={SKIP: "true"})})
    place.push("tag-wins", "one")
    place.stream(
        "tag-wins", {"prod": docker(place, "tag-wins", annotations={SKIP: "false"})}, annotations={SKIP: "true"}
    )
    pushed(place, "pushed")
    before = place.versions()
    place.sandbox.clear_log()
    done = place.run()
    assert done.status == 0, done.stderr
    assert done.results == {
        "alias:prod": "skipped copy",
        "dangling:prod": "skipped alias",
        "held:prod": "skipped held",
        "opted-out:prod": "skipped opted_out",
        "other:prod": "unchanged",
        "pinned:prod": "skipped pinned",
        "pinned-image:prod": "skipped pinned",
        "pushed:prod": "skipped no_source",
        "reference:prod": "skipped reference",
        "removed:prod": "skipped removed",
        "tag-opted-out:prod": "skipped opted_out",
        "tag-wins:prod": "updated",
    }
    after = place.versions()
    assert {name for name in after if before[name] != after[name]} == {"tag-wins"}
    assert {each["stream"] for each in place.imports()} == {"other", "tag-wins"}
    messages = {name: tag["message"] for name, tag in done.tags.items() if tag["message"]}
    assert set(messages) == {"dangling:prod"}
    assert "dangling:latest, which does not exist" in messages["dangling:prod"]
    tag = done.tags["held:prod"]
    assert (tag["before"]["digest"], tag["after"]["digest"]) == (old, old)


def pushed(place: Place, name: str) -> None:
    """A tag that only status has, as a push to the internal registry leaves it."""
    place.imported(f"{name}-donor", "donor", "donor")
    digest = place.current(f"{name}-donor", "donor")
    place.sandbox.create_stream(place.namespace, name)
    reference = f"{place.sandbox.registry_address}/{place.namespace}/{name}-donor@{digest}"
    place.sandbox.create(
        f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreammappings",
        {
            "kind": "ImageStreamMapping",
            "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": name},
            "tag": "prod",
            "image": {"metadata": {"name": digest}, "dockerImageReference": reference},
        },
    )


def test_first_reason_that_applies_is_told(place: Place) -> None:
    old = place.imported("held", "old")
    place.push("held", "new")
    place.sandbox.import_tag(place.namespace, "held", "prod")
    place.roll_back("held", old)
    annotate(place, "held", {SKIP: "true"})
    alias = {"kind": "ImageStreamTag", "name": "held:prod"}
    place.stream("out", {"prod": {"from": alias, "reference": True, "annotations": {SKIP: "true"}}})
    place.stream("ref", {"prod": {"from": alias, "reference": True}})
    done = place.run()
    assert done.results == {
        "held:prod": "skipped held",
        "out:prod": "skipped opted_out",
        "ref:prod": "skipped reference",
    }
    assert done.status == 0


def annotate(place: Place, name: str, annotations: dict[str, str]) -> None:
    path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/{name}"
    place.sandbox.patch(path, {"metadata": {"annotations": annotations}})


def test_hold_that_is_over_is_imported(place: Place) -> None:
    old = place.imported("app", "old")
    new = place.push("app", "new")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    place.roll_back("app", old)
    # What `oc apply` of the manifest does: `from` is put back, the annotation stays.
    stream = place.sandbox.stream(place.namespace, "app")
    (tag,) = stream["spec"]["tags"]
    assert HOLD in tag["annotations"]
    tag["from"] = {"kind": "DockerImage", "name": place.source("app")}
    place.sandbox.replace(f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/app", stream)
    done = place.run()
    assert done.results == {"app:prod": "updated"}
    assert place.current("app") == new
    assert "app:prod: the hold that was on it is over" in done.stderr
    assert place.run().results == {"app:prod": "unchanged"}
    assert () not in place.metrics().get("tag_held", {})


@slow(WHOLE_RUN)
def test_hold_whose_image_is_no_longer_the_newest_is_over(place: Place) -> None:
    old = place.imported("app", "old")
    new = place.push("app", "new")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    place.roll_back("app", old, image=new)
    # What is left is a pin to an image of the stream, which no run moves.
    done = place.run()
    assert (done.status, done.results) == (0, {"app:prod": "skipped pinned"})
    assert "is over" in done.stderr


@pytest.mark.parametrize(
    "value", representatives(["", "not json", "[]", "{}", '{"from": 1}', '{"from": {"kind": "DockerImage"}}'], TAIL)
)
def test_annotation_that_is_no_hold_holds_nothing(place: Place, value: str) -> None:
    place.push("app", "one")
    place.stream("app", {"prod": docker(place, "app", annotations={HOLD: value})})
    assert place.run().results == {"app:prod": "updated"}


def test_held_tag_is_told_in_metrics(place: Place) -> None:
    old = place.imported("app", "old")
    place.push("app", "new")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    place.roll_back("app", old, until="2099-01-01T00:00:00Z")
    place.run()
    held = place.metrics()
    series = (("stream", "app"), ("tag", "prod"))
    assert held["tag_held"] == {series: 1}
    assert held["tag_hold_start_timestamp_seconds"] == {series: 1795176000.0}
    assert held["tag_hold_end_timestamp_seconds"] == {series: 4070908800.0}


def many(place: Place) -> None:
    """Streams with and without labels, each with the tags prod and stg."""
    for name, labels in (("web", {"app": "web"}), ("worker", {"app": "worker"}), ("worker-long", {"app": "worker"})):
        for tag in ("prod", "stg"):
            place.push(name, f"{name} {tag}", tag)
        place.stream(name, {tag: place.source(name, tag) for tag in ("prod", "stg")}, labels=labels)
    place.stream("no-prod", {"stg": place.source("web", "stg")})


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    representatives(
        [
            ((), {}, {"web:prod", "worker:prod", "worker-long:prod"}),
            ((), {"DEPLOYMENT": "stg"}, {"web:stg", "worker:stg", "worker-long:stg", "no-prod:stg"}),
            ((), {"SELECTOR": "app=worker"}, {"worker:prod", "worker-long:prod"}),
            (("--selector", "app!=worker"), {}, {"web:prod"}),
            (("-l", "app in (web),app"), {"SELECTOR": "app=worker"}, {"web:prod"}),
            ((), {"EXCLUDE": "worker*"}, {"web:prod"}),
            (("--exclude", "web:stg,worker:pr?d"), {}, {"web:prod", "worker-long:prod"}),
            (("worker",), {}, {"worker:prod"}),
            (("worker*",), {}, {"worker:prod", "worker-long:prod"}),
            (("w[eo]?*", "--exclude", "*-long"), {}, {"web:prod", "worker:prod"}),
            (("worker:stg",), {}, {"worker:stg"}),
            (("worker:stg", "web"), {}, {"worker:stg", "web:prod"}),
            (("w*:*",), {"EXCLUDE": "*:prod"}, {"web:stg", "worker:stg", "worker-long:stg"}),
            (("web",), {"DEPLOYMENT": None}, {"web:prod", "web:stg"}),
            (("--deployment", "stg", "web"), {}, {"web:stg"}),
        ],
        TAIL,
        gating=4,
    ),
)
def test_only_what_was_asked_for_is_taken(
    place: Place, arguments: tuple[str, ...], environment: dict[str, str | None], expected: set[str]
) -> None:
    many(place)
    done = place.run("plan", *arguments, **environment)
    assert (done.status, set(done.tags)) == (0, expected), done.stderr


@slow(WHOLE_RUN)
def test_run_takes_the_same_as_a_plan(place: Place) -> None:
    many(place)
    before = place.versions()
    done = place.run("run", "worker:stg", "web")
    assert done.results == {"worker:stg": "updated", "web:prod": "updated"}
    assert place.current("worker") is None
    assert {name for name, version in place.versions().items() if version != before[name]} == {"web", "worker"}


@pytest.mark.parametrize(
    ("arguments", "environment", "hints"),
    representatives(
        [
            ((), {"DEPLOYMENT": "prodd"}, ("tag prodd", "did you mean prod?")),
            (("run", "packit-service", "wroker"), {}, ("wroker matches no stream", "did you mean worker?")),
            ((), {"DEPLOYMENT": "PROD"}, ("tag PROD", "tags there: ")),
            (("run", "wroker"), {}, ("wroker matches no stream", "did you mean worker?")),
            (("run", "web:prodd"), {}, ("web", "no tag prodd", "did you mean prod?")),
            (("plan", "web", "wroker"), {}, ("wroker matches no stream", "did you mean worker?")),
            (("status", "wroker"), {}, ("wroker matches no stream", "did you mean worker?")),
            (("doctor", "wroker"), {}, ("wroker matches no stream", "did you mean worker?")),
            (("history", "web", "wroker"), {}, ("wroker matches no stream", "did you mean worker?")),
            (("rollback", "--yes", "wroker"), {}, ("wroker matches no stream", "did you mean worker?")),
            ((), {"SELECTOR": "app=nothing"}, ("no stream", "labels app=nothing")),
            ((), {"EXCLUDE": "*"}, ("EXCLUDE",)),
        ],
        TAIL,
        gating=3,
    ),
)
def test_what_matches_nothing_is_an_error_and_touches_nothing(
    place: Place, arguments: tuple[str, ...], environment: dict[str, str | None], hints: tuple[str, ...]
) -> None:
    many(place)
    before = place.versions()
    done = place.run(*arguments, **environment)
    assert (done.status, done.stdout) == (2, "")
    assert place.versions() == before
    assert place.imports() == []
    error = done.stderr.replace("import-images: PUSHGATEWAY", "")
    assert all(hint in error for hint in (place.namespace, *hints)), error
    # No lock, journal or metrics either.
    api = f"namespaces/{place.namespace}"
    assert place.sandbox.get(f"/apis/coordination.k8s.io/v1/{api}/leases")["items"] == []
    assert place.sandbox.get(f"/api/v1/{api}/configmaps")["items"] == []
    assert place.metrics() == {}


def test_stream_of_a_repository_counts_by_its_spec_tags(place: Place) -> None:
    place.push("app", "one", "prod")
    place.push("app", "two", "stg")
    path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams"
    repository = place.sandbox.source(f"{place.namespace}/app")
    spec = {"dockerImageRepository": repository, "tags": [{"name": "prod", **docker(place, "app")}]}
    place.sandbox.create(path, {"metadata": {"name": "app"}, "spec": spec})
    done = place.run(DEPLOYMENT=None)
    assert done.results == {"app:prod": "updated"}
