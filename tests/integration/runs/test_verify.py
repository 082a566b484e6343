"""VERIFY: queries to a real Prometheus after rollouts, whose answers change while they are asked."""

from __future__ import annotations

import json
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attacks.test_tls import certificate
from tests.integration.monitoring.prometheus import Prometheus, prometheus
from tests.sandbox.client import Sandbox, until
from tests.sandbox.status import Json
from tests.support.place import Ended, Place, ended
from tests.support.rights import ROLL_BACK
from tests.support.servers import Answered, Asked, Server, serving
from tests.support.tiers import slow

ONE_GATES = slow("each is a whole run; one of its kind gates")
TOKEN = "planted-prometheus-token-7c1e"


@pytest.fixture(scope="module")
def metrics(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the sandbox's Pushgateway."""
    folder = tmp_path_factory.mktemp("verify") / "prometheus"
    gateway = sandbox.pushgateway.removeprefix("http://")
    with prometheus(folder, gateway, "honored", {"groups": []}) as server:
        yield server


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def set_value(place: Place, metrics: Prometheus, value: float | None) -> None:
    """Let the service's metric have a value, or none, and wait until Prometheus knows."""
    url = f"{place.sandbox.pushgateway}/metrics/job/service/service/{place.namespace}"
    body = f"service_good {value}\n".encode()
    request = urllib.request.Request(url, body, method="PUT") if value is not None else None
    request = request or urllib.request.Request(url, method="DELETE")
    urllib.request.urlopen(request, timeout=10).close()
    wanted = [] if value is None else [value]
    until(lambda: list(metrics.ask(expression(place)).values()) == wanted, told=f"{value} in Prometheus")


def expression(place: Place) -> str:
    return f'service_good{{service="{place.namespace}"}}'


def settings(place: Place, metrics: Prometheus, seconds: str = "2s", **more: str) -> dict[str, str]:
    verify = {"VERIFY": f"good: {expression(place)} > bool 0.5", "VERIFY_FOR": seconds, "PROMETHEUS_URL": metrics.url}
    return {**verify, "ROLLOUT_STABLE": "200ms", **more}


def follower(place: Place, name: str = "web", wave: int | None = None) -> tuple[str, str]:
    """A workload on a tag, whose registry has something newer; the digests of both images."""
    old = place.imported(name, f"{name} old")
    if wave is not None:
        path = f"/apis/image.openshift.io/v1/namespaces/{place.namespace}/imagestreams/{name}"
        place.sandbox.patch(path, {"metadata": {"annotations": {"import-images.dev/wave": str(wave)}}})
    place.sandbox.create_workload(place.namespace, "Deployment", name, tag=f"{name}:prod")
    until(lambda: place.images(name) == {old})
    return old, place.push(name, f"{place.namespace} {name} new")


def query(done: Ended) -> Json:
    [found] = done.report["queries"]
    assert isinstance(found, dict)
    return found


def rollouts(done: Ended) -> list[str]:
    return [each["result"] for each in done.report["rollouts"]]


@contextmanager
def changing(place: Place, metrics: Prometheus, answers: int = 2) -> Iterator[str]:
    """The address of a Prometheus where the query becomes false after so many answers to the job."""

    def change() -> None:
        until(lambda: len(server.asked) >= answers)
        set_value(place, metrics, 0)

    with serving(metrics.url) as server:
        thread = threading.Thread(target=change)
        thread.start()
        yield server.url
        thread.join()


def test_what_stays_true_is_good(place: Place, metrics: Prometheus) -> None:
    _, new = follower(place)
    set_value(place, metrics, 0.9)
    done = place.run(**settings(place, metrics))
    assert (done.status, done.results, rollouts(done)) == (0, {"web:prod": "updated"}, ["healthy"]), done.stderr
    assert (query(done)["name"], query(done)["result"], query(done)["wave"]) == ("good", "passed", 0)
    assert place.current("web") == new
    readings = query(done)["readings"]
    assert len(readings) >= 5
    assert all(reading["true"] and reading["samples"][0]["value"] == 1 for reading in readings)
    assert f'service="{place.namespace}"' in readings[0]["samples"][0]["series"]
    [verdict] = done.tags["web:prod"]["gates"]
    assert (verdict["gate"], verdict["verdict"], verdict["digest"]) == ("verify", "passed", new)


def test_what_becomes_false_is_rolled_back(place: Place, metrics: Prometheus) -> None:
    old, new = follower(place)
    set_value(place, metrics, 0.9)
    with changing(place, metrics) as url:
        done = place.run(**settings(place, metrics, "8s", ON_BAD_ROLLOUT="rollback", PROMETHEUS_URL=url))
    assert (done.status, done.results) == (5, {"web:prod": "rolled_back"}), done.stderr
    assert place.current("web") == old
    assert rollouts(done) == ["failed", "healthy"]
    assert "query good false after" in done.report["rollouts"][0]["message"]
    assert [reading["true"] for reading in query(done)["readings"]][-1] is False
    assert query(done)["readings"][0]["true"] is True
    assert done.tags["web:prod"]["gates"][0]["verdict"] == "held"
    until(lambda: place.images("web") == {old})
    # It is held and known to be bad, so that no run brings it back.
    rules = place.sandbox.get(f"/api/v1/namespaces/{place.namespace}/configmaps/import-images-rules")
    assert new in json.dumps(rules)
    assert place.run(**settings(place, metrics)).results == {"web:prod": "skipped held"}


@ONE_GATES
def test_what_is_false_stays_bad_until_it_is_true(place: Place, metrics: Prometheus) -> None:
    _, new = follower(place)
    set_value(place, metrics, 0)
    done = place.run(**settings(place, metrics))
    assert (done.status, rollouts(done), place.current("web")) == (5, ["failed"], new), done.stderr
    again = place.run(**settings(place, metrics))
    assert (again.status, again.results) == (5, {"web:prod": "unchanged"}), again.stderr
    assert (rollouts(again), query(again)["wave"]) == (["failed"], None)
    set_value(place, metrics, 1)
    good = place.run(**settings(place, metrics))
    assert (good.status, rollouts(good)) == (0, ["healthy"]), good.stderr
    # Once it was good nothing is asked any more.
    assert place.run(**settings(place, metrics)).report["queries"] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "no data"),
        pytest.param({"VERIFY": "good: vector(0)/vector(0)"}, "a value is not a number", marks=ONE_GATES),
        pytest.param({"VERIFY": "good: sum("}, "HTTP 400", marks=ONE_GATES),
        pytest.param({"VERIFY": 'good: "text"'}, "the query returns a string", marks=ONE_GATES),
        ({"PROMETHEUS_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9: Connection refused"),
        pytest.param({"PROMETHEUS_URL": "{gateway}"}, "is it the address of a Prometheus?", marks=ONE_GATES),
    ],
)
def test_no_clear_answer_is_never_good(place: Place, metrics: Prometheus, changes: dict[str, str], words: str) -> None:
    """Nothing is rolled back for it either: the image may be fine."""
    _, new = follower(place, wave=0)
    later, _ = follower(place, "later", wave=1)
    changes = {name: value.replace("{gateway}", place.sandbox.pushgateway) for name, value in changes.items()}
    done = place.run(**settings(place, metrics, "1s", **{"ON_BAD_ROLLOUT": "rollback", **changes}))
    assert (done.status, done.results) == (5, {"web:prod": "updated", "later:prod": "skipped wave"}), done.stderr
    assert (rollouts(done), query(done)["result"]) == (["unverified"], "inconclusive")
    assert words in query(done)["message"]
    assert words in done.report["rollouts"][0]["message"]
    assert (place.current("web"), place.current("later")) == (new, later)


@ONE_GATES
def test_a_wave_that_breaks_the_query_stops_the_later_ones(place: Place, metrics: Prometheus) -> None:
    follower(place, "first", wave=0)
    old, _ = follower(place, wave=1)
    later, _ = follower(place, "later", wave=2)
    set_value(place, metrics, 1)
    # The first wave asks five times.
    with changing(place, metrics, 7) as url:
        done = place.run(**settings(place, metrics, "4s", ON_BAD_ROLLOUT="rollback", PROMETHEUS_URL=url))
    assert done.results == {"first:prod": "updated", "web:prod": "rolled_back", "later:prod": "skipped wave"}, (
        done.stderr
    )
    assert [(each["wave"], each["result"]) for each in done.report["queries"]] == [(0, "passed"), (1, "failed")]
    assert (place.current("web"), place.current("later")) == (old, later)


@ONE_GATES
def test_bad_rollouts_are_not_asked_about(place: Place, metrics: Prometheus) -> None:
    old, new = follower(place)
    place.sandbox.image_behaves(new, "crash")
    set_value(place, metrics, 0)
    done = place.run(**settings(place, metrics, ON_BAD_ROLLOUT="rollback", ROLLOUT_TIMEOUT="20s"))
    assert (done.status, done.results, place.current("web")) == (5, {"web:prod": "rolled_back"}, old), done.stderr
    assert done.report["queries"] == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answered(200, b"x" * 2_000_000), "larger than 1000000 bytes"),
        pytest.param(Answered(200, b"[" * 100_000), "HTTP 200", marks=ONE_GATES),
        pytest.param(Answered(302, headers={"Location": "http://127.0.0.1:9/"}), "HTTP 302", marks=ONE_GATES),
        (Answered(503, b'{"status": "error", "error": "\\u001b[31m' + TOKEN.encode() + b'"}'), "HTTP 503: [31m***"),
    ],
    ids=["huge", "deep", "elsewhere", "error"],
)
def test_a_hostile_one_is_no_more_than_no_answer(
    place: Place, metrics: Prometheus, answer: Answered, words: str
) -> None:
    follower(place)
    with serving("", lambda asked: answer) as server:
        given = {"PROMETHEUS_URL": server.url, "PROMETHEUS_TOKEN": TOKEN}
        done = place.run(**{**settings(place, metrics, "1s"), **given})
    assert (done.status, rollouts(done)) == (5, ["unverified"]), done.stderr
    assert words in query(done)["message"]
    assert "NO TLS" not in done.stderr


def test_a_stop_ends_it(place: Place, metrics: Prometheus) -> None:
    follower(place)
    set_value(place, metrics, 1)
    with (
        serving(metrics.url) as server,
        place.running(**settings(place, metrics, "10m", PROMETHEUS_URL=server.url)) as process,
    ):
        until(lambda: server.asked, told="a query")
        process.terminate()
        done = ended(process)
    assert done.status == 6, done.stderr
    assert (query(done)["result"], rollouts(done)) == ("inconclusive", ["aborted"])


@contextmanager
def thanos(metrics: Prometheus, folder: Path) -> Iterator[tuple[Server, Path]]:
    """What stands before the Prometheus of OpenShift: TLS of the cluster's own, a token, and one namespace."""
    pair = certificate(folder, "service-ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.file, pair.key)

    def proxy(asked: Asked) -> Answered | None:
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answered(401, b"Unauthorized")
        return None if "namespace=shop&" in asked.path else Answered(403, b"Forbidden")

    with serving(metrics.url, proxy, tls=context) as server:
        yield server, pair.file


@pytest.mark.parametrize(
    "how",
    ["file", "untrusted", *(pytest.param(each, marks=ONE_GATES) for each in ("token", "wrong", "another namespace"))],
)
def test_openshift_s_own_by_token_and_service_ca(place: Place, metrics: Prometheus, tmp_path: Path, how: str) -> None:
    follower(place)
    set_value(place, metrics, 1)
    with thanos(metrics, tmp_path) as (server, authority):
        namespace = "other" if how == "another namespace" else "shop"
        login = {"PROMETHEUS_TOKEN": TOKEN, "PROMETHEUS_CA_FILE": str(authority)}
        if how == "file":
            (tmp_path / "token").write_text(f"{TOKEN}\n")
            login = {"PROMETHEUS_TOKEN_FILE": str(tmp_path / "token"), "PROMETHEUS_CA_FILE": str(authority)}
        elif how == "wrong":
            login["PROMETHEUS_TOKEN"] = "planted-but-wrong"
        elif how == "untrusted":
            del login["PROMETHEUS_CA_FILE"]
        url = f"https://{server.address}?namespace={namespace}"
        done = place.run("-v", **{**settings(place, metrics, "1s"), "PROMETHEUS_URL": url, **login})
    assert TOKEN not in done.stdout + done.stderr
    expected = {"wrong": "HTTP 401", "another namespace": "HTTP 403", "untrusted": "its certificate is not trusted"}
    if how in expected:
        assert (done.status, rollouts(done)) == (5, ["unverified"]), done.stderr
        assert expected[how] in query(done)["message"]
        assert how != "untrusted" or server.asked == []
    else:
        assert (done.status, rollouts(done)) == (0, ["healthy"]), done.stderr
        # Without what a part of Thanos cannot answer, a sum of errors would be too small.
        assert all("&partial_response=false&query=" in asked.path for asked in server.asked)


def test_doctor_asks_them_once(place: Place, metrics: Prometheus, tmp_path: Path) -> None:
    place.imported("web")
    set_value(place, metrics, 1)
    good = expression(place)
    queries = {
        "true": (good, None),
        "false": (f"{good} > bool 2", "gate-query-false"),
        "silent": (f"{good} > 2", "gate-query-no-answer"),
        "nan": ("0 / 0", "gate-query-no-answer"),
        "broken": (f"{good} > (", "gate-query-invalid"),
        "range": (f"{good}[5m]", "gate-query-invalid"),
        "text": ('"good"', "gate-query-invalid"),
    }

    def findings(**changes: str) -> dict[str, str]:
        done = place.run("doctor", **{**settings(place, metrics), **changes})
        assert TOKEN not in done.stdout + done.stderr
        return {each["where"]: each["check"] for each in done.report["findings"] if each["check"].startswith("gate-")}

    text = "; ".join(f"{name}: {query}" for name, (query, _) in queries.items())
    assert findings(VERIFY=text) == {f"query {name}": check for name, (_, check) in queries.items() if check}
    with thanos(metrics, tmp_path) as (server, authority):
        url, whom = f"https://{server.address}?namespace=shop", f"Prometheus https://{server.address}"
        refused = findings(PROMETHEUS_URL=url, PROMETHEUS_CA_FILE=str(authority), PROMETHEUS_TOKEN="planted-but-wrong")
        assert refused == {whom: "gate-prometheus-refuses"}
        assert findings(PROMETHEUS_URL=url, PROMETHEUS_TOKEN=TOKEN) == {whom: "gate-prometheus-unreachable"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"VERIFY": "good"}, "VERIFY: 'good' is not NAME: PROMQL"),
        ({"VERIFY": "good: up", "PROMETHEUS_URL": None}, "VERIFY: set without PROMETHEUS_URL"),
        ({"PROMETHEUS_URL": f"https://me:{TOKEN}@host"}, "PROMETHEUS_URL: holds a login; set PROMETHEUS_TOKEN"),
        ({"PROMETHEUS_TOKEN": TOKEN, "PROMETHEUS_TOKEN_FILE": "/etc/hostname"}, "choose one of them"),
        ({"PROMETHEUS_TOKEN": f"{TOKEN}\n{TOKEN}"}, "holds a character that it cannot have"),
    ],
)
def test_bad_settings_are_found_before_anything_is_touched(
    place: Place, metrics: Prometheus, given: dict[str, str | None], words: str
) -> None:
    done = place.run(**{**settings(place, metrics), **given})
    assert done.status == 2
    assert words in done.stderr
    assert TOKEN not in done.stderr
    assert place.requests() == []


def test_without_it_nothing_is_asked(place: Place, metrics: Prometheus) -> None:
    follower(place)
    with serving(metrics.url) as server:
        done = place.run(PROMETHEUS_URL=server.url, WATCH_ROLLOUTS="true")
        assert (done.status, server.asked, done.report["queries"]) == (0, [], [])
