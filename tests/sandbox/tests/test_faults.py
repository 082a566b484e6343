"""Faults on demand, and the log of requests."""

from __future__ import annotations

import http.client
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox.client import IMAGE, Refused, Sandbox, image

pytest_plugins = ["tests.sandbox.fixtures"]

NAMESPACES = "/api/v1/namespaces"


def config_maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def codes(sandbox: Sandbox, path: str, count: int) -> list[int]:
    return [sandbox.request("GET", path).code for _ in range(count)]


def test_after_and_times(sandbox: Sandbox, namespace: str) -> None:
    path = config_maps(namespace)
    sandbox.add_fault(method="GET", path=path, after=1, times=2, status={"code": 503})
    assert codes(sandbox, path, 5) == [200, 503, 503, 200, 200]
    [rule] = sandbox.faults()
    assert (rule["seen"], rule["acted"]) == (5, 2)


def test_for_ever_until_removed(sandbox: Sandbox, namespace: str) -> None:
    path = config_maps(namespace)
    number = sandbox.add_fault(path=path, status={"code": 500})
    other = sandbox.add_fault(path=path, status={"code": 503})
    assert codes(sandbox, path, 3) == [500, 500, 500]
    sandbox.remove_faults(number)
    assert codes(sandbox, path, 1) == [503]
    sandbox.remove_faults(other)
    assert codes(sandbox, path, 1) == [200]


def test_method_path_and_body(sandbox: Sandbox, namespace: str) -> None:
    sandbox.add_fault(method="POST", path="/imagestreamimports$", body='"name": ?"bad"', status={"code": 500})
    wanted = [image("127.0.0.1:1/x:prod", "prod")]
    sandbox.import_images(namespace, "good", wanted)
    with pytest.raises(Refused):
        sandbox.import_images(namespace, "bad", wanted)


def test_a_status_with_headers(sandbox: Sandbox, namespace: str) -> None:
    status = {"code": 429, "message": "slow down", "headers": {"Retry-After": "7"}}
    sandbox.add_fault(path=config_maps(namespace), status=status)
    reply = sandbox.request("GET", config_maps(namespace))
    assert reply.code == 429
    assert reply.headers["Retry-After"] == "7"
    assert reply.json["reason"] == "TooManyRequests"
    assert reply.json["message"] == "slow down"
    assert reply.json["details"] == {"retryAfterSeconds": 7}


def test_any_text(sandbox: Sandbox, namespace: str) -> None:
    raw = {"status": 502, "content_type": "text/html", "body": "<html>", "repeat": 2000}
    sandbox.add_fault(path=config_maps(namespace), raw=raw)
    reply = sandbox.request("GET", config_maps(namespace))
    assert (reply.code, reply.headers["Content-Type"], len(reply.text)) == (502, "text/html", 12000)


def test_ten_megabytes(sandbox: Sandbox, namespace: str) -> None:
    raw = {"content_type": "application/json", "body": "x" * 1000, "repeat": 10_000}
    sandbox.add_fault(path=config_maps(namespace), raw=raw)
    assert len(sandbox.request("GET", config_maps(namespace)).text) == 10_000_000


def test_half_an_answer(sandbox: Sandbox, namespace: str) -> None:
    sandbox.add_fault(path=config_maps(namespace), truncate=20)
    reply = sandbox.request("GET", config_maps(namespace))
    assert (reply.code, reply.text) == (200, '{"kind":"ConfigMapLi')


def test_latency(sandbox: Sandbox, namespace: str) -> None:
    sandbox.add_fault(path=config_maps(namespace), times=1, latency=0.2)
    start = time.monotonic()
    assert codes(sandbox, config_maps(namespace), 1) == [200]
    assert time.monotonic() - start >= 0.2


def test_a_slow_drip(sandbox: Sandbox, namespace: str) -> None:
    whole = sandbox.request("GET", config_maps(namespace)).text
    sandbox.add_fault(path=config_maps(namespace), drip={"bytes": 25, "seconds": 0.03})
    start = time.monotonic()
    assert len(sandbox.request("GET", config_maps(namespace)).text) == len(whole)
    assert time.monotonic() - start >= 0.03 * (len(whole) // 25)


def test_a_hang_ends_when_the_client_goes(sandbox: Sandbox, namespace: str) -> None:
    sandbox.clear_log()
    sandbox.add_fault(path=config_maps(namespace), hang=True)
    with pytest.raises(TimeoutError):
        sandbox.request("GET", config_maps(namespace), timeout=0.2)
    end = time.monotonic() + 5
    while sandbox.log()["in_flight"] and time.monotonic() < end:
        time.sleep(0.02)
    assert sandbox.log()["in_flight"] == 0


@pytest.mark.parametrize(("when", "left"), [("before", []), ("after", ["x"])])
def test_a_reset_before_and_after_the_effect(sandbox: Sandbox, namespace: str, when: str, left: list[str]) -> None:
    sandbox.add_fault(method="POST", path=config_maps(namespace), times=1, reset=when)
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        sandbox.create(config_maps(namespace), {"metadata": {"name": "x"}})
    assert [each["metadata"]["name"] for each in sandbox.get(config_maps(namespace))["items"]] == left


def test_a_change_right_before(sandbox: Sandbox, namespace: str) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
    lease = sandbox.create(path, {"metadata": {"name": "x"}, "spec": {"holderIdentity": "me"}})
    sandbox.add_fault(method="PUT", path=f"{path}/x", times=1, change="before")
    with pytest.raises(Refused, match="the object has been modified"):
        sandbox.replace(f"{path}/x", lease)
    changed = sandbox.get(f"{path}/x")
    assert changed["spec"] == lease["spec"]
    sandbox.replace(f"{path}/x", changed)


def test_a_change_before_the_write_of_a_tag(sandbox: Sandbox, namespace: str) -> None:
    version = sandbox.create_stream(namespace, "app")["metadata"]["resourceVersion"]
    path = f"{IMAGE}/namespaces/{namespace}/imagestreamtags/app:prod"
    tag = {"from": {"kind": "DockerImage", "name": "quay.io/x/y:z"}}
    sandbox.add_fault(method="PUT", path=path, change="before")
    body = {"metadata": {"name": "app:prod", "resourceVersion": version}, "tag": tag}
    with pytest.raises(Refused, match="another caller has updated the resource version"):
        sandbox.replace(path, body)


def test_a_list_that_expires_half_way(sandbox: Sandbox, namespace: str) -> None:
    path = config_maps(namespace)
    for number in range(4):
        sandbox.create(path, {"metadata": {"name": f"x{number}"}})
    sandbox.add_fault(method="GET", path=path, after=1, times=1, expire_continue=True)
    with pytest.raises(Refused) as refused:
        sandbox.items(path, limit="2")
    assert refused.value.code == 410
    assert len(sandbox.items(path, limit="2")) == 4


def test_faults_of_several_rules(sandbox: Sandbox, namespace: str) -> None:
    path = config_maps(namespace)
    sandbox.add_fault(path=path, latency=0.1)
    sandbox.add_fault(path=path, times=1, status={"code": 503})
    start = time.monotonic()
    assert codes(sandbox, path, 2) == [503, 200]
    assert time.monotonic() - start >= 0.2


@pytest.mark.parametrize("rule", [{"what": 1}, {"path": "("}, {"reset": "later"}, {"change": "never"}])
def test_rules_that_are_none(sandbox: Sandbox, rule: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        sandbox.add_fault(**rule)
    assert refused.value.code == 400
    assert sandbox.faults() == []


@pytest.mark.parametrize("settings", [{"what": 1}, {"pacing": "yes"}, {"ping_timeout": True}])
def test_settings_that_are_none(sandbox: Sandbox, settings: dict[str, object]) -> None:
    before = sandbox.get("/sandbox/settings")
    with pytest.raises(Refused) as refused:
        sandbox.change_settings(**settings)
    assert refused.value.code == 400
    assert sandbox.get("/sandbox/settings") == before


def test_the_log(sandbox: Sandbox, namespace: str) -> None:
    sandbox.clear_log()
    before = time.time()
    wanted = [image("127.0.0.1:1/x:prod", "prod"), image("127.0.0.1:1/y:stable")]
    sandbox.import_images(namespace, "app", wanted, timeout="5s")
    sandbox.as_user("").request("GET", f"{NAMESPACES}?limit=1")
    imported, listed = sandbox.requests()
    assert (imported["method"], imported["status"], imported["user"]) == ("POST", 201, "system:admin")
    assert (imported["stream"], imported["tags"]) == ("app", ["prod", ""])
    assert imported["sources"] == ["127.0.0.1:1/x:prod", "127.0.0.1:1/y:stable"]
    assert imported["query"] == {"timeout": "5s"}
    assert before <= imported["started"] <= imported["ended"] <= time.time()
    assert (listed["status"], listed["user"], listed["query"]) == (401, "", {"limit": "1"})
    sandbox.clear_log()
    assert sandbox.requests() == []


def test_the_most_at_once(sandbox: Sandbox, namespace: str) -> None:
    sandbox.clear_log()
    sandbox.add_fault(path=config_maps(namespace), latency=0.2)
    with sandbox.watch(config_maps(namespace)), ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: sandbox.get(config_maps(namespace)), range(5)))
    log = sandbox.log()
    assert log["most_in_flight"] == 5
    assert log["most_imports_in_flight"] == 0
