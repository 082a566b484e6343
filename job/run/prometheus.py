"""Questions to a Prometheus, or to what speaks its HTTP API, such as OpenShift's thanos-querier."""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlencode, urlsplit

from job.config.settings import VerifySettings
from job.domain.addresses import is_overheard
from job.domain.records import replace
from job.domain.secrets import SECRETS
from job.domain.text import clean
from job.domain.verification import Query, Reading, read_answer
from job.runtime.http import HttpError, KeptConnections, Problem

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
# For a whole answer, however slowly it comes.
ANSWER_SECONDS = 20.0
MOST_BYTES = 1_000_000
# The next try gets the same answer, unless the set-up changes.
_LASTING = (400, 401, 403, 404, 405)


class Prometheus:
    """One Prometheus, and the connection to it.

    Args:
        settings: where it is, and the login.
        now: the time of day.
    """

    def __init__(self, settings: VerifySettings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        self._connections: KeptConnections | None = None
        if (settings.token or settings.token_file) and is_overheard(settings.url):
            log.warning("NO TLS to %s: anyone on the way can read its token; use https", self.address)

    @property
    def address(self) -> str:
        """Its address, without query parameters."""
        return self._settings.url.partition("?")[0]

    def close(self) -> None:
        """Close the connection."""
        if self._connections:
            self._connections.close()

    def ask(self, query: Query) -> Reading:
        """The answer to a query now. What is wrong with it, or that there is none, is the reading's problem."""
        try:
            return self._ask(query)
        except HttpError as error:
            return Reading(self._now(), problem=f"{self.address}: {clean(str(error), 200)}")
        except OSError as error:
            problem = f"PROMETHEUS_CA_FILE or PROMETHEUS_TOKEN_FILE: {clean(str(error), 200)}"
            return Reading(self._now(), problem=problem, is_final=True)

    def _ask(self, query: Query) -> Reading:
        path, _, parameters = self._settings.url.partition("?")
        # Thanos would leave out what it cannot reach, and a sum of errors be too small. A Prometheus ignores it.
        whole = "" if "partial_response=" in parameters else "partial_response=false"
        parameters = "&".join(filter(None, (parameters, whole, urlencode({"query": query.expression}))))
        headers = [("Accept", "application/json")]
        if token := self._token():
            headers.append(("Authorization", f"Bearer {token}"))
        self._connections = self._connections or KeptConnections(self._tls_context())
        until = time.monotonic() + ANSWER_SECONDS
        answer = self._connections.request(
            "GET",
            f"{path}/api/v1/query?{parameters}",
            headers,
            None,
            connect=CONNECT_SECONDS,
            read=READ_SECONDS,
        )
        try:
            body = bytearray()
            while part := answer.read(65536):
                body += part
                if time.monotonic() > until:
                    raise HttpError(Problem.NO_ANSWER_IN_TIME, f"no whole answer within {ANSWER_SECONDS:g} s")
                if len(body) > MOST_BYTES:
                    problem = f"the answer is larger than {MOST_BYTES} bytes; aggregate in the query"
                    return Reading(self._now(), problem=problem, is_final=True, status=answer.status)
        finally:
            answer.close()
        return self._reading(answer.status, bytes(body))

    def _reading(self, status: int, body: bytes) -> Reading:
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if status == 200 and isinstance(data, dict) and data.get("status") == "success":
            return replace(read_answer(data, self._now()), status=status)
        said = data.get("error") if isinstance(data, dict) else body[:2000].decode(errors="replace")
        hints = {
            401: "set PROMETHEUS_TOKEN or PROMETHEUS_TOKEN_FILE",
            403: "the login may not query",
            404: "is it the address of a Prometheus?",
        }
        words = ": ".join(part for part in (f"HTTP {status}", clean(str(said or ""), 200)) if part)
        hint = f" ({hints[status]})" if status in hints else ""
        problem = f"{self.address}: {words}{hint}"
        return Reading(self._now(), problem=problem, is_final=status in _LASTING, status=status)

    def _token(self) -> str | None:
        """The token; that of a file is read each time, since Kubernetes renews it."""
        if not self._settings.token_file:
            return self._settings.token
        with open(self._settings.token_file, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib is slow to load
            token = file.read(65536).strip()
        SECRETS.add(token)
        if not token.isascii() or not token.isprintable():
            raise OSError("the token holds a character that it cannot have, such as a line break")
        return token

    def _tls_context(self) -> ssl.SSLContext | None:
        if urlsplit(self._settings.url).scheme != "https":
            return None
        return ssl.create_default_context(cafile=self._settings.ca_file)
