"""The hold that a rollback leaves on a tag, read from and written to the tag's annotation.

The annotation alone proves nothing, since it survives `oc apply` and other clients' imports, which restore `from`. So a
tag is held only while its source is what the hold set and its newest image is the hold's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from job.domain.model import ANNOTATION_PREFIX, Hold, Source, Tag
from job.domain.records import dataclass
from job.domain.text import clean
from job.domain.times import iso, parse_time

ANNOTATION = f"{ANNOTATION_PREFIX}hold"
VERSION = 1
# The longest reason, in characters.
LONGEST = 1000

# A spec tag as the API writes it (image.openshift.io/v1 TagReference), kept word for word.
Reference = Mapping[str, Any]


def _annotation(annotations: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        value = json.loads(annotations.get(ANNOTATION, ""))
    except (ValueError, TypeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: object) -> str | None:
    # Every user who may edit the stream may have written it, and it is shown to all.
    return clean(value, LONGEST) or None if isinstance(value, str) else None


def hold_of(tag: Tag) -> Hold | None:
    """The hold that is on the tag now; None where there is none or it has ended."""
    value = _annotation(tag.annotations)
    if value is None or tag.source is None or tag.current is None:
        return None
    set_to = value.get("from")
    if not isinstance(set_to, dict):
        return None
    if Source(str(set_to.get("kind")), str(set_to.get("name")), set_to.get("namespace") or None) != tag.source:
        return None
    if value.get("image") != tag.current.digest:
        return None
    return Hold(
        at=parse_time(value.get("at")),
        until=parse_time(value.get("until")),
        by=_text(value.get("by")),
        reason=_text(value.get("reason")),
        image=tag.current.digest,
        until_newer=value.get("until_newer") is True,
        bad=_text(value.get("bad")),
        first_imported=parse_time(value.get("came")),
    )


def is_over(tag: Tag) -> bool:
    """Whether the tag still has the annotation of a hold that has ended."""
    return ANNOTATION in tag.annotations and hold_of(tag) is None


@dataclass(frozen=True, slots=True)
class Terms:
    """By whom, since when, why and until when a tag is held."""

    at: datetime
    by: str | None = None
    reason: str | None = None
    until: datetime | None = None
    until_newer: bool = False


def original_of(reference: Reference) -> Reference | None:
    """The spec tag that a hold's annotation keeps; None where it keeps none that can be restored."""
    original = (_annotation(_annotations(reference)) or {}).get("original")
    return original if isinstance(original, dict) and _is_reference(original, reference.get("name")) else None


def _is_reference(original: Mapping[str, Any], tag: object) -> bool:
    """Whether it can be restored as that tag; every user who may edit the stream may have written it."""
    source, annotations = original.get("from"), original.get("annotations")
    return (
        original.get("name") == tag
        and isinstance(source, dict)
        and all(isinstance(source.get(key), str) for key in ("kind", "name"))
        and all(isinstance(original.get(key) or {}, dict) for key in ("annotations", "importPolicy", "referencePolicy"))
        and all(isinstance(value, str) for value in (annotations or {}).values())
    )


def _annotations(reference: Reference) -> dict[str, Any]:
    existing = reference.get("annotations")
    return dict(existing) if isinstance(existing, dict) else {}


def without_annotation(reference: Reference) -> dict[str, Any]:
    """The spec tag as it is, without the annotation of a hold that has ended."""
    annotations = {key: value for key, value in _annotations(reference).items() if key != ANNOTATION}
    return {**reference, "annotations": annotations or None}


def held_reference(
    reference: Reference,
    source: Source,
    image: str,
    terms: Terms,
    *,
    held: bool,
    bad: str | None,
    first_imported: datetime | None,
) -> dict[str, Any]:
    """The spec tag that holds an image.

    Args:
        reference: the spec tag as it is.
        source: what the hold sets `from` to.
        image: the digest that the tag will have.
        terms: who, when, why, until when.
        held: whether the tag is already held; the first hold's original is then kept.
        bad: the image that the first of several rollbacks rolled back from.
        first_imported: when the tag first had `image`.
    """
    kept = original_of(reference) if held else None
    original = dict(kept) if kept is not None else without_annotation(reference)
    set_to = {"kind": source.kind, "name": source.name, **({"namespace": source.namespace} if source.namespace else {})}
    value = {
        "version": VERSION,
        "by": terms.by,
        "at": iso(terms.at),
        "reason": terms.reason,
        "until": iso(terms.until),
        "until_newer": terms.until_newer or None,
        "from": set_to,
        "image": image,
        "bad": bad,
        "came": iso(first_imported),
        "original": original,
    }
    text = json.dumps({key: item for key, item in value.items() if item is not None}, ensure_ascii=False)
    annotations = {**_annotations(original), ANNOTATION: text}
    # The server refuses `scheduled` for anything but a registry's tag, and would follow that tag.
    policy = {key: item for key, item in (original.get("importPolicy") or {}).items() if key != "scheduled"}
    if source.kind == "DockerImage":
        # Otherwise the manifest of one architecture would be imported from a multi-arch image, under another digest.
        policy["importMode"] = "PreserveOriginal"
    held_tag = {"name": original.get("name"), "from": set_to, "importPolicy": policy, "annotations": annotations}
    if original.get("referencePolicy") is not None:
        held_tag["referencePolicy"] = original["referencePolicy"]
    return held_tag


def source_before(tag: Tag) -> tuple[str, Mapping[str, Any]] | None:
    """The pull spec and importPolicy that a held tag gets back once released; None for another kind of source."""
    original = original_of({"name": tag.name, "annotations": dict(tag.annotations)})
    if original is None or original["from"]["kind"] != "DockerImage":
        return None
    return original["from"]["name"], original.get("importPolicy") or {}


def released_reference(reference: Reference) -> dict[str, Any] | None:
    """The spec tag as it was before the hold, except `generation`, which only the server sets."""
    original = original_of(reference)
    return None if original is None else {key: item for key, item in original.items() if key != "generation"}
