"""Faults on demand, and the log of what was asked.

A rule says which requests it is for (`method` must match all of the method, `path` and `body` must be found; all are
regular expressions), how many of them it lets pass (`after`), how often it then acts (`times`; absent: for ever), and
what it does:

    latency          seconds to wait first
    status           answer with a Status: {"code": 503, "reason": "..", "message": "..",
                     "headers": {"Retry-After": "1"}}; only the code is needed
    raw              answer with any text: {"status": 200, "content_type": "text/html", "body": "..", "repeat": 1}
    truncate         do the request, and send only so many bytes of the answer, as if that were all of it
    drip             do the request, and send the answer in pieces: {"bytes": 1, "seconds": 0.1}
    hang             never answer
    gate             wait until the rule is removed, then do the request as usual
    cut              do the request, and close the connection after so many bytes of the answer; more was announced
    mix_up           do the request, and send the answer that the request of this kind before it had
    page             let a list have at most so many items a page
    reset            "before": drop the connection instead of doing the request; "after": do it, then drop it
    change           "before": give the object (of an import: the stream) a new resourceVersion just before the request;
                     "during": between what an import reads and what it writes
    expire_continue  make all continue tokens too old first

All rules that fit a request act on it, in the order they were added.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.sandbox.status import Json, JsonValue, failure

_REASONS = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


@dataclass(slots=True)
class Rule:
    """One fault; see the module."""

    method: str = ""
    path: str = ""
    body: str = ""
    after: int = 0
    times: int | None = None
    latency: float = 0.0
    status: Json | None = None
    raw: Json | None = None
    truncate: int | None = None
    drip: Json | None = None
    hang: bool = False
    gate: bool = False
    cut: int | None = None
    mix_up: bool = False
    page: int = 0
    reset: str = ""
    change: str = ""
    expire_continue: bool = False
    id: int = 0
    seen: int = 0
    acted: int = 0

    def fits(self, method: str, path: str, body: bytes) -> bool:
        if self.method and not re.fullmatch(self.method, method):
            return False
        if self.path and not re.search(self.path, path):
            return False
        return not self.body or re.search(self.body, body.decode(errors="replace")) is not None

    def acts(self) -> bool:
        """Count a request that fits; True if this one is to suffer."""
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.acted >= self.times):
            return False
        self.acted += 1
        return True


def rule_of(given: Mapping[str, Any]) -> Rule:
    """A rule as a client sent it; what is wrong with it is a ValueError."""
    known = set(Rule.__slots__) - {"id", "seen", "acted"}
    unknown = set(given) - known
    if unknown:
        raise ValueError(f"no such part of a rule: {', '.join(sorted(unknown))}")
    rule = Rule(**given)
    for pattern in (rule.method, rule.path, rule.body):
        try:
            re.compile(pattern)
        except re.error as problem:
            raise ValueError(f"{pattern!r}: {problem}") from None
    if rule.reset not in ("", "before", "after") or rule.change not in ("", "before", "during"):
        raise ValueError("reset is before or after, change is before or during")
    return rule


def status_answer(given: Json) -> tuple[Json, dict[str, str]]:
    """The Status a rule asks for, and its headers."""
    code = int(given.get("code", 500))
    reason = str(given.get("reason", _REASONS.get(code, "")))
    headers = {name: str(value) for name, value in (given.get("headers") or {}).items()}
    details = given.get("details")
    if details is None and "Retry-After" in headers:
        details = {"retryAfterSeconds": int(headers["Retry-After"])}
    return failure(code, reason, str(given.get("message", reason or "fault")), details), headers


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._rules: dict[int, Rule] = {}
        self._next = 1

    def add(self, rule: Rule) -> int:
        rule.id = self._next
        self._rules[rule.id] = rule
        self._next += 1
        return rule.id

    def remove(self, number: int | None) -> bool:
        """Remove one rule, or all."""
        if number is None:
            self._rules.clear()
            return True
        return self._rules.pop(number, None) is not None

    def stands(self, rule: Rule) -> bool:
        """Whether a rule has not been removed yet."""
        return rule.id in self._rules

    def shown(self) -> list[Json]:
        return [asdict(rule) for rule in self._rules.values()]

    def acting_on(self, method: str, path: str, body: bytes) -> list[Rule]:
        if not self._rules:
            return []
        return [rule for rule in self._rules.values() if rule.fits(method, path, body) and rule.acts()]


@dataclass(slots=True)
class Record:
    """One request in the log; times are seconds since the epoch, and `ended` is None while it runs."""

    method: str
    path: str
    query: dict[str, str]
    started: float
    user: str = ""
    status: int = 0
    ended: float | None = None
    # Of imports: the stream, and the tags and sources of the images.
    stream: str = ""
    tags: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    user_agent: str = ""
    # The client's port, which distinguishes its connections.
    connection: int = 0


class RequestLog:
    """What was asked, and how many requests were under way at once; watches do not count as such."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._in_flight = 0
        self._imports_in_flight = 0
        self.most_in_flight = 0
        self.most_imports_in_flight = 0

    def begin(self, record: Record, *, counted: bool) -> None:
        self._records.append(record)
        if counted:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            if record.stream:
                self._imports_in_flight += 1
                self.most_imports_in_flight = max(self.most_imports_in_flight, self._imports_in_flight)

    def end(self, record: Record, status: int, *, counted: bool) -> None:
        record.status = status
        record.ended = time.time()
        if counted:
            self._in_flight -= 1
            self._imports_in_flight -= bool(record.stream)

    def clear(self) -> None:
        self._records = []
        self.most_in_flight, self.most_imports_in_flight = self._in_flight, self._imports_in_flight

    def shown(self) -> Json:
        return {
            "requests": [asdict(record) for record in self._records],
            "in_flight": self._in_flight,
            "most_in_flight": self.most_in_flight,
            "most_imports_in_flight": self.most_imports_in_flight,
        }


def import_of(data: JsonValue) -> tuple[str, list[str], list[str]]:
    """The stream, tags and sources that the body of an import names; empty if it is no import."""
    try:
        wanted = data["spec"].get("images") or []
        tags = [(image.get("to") or {}).get("name", "") for image in wanted]
        sources = [image["from"].get("name", "") for image in wanted]
        if data["spec"].get("repository"):
            sources.append(data["spec"]["repository"]["from"].get("name", ""))
        return str(data["metadata"].get("name", "")), tags, sources
    except (KeyError, TypeError, AttributeError):
        return "", [], []
