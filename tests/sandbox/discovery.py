"""What clients ask a server about itself before anything else.

Source of behaviour: k8s.io/apiserver pkg/endpoints/discovery.
"""

from __future__ import annotations

from tests.sandbox.calls import Answer, answer_json
from tests.sandbox.patches import STRATEGIC_PATCH
from tests.sandbox.resources import ALL, IMAGE_STREAMS, Kind
from tests.sandbox.status import Json

_VERSION = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.1",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "go1.24",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_HEALTH = ("/healthz", "/livez", "/readyz")


def groups() -> list[str]:
    return sorted({kind.group for kind in ALL if kind.group})


def _group(name: str) -> Json:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> Json:
    shown = []
    for kind in ALL:
        if kind.group == group:
            shown.append(_resource(kind))
            shown += [_subresource(kind, name, of, verbs) for name, of, verbs in _subresources(kind)]
    version = f"{group}/v1" if group else "v1"
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": shown}


def _resource(kind: Kind) -> Json:
    resource: Json = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    return resource


def _subresources(kind: Kind) -> list[tuple[str, str, tuple[str, ...]]]:
    status = [("status", kind.kind, ("get", "patch", "update"))] if kind.has_status else []
    return [*status, *kind.subresources]


def _subresource(kind: Kind, name: str, of: str, verbs: tuple[str, ...]) -> Json:
    place = {"name": f"{kind.plural}/{name}", "singularName": "", "namespaced": kind.namespaced}
    return {**place, "kind": of, "verbs": list(verbs)}


def _openapi(group: str) -> Json:
    """As much of a schema as kubectl needs: that fields are checked here, and how streams are merged on apply."""
    checked = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    paths: Json = {}
    for kind in ALL:
        if kind.group == group:
            place = f"/{_prefix(group)}/namespaces/{{namespace}}/{kind.plural}/{{name}}"
            paths[place] = {"patch": {"parameters": [checked], "x-kubernetes-group-version-kind": _names(kind)}}
            if kind is IMAGE_STREAMS:
                paths[place]["patch"]["requestBody"] = {"content": {STRATEGIC_PATCH: {}}}
    document: Json = {"openapi": "3.0.0", "info": {"title": "sandbox", "version": "v1"}, "paths": paths}
    if group == IMAGE_STREAMS.group:
        document["components"] = {"schemas": {"ImageStream": _stream_schema()}}
    return document


def _names(kind: Kind) -> Json:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _stream_schema() -> Json:
    texts = {"type": "object", "additionalProperties": _TEXT}
    tag = _object(
        name=_TEXT,
        annotations=texts,
        reference={"type": "boolean"},
        generation={"type": "integer"},
        importPolicy=_object(insecure={"type": "boolean"}, scheduled={"type": "boolean"}, importMode=_TEXT),
        referencePolicy=_object(type=_TEXT),
        **{"from": _object(kind=_TEXT, name=_TEXT, namespace=_TEXT)},
    )
    tags = {"type": "array", "items": tag} | {
        "x-kubernetes-patch-merge-key": "name",
        "x-kubernetes-patch-strategy": "merge",
    }
    spec = _object(tags=tags, lookupPolicy=_object(local={"type": "boolean"}), dockerImageRepository=_TEXT)
    metadata = _object(name=_TEXT, namespace=_TEXT, labels=texts, annotations=texts)
    stream = _object(apiVersion=_TEXT, kind=_TEXT, metadata=metadata, spec=spec)
    return {**stream, "x-kubernetes-group-version-kind": [_names(IMAGE_STREAMS)]}


_TEXT: Json = {"type": "string"}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties}


def _prefix(group: str) -> str:
    return f"apis/{group}/v1" if group else "api/v1"


def discover(path: str) -> Answer | None:
    """The answer to a path of discovery; None if it is none."""
    path = path.rstrip("/")
    parts = path.split("/")[1:]
    answer: Json | None = None
    if path == "/version":
        answer = _VERSION
    elif path in _HEALTH:
        return Answer(200, b"ok", "text/plain; charset=utf-8")
    elif path == "/api":
        answer = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    elif path == "/apis":
        answer = {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name) for name in groups()]}
    elif path == "/openapi/v3":
        prefixes = [_prefix(group) for group in ("", *groups())]
        answer = {"paths": {prefix: {"serverRelativeURL": f"/openapi/v3/{prefix}"} for prefix in prefixes}}
    elif path == "/openapi/v3/api/v1":
        answer = _openapi("")
    elif path.startswith("/openapi/v3/apis/") and len(parts) == 5 and parts[3] in groups():
        answer = _openapi(parts[3])
    elif path == "/api/v1":
        answer = _resources("")
    elif parts[0] == "apis" and len(parts) in (2, 3) and parts[1] in groups():
        if len(parts) == 2:
            answer = {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1])}
        elif parts[2] == "v1":
            answer = _resources(parts[1])
    return answer_json(answer) if answer is not None else None
