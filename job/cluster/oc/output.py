"""What oc and kubectl say on stderr of a request, with `-v=6`: the answers they got, and why it did not succeed.

At that level both log every answer with its HTTP status, and the whole Status of a refusal (kubectl,
pkg/cmd/util/helpers.go; client-go, transport/round_trippers.go), so nothing is lost against HTTP but headers: of a
Retry-After only what client-go took over into the Status is known. Headers and bodies are logged from level 7 on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from job.domain.errors import ClusterError
from job.domain.failures import of_http
from job.domain.model import Reason
from job.domain.text import clean

# Of client-go before 0.33, and since.
_ANSWER = re.compile(
    r"round_trippers\.go:\d+\] (?:[A-Z]+ \S+ (?P<old>\d{3})?.* in \d+ milliseconds"
    r'|"Response" .*?\bstatus="(?P<new>\d{3})?)'
)
_LOGGED = re.compile(r"^[IWE]\d{4} \d\d:\d\d:.*\n?", re.MULTILINE)
_STATUS = "server response object: "
_FROM_SERVER = re.compile(r"Error from server(?: \((?P<word>\w+)\))?: (?P<message>.*)", re.DOTALL)
# The reasons of a Status, for a program that logs in a way not known here.
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
# Nothing was sent yet when it ended this way.
_BEFORE_SENDING = re.compile(
    r"connection to the server .* was refused|dial tcp|no such host|connection refused|proxyconnect|x509:|\btls: "
    r"|TLS handshake|server gave HTTP response to HTTPS client"
)
_TOO_LATE = re.compile(r"deadline exceeded|Client\.Timeout|request canceled|Timeout: request did not complete")


def answers(said: str) -> list[str]:
    """The HTTP status of each answer, in order; `none` for a request that got no answer."""
    return [match["old"] or match["new"] or "none" for match in _ANSWER.finditer(said)]


def refusal(said: str) -> ClusterError:
    """Why a request did not succeed, from all that was said."""
    status = _status(said)
    known = [code for code in answers(said) if code != "none"]
    text = _LOGGED.sub("", said.partition(_STATUS)[0] if status else said).strip()
    from_server = _FROM_SERVER.search(said)
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
        wait = float(hint) if isinstance(hint, int) and hint > 0 else None
        return ClusterError(of_http(code), message, code=code, retry_after=wait)
    if isinstance(code, int):
        # It was answered, and the answer did not arrive.
        return ClusterError(Reason.UNREACHABLE, message, code=code, answered=False)
    message = message.removeprefix("Unable to connect to the server: ")
    if "getting credentials" in message:
        return ClusterError(Reason.UNAUTHORIZED, f"the login cannot be renewed: {message}")
    if _BEFORE_SENDING.search(message):
        return ClusterError(Reason.UNREACHABLE, message)
    if _TOO_LATE.search(message):
        return ClusterError(Reason.TIMEOUT, message, answered=False)
    if "Unable to connect to the server" in said or "none" in answers(said):
        return ClusterError(Reason.UNREACHABLE, f"connection lost: {message}", answered=False)
    return ClusterError(Reason.API_ERROR, message, answered=False)


def _status(said: str) -> Mapping[str, Any]:
    """The Status that the server answered with, if it was logged."""
    _, found, rest = said.partition(_STATUS)
    start = rest.find("{")
    if not found or start < 0:
        return {}
    try:
        status, _ = json.JSONDecoder().raw_decode(rest, start)
    except (ValueError, RecursionError):
        return {}
    return status if isinstance(status, dict) else {}
