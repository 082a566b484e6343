"""Which tests gate each change: `make test` leaves out what is marked slow, `make test-all` runs everything.

One representative of each kind gates. The long tail of a matrix, and what takes long by its nature, is slow; each mark
gives its reason, which `tests/conftest.py` enforces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from _pytest.mark import ParameterSet


def slow(reason: str) -> pytest.MarkDecorator:
    """A test that does not gate, and why."""
    return pytest.mark.slow(reason=reason)


def representatives(values: Iterable[Any], reason: str, *, gating: int = 1, unpacked: bool = True) -> list[Any]:
    """Parameters of which only the first `gating` gate; a tuple holds the values of several arguments if unpacked."""
    found = []
    for number, value in enumerate(values):
        marks = [slow(reason)] if number >= gating else []
        if isinstance(value, ParameterSet):
            found.append(pytest.param(*value.values, id=value.id, marks=[*value.marks, *marks]))
        elif unpacked and isinstance(value, tuple):
            found.append(pytest.param(*value, marks=marks))
        else:
            found.append(pytest.param(value, marks=marks))
    return found


def gating(values: Iterable[Any], reason: str, *names: str) -> list[Any]:
    """Parameters with a name, of which only those with one of `names` gate."""
    found = list(values)
    assert set(names) <= {value.name for value in found}, names
    return [pytest.param(value, marks=[] if value.name in names else [slow(reason)]) for value in found]


def reasons_missing(items: Sequence[pytest.Item]) -> list[str]:
    """The tests that are slow without a reason."""
    return [item.nodeid for item in items if any(not mark.kwargs.get("reason") for mark in item.iter_markers("slow"))]


def counted(items: Sequence[pytest.Item]) -> Counter[str]:
    """How many of the tests gate, and how many are left to `make test-all`."""
    return Counter("slow" if item.get_closest_marker("slow") else "gating" for item in items)
