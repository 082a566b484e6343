"""The rules of an ImageStream: what a write does to its tags, generations and history. Pure.

Source of behaviour: openshift-apiserver pkg/image/apiserver/registry/imagestream/strategy.go and
pkg/image/apiserver/internal/imageutil, and openshift/api image/v1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.sandbox.settings import Settings
from tests.sandbox.status import (
    Json,
    bad_request,
)

Tag = dict[str, Any]
TagEvent = dict[str, Any]

CHECK_ANNOTATION = "openshift.io/image.dockerRepositoryCheck"
LEGACY = "Legacy"
PRESERVE = "PreserveOriginal"


@dataclass(slots=True)
class History:
    """What stands in status for one tag: the images it had, newest first, and why the last import failed."""

    items: list[TagEvent] = field(default_factory=list)
    conditions: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class Stream:
    """An ImageStream with its tags by name. Tags, events and conditions are shared: replace them, never change them."""

    metadata: Json
    local_lookup: bool = False
    repository: str = ""
    tags: dict[str, Tag] = field(default_factory=dict)
    history: dict[str, History] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.metadata.get("name", ""))

    @property
    def namespace(self) -> str:
        return str(self.metadata.get("namespace", ""))

    @property
    def generation(self) -> int:
        return int(self.metadata.get("generation", 0))

    @generation.setter
    def generation(self, value: int) -> None:
        self.metadata["generation"] = value

    @property
    def annotations(self) -> dict[str, str]:
        return self.metadata.get("annotations") or {}

    def spec(self) -> tuple[Any, ...]:
        """Something to compare two specs by."""
        return self.local_lookup, self.repository, self.tags

    def copy(self) -> Stream:
        history = {tag: History(list(each.items), list(each.conditions)) for tag, each in self.history.items()}
        return Stream(dict(self.metadata), self.local_lookup, self.repository, dict(self.tags), history)


# From JSON and back


def as_object(value: object, place: str) -> Json:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_request(f"json: cannot unmarshal into Go struct field {place} of type object")
    return value


def as_list(value: object, place: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad_request(f"json: cannot unmarshal into Go struct field {place} of type array")
    return value


def decode_import_policy(value: object) -> Json:
    given = as_object(value, "importPolicy")
    policy: Json = {name: True for name in ("insecure", "scheduled") if given.get(name)}
    policy["importMode"] = given.get("importMode") or LEGACY
    return policy


def decode_reference_policy(value: object) -> Json:
    return {"type": as_object(value, "referencePolicy").get("type") or "Source"}


def decode_from(value: object) -> Json:
    given = as_object(value, "from")
    names = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    return {name: str(given[name]) for name in names if given.get(name)}


def decode_tag(value: object) -> Tag:
    given = as_object(value, "tags")
    tag: Tag = {"name": str(given.get("name") or ""), "annotations": given.get("annotations") or None}
    if given.get("from") is not None:
        tag["from"] = decode_from(given["from"])
    if given.get("reference"):
        tag["reference"] = True
    generation = given.get("generation")
    if generation is not None and (not isinstance(generation, int) or isinstance(generation, bool)):
        raise bad_request("json: cannot unmarshal into Go struct field TagReference.generation of type int64")
    tag["generation"] = generation
    tag["importPolicy"] = decode_import_policy(given.get("importPolicy"))
    tag["referencePolicy"] = decode_reference_policy(given.get("referencePolicy"))
    return tag


def _decode_event(value: object) -> TagEvent:
    given = as_object(value, "items")
    return {
        "created": given.get("created"),
        "dockerImageReference": given.get("dockerImageReference") or "",
        "image": given.get("image") or "",
        "generation": given.get("generation") or 0,
    }


def decode(item: Json) -> Stream:
    """A stream as a client sent it, with defaults filled in."""
    spec, status = as_object(item.get("spec"), "spec"), as_object(item.get("status"), "status")
    tags = {}
    for value in as_list(spec.get("tags"), "spec.tags"):
        tag = decode_tag(value)
        tags[tag["name"]] = tag
    history = {}
    for value in as_list(status.get("tags"), "status.tags"):
        given = as_object(value, "status.tags")
        items = [_decode_event(event) for event in as_list(given.get("items"), "status.tags.items")]
        history[str(given.get("tag") or "")] = History(items, list(as_list(given.get("conditions"), "conditions")))
    return Stream(
        metadata=dict(item["metadata"]),
        local_lookup=bool(as_object(spec.get("lookupPolicy"), "lookupPolicy").get("local")),
        repository=str(spec.get("dockerImageRepository") or ""),
        tags=tags,
        history=history,
    )


def load(item: Json) -> Stream:
    """A stream as `encode` wrote it; quicker than `decode`, since nothing needs a default."""
    spec, status = item["spec"], item["status"]
    return Stream(
        metadata=dict(item["metadata"]),
        local_lookup=spec["lookupPolicy"]["local"],
        repository=spec.get("dockerImageRepository", ""),
        tags={tag["name"]: tag for tag in spec.get("tags", ())},
        history={
            each["tag"]: History(list(each["items"] or ()), list(each.get("conditions", ())))
            for each in status.get("tags", ())
        },
    )


def encode(stream: Stream, settings: Settings) -> Json:
    """The stream as JSON without type. The places in the registries are worked out anew each time."""
    spec: Json = {"lookupPolicy": {"local": stream.local_lookup}}
    if stream.repository:
        spec["dockerImageRepository"] = stream.repository
    if stream.tags:
        spec["tags"] = [stream.tags[name] for name in sorted(stream.tags)]
    place = f"{stream.namespace}/{stream.name}"
    internal = settings.internal_registry
    status: Json = {"dockerImageRepository": f"{internal}/{place}" if internal else stream.repository}
    if settings.external_registry:
        status["publicDockerImageRepository"] = f"{settings.external_registry}/{place}"
    if stream.history:
        status["tags"] = [_encode_history(tag, stream.history[tag]) for tag in sorted(stream.history)]
    return {"metadata": stream.metadata, "spec": spec, "status": status}


def _encode_history(tag: str, history: History) -> Json:
    encoded: Json = {"tag": tag, "items": history.items or None}
    if history.conditions:
        encoded["conditions"] = history.conditions
    return encoded


# What a write does


def latest_event(stream: Stream, tag: str) -> TagEvent | None:
    history = stream.history.get(tag or "latest")
    return history.items[0] if history and history.items else None


def reference_for(stream: Stream, tag: str, event: TagEvent, settings: Settings) -> str:
    """Where to pull a tag's image from, by its reference policy."""
    spec = stream.tags.get(tag)
    local = settings.internal_registry and event["image"]
    if spec and spec["referencePolicy"]["type"] == "Local" and local:
        return f"{settings.internal_registry}/{stream.namespace}/{stream.name}@{event['image']}"
    return str(event["dockerImageReference"])


def observed_generation(history: History | None) -> int:
    """The newest spec generation that status has seen, in an image or in a failure."""
    if history is None:
        return 0
    seen = [event["generation"] for event in history.items[:1]]
    seen += [each["generation"] for each in history.conditions if each.get("type") == "ImportSuccess"]
    return max(seen, default=0)
