"""What goes wrong with a registry, in the words of OpenShift's client. Pure.

Source of behaviour: distribution registry/client/errors.go and registry/api, and Go's net/http, crypto/tls and net,
whose error texts end up in the status of an import.
"""

from __future__ import annotations

import errno
import json
import re
import socket
import ssl
from collections.abc import Mapping

from tests.sandbox.http_client import ClosedError, HttpAnswer
from tests.sandbox.images import json_complaint
from tests.sandbox.settings import Settings

_DEFAULT_MESSAGES = {
    "UNKNOWN": "unknown error",
    "UNSUPPORTED": "The operation is unsupported.",
    "UNAUTHORIZED": "authentication required",
    "DENIED": "requested access to the resource is denied",
    "UNAVAILABLE": "service unavailable",
    "TOOMANYREQUESTS": "too many requests",
    "DIGEST_INVALID": "provided digest did not match uploaded content",
    "SIZE_INVALID": "provided length did not match content length",
    "NAME_INVALID": "invalid repository name",
    "TAG_INVALID": "manifest tag did not match URI",
    "NAME_UNKNOWN": "repository name not known to registry",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "MANIFEST_INVALID": "manifest invalid",
    "MANIFEST_UNVERIFIED": "manifest failed signature verification",
    "MANIFEST_BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UPLOAD_UNKNOWN": "blob upload unknown to registry",
    "BLOB_UPLOAD_INVALID": "blob upload invalid",
    "PAGINATION_NUMBER_INVALID": "invalid number of results requested",
}


_REASONS = {
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 429: "Too Many Requests", 500: "Internal Server Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


_DIAL_ERRORS = {
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ETIMEDOUT: "connection timed out",
}


_CHALLENGE_PARAMETER = re.compile(r'([A-Za-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


class RegistryError(Exception):
    """A registry refused, or could not be reached; the message is what OpenShift's client would say."""

    def __init__(
        self, message: str, *, codes: frozenset[str] = frozenset(), retry_after: float = 0.0, unreachable: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        # Nothing came back.
        self.unreachable = unreachable
        # The registry's own error codes, where it gave such.
        self.codes = codes
        # Seconds after which it is worth asking again; 0 means it is not.
        self.retry_after = retry_after


def in_go_words(problem: OSError, host: str, port: int) -> str:
    """What Go's net package says about a connection that failed."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return _certificate_words(problem)
    if isinstance(problem, ssl.SSLError):
        return f"remote error: tls: {problem.reason or 'handshake failure'}".lower().replace("_", " ")
    if isinstance(problem, ClosedError):
        return str(problem)
    if isinstance(problem, socket.gaierror):
        return f"dial tcp: lookup {host} on DNS: no such host"
    # asyncio puts the address it tried into the message, and nowhere else.
    found = re.search(r"\('([^']+)', (\d+)", str(problem))
    address = f"{found[1]}:{found[2]}" if found else f"{host}:{port}"
    number = problem.errno
    if number is None:
        number = next((each for each in _DIAL_ERRORS if f"Errno {each}]" in str(problem)), None)
    if number in _DIAL_ERRORS:
        return f"dial tcp {address}: connect: {_DIAL_ERRORS[number]}"
    if number in (errno.ECONNRESET, errno.EPIPE):
        return f"read tcp 127.0.0.1:0->{address}: read: connection reset by peer"
    return str(problem) or "EOF"


def _certificate_words(problem: Exception) -> str:
    said = str(problem)
    if "expired" in said:
        why = "x509: certificate has expired or is not yet valid"
    elif "mismatch" in said or "not valid for" in said:
        why = "x509: certificate is not valid for any names"
    else:
        why = "x509: certificate signed by unknown authority"
    return f"tls: failed to verify certificate: {why}"


def challenge_of(headers: Mapping[str, str]) -> dict[str, str] | None:
    text = headers.get("www-authenticate", "")
    scheme, _, rest = text.partition(" ")
    if scheme.lower() not in ("bearer", "basic"):
        return None
    found = {name.lower(): quoted or bare for name, quoted, bare in _CHALLENGE_PARAMETER.findall(rest)}
    return {**found, "scheme": scheme.lower()}


def status_line(answer: HttpAnswer) -> str:
    return f"{answer.status} {_REASONS.get(answer.status) or answer.reason}"


def error_of(answer: HttpAnswer, settings: Settings) -> RegistryError:
    if not 400 <= answer.status < 500:
        return RegistryError(f"received unexpected HTTP status: {status_line(answer)}")
    parsed = _error_in_body(answer, settings)
    challenge = challenge_of(answer.headers) or {}
    code = {"invalid_token": "UNAUTHORIZED", "insufficient_scope": "DENIED"}.get(challenge.get("error", ""))
    if challenge.get("scheme") == "bearer" and code:
        first = _printed(code, challenge.get("error_description") or _DEFAULT_MESSAGES[code], detailed=True)
        return RegistryError(f"errors:\n{first}\n{parsed.message}\n", codes=parsed.codes | {code})
    return parsed


def _error_in_body(answer: HttpAnswer, settings: Settings) -> RegistryError:
    try:
        content = json.loads(answer.body)
    except ValueError:
        return _unparsed(answer, json_complaint(answer.body), settings)
    given = content if isinstance(content, dict) else {}
    if isinstance(given.get("details"), str) and given["details"]:
        code = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}.get(answer.status, "UNKNOWN")
        # A single error of this form is one the client asks again about.
        wait = settings.retry_rate_limited if code == "TOOMANYREQUESTS" else 0.0
        message = _printed(code, given["details"], detailed=True)
        return RegistryError(message, codes=frozenset({code}), retry_after=wait)
    errors = [each for each in given.get("errors") or [] if isinstance(each, dict)]
    if not errors:
        return _unparsed(answer, "no error details found in HTTP response body", settings)
    codes, printed = set(), []
    for each in errors:
        code = str(each.get("code")) if each.get("code") in _DEFAULT_MESSAGES else "UNKNOWN"
        codes.add(code)
        printed.append(_printed(code, each.get("message") or "", detailed=each.get("detail") is not None))
    message = printed[0] if len(printed) == 1 else "errors:\n" + "".join(f"{each}\n" for each in printed)
    return RegistryError(message, codes=frozenset(codes))


def _printed(code: str, message: str, *, detailed: bool) -> str:
    words = code.lower().replace("_", " ")
    if not detailed and message in ("", _DEFAULT_MESSAGES[code]):
        return words
    return f"{words}: {message or _DEFAULT_MESSAGES[code]}"


def _unparsed(answer: HttpAnswer, complaint: str, settings: Settings) -> RegistryError:
    if answer.status == 401:
        return RegistryError("unauthorized: authentication required", codes=frozenset({"UNAUTHORIZED"}))
    quoted = json.dumps(answer.body.decode(errors="replace"), ensure_ascii=False)
    wait = settings.retry_rate_limited if answer.status == 429 else 0.0
    message = f"error parsing HTTP {answer.status} response body: {complaint}: {quoted}"
    return RegistryError(message, retry_after=wait)
