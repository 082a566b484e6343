"""Several namespaces, lists that break, and clusters that cannot be used."""

from __future__ import annotations

import pytest

from tests.support.place import Ended, Place, metrics_of
from tests.support.rights import RUN, without


@pytest.fixture
def other(place: Place) -> str:
    """A second namespace in which the same account may run, with one stream to import."""
    namespace = place.sandbox.create_namespace()
    place.sandbox.grant(namespace, "import-images", RUN, of=place.namespace)
    place.push("elsewhere", "one")
    place.sandbox.create_stream(namespace, "elsewhere", {"prod": place.source("elsewhere")})
    return namespace


def errors(done: Ended) -> list[tuple[str, str, str]]:
    return [(error["namespace"], error["stage"], error["reason"]) for error in done.report["errors"]]


def test_each_namespace_has_its_own_group(place: Place, other: str) -> None:
    place.imported("app")
    done = place.run(NAMESPACE=f"{place.namespace}, {other}")
    assert done.status == 0, done.stderr
    assert done.report["run"]["namespaces"] == [place.namespace, other]
    assert [(tag["namespace"], tag["stream"], tag["result"]) for tag in done.report["tags"]] == [
        (place.namespace, "app", "unchanged"),
        (other, "elsewhere", "updated"),
    ]
    for namespace, stream in ((place.namespace, "app"), (other, "elsewhere")):
        held = metrics_of(place.sandbox.pushgateway, stream_namespace=namespace, deployment="prod")
        assert {dict(labels)["stream"] for labels in held["tag_result"]} == {stream}


def test_forbidden_namespace_does_not_stop_the_others(place: Place, other: str) -> None:
    closed = place.sandbox.create_namespace()
    done = place.run(NAMESPACE=f"{closed},{other}")
    assert done.status == 1, done.stderr
    ((namespace, _, reason),) = errors(done)
    assert (namespace, reason) == (closed, "forbidden")
    assert [tag["result"] for tag in done.report["tags"]] == ["updated"]
    (error,) = done.report["errors"]
    assert closed in error["message"]
    assert sum(closed in line for line in done.stderr.splitlines() if "error" in line) >= 1
    assert done.report["run"]["outcome"] == "partial"
    held = metrics_of(place.sandbox.pushgateway, stream_namespace=other, deployment="prod")
    assert held["run_outcome"][(("outcome", "success"),)] == 1


def test_right_to_list_that_is_missing_is_named(place: Place) -> None:
    poor = Place(place.sandbox, without("imagestreams", "list"))
    poor.push("app", "one")
    poor.stream("app")
    done = poor.run()
    assert done.status == 3, done.stderr
    assert errors(done) == [(poor.namespace, "list", "forbidden")]
    assert "imagestreams" in done.report["errors"][0]["message"]
    assert poor.imports() == []


def test_right_to_import_that_is_missing_is_status_3(place: Place) -> None:
    poor = Place(place.sandbox, without("imagestreamimports", "create"))
    poor.push("app", "one")
    poor.stream("app")
    done = poor.run()
    assert done.status == 3, done.stderr
    assert done.results == {"app:prod": "failed forbidden"}
    tag = done.tags["app:prod"]
    assert tag["by"] == "api"
    assert "imagestreamimports" in tag["message"]
    assert tag["attempts"] == 1


def test_right_to_describe_images_that_is_missing_is_a_warning(place: Place) -> None:
    poor = Place(place.sandbox, without("imagestreamimages", "get"))
    for name in ("one", "two"):
        poor.imported(name, "old")
        poor.push(name, "new")
    # Both are asked for before either is refused.
    poor.fault("imagestreamimages/", latency=0.5)
    done = poor.run()
    assert done.status == 0
    assert done.results == {"one:prod": "updated", "two:prod": "updated"}
    assert done.tags["one:prod"]["before"]["created"] is None
    assert sum("imagestreamimages" in line for line in done.stderr.splitlines()) == 1


# A list that breaks between its pages


@pytest.fixture
def crowd(place: Place) -> Place:
    """More streams than one page; what is to be imported is on both."""
    place.push("app", "one")
    for name in ("aaa", "zzz"):
        place.stream(name, {"prod": place.source("app")})
    for number in range(500):
        place.sandbox.create_stream(place.namespace, f"s{number:03}")
    return place


def test_list_that_breaks_once_is_begun_anew(crowd: Place) -> None:
    # The tokens of the first page are too old when the second is asked for, as after a compaction: 410.
    # The first request is the check that there is something to import.
    crowd.fault("imagestreams$", "GET", after=2, times=1, expire_continue=True)
    crowd.sandbox.clear_log()
    done = crowd.run()
    assert done.status == 0, done.stderr
    assert done.results == {"aaa:prod": "updated", "zzz:prod": "updated"}
    pages = crowd.requests("GET", "imagestreams$")
    assert [("continue" in page["query"], page["status"]) for page in pages] == [
        (False, 200),
        (False, 200),
        (True, 410),
        (False, 200),
        (True, 200),
    ]


@pytest.mark.parametrize("alone", [True, False])
def test_list_that_breaks_twice_imports_nothing_there(crowd: Place, other: str, alone: bool) -> None:
    status = {"code": 500, "message": "etcd is away"}
    crowd.fault("imagestreams$", "GET", after=1, times=1, status=status)
    crowd.fault("imagestreams$", "GET", after=3, times=1, status=status)
    done = crowd.run(NAMESPACE=crowd.namespace if alone else f"{crowd.namespace},{other}")
    assert done.status == (3 if alone else 1), done.stderr
    assert errors(done) == [(crowd.namespace, "list", "api_error")]
    assert "etcd is away" in done.report["errors"][0]["message"]
    assert crowd.imports() == []
    assert {tag["namespace"] for tag in done.report["tags"]} == (set() if alone else {other})
    assert done.report["run"]["outcome"] == ("failure" if alone else "partial")


# No cluster


def test_unreachable_cluster_is_one_clear_line(place: Place) -> None:
    done = place.run(HOST="http://127.0.0.1:1", RETRIES="0")
    assert done.status == 3, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "127.0.0.1:1" in line and "error" in line]
    assert "refused" in line
    assert place.namespace in line


@pytest.mark.parametrize("command", ["run", "plan"])
def test_refused_token_is_status_3(place: Place, command: str) -> None:
    done = place.run(command, TOKEN="not-the-token")
    assert done.status == 3, done.stderr
    assert [reason for _, _, reason in errors(done)] == ["unauthorized"]
    assert "not-the-token" not in done.stdout + done.stderr


def test_namespace_that_does_not_exist_is_told(place: Place, other: str) -> None:
    place.sandbox.create(
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        {
            "metadata": {"name": f"everywhere-{place.namespace}"},
            "rules": list(RUN),
        },
    )
    place.sandbox.create(
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {
            "metadata": {"name": f"everywhere-{place.namespace}"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": f"everywhere-{place.namespace}",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "import-images", "namespace": place.namespace}],
        },
    )
    done = place.run(NAMESPACE=f"no-such-namespace,{other}")
    assert done.status == 1, done.stderr
    ((namespace, _, reason),) = errors(done)
    assert (namespace, reason) == ("no-such-namespace", "not_found")
