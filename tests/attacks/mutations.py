"""Documents that were recorded from real servers, with parts replaced by anything: what a fuzzer feeds to parsers."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.support.paths import ROOT

RECORDED = ROOT / "tests" / "sandbox" / "conformance"

NUMBERS = st.sampled_from([0, -1, 1, 2**31, 2**63, 10**30, 1e308, float("inf"), float("-inf"), float("nan"), True])
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", "\x00", "\ud800", "9" * 5000, "१२३", "1_000", "*", "sha256:", "a@b@c", "2026-13-99T99:99:99Z", "x" * 10_000]
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def recorded(kind: str) -> list[dict[str, Any]]:
    """Every recorded object of a kind."""
    found: list[dict[str, Any]] = []
    for file in sorted(RECORDED.glob("golden/*.json")) + sorted(RECORDED.glob("workloads/*.json")):
        found += [each for each in _objects(json.loads(file.read_text())) if each.get("kind") == kind]
    assert found, kind
    return found


def _objects(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "kind" in value and "apiVersion" in value:
            yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


def _paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, documents: list[dict[str, Any]]) -> dict[str, Any]:
    """One of the documents, with up to three of its parts replaced, removed or repeated."""
    document: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 3))):
        paths = list(_paths(document))
        if not paths:
            break
        *way, last = draw(st.sampled_from(paths))
        place: Any = document
        for key in way:
            place = place[key]
        what = draw(st.sampled_from(["replace", "remove", "repeat"]))
        if what == "replace":
            place[last] = draw(ANYTHING)
        elif what == "remove":
            del place[last]
        elif isinstance(place, list):
            place.append(copy.deepcopy(place[last]))
    return document
