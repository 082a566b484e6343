"""The hold that a rollback leaves on a tag, as the tag's annotation tells it.

An annotation outlives `oc apply` and foreign imports, which put `from` back, so that alone it proves nothing: a tag is
held only while its source is what the hold set and its newest image is the hold's.
"""

from __future__ import annotations

import json
from typing import Any

from job.model import Hold, Source, Tag
from job.openshift import parse_time

ANNOTATION = "import-images.dev/hold"


def _annotation(tag: Tag) -> dict[str, Any] | None:
    try:
        value = json.loads(tag.annotations.get(ANNOTATION, ""))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def hold_of(tag: Tag) -> Hold | None:
    """The hold that is on the tag now, or None: there is none, or it is over."""
    value = _annotation(tag)
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
    )


def is_over(tag: Tag) -> bool:
    """Whether the tag carries the annotation of a hold that no longer is one."""
    return ANNOTATION in tag.annotations and hold_of(tag) is None
