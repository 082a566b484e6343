"""A store of objects in memory with resourceVersions and conflicts, a clock that only moves when told, and reports."""

from __future__ import annotations

import copy
import itertools
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from job.cluster import Resource
from job.domain.errors import ClusterError
from job.domain.model import By, Command, Image, Outcome, Reason, Report, Result, RunError, Skip, TagResult, TriggerKind
from job.domain.scope import Shard
from job.runtime.clock import Clock

JSON = dict[str, Any]
NAMESPACE = "packit-prod"
NOW = datetime(2026, 11, 24, 2, 0, 0, tzinfo=UTC)


def refusal(code: int, message: str = "") -> ClusterError:
    """A request that the API refuses with that code."""
    reasons = {403: Reason.FORBIDDEN, 404: Reason.NOT_FOUND, 409: Reason.CONFLICT, 429: Reason.RATE_LIMITED}
    return ClusterError(reasons.get(code, Reason.API_ERROR), message or f"the API says {code}", code=code)


def connection_lost() -> ClusterError:
    return ClusterError(Reason.UNREACHABLE, "connection lost", answered=False)


@dataclass(frozen=True)
class Asked:
    """A request that arrived."""

    verb: str
    plural: str
    namespace: str
    name: str


Hook = Callable[[Asked], None]


class Objects:
    """Implements `job.cluster.Cluster` for objects that are simply stored.

    `before` is called ahead of every request, `after` once it took effect; either may raise what the caller then gets.
    """

    default_namespace: str | None = None
    clock_skew: float | None = None
    server: str = "https://api.example:6443"
    context: str | None = None

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.timeouts: list[float | None] = []
        self.before: Hook = lambda asked: None
        self.after: Hook = lambda asked: None
        self.refused: dict[tuple[str, str], int] = {}
        self._objects: dict[tuple[str, str, str], JSON] = {}
        self._versions = itertools.count(1)
        self._lock = threading.RLock()

    def script(self, verb: str, plural: str, *errors: ClusterError | None, after: bool = False) -> None:
        """What the next requests of that sort get: an error, or with None the usual."""
        left = deque(errors)

        def hook(asked: Asked) -> None:
            if (asked.verb, asked.plural) == (verb, plural) and left and (error := left.popleft()):
                raise error

        if after:
            self.after = hook
        else:
            self.before = hook

    def put(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> JSON:
        """Write an object, whatever is there."""
        with self._lock:
            stored: JSON = copy.deepcopy(dict(body))
            stored["metadata"] = {**stored["metadata"], "resourceVersion": str(next(self._versions))}
            self._objects[resource.plural, namespace, str(stored["metadata"]["name"])] = stored
            return copy.deepcopy(stored)

    def there(self, resource: Resource, name: str, namespace: str = NAMESPACE) -> JSON:
        """An object, as it is."""
        return copy.deepcopy(self._objects[resource.plural, namespace, name])

    def all(self, resource: Resource) -> list[JSON]:
        """Every object of a kind."""
        with self._lock:
            return [copy.deepcopy(each) for (plural, _, _), each in self._objects.items() if plural == resource.plural]

    def remove(self, resource: Resource, name: str, namespace: str = NAMESPACE) -> None:
        del self._objects[resource.plural, namespace, name]

    def change(self, resource: Resource, name: str, namespace: str = NAMESPACE, **spec: Any) -> None:
        """Somebody else changes the spec of an object."""
        found = self.there(resource, name, namespace)
        self.put(resource, namespace, {**found, "spec": {**found.get("spec", {}), **spec}})

    def writes(self, plural: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.verb in ("create", "update") and asked.plural == plural]

    def _begin(self, verb: str, resource: Resource, namespace: str, name: str) -> Asked:
        asked = Asked(verb, resource.plural, namespace, name)
        self.asked.append(asked)
        self.before(asked)
        if (verb, resource.plural) in self.refused:
            raise refusal(self.refused[verb, resource.plural], f"{verb} on {resource.plural} is refused")
        return asked

    def list(self, resource: Resource, namespace: str, selector: str | None = None) -> Iterator[Mapping[str, Any]]:
        asked = self._begin("list", resource, namespace, "")
        wanted = dict(part.partition("=")[::2] for part in (selector or "").split(",") if part)
        with self._lock:
            found = [
                copy.deepcopy(each)
                for (plural, where, _), each in sorted(self._objects.items())
                if (plural, where) == (resource.plural, namespace)
                and wanted.items() <= (each["metadata"].get("labels") or {}).items()
            ]
        self.after(asked)
        return iter(found)

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        asked = self._begin("get", resource, namespace, name)
        with self._lock:
            if (resource.plural, namespace, name) not in self._objects:
                raise refusal(404)
            found = self.there(resource, name, namespace)
        self.after(asked)
        return found

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        name = str(body["metadata"]["name"])
        asked = self._begin("create", resource, namespace, name)
        with self._lock:
            if (resource.plural, namespace, name) in self._objects:
                raise refusal(409)
            made = self.put(resource, namespace, body)
        self.after(asked)
        return made

    def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        name = str(body["metadata"]["name"])
        self.timeouts.append(timeout)
        asked = self._begin("update", resource, namespace, name)
        with self._lock:
            if (resource.plural, namespace, name) not in self._objects:
                raise refusal(404)
            version = self._objects[resource.plural, namespace, name]["metadata"]["resourceVersion"]
            if body["metadata"].get("resourceVersion", version) != version:
                raise refusal(409)
            made = self.put(resource, namespace, body)
        self.after(asked)
        return made

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        asked = self._begin("delete", resource, namespace, name)
        with self._lock:
            if (resource.plural, namespace, name) not in self._objects:
                raise refusal(404)
            if uid and self._objects[resource.plural, namespace, name]["metadata"].get("uid") != uid:
                raise refusal(409)
            del self._objects[resource.plural, namespace, name]
        self.after(asked)

    def close(self) -> None:
        """Nothing to close."""


class ManualClock:
    """Time that passes only while somebody sleeps; `tick` says what else happens meanwhile."""

    def __init__(self, tick: Callable[[float], None] = lambda now: None) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.tick = tick
        self.clock = Clock(monotonic=lambda: self.now, sleep=self.sleep, chance=lambda: 0.5)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        self.tick(self.now)


def digest(name: str) -> str:
    """A digest that reads well in a failing test."""
    return f"sha256:{name}"


def image(name: str, revision: str | None = "1a2b3c") -> Image:
    return Image(digest(name), NOW - timedelta(days=1), NOW, revision, None)


def updated(stream: str, tag: str = "prod", namespace: str = NAMESPACE) -> TagResult:
    source = f"quay.io/packit/{stream}:{tag}"
    before, after = image(f"{stream}-old"), image(f"{stream}-new", "4d5e6f")
    return TagResult(namespace, stream, tag, source, Result.UPDATED, attempts=1, before=before, after=after)


def unchanged(stream: str, tag: str = "prod", namespace: str = NAMESPACE) -> TagResult:
    held = image(f"{stream}-old")
    return TagResult(namespace, stream, tag, "quay.io/x", Result.UNCHANGED, attempts=1, before=held, after=held)


def failed(
    stream: str,
    tag: str = "prod",
    namespace: str = NAMESPACE,
    reason: Reason = Reason.NOT_FOUND,
    message: str = "no such image",
    by: By | None = By.REGISTRY,
) -> TagResult:
    held = image(f"{stream}-old")
    result = Result.FAILED
    return TagResult(namespace, stream, tag, "quay.io/x", result, reason, by, message, 1, before=held, after=held)


def skipped(stream: str, tag: str = "prod", namespace: str = NAMESPACE, reason: Skip = Skip.PINNED) -> TagResult:
    held = image(f"{stream}-old")
    return TagResult(namespace, stream, tag, "quay.io/x", Result.SKIPPED, reason, before=held, after=held)


def report(
    *tags: TagResult,
    outcome: Outcome = Outcome.SUCCESS,
    run_id: str = "20261124T020003Z-4f1c",
    deployment: str | None = "prod",
    namespaces: Sequence[str] = (NAMESPACE,),
    errors: Sequence[RunError] = (),
    shard: Shard | None = None,
    at: datetime = NOW,
    seconds: float = 4.0,
    status: int = 0,
    outcomes: Mapping[str, Outcome] | None = None,
) -> Report:
    """A report that ended at `at`."""
    return Report(
        id=run_id,
        command=Command.RUN,
        trigger=TriggerKind.SCHEDULED,
        started_at=at - timedelta(seconds=seconds),
        finished_at=at,
        outcome=outcome,
        exit_status=status,
        deployment=deployment,
        namespaces=tuple(namespaces),
        tags=tags,
        errors=tuple(errors),
        tallies={},
        outcomes=outcomes or dict.fromkeys(namespaces, outcome),
        shard=shard,
    )


def config_map(text: str, name: str) -> JSON:
    return {"metadata": {"name": name}, "data": {"journal.json": text}}


def as_json(value: object) -> str:
    return json.dumps(value)
