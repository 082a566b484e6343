"""Patches: JSON patch, merge patch, strategic merge patch and apply. Pure: none changes what it is given.

Source of behaviour: RFC 6902, RFC 7396, k8s.io/apimachinery pkg/util/strategicpatch. Apply removes what the same
manager applied before and left out now; it knows no conflicts between managers.
"""

from __future__ import annotations

import copy

import jsonpatch

from tests.sandbox.status import ApiError, Json, JsonValue, bad_request, failure

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
SUPPORTED = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)

# The key that makes an item of a list of objects the same item, by the list's field name.
_MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "imagePullSecrets": "name",
    "secrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "conditions": "type",
    "ownerReferences": "uid",
    "ports": "containerPort",
}
_STREAM_MERGE_KEYS = {("spec", "tags"): "name", ("status", "tags"): "tag"}
_SET_LISTS = {"finalizers"}


def json_patch(item: Json, patch: JsonValue) -> Json:
    try:
        changed = jsonpatch.apply_patch(item, patch, in_place=False)
    except jsonpatch.InvalidJsonPatch as problem:
        raise bad_request(str(problem)) from None
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
        message = "the server rejected our request due to an error in our request"
        raise ApiError(failure(422, "Invalid", message, {})) from None
    if not isinstance(changed, dict):
        raise bad_request("the patch does not give an object")
    return changed


def merge_patch(item: JsonValue, patch: JsonValue) -> JsonValue:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(item) if isinstance(item, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def merge_key(path: tuple[str, ...], kind: str) -> str | None:
    if kind == "ImageStream" and path in _STREAM_MERGE_KEYS:
        return _STREAM_MERGE_KEYS[path]
    name = path[-1] if path else ""
    if name == "ports" and kind == "Service":
        return "port"
    return _MERGE_KEYS.get(name)


def strategic_patch(item: JsonValue, patch: JsonValue, kind: str, path: tuple[str, ...] = ()) -> JsonValue:  # noqa: C901 - one branch for each directive of a strategic merge patch
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    directive = patch.get("$patch")
    if directive == "delete":
        return {}
    if directive == "replace":
        return {name: copy.deepcopy(value) for name, value in patch.items() if name != "$patch"}
    merged = dict(item) if isinstance(item, dict) else {}
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            target = name.partition("/")[2]
            merged[target] = [each for each in merged.get(target) or [] if each not in value]
        elif name.startswith("$"):
            continue
        elif value is None:
            merged.pop(name, None)
        elif isinstance(value, list):
            merged[name] = _merge_list(merged.get(name), value, kind, (*path, name))
        else:
            merged[name] = strategic_patch(merged.get(name), value, kind, (*path, name))
    retained = patch.get("$retainKeys")
    if retained is not None:
        merged = {name: value for name, value in merged.items() if name in retained}
    for name, order in patch.items():
        if name.startswith("$setElementOrder/"):
            target = name.partition("/")[2]
            if isinstance(merged.get(target), list):
                merged[target] = _reordered(merged[target], order, merge_key((*path, target), kind))
    return merged


def _merge_list(items: JsonValue, patch: list[JsonValue], kind: str, path: tuple[str, ...]) -> list[JsonValue]:
    key = merge_key(path, kind)
    current = list(items) if isinstance(items, list) else []
    if path[-1] in _SET_LISTS:
        return current + [each for each in patch if each not in current]
    if key is None or not all(isinstance(each, dict) for each in patch):
        return copy.deepcopy(patch)
    if any(each.get("$patch") == "replace" for each in patch):
        return [copy.deepcopy(each) for each in patch if each.get("$patch") != "replace"]
    for each in patch:
        if key not in each:
            raise bad_request(f"map: {each} does not contain declared merge key: {key}")
        place = next((n for n, old in enumerate(current) if old.get(key) == each[key]), None)
        if each.get("$patch") == "delete":
            if place is not None:
                del current[place]
        elif place is None:
            current.append(strategic_patch({}, each, kind, path))
        else:
            current[place] = strategic_patch(current[place], each, kind, path)
    return current


def _reordered(items: list[JsonValue], order: list[JsonValue], key: str | None) -> list[JsonValue]:
    def wanted(each: JsonValue) -> JsonValue:
        return each.get(key) if key is not None and isinstance(each, dict) else each

    places = {repr(wanted(each)): place for place, each in enumerate(order)}
    return sorted(items, key=lambda each: places.get(repr(wanted(each)), len(places)))


def apply(live: Json, last: Json | None, wanted: Json, kind: str) -> Json:
    """Bring `live` to what one manager wants; `last` is what the same manager applied before."""
    pruned = _without_dropped(live, last, wanted, kind) if last else live
    applied = strategic_patch(pruned, wanted, kind)
    assert isinstance(applied, dict)
    return applied


def _without_dropped(
    live: JsonValue, last: JsonValue, wanted: JsonValue, kind: str, path: tuple[str, ...] = ()
) -> JsonValue:
    if not isinstance(live, dict) or not isinstance(last, dict) or not isinstance(wanted, dict):
        return live
    kept = dict(live)
    for name, old in last.items():
        if name not in kept:
            continue
        here = (*path, name)
        key = merge_key(here, kind)
        if name not in wanted and not (key and isinstance(old, list)):
            # A map may hold other managers' fields, so only what was applied goes.
            kept[name] = _without_dropped(kept[name], old, {}, kind, here) if isinstance(old, dict) else None
            if not kept[name]:
                del kept[name]
        elif key and isinstance(old, list) and isinstance(kept[name], list):
            left = [each.get(key) for each in wanted.get(name) or []]
            gone = [each.get(key) for each in old if each.get(key) not in left]
            kept[name] = [each for each in kept[name] if each.get(key) not in gone]
        elif isinstance(old, dict):
            kept[name] = _without_dropped(kept[name], old, wanted.get(name), kind, here)
    return kept
