"""Pushing to gateways that ask for a login, speak TLS, fail, or sum what they get."""

from __future__ import annotations

import base64
import re
import ssl
import urllib.request
from pathlib import Path

import pytest

from job.domain.model import Outcome
from tests.sandbox.programs import make_certificate
from tests.support.place import Ended, Place
from tests.support.servers import Answered, Asked, Sums, guarded_pushgateway, serving

PASSWORD = "secret-word"
# The password as a web configuration file holds it.
HASHED = "$2b$04$naNV48U7qumMR5TmVMBlzuBYFrF2Vj43Wh4VpNHRNg7qUmc6b0yOu"


def told(done: Ended) -> list[str]:
    """The lines that tell of a push that failed."""
    return [line for line in done.stderr.splitlines() if "not pushed" in line or "may have been counted" in line]


def read(url: str, context: ssl.SSLContext | None = None, login: str = "") -> str:
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    request = urllib.request.Request(f"{url}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return str(answer.read().decode())


def test_basic_authentication(place: Place, tmp_path: Path) -> None:
    place.imported("app")
    config = f"basic_auth_users:\n  pusher: '{HASHED}'\n"
    with guarded_pushgateway(tmp_path, config) as address:
        login = {"PUSHGATEWAY_USERNAME": "pusher", "PUSHGATEWAY_PASSWORD": PASSWORD}
        done = place.run(PUSHGATEWAY_ADDRESS=address, **login)
        assert (done.status, told(done)) == (0, [])
        assert place.namespace in read(f"http://{address}", login=f"pusher:{PASSWORD}")
        # What it has can be read back with the same login.
        place.import_fault("app", status={"code": 400})
        done = place.run(PUSHGATEWAY_ADDRESS=f"http://pusher:{PASSWORD}@{address}", RETRIES="0")
        assert (done.status, told(done)) == (1, [])
        text = read(f"http://{address}", login=f"pusher:{PASSWORD}")
        assert re.search(rf'tag_last_success_timestamp_seconds{{.*"{place.namespace}".*}}', text)
        wrong = place.run(PUSHGATEWAY_ADDRESS=address, PUSHGATEWAY_USERNAME="pusher", PUSHGATEWAY_PASSWORD="other-word")
    (line,) = told(wrong)
    assert "401" in line
    assert PASSWORD not in done.stdout + done.stderr
    assert "other-word" not in wrong.stdout + wrong.stderr


def test_tls_with_a_certificate_authority(place: Place, tmp_path: Path) -> None:
    place.imported("app")
    made = make_certificate(tmp_path)
    config = f"tls_server_config:\n  cert_file: {made.file}\n  key_file: {made.key}\n"
    with guarded_pushgateway(tmp_path, config) as address:
        url = f"https://{address}"
        done = place.run(PUSHGATEWAY_ADDRESS=url, PUSHGATEWAY_CA_FILE=str(made.file))
        assert (done.status, told(done)) == (0, [])
        context = ssl.create_default_context(cafile=str(made.file))
        assert place.namespace in read(url, context)
        unknown = place.run(PUSHGATEWAY_ADDRESS=url)
    assert unknown.status == 0
    (line,) = told(unknown)
    assert "certificate" in line


def test_bearer_token(place: Place) -> None:
    place.imported("app")

    def guard(asked: Asked) -> Answered | None:
        return None if asked.headers.get("Authorization") == "Bearer word-of-mouth" else Answered(401)

    with serving(place.sandbox.pushgateway, guard) as server:
        done = place.run(PUSHGATEWAY_ADDRESS=server.address, PUSHGATEWAY_TOKEN="word-of-mouth")
        assert (done.status, told(done)) == (0, [])
        assert place.metrics()["tags"]
        wrong = place.run(PUSHGATEWAY_ADDRESS=server.address, PUSHGATEWAY_TOKEN="word-of-god")
    assert (wrong.status, len(told(wrong))) == (0, 1)
    for each in (done, wrong):
        assert "word-of" not in each.stdout + each.stderr


@pytest.mark.parametrize("code", [400, 401, 404, 500, 503])
def test_refused_push_never_changes_the_exit_status(place: Place, code: int) -> None:
    place.imported("app")
    with serving("", lambda _: Answered(code, b"no, said the gateway")) as server:
        done = place.run(PUSHGATEWAY_ADDRESS=server.url)
    assert done.status == 0
    (line,) = told(done)
    assert str(code) in line
    assert "error" in line
    assert server.url in line
    pushes = [method for method in server.methods() if method != "GET"]
    assert len(pushes) == (3 if code >= 500 else 1)


def test_gateway_that_is_not_there_never_changes_the_exit_status(place: Place) -> None:
    place.imported("app")
    done = place.run(PUSHGATEWAY_ADDRESS="http://127.0.0.1:1")
    assert done.status == 0
    (line,) = told(done)
    assert "error" in line
    assert "refused" in line


def test_push_is_tried_again(place: Place) -> None:
    place.imported("app")
    refused: list[Asked] = []

    def once(asked: Asked) -> Answered | None:
        if asked.method == "GET" or refused:
            return None
        refused.append(asked)
        return Answered(503)

    with serving(place.sandbox.pushgateway, once) as server:
        done = place.run(PUSHGATEWAY_ADDRESS=server.url)
    assert (done.status, told(done)) == (0, [])
    assert place.metrics()["tags"]


def test_no_gateway_is_said_once(place: Place) -> None:
    place.imported("app")
    done = place.run(PUSHGATEWAY_ADDRESS=None)
    assert done.status == 0
    assert sum("PUSHGATEWAY_ADDRESS" in line for line in done.stderr.splitlines()) == 1
    assert place.metrics() == {}


def test_path_before_the_gateway_is_kept(place: Place) -> None:
    place.imported("app")

    def below(asked: Asked) -> Answered | None:
        if not asked.path.startswith("/gateway/"):
            return Answered(404)
        asked.path = asked.path.removeprefix("/gateway")
        return None

    with serving(place.sandbox.pushgateway, below) as server:
        done = place.run(PUSHGATEWAY_ADDRESS=f"{server.url}/gateway/")
    assert told(done) == []
    assert place.metrics()["tags"]


def test_aggregation_gateway_gets_only_what_may_be_summed(place: Place, faulty: str) -> None:
    place.imported("app", "old")
    place.push("app", "new")
    place.stream("bad", {"prod": f"{faulty}/denied:prod"})
    place.stream("pin", {"prod": {"from": {"kind": "ImageStreamTag", "name": "app:prod"}}})
    sums = Sums()
    tag = ("stream_namespace", "deployment", "stream", "tag", "result")
    group = (place.namespace, "prod")
    with serving("", sums) as server:
        for runs in range(1, 11):
            done = place.run(PUSHGATEWAY_ADDRESS=server.url, GATEWAY="aggregation", RETRIES="0")
            assert (done.status, told(done)) == (1, [])
            if runs not in (1, 2, 10):
                continue
            # Every outcome and every tag's failures are there from the first run, with 0 until it happens.
            assert sums.values("import_images_runs_total", "job", "stream_namespace", "deployment", "outcome") == {
                ("import-images", *group, str(outcome)): runs * (outcome is Outcome.PARTIAL) for outcome in Outcome
            }
            imports = {
                (*group, "app", "prod", "updated"): 1.0,
                (*group, "app", "prod", "unchanged"): runs - 1.0,
                (*group, "bad", "prod", "failed"): float(runs),
                (*group, "pin", "prod", "skipped"): float(runs),
            }
            none_failed = {(*group, name, "prod", "failed"): 0.0 for name in ("app", "pin")}
            happened = {key: value for key, value in imports.items() if value}
            assert sums.values("import_images_tag_imports_total", *tag) == happened | none_failed
            assert sums.values("import_images_import_seconds_count", "deployment") == {("prod",): 2 * runs}
            buckets = sums.values("import_images_import_seconds_bucket", "le")
            assert buckets[("+Inf",)] == 2 * runs
            counts = [buckets[key] for key in sorted(buckets, key=lambda key: float(key[0]))]
            assert counts == sorted(counts)
    assert set(sums.kinds.values()) == {"counter", "histogram"}
    assert {name for name, _ in sums.series} == {
        "import_images_runs_total",
        "import_images_tag_imports_total",
        "import_images_import_seconds_bucket",
        "import_images_import_seconds_count",
        "import_images_import_seconds_sum",
    }
    assert not any(b"_created" in each.body for each in server.asked)
    # What sums cannot be asked what it has, and what it took must not be sent twice.
    assert server.methods() == ["POST"] * 10


def test_aggregation_gateway_is_not_sent_twice_what_it_may_have_taken(place: Place) -> None:
    place.imported("app")
    sums = Sums()

    def lose_the_answer(asked: Asked) -> Answered | None:
        sums(asked)
        raise ConnectionAbortedError

    with serving("", lose_the_answer) as server:
        done = place.run(PUSHGATEWAY_ADDRESS=server.url, GATEWAY="aggregation")
    assert (done.status, len(told(done))) == (0, 1)
    assert sums.values("import_images_runs_total", "outcome") == {
        (str(outcome),): float(outcome is Outcome.SUCCESS) for outcome in Outcome
    }


def test_pushgateway_is_never_sent_a_created_series(place: Place) -> None:
    place.imported("app")
    with serving(place.sandbox.pushgateway) as server:
        place.run(PUSHGATEWAY_ADDRESS=server.url)
    (asked,) = [each for each in server.asked if each.method == "PUT"]
    assert b"_created " not in asked.body
    assert b"_created{" not in asked.body
    assert b"import_images_build_info" in asked.body
