"""The imagestreams resource: reading and writing streams, and their layers.

Source of behaviour: openshift-apiserver pkg/image/apiserver/registry/imagestream.
"""

from __future__ import annotations

from tests.sandbox import images, stream_rules, streams, timestamps
from tests.sandbox.access import Request
from tests.sandbox.calls import Answer, Call, User, answer_json
from tests.sandbox.cluster import Cluster
from tests.sandbox.objects import Objects
from tests.sandbox.resources import IMAGE_GROUP, IMAGE_STREAMS, IMAGES
from tests.sandbox.status import FieldError, Json, internal_field_error, invalid, invalid_status, no_such_path
from tests.sandbox.store import Entry
from tests.sandbox.stream_validation import Allowed, pull_specs, validate_stream
from tests.sandbox.streams import Stream


def allowed_registries(cluster: Cluster) -> Allowed:
    return Allowed(cluster.settings.allowed_registries, cluster.settings.internal_registry)


def find_stream(cluster: Cluster, namespace: str, name: str) -> Stream | None:
    entry = cluster.store.get(IMAGE_STREAMS, namespace, name)
    return streams.load(entry.object) if entry else None


def find_image(cluster: Cluster, digest: str) -> Json | None:
    entry = cluster.store.get(IMAGES, "", digest)
    return entry.object if entry else None


def check(cluster: Cluster, user: User, stream: Stream, old: Stream | None) -> None:
    """Bring status to what the spec says, and refuse what is not valid; part of every write but to /status."""
    errors: list[FieldError] = []
    for (namespace, name), tags in stream_rules.cross_stream_sources(stream, old).items():
        if not cluster.access.allows(user, Request("get", IMAGE_GROUP, "imagestreams", "layers", namespace, name)):
            errors += stream_rules.may_not_pull(namespace, name, tags)
    errors += stream_rules.follow_tags(
        stream,
        old,
        lambda namespace, name: find_stream(cluster, namespace, name),
        cluster.settings,
        timestamps.now(),
    )
    found: list[FieldError] = []
    if errors:
        found.append(internal_field_error("[]", invalid_status("imagestreams", "", stream.name, errors)["message"]))
    allowed = allowed_registries(cluster)
    found += validate_stream(stream, allowed.and_of(pull_specs(old)) if old else allowed)
    if found:
        raise invalid("ImageStream", IMAGE_GROUP, stream.name, found)


class ImageStreams(Objects):
    """Streams, whose tags, generations and history follow rules."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, IMAGE_STREAMS)

    def prepare_create(self, call: Call, item: Json) -> Json:
        stream = streams.decode(item)
        stream_rules.prepare_create(stream)
        check(self.cluster, call.user, stream, None)
        return streams.encode(stream, self.cluster.settings)

    def prepare_update(self, call: Call, item: Json, old: Entry) -> Json:
        stream, before = streams.decode(item), streams.load(old.object)
        stream_rules.prepare_update(stream, before, keep_status=False)
        check(self.cluster, call.user, stream, before)
        return streams.encode(stream, self.cluster.settings)

    def prepare_status_update(self, call: Call, item: Json, old: Entry) -> Json:
        stream, before = streams.decode(item), streams.load(old.object)
        stream_rules.prepare_status_update(stream, before)
        return streams.encode(stream, self.cluster.settings)

    async def subresource(self, call: Call) -> Answer:
        target = call.target
        if target.subresource == "layers" and target.verb == "get":
            layers = stream_layers(self.cluster, self.find(target.namespace, target.name))
            return answer_json({"kind": "ImageStreamLayers", "apiVersion": IMAGE_STREAMS.api_version, **layers})
        raise no_such_path()


def stream_layers(cluster: Cluster, entry: Entry) -> Json:
    stream = streams.load(entry.object)
    history = (event["image"] for each in stream.history.values() for event in each.items)
    return images.layers_of(entry.object["metadata"], history, lambda digest: find_image(cluster, digest))


def write_internally(
    cluster: Cluster, user: User, stream: Stream, old: Stream | None, *, dry_run: bool = False
) -> Json:
    """A write of spec and status together, as the server does for imports and tags; gives the stream as stored.

    The caller has checked that the stream is still the one it read.
    """
    if old is None:
        stream_rules.prepare_create(stream, keep_status=True)
        check(cluster, user, stream, None)
    else:
        stream_rules.prepare_update(stream, old, keep_status=True)
        check(cluster, user, stream, old)
    item = streams.encode(stream, cluster.settings)
    if old is not None:
        before = cluster.store.get(IMAGE_STREAMS, stream.namespace, stream.name)
        if before is not None and before.object == item:
            return before.object
    return item if dry_run else cluster.store.put(IMAGE_STREAMS, item).object
