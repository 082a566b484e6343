"""Label and field selectors, as list and watch take them.

Source of behaviour: k8s.io/apimachinery pkg/labels and pkg/fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.sandbox.status import Json, bad_request

Predicate = Callable[[Json], bool]

_SET_TERM = re.compile(r"\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^()]*)\)\s*")
_FIELD_TERM = re.compile(r"\s*([^\s!=,]+)\s*(==|!=|=)\s*([^,]*?)\s*")


def _terms(text: str) -> list[str]:
    """Split at the commas that are not inside parentheses."""
    terms, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        if letter == "(":
            depth += 1
        elif letter == ")":
            depth -= 1
        elif letter == "," and depth == 0:
            terms.append(text[start:place])
            start = place + 1
    terms.append(text[start:])
    return [term for term in terms if term.strip()]


def _label_term(term: str) -> Callable[[dict[str, str]], bool]:
    found = _SET_TERM.fullmatch(term)
    if found:
        key, values = found[1], {value.strip() for value in found[3].split(",")}
        if found[2] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    for operator in ("!=", "==", "="):
        if operator in term:
            key, _, value = (part.strip() for part in term.partition(operator))
            if operator == "!=":
                return lambda labels: labels.get(key) != value
            return lambda labels: labels.get(key) == value
    key = term.strip()
    if key.startswith("!"):
        absent = key[1:].strip()
        return lambda labels: absent not in labels
    if not re.fullmatch(r"[\w./-]+", key):
        raise bad_request(f"unable to parse requirement: found '{key}', expected: identifier")
    return lambda labels: key in labels


def label_predicate(text: str) -> Callable[[dict[str, str]], bool]:
    terms = [_label_term(term) for term in _terms(text)]
    return lambda labels: all(term(labels) for term in terms)


def _value_at(item: Json, path: str) -> str:
    value: Any = item
    for part in path.split("."):
        if not isinstance(value, dict):
            return ""
        value = value.get(part)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _field_term(term: str, supported: Callable[[str], bool]) -> Predicate:
    found = _FIELD_TERM.fullmatch(term)
    if found is None:
        raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
    path, operator, value = found[1], found[2], found[3]
    if not supported(path):
        raise bad_request(f"field label not supported: {path}")
    if operator == "!=":
        return lambda item: _value_at(item, path) != value
    return lambda item: _value_at(item, path) == value


def predicate(labels: str, fields: str, supported: Callable[[str], bool]) -> Predicate | None:
    """What an object must be to be selected; None selects everything."""
    if not labels and not fields:
        return None
    tests: list[Predicate] = []
    if labels:
        matches = label_predicate(labels)
        tests.append(lambda item: matches(item["metadata"].get("labels") or {}))
    tests.extend(_field_term(term, supported) for term in _terms(fields))
    return lambda item: all(test(item) for test in tests)
