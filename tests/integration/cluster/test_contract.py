"""What both adapters do alike, on a real API over TLS. Where kubectl cannot tell what HTTP tells, the test says so."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from job.cluster import (
    CONFIG_MAPS,
    IMAGE_STREAM_IMAGES,
    IMAGE_STREAM_IMPORTS,
    IMAGE_STREAM_TAGS,
    IMAGE_STREAMS,
    LEASES,
    NAMESPACES,
    Cluster,
    Resource,
)
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Reason
from tests.integration.cluster.conftest import Reach
from tests.sandbox.client import Sandbox, image, rule
from tests.support.tiers import representatives

TAIL = "the long tail of a matrix, each a whole run or request of its own"


# openshift-client leaves a process that it had to kill to Python, which mentions it.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

Counts = Counter[tuple[str, str]]


def config_map(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **more}, "data": {"a": "ü\n"}}


def import_of(name: str, *images: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    head = {"apiVersion": "image.openshift.io/v1", "kind": "ImageStreamImport"}
    return {**head, "metadata": {"name": name, **more}, "spec": {"import": True, "images": list(images)}}


def refused(call: Callable[[], object]) -> ClusterError:
    with pytest.raises(ClusterError) as caught:
        call()
    return caught.value


# What succeeds


def test_an_object_from_its_creation_to_its_end(
    cluster: Cluster, sandbox: Sandbox, namespace: str, counts: Counts
) -> None:
    made = cluster.create(CONFIG_MAPS, namespace, config_map("c"))
    assert (made["kind"], made["data"]) == ("ConfigMap", {"a": "ü\n"})
    found = dict(cluster.get(CONFIG_MAPS, namespace, "c"))
    assert found == made
    replaced = cluster.replace(CONFIG_MAPS, namespace, {**found, "data": {"a": "c"}})
    assert replaced["data"] == sandbox.get(f"/api/v1/namespaces/{namespace}/configmaps/c")["data"] == {"a": "c"}
    cluster.delete(CONFIG_MAPS, namespace, "c")
    gone = refused(lambda: cluster.get(CONFIG_MAPS, namespace, "c"))
    assert (gone.reason, gone.code, gone.answered) == (Reason.NOT_FOUND, 404, True)
    assert str(gone) == 'configmaps "c" not found'
    assert counts == {(namespace, "200"): 3, (namespace, "201"): 1, (namespace, "404"): 1}


def test_default_namespace_is_the_contexts(cluster: Cluster, namespace: str) -> None:
    assert cluster.default_namespace == namespace


def test_without_a_namespace_in_the_context_there_is_no_default(reach: Reach, sandbox: Sandbox, tmp_path: Path) -> None:
    text = sandbox.kubeconfig(sandbox.token, "away").read_text()
    file = tmp_path / "kubeconfig"
    file.write_text(text.replace("namespace: away", ""))
    assert reach(file).default_namespace is None


def test_a_long_list_comes_in_pages_and_can_be_selected_from(
    cluster: Cluster, sandbox: Sandbox, namespace: str, counts: Counts
) -> None:
    def make(number: int) -> None:
        labels = {"part": "few" if number % 100 == 0 else "many"}
        sandbox.create(
            f"/api/v1/namespaces/{namespace}/configmaps",
            {"metadata": {"name": f"c-{number:03}", "labels": labels}},
        )

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(620)))
    sandbox.clear_log()
    names = [each["metadata"]["name"] for each in cluster.list(CONFIG_MAPS, namespace)]
    assert names == [f"c-{number:03}" for number in range(620)]
    assert [each["query"]["limit"] for each in sandbox.requests(path="/configmaps$")] == ["500", "500"]
    assert counts == {(namespace, "200"): 2}
    few = [each["metadata"]["name"] for each in cluster.list(CONFIG_MAPS, namespace, "part in (few),part!=many")]
    assert few == [f"c-{number}00" for number in range(7)]
    assert list(cluster.list(CONFIG_MAPS, namespace, "part=none")) == []


def test_a_list_that_grew_too_old_between_pages(cluster: Cluster, sandbox: Sandbox, namespace: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        place = f"/api/v1/namespaces/{namespace}/configmaps"
        list(threads.map(lambda n: sandbox.create(place, {"metadata": {"name": f"c-{n}"}}), range(501)))
    pages = cluster.list(CONFIG_MAPS, namespace)
    next(pages)
    sandbox.expire_continue_tokens()
    error = refused(lambda: list(pages))
    assert (error.reason, error.code) == (Reason.API_ERROR, 410)


def test_a_list_of_the_whole_cluster(cluster: Cluster, sandbox: Sandbox, namespace: str) -> None:
    other = sandbox.create_namespace()
    for place in (namespace, other):
        sandbox.create_stream(place, "app", labels={"of": namespace})
    found = [each["metadata"]["namespace"] for each in cluster.list(IMAGE_STREAMS, "", f"of={namespace}")]
    assert sorted(found) == sorted((namespace, other))
    assert cluster.get(NAMESPACES, "", namespace)["metadata"]["name"] == namespace


def test_an_import_of_which_one_image_fails(cluster: Cluster, sandbox: Sandbox, namespace: str) -> None:
    digest = sandbox.registry.push("contract/app", "prod", "one")
    sandbox.create_stream(namespace, "app")
    body = import_of(
        "app", image(sandbox.source("contract/app:prod"), "prod"), image(sandbox.source("contract/app:none"), "none")
    )
    sandbox.clear_log()
    answer = cluster.create(IMAGE_STREAM_IMPORTS, namespace, body, timeout=7.5)
    good, bad = answer["status"]["images"]
    assert good["image"]["metadata"]["name"] == digest
    assert (bad["status"]["reason"], "image" in bad) == ("NotFound", False)
    # One request, in full, with the server's own limit.
    [request] = [each for each in sandbox.log()["requests"] if not each["path"].startswith("/sandbox")]
    assert (request["method"], request["query"]) == ("POST", {"timeout": "7500ms"})


def test_names_with_a_colon_and_an_at_sign(cluster: Cluster, sandbox: Sandbox, namespace: str) -> None:
    digest = sandbox.registry.push("contract/app", "prod", "one")
    sandbox.create_stream(namespace, "app", {"prod": sandbox.source("contract/app:prod")})
    sandbox.import_tag(namespace, "app", "prod")
    tag = dict(cluster.get(IMAGE_STREAM_TAGS, namespace, "app:prod"))
    assert tag["image"]["metadata"]["name"] == digest
    found = cluster.get(IMAGE_STREAM_IMAGES, namespace, f"app@{digest}")
    assert found["image"]["metadata"]["name"] == digest
    tag["tag"] = {**tag["tag"], "annotations": {"note": "x"}}
    tag["metadata"] = {**tag["metadata"], "annotations": {"note": "x"}}
    cluster.replace(IMAGE_STREAM_TAGS, namespace, tag)
    assert sandbox.stream(namespace, "app")["spec"]["tags"][0]["annotations"] == {"note": "x"}
    assert refused(lambda: cluster.get(IMAGE_STREAM_TAGS, namespace, "app:none")).code == 404
    cluster.delete(IMAGE_STREAM_TAGS, namespace, "app:prod")
    assert not sandbox.stream(namespace, "app")["spec"].get("tags")


@pytest.mark.parametrize(
    "name",
    representatives(
        ["-h", "--kubeconfig=x", "-o=yaml", "a b", "a?limit=1", "a#b", "ü", "$(id)", "'\"`"], TAIL, gating=2
    ),
)
def test_odd_names_are_names(cluster: Cluster, sandbox: Sandbox, namespace: str, name: str) -> None:
    sandbox.clear_log()
    error = refused(lambda: cluster.get(CONFIG_MAPS, namespace, name))
    assert error.code == 404
    [path] = [each["path"] for each in sandbox.requests(path="configmaps")]
    assert path.startswith(f"/api/v1/namespaces/{namespace}/configmaps/")
    assert "/" not in path.partition("configmaps/")[2]


@pytest.mark.parametrize("name", representatives(["../secrets/x", "a/b", "a%2Fb"], TAIL))
def test_a_name_leads_nowhere_else(cluster: Cluster, sandbox: Sandbox, namespace: str, name: str) -> None:
    """No object can be called that: whoever asks at all asks for just that name."""
    sandbox.clear_log()
    assert refused(lambda: cluster.delete(CONFIG_MAPS, namespace, name)).code in (400, 404, 405)
    assert not [each for each in sandbox.requests() if "secrets" in each["path"].split("/")]


@pytest.mark.parametrize("selector", representatives(["-h", "--all=true", "a=b&limit=1", "a=b -A"], TAIL))
def test_odd_selectors_are_selectors(
    cluster: Cluster, sandbox: Sandbox, namespace: str, selector: str, counts: Counts
) -> None:
    sandbox.clear_log()
    try:
        list(cluster.list(CONFIG_MAPS, namespace, selector))
    except ClusterError as error:
        assert error.code == 400
    [query] = [each["query"] for each in sandbox.requests(path="configmaps")]
    assert query == {"limit": "500", "labelSelector": selector}


# What is refused


def test_creating_what_there_is(cluster: Cluster, namespace: str) -> None:
    cluster.create(CONFIG_MAPS, namespace, config_map("c"))
    error = refused(lambda: cluster.create(CONFIG_MAPS, namespace, config_map("c")))
    assert (error.reason, error.code, error.answered) == (Reason.CONFLICT, 409, True)


def test_replacing_what_has_changed(cluster: Cluster, sandbox: Sandbox, namespace: str) -> None:
    found = dict(cluster.create(CONFIG_MAPS, namespace, config_map("c")))
    cluster.replace(CONFIG_MAPS, namespace, {**found, "data": {"a": "b"}})
    error = refused(lambda: cluster.replace(CONFIG_MAPS, namespace, {**found, "data": {"a": "c"}}))
    assert (error.reason, error.code, error.answered) == (Reason.CONFLICT, 409, True)
    assert "the object has been modified" in str(error)
    assert sandbox.get(f"/api/v1/namespaces/{namespace}/configmaps/c")["data"] == {"a": "b"}


def test_deleting_only_the_very_object(cluster: Cluster, sandbox: Sandbox, namespace: str) -> None:
    uid = cluster.create(CONFIG_MAPS, namespace, config_map("c"))["metadata"]["uid"]
    error = refused(lambda: cluster.delete(CONFIG_MAPS, namespace, "c", "another"))
    assert (error.reason, error.code) == (Reason.CONFLICT, 409)
    assert cluster.get(CONFIG_MAPS, namespace, "c")["metadata"]["uid"] == uid
    cluster.delete(CONFIG_MAPS, namespace, "c", uid)
    assert refused(lambda: cluster.delete(CONFIG_MAPS, namespace, "c", uid)).code == 404


def test_what_is_not_valid(cluster: Cluster, sandbox: Sandbox, namespace: str) -> None:
    sandbox.create_stream(namespace, "app")
    body = import_of("app", {"from": {"kind": "Nonsense", "name": "x"}, "to": {"name": "prod"}})
    error = refused(lambda: cluster.create(IMAGE_STREAM_IMPORTS, namespace, body))
    assert (error.reason, error.code, error.answered) == (Reason.INVALID, 422, True)
    assert "spec.images[0].from.kind" in str(error)


def test_a_kind_that_is_not_served(cluster: Cluster, namespace: str) -> None:
    error = refused(lambda: cluster.get(Resource("none.example/v1", "None", "nones"), namespace, "x"))
    assert (error.reason, error.code) == (Reason.NOT_FOUND, 404)


def test_what_is_not_allowed(reach: Reach, sandbox: Sandbox, namespace: str) -> None:
    token = sandbox.create_account(namespace, "worker", [rule("image.openshift.io", ["imagestreams"], ["list"])])
    cluster = reach(sandbox.kubeconfig(token, namespace))
    assert list(cluster.list(IMAGE_STREAMS, namespace)) == []
    for call in (
        lambda: cluster.get(IMAGE_STREAMS, namespace, "x"),
        lambda: list(cluster.list(IMAGE_STREAMS, "")),
        lambda: cluster.create(CONFIG_MAPS, namespace, config_map("c")),
        lambda: cluster.replace(CONFIG_MAPS, namespace, config_map("c")),
        lambda: cluster.delete(CONFIG_MAPS, namespace, "c"),
    ):
        error = refused(call)
        assert (error.reason, error.code, error.answered) == (Reason.FORBIDDEN, 403, True)
        assert f"system:serviceaccount:{namespace}:worker" in str(error)


def test_a_login_that_has_ended(reach: Reach, sandbox: Sandbox, namespace: str, counts: Counts) -> None:
    cluster = reach(sandbox.kubeconfig("sha256~no-longer-good", namespace))
    error = refused(lambda: cluster.get(CONFIG_MAPS, namespace, "c"))
    assert (error.reason, error.code, error.answered) == (Reason.UNAUTHORIZED, 401, True)
    assert "no-longer-good" not in str(error)
    assert counts == {(namespace, "401"): 1}


@pytest.mark.parametrize(
    ("code", "reason"),
    representatives(
        [
            (400, Reason.INVALID),
            (408, Reason.TIMEOUT),
            (413, Reason.INVALID),
            (422, Reason.INVALID),
            (429, Reason.RATE_LIMITED),
            (500, Reason.API_ERROR),
            (502, Reason.API_ERROR),
            (503, Reason.API_ERROR),
            (504, Reason.TIMEOUT),
        ],
        TAIL,
        gating=3,
    ),
)
@pytest.mark.parametrize("verb", ["get", "create"])
def test_every_code_has_its_reason(
    cluster: Cluster, sandbox: Sandbox, namespace: str, code: int, reason: Reason, verb: str, counts: Counts
) -> None:
    sandbox.add_fault(path=f"{namespace}/configmaps", status={"code": code, "message": 'a "quoted"\nline'})
    calls = {
        "get": lambda: cluster.get(CONFIG_MAPS, namespace, "c"),
        "create": lambda: cluster.create(CONFIG_MAPS, namespace, config_map("c")),
    }
    error = refused(calls[verb])
    assert (error.reason, error.code, error.retry_after, error.answered) == (reason, code, None, True)
    assert 'a "quoted"' in str(error)
    assert "\n" not in str(error)
    assert counts == {(namespace, str(code)): 1}


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_asks_for_time(cluster: Cluster, sandbox: Sandbox, namespace: str, code: int) -> None:
    """What is written is sent once, and the caller hears how long to wait."""
    status = {"code": code, "headers": {"Retry-After": "2"}}
    sandbox.add_fault(path=f"{namespace}/configmaps", status=status, times=1)
    error = refused(lambda: cluster.create(CONFIG_MAPS, namespace, config_map("c")))
    assert (error.code, error.retry_after) == (code, 2.0)
    assert len(sandbox.requests(method="POST", path=f"{namespace}/configmaps$")) == 1


@pytest.mark.parametrize("client", ["oc"], indirect=True)
def test_of_a_retry_after_only_seconds_reach_oc(cluster: Cluster, sandbox: Sandbox, namespace: str) -> None:
    """The header is seen by client-go alone, which knows no dates; and it repeats what is read by itself."""
    date = {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}
    status = {"code": 503, "headers": date, "details": {}}
    sandbox.add_fault(path=f"{namespace}/configmaps", status=status, times=1)
    assert refused(lambda: cluster.create(CONFIG_MAPS, namespace, config_map("c"))).retry_after is None
    sandbox.add_fault(path=f"{namespace}/configmaps", status={"code": 503, "headers": {"Retry-After": "1"}}, times=1)
    assert list(cluster.list(CONFIG_MAPS, namespace)) == []


@pytest.mark.parametrize("client", ["oc"], indirect=True)
def test_requests_that_oc_repeats_are_counted(
    cluster: Cluster, sandbox: Sandbox, namespace: str, counts: Counts
) -> None:
    sandbox.add_fault(path=f"{namespace}/configmaps", status={"code": 503, "headers": {"Retry-After": "1"}}, times=1)
    assert list(cluster.list(CONFIG_MAPS, namespace)) == []
    assert counts == {(namespace, "503"): 1, (namespace, "200"): 1}


def test_an_answer_that_is_no_status(cluster: Cluster, sandbox: Sandbox, namespace: str) -> None:
    raw = {"status": 502, "content_type": "text/html", "body": "<h1>Bad Gateway</h1>"}
    sandbox.add_fault(path=f"{namespace}/configmaps", raw=raw)
    error = refused(lambda: cluster.create(CONFIG_MAPS, namespace, config_map("c")))
    assert (error.reason, error.code) == (Reason.API_ERROR, 502)
    assert "Gateway" in str(error)


# What gets no answer


@pytest.mark.parametrize("fault", [{"truncate": 20}, {"raw": {"status": 200, "body": "<h1>Welcome</h1>"}}])
def test_an_answer_that_cannot_be_read(
    cluster: Cluster, sandbox: Sandbox, namespace: str, fault: Mapping[str, Any]
) -> None:
    sandbox.add_fault(path=f"{namespace}/configmaps", **fault)
    error = refused(lambda: cluster.create(CONFIG_MAPS, namespace, config_map("c")))
    assert (error.reason, error.answered) == (Reason.API_ERROR, False)
    assert error.code in (200, 201)


@pytest.mark.parametrize("reset", ["before", "after"])
def test_a_connection_lost(cluster: Cluster, sandbox: Sandbox, namespace: str, reset: str, counts: Counts) -> None:
    sandbox.add_fault(method="POST", path=f"{namespace}/configmaps", reset=reset)
    error = refused(lambda: cluster.create(CONFIG_MAPS, namespace, config_map("c")))
    assert (error.reason, error.code, error.answered) == (Reason.UNREACHABLE, None, False)
    assert "connection lost" in str(error)
    assert counts == {(namespace, "none"): 1}
    assert bool(list(cluster.list(CONFIG_MAPS, namespace))) == (reset == "after")


def test_a_server_that_never_answers(cluster: Cluster, sandbox: Sandbox, namespace: str, counts: Counts) -> None:
    sandbox.add_fault(path=f"{namespace}/leases", hang=True)
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "x"}}
    begun = time.monotonic()
    error = refused(lambda: cluster.replace(LEASES, namespace, body, timeout=0.5))
    assert 2 < time.monotonic() - begun < 30
    assert (error.reason, error.code, error.answered) == (Reason.TIMEOUT, None, False)
    assert counts == {(namespace, "none"): 1}
    assert sandbox.requests(method="PUT", path="leases")[-1]["query"] == {"timeout": "500ms"}


def test_nobody_listens(reach: Reach, sandbox: Sandbox, namespace: str, tmp_path: Path, counts: Counts) -> None:
    file = tmp_path / "kubeconfig"
    text = sandbox.kubeconfig(sandbox.token, namespace).read_text()
    file.write_text(re.sub(r"https://\S+", "https://127.0.0.1:1", text))
    cluster = reach(file)
    error = refused(lambda: cluster.create(CONFIG_MAPS, namespace, config_map("c")))
    assert (error.reason, error.code, error.answered) == (Reason.UNREACHABLE, None, True)
    assert "127.0.0.1:1" in str(error) and "refused" in str(error)
    assert counts == {(namespace, "none"): 1}


def test_a_name_that_does_not_resolve(reach: Reach, sandbox: Sandbox, namespace: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    text = sandbox.kubeconfig(sandbox.token, namespace).read_text()
    file.write_text(re.sub(r"https://\S+", "https://no.such.host.invalid:6443", text))
    error = refused(lambda: reach(file).create(CONFIG_MAPS, namespace, config_map("c")))
    assert (error.reason, error.answered) == (Reason.UNREACHABLE, True)
    assert "no.such.host.invalid" in str(error)


def test_tls_is_verified_unless_told_otherwise(
    reach: Reach, sandbox: Sandbox, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"host": sandbox.secure_server, "token": sandbox.token}
    error = refused(lambda: reach(**told).create(CONFIG_MAPS, namespace, config_map("c")))
    assert error.reason is Reason.UNREACHABLE
    assert re.search("certificate", str(error))
    assert list(reach(**told, verify_tls=False).list(CONFIG_MAPS, namespace)) == []
    # A kubeconfig's own certificate does not stand against it.
    trusting = reach(sandbox.kubeconfig(sandbox.token, namespace), verify_tls=False)
    assert list(trusting.list(CONFIG_MAPS, namespace)) == []


def test_an_address_with_a_path(reach: Reach, sandbox: Sandbox, namespace: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    text = sandbox.kubeconfig(sandbox.token, namespace).read_text()
    file.write_text(re.sub(r"(server: https://\S+)", r"\1/some/place/", text))
    sandbox.clear_log()
    refused(lambda: reach(file).get(CONFIG_MAPS, namespace, "c"))
    [path] = [each["path"] for each in sandbox.requests(path="configmaps")]
    assert path == f"/some/place/api/v1/namespaces/{namespace}/configmaps/c"


def test_no_login_at_all(reach: Reach, tmp_path: Path) -> None:
    broken = tmp_path / "kubeconfig"
    broken.write_text("nonsense: [")
    for file in (broken, tmp_path / "none"):
        with pytest.raises(UsageError) as caught:
            reach(file)
        assert len(caught.value.errors) == 1


@pytest.mark.parametrize("client", ["oc"], indirect=True)
def test_impersonation_of_the_kubeconfig(reach: Reach, sandbox: Sandbox, namespace: str, tmp_path: Path) -> None:
    """The kubernetes package does not know `as`."""
    sandbox.create_account(namespace, "worker")
    file = tmp_path / "kubeconfig"
    text = sandbox.kubeconfig(sandbox.token, namespace).read_text()
    file.write_text(text.replace("    token:", f"    as: system:serviceaccount:{namespace}:worker\n    token:"))
    error = refused(lambda: reach(file).get(CONFIG_MAPS, namespace, "c"))
    assert error.code == 403 and f"serviceaccount:{namespace}:worker" in str(error)


# Many at once


def test_eight_threads(cluster: Cluster, sandbox: Sandbox, namespace: str, client: str) -> None:
    sandbox.add_fault(path=f"{namespace}/configmaps/", method="GET", latency=0.3)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            name = f"c-{number}"
            made = cluster.create(CONFIG_MAPS, namespace, config_map(name))
            assert cluster.get(CONFIG_MAPS, namespace, name) == made
            with pytest.raises(ClusterError, match=f'"none-{number}" not found'):
                cluster.get(CONFIG_MAPS, namespace, f"none-{number}")
        except BaseException as error:
            failures.append(error)

    sandbox.clear_log()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(sandbox.requests(path=f"{namespace}/configmaps")) == 24
    # Processes are dear: at most four.
    most = sandbox.log()["most_in_flight"]
    assert most <= 4 if client == "oc" else most > 4
