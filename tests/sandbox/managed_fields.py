"""Who applied which fields, as metadata.managedFields tells it. Pure.

Only server-side apply leaves an entry. Other writes leave none, and take no field away from whoever applied it.
Source of behaviour: k8s.io/apimachinery pkg/util/managedfields and sigs.k8s.io/structured-merge-diff.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.sandbox import patches, timestamps
from tests.sandbox.resources import Kind
from tests.sandbox.status import Json, JsonValue

# What is one value to the server although it has parts.
_WHOLE = {"from", "selector", "matchLabels"}
# What everybody who applies says without owning it.
_UNOWNED = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"}


def entry(manager: str, kind: Kind, wanted: Json) -> Json:
    """The entry for what a manager applies."""
    return {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": kind.api_version,
        "time": timestamps.now(),
        "fieldsType": "FieldsV1",
        "fieldsV1": _owned(wanted, kind.kind),
    }


def merged(known: Sequence[Json], mark: Json) -> list[Json]:
    """The entries with this one in place of the same manager's; one that says nothing new keeps its time."""
    others = [each for each in known if (each["manager"], each["operation"]) != (mark["manager"], "Apply")]
    old = next((each for each in known if each not in others), None)
    if old and old["fieldsV1"] == mark["fieldsV1"]:
        return list(known)
    return [*others, mark]


def _owned(item: Json, kind: str) -> Json:
    fields = {name: value for name, value in item.items() if name != "status"}
    metadata = {name: value for name, value in (item.get("metadata") or {}).items() if name not in _UNOWNED}
    fields["metadata"] = metadata
    return {f"f:{name}": _fields(value, kind, (name,)) for name, value in sorted(fields.items()) if value}


def _fields(value: JsonValue, kind: str, path: tuple[str, ...]) -> Json:
    if path[-1] in _WHOLE:
        return {}
    if isinstance(value, dict):
        return {f"f:{name}": _fields(each, kind, (*path, name)) for name, each in sorted(value.items())}
    key = patches.merge_key(path, kind)
    if isinstance(value, list) and key and all(isinstance(each, dict) and key in each for each in value):
        return {
            f"k:{json.dumps({key: each[key]}, separators=(',', ':'))}": {".": {}, **_fields(each, kind, path)}
            for each in value
        }
    return {}
