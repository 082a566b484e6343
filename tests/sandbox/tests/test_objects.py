"""Plain objects: locking, lists, watches, patches and what happens on deletion."""

from __future__ import annotations

import json
import threading

import pytest

from tests.sandbox.client import IMAGE, MERGE_PATCH, Refused, Sandbox
from tests.sandbox.status import Json

pytest_plugins = ["tests.sandbox.fixtures"]

STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def config_maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


def deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def names(items: list[Json]) -> list[str]:
    return [each["metadata"]["name"] for each in items]


def make(sandbox: Sandbox, namespace: str, count: int, **labels: str) -> list[str]:
    made = [f"map-{number:03}" for number in range(count)]
    for name in made:
        sandbox.create(config_maps(namespace), {"metadata": {"name": name, "labels": labels}, "data": {"a": "b"}})
    return made


# One object


def test_create(sandbox: Sandbox, namespace: str) -> None:
    body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"generateName": "map-"}, "data": {"a": "b"}}
    made = sandbox.create(config_maps(namespace), body)
    name = made["metadata"]["name"]
    assert name.startswith("map-")
    assert len(name) == len("map-") + 5
    assert sandbox.get(f"{config_maps(namespace)}/{name}") == made
    assert set(made["metadata"]) == {
        "generateName",
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "resourceVersion",
    }
    with pytest.raises(Refused) as refused:
        sandbox.create(config_maps(namespace), {"metadata": {"name": name}})
    assert (refused.value.code, refused.value.reason) == (409, "AlreadyExists")
    assert refused.value.message == f'configmaps "{name}" already exists'


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"metadata": {}}, 422, 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName'),
        ({"metadata": {"name": "x", "namespace": "other"}}, 400, "does not match the namespace sent on the request"),
        ({"metadata": {"name": "x", "resourceVersion": "1"}}, 500, "resourceVersion should not be set"),
        ({"kind": "Secret", "apiVersion": "v1"}, 400, "does not match the one expected"),
        ([], 400, "the body is no object"),
    ],
)
def test_what_cannot_be_created(sandbox: Sandbox, namespace: str, body: object, code: int, message: str) -> None:
    with pytest.raises(Refused) as refused:
        sandbox.create(config_maps(namespace), body)
    assert refused.value.code == code
    assert message in refused.value.message


def test_a_missing_namespace(sandbox: Sandbox) -> None:
    with pytest.raises(Refused) as refused:
        sandbox.create(config_maps("nowhere"), {"metadata": {"name": "x"}})
    assert refused.value.code == 404
    assert refused.value.message == 'namespaces "nowhere" not found'
    assert sandbox.get(config_maps("nowhere"))["items"] == []


def test_locking_by_version(sandbox: Sandbox, namespace: str) -> None:
    first = sandbox.create(leases(namespace), {"metadata": {"name": "x"}, "spec": {"holderIdentity": "a"}})
    second = sandbox.replace(f"{leases(namespace)}/x", {**first, "spec": {"holderIdentity": "b"}})
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    with pytest.raises(Refused) as refused:
        sandbox.replace(f"{leases(namespace)}/x", {**first, "spec": {"holderIdentity": "c"}})
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert refused.value.message == (
        'Operation cannot be fulfilled on leases.coordination.k8s.io "x": the object has been modified; please apply'
        " your changes to the latest version and try again"
    )
    assert refused.value.status["details"] == {"name": "x", "group": "coordination.k8s.io", "kind": "leases"}
    patch = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "spec": {"holderIdentity": "c"}}
    with pytest.raises(Refused, match="the object has been modified"):
        sandbox.patch(f"{leases(namespace)}/x", patch)


def test_only_one_of_many_writers_wins(sandbox: Sandbox, namespace: str) -> None:
    first = sandbox.create(leases(namespace), {"metadata": {"name": "x"}, "spec": {}})
    codes: list[int] = []

    def write(number: int) -> None:
        body = {**first, "spec": {"holderIdentity": str(number)}}
        codes.append(sandbox.request("PUT", f"{leases(namespace)}/x", body).code)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, 409, 409, 409, 409, 409]


def test_unconditional_updates(sandbox: Sandbox, namespace: str) -> None:
    make(sandbox, namespace, 1)
    path = f"{config_maps(namespace)}/map-000"
    assert sandbox.replace(path, {"metadata": {"name": "map-000"}, "data": {"c": "d"}})["data"] == {"c": "d"}
    sandbox.create(leases(namespace), {"metadata": {"name": "x"}})
    with pytest.raises(Refused, match="must be specified for an update"):
        sandbox.replace(f"{leases(namespace)}/x", {"metadata": {"name": "x"}})


def test_another_uid(sandbox: Sandbox, namespace: str) -> None:
    make(sandbox, namespace, 1)
    path = f"{config_maps(namespace)}/map-000"
    with pytest.raises(Refused, match="Precondition failed: UID in precondition: other"):
        sandbox.replace(path, {"metadata": {"name": "map-000", "uid": "other"}})
    with pytest.raises(Refused, match=r"the UID in the precondition .* does not match") as refused:
        sandbox.delete(path, {"preconditions": {"uid": "other"}})
    assert refused.value.code == 409


def test_generation_grows_with_the_spec(sandbox: Sandbox, namespace: str) -> None:
    made = sandbox.create(
        deployments(namespace), {"metadata": {"name": "web"}, "spec": {"replicas": 1}, "status": {"x": 1}}
    )
    path = f"{deployments(namespace)}/web"
    assert (made["metadata"]["generation"], made["status"]) == (1, {})
    labelled = sandbox.patch(path, {"metadata": {"labels": {"a": "b"}}})
    assert labelled["metadata"]["generation"] == 1
    scaled = sandbox.patch(path, {"spec": {"replicas": 2}, "status": {"replicas": 9}})
    assert (scaled["metadata"]["generation"], scaled["status"]) == (2, {})
    done = sandbox.patch(f"{path}/status", {"spec": {"replicas": 5}, "status": {"replicas": 2}})
    assert (done["metadata"]["generation"], done["status"]) == (2, {"replicas": 2})
    assert done["spec"] == {"replicas": 2}


def test_who_applied_what_is_told(sandbox: Sandbox, namespace: str) -> None:
    place = f"{IMAGE}/namespaces/{namespace}/imagestreams/app"
    tag = {"name": "prod", "from": {"kind": "DockerImage", "name": "quay.io/team/app:prod"}}

    def apply(manager: str, labels: Json) -> Json:
        body = {"metadata": {"name": "app", "labels": labels}, "spec": {"tags": [tag]}}
        found = sandbox.ask("PATCH", place, body, {"fieldManager": manager}, APPLY_PATCH)
        assert isinstance(found, dict)
        return found

    [entry] = apply("kubectl", {"a": "b"})["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("kubectl", "Apply", "image.openshift.io/v1")
    assert entry["fieldsType"] == "FieldsV1"
    prod: Json = {".": {}, "f:from": {}, "f:name": {}}
    assert entry["fieldsV1"] == {
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {"f:tags": {'k:{"name":"prod"}': prod}},
    }

    sandbox.patch(place, {"metadata": {"annotations": {"note": "x"}, "managedFields": None}})
    assert sandbox.stream(namespace, "app")["metadata"]["managedFields"] == [entry]
    changed = {"name": "prod", "from": {"kind": "DockerImage", "name": "quay.io/team/app:other"}}
    put = {"metadata": {"name": "app:prod"}, "tag": changed}
    sandbox.replace(f"{IMAGE}/namespaces/{namespace}/imagestreamtags/app:prod", put)
    assert sandbox.stream(namespace, "app")["metadata"]["managedFields"] == [entry]

    [first, second] = apply("flux", {})["metadata"]["managedFields"]
    assert (first, second["manager"]) == (entry, "flux")
    [first, second] = apply("kubectl", {"c": "d"})["metadata"]["managedFields"]
    assert (first["manager"], second["manager"]) == ("flux", "kubectl")
    assert second["fieldsV1"]["f:metadata"] == {"f:labels": {"f:c": {}}}


def test_a_dry_run_writes_nothing(sandbox: Sandbox, namespace: str) -> None:
    path = config_maps(namespace)
    body = {"metadata": {"name": "x"}, "data": {"a": "b"}}
    assert sandbox.create(path, body, dryRun="All")["data"] == {"a": "b"}
    assert sandbox.get(path)["items"] == []
    made = sandbox.create(path, body)
    assert sandbox.patch(f"{path}/x", {"data": {"c": "d"}}, MERGE_PATCH, dryRun="All")["data"] == {"a": "b", "c": "d"}
    sandbox.delete(f"{path}/x", dryRun="All")
    assert sandbox.get(f"{path}/x") == made


def test_a_body_that_is_too_large(sandbox: Sandbox, namespace: str) -> None:
    body = {"metadata": {"name": "x"}, "data": {"a": "b" * (3 * 1024 * 1024)}}
    with pytest.raises(Refused, match="Request entity too large: limit is 3145728") as refused:
        sandbox.create(config_maps(namespace), body)
    assert refused.value.code == 413


# Patches


def container(name: str, image: str) -> Json:
    return {"name": name, "image": image}


def test_a_strategic_patch_merges_by_name(sandbox: Sandbox, namespace: str) -> None:
    spec = {"template": {"spec": {"containers": [container("a", "a:1"), container("b", "b:1")]}}}
    sandbox.create(deployments(namespace), {"metadata": {"name": "web"}, "spec": spec})
    change = {"containers": [container("b", "b:2"), {"name": "a", "$patch": "delete"}, container("c", "c:1")]}
    patch = {"spec": {"template": {"spec": change}}}
    after = sandbox.patch(f"{deployments(namespace)}/web", patch, STRATEGIC_PATCH)
    assert after["spec"]["template"]["spec"]["containers"] == [container("b", "b:2"), container("c", "c:1")]


def test_a_merge_patch_removes_with_null(sandbox: Sandbox, namespace: str) -> None:
    make(sandbox, namespace, 1, a="b", c="d")
    path = f"{config_maps(namespace)}/map-000"
    after = sandbox.patch(path, {"metadata": {"labels": {"a": None}}, "data": None})
    assert after["metadata"]["labels"] == {"c": "d"}
    assert "data" not in after


@pytest.mark.parametrize(
    ("patch", "content_type", "code"),
    [
        ([{"op": "test", "path": "/data/a", "value": "x"}], "application/json-patch+json", 422),
        ([{"op": "what", "path": "/data/a"}], "application/json-patch+json", 400),
        ({}, "text/plain", 415),
        ([], MERGE_PATCH, 400),
        ({"metadata": {"name": "other"}}, MERGE_PATCH, 422),
    ],
)
def test_patches_that_cannot_be(sandbox: Sandbox, namespace: str, patch: object, content_type: str, code: int) -> None:
    make(sandbox, namespace, 1)
    with pytest.raises(Refused) as refused:
        sandbox.patch(f"{config_maps(namespace)}/map-000", patch, content_type)
    assert refused.value.code == code


def test_apply_creates_changes_and_removes(sandbox: Sandbox, namespace: str) -> None:
    path = f"{config_maps(namespace)}/x"

    def apply(data: Json, manager: str = "me") -> Json:
        body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data}).encode()
        found = sandbox.patch(path, body, APPLY_PATCH, fieldManager=manager)
        assert isinstance(found, dict)
        return found

    assert apply({"a": "1", "b": "1"})["data"] == {"a": "1", "b": "1"}
    assert apply({"c": "1"}, "other")["data"] == {"a": "1", "b": "1", "c": "1"}
    assert apply({"a": "2"})["data"] == {"a": "2", "c": "1"}


def test_apply_keeps_what_others_put_on_a_tag(sandbox: Sandbox, namespace: str) -> None:
    path = f"{IMAGE}/namespaces/{namespace}/imagestreams/app"

    def apply(name: str) -> Json:
        tag = {"name": "prod", "from": {"kind": "DockerImage", "name": name}}
        body = {"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "spec": {"tags": [tag]}}
        found = sandbox.patch(path, json.dumps(body).encode(), APPLY_PATCH, fieldManager="me")
        assert isinstance(found, dict)
        return found

    apply("quay.io/a/b:prod")
    annotated = {"spec": {"tags": [{"name": "prod", "annotations": {"note": "x"}}]}}
    sandbox.patch(path, annotated, STRATEGIC_PATCH)
    [tag] = apply("quay.io/a/c:prod")["spec"]["tags"]
    assert tag["from"]["name"] == "quay.io/a/c:prod"
    assert tag["annotations"] == {"note": "x"}


# Lists


def test_pages_show_one_moment(sandbox: Sandbox, namespace: str) -> None:
    made = make(sandbox, namespace, 7)
    path = config_maps(namespace)
    first = sandbox.get(path, limit="3")
    assert names(first["items"]) == made[:3]
    assert first["metadata"]["remainingItemCount"] == 4
    sandbox.create(path, {"metadata": {"name": "map-0035"}})
    sandbox.delete(f"{path}/map-005")
    sandbox.patch(f"{path}/map-006", {"data": {"a": "changed"}})

    second = sandbox.get(path, limit="3", **{"continue": first["metadata"]["continue"]})
    third = sandbox.get(path, limit="3", **{"continue": second["metadata"]["continue"]})
    assert names(second["items"] + third["items"]) == made[3:]
    assert third["items"][0]["data"] == {"a": "b"}
    assert "continue" not in third["metadata"]
    assert "remainingItemCount" not in third["metadata"]
    versions = {page["metadata"]["resourceVersion"] for page in (first, second, third)}
    assert len(versions) == 1
    assert names(sandbox.items(path, limit="2")) == sorted([*made[:5], "map-0035", "map-006"])


def test_items_of_lists_have_no_type(sandbox: Sandbox, namespace: str) -> None:
    make(sandbox, namespace, 1)
    found = sandbox.get(config_maps(namespace))
    assert found["kind"] == "ConfigMapList"
    assert not {"kind", "apiVersion"} & set(found["items"][0])


def test_a_continue_token_expires(sandbox: Sandbox, namespace: str) -> None:
    make(sandbox, namespace, 5)
    path = config_maps(namespace)
    first = sandbox.get(path, limit="2")
    sandbox.expire_continue_tokens()
    with pytest.raises(Refused) as refused:
        sandbox.get(path, limit="2", **{"continue": first["metadata"]["continue"]})
    assert (refused.value.code, refused.value.reason) == (410, "Expired")
    assert refused.value.message.startswith("The provided continue parameter is too old to display a consistent list")
    # The rest can be had with another token, as it is now.
    sandbox.delete(f"{path}/map-003")
    token = refused.value.status["metadata"]["continue"]
    rest = sandbox.items(path, limit="2", **{"continue": token})
    assert names(rest) == ["map-002", "map-004"]


def test_a_continue_token_expires_by_itself(sandbox: Sandbox, namespace: str) -> None:
    make(sandbox, namespace, 3)
    first = sandbox.get(config_maps(namespace), limit="2")
    sandbox.change_settings(continue_lifetime=0.0)
    with pytest.raises(Refused) as refused:
        sandbox.get(config_maps(namespace), limit="2", **{"continue": first["metadata"]["continue"]})
    assert refused.value.code == 410


def test_a_bad_continue_token(sandbox: Sandbox, namespace: str) -> None:
    with pytest.raises(Refused, match="continue key is not valid") as refused:
        sandbox.get(config_maps(namespace), **{"continue": "what"})
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("app=a", ["a1", "a2"]),
        ("app==a,tier!=web", ["a2"]),
        ("app in (a, b),tier", ["a1", "b1"]),
        ("app notin (a)", ["b1", "none"]),
        ("!app", ["none"]),
    ],
)
def test_label_selectors(sandbox: Sandbox, namespace: str, selector: str, selected: list[str]) -> None:
    labels = {"a1": {"app": "a", "tier": "web"}, "a2": {"app": "a"}, "b1": {"app": "b", "tier": "db"}, "none": {}}
    for name, each in labels.items():
        sandbox.create_stream(namespace, name, labels=each)
    path = f"{IMAGE}/namespaces/{namespace}/imagestreams"
    assert names(sandbox.get(path, labelSelector=selector)["items"]) == selected
    assert names(sandbox.items(path, labelSelector=selector, limit="1")) == selected


def test_field_selectors(sandbox: Sandbox, namespace: str) -> None:
    make(sandbox, namespace, 3)
    path = config_maps(namespace)
    assert names(sandbox.get(path, fieldSelector="metadata.name=map-001")["items"]) == ["map-001"]
    assert names(sandbox.get(path, fieldSelector="metadata.name!=map-001")["items"]) == ["map-000", "map-002"]
    with pytest.raises(Refused, match=r"field label not supported: data\.a") as refused:
        sandbox.get(path, fieldSelector="data.a=b")
    assert refused.value.code == 400


def test_a_list_of_all_namespaces(sandbox: Sandbox, namespace: str) -> None:
    other = sandbox.create_namespace()
    for each in (namespace, other):
        sandbox.create_stream(each, "app")
    found = {
        (each["metadata"]["namespace"], each["metadata"]["name"]) for each in sandbox.items(f"{IMAGE}/imagestreams")
    }
    assert {(namespace, "app"), (other, "app")} <= found
    sandbox.delete(f"/api/v1/namespaces/{other}")


# Watches


def test_a_watch_shows_what_matches(sandbox: Sandbox, namespace: str) -> None:
    path = f"{IMAGE}/namespaces/{namespace}/imagestreams"
    sandbox.create_stream(namespace, "a", labels={"watched": "yes"})
    sandbox.create_stream(namespace, "other")
    with sandbox.watch(path, labelSelector="watched=yes") as events:
        first = next(events)
        assert (first["type"], first["object"]["kind"], first["object"]["metadata"]["name"]) == (
            "ADDED",
            "ImageStream",
            "a",
        )
        sandbox.patch(f"{path}/other", {"metadata": {"labels": {"watched": "yes"}}})
        sandbox.patch(f"{path}/a", {"metadata": {"annotations": {"x": "y"}}})
        sandbox.patch(f"{path}/a", {"metadata": {"labels": {"watched": "no"}}})
        sandbox.delete(f"{path}/other")
        seen = [next(events) for _ in range(4)]
    assert [(each["type"], each["object"]["metadata"]["name"]) for each in seen] == [
        ("ADDED", "other"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
        ("DELETED", "other"),
    ]


def test_a_watch_from_a_version(sandbox: Sandbox, namespace: str) -> None:
    path = config_maps(namespace)
    make(sandbox, namespace, 2)
    since = sandbox.get(path)["metadata"]["resourceVersion"]
    sandbox.patch(f"{path}/map-000", {"data": {"a": "changed"}})
    sandbox.delete(f"{path}/map-001")
    with sandbox.watch(path, resourceVersion=since) as events:
        seen = [next(events) for _ in range(2)]
    assert [(each["type"], each["object"]["metadata"]["name"]) for each in seen] == [
        ("MODIFIED", "map-000"),
        ("DELETED", "map-001"),
    ]


def test_a_watch_ends_in_time(sandbox: Sandbox, namespace: str) -> None:
    with sandbox.watch(config_maps(namespace), timeoutSeconds="1") as events:
        assert list(events) == []


def test_a_watch_with_the_beginning_marked(sandbox: Sandbox, namespace: str) -> None:
    make(sandbox, namespace, 1)
    with sandbox.watch(
        config_maps(namespace),
        sendInitialEvents="true",
        resourceVersionMatch="NotOlderThan",
        allowWatchBookmarks="true",
    ) as events:
        assert [next(events)["type"] for _ in range(2)] == ["ADDED", "BOOKMARK"]


# Deletion


def test_deleting_a_namespace_deletes_what_is_in_it(sandbox: Sandbox) -> None:
    namespace = sandbox.create_namespace()
    make(sandbox, namespace, 2)
    sandbox.create_stream(namespace, "app")
    assert names(sandbox.get(f"/api/v1/namespaces/{namespace}/serviceaccounts")["items"]) == [
        "builder",
        "default",
        "deployer",
    ]
    with sandbox.watch(config_maps(namespace), resourceVersion="") as events:
        next(events), next(events)
        assert sandbox.delete(f"/api/v1/namespaces/{namespace}")["status"]["phase"] == "Terminating"
        assert next(events)["type"] == "DELETED"
    with pytest.raises(Refused) as refused:
        sandbox.get(f"/api/v1/namespaces/{namespace}")
    assert refused.value.code == 404
    assert sandbox.get(f"{IMAGE}/namespaces/{namespace}/imagestreams")["items"] == []


def owned_by(owner: Json, name: str, **metadata: object) -> Json:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"]}
    return {"metadata": {"name": name, "ownerReferences": [{**reference, "uid": owner["metadata"]["uid"]}], **metadata}}


@pytest.mark.parametrize(("policy", "left"), [("Background", []), ("Foreground", []), ("Orphan", ["child"])])
def test_what_is_owned_goes_along(sandbox: Sandbox, namespace: str, policy: str, left: list[str]) -> None:
    path = config_maps(namespace)
    owner = sandbox.create(path, {"metadata": {"name": "owner"}})
    child = sandbox.create(path, owned_by(owner, "child"))
    if not left:
        sandbox.create(path, owned_by(child, "grandchild"))
    details = sandbox.delete(f"{path}/owner", {"propagationPolicy": policy})["details"]
    assert details == {"name": "owner", "kind": "configmaps", "uid": owner["metadata"]["uid"]}
    found = sandbox.get(path)["items"]
    assert names(found) == left
    assert all("ownerReferences" not in each["metadata"] for each in found)


def test_finalizers_hold_an_object(sandbox: Sandbox, namespace: str) -> None:
    path = config_maps(namespace)
    sandbox.create(path, {"metadata": {"name": "x", "finalizers": ["example.com/held"]}})
    marked = sandbox.delete(f"{path}/x")
    assert marked["metadata"]["deletionTimestamp"]
    assert sandbox.get(f"{path}/x") == marked
    sandbox.patch(f"{path}/x", {"metadata": {"finalizers": None}})
    assert sandbox.get(path)["items"] == []


def test_deleting_many(sandbox: Sandbox, namespace: str) -> None:
    make(sandbox, namespace, 3, keep="no")
    sandbox.create(config_maps(namespace), {"metadata": {"name": "kept"}})
    sandbox.delete(config_maps(namespace), labelSelector="keep=no")
    assert names(sandbox.get(config_maps(namespace))["items"]) == ["kept"]


# Paths


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/apis/image.openshift.io/v1/namespaces/default/imagestreams/app/nothing", 404),
        ("GET", "/apis/nothing.io/v1/things", 404),
        ("GET", "/nothing", 404),
        ("GET", "/apis/image.openshift.io/v1/namespaces/default/imagestreamimports", 405),
        ("PUT", "/apis/image.openshift.io/v1/namespaces/default/imagestreamimages/app@sha256:0", 405),
        ("GET", "/healthz", 200),
        ("GET", "/version", 200),
        ("GET", "/apis/image.openshift.io/v1", 200),
    ],
)
def test_paths(sandbox: Sandbox, method: str, path: str, code: int) -> None:
    assert sandbox.request(method, path).code == code


def test_discovery_names_every_resource(sandbox: Sandbox) -> None:
    groups = [each["name"] for each in sandbox.get("/apis")["groups"]]
    assert {"apps", "batch", "coordination.k8s.io", "image.openshift.io", "project.openshift.io"} <= set(groups)
    found = {each["name"]: each for each in sandbox.get("/apis/image.openshift.io/v1")["resources"]}
    assert found["imagestreams"]["shortNames"] == ["is"]
    assert found["imagestreamimports"]["verbs"] == ["create"]
    assert "imagestreams/layers" in found
    for group in groups:
        version = sandbox.get(f"/apis/{group}")["preferredVersion"]["version"]
        assert sandbox.get(f"/apis/{group}/{version}")["resources"]
