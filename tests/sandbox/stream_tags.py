"""The imagestreamtags resource: one tag of a stream as an object of its own.

Source of behaviour: openshift-apiserver pkg/image/apiserver/registry/imagestreamtag.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from tests.sandbox import selectors, streams, timestamps
from tests.sandbox.access import refusal, request_of
from tests.sandbox.calls import Answer, Call, answer_json
from tests.sandbox.cluster import Cluster
from tests.sandbox.image_streams import allowed_registries, find_image, write_internally
from tests.sandbox.objects import Objects, place_in_namespace
from tests.sandbox.resources import IMAGE_GROUP, IMAGE_STREAM_TAGS, IMAGE_STREAMS
from tests.sandbox.status import (
    FieldError,
    Json,
    already_exists,
    bad_request,
    conflict,
    internal_error,
    invalid,
    invalid_value,
    not_found,
    required_value,
    success,
)
from tests.sandbox.stream_validation import validate_tag
from tests.sandbox.streams import Stream, Tag

_PLURAL = IMAGE_STREAM_TAGS.plural


def split_name(name: str) -> tuple[str, str]:
    stream, _, tag = name.partition(":")
    if "@" in name or ":" in tag or not stream or not tag:
        raise bad_request("ImageStreamTags must be retrieved with <name>:<tag>")
    return stream, tag


class StreamTags(Objects):
    """Tags; what is written goes into the stream."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, IMAGE_STREAM_TAGS)

    async def handle(self, call: Call) -> Answer:
        match call.target.verb:
            case "get":
                return answer_json(self._typed(self._get(call)))
            case "list":
                return self.list(call)
            case "create":
                return self.create(call)
            case "update":
                return self._put(call, lambda _: self._given(call))
            case "patch":
                return self._put(call, lambda current: self.patched(call, current))
            case "delete":
                return self.delete(call)
        answer = await super().handle(call)
        assert isinstance(answer, Answer)
        return answer

    def _typed(self, item: Json) -> Json:
        return {"kind": "ImageStreamTag", "apiVersion": IMAGE_STREAM_TAGS.api_version, **item}

    def _load(self, call: Call, name: str) -> Stream | None:
        entry = self.cluster.store.get(IMAGE_STREAMS, call.target.namespace, name)
        return streams.load(entry.object) if entry else None

    def _stream(self, call: Call, name: str) -> Stream:
        stream = self._load(call, name)
        if stream is None:
            raise not_found(_PLURAL, IMAGE_GROUP, name)
        return stream

    def _get(self, call: Call) -> Json:
        name, tag = split_name(call.target.name)
        stream = self._stream(call, name)
        event = streams.latest_event(stream, tag)
        if event is None or not event["image"]:
            raise not_found(_PLURAL, IMAGE_GROUP, call.target.name)
        image = find_image(self.cluster, event["image"])
        if image is None:
            raise not_found(_PLURAL, IMAGE_GROUP, event["image"])
        return self._item(stream, tag, image)

    def list(self, call: Call) -> Answer:
        query = call.query
        matches = selectors.predicate(
            query.get("labelSelector", ""), query.get("fieldSelector", ""), self.kind.can_select
        )
        items = []
        for entry in self.cluster.store.table(IMAGE_STREAMS).entries(call.target.namespace):
            stream = streams.load(entry.object)
            for tag in sorted(stream.history):
                event = streams.latest_event(stream, tag)
                if event and event["image"]:
                    items.append(self._item(stream, tag, None))
        return answer_json(
            {
                "kind": self.kind.list_kind,
                "apiVersion": self.kind.api_version,
                "metadata": {"resourceVersion": str(self.cluster.store.revision)},
                "items": [item for item in items if matches is None or matches(item)],
            }
        )

    def _item(self, stream: Stream, tag: str, image: Json | None) -> Json:
        """The tag as an object, with its image if there is one."""
        event = streams.latest_event(stream, tag)
        if event is None or not event["image"]:
            created = stream.metadata.get("creationTimestamp")
            event = {"created": created, "dockerImageReference": "", "image": "", "generation": 0}
        metadata: Json = {
            "name": f"{stream.name}:{tag}",
            "namespace": stream.namespace,
            "uid": stream.metadata.get("uid", ""),
            "resourceVersion": stream.metadata.get("resourceVersion", ""),
            "creationTimestamp": event["created"],
        }
        if stream.metadata.get("labels"):
            metadata["labels"] = stream.metadata["labels"]
        spec = stream.tags.get(tag)
        annotations = (spec.get("annotations") or {}) if spec else {}
        if annotations:
            metadata["annotations"] = annotations
        shown: Json = {**image} if image else _no_image(event["image"])
        if annotations and image:
            known = image["metadata"].get("annotations") or {}
            shown["metadata"] = {**image["metadata"], "annotations": {**known, **annotations}}
        reference = streams.reference_for(stream, tag, event, self.cluster.settings)
        if reference:
            shown["dockerImageReference"] = reference
        item: Json = {
            "metadata": {name: value for name, value in metadata.items() if value != ""},
            "tag": spec,
            "generation": event["generation"],
            "lookupPolicy": {"local": stream.local_lookup},
            "image": shown,
        }
        history = stream.history.get(tag)
        if history and history.conditions:
            item["conditions"] = history.conditions
        return item

    def _given(self, call: Call) -> Json:
        item = call.object()
        name = item["metadata"].setdefault("name", call.target.name)
        if name != call.target.name:
            message = f"the name of the object ({name}) does not match the name on the URL ({call.target.name})"
            raise bad_request(message)
        return item

    def create(self, call: Call) -> Answer:
        item = call.object()
        place_in_namespace(self.kind, item["metadata"], call.target.namespace)
        full_name = item["metadata"].get("name", "")
        name, mark, tag = full_name.partition(":")
        new = streams.decode_tag(item["tag"]) if item.get("tag") is not None else None
        self._validate(item, new, full_name, update=False)
        if not mark:
            raise internal_error(f'"{full_name}" must be of the form <stream_name>:<tag>')
        old = self._load(call, name)
        if old and tag in old.tags:
            raise already_exists("imagestreamtag", IMAGE_GROUP, full_name)
        stream = self._start(call, name, old)
        if new is not None:
            stream.tags[tag] = {**new, "name": tag}
        stored = write_internally(self.cluster, call.user, stream, old, dry_run=call.dry_run)
        return answer_json(self._typed(self._with_image(stored, tag)), 201)

    def _start(self, call: Call, name: str, old: Stream | None) -> Stream:
        if old is not None:
            return old.copy()
        self.check_namespace(call.target.namespace)
        metadata = {"name": name, "namespace": call.target.namespace, "generation": 0}
        return Stream({**metadata, "uid": str(uuid.uuid4()), "creationTimestamp": timestamps.now()})

    def _with_image(self, stored: Json, tag: str) -> Json:
        stream = streams.load(stored)
        event = streams.latest_event(stream, tag)
        image = find_image(self.cluster, event["image"]) if event and event["image"] else None
        return self._item(stream, tag, image)

    def _put(self, call: Call, change: Callable[[Json], Json]) -> Answer:
        name, tag = split_name(call.target.name)
        old = self._load(call, name)
        stream = self._start(call, name, old)
        item = change(self._item(stream, tag, None))
        metadata = item["metadata"]
        place_in_namespace(self.kind, metadata, call.target.namespace)
        self._check_stream_version(call, metadata, old)
        if old is None:
            self._check_may_create(call)
        new = streams.decode_tag(item["tag"]) if item.get("tag") is not None else None
        annotations = metadata.get("annotations") or None
        if new is not None and old is not None:
            new["annotations"] = annotations
        self._validate(item, new, call.target.name, update=old is not None)
        labels = metadata.get("labels") or (old.metadata.get("labels") if old else None)
        if old and (labels or {}) != (old.metadata.get("labels") or {}):
            problem = invalid_value("metadata", "", "may not update fields other than metadata.annotations")
            raise invalid("ImageStreamTag", IMAGE_GROUP, call.target.name, [problem])
        known = old.tags.get(tag) if old else None
        if known is None and new is None:
            where = f"{call.target.namespace}/{name}"
            raise bad_request(f"imagestreamtag {tag} is not a spec tag in imagestream {where}, cannot be updated")
        replaced: Tag = new or known or {}
        stream.tags[tag] = {**replaced, "name": tag, "annotations": annotations}
        stored = write_internally(self.cluster, call.user, stream, old, dry_run=call.dry_run)
        return answer_json(self._typed(self._with_image(stored, tag)), 200 if known else 201)

    def _check_stream_version(self, call: Call, metadata: Json, old: Stream | None) -> None:
        version = metadata.get("resourceVersion")
        if not version:
            return
        if old is None:
            raise not_found(_PLURAL, IMAGE_GROUP, call.target.name)
        current = old.metadata["resourceVersion"]
        if version != current:
            why = f"another caller has updated the resource version to {current}"
            raise conflict(_PLURAL, IMAGE_GROUP, call.target.name, why)

    def _check_may_create(self, call: Call) -> None:
        request = request_of(call.target)
        request = type(request)("create", request.group, request.resource, "", request.namespace, request.name)
        if not self.cluster.access.allows(call.user, request):
            raise refusal(call.user, request)

    def _validate(self, item: Json, new: Tag | None, name: str, *, update: bool) -> None:
        problems: list[FieldError] = []
        if not name:
            problems.append(required_value("metadata.name", "name or generateName is required"))
        if new is not None:
            problems += validate_tag(new, "tag", allowed_registries(self.cluster))
            given = (item["tag"] or {}).get("annotations")
            if not update and given and given != item["metadata"].get("annotations"):
                detail = "tag annotations must not be provided or must be equal to the object meta annotations"
                problems.append(invalid_value("tag.annotations", "<map>", detail))
        if problems:
            raise invalid("ImageStreamTag", IMAGE_GROUP, name, problems)

    def delete(self, call: Call) -> Answer:
        name, tag = split_name(call.target.name)
        old = self._stream(call, name)
        if tag not in old.tags and tag not in old.history:
            raise not_found(_PLURAL, IMAGE_GROUP, call.target.name)
        stream = old.copy()
        stream.tags.pop(tag, None)
        stream.history.pop(tag, None)
        write_internally(self.cluster, call.user, stream, old, dry_run=call.dry_run)
        return answer_json(success())


def _no_image(digest: str) -> Json:
    """An Image of which only the name is known."""
    metadata = {"kind": "DockerImage", "apiVersion": "image.openshift.io/1.0", "Id": "", "Created": None}
    return {
        "metadata": {"name": digest} if digest else {},
        "dockerImageMetadata": {**metadata, "ContainerConfig": {}},
        "dockerImageMetadataVersion": "1.0",
    }
