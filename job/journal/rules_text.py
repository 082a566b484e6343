"""The text of rules, as people and programs write it into the ConfigMap: one YAML document a key.

Everyone who may edit ConfigMaps may write it. So it is bounded before it is parsed, read as events without building
objects, and refused with the line wherever it is not what a rule looks like: a typo must not lift a freeze.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from job.domain.history import DIGEST
from job.domain.records import dataclass, field
from job.domain.rules import MOST_BLOCKED, MOST_FREEZES, REVISION, BlockRule, FreezeRule, Rules
from job.domain.suggestions import did_you_mean
from job.domain.text import clean
from job.domain.times import iso, parse_time

FREEZE_KEY, BLOCKED_KEY = "freeze", "blocked"
MOST_BYTES = 128 * 1024
LONGEST_REASON = 1000
LONGEST_NAME = 200
_MOST_ERRORS = 20
_NULL = ("null", "~")


class RulesTextError(ValueError):
    """Rules that cannot be read; `lines` say where and why."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = tuple(lines)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value, None where it is empty, and its line, from 1."""

    text: str | None
    line: int


@dataclass(slots=True)
class _Entry:
    """One item of a list, and the line on which it begins."""

    line: int
    values: dict[str, _Value] = field(default_factory=dict)


def rules_from(config_map: Mapping[str, Any]) -> Rules:
    """The rules in a ConfigMap.

    Raises:
        RulesTextError: with every problem that was found, each with its key and line.
    """
    data = config_map.get("data") or {}
    errors: list[str] = []
    known = (FREEZE_KEY, BLOCKED_KEY)
    for key in sorted({*data, *(config_map.get("binaryData") or {})} - {*known}):
        hint = did_you_mean(str(key), known) or f"; rules: {', '.join(known)}"
        errors.append(f"key {clean(str(key), 60)}: not a rule{hint}")
    freezes = _list(data, FREEZE_KEY, MOST_FREEZES, _FREEZE_FIELDS, _freeze_from, errors)
    blocked = _list(data, BLOCKED_KEY, MOST_BLOCKED, _BLOCKED_FIELDS, _blocked_from, errors)
    if errors:
        more = [f"and {len(errors) - _MOST_ERRORS} more problems"] if len(errors) > _MOST_ERRORS else []
        raise RulesTextError([*errors[:_MOST_ERRORS], *more])
    return Rules(tuple(freezes), tuple(blocked))


def _list(
    data: Mapping[str, Any],
    key: str,
    most: int,
    fields: Sequence[str],
    make: Callable[[_Reader], Any],
    errors: list[str],
) -> list[Any]:
    """The rules of one key; what is wrong with them is added to `errors`."""
    try:
        entries = list(_entries(str(data.get(key) or ""), most))
    except ValueError as error:
        errors.append(f"{key}, {error}")
        return []
    items = []
    for entry in entries:
        reader = _Reader(entry, fields)
        items.append(make(reader))
        errors += [f"{key}, {problem}" for problem in reader.problems]
    return items


def _entries(text: str, most: int) -> Iterator[_Entry]:
    """The items of a document that is a list of mappings with plain values.

    Raises:
        ValueError: it is something else; the message begins with the line.
    """
    import yaml

    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError("line 1: it is not text") from None
    if size > MOST_BYTES:
        raise ValueError(f"line 1: it is larger than {MOST_BYTES >> 10} KiB")
    try:
        yield from _Events(text).items(most)
    except yaml.YAMLError as error:
        mark, position = getattr(error, "problem_mark", None), getattr(error, "position", None)
        # For a character that YAML forbids only the position is known.
        line = mark.line if mark else text[: position if isinstance(position, int) else 0].count("\n")
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is not YAML"
        raise ValueError(f"line {line + 1}: {clean(str(problem), 200)}") from error


class _Events:
    """The events of the YAML parser one by one; what is not plain lists, objects and texts is refused."""

    def __init__(self, text: str) -> None:
        import yaml

        self._yaml = yaml
        self._events = iter(yaml.parse(text, Loader=yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader))
        self._event: Any = None

    def items(self, most: int) -> Iterator[_Entry]:
        """The items; nothing nests deeper than a value of an item."""
        yaml = self._yaml
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return
        yield from self._list(most)
        next(self._events)
        self._event = next(self._events)
        if not isinstance(self._event, yaml.StreamEndEvent):
            raise self._error("a second document")

    def _list(self, most: int) -> Iterator[_Entry]:
        yaml = self._yaml
        expected = "a list of rules is expected: - reason: ..."
        if self._take(yaml.SequenceStartEvent, yaml.ScalarEvent, otherwise=expected) is yaml.ScalarEvent:
            if self._value() is not None:
                raise self._error(expected)
            return
        count = 0
        item = (yaml.MappingStartEvent, yaml.SequenceEndEvent)
        while self._take(*item, otherwise="an object is expected: - reason: ...") is yaml.MappingStartEvent:
            count += 1
            if count > most:
                raise self._error(f"more than {most} rules")
            yield self._entry()

    def _entry(self) -> _Entry:
        yaml = self._yaml
        entry = _Entry(self._line)
        part = (yaml.ScalarEvent, yaml.MappingEndEvent)
        while self._take(*part, otherwise="a name is expected") is yaml.ScalarEvent:
            name, line = str(self._event.value), self._line
            shown = clean(name, 60)
            if name in entry.values:
                raise self._error(f"{shown} is there twice")
            self._take(yaml.ScalarEvent, otherwise=f"{shown} is one text or time, not a list or an object")
            # The line of the name is where a person looks.
            entry.values[name] = _Value(self._value(), line)
        return entry

    def _take(self, *kinds: type[Any], otherwise: str) -> type[Any]:
        """The kind of the next event, which must be one of those."""
        event = self._event = next(self._events)
        if isinstance(event, self._yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._error("anchors and aliases are not taken")
        if tag := getattr(event, "tag", None):
            raise self._error(f"tags are not taken: {clean(str(tag), 60)}")
        kind = next((kind for kind in kinds if isinstance(event, kind)), None)
        if kind is None:
            raise self._error(otherwise)
        return kind

    @property
    def _line(self) -> int:
        return int(self._event.start_mark.line) + 1

    def _value(self) -> str | None:
        text = str(self._event.value)
        is_null = text in _NULL and not self._event.style
        return None if is_null or not text.strip() else text

    def _error(self, problem: str) -> ValueError:
        return ValueError(f"line {self._line}: {problem}")


_FREEZE_FIELDS = ("reason", "by", "at", "until")
_BLOCKED_FIELDS = ("digest", "revision", *_FREEZE_FIELDS)


class _Reader:
    """The values of one entry by name; what is wrong with them is collected."""

    def __init__(self, entry: _Entry, fields: Sequence[str]) -> None:
        self.entry = entry
        known = ", ".join(fields)
        self.problems = [
            f"line {value.line}: unknown name {clean(name, 60)!r}{did_you_mean(name, fields) or f'; known: {known}'}"
            for name, value in entry.values.items()
            if name not in fields
        ]

    def text(self, name: str, longest: int) -> str | None:
        """A text; None without one."""
        value = self.entry.values.get(name)
        return clean(value.text, longest) or None if value and value.text else None

    def time(self, name: str) -> datetime | None:
        """A time; None without one."""
        value = self.entry.values.get(name)
        if value is None or value.text is None:
            return None
        time = parse_time(value.text.strip())
        if time is None:
            given = clean(value.text, 60)
            self.problem(name, f"{name}: {given!r} is not a time with a zone such as 2026-12-24T18:00:00Z")
        return time

    def problem(self, name: str, problem: str) -> None:
        """Add what is wrong with a value, or with the entry where it has none of that name."""
        value = self.entry.values.get(name)
        self.problems.append(f"line {value.line if value else self.entry.line}: {problem}")


def _freeze_from(reader: _Reader) -> FreezeRule:
    if not reader.entry.values:
        reader.problem("reason", "an empty rule")
    return FreezeRule(
        reason=reader.text("reason", LONGEST_REASON),
        by=reader.text("by", LONGEST_NAME),
        at=reader.time("at"),
        until=reader.time("until"),
    )


def _blocked_from(reader: _Reader) -> BlockRule:
    digest, revision = reader.text("digest", LONGEST_NAME), reader.text("revision", LONGEST_NAME)
    if (digest is None) == (revision is None):
        reader.problem("digest", "exactly one of digest and revision is needed")
    if digest is not None and not re.fullmatch(DIGEST, digest):
        reader.problem("digest", f"digest: {digest!r} is not sha256: and 64 hexadecimal digits")
    if revision is not None and not re.fullmatch(REVISION, revision.lower()):
        reader.problem("revision", f"revision: {revision!r} is not a commit of 7 to 64 hexadecimal digits")
    return BlockRule(
        digest=digest,
        revision=revision.lower() if revision else None,
        reason=reader.text("reason", LONGEST_REASON),
        by=reader.text("by", LONGEST_NAME),
        at=reader.time("at"),
        until=reader.time("until"),
    )


def data_of(rules: Rules) -> dict[str, str]:
    """The text of each key that has a rule."""
    freezes = [_filled(_terms(freeze)) for freeze in rules.freezes]
    blocked = [_filled({"digest": rule.digest, "revision": rule.revision, **_terms(rule)}) for rule in rules.blocked]
    return {key: _dump(items) for key, items in ((FREEZE_KEY, freezes), (BLOCKED_KEY, blocked)) if items}


def _terms(rule: FreezeRule | BlockRule) -> dict[str, str | None]:
    return {"reason": rule.reason, "by": rule.by, "at": iso(rule.at), "until": iso(rule.until)}


def _filled(values: Mapping[str, str | None]) -> dict[str, str]:
    # An empty rule would be refused.
    return {name: value for name, value in values.items() if value is not None} or {"reason": ""}


def _dump(items: Sequence[Mapping[str, str]]) -> str:
    import yaml

    return str(yaml.safe_dump(list(items), sort_keys=False, allow_unicode=True, width=1000))
