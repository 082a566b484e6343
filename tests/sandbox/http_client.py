"""A small HTTP/1.1 client for GET that keeps its connections.

It does little, which saves an import half of what a general client costs, and it lets every way of failing through as
it is, which the error texts of an import depend on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

_Key = tuple[str, str, int, ssl.SSLContext | None]


class ClosedError(ConnectionError):
    """The other side closed the connection; `began` tells if a part of the answer had come."""

    def __init__(self, *, began: bool) -> None:
        super().__init__("unexpected EOF" if began else "EOF")
        self.began = began


class MalformedError(ConnectionError):
    """What came back is no HTTP."""


@dataclass(slots=True)
class HttpAnswer:
    """A whole answer; the names of headers are in lower case."""

    url: str
    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


class _Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.used = False
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[tuple[int, str, dict[str, str], bytes]] | None = None
        self._keep = True

    @property
    def usable(self) -> bool:
        return self._keep and self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._keep = False
        if self._waiting is not None and not self._waiting.done():
            self._parse(ended=True)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(exc or ClosedError(began=bool(self._buffer)))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._waiting is not None and not self._waiting.done():
            try:
                self._parse(ended=False)
            except (ValueError, IndexError):
                self._keep = False
                self._waiting.set_exception(MalformedError("malformed HTTP response"))

    async def exchange(self, request: bytes) -> tuple[int, str, dict[str, str], bytes]:
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._buffer.clear()
        self._transport.write(request)
        try:
            answer = await self._waiting
        finally:
            self._waiting = None
        self.used = True
        return answer

    def _parse(self, *, ended: bool) -> None:
        """Hand over the answer if all of it is there."""
        assert self._waiting is not None
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].decode("latin-1").split("\r\n")
        version, _, rest = head[0].partition(" ")
        code, _, reason = rest.partition(" ")
        status = int(code)
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = self._body(status, headers, end + 4, ended=ended)
        if body is None:
            return
        if version != "HTTP/1.1" or headers.get("connection", "").lower() == "close":
            self._keep = False
        self._waiting.set_result((status, reason, headers, body))

    def _body(self, status: int, headers: dict[str, str], start: int, *, ended: bool) -> bytes | None:
        if status in (204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks(start)
        if "content-length" in headers:
            end = start + int(headers["content-length"])
            return bytes(self._buffer[start:end]) if len(self._buffer) >= end else None
        return bytes(self._buffer[start:]) if ended else None

    def _chunks(self, start: int) -> bytes | None:
        parts: list[bytes] = []
        while True:
            end = self._buffer.find(b"\r\n", start)
            if end < 0:
                return None
            size = int(self._buffer[start:end].split(b";")[0], 16)
            start = end + 2
            if len(self._buffer) < start + size + 2:
                return None
            if not size:
                return b"".join(parts)
            parts.append(bytes(self._buffer[start : start + size]))
            start += size + 2


class HttpClient:
    """Asks with GET; as many connections as there are requests at once."""

    def __init__(self) -> None:
        self._idle: defaultdict[_Key, list[_Connection]] = defaultdict(list)

    async def get(self, url: str, headers: Iterable[tuple[str, str]], tls: ssl.SSLContext) -> HttpAnswer:
        """One exchange; redirects are answers like others, and what fails raises OSError or ssl.SSLError."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        key = (parts.scheme, parts.hostname or "", parts.port or (443 if secure else 80), tls if secure else None)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}", "User-Agent: sandbox", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers]
        request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        while True:
            connection = self._take(key) or await self._open(key)
            try:
                status, reason, found, body = await connection.exchange(request)
            except (ClosedError, ConnectionResetError) as problem:
                connection.close()
                # A connection that had been kept may be closed just when it is used again.
                if connection.used and not (isinstance(problem, ClosedError) and problem.began):
                    continue
                raise
            except BaseException:
                connection.close()
                raise
            if connection.usable:
                self._idle[key].append(connection)
            else:
                connection.close()
            return HttpAnswer(url, status, reason, found, body)

    def _take(self, key: _Key) -> _Connection | None:
        idle = self._idle[key]
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    @staticmethod
    async def _open(key: _Key) -> _Connection:
        _, host, port, tls = key
        loop = asyncio.get_running_loop()
        name = host if tls is not None else None
        made = loop.create_connection(lambda: _Connection(key), host, port, ssl=tls, server_hostname=name)
        return (await made)[1]

    def close(self) -> None:
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()
