"""From an error of the API or of a registry to one `Reason`.

OpenShift tells most of what a registry answered only in the text of an `InternalError`
(openshift-apiserver, pkg/image/apiserver/importer/importer.go): a refused login, a rate limit, a name that does not
resolve. What is matched here was recorded from a real OpenShift.
"""

from __future__ import annotations

import re

from job.domain.model import By, Reason

# The message repeats the pull spec, URLs, host names and the registry's own words, which may hold any word at all.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_LOOKUP = re.compile(r"\blookup \S+")
_LONGEST = 4000


_REGISTRY_TEXTS: tuple[tuple[Reason, re.Pattern[str]], ...] = tuple(
    (reason, re.compile(pattern, re.IGNORECASE))
    for reason, pattern in (
        (Reason.RATE_LIMITED, r"toomanyrequests|too many requests|HTTP(?: status:)? 429\b"),
        (
            Reason.UNREACHABLE,
            r"dial tcp|no such host|connection refused|connection reset|no route to host|network is unreachable"
            r"|x509:|\btls:|proxyconnect|\bEOF\b|broken pipe|server gave HTTP response to HTTPS client|sent GOAWAY",
        ),
        (Reason.TIMEOUT, r"context deadline exceeded|Client\.Timeout|i/o timeout|handshake timeout|status: 408\b"),
        (Reason.UNAUTHORIZED, r"\bunauthorized\b|authentication required|no basic auth|HTTP(?: status:)? 401\b"),
        (Reason.FORBIDDEN, r"\bdenied\b|HTTP(?: status:)? 403\b"),
        (Reason.NOT_FOUND, r"name unknown|manifest unknown|HTTP(?: status:)? 404\b"),
    )
)
_STATUS_REASONS = {
    "NotFound": Reason.NOT_FOUND,
    "Unauthorized": Reason.UNAUTHORIZED,
    "Forbidden": Reason.FORBIDDEN,
    "Invalid": Reason.INVALID,
    "TooManyRequests": Reason.RATE_LIMITED,
    "Timeout": Reason.TIMEOUT,
}
_HTTP_REASONS = {
    400: Reason.INVALID,
    401: Reason.UNAUTHORIZED,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    408: Reason.TIMEOUT,
    409: Reason.CONFLICT,
    413: Reason.INVALID,
    422: Reason.INVALID,
    429: Reason.RATE_LIMITED,
    504: Reason.TIMEOUT,
}


def of_image(status_reason: str, message: str) -> tuple[Reason, By]:
    """Why one image of an answered import failed, from the reason and message of its Status."""
    known = _STATUS_REASONS.get(status_reason)
    if known in (Reason.FORBIDDEN, Reason.INVALID):
        # A blocked registry or an unreadable reference: the registry was never asked.
        return known, By.API
    if known is not None:
        return known, By.REGISTRY
    return _of_text(message), By.REGISTRY


def _of_text(message: str) -> Reason:
    text = message[:_LONGEST].removeprefix("Internal error occurred: ")
    text = _LOOKUP.sub("lookup", _QUOTED.sub('""', text))
    # Pull specs and addresses stand before a colon; a word of the error itself has none inside.
    text = " ".join(word for word in text.split() if not (word.endswith(":") and re.search("[/:@]", word[:-1])))
    for reason, pattern in _REGISTRY_TEXTS:
        if pattern.search(text):
            return reason
    return Reason.REGISTRY_ERROR


def of_http(code: int) -> Reason:
    """Why the API refused a whole request, from the HTTP status code of its answer."""
    return _HTTP_REASONS.get(code, Reason.API_ERROR)
