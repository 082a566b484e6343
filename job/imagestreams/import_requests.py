"""What is sent to import or to move a tag, and what the server answers: image.openshift.io/v1 to and from values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from job.domain.model import ImageFacts, Item, Stream, Tag
from job.domain.records import dataclass, replace
from job.imagestreams.api_types import GROUP, as_list, as_object, facts_from, stream_from


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
    """The answer to an import of `count` images; None when it does not cover each of them."""
    status = as_object(data.get("status"))
    entries = as_list(status.get("images"))
    if len(entries) != count:
        return None
    images = []
    for entry in map(as_object, entries):
        verdict, image = as_object(entry.get("status")), as_object(entry.get("image"))
        digest = as_object(image.get("metadata")).get("name")
        if verdict.get("status") == "Success" and digest:
            facts = facts_from(image, [as_object(part) for part in as_list(entry.get("manifests"))])
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
    spec, name = as_object(data.get("spec")), reference["name"]
    tags = [reference if as_object(entry).get("name") == name else entry for entry in as_list(spec.get("tags"))]
    stream = stream_from({**data, "spec": {**spec, "tags": tags}})
    digest = as_object(as_object(answer.get("image")).get("metadata")).get("name")
    tag = stream.tag(name)
    if tag is None or not digest or (tag.current and tag.current.digest == digest):
        return stream
    moved = replace(tag, current=Item(str(digest), None))
    return replace(stream, tags=tuple(moved if entry is tag else entry for entry in stream.tags))
