"""Servers between the job and what it talks to, and one that sums metrics as prom-aggregation-gateway does."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from prometheus_client.parser import text_string_to_metric_families

from tests.sandbox.client import Sandbox
from tests.sandbox.programs import Program, free_port, start_pushgateway

_PATIENCE = 15.0
_LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(slots=True)
class Asked:
    """One request, and the status it was answered with."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int = 0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Answered:
    """An answer in the place of the one that the server behind would give."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    # Waited for before the connection is dropped without an answer.
    hang: Callable[[], object] | None = None


Instead = Callable[[Asked], Answered | None]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:  # the name is the base class's
        pass

    def _handle(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # A header that comes several times, as a registry client's Accept does, is one list.
        headers = {name: ", ".join(self.headers.get_all(name, [])) for name in self.headers}
        asked = Asked(self.command, self.path, headers, body)
        with server.lock:
            server.asked.append(asked)
            answer = server.instead(asked)
        if answer is None:
            answer = server.forward(asked)
        if answer.hang is not None:
            answer.hang()
            self.close_connection = True
            return
        asked.status = answer.status
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _handle  # noqa: N815 - the base class's way of naming


class Server(http.server.ThreadingHTTPServer):
    """Remembers what it was asked, answers as `instead` says, and passes on what that says nothing about."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, instead: Instead) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.instead = instead
        self.lock = threading.Lock()
        self.connections: list[socket.socket] = []
        self._upstream = urlsplit(upstream).netloc

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection that a client has made."""
        found = super().get_request()
        self.connections.append(found[0])
        return found

    def go_away(self) -> None:
        """Drop every connection and take no more."""
        self.shutdown()
        self.socket.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def methods(self) -> list[str]:
        return [each.method for each in self.asked]

    def forward(self, asked: Asked) -> Answered:
        if not self._upstream:
            return Answered(404)
        connection = http.client.HTTPConnection(self._upstream, timeout=30)
        with contextlib.closing(connection):
            headers = {name: value for name, value in asked.headers.items() if name.lower() != "host"}
            connection.request(asked.method, asked.path, asked.body or None, headers)
            answer = connection.getresponse()
            dropped = ("content-length", "transfer-encoding", "connection", "date", "server")
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in dropped}
            return Answered(answer.status, answer.read(), kept)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that went away."""


def _as_usual(_: Asked) -> Answered | None:
    return None


@contextmanager
def serving(upstream: str = "", instead: Instead = _as_usual, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server in a thread, before the one at the URL `upstream` if that is given."""
    server = Server(upstream, instead)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Sums:
    """What prom-aggregation-gateway does with what it gets: it adds to each series what is pushed for it."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
        self.kinds: dict[str, str] = {}

    def __call__(self, asked: Asked) -> Answered:
        if asked.method not in ("POST", "PUT"):
            return Answered(405)
        if any(name.lower() == "content-encoding" for name in asked.headers):
            return Answered(400, b"it knows no compression")
        parts = [unquote(part) for part in asked.path.split("/")[2:]]
        group = dict(zip(parts[::2], parts[1::2], strict=True))
        families = list(text_string_to_metric_families(asked.body.decode()))
        given = {label for family in families for sample in family.samples for label in sample.labels}
        if given & group.keys() or any(not _LABEL.fullmatch(label) for label in group):
            return Answered(400, b"a label of the path is in the body, too, or is none (such as name@base64)")
        for family in families:
            self.kinds[family.name] = family.type
            for sample in family.samples:
                labels = tuple(sorted({**sample.labels, **group}.items()))
                self.series[sample.name, labels] = self.series.get((sample.name, labels), 0.0) + sample.value
        return Answered(202)

    def values(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The series of a name, by the values of some labels."""
        return {
            tuple(dict(pairs).get(label, "") for label in labels): value
            for (found, pairs), value in self.series.items()
            if found == name
        }


@contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """A Pushgateway of one's own; gives its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    program = start_pushgateway(folder)
    try:
        program.wait_until_ready()
        yield f"http://{program.address}"
    finally:
        program.stop()


@contextmanager
def guarded_pushgateway(folder: Path, config: str) -> Iterator[str]:
    """A Pushgateway with a `--web.config.file`; gives its address, HOST:PORT."""
    file = folder / "web.yml"
    file.write_text(config)
    port = free_port()
    command = [
        "prometheus-pushgateway",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.config.file={file}",
        f"--persistence.file={folder / 'pushgateway'}",
    ]
    program = Program(command, port, "/-/ready", folder / "pushgateway.log")
    try:
        _wait_for_port(port)
        yield program.address
    finally:
        program.stop()


def _wait_for_port(port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, "nothing listens"
            time.sleep(0.02)
        else:
            return


@contextmanager
def guarded_registry(sandbox: Sandbox, login: str) -> Iterator[str]:
    """The sandbox's registry behind basic authentication; gives its address.

    It refuses the password for repositories whose name ends in `stale`, as one does whose access was taken away.
    """
    expected = "Basic " + base64.b64encode(login.encode()).decode()

    def guard(asked: Asked) -> Answered | None:
        told = "authentication required"
        if asked.headers.get("Authorization") == expected:
            if "stale/" not in asked.path:
                return None
            told = "incorrect username or password"
        body = json.dumps({"errors": [{"code": "UNKNOWN", "message": told, "detail": None}]}).encode()
        headers = {"WWW-Authenticate": 'Basic realm="registry"', "Content-Type": "application/json"}
        return Answered(401, body, headers)

    with serving(f"http://{sandbox.registry_address}", guard) as server:
        yield server.address
