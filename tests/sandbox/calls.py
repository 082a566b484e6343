"""One request to the API: what it is for, and the shapes of its answer.

Source of behaviour: k8s.io/apiserver pkg/endpoints/request (RequestInfo).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

import yaml

from tests.sandbox import protobuf
from tests.sandbox.resources import BY_PATH, NAMESPACES, Kind
from tests.sandbox.status import ApiError, Json, JsonValue, bad_request, failure, unsupported_media_type

LARGEST_BODY = 3 * 1024 * 1024
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def as_json(self) -> Json:
        info: Json = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        if self.groups:
            info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {name: list(values) for name, values in self.extra}
        return info


@dataclass(frozen=True, slots=True)
class Target:
    """What a path and a method mean; `kind` is None for paths that are no resource, or an unknown one."""

    path: str
    verb: str
    kind: Kind | None = None
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


@dataclass(slots=True)
class Call:
    """One request, authenticated."""

    target: Target
    query: Mapping[str, str]
    content_type: str
    body: bytes
    user: User
    # A fault that wants the object changed by someone else in the middle of this call.
    change_during: bool = False

    @property
    def kind(self) -> Kind:
        assert self.target.kind is not None
        return self.target.kind

    @property
    def dry_run(self) -> bool:
        return self.query.get("dryRun") == "All"

    def data(self) -> JsonValue:
        """The body, decoded."""
        try:
            if "yaml" in self.content_type:
                return yaml.safe_load(self.body)
            if self.content_type == protobuf.CONTENT_TYPE:
                return protobuf.decode(self.body)
            return json.loads(self.body)
        except protobuf.NotUnderstood:
            raise unsupported_media_type(["application/json", "application/yaml"]) from None
        except (ValueError, TypeError, yaml.YAMLError) as problem:
            raise bad_request(f"couldn't get version/kind; json parse error: {problem}") from None

    def object(self) -> Json:
        """The body as an object of the kind in question, without its type."""
        data = self.data()
        if not isinstance(data, dict):
            raise bad_request("couldn't get version/kind; json parse error: the body is no object")
        kind, version = data.pop("kind", "") or self.kind.kind, data.pop("apiVersion", "") or self.kind.api_version
        if (kind, version) != (self.kind.kind, self.kind.api_version):
            raise bad_request(
                f"{kind} in version {json.dumps(version)} cannot be handled as a {self.kind.kind}: the object provided"
                f" does not match the one expected"
            )
        if data.get("metadata") is None:
            data["metadata"] = {}
        if not isinstance(data["metadata"], dict):
            raise bad_request("json: cannot unmarshal into Go struct field metadata of type v1.ObjectMeta")
        return data


@dataclass(slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Stream:
    """An answer that comes in pieces as long as the client listens."""

    pieces: AsyncIterator[bytes]
    content_type: str = "application/json"


def answer_json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


def answer_error(problem: ApiError) -> Answer:
    return Answer(problem.code, problem.body(), headers=problem.headers)


def too_large() -> ApiError:
    return ApiError(failure(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LARGEST_BODY}", {}))


def parse_target(method: str, path: str, *, watch: bool) -> Target:
    """Work out what a request is about; `path` is still percent-encoded."""
    parts = [unquote(part) for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return Target(path, method.lower())
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and (group, version, rest[2]) in BY_PATH:
            rest = rest[2:]
        elif group or len(rest) > 3 or (len(rest) == 3 and rest[2] not in ("status", "finalize")):
            return Target(path, method.lower(), group=group, resource=rest[2] if len(rest) > 2 else "")
    resource, name = rest[0], rest[1] if len(rest) > 1 else ""
    subresource = "/".join(rest[2:])
    kind = BY_PATH.get((group, version, resource))
    if method in ("GET", "HEAD"):
        verb = "get" if name else ("watch" if watch else "list")
    else:
        verb = _VERBS.get(method, method.lower())
    if verb == "delete" and not name:
        verb = "deletecollection"
    if kind is not None and kind is not NAMESPACES and not kind.namespaced and namespace:
        kind = None
    return Target(path, verb, kind, group, resource, subresource, namespace, name)
