"""Connections that are kept: when one is used again, and what a request without an answer says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from job.runtime.http import Answer, HttpError, KeptConnections, Problem
from tests.sandbox.client import until

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """Answers each request of a connection with the next of some bytes, and closes it after the last."""

    def __init__(self, *answers: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/path?a=b"
        self.answers = answers
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                for answer in self.answers:
                    request = connection.recv(1 << 16)
                    if not request:
                        break
                    self.requests.append(request)
                    connection.sendall(answer)
            self.closed += 1

    def close(self) -> None:
        self._socket.close()


@contextmanager
def serving(*answers: bytes) -> Iterator[tuple[Server, KeptConnections]]:
    server, connections = Server(*answers), KeptConnections(None)
    try:
        yield server, connections
    finally:
        connections.close()
        server.close()


def get(connections: KeptConnections, server: Server, *, read: float = 5.0) -> bytes:
    return body(connections.request("GET", server.url, [("X-One", "1"), ("X-One", "2")], None, connect=5.0, read=read))


def body(answer: Answer) -> bytes:
    parts = []
    while part := answer.read(1 << 16):
        parts.append(part)
    return b"".join(parts)


def test_a_connection_is_used_again() -> None:
    with serving(GOOD, GOOD, GOOD) as (server, connections):
        assert [get(connections, server) for _ in range(3)] == [b"ok"] * 3
        assert server.connections == 1
        assert server.requests[0].startswith(b"GET /path?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"X-One: 1\r\nX-One: 2\r\n" in server.requests[0]


def test_one_that_the_server_closed_is_not() -> None:
    with serving(GOOD) as (server, connections):
        for number in range(1, 4):
            assert get(connections, server) == b"ok"
            until(lambda number=number: server.closed == number)  # type: ignore[misc]
        assert server.connections == 3


def test_one_whose_answer_was_not_read_is_not() -> None:
    with serving(GOOD, GOOD) as (server, connections):
        connections.request("GET", server.url, [], None, connect=5.0, read=5.0).close()
        assert get(connections, server) == b"ok"
        assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nok",
        b"+OK POP3\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_lost(answer: bytes) -> None:
    with serving(answer) as (server, connections), pytest.raises(HttpError) as error:
        get(connections, server)
    assert error.value.problem is Problem.LOST
    assert not error.value.problem.before_sending


def test_silence_ends_in_time() -> None:
    # The server waits for a second request, and the client for the rest of the answer.
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\no"
    with serving(answer, b"") as (server, connections), pytest.raises(HttpError) as error:
        get(connections, server, read=0.2)
    assert error.value.problem is Problem.NO_ANSWER_IN_TIME


def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(HttpError, match="Connection refused") as error:
        KeptConnections(None).request("GET", f"http://127.0.0.1:{port}/", [], None, connect=5.0, read=5.0)
    assert error.value.problem is Problem.UNREACHABLE
    assert error.value.problem.before_sending


def test_a_connection_is_used_again_only_for_its_own_server() -> None:
    with serving(GOOD, GOOD) as (one, connections), serving(GOOD, GOOD) as (other, _):
        for server in (one, other, one, other):
            assert get(connections, server) == b"ok"
        assert (one.connections, other.connections) == (1, 1)
        assert (len(one.requests), len(other.requests)) == (2, 2)


def test_nothing_is_sent_in_the_clear_where_tls_is_asked_for() -> None:
    with serving(GOOD) as (server, connections):
        with pytest.raises(HttpError) as refused:
            connections.request("GET", server.url.replace("http", "https"), [], None, connect=5.0, read=5.0)
        assert refused.value.problem is Problem.TLS
        assert server.connections == 0
