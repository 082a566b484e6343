"""A cluster in memory that answers as told: by its rules, or for the next requests by a script.

It knows just enough of the image API for the program's own rules to be seen: versions and conflicts, the three kinds of
answer an image can have, what an import does to a tag, and aliases that move along.
"""

from __future__ import annotations

import copy
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from job.cluster import IMAGE_STREAM_IMAGES, IMAGE_STREAM_IMPORTS, Resource
from job.domain.errors import ClusterError
from job.domain.model import Reason, TagResult
from job.domain.retries import RetryPolicy
from job.domain.selection import Wanted, choose
from job.imagestreams.api_types import stream_from
from job.imagestreams.descriptions import Describer
from job.imagestreams.import_context import ImportContext, Options
from job.imagestreams.stream_import import StreamImport
from job.runtime.clock import Clock
from job.runtime.pool import Throttle

NAMESPACE = "packit-prod"
STREAM = "worker"
JSON = dict[str, Any]
Usual = Callable[[], Mapping[str, Any]]
Turn = Callable[[Usual], Mapping[str, Any]]


def digest(name: str) -> str:
    """A digest that reads well in a failing test."""
    return f"sha256:{name}"


def docker(name: str) -> JSON:
    return {"kind": "DockerImage", "name": name}


def alias(name: str) -> JSON:
    return {"kind": "ImageStreamTag", "name": name}


def spec_tag(name: str, source: JSON | str | None = None, **more: Any) -> JSON:
    """A spec tag; its source is an image of that name unless another is given."""
    if source is None:
        source = f"quay.io/packit/{name}:{name}"
    entry = {
        "name": name,
        "annotations": None,
        "from": docker(source) if isinstance(source, str) else source,
        "generation": 1,
        "importPolicy": {"importMode": "Legacy"},
        "referencePolicy": {"type": "Source"},
    }
    return {**entry, **more}


def stream_json(
    *tags: JSON,
    images: Mapping[str, str | None] | None = None,
    name: str = STREAM,
    namespace: str = NAMESPACE,
    version: int = 100,
    **metadata: Any,
) -> JSON:
    """An ImageStream whose tags hold `images`; by default each holds `sha256:old`."""
    held = {tag["name"]: digest("old") for tag in tags} if images is None else images
    return {
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": str(version), **metadata},
        "spec": {"lookupPolicy": {"local": False}, "tags": [dict(tag) for tag in tags]},
        "status": {
            "tags": [
                {"tag": tag, "items": [history_item(image)] if image else None} for tag, image in sorted(held.items())
            ]
        },
    }


def history_item(image: str, created: str = "2026-11-17T02:00:00Z") -> JSON:
    return {"created": created, "dockerImageReference": f"quay.io/x@{image}", "generation": 1, "image": image}


def image_json(image: str, created: str | None = None, **labels: str) -> JSON:
    """An Image object."""
    metadata: JSON = {"Config": {"Labels": labels}}
    if created:
        metadata["Created"] = created
    return {"metadata": {"name": image}, "dockerImageMetadata": metadata}


def index_json(image: str, **digests: str) -> JSON:
    """An Image object of an index: `arm64=...`, `amd64=...` name the digests of its manifests."""
    return {
        "metadata": {"name": image},
        "dockerImageManifests": [
            {"digest": each, "os": "linux", "architecture": architecture} for architecture, each in digests.items()
        ],
        "dockerImageMetadata": {"Created": "2026-11-24T02:00:00Z"},
    }


def failure(reason: str, message: str) -> JSON:
    """What an import answers for an image that failed."""
    return {"status": {"status": "Failure", "reason": reason, "message": message}}


RATE_LIMITED = failure("InternalError", "Internal error occurred: quay.io/x:y: toomanyrequests: slow down")
REGISTRY_DOWN = failure("InternalError", "Internal error occurred: quay.io/x:y: received unexpected HTTP status: 503 x")
NOT_FOUND = failure("NotFound", 'dockerimage.image.openshift.io "quay.io/x:y" not found')
UNAUTHORIZED = failure("Unauthorized", 'you may not have access to the container image "quay.io/x:y"')
NO_IMAGE: JSON = {"status": {"status": "Success"}}


def api_error(code: int, retry_after: float | None = None) -> ClusterError:
    """A whole request that the API refuses with that code."""
    reasons = {403: Reason.FORBIDDEN, 404: Reason.NOT_FOUND, 409: Reason.CONFLICT, 422: Reason.INVALID}
    reasons |= {401: Reason.UNAUTHORIZED, 429: Reason.RATE_LIMITED, 504: Reason.TIMEOUT}
    reason = reasons.get(code, Reason.API_ERROR)
    return ClusterError(reason, f"the API says {code}", code=code, retry_after=retry_after)


def connection_lost() -> ClusterError:
    return ClusterError(Reason.UNREACHABLE, "connection lost", answered=False)


def no_answer_in_time() -> ClusterError:
    return ClusterError(Reason.TIMEOUT, "no answer within 60 s", answered=False)


def refuse(error: ClusterError) -> Turn:
    """Answer with an error, and do nothing."""

    def turn(usual: Usual) -> Mapping[str, Any]:
        raise error

    return turn


def lose(error: ClusterError) -> Turn:
    """Do what was asked, and lose the answer."""

    def turn(usual: Usual) -> Mapping[str, Any]:
        usual()
        raise error

    return turn


def after(change: Callable[[], object]) -> Turn:
    """Somebody else does something just before the request arrives."""

    def turn(usual: Usual) -> Mapping[str, Any]:
        change()
        return usual()

    return turn


def answer(value: Mapping[str, Any]) -> Turn:
    """Answer with just that."""
    return lambda usual: value


@dataclass
class Request:
    """A request that arrived."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    body: JSON = field(default_factory=dict)
    timeout: float | None = None
    selector: str | None = None

    @property
    def tags(self) -> list[str]:
        """Which tags an import is for."""
        return [image["to"]["name"] for image in self.body["spec"]["images"]]

    @property
    def sources(self) -> list[str]:
        """From where an import is."""
        return [image["from"]["name"] for image in self.body["spec"]["images"]]

    @property
    def version(self) -> str:
        """The resourceVersion that an import asks for."""
        return str(self.body["metadata"]["resourceVersion"])


class ScriptedCluster:
    """Implements `job.cluster.Cluster`."""

    def __init__(self, *streams: JSON, default_namespace: str | None = None) -> None:
        self.streams = {(s["metadata"]["namespace"], s["metadata"]["name"]): copy.deepcopy(s) for s in streams}
        self.registry: dict[str, str | JSON] = {}
        self.images: dict[str, JSON] = {}
        self.requests: list[Request] = []
        self.on_create: deque[Turn | None] = deque()
        self.on_get: deque[Turn | None] = deque()
        self.on_describe: deque[Turn | None] = deque()
        self.on_list: dict[str, deque[Turn | None]] = {}
        self.closed = False
        self._default_namespace = default_namespace
        self._version = itertools.count(200)

    @property
    def default_namespace(self) -> str | None:
        return self._default_namespace

    @property
    def server(self) -> str:
        return "https://api.example:6443"

    @property
    def context(self) -> str | None:
        return None

    @property
    def clock_skew(self) -> float | None:
        return None

    @property
    def imports(self) -> list[Request]:
        return [request for request in self.requests if request.resource is IMAGE_STREAM_IMPORTS]

    @property
    def reads(self) -> list[Request]:
        return [r for r in self.requests if r.verb == "get" and r.resource is not IMAGE_STREAM_IMAGES]

    @property
    def descriptions(self) -> list[str]:
        return [request.name for request in self.requests if request.resource is IMAGE_STREAM_IMAGES]

    def change(self, name: str = STREAM, namespace: str = NAMESPACE) -> JSON:
        """The stream, to be changed by somebody else: it gets a new version."""
        stream = self.streams[namespace, name]
        stream["metadata"]["resourceVersion"] = str(next(self._version))
        return stream

    def change_tag(self, tag: str, **values: Any) -> None:
        """Somebody else changes a spec tag."""
        spec = self.change()["spec"]
        spec["tags"] = [{**each, **values} if each["name"] == tag else each for each in spec["tags"]]

    def push(self, tag: str, image: str, name: str = STREAM, namespace: str = NAMESPACE) -> None:
        """Give a tag, and all that follow it, an image."""
        stream = self.change(name, namespace)
        moved = [tag]
        while moved:
            _prepend(stream, moved[0], image)
            moved += [t["name"] for t in stream["spec"]["tags"] if t.get("from") == alias(moved[0])]
            moved.pop(0)

    def list(self, resource: Resource, namespace: str, selector: str | None = None) -> Iterator[Mapping[str, Any]]:
        self.requests.append(Request("list", resource, namespace, "", selector=selector))
        found = [copy.deepcopy(stream) for (where, _), stream in self.streams.items() if where == namespace]
        page = _taken(self.on_list.get(namespace, deque()), lambda: {"items": found})
        yield from page["items"]
        if "then" in page:
            raise page["then"]

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        self.requests.append(Request("get", resource, namespace, name))
        if resource is IMAGE_STREAM_IMAGES:
            return _taken(self.on_describe, lambda: {"image": self._image(name.partition("@")[2])})
        return _taken(self.on_get, lambda: self._stream(namespace, name))

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        asked = copy.deepcopy(dict(body))
        self.requests.append(Request("create", resource, namespace, asked["metadata"]["name"], asked, timeout))
        return _taken(self.on_create, lambda: self._import(namespace, asked))

    def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        raise AssertionError("nothing that is tested here replaces an object")

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        raise AssertionError("nothing that is tested here deletes an object")

    def close(self) -> None:
        self.closed = True

    def _image(self, image: str) -> JSON:
        if image not in self.images:
            raise api_error(404)
        return self.images[image]

    def _stream(self, namespace: str, name: str) -> JSON:
        if (namespace, name) not in self.streams:
            raise api_error(404)
        return copy.deepcopy(self.streams[namespace, name])

    def _import(self, namespace: str, body: JSON) -> JSON:
        name, asked = body["metadata"]["name"], body["spec"]["images"]
        stream = self._stream(namespace, name)
        if body["metadata"]["resourceVersion"] not in ("", stream["metadata"]["resourceVersion"]):
            raise api_error(409)
        answers = [self._answer(image["from"]["name"]) for image in asked]
        status: JSON = {"images": answers}
        if body["spec"]["import"]:
            for image, found in zip(asked, answers, strict=True):
                if "image" in found:
                    self._imported(namespace, name, image["to"]["name"], found["image"]["metadata"]["name"])
            status["import"] = self._stream(namespace, name)
        return {"status": status}

    def _answer(self, source: str) -> JSON:
        found = self.registry.get(source, digest("new"))
        if isinstance(found, dict):
            return found
        image = self.images.get(found, {"metadata": {"name": found}})
        manifests = [part["digest"] for part in image.get("dockerImageManifests", [])]
        known = [self.images[each] for each in manifests if each in self.images]
        return {"status": {"status": "Success"}, "image": image, "manifests": known}

    def _imported(self, namespace: str, name: str, tag: str, image: str) -> None:
        entries = self.streams[namespace, name]["status"]["tags"]
        held = next((entry["items"] for entry in entries if entry["tag"] == tag), None)
        if not held or held[0]["image"] != image:
            self.push(tag, image, name, namespace)


def _prepend(stream: JSON, tag: str, image: str) -> None:
    entries = stream["status"]["tags"]
    entry = next((each for each in entries if each["tag"] == tag), None)
    if entry is None:
        entries.append(entry := {"tag": tag, "items": None})
    entry["items"] = [history_item(image, "2026-11-24T02:00:00Z"), *(entry["items"] or [])]


def _taken(script: deque[Turn | None], usual: Usual) -> Mapping[str, Any]:
    turn = script.popleft() if script else None
    return usual() if turn is None else turn(usual)


class CountingThrottle(Throttle):
    """Counts how often it was asked to slow down."""

    def __init__(self) -> None:
        super().__init__(32)
        self.slowed_down = 0

    def slow_down(self) -> None:
        self.slowed_down += 1
        super().slow_down()


class World:
    """A cluster, a clock that moves only when somebody waits, and one stream to import."""

    def __init__(
        self,
        *streams: JSON,
        retries: int = 4,
        write: bool = True,
        deadline: float = 1e9,
        chance: float = 0.5,
        timeout: float = 60.0,
    ) -> None:
        self.cluster = ScriptedCluster(*streams)
        self.now = 0.0
        self.waits: list[float] = []
        self.retried: list[str] = []
        self.settled = 0
        self.throttle = CountingThrottle()
        self.around = ImportContext(
            cluster=self.cluster,
            options=Options(write, RetryPolicy(retries), timeout, deadline),
            describer=Describer(self.cluster),
            throttle=self.throttle,
            retried=lambda namespace, reason: self.retried.append(str(reason)),
            settled=self._settled,
            clock=Clock(monotonic=lambda: self.now, chance=lambda: chance),
        )

    def _settled(self) -> None:
        self.settled += 1

    def begin(self, wanted: Wanted | None = None, name: str = STREAM, namespace: str = NAMESPACE) -> StreamImport:
        stream = stream_from(self.cluster.streams[namespace, name])
        return StreamImport(stream, choose(stream, wanted or Wanted()), self.around)

    def drive(self, task: StreamImport, steps: int = 10_000) -> None:
        """Step by step to the end, or for so many steps; waits pass at once."""
        for _ in range(steps):
            wait = task.step()
            if wait is None:
                return
            if wait > 0:
                self.waits.append(wait)
                # A little more than asked, as any real wait is: sums of floats do not always reach their goal.
                self.now += wait + 1e-6
        if steps == 10_000:
            raise AssertionError("the import does not come to an end")

    def run(self, wanted: Wanted | None = None, name: str = STREAM, namespace: str = NAMESPACE) -> list[TagResult]:
        task = self.begin(wanted, name, namespace)
        self.drive(task)
        return list(task.results())

    def import_tags(self, wanted: Wanted | None = None) -> dict[str, TagResult]:
        """The results by tag."""
        return {result.tag: result for result in self.run(wanted)}

    def import_one(self) -> TagResult:
        (result,) = self.run()
        return result


def world_of(*names: str, **options: Any) -> World:
    """A world whose stream has tags of these names."""
    return World(stream_json(*(spec_tag(name) for name in names)), **options)
