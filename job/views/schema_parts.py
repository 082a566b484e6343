"""The parts that schemas of documents are made of."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
# RFC 3339 in UTC.
TIME: Schema = {"type": "string", "format": "date-time"}
DIGEST: Schema = {"type": "string", "pattern": "^[a-z0-9]+:[a-f0-9]+$"}


def or_null(schema: Schema) -> Schema:
    """The schema, or null."""
    if isinstance(schema.get("type"), str):
        values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        return {**schema, "type": [schema["type"], "null"], **values}
    return {"anyOf": [schema, {"type": "null"}]}


TEXT_OR_NULL, TIME_OR_NULL, NUMBER_OR_NULL = or_null(TEXT), or_null(TIME), or_null(NUMBER)


def one_of(*kinds: Iterable[StrEnum], also: Iterable[str] = ()) -> Schema:
    """One of the members of these enums, or of the other words."""
    return {"type": "string", "enum": list(dict.fromkeys([*(str(member) for kind in kinds for member in kind), *also]))}


def list_of(items: Schema) -> Schema:
    """An array of such items."""
    return {"type": "array", "items": items}


def object_of(optional: Schema | None = None, **keys: Schema) -> Schema:
    """An object with these keys, `optional` ones besides; a trailing underscore of a key is not a part of it."""
    named = {key.rstrip("_"): schema for key, schema in keys.items()}
    return {"type": "object", "properties": {**named, **(optional or {})}, "required": list(named)}
