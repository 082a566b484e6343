"""Who may do what in the sandbox."""

from __future__ import annotations

import base64
import time

import pytest

from tests.sandbox.client import IMAGE, Api, Refused, Sandbox, image, rule
from tests.sandbox.status import Json

pytest_plugins = ["tests.sandbox.fixtures"]

GROUP = "image.openshift.io"


def worker(sandbox: Sandbox, namespace: str, *rules: Json, cluster_role: str = "") -> Api:
    return sandbox.as_user(sandbox.create_account(namespace, "worker", rules, cluster_role=cluster_role))


def streams(namespace: str) -> str:
    return f"{IMAGE}/namespaces/{namespace}/imagestreams"


def import_body(name: str = "app") -> Json:
    return {"metadata": {"name": name}, "spec": {"import": True, "images": [image("127.0.0.1:1/x:prod", "prod")]}}


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c"])
def test_no_valid_token(sandbox: Sandbox, token: str) -> None:
    reply = sandbox.as_user(token).request("GET", "/api/v1/namespaces")
    assert reply.code == 401
    assert reply.json == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "Unauthorized",
        "reason": "Unauthorized",
        "code": 401,
    }


def test_an_expired_token(sandbox: Sandbox, namespace: str) -> None:
    api = sandbox.as_user(sandbox.create_account(namespace, "worker", seconds=1))
    path = "/apis/project.openshift.io/v1/projects"
    assert api.request("GET", path).code == 200
    end = time.monotonic() + 5
    while api.request("GET", path).code == 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert api.request("GET", path).code == 401


def test_a_token_goes_with_its_account(sandbox: Sandbox, namespace: str) -> None:
    api = worker(sandbox, namespace, cluster_role="view")
    assert api.request("GET", streams(namespace)).code == 200
    place = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    sandbox.delete(f"{place}/worker")
    assert api.request("GET", streams(namespace)).code == 401
    sandbox.create(place, {"metadata": {"name": "worker"}})
    assert api.request("GET", streams(namespace)).code == 401


def test_a_token_of_a_secret(sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_account(namespace, "worker")
    name = "kubernetes.io/service-account.name"
    body = {
        "metadata": {"name": "token", "annotations": {name: "worker"}},
        "type": "kubernetes.io/service-account-token",
    }
    secret = sandbox.create(f"/api/v1/namespaces/{namespace}/secrets", body)
    token = base64.b64decode(secret["data"]["token"]).decode()
    assert who(sandbox.as_user(token))["username"] == f"system:serviceaccount:{namespace}:worker"


def who(api: Api) -> Json:
    review = api.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    info = review["status"]["userInfo"]
    assert isinstance(info, dict)
    return info


def test_everyone_may_ask_who_they_are(sandbox: Sandbox, namespace: str) -> None:
    info = who(worker(sandbox, namespace))
    assert info["username"] == f"system:serviceaccount:{namespace}:worker"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    assert info["groups"] == groups
    assert who(sandbox) == {"username": "system:admin", "groups": ["system:masters", "system:authenticated"]}


def test_projects_are_those_one_may_see(sandbox: Sandbox, namespace: str) -> None:
    other, third = sandbox.create_namespace(), sandbox.create_namespace()
    api = worker(sandbox, namespace)
    path = "/apis/project.openshift.io/v1/projects"
    assert [each["metadata"]["name"] for each in api.get(path)["items"]] == [namespace]
    sandbox.bind(other, "worker", {"kind": "ClusterRole", "name": "view"}, of=namespace)
    assert {each["metadata"]["name"] for each in api.get(path)["items"]} == {namespace, other}
    assert api.get(f"{path}/{other}")["kind"] == "Project"
    assert api.request("GET", f"{path}/{third}").code == 403
    assert {namespace, other, third} <= {each["metadata"]["name"] for each in sandbox.get(path)["items"]}
    for name in (other, third):
        sandbox.delete(f"/api/v1/namespaces/{name}")


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        (
            "GET",
            "/apis/image.openshift.io/v1/namespaces/NS/imagestreams",
            'imagestreams.image.openshift.io is forbidden: User "USER" cannot list resource "imagestreams" in API group'
            ' "image.openshift.io" in the namespace "NS"',
        ),
        (
            "GET",
            "/apis/image.openshift.io/v1/imagestreams",
            'imagestreams.image.openshift.io is forbidden: User "USER" cannot list resource "imagestreams" in API group'
            ' "image.openshift.io" at the cluster scope',
        ),
        (
            "GET",
            "/apis/image.openshift.io/v1/namespaces/NS/imagestreams/app/layers",
            'imagestreams.image.openshift.io "app" is forbidden: User "USER" cannot get resource "imagestreams/layers"'
            ' in API group "image.openshift.io" in the namespace "NS"',
        ),
        (
            "POST",
            "/apis/image.openshift.io/v1/namespaces/NS/imagestreamimports",
            'imagestreamimports.image.openshift.io is forbidden: User "USER" cannot create resource'
            ' "imagestreamimports" in API group "image.openshift.io" in the namespace "NS"',
        ),
        (
            "DELETE",
            "/api/v1/namespaces/NS/configmaps",
            'configmaps is forbidden: User "USER" cannot deletecollection resource "configmaps" in API group "" in the'
            ' namespace "NS"',
        ),
        (
            "GET",
            "/api/v1/namespaces/NS",
            'namespaces "NS" is forbidden: User "USER" cannot get resource "namespaces" in API group "" in the'
            ' namespace "NS"',
        ),
        ("GET", "/metrics", 'forbidden: User "USER" cannot get path "/metrics"'),
    ],
)
def test_what_is_forbidden(sandbox: Sandbox, namespace: str, method: str, path: str, message: str) -> None:
    reply = worker(sandbox, namespace).request(method, path.replace("NS", namespace), import_body())
    user = f"system:serviceaccount:{namespace}:worker"
    assert reply.code == 403
    assert reply.json["reason"] == "Forbidden"
    assert reply.json["message"] == message.replace("NS", namespace).replace("USER", user)


def test_an_import_needs_only_to_create_imports(sandbox: Sandbox, namespace: str) -> None:
    """It may make a stream, and write one that the caller may not even read."""
    api = worker(sandbox, namespace, rule(GROUP, ["imagestreamimports"], ["create"]))
    path = f"{IMAGE}/namespaces/{namespace}/imagestreamimports"
    answer = api.create(path, import_body())
    assert answer["status"]["import"]["metadata"]["generation"] == 1
    assert api.request("GET", f"{streams(namespace)}/app").code == 403


def test_a_put_of_a_tag_needs_create_where_there_is_no_stream(sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_stream(namespace, "app")
    api = worker(sandbox, namespace, rule(GROUP, ["imagestreamtags"], ["update"]))
    place = f"{IMAGE}/namespaces/{namespace}/imagestreamtags"
    tag = {"from": {"kind": "DockerImage", "name": "quay.io/x/y:z"}}
    assert api.request("PUT", f"{place}/app:new", {"metadata": {"name": "app:new"}, "tag": tag}).code == 201
    reply = api.request("PUT", f"{place}/missing:new", {"metadata": {"name": "missing:new"}, "tag": tag})
    assert reply.code == 403
    assert 'cannot create resource "imagestreamtags"' in reply.json["message"]
    sandbox.grant(namespace, "worker", [rule(GROUP, ["imagestreamtags"], ["create"])])
    assert api.request("PUT", f"{place}/missing:new", {"metadata": {"name": "missing:new"}, "tag": tag}).code == 201


def test_names_and_wildcards(sandbox: Sandbox, namespace: str) -> None:
    for name in ("a", "b"):
        sandbox.create_stream(namespace, name)
    api = worker(sandbox, namespace, rule(GROUP, ["imagestreams"], ["get"], ["a"]))
    assert api.request("GET", f"{streams(namespace)}/a").code == 200
    assert api.request("GET", f"{streams(namespace)}/b").code == 403
    sandbox.grant(namespace, "worker", [rule("*", ["*"], ["*"])])
    assert api.request("GET", f"{streams(namespace)}/b").code == 200
    assert api.request("GET", f"{streams(namespace)}/b/layers").code == 200
    assert api.request("GET", streams("default")).code == 403


def test_a_binding_that_is_gone(sandbox: Sandbox, namespace: str) -> None:
    api = worker(sandbox, namespace, cluster_role="view")
    assert api.request("GET", streams(namespace)).code == 200
    sandbox.delete(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings")
    assert api.request("GET", streams(namespace)).code == 403


def test_a_binding_for_a_group_and_the_whole_cluster(sandbox: Sandbox, namespace: str) -> None:
    api = worker(sandbox, namespace)
    name = f"{namespace}-images"
    place = "/apis/rbac.authorization.k8s.io/v1/clusterrole"
    sandbox.create(f"{place}s", {"metadata": {"name": name}, "rules": [rule(GROUP, ["imagestreams"], ["list"])]})
    subject = {"kind": "Group", "name": f"system:serviceaccounts:{namespace}"}
    body = {"metadata": {"name": name}, "roleRef": {"kind": "ClusterRole", "name": name}, "subjects": [subject]}
    sandbox.create(f"{place}bindings", body)
    assert api.request("GET", f"{IMAGE}/imagestreams").code == 200
    for kind in ("s", "bindings"):
        sandbox.delete(f"{place}{kind}/{name}")
    assert api.request("GET", f"{IMAGE}/imagestreams").code == 403


def review(api: Api, **attributes: str) -> Json:
    body = {"spec": {"resourceAttributes": attributes}}
    found = api.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)["status"]
    assert isinstance(found, dict)
    return found


def test_access_reviews(sandbox: Sandbox, namespace: str) -> None:
    api = worker(sandbox, namespace, rule(GROUP, ["imagestreamimports"], ["create"]))
    wanted = {"verb": "create", "group": GROUP, "resource": "imagestreamimports", "namespace": namespace}
    allowed = review(api, **wanted)
    assert allowed["allowed"] is True
    assert f'to ServiceAccount "worker/{namespace}"' in allowed["reason"]
    assert review(api, **{**wanted, "namespace": "default"}) == {"allowed": False}
    assert review(api, **{**wanted, "verb": "get"}) == {"allowed": False}
    other = {"user": f"system:serviceaccount:{namespace}:worker", "resourceAttributes": wanted}
    place = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert sandbox.create(place, {"spec": other})["status"]["allowed"] is True
    assert api.request("POST", place, {"spec": other}).code == 403


def test_the_rules_of_oneself(sandbox: Sandbox, namespace: str) -> None:
    own = rule(GROUP, ["imagestreamimports"], ["create"])
    api = worker(sandbox, namespace, own)
    place = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status = api.create(place, {"spec": {"namespace": namespace}})["status"]
    assert own in status["resourceRules"]
    assert status["incomplete"] is False


def test_the_built_in_roles(sandbox: Sandbox, namespace: str) -> None:
    for role, may_import, may_write in (("view", False, False), ("edit", True, True)):
        account = sandbox.create_account(namespace, role, cluster_role=role)
        api = sandbox.as_user(account)
        assert review(api, verb="list", group=GROUP, resource="imagestreams", namespace=namespace)["allowed"]
        wanted = {"verb": "create", "group": GROUP, "resource": "imagestreamimports", "namespace": namespace}
        assert review(api, **wanted)["allowed"] is may_import
        wanted = {"verb": "update", "group": GROUP, "resource": "imagestreamtags", "namespace": namespace}
        assert review(api, **wanted)["allowed"] is may_write


def test_the_control_endpoint_is_the_admins(sandbox: Sandbox, namespace: str) -> None:
    api = worker(sandbox, namespace, cluster_role="cluster-admin")
    assert api.request("GET", "/sandbox/requests").code == 401


def test_impersonation(sandbox: Sandbox, namespace: str) -> None:
    api = worker(sandbox, namespace, rule(GROUP, ["imagestreams"], ["list"]))
    as_worker = {"Impersonate-User": f"system:serviceaccount:{namespace}:worker"}
    assert sandbox.request("GET", streams(namespace), headers=as_worker).code == 200
    assert sandbox.request("GET", streams("default"), headers=as_worker).code == 403
    assert api.request("GET", streams(namespace), headers={"Impersonate-User": "system:admin"}).code == 403


def test_a_role_of_another_namespace_is_not_meant(sandbox: Sandbox, namespace: str) -> None:
    with pytest.raises(Refused, match='namespaces "nowhere" not found'):
        sandbox.grant("nowhere", "worker", [])


def test_who_may_ask_for_a_project_is_its_administrator(sandbox: Sandbox, namespace: str) -> None:
    token = sandbox.create_account(namespace, "developer")
    developer = sandbox.as_user(token)
    path, name = "/apis/project.openshift.io/v1", f"{namespace}-mine"
    with pytest.raises(Refused, match="cannot create resource"):
        developer.create(f"{path}/projectrequests", {"metadata": {"name": name}})
    subject = {"kind": "ServiceAccount", "name": "developer", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "self-provisioner"}
    body = {"metadata": {"generateName": "developers-"}, "roleRef": role, "subjects": [subject]}
    sandbox.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body)
    made = developer.create(f"{path}/projectrequests", {"metadata": {"name": name}})
    assert (made["kind"], made["metadata"]["name"]) == ("Project", name)
    policy = {"metadata": {"name": "none"}, "spec": {"podSelector": {}}}
    developer.create(f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies", policy)
    with pytest.raises(Refused, match="already exists"):
        developer.create(f"{path}/projectrequests", {"metadata": {"name": name}})
    with pytest.raises(Refused, match="cannot delete resource"):
        developer.delete(f"{path}/projects/{namespace}")
    developer.delete(f"{path}/projects/{name}")
    assert name not in [found["metadata"]["name"] for found in sandbox.items("/api/v1/namespaces")]
