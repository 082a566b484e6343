"""From an error of the API or of a registry to one `Reason`.

OpenShift gives most of what a registry answered only in the text of an `InternalError`
(openshift-apiserver, pkg/image/apiserver/importer/importer.go): a refused login, a rate limit, a name that does not
resolve. What is matched here was recorded from a real OpenShift.

A registry's error is judged by what is surest: the HTTP status, where the message has it; the words of OpenShift's
client and the codes of the distribution specification, as that client prints them; and where a registry has codes of
its own (Quay's TAG_EXPIRED, Harbor's NOT_FOUND), which the client prints as `unknown: `, the words of its message.
"""

from __future__ import annotations

import re

from job.domain.model import By, Reason

# The message repeats the pull spec, URLs, host names and the registry's own words, which may hold any word at all.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_LOOKUP = r"\blookup \S+"
_LONGEST = 4000


# Patterns ignore case. `re` compiles them where they are first used, and most runs use none.
_Rules = tuple[tuple[Reason, str], ...]

# What OpenShift's client prints of a registry: its own errors, and the codes of the distribution specification.
_CLIENT_TEXTS: _Rules = (
    (Reason.RATE_LIMITED, r"toomanyrequests|too many requests"),
    (
        Reason.UNREACHABLE,
        r"dial tcp|no such host|connection refused|connection reset|no route to host|network is unreachable"
        r"|x509:|\btls:|proxyconnect|\bEOF\b|broken pipe|server gave HTTP response to HTTPS client|sent GOAWAY",
    ),
    (Reason.TIMEOUT, r"context deadline exceeded|Client\.Timeout|i/o timeout|handshake timeout"),
    (Reason.UNAUTHORIZED, r"\bunauthorized\b|authentication required|no basic auth"),
    (Reason.FORBIDDEN, r"\bdenied\b"),
    (Reason.NOT_FOUND, r"(?:name|manifest|blob) unknown"),
    (Reason.INVALID, r"(?:name|tag|digest|manifest) invalid|\bunsupported:|manifest unverified"),
)
_HTTP_STATUS = r"\bHTTP (?:status: )?([45]\d\d)\b"
# Unlike the API's: 410 is as final as 404 here, and Harbor answers 412 where a policy of a project refuses the pull.
_REGISTRY_HTTP_REASONS = {
    400: Reason.INVALID,
    401: Reason.UNAUTHORIZED,
    402: Reason.FORBIDDEN,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    405: Reason.INVALID,
    406: Reason.INVALID,
    408: Reason.TIMEOUT,
    410: Reason.NOT_FOUND,
    412: Reason.FORBIDDEN,
    415: Reason.INVALID,
    422: Reason.INVALID,
    423: Reason.FORBIDDEN,
    429: Reason.RATE_LIMITED,
    451: Reason.FORBIDDEN,
}
# A code that the client does not know; the words after it are the registry's own.
_UNKNOWN_CODE = r"(?is)(?<!name )(?<!manifest )(?<!blob )\bunknown: ?(.*)"
_OWN_WORDS: _Rules = (
    (Reason.RATE_LIMITED, r"too many|\brate[ -]?(?:limit|exceeded)|throttl|slow down"),
    (Reason.REGISTRY_ERROR, r"internal (?:server )?error|unavailable|try again|timed? ?out"),
    (Reason.UNAUTHORIZED, r"\bunauthori[sz]ed|authenticat|credential|\blog ?in\b|\btoken\b.*\b(?:expired|invalid)"),
    (Reason.FORBIDDEN, r"denied|forbidden|\bnot (?:allowed|permitted|authori[sz]ed)|permission"),
    (
        Reason.NOT_FOUND,
        r"\bnot[ _-]?(?:been )?found|n[o']t (?:be found|exist|find)|\bno such\b|\bdeleted\b|\bremoved\b|\bexpired\b"
        r"|\bgone\b|\bno longer\b|\b(?:tag|manifest|image|artifact|repository|name)[ _]unknown"
        r"|\bunknown (?:tag|manifest|image|artifact|repository|blob)",
    ),
    (
        Reason.FORBIDDEN,
        r"polic(?:y|ies)|blocked|prevent|vulnerabilit|quarantin|quota|suspended|disabled|licen[sc]e|payment|unsigned",
    ),
    (Reason.INVALID, r"invalid|malformed|bad request|unsupported|not supported|illegal|precondition"),
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
    text = re.sub(_LOOKUP, "lookup", re.sub(_QUOTED, '""', text))
    # Pull specs and addresses come before a colon; a word of the error itself has none inside.
    text = " ".join(word for word in text.split() if not (word.endswith(":") and re.search("[/:@]", word[:-1])))
    statuses = [int(status) for status in re.findall(_HTTP_STATUS, text)]
    known = [_REGISTRY_HTTP_REASONS[status] for status in statuses if status in _REGISTRY_HTTP_REASONS]
    unknown = re.search(_UNKNOWN_CODE, text)
    # The registry's own words stay out of the client's rules, which are about words that only the client uses.
    reason = _first(_CLIENT_TEXTS, text[: unknown.start()] if unknown else text)
    if known or reason:
        return known[0] if known else reason or Reason.REGISTRY_ERROR
    # Names of images and repositories may contain any word.
    words = " ".join(word for word in unknown[1].split() if not re.search("[/:@]", word[:-1])) if unknown else ""
    return _first(_OWN_WORDS, words) or Reason.REGISTRY_ERROR


def _first(rules: _Rules, text: str) -> Reason | None:
    return next((reason for reason, pattern in rules if re.search(pattern, text, re.IGNORECASE)), None)


def of_http(code: int) -> Reason:
    """Why the API refused a whole request, from the HTTP status code of its answer."""
    return _HTTP_REASONS.get(code, Reason.API_ERROR)
