"""Everything the server keeps: objects by kind, one growing resource version, watches and consistent lists.

Objects are never changed after they were put, so that lists, watches and the encoded answers can share them.
Source of behaviour: k8s.io/apiserver pkg/storage (etcd3 and the watch cache).
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tests.sandbox.resources import Kind
from tests.sandbox.settings import Settings
from tests.sandbox.status import ApiError, Json, bad_request, expired

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Predicate = Callable[[Json], bool]

_TOO_OLD_TO_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without"
    " the continue parameter, or use the continue token in this response to retrieve the remainder of the results."
    " Continuing with the provided token results in an inconsistent list - objects that were created, modified, or"
    " deleted between the time the first chunk was returned and now may show up in the list."
)
# What watches can still be started from, and how many entries of unfinished lists are kept.
_EVENTS_KEPT = 4000
_LISTED_KEPT = 100_000


def encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


class Entry:
    """One object as it was at one resource version."""

    __slots__ = ("_body", "kind", "name", "namespace", "object", "revision")

    def __init__(self, kind: Kind, namespace: str, name: str, item: Json, revision: int) -> None:
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.object = item
        self.revision = revision
        self._body: bytes | None = None

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def bare(self) -> bytes:
        """The object as JSON without apiVersion and kind, as it stands in lists."""
        if self._body is None:
            self._body = encode(self.object)
        return self._body

    def body(self) -> bytes:
        return self.kind.typed(self.bare())


@dataclass(frozen=True, slots=True)
class Event:
    """One change; `before` is what the object was."""

    type: EventType
    entry: Entry
    before: Entry | None
    revision: int


class Watch:
    """The changes of one kind from now on; iterate, and close when done."""

    def __init__(self, table: Table, namespace: str) -> None:
        self._table = table
        self._namespace = namespace
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()
        table.watches.add(self)

    def offer(self, event: Event) -> None:
        if not self._namespace or event.entry.namespace == self._namespace:
            self.queue.put_nowait(event)

    def close(self) -> None:
        self._table.watches.discard(self)
        self.queue.put_nowait(None)

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Event:
        event = await self.queue.get()
        if event is None:
            raise StopAsyncIteration
        return event


class Table:
    """All objects of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.by_namespace: dict[str, dict[str, Entry]] = {}
        self.watches: set[Watch] = set()
        self.events: deque[Event] = deque(maxlen=_EVENTS_KEPT)
        self.forgotten = 0
        self._sorted: dict[str, list[Entry]] = {}

    def get(self, namespace: str, name: str) -> Entry | None:
        return self.by_namespace.get(namespace, {}).get(name)

    def entries(self, namespace: str = "") -> list[Entry]:
        """In the order of the keys; the caller must not change the list. No namespace means all."""
        known = self._sorted.get(namespace)
        if known is None:
            if namespace or not self.kind.namespaced:
                names = self.by_namespace.get(namespace, {})
                known = [names[name] for name in sorted(names)]
            else:
                known = sorted((e for names in self.by_namespace.values() for e in names.values()), key=lambda e: e.key)
            self._sorted[namespace] = known
        return known

    def record(self, event: Event) -> None:
        self._sorted.pop(event.entry.namespace, None)
        self._sorted.pop("", None)
        if len(self.events) == _EVENTS_KEPT:
            self.forgotten = self.events[0].revision
        self.events.append(event)
        for watch in self.watches:
            watch.offer(event)


@dataclass(slots=True)
class _Snapshot:
    entries: list[Entry]
    taken: float


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    entries: list[Entry]
    revision: int
    continue_token: str
    remaining: int | None


class Store:
    """The tables, and what they share."""

    def __init__(self, settings: Settings) -> None:
        self.revision = 1000
        self._settings = settings
        self._tables: dict[str, Table] = {}
        self._snapshots: OrderedDict[tuple[str, str, str, int], _Snapshot] = OrderedDict()
        self._owned: dict[str, dict[tuple[str, str, str], Entry]] = {}

    def table(self, kind: Kind) -> Table:
        table = self._tables.get(kind.group_resource)
        if table is None:
            table = self._tables[kind.group_resource] = Table(kind)
        return table

    def tables(self) -> Iterable[Table]:
        return list(self._tables.values())

    def get(self, kind: Kind, namespace: str, name: str) -> Entry | None:
        return self.table(kind).get(namespace, name)

    def put(self, kind: Kind, item: Json) -> Entry:
        """Store an object under its name; it gets the next resource version and must not be changed afterwards."""
        metadata = item["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        self.revision += 1
        item["metadata"] = {**metadata, "resourceVersion": str(self.revision)}
        table = self.table(kind)
        before = table.get(namespace, name)
        entry = Entry(kind, namespace, name, item, self.revision)
        table.by_namespace.setdefault(namespace, {})[name] = entry
        self._own(before, entry)
        table.record(Event("MODIFIED" if before else "ADDED", entry, before, self.revision))
        return entry

    def touch(self, kind: Kind, namespace: str, name: str) -> Entry | None:
        """Give an object a new resource version and leave the rest of it alone."""
        entry = self.get(kind, namespace, name)
        return self.put(kind, dict(entry.object)) if entry else None

    def delete(self, entry: Entry) -> Entry:
        """Remove an object; returns it with the resource version of its removal."""
        table = self.table(entry.kind)
        names = table.by_namespace[entry.namespace]
        del names[entry.name]
        if not names:
            del table.by_namespace[entry.namespace]
        self.revision += 1
        item = {**entry.object, "metadata": {**entry.object["metadata"], "resourceVersion": str(self.revision)}}
        last = Entry(entry.kind, entry.namespace, entry.name, item, self.revision)
        self._own(entry, None)
        table.record(Event("DELETED", last, entry, self.revision))
        return last

    def owned_by(self, uid: str) -> list[Entry]:
        return list(self._owned.get(uid, {}).values())

    def _own(self, before: Entry | None, after: Entry | None) -> None:
        """Keep the index of what is owned by whom."""
        if before:
            for uid in _owners(before):
                owned = self._owned.get(uid, {})
                owned.pop(_place_of(before), None)
                if not owned:
                    self._owned.pop(uid, None)
        if after:
            for uid in _owners(after):
                self._owned.setdefault(uid, {})[_place_of(after)] = after

    # Lists

    def page(
        self,
        kind: Kind,
        namespace: str,
        selected: Predicate | None,
        selector: str,
        limit: int,
        token: str,
    ) -> Page:
        """One page of a list. All pages show the objects as they were when the first was asked for."""
        if not token:
            entries = self._select(kind, namespace, selected)
            if not limit or len(entries) <= limit:
                return Page(entries, self.revision, "", None)
            self._keep((kind.group_resource, namespace, selector, self.revision), entries)
            return self._cut(entries, 0, limit, self.revision, counted=selected is None)
        revision, start = _decode_token(token)
        if revision == -1:
            entries, revision = self._select(kind, namespace, selected), self.revision
            self._keep((kind.group_resource, namespace, selector, revision), entries)
        else:
            snapshot = self._snapshots.get((kind.group_resource, namespace, selector, revision))
            if snapshot is None or time.monotonic() - snapshot.taken > self._settings.continue_lifetime:
                raise expired(_TOO_OLD_TO_CONTINUE, _encode_token(-1, start))
            entries = snapshot.entries
        return self._cut(entries, _place(entries, start), limit, revision, counted=selected is None)

    def _keep(self, key: tuple[str, str, str, int], entries: list[Entry]) -> None:
        """Remember what a list was; the oldest lists are forgotten."""
        self._snapshots[key] = _Snapshot(entries, time.monotonic())
        while len(self._snapshots) > 1 and sum(len(each.entries) for each in self._snapshots.values()) > _LISTED_KEPT:
            self._snapshots.popitem(last=False)

    def expire_continue_tokens(self) -> int:
        """Make every continue token given out so far too old; tells how many lists were under way."""
        count = len(self._snapshots)
        self._snapshots.clear()
        return count

    def _select(self, kind: Kind, namespace: str, selected: Predicate | None) -> list[Entry]:
        entries = self.table(kind).entries(namespace)
        if selected is None:
            return entries
        return [entry for entry in entries if selected(entry.object)]

    @staticmethod
    def _cut(entries: list[Entry], first: int, limit: int, revision: int, *, counted: bool) -> Page:
        end = first + limit if limit else len(entries)
        left = len(entries) - end
        if left <= 0:
            return Page(entries[first:end], revision, "", None)
        token = _encode_token(revision, entries[end - 1].key)
        return Page(entries[first:end], revision, token, left if counted else None)

    # Watches

    def watch(self, kind: Kind, namespace: str, since: int | None) -> tuple[Watch, list[Event]]:
        """A watch, and the changes after revision `since` that it will not show again."""
        table = self.table(kind)
        missed: list[Event] = []
        if since is not None:
            if since < table.forgotten:
                raise expired(f"too old resource version: {since} ({table.forgotten})")
            missed = [e for e in _newer(table.events, since) if not namespace or e.entry.namespace == namespace]
        return Watch(table, namespace), missed


def _owners(entry: Entry) -> list[str]:
    return [owner.get("uid", "") for owner in entry.object["metadata"].get("ownerReferences") or ()]


def _place_of(entry: Entry) -> tuple[str, str, str]:
    return entry.kind.group_resource, entry.namespace, entry.name


def _newer(events: deque[Event], since: int) -> Iterator[Event]:
    if not events or events[-1].revision <= since:
        return iter(())
    return (event for event in list(events) if event.revision > since)


def _place(entries: list[Entry], after: str) -> int:
    low, high = 0, len(entries)
    while low < high:
        middle = (low + high) // 2
        if entries[middle].key <= after:
            low = middle + 1
        else:
            high = middle
    return low


def _encode_token(revision: int, start: str) -> str:
    data = encode({"v": "meta.k8s.io/v1", "rv": revision, "start": start + "\0"})
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode_token(token: str) -> tuple[int, str]:
    try:
        data = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(data["rv"]), str(data["start"]).rstrip("\0")
    except (ValueError, KeyError, TypeError):
        raise _bad_token() from None


def _bad_token() -> ApiError:
    return bad_request("continue key is not valid: illegal base64 data")
