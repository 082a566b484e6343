"""HTTP requests over connections that are kept, by the standard library.

urllib3 does more: proxies, redirects, retries, pools of many servers. None of that is wanted in a pod, and loading it
took a fifth of a short run's CPU time. Kubeconfigs and proxies use it, by the same protocol (`job.cluster.kubeconfig`).
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from enum import Enum
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import Protocol
from urllib.parse import urlsplit

Headers = Sequence[tuple[str, str]]


class Problem(Enum):
    """Why there is no answer. Of the first three it is certain that the server got nothing."""

    UNREACHABLE = "no connection"
    UNREACHABLE_IN_TIME = "no connection in time"
    TLS = "TLS failed"
    NO_ANSWER_IN_TIME = "no answer in time"
    LOST = "connection lost"

    @property
    def before_sending(self) -> bool:
        """Whether nothing was sent."""
        return self in (Problem.UNREACHABLE, Problem.UNREACHABLE_IN_TIME, Problem.TLS)


class HttpError(Exception):
    """A request has no answer, or not all of one."""

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(message or problem.value)
        self.problem = problem


class Answer(Protocol):
    """An answer whose body has not been read yet."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def reason(self) -> str | None:
        """The words after it."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; their names may be in any case."""

    def read(self, most: int) -> bytes:
        """What has arrived of the body, waiting for something; empty at its end.

        Raises:
            HttpError: nothing arrived in time, or the connection broke.
        """

    def close(self) -> None:
        """Give up what has not been read. A connection whose answer was read to its end is kept."""


class Connections(Protocol):
    """Sends requests; its methods are called from several threads."""

    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, *, connect: float, read: float
    ) -> Answer:
        """Send a request once; redirects are not followed.

        Args:
            method: of HTTP.
            url: with scheme and host.
            headers: names may be repeated.
            body: None for none.
            connect: seconds until a new connection has to be there.
            read: seconds of silence after which the server counts as gone.

        Raises:
            HttpError: there is no answer.
        """

    def close(self) -> None:
        """Close the connections that are not in use."""


class _Connection(HTTPConnection):
    """A connection with or without TLS."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None, seconds: float) -> None:
        super().__init__(host, port, timeout=seconds)
        self.server = host, port, context is not None
        self._context = context
        # It stays out of the header Host.
        self.default_port = 443 if context else 80

    def connect(self) -> None:
        """Open the connection."""
        # As bytes the name needs no codec for international ones, which is slow to load.
        name: str | bytes = self.host.encode() if self.host.isascii() else self.host
        self.sock = socket.create_connection((name, self.port), self.timeout)  # type: ignore[arg-type]
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=name)

    @property
    def is_silent(self) -> bool:
        """Whether the server has neither closed it nor sent unrequested data."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)


class _Answer:
    """Implements `Answer`."""

    def __init__(self, response: HTTPResponse, connection: _Connection, connections: KeptConnections) -> None:
        self._response = response
        self._connection = connection
        self._connections = connections
        self._is_read = False
        self.status = response.status
        self.reason = response.reason
        self.headers: Mapping[str, str] = response.headers  # type: ignore[assignment]  # has what is used of a mapping

    def read(self, most: int) -> bytes:
        """See `Answer`."""
        if self._is_read:
            return b""
        try:
            part = self._response.read1(most)
            if not part and self._response.length:
                # `read1` does not say so itself.
                raise IncompleteRead(b"", self._response.length)
        except (HTTPException, OSError, ValueError) as error:
            self.close()
            raise _lost(error) from error
        if not part:
            self._is_read = True
            self._response.close()
            if not self._response.will_close:
                self._connections.keep(self._connection)
        return part

    def close(self) -> None:
        """See `Answer`."""
        if not self._is_read:
            self._is_read = True
            self._response.close()
            self._connection.close()


class KeptConnections:
    """Implements `Connections`: one is opened only where all others are in use, and as many stay as were in use."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        """Take the TLS settings; None where all addresses are plain HTTP."""
        self._context = context
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()

    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, *, connect: float, read: float
    ) -> Answer:
        """See `Connections`."""
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        server = parts.hostname or "", parts.port or (443 if is_tls else 80), is_tls
        connection = self._take(server) or self._open(*server, connect)
        try:
            connection.sock.settimeout(read)
            connection.putrequest(method, parts.path + (f"?{parts.query}" if parts.query else ""))
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            return _Answer(connection.getresponse(), connection, self)
        except (HTTPException, OSError) as error:
            connection.close()
            raise _lost(error) from error
        except BaseException:
            connection.close()
            raise

    def _open(self, host: str, port: int, is_tls: bool, seconds: float) -> _Connection:
        if is_tls and self._context is None:
            raise HttpError(Problem.TLS, f"no TLS settings for {host}")
        connection = _Connection(host, port, self._context if is_tls else None, seconds)
        try:
            connection.connect()
        except TimeoutError as error:
            connection.close()
            raise HttpError(Problem.UNREACHABLE_IN_TIME, f"no connection within {seconds:g} s") from error
        except ssl.SSLError as error:
            connection.close()
            raise HttpError(Problem.TLS, tls_problem(error)) from error
        except (OSError, UnicodeError) as error:
            connection.close()
            raise HttpError(Problem.UNREACHABLE, getattr(error, "strerror", None) or str(error)) from error
        return connection

    def _take(self, server: tuple[str, int, bool]) -> _Connection | None:
        """The connection to a server that was used last, if it is still good."""
        while True:
            with self._lock:
                places = [place for place, connection in enumerate(self._idle) if connection.server == server]
                if not places:
                    return None
                connection = self._idle.pop(places[-1])
            if connection.is_silent:
                return connection
            connection.close()

    def keep(self, connection: _Connection) -> None:
        """Take back a connection whose answer was read to its end."""
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        """See `Connections`."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def tls_problem(error: BaseException) -> str:
    """What is wrong with a TLS connection, without OpenSSL's names and line numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    import re

    return re.sub(r"^\[SSL[^]]*\] | \(_ssl\.c:\d+\)$", "", str(error))


def _lost(error: Exception) -> HttpError:
    if isinstance(error, TimeoutError):
        return HttpError(Problem.NO_ANSWER_IN_TIME, "no answer in time")
    return HttpError(Problem.LOST, str(error) or type(error).__name__)
