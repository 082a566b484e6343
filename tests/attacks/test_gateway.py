"""A hostile Pushgateway: whatever it answers, a run ends as it would without it, within its memory and its time."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from job.config.settings import GatewaySettings
from job.doctor.gateway_probe import probe
from job.publish import gateway_answer
from job.publish.pushgateway import Gateway, push
from job.runtime.background import call_within
from tests.unit.reports import report_of, tag_result

Body = Callable[[], Iterator[bytes]]
HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
PREFIX = b'{"status":"success","data":[{"labels":{},"import_images_tag_failed_runs":{"metrics":['


class Hostile:
    """A server that takes every push, and answers a GET with bytes of its choice for as long as somebody reads."""

    def __init__(self, answer: Body) -> None:
        self.methods: list[str] = []
        self.sent = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            method = stream.readline().split()[0].decode()
            self.methods.append(method)
            length = 0
            while (line := stream.readline().strip()) and b":" in line:
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            stream.read(length)
            if method != "GET":
                connection.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
                return
            for part in self._answer():
                connection.sendall(part)
                self.sent += len(part)


@contextmanager
def hostile(answer: Body) -> Iterator[Hostile]:
    server = Hostile(answer)
    try:
        yield server
    finally:
        server.close()


def forever(start: bytes, part: bytes) -> Body:
    def answer() -> Iterator[bytes]:
        yield HEAD + b"\r\n" + start
        chunk = part * (65536 // len(part) + 1)
        while True:
            yield chunk

    return answer


def sample(number: int, namespace: str = "packit-prod") -> bytes:
    labels = {"job": "import-images", "stream_namespace": namespace, "deployment": "prod"}
    more = {"stream": f"s{number}", "tag": "prod"}
    return json.dumps({"labels": {**labels, **more}, "value": "1"}).encode() + b","


def endless_samples(namespace: str = "packit-prod") -> Body:
    """Series that look like the run's own."""

    def answer() -> Iterator[bytes]:
        yield HEAD + b"\r\n" + PREFIX
        for number in range(10**9):
            yield sample(number, namespace)

    return answer


BOMB = gzip.compress(b" " * (64 << 20))


def unasked_gzip() -> Iterator[bytes]:
    yield HEAD + b"Content-Encoding: gzip\r\n\r\n" + BOMB


ENDLESS: dict[str, Body] = {
    "a text": forever(b'{"data":[{"', b"x"),
    "escaped quotation marks": forever(b'{"data":[{"', rb"\""),
    "a label": forever(PREFIX + b'{"labels":{"stream":"', b"x"),
    "blanks": forever(b"", b" "),
    "digits": forever(b'{"data":', b"1"),
    "depth": forever(b"", b"["),
    "depth with texts": forever(b"", b'{"a":'),
    "labels": forever(PREFIX + b'{"labels":{', b'"a":"b","c":"d",'),
    "other labels": forever(PREFIX + b'{"labels":{', b'"' + b"y" * 3000 + b'":"b",'),
    "samples": endless_samples(),
    "gzip": unasked_gzip,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ENDLESS)
def test_an_endless_answer_costs_little_and_the_push_goes_on(
    name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = report_of(tag_result())
    with hostile(ENDLESS[name]) as server:
        gateway = Gateway(GatewaySettings(server.url))
        tracemalloc.start()
        try:
            push(report, gateway, {}, narrowed=False)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            gateway.close()
        assert server.methods == ["GET", "POST"]
    assert peak < 24 << 20
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "cannot be read" in warning and len(warning) < 500


def test_an_answer_is_bounded_in_bytes_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = forever(b'{"data":[', b'{"labels":{}},')
    report = report_of(tag_result())
    for name, value in (("MOST_BYTES", 1 << 20), ("SECONDS", 0.5)):
        with monkeypatch.context() as patch, hostile(answer) as server:
            module = "job.publish.gateway_answer" if name == "MOST_BYTES" else "job.publish.pushgateway"
            patch.setattr(f"{module}.{name}", value)
            gateway = Gateway(GatewaySettings(server.url))
            push(report, gateway, {}, narrowed=False)
            gateway.close()
            assert server.sent < 100 << 20


def test_a_large_group_of_ours_is_read_whole() -> None:
    def answer() -> Iterator[bytes]:
        yield HEAD + b"\r\n" + PREFIX
        for number in range(3000):
            yield sample(number)
        yield sample(3000)[:-1] + b"]}}]}"

    report = report_of(*(tag_result(stream=f"s{number}") for number in range(3000)))
    with hostile(answer) as server:
        gateway = Gateway(GatewaySettings(server.url))
        push(report, gateway, {}, narrowed=False)
        gateway.close()
        assert server.methods == ["GET", "PUT"]


@pytest.mark.parametrize("part", [b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_answer_without_an_end_does_not_hold_the_run(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer() -> Iterator[bytes]:
        while True:
            yield part
            time.sleep(0.01)

    with hostile(answer) as server:
        gateway = Gateway(GatewaySettings(server.url))
        began = time.monotonic()
        monkeypatch.setattr("job.publish.pushgateway.SECONDS", 30)
        assert not call_within(0.5, lambda: push(report_of(tag_result()), gateway, {}, narrowed=False), "push")
        assert time.monotonic() - began < 5


def test_a_call_that_ends_is_as_without_a_watchdog() -> None:
    assert call_within(5, lambda: None, "nothing")
    with pytest.raises(ValueError, match="mine"):
        call_within(5, lambda: int("mine"), "fails")


@pytest.mark.parametrize("name", ["blanks", "a text"])
def test_the_probe_of_doctor_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.doctor.gateway_probe._MOST_BYTES", 4 << 20)
    with hostile(ENDLESS[name]) as server:
        tracemalloc.start()
        try:
            found = probe(GatewaySettings(server.url))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert found.value is None
    assert peak < 4 << 20


def test_a_quotation_mark_between_two_pieces() -> None:
    """An escaped quotation mark does not end a text wherever the pieces part."""
    for cut in range(1, 30):
        data = b'{"a": "' + rb"x\"" * 10 + b'"}'
        body = gateway_answer._Body(None, 0.0)  # type: ignore[arg-type]
        body._check_tokens(data[:cut])
        body._check_tokens(data[cut:])
        assert body._token == 1, cut
