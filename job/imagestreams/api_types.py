"""ImageStreams and ImageStreamImports as the API writes them, to and from the nouns of `model`.

The shapes are those of image.openshift.io/v1. Anything may be missing or null there (a tag that never had an image has
`items: null`, one without annotations has `annotations: null`), so nothing here relies on a key being present.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any

from job.domain.model import ANNOTATION_PREFIX, Image, ImageFacts, Item, Source, Stream, Tag, TagName
from job.domain.shell import oc
from job.domain.text import clean
from job.domain.times import parse_time

GROUP = "image.openshift.io/v1"
REVISION_LABELS = (
    "org.opencontainers.image.revision",
    # Source-to-image. Before vcs-ref, which its builder images have of their own.
    "io.openshift.build.commit.id",
    "org.label-schema.vcs-ref",
    "vcs-ref",
)
VERSION_LABELS = ("org.opencontainers.image.version", "version")
# Of a revision or version, in characters.
LONGEST_LABEL = 200


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


@lru_cache(maxsize=1024)
def _policy(text: str) -> Mapping[str, Any]:
    # Ten thousand tags share a handful of policies.
    return dict(json.loads(text))


def _shared(value: object) -> Mapping[str, Any] | None:
    return _policy(json.dumps(value)) if isinstance(value, dict) else None


def _ours(annotations: object) -> Mapping[str, str]:
    found = {
        key: value
        for key, value in _object(annotations).items()
        if key.startswith(ANNOTATION_PREFIX) and isinstance(value, str)
    }
    return found or _NONE


_NONE: Mapping[str, str] = {}


def _source(value: object) -> Source | None:
    found = _object(value)
    if not found.get("name"):
        return None
    return Source(intern(str(found.get("kind", ""))), intern(str(found["name"])), found.get("namespace") or None)


def _current(status_tag: Mapping[str, Any]) -> Item | None:
    items = _list(status_tag.get("items"))
    if not items or not _object(items[0]).get("image"):
        return None
    return Item(intern(str(items[0]["image"])), parse_time(items[0].get("created")))


# OpenShift writes it when a registry was asked (openshift-apiserver, imagestreamimport/rest.go), and at no push.
_IMPORTED = "openshift.io/image.dockerRepositoryCheck"


def _origin(data: Mapping[str, Any], status_tag: Mapping[str, Any]) -> str | None:
    """The repository of a registry that the newest image of a tag without a source was imported from."""
    metadata, status = _object(data.get("metadata")), _object(data.get("status"))
    spec_tags = map(_object, _list(_object(data.get("spec")).get("tags")))
    imports = any(_object(tag.get("from")).get("kind") == "DockerImage" for tag in spec_tags)
    items = _list(status_tag.get("items"))
    repository = spelt_repository(str(_object(items[0]).get("dockerImageReference") or "")) if items else ""
    if not repository or not (imports or _IMPORTED in _object(metadata.get("annotations"))):
        return None
    host = repository.partition("/")[0]
    own = (str(status.get(name) or "").partition("/")[0] for name in _OWN_REPOSITORIES)
    # A push leaves the address of the cluster's own registry.
    return None if host in own or host.partition(":")[0].endswith((".svc", ".svc.cluster.local")) else repository


_OWN_REPOSITORIES = ("dockerImageRepository", "publicDockerImageRepository")


def stream_from(data: Mapping[str, Any]) -> Stream:
    """A stream from its JSON: its spec tags, and the tags that only its status has (pushed, or gone from the spec).

    A stream with the deprecated `spec.dockerImageRepository` counts by its spec tags alone.
    """
    metadata, spec, status = _object(data.get("metadata")), _object(data.get("spec")), _object(data.get("status"))
    history = {str(_object(entry).get("tag")): _object(entry) for entry in _list(status.get("tags"))}
    tags = []
    for entry in map(_object, _list(spec.get("tags"))):
        # Each is read again with every answer, and kept ten thousand times.
        name = intern(str(entry.get("name")))
        past, source = history.pop(name, {}), _source(entry.get("from"))
        tags.append(
            Tag(
                name=name,
                source=source,
                reference=entry.get("reference") is True,
                import_policy=_shared(entry.get("importPolicy")),
                reference_policy=_shared(entry.get("referencePolicy")),
                annotations=_ours(entry.get("annotations")),
                current=_current(past),
                origin=None if source else _origin(data, past),
            )
        )
    if not spec.get("dockerImageRepository"):
        tags += [
            Tag(name, None, False, None, None, _NONE, _current(entry), _origin(data, entry))
            for name, entry in history.items()
        ]
    return Stream(
        namespace=intern(str(metadata.get("namespace", ""))),
        name=intern(str(metadata.get("name", ""))),
        version=str(metadata.get("resourceVersion", "")),
        annotations=_ours(metadata.get("annotations")),
        tags=tuple(tags),
    )


def facts_from(image: Mapping[str, Any], manifests: Sequence[Mapping[str, Any]] = ()) -> ImageFacts:
    """What an Image object says of itself.

    For an index the facts come from its linux/amd64 manifest, else from its first, when that is among `manifests`
    (an import's answer brings them along); when it is not, `ImageFacts.manifest` says which one to ask for.
    """
    parts = [_object(part) for part in _list(image.get("dockerImageManifests"))]
    if parts:
        chosen = next((p for p in parts if (p.get("os"), p.get("architecture")) == ("linux", "amd64")), parts[0])
        digest = str(chosen.get("digest"))
        for manifest in manifests:
            if _object(manifest.get("metadata")).get("name") == digest:
                return facts_from(manifest)
        return ImageFacts(manifest=digest)
    metadata = _object(image.get("dockerImageMetadata"))
    labels = _object(_object(metadata.get("Config")).get("Labels"))
    return ImageFacts(
        created=parse_time(metadata.get("Created")),
        revision=_first(labels, REVISION_LABELS),
        version=_first(labels, VERSION_LABELS),
    )


def _first(labels: Mapping[str, Any], names: Sequence[str]) -> str | None:
    # Whoever builds an image writes its labels, and they go into reports, metrics and the journal.
    return next((clean(str(labels[name]), LONGEST_LABEL) for name in names if labels.get(name)), None) or None


def image_of(item: Item, facts: ImageFacts | None) -> Image:
    """The image of a history item, with what is known of it."""
    facts = facts or ImageFacts()
    return Image(item.digest, facts.created, item.imported_at, facts.revision, facts.version)


def spelt_repository(pull_spec: str) -> str:
    """The repository of a pull spec as it is spelt, without tag and digest."""
    head, slash, tail = pull_spec.partition("@")[0].rpartition("/")
    return head + slash + tail.partition(":")[0]


def repository_of(source: Source) -> str:
    """The repository of a pull spec, without tag and digest; that of Docker Hub in its long form."""
    repository = spelt_repository(source.name)
    host, slash, path = repository.partition("/")
    if not slash:
        return f"docker.io/library/{repository}"
    if host in ("docker.io", "index.docker.io"):
        return f"docker.io/{path}" if "/" in path else f"docker.io/library/{path}"
    return repository if "." in host or ":" in host or host == "localhost" else f"docker.io/{repository}"


def import_of(stream: Stream, tags: Sequence[Tag], *, write: bool) -> dict[str, Any]:
    """The ImageStreamImport of these tags, at the version of the stream's read.

    A tag's own policies go along unchanged: on success the server replaces the whole importPolicy by what it was sent,
    so that one left out would reset `scheduled`, `insecure` and `importMode`. `to` is always named, since the server
    would otherwise take the source's tag.
    """
    images = []
    for tag in tags:
        if tag.source is None:
            raise ValueError(f"{stream.name}:{tag.name} has no source to import from")
        image: dict[str, Any] = {"from": {"kind": tag.source.kind, "name": tag.source.name}, "to": {"name": tag.name}}
        if tag.import_policy is not None:
            image["importPolicy"] = tag.import_policy
        if tag.reference_policy is not None:
            image["referencePolicy"] = tag.reference_policy
        images.append(image)
    metadata = {"name": stream.name, "namespace": stream.namespace}
    if stream.version:
        metadata["resourceVersion"] = stream.version
    return {
        "apiVersion": GROUP,
        "kind": "ImageStreamImport",
        "metadata": metadata,
        "spec": {"import": write, "images": images},
    }


@dataclass(frozen=True, slots=True)
class Imported:
    """The server's answer for one image: either `digest` with its facts, or the Status of a failure."""

    digest: str | None
    facts: ImageFacts | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ImportAnswer:
    """The server's answer to an import: each image in the request's order, and the stream after it.

    `stream` is None for a look-up (`spec.import: false`), which leaves the stream alone.
    """

    images: tuple[Imported, ...]
    stream: Stream | None


def answer_from(data: Mapping[str, Any], count: int) -> ImportAnswer | None:
    """The answer to an import of `count` images; None when it does not tell of each of them."""
    status = _object(data.get("status"))
    entries = _list(status.get("images"))
    if len(entries) != count:
        return None
    images = []
    for entry in map(_object, entries):
        verdict, image = _object(entry.get("status")), _object(entry.get("image"))
        digest = _object(image.get("metadata")).get("name")
        if verdict.get("status") == "Success" and digest:
            facts = facts_from(image, [_object(part) for part in _list(entry.get("manifests"))])
            images.append(Imported(str(digest), facts, "", ""))
        elif verdict.get("status") == "Success":
            # Seen where a stale pull secret makes the server import twice.
            images.append(Imported(None, None, "", "the server reported success, but no image"))
        else:
            images.append(
                Imported(None, None, str(verdict.get("reason") or ""), str(verdict.get("message") or "no reason given"))
            )
    after = status.get("import")
    return ImportAnswer(tuple(images), stream_from(after) if isinstance(after, dict) else None)


def reference_of(data: Mapping[str, Any], tag: str) -> Mapping[str, Any] | None:
    """A stream's spec tag as the API writes it, from the stream's JSON."""
    entries = map(_object, _list(_object(data.get("spec")).get("tags")))
    return next((entry for entry in entries if entry.get("name") == tag), None)


def put_of(stream: Stream, reference: Mapping[str, Any]) -> dict[str, Any]:
    """The ImageStreamTag that makes `reference` a spec tag of the stream, if the stream is still as it was read.

    The server takes the tag's annotations from the metadata.
    """
    return {
        "apiVersion": GROUP,
        "kind": "ImageStreamTag",
        "metadata": {
            "name": f"{stream.name}:{reference['name']}",
            "namespace": stream.namespace,
            "resourceVersion": stream.version,
            "annotations": dict(reference.get("annotations") or {}),
        },
        "tag": dict(reference),
    }


def as_written(data: Mapping[str, Any], reference: Mapping[str, Any], answer: Mapping[str, Any]) -> Stream:
    """A stream as it was read, but with a spec tag as it was written since then.

    Args:
        data: the stream's JSON.
        reference: the spec tag that was written.
        answer: what the server answered, an ImageStreamTag, which names the image that the tag has.
    """
    spec, name = _object(data.get("spec")), reference["name"]
    tags = [reference if _object(entry).get("name") == name else entry for entry in _list(spec.get("tags"))]
    stream = stream_from({**data, "spec": {**spec, "tags": tags}})
    digest = _object(_object(answer.get("image")).get("metadata")).get("name")
    tag = stream.tag(name)
    if tag is None or not digest or (tag.current and tag.current.digest == digest):
        return stream
    moved = replace(tag, current=Item(str(digest), None))
    return replace(stream, tags=tuple(moved if each is tag else each for each in stream.tags))


def items_of(data: Mapping[str, Any], tag: str) -> tuple[Item, ...]:
    """The history of a tag, newest first, from its stream's JSON."""
    for entry in map(_object, _list(_object(data.get("status")).get("tags"))):
        if entry.get("tag") == tag:
            items = map(_object, _list(entry.get("items")))
            return tuple(
                Item(str(item["image"]), parse_time(item.get("created")), str(item.get("dockerImageReference") or ""))
                for item in items
                if item.get("image")
            )
    return ()


def import_problem(data: Mapping[str, Any], tag: str) -> tuple[str, str, datetime | None] | None:
    """Reason, message and time of the tag's failed import, where the stream's conditions tell of one."""
    for entry in map(_object, _list(_object(data.get("status")).get("tags"))):
        for condition in map(_object, _list(entry.get("conditions"))):
            if (entry.get("tag"), condition.get("type"), condition.get("status")) == (tag, "ImportSuccess", "False"):
                when = parse_time(condition.get("lastTransitionTime"))
                return str(condition.get("reason") or ""), str(condition.get("message") or ""), when
    return None


def applied_by(data: Mapping[str, Any]) -> str | None:
    """Who keeps the stream's spec from a manifest, and so may undo what is written to it; None: nobody that shows.

    `kubectl apply` leaves its last-applied annotation, server-side apply an entry of managedFields.
    """
    metadata = _object(data.get("metadata"))
    if "kubectl.kubernetes.io/last-applied-configuration" in _object(metadata.get("annotations")):
        return "kubectl apply"
    for entry in map(_object, _list(metadata.get("managedFields"))):
        fields = _object(_object(entry.get("fieldsV1")).get("f:spec"))
        if entry.get("operation") == "Apply" and "f:tags" in fields:
            return str(entry.get("manager") or "server-side apply")
    return None


def login_secret(name: TagName, source: str) -> str:
    """The command that gives a tag's namespace a login for the registry of its source."""
    server = repository_of(Source("DockerImage", source)).partition("/")[0]
    login = (f"--docker-server={server}", "--docker-username=USER", "--docker-password=PASSWORD")
    # A stream's name may have what a Secret's may not.
    secret = re.sub(r"[^a-z0-9-]", "-", f"pull-{name.stream}")[:63].strip("-")
    return oc(name.namespace, "create", "secret", "docker-registry", secret, *login)
