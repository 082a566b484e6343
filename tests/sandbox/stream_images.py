"""Images seen through a stream: imagestreamimages, and imagestreammappings, which is how a push is recorded.

Source of behaviour: openshift-apiserver pkg/image/apiserver/registry/imagestreamimage and imagestreammapping.
"""

from __future__ import annotations

import uuid

from tests.sandbox import stream_rules, streams, timestamps
from tests.sandbox.calls import Answer, Call, answer_json
from tests.sandbox.cluster import Cluster
from tests.sandbox.image_streams import find_image, stream_layers, write_internally
from tests.sandbox.objects import Objects, place_in_namespace
from tests.sandbox.resources import IMAGE_GROUP, IMAGE_STREAM_IMAGES, IMAGE_STREAM_MAPPINGS, IMAGE_STREAMS, IMAGES
from tests.sandbox.status import Json, bad_request, invalid, not_found, required_value, success
from tests.sandbox.stream_rules import digest_matches


class StreamImages(Objects):
    """The images in a stream's history, and the parts of those that are indexes."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, IMAGE_STREAM_IMAGES)

    async def handle(self, call: Call) -> Answer:
        if call.target.verb != "get" or call.target.subresource:
            answer = await super().handle(call)
            assert isinstance(answer, Answer)
            return answer
        return answer_json(self.get(call.target.namespace, call.target.name))

    def get(self, namespace: str, full_name: str) -> Json:
        name, mark, wanted = full_name.partition("@")
        if not mark or not name or not wanted or "@" in wanted:
            raise bad_request("ImageStreamImages must be retrieved with <name>@<id>")
        entry = self.cluster.store.get(IMAGE_STREAMS, namespace, name)
        if entry is None:
            raise not_found(IMAGE_STREAM_IMAGES.plural, IMAGE_GROUP, name)
        layers = stream_layers(self.cluster, entry)
        digest = next((each for each in sorted(layers["images"]) if digest_matches(each, wanted)), None)
        if digest is None:
            raise not_found("imagestreamimage", IMAGE_GROUP, full_name)
        image = find_image(self.cluster, digest)
        if image is None:
            raise not_found(IMAGE_STREAM_IMAGES.plural, IMAGE_GROUP, digest)
        metadata: Json = {
            "name": full_name,
            "namespace": namespace,
            "creationTimestamp": image["metadata"]["creationTimestamp"],
        }
        if entry.object["metadata"].get("annotations"):
            metadata["annotations"] = entry.object["metadata"]["annotations"]
        return {
            "kind": "ImageStreamImage",
            "apiVersion": IMAGE_STREAM_IMAGES.api_version,
            "metadata": metadata,
            "image": image,
        }


class StreamMappings(Objects):
    """Puts an image on a tag, as the integrated registry does after a push."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, IMAGE_STREAM_MAPPINGS)

    def create(self, call: Call) -> Answer:
        item = call.object()
        place_in_namespace(self.kind, item["metadata"], call.target.namespace)
        image, tag, name = item.get("image") or {}, item.get("tag") or "latest", item["metadata"].get("name", "")
        digest = (image.get("metadata") or {}).get("name", "")
        if not digest or not image.get("dockerImageReference"):
            problem = required_value("image.dockerImageReference")
            raise invalid("ImageStreamMapping", IMAGE_GROUP, name, [problem])
        entry = self.cluster.store.get(IMAGE_STREAMS, call.target.namespace, name)
        if entry is None:
            raise not_found(IMAGE_STREAM_MAPPINGS.plural, IMAGE_GROUP, name)
        if find_image(self.cluster, digest) is None:
            metadata = {**image["metadata"], "uid": str(uuid.uuid4()), "creationTimestamp": timestamps.now()}
            self.cluster.store.put(IMAGES, {**image, "metadata": metadata})
        old = streams.load(entry.object)
        stream = old.copy()
        event = {
            "created": timestamps.now(),
            "dockerImageReference": image["dockerImageReference"],
            "image": digest,
            "generation": stream.generation,
        }
        if stream_rules.add_event(stream, tag, event):
            write_internally(self.cluster, call.user, stream, old, dry_run=call.dry_run)
        return answer_json(success(), 201)
