"""Reading the API's JSON where any field may be missing or of another type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from job.domain.text import clean


def object_in(data: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The object at that path of some JSON; an empty one where there is none."""
    for name in names:
        value = data.get(name)
        data = value if isinstance(value, dict) else {}
    return data


def objects_in(data: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """The objects of a list in some JSON."""
    value = data.get(name)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else ()


def number(value: object, default: int = 0) -> int:
    """A count in the API's JSON; `default` where it is missing, since Go omits zeros."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def condition_text(condition: Mapping[str, Any]) -> str:
    """Reason and message of a condition in a status."""
    parts = [clean(str(condition[key])) for key in ("reason", "message") if condition.get(key)]
    return ": ".join(parts) or "no reason given"
