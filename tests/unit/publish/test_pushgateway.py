"""Metrics on their way to a gateway that does not behave."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from job.config.settings import GatewaySettings, read_settings
from job.domain.model import Outcome, Reason, Report, RunError, Stage
from job.publish.metric_families import PREFIX, RUN_FAMILIES
from job.publish.pushgateway import Gateway, push
from tests.unit.reports import FINISHED, NAMESPACE, failed, report_of, tag_result, unlisted

PATH = "/metrics/job/import-images/deployment/prod/stream_namespace/packit-prod"
GROUP = {"job": "import-images", "stream_namespace": NAMESPACE, "deployment": "prod"}
JSON = dict[str, Any]


@dataclass
class Request:
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: str

    @property
    def families(self) -> set[str]:
        """The names of the families that were pushed, without prefix."""
        return {family.name.removeprefix(PREFIX) for family in text_string_to_metric_families(self.body)}

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of a family by their label values in the order of the labels' names."""
        return {
            tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
            for family in text_string_to_metric_families(self.body)
            if family.name == PREFIX + name
            for sample in family.samples
        }


class Handler(BaseHTTPRequestHandler):
    """Answers by the server's script."""

    protocol_version = "HTTP/1.1"
    server: Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self.server.requests.append(
            Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        )
        script = self.server.reads if self.command == "GET" else self.server.pushes
        (script.popleft() if script else self.server.usual[self.command])(self)

    do_GET = do_PUT = do_POST = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


Answer = Callable[[Handler], None]


def says(status: int, body: str = "", **headers: str) -> Answer:
    """An answer of that status."""

    def answer(handler: Handler) -> None:
        data = body.encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def resets(handler: Handler) -> None:
    """The connection ends without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def breaks_off(body: str) -> Answer:
    """An answer that ends too early."""

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) + 1000))
        handler.end_headers()
        handler.wfile.write(body.encode())
        handler.wfile.flush()
        resets(handler)

    return answer


class Server(ThreadingHTTPServer):
    """A gateway that does what it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Request] = []
        self.reads: deque[Answer] = deque()
        self.pushes: deque[Answer] = deque()
        self.usual: dict[str, Answer] = dict.fromkeys(("PUT", "POST", "DELETE"), says(200))
        self.usual["GET"] = says(200, '{"status": "success", "data": []}')
        self.let_go = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def sent(self) -> list[Request]:
        return [request for request in self.requests if request.method != "GET"]

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.requests]

    def hangs(self, handler: Handler) -> None:
        """No answer until the test is over."""
        self.let_go.wait(10)
        handler.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("job.publish.pushgateway.backoff", lambda *told: 0.0)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.let_go.set()
    server.shutdown()
    thread.join()
    server.server_close()


class Logged:
    """What was logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def at(self, level: int) -> list[str]:
        return [record.getMessage() for record in self._caplog.records if record.levelno == level]

    @property
    def text(self) -> str:
        return "\n".join(record.getMessage() for record in self._caplog.records)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Logged:
    caplog.set_level(logging.INFO, logger="job")
    return Logged(caplog)


def push_to(server: Server, report: Report, *, narrowed: bool = False, **settings: Any) -> None:
    gateway = Gateway(GatewaySettings(**{"url": server.url, **settings}))
    try:
        push(report, gateway, {}, narrowed=narrowed)
    finally:
        gateway.close()


def answer_of(*samples: tuple[JSON, str, float]) -> Answer:
    """What a Pushgateway says it has: labels of the group and the sample, family without prefix, value."""
    groups = [
        {
            "labels": {label: labels[label] for label in GROUP if label in labels},
            "last_push_successful": True,
            PREFIX + name: {
                "time_stamp": "2026-11-17T02:00:20Z",
                "type": "GAUGE",
                "help": "",
                "metrics": [{"labels": {"instance": "", **labels}, "value": str(value)}],
            },
            "push_time_seconds": {"type": "GAUGE", "metrics": [{"labels": {"instance": ""}, "value": "1.7e9"}]},
        }
        for labels, name, value in samples
    ]
    return says(200, json.dumps({"status": "success", "data": groups}))


TAG = {"stream": "packit-service", "tag": "prod"}
WHOLE = report_of(tag_result())
PARTIAL = report_of(tag_result(), failed(), outcome=Outcome.PARTIAL, exit_status=1)


class TestPushing:
    def test_a_run_replaces_its_group_as_a_whole(self, server: Server) -> None:
        push_to(server, WHOLE)
        assert server.methods == ["GET", "PUT"]
        (put,) = server.sent
        assert put.path == PATH
        assert put.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert {"build_info", "tag_result", "run_outcome"} <= put.families

    def test_without_a_deployment_the_group_has_none(self, server: Server) -> None:
        push_to(server, report_of(deployment=None))
        assert server.sent[0].path == "/metrics/job/import-images/stream_namespace/packit-prod"

    def test_every_namespace_has_its_group(self, server: Server) -> None:
        push_to(server, unlisted())
        assert [request.path.rpartition("/")[2] for request in server.sent] == [NAMESPACE, "other"]

    def test_an_address_may_have_a_path(self, server: Server) -> None:
        push_to(server, WHOLE, url=server.url + "/push")
        assert server.sent[0].path == "/push" + PATH

    @pytest.mark.parametrize(
        ("settings", "header"),
        [
            ({"token": "hunter2"}, "Bearer hunter2"),
            ({"username": "me", "password": "p:w"}, "Basic " + base64.b64encode(b"me:p:w").decode()),
            ({"username": "me"}, "Basic " + base64.b64encode(b"me:").decode()),
        ],
    )
    def test_every_request_carries_the_login(self, server: Server, settings: JSON, header: str) -> None:
        push_to(server, WHOLE, **settings)
        assert [request.headers.get("authorization") for request in server.requests] == [header, header]

    def test_any_login_that_the_settings_take_can_be_sent(self, server: Server, logged: Logged) -> None:
        address = server.url.replace("http://", "http://%E2%82%AC:p%C3%A4ss@")
        gateway = read_settings({}, [], {"PUSHGATEWAY_ADDRESS": address}).gateway
        assert gateway
        push_to(server, WHOLE, url=gateway.url, username=gateway.username, password=gateway.password)
        assert logged.at(logging.ERROR) == []

    def test_one_namespaces_failure_does_not_keep_the_others_from_being_pushed(
        self, server: Server, logged: Logged
    ) -> None:
        server.pushes.append(says(400))
        push_to(server, unlisted())
        assert len(server.sent) == 2
        assert len(logged.at(logging.ERROR)) == 1


class TestWhatIsPushed:
    def test_when_the_cluster_could_not_be_used_only_that_is_added(self, server: Server) -> None:
        report = report_of(failed(), outcome=Outcome.FAILURE, exit_status=3)
        push_to(server, report)
        assert server.methods == ["POST"]
        assert server.sent[0].families == set(RUN_FAMILIES)

    def test_when_nothing_matched_the_group_has_no_tags(self, server: Server) -> None:
        error = RunError(NAMESPACE, Stage.SELECT, Reason.NOT_FOUND, "nothing matches")
        push_to(server, report_of(outcome=Outcome.FAILURE, exit_status=2, errors=(error,)))
        assert server.sent[0].method == "PUT"
        assert not any(name.startswith("tag_") for name in server.sent[0].families)

    def test_when_another_run_holds_the_lock_nothing_is_pushed(self, server: Server) -> None:
        push_to(server, report_of(outcome=Outcome.LOCKED, exit_status=4))
        assert server.requests == []

    @pytest.mark.parametrize("status", [2, 3])
    def test_a_narrowed_run_that_did_nothing_pushes_nothing(self, server: Server, status: int) -> None:
        push_to(server, report_of(outcome=Outcome.FAILURE, exit_status=status), narrowed=True)
        assert server.requests == []

    def test_what_the_gateway_had_is_carried_over(self, server: Server) -> None:
        server.reads.append(
            answer_of(
                (GROUP, "last_success_timestamp_seconds", 5.0),
                ({**GROUP, **TAG}, "tag_last_success_timestamp_seconds", 6.0),
                ({**GROUP, **TAG}, "tag_failed_runs", 7.0),
            )
        )
        push_to(server, PARTIAL)
        (put,) = server.sent
        assert put.method == "PUT"
        assert put.values("last_success_timestamp_seconds") == {(): 5.0}
        assert put.values("tag_last_success_timestamp_seconds")["packit-service", "prod"] == 6.0
        assert put.values("tag_failed_runs") == {("packit-service", "prod"): 8.0}

    @pytest.mark.parametrize(
        "group",
        [
            {**GROUP, "stream_namespace": "other"},
            {**GROUP, "deployment": "stg"},
            {**GROUP, "job": "other"},
            {**GROUP, "shard": "1"},
            {"job": "import-images", "stream_namespace": NAMESPACE},
        ],
    )
    def test_what_other_groups_have_is_not(self, server: Server, group: JSON) -> None:
        server.reads.append(answer_of((group, "last_success_timestamp_seconds", 5.0)))
        push_to(server, PARTIAL)
        assert server.sent[0].values("last_success_timestamp_seconds") == {}

    @pytest.mark.parametrize("text", ["", 'a"b\\c\nd', "é😀", "{}[],:", "null", "metrics.item.value"])
    def test_any_label_is_carried_over_as_it_was(self, server: Server, text: str) -> None:
        labels = {**GROUP, **TAG, "digest": "sha256:1", "revision": text, "source": text}
        server.reads.append(answer_of((labels, "tag_image_info", 1.0)))
        push_to(server, report_of(tag_result()), narrowed=True)
        # By label name: digest, revision, source, stream, tag.
        assert ("sha256:1", text, text, "packit-service", "prod") in server.sent[0].values("tag_image_info")

    def test_a_namespace_that_could_not_be_listed_keeps_its_tags(self, server: Server) -> None:
        server.reads.append(answer_of(({**GROUP, **TAG, "result": "updated"}, "tag_result", 1.0)))
        push_to(server, unlisted())
        assert server.sent[0].values("tag_result") == {("updated", "packit-service", "prod"): 1.0}

    @pytest.mark.parametrize("value", ["NaN", "+Inf", "1e+300"])
    def test_any_number_is_read(self, server: Server, value: str) -> None:
        labels = {**GROUP, "code": "200"}
        family = {"type": "GAUGE", "metrics": [{"labels": labels, "value": value}]}
        server.reads.append(says(200, json.dumps({"data": [{PREFIX + "api_requests": family}]})))
        push_to(server, WHOLE, narrowed=True)
        assert server.sent[0].method == "PUT"


UNREADABLE: dict[str, Answer] = {
    "500": says(500, "broken"),
    "404": says(404),
    "no JSON": says(200, "<html>"),
    "nothing": says(200),
    "JSON cut short": says(200, '{"status": "success", "data": [{"import_images_tags": {"metr'),
    "an answer that breaks off": breaks_off('{"status": "success", "data": ['),
    "no answer": resets,
    "no number": says(
        200,
        json.dumps({"data": [{PREFIX + "tag_failed_runs": {"metrics": [{"labels": GROUP, "value": "many"}]}}]}),
    ),
}


class TestAPastThatCannotBeRead:
    @pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE.keys())
    def test_families_are_added_then_and_it_is_said(self, server: Server, logged: Logged, answer: Answer) -> None:
        server.usual["GET"] = answer
        push_to(server, WHOLE)
        assert {request.method for request in server.sent} == {"POST"}
        assert len(logged.at(logging.WARNING)) == 1
        assert logged.at(logging.ERROR) == []

    def test_all_that_the_run_knows_is_said(self, server: Server) -> None:
        server.usual["GET"] = says(500)
        push_to(server, WHOLE)
        assert {"tag_result", "tag_last_success_timestamp_seconds", "run_outcome"} <= server.sent[0].families

    def test_the_last_success_of_others_is_not_overwritten(self, server: Server) -> None:
        server.usual["GET"] = says(500)
        push_to(server, PARTIAL)
        assert "tag_last_success_timestamp_seconds" not in server.sent[0].families
        assert "last_success_timestamp_seconds" not in server.sent[0].families

    def test_how_often_a_tag_failed_in_a_row_is_not_made_up(self, server: Server) -> None:
        server.usual["GET"] = says(500)
        push_to(server, PARTIAL)
        assert "tag_failed_runs" not in server.sent[0].families

    def test_a_narrowed_run_says_only_that_it_ran(self, server: Server) -> None:
        server.usual["GET"] = says(500)
        push_to(server, WHOLE, narrowed=True)
        assert server.sent[0].families == {"last_run_timestamp_seconds"}
        assert server.sent[0].values("last_run_timestamp_seconds") == {(): FINISHED.timestamp()}

    def test_a_run_that_did_not_see_the_tags_says_nothing_of_them(self, server: Server) -> None:
        server.usual["GET"] = says(500)
        push_to(server, unlisted())
        assert not any(name.startswith("tag_") for name in server.sent[0].families)

    def test_for_several_namespaces_it_is_said_once(self, server: Server, logged: Logged) -> None:
        server.usual["GET"] = says(500)
        push_to(server, unlisted())
        assert len(logged.at(logging.WARNING)) == 1


class TestFailures:
    @pytest.mark.parametrize("answer", [says(500), says(503), says(429), resets], ids=["500", "503", "429", "reset"])
    def test_what_may_pass_is_tried_again(self, server: Server, logged: Logged, answer: Answer) -> None:
        server.pushes.extend([answer, answer])
        push_to(server, WHOLE)
        assert [request.method for request in server.sent] == ["PUT"] * 3
        assert logged.at(logging.ERROR) == []

    @pytest.mark.parametrize("answer", [says(500, "disk full"), resets], ids=["500", "reset"])
    def test_what_does_not_pass_is_an_error_of_the_log_alone(
        self, server: Server, logged: Logged, answer: Answer
    ) -> None:
        server.usual["PUT"] = answer
        push_to(server, WHOLE)
        assert len(server.sent) == 3
        (error,) = logged.at(logging.ERROR)
        assert NAMESPACE in error and server.url in error

    @pytest.mark.parametrize(
        ("status", "hint"),
        [
            (401, "PUSHGATEWAY_USERNAME"),
            (403, "may not push"),
            (404, "address of a Pushgateway"),
            (400, "HTTP 400"),
            (301, "redirects"),
            (307, "redirects"),
        ],
    )
    def test_a_refusal_is_not_repeated_and_says_what_to_do(
        self, server: Server, logged: Logged, status: int, hint: str
    ) -> None:
        server.usual["PUT"] = says(status, "text told")
        push_to(server, WHOLE)
        assert len(server.sent) == 1
        (error,) = logged.at(logging.ERROR)
        assert hint in error and "text told" in error

    def test_a_redirect_is_not_followed_with_the_login(self, server: Server) -> None:
        server.usual["PUT"] = says(307, Location=f"{server.url}/elsewhere")
        push_to(server, WHOLE, token="hunter2")
        assert [request.path for request in server.sent] == [PATH]

    def test_no_secret_is_logged(self, server: Server, logged: Logged) -> None:
        server.usual["GET"] = says(401)
        server.usual["POST"] = says(401, "Bearer hunter2 is wrong")
        push_to(server, WHOLE, token="hunter2")
        push_to(server, WHOLE, username="me", password="hunter2")
        assert "hunter2" not in logged.text
        assert base64.b64encode(b"me:hunter2").decode() not in logged.text

    def test_what_a_gateway_says_is_logged_as_one_line(self, server: Server, logged: Logged) -> None:
        server.usual["PUT"] = says(400, "a\nb\x1b[31m" * 10_000)
        push_to(server, WHOLE)
        (error,) = logged.at(logging.ERROR)
        assert "\n" not in error and "\x1b" not in error and len(error) < 500

    def test_a_gateway_that_hangs_is_given_up(
        self, server: Server, logged: Logged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("job.publish.pushgateway.READ_SECONDS", 0.02)
        server.usual = dict.fromkeys(server.usual, server.hangs)
        push_to(server, WHOLE)
        assert len(logged.at(logging.ERROR)) == 1

    def test_nobody_there_is_an_error_of_the_log_alone(self, server: Server, logged: Logged) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            push_to(server, WHOLE, url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        (error,) = logged.at(logging.ERROR)
        assert "refused" in error

    @pytest.mark.parametrize("url", ["http://no-such-host.invalid", "http://a..b", "http://" + "a" * 300])
    def test_a_name_that_is_none_is_an_error_of_the_log_alone(
        self, server: Server, logged: Logged, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(*told: Any, **more: Any) -> Any:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        push_to(server, WHOLE, url=url)
        assert len(logged.at(logging.ERROR)) == 1

    def test_certificates_that_are_none_are_an_error_of_the_log_alone(self, server: Server, logged: Logged) -> None:
        push_to(server, WHOLE, url=server.url.replace("http", "https"), ca_file=__file__)
        assert len(logged.at(logging.ERROR)) == 1


class TestSumming:
    def test_a_runs_share_is_added(self, server: Server) -> None:
        push_to(server, PARTIAL, aggregation=True)
        (post,) = server.requests
        assert (post.method, post.path) == ("POST", PATH)
        assert post.families == {"runs", "tag_imports", "import_seconds"}

    @pytest.mark.parametrize("answer", [resets, says(502), says(503), says(504)], ids=["reset", "502", "503", "504"])
    def test_what_may_have_been_taken_is_not_sent_again(self, server: Server, logged: Logged, answer: Answer) -> None:
        server.pushes.append(answer)
        push_to(server, WHOLE, aggregation=True)
        assert len(server.sent) == 1
        (error,) = logged.at(logging.ERROR)
        assert "may have been counted, so they are not sent again" in error

    def test_what_was_certainly_not_taken_is_said_to_be_so(self, server: Server, logged: Logged) -> None:
        server.usual["POST"] = says(400, "bad name")
        push_to(server, WHOLE, aggregation=True)
        (error,) = logged.at(logging.ERROR)
        assert "were not pushed" in error

    def test_what_was_refused_is_sent_again(self, server: Server, logged: Logged) -> None:
        server.pushes.append(says(429))
        push_to(server, WHOLE, aggregation=True)
        assert len(server.sent) == 2
        assert logged.at(logging.ERROR) == []
