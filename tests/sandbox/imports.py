"""The imagestreamimports resource.

Source of behaviour: openshift-apiserver pkg/image/apiserver/registry/imagestreamimport.
"""

from __future__ import annotations

import asyncio
import uuid

from tests.sandbox import import_rules, streams, timestamps
from tests.sandbox.access import Request
from tests.sandbox.calls import Answer, Call, User, answer_json
from tests.sandbox.cluster import Cluster
from tests.sandbox.credentials import credentials_of
from tests.sandbox.fetching import Fetcher
from tests.sandbox.image_streams import allowed_registries, write_internally
from tests.sandbox.objects import Objects, place_in_namespace
from tests.sandbox.resources import IMAGE_GROUP, IMAGE_STREAM_IMPORTS, IMAGE_STREAMS, IMAGES, SECRETS
from tests.sandbox.status import Json, already_exists, conflict, invalid, not_found, timed_out
from tests.sandbox.store import Entry
from tests.sandbox.stream_validation import validate_import, validate_import_registries
from tests.sandbox.streams import CHECK_ANNOTATION, Stream
from tests.sandbox.tokens import ADMIN

# An image of a test says by this label what a container of it does; on a cluster the container does it.
BEHAVIOUR = "sandbox.behaviour"
_PLURAL = IMAGE_STREAM_IMPORTS.plural


class Imports(Objects):
    """Imports: nothing is stored under this resource, a POST is an action."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, IMAGE_STREAM_IMPORTS)

    async def handle(self, call: Call) -> Answer:
        if call.target.verb != "create" or call.target.subresource:
            answer = await super().handle(call)
            assert isinstance(answer, Answer)
            return answer
        settings = self.cluster.settings
        wanted = timestamps.parse_duration(call.query["timeout"]) if call.query.get("timeout") else 0.0
        try:
            async with asyncio.timeout(wanted if wanted > 0 else settings.import_timeout):
                return answer_json(await self.run(call), 201)
        except TimeoutError:
            raise timed_out() from None

    async def run(self, call: Call) -> Json:
        item = call.object()
        place_in_namespace(self.kind, item["metadata"], call.target.namespace)
        spec = import_rules.with_defaults(streams.as_object(item.get("spec"), "spec"))
        return await self.import_images(call.user, item["metadata"], spec, change_during=call.change_during)

    async def import_images(self, user: User, given: Json, spec: Json, *, change_during: bool = False) -> Json:
        """Import what the spec says into the stream of that name, and tell what came of it."""
        cluster = self.cluster
        name, namespace, version = given.get("name", ""), given["namespace"], given.get("resourceVersion") or ""
        self.check_namespace(namespace)
        problems = validate_import(given, spec)
        if not problems and not self._may_import_anything(user):
            problems = validate_import_registries(spec, allowed_registries(cluster))
        if problems:
            raise invalid("ImageStreamImport", IMAGE_GROUP, name, problems)
        entry = cluster.store.get(IMAGE_STREAMS, namespace, name)
        if entry is None and version:
            raise not_found(_PLURAL, IMAGE_GROUP, name)
        if entry is not None and version and version != str(entry.revision):
            why = f'the image stream was updated from "{version}" to "{entry.revision}"'
            raise conflict("imagestream", IMAGE_GROUP, name, why)
        old = streams.load(entry.object) if entry else None
        status = await self._fetch(namespace, spec, old or Stream({"name": name, "namespace": namespace}))
        metadata = {name: each for name, each in given.items() if name not in ("resourceVersion", "managedFields")}
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": timestamps.now()}
        result: Json = {
            "kind": "ImageStreamImport",
            "apiVersion": "image.openshift.io/v1",
            "metadata": metadata,
            "spec": spec,
            "status": status,
        }
        if spec["import"]:
            if change_during and entry:
                cluster.store.touch(IMAGE_STREAMS, namespace, name)
            status["import"] = self._record(user, given, spec, status, entry)
        return result

    def _may_import_anything(self, user: User) -> bool:
        access = self.cluster.access
        return any(
            access.allows(user, Request("create", IMAGE_GROUP, resource))
            for resource in ("images", "imagestreammapping")
        )

    async def _fetch(self, namespace: str, spec: Json, stream: Stream) -> Json:
        cluster = self.cluster
        known = [
            credential
            for secret in cluster.store.table(SECRETS).entries(namespace)
            for credential in credentials_of(secret.object)
        ]
        wanted = spec.get("images", [])
        fetcher = Fetcher(cluster.settings, cluster.registries.connect(known))
        results = await fetcher.images(wanted, stream)
        status: Json = {}
        if "repository" in spec:
            status["repository"] = await fetcher.repository(spec["repository"])
        if import_rules.retry_without_secrets(results):
            fetcher = Fetcher(cluster.settings, cluster.registries.connect([]))
            results = import_rules.with_first_refusals(results, await fetcher.images(wanted, stream))
            if "repository" in spec:
                status["repository"] = await fetcher.repository(spec["repository"])
        if results:
            status["images"] = results
            self._note_behaviours(results)
        return status

    def _note_behaviours(self, results: list[Json]) -> None:
        for image in (result["image"] for result in results if "image" in result):
            config = (image.get("dockerImageMetadata") or {}).get("Config") or {}
            if behaviour := (config.get("Labels") or {}).get(BEHAVIOUR):
                self.cluster.behaviours[image["metadata"]["name"]] = behaviour

    def _record(self, user: User, given: Json, spec: Json, status: Json, entry: Entry | None) -> Json:
        """Write the results into the stream in one go; `entry` is the stream as it was read before the import."""
        cluster, now = self.cluster, timestamps.now()
        old = streams.load(entry.object) if entry else None
        if old is None:
            metadata = {"name": given["name"], "namespace": given["namespace"], "generation": 0}
            stream = Stream({**metadata, "uid": str(uuid.uuid4()), "creationTimestamp": now})
        else:
            stream = old.copy()
        import_rules.apply_results(stream, spec, status, stream.generation + 1, now)
        for result in (*status.get("repository", {}).get("images", ()), *status.get("images", ())):
            self._create_images(result)
        if entry and old and CHECK_ANNOTATION in old.annotations and stream == old:
            return entry.object
        there = cluster.store.get(IMAGE_STREAMS, stream.namespace, stream.name)
        if there is not entry:
            if entry is None:
                raise already_exists(_PLURAL, IMAGE_GROUP, stream.name)
            raise (conflict if there else not_found)(_PLURAL, IMAGE_GROUP, stream.name)
        stream.metadata["annotations"] = {**stream.annotations, CHECK_ANNOTATION: now}
        return write_internally(cluster, user, stream, old)

    def _create_images(self, result: Json) -> None:
        """Keep the images, which belong to the whole cluster; those already known stay as they were."""
        if "image" not in result:
            return
        for image in (*result.get("manifests", ()), result["image"]):
            image.pop("dockerImageManifest", None)
            image.pop("dockerImageConfig", None)
            metadata = {**image["metadata"], "uid": str(uuid.uuid4()), "creationTimestamp": timestamps.now()}
            image["metadata"] = metadata
            if self.cluster.store.get(IMAGES, "", metadata["name"]) is None:
                self.cluster.store.put(IMAGES, {**image, "metadata": metadata})


def import_request(stream: Stream, tags: list[str]) -> Json:
    """The spec of an import of some tags as they stand, with all their policies."""
    return {
        "import": True,
        "images": [
            {
                "from": {"kind": "DockerImage", "name": stream.tags[tag]["from"]["name"]},
                "to": {"name": tag},
                "importPolicy": stream.tags[tag]["importPolicy"],
                "referencePolicy": stream.tags[tag]["referencePolicy"],
            }
            for tag in tags
        ],
    }


CONTROLLER = User("system:serviceaccount:openshift-infra:image-import-controller", groups=ADMIN.groups)
