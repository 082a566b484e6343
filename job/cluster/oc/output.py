"""What oc and kubectl write to stderr about a request, with `-v=6`: the answers they got, and why it failed.

At that level both log every answer with its HTTP status, and the whole Status of a refusal (kubectl,
pkg/cmd/util/helpers.go; client-go, transport/round_trippers.go). Compared with plain HTTP only headers are missing: a
Retry-After is known as far as client-go copied it into the Status. Headers and bodies are logged from level 7 on.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from job.cluster.headers import retry_after
from job.domain.errors import ClusterError
from job.domain.failures import of_http
from job.domain.model import Reason
from job.domain.text import clean

# client-go before 0.33, and since.
_ANSWER = re.compile(
    r"round_trippers\.go:[0-9]+\] (?:[A-Z]+ \S+ (?P<old>[0-9]{3})?.* in [0-9]+ milliseconds"
    r'|"Response" .*?\bstatus="(?P<new>[0-9]{3})?)'
)
_LOGGED = re.compile(r"^[IWE][0-9]{4} [0-9]{2}:[0-9]{2}:.*\n?", re.MULTILINE)
_STATUS = "server response object: "
_FROM_SERVER = re.compile(r"Error from server(?: \((?P<word>\w+)\))?: (?P<message>.*)", re.DOTALL)
# The reasons of a Status, for a program whose log format is unknown.
_WORDS = {
    "BadRequest": 400,
    "Unauthorized": 401,
    "Forbidden": 403,
    "NotFound": 404,
    "MethodNotAllowed": 405,
    "NotAcceptable": 406,
    "AlreadyExists": 409,
    "Conflict": 409,
    "Gone": 410,
    "Expired": 410,
    "RequestEntityTooLarge": 413,
    "UnsupportedMediaType": 415,
    "Invalid": 422,
    "TooManyRequests": 429,
    "InternalError": 500,
    "ServerTimeout": 500,
    "ServiceUnavailable": 503,
    "Timeout": 504,
}
# Errors that occur before anything is sent.
_BEFORE_SENDING = re.compile(
    r"connection to the server .* was refused|dial tcp|no such host|connection refused|proxyconnect|x509:|\btls: "
    r"|TLS handshake|server gave HTTP response to HTTPS client"
)
_TOO_LATE = re.compile(r"deadline exceeded|Client\.Timeout|request canceled|Timeout: request did not complete")


def answers(stderr: str) -> list[str]:
    """The HTTP status of each answer, in order; `none` for a request that got no answer."""
    return [match["old"] or match["new"] or "none" for match in _ANSWER.finditer(stderr)]


def refusal(stderr: str) -> ClusterError:
    """Why a request failed, from all of stderr."""
    status = _status(stderr)
    known = [code for code in answers(stderr) if code != "none"]
    text = _LOGGED.sub("", stderr.partition(_STATUS)[0] if status else stderr).strip()
    from_server = _FROM_SERVER.search(stderr)
    code = status.get("code") or (int(known[-1]) if known else None)
    if not isinstance(code, int) and from_server:
        code = _WORDS.get(from_server["word"] or "")
    if not isinstance(code, int) and "You must be logged in to the server" in text:
        code = 401
    if from_server:
        text = from_server["message"]
    message = clean(str(status.get("message") or text.removeprefix("error: ") or "no reason given"))
    if isinstance(code, int) and code >= 400:
        details = status.get("details")
        hint = details.get("retryAfterSeconds") if isinstance(details, dict) else None
        wait = retry_after(hint, time.time()) if isinstance(hint, int) and hint > 0 else None
        return ClusterError(of_http(code), message, code=code, retry_after=wait)
    if isinstance(code, int):
        # The server answered, and the answer did not arrive.
        return ClusterError(Reason.UNREACHABLE, message, code=code, answered=False)
    message = message.removeprefix("Unable to connect to the server: ")
    if "getting credentials" in message:
        return ClusterError(Reason.UNAUTHORIZED, f"the login cannot be renewed: {message}")
    if _BEFORE_SENDING.search(message):
        return ClusterError(Reason.UNREACHABLE, message)
    if _TOO_LATE.search(message):
        return ClusterError(Reason.TIMEOUT, message, answered=False)
    if "Unable to connect to the server" in stderr or "none" in answers(stderr):
        return ClusterError(Reason.UNREACHABLE, f"connection lost: {message}", answered=False)
    return ClusterError(Reason.API_ERROR, message, answered=False)


def _status(stderr: str) -> Mapping[str, Any]:
    """The Status of the server's answer, if it was logged."""
    _, separator, rest = stderr.partition(_STATUS)
    start = rest.find("{")
    if not separator or start < 0:
        return {}
    try:
        status, _ = json.JSONDecoder().raw_decode(rest, start)
    except (ValueError, RecursionError):
        return {}
    return status if isinstance(status, dict) else {}
