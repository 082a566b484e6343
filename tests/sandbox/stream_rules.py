"""What a write does to a stream: its generations, its history, and the tags that follow others. Pure.

Source of behaviour: openshift-apiserver pkg/image/apiserver/registry/imagestream/strategy.go and
pkg/image/apiserver/internal/imageutil.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.sandbox import references
from tests.sandbox.resources import IMAGE_GROUP
from tests.sandbox.settings import Settings
from tests.sandbox.status import (
    ApiError,
    FieldError,
    Json,
    conflict,
    forbidden_value,
    invalid_value,
    not_found,
    value_not_found,
)
from tests.sandbox.streams import History, Stream, Tag, TagEvent, latest_event

_FORM = "must be of the form <tag>, <repo>:<tag>, <id>, or <repo>@<id>"


def prepare_create(stream: Stream, *, keep_status: bool = False) -> None:
    if not keep_status:
        stream.history = {}
    stream.generation = 1
    stream.tags = {name: {**tag, "name": name, "generation": 1} for name, tag in stream.tags.items()}


def prepare_update(stream: Stream, old: Stream, *, keep_status: bool) -> None:
    """Set generations the way the server does; `keep_status` is for the server's own writes."""
    if not keep_status:
        stream.history = old.copy().history
    stream.history = {tag: each for tag, each in stream.history.items() if each.items or each.conditions}
    for name, tag in stream.tags.items():
        if tag["generation"] != 0 and name in old.tags:
            # Whatever number a client sends is replaced; only 0 asks for something.
            stream.tags[name] = {**tag, "generation": old.tags[name]["generation"]}
    stream.generation = old.generation
    if stream.spec() != old.spec() or stream.generation == 0:
        stream.generation = old.generation + 1
    for name, tag in stream.tags.items():
        before = old.tags.get(name)
        if before is None or tag_changed(before, tag, stream.namespace) or not tag["generation"]:
            stream.tags[name] = {**tag, "generation": stream.generation}


def prepare_status_update(stream: Stream, old: Stream) -> None:
    stream.tags, stream.repository = old.tags, old.repository
    stream.generation = old.generation
    for name, history in stream.history.items():
        if not history.items or history.items[0]["generation"]:
            continue
        before = old.history.get(name)
        first, generation = history.items[0], stream.generation
        if before and before.items and _event_changed(before.items[0], first):
            generation = stream.tags.get(name, {}).get("generation") or stream.generation
        history.items[0] = {**first, "generation": generation}


def _event_changed(old: TagEvent, new: TagEvent) -> bool:
    same = all(old[name] == new[name] for name in ("image", "dockerImageReference"))
    return not same or bool(old["generation"] > new["generation"])


def tag_changed(old: Tag, new: Tag, namespace: str) -> bool:
    """Whether an edit means another image. The kind of `from` alone is not looked at, nor are other policies."""
    source = new.get("from")
    if source is None or not (source.get("kind") or source.get("name")):
        return False
    before = old.get("from") or {}
    if (before.get("namespace") or namespace) != (source.get("namespace") or namespace):
        return True
    if before.get("name", "") != source.get("name", ""):
        return True
    if bool(old.get("reference")) != bool(new.get("reference")):
        return True
    if old["importPolicy"]["importMode"] != new["importPolicy"]["importMode"]:
        return True
    return bool(old["generation"]) and new["generation"] == 0


def add_event(stream: Stream, tag: str, event: TagEvent) -> bool:
    """Put an image on a tag; the same as the current one is folded into it. True if anything changed."""
    history = stream.history.get(tag)
    if history is None or not history.items:
        stream.history[tag] = History([event])
        return True
    current = history.items[0]
    same_reference = current["dockerImageReference"] == event["dockerImageReference"]
    same_image = current["image"] == event["image"]
    if same_reference and same_image and current["generation"] == event["generation"]:
        return False
    if same_reference or same_image:
        stream.history[tag] = History([{**event, "created": current["created"]}, *history.items[1:]])
    else:
        stream.history[tag] = History([event, *history.items])
    return True


def digest_matches(image: str, wanted: str) -> bool:
    if references.is_digest(image) and image.removeprefix("sha256:").startswith(wanted):
        return True
    return image.startswith(wanted)


def event_for_image(stream: Stream, wanted: str, now: str) -> TagEvent:
    """An event for an image that is somewhere in the history; a unique beginning of its digest is enough."""
    found = {
        event["image"]: event
        for tag in sorted(stream.history)
        for event in stream.history[tag].items
        if digest_matches(event["image"], wanted)
    }
    if not found:
        raise not_found("imagestreamimage", IMAGE_GROUP, wanted)
    if len(found) > 1:
        why = f'multiple images match the prefix "{wanted}": {", ".join(sorted(found))}'
        raise conflict("imagestreamimage", IMAGE_GROUP, wanted, why)
    event = next(iter(found.values()))
    return {
        "created": now,
        "dockerImageReference": event["dockerImageReference"],
        "image": event["image"],
        "generation": 0,
    }


def split_from(stream_name: str, source: Json) -> tuple[str, str] | None:
    """The stream and the tag or image that `from` names; None if it is not of the right form."""
    mark = {"ImageStreamTag": ":", "ImageStreamImage": "@"}.get(source.get("kind", ""))
    if mark is None:
        return None
    parts = source.get("name", "").split(mark)
    if len(parts) == 1:
        return stream_name, parts[0]
    return (parts[0], parts[1]) if len(parts) == 2 else None


StreamFinder = Callable[[str, str], Stream | None]


def follow_tags(
    stream: Stream, old: Stream | None, find: StreamFinder, settings: Settings, now: str
) -> list[FieldError]:
    """Bring status to what changed tags point to, then let the tags that follow them go along."""
    errors: list[FieldError] = []
    for name in sorted(stream.tags):
        tag = stream.tags[name]
        if old and name in old.tags and not tag_changed(old.tags[name], tag, stream.namespace):
            continue
        if "from" in tag:
            error = _follow(stream, name, find, settings, now)
            if error:
                errors.append(error)
    _move_followers(stream, old)
    return errors


def _follow(stream: Stream, name: str, find: StreamFinder, settings: Settings, now: str) -> FieldError | None:
    tag = {**stream.tags[name], "generation": stream.generation}
    source = tag["from"]
    place = f"spec.tags[{name}].from"
    if source.get("kind") == "DockerImage" and source.get("name"):
        if tag.get("reference"):
            event = {"created": now, "dockerImageReference": source["name"], "image": ""}
            stream.tags[name] = tag
            add_event(stream, name, {**event, "generation": stream.generation})
        return None
    parts = split_from(stream.name, source)
    if parts is None:
        return invalid_value(f"{place}.name", source.get("name", ""), _FORM)
    target_name, wanted = parts
    namespace = source.get("namespace") or stream.namespace
    same = namespace == stream.namespace and target_name == stream.name
    target = stream if same else find(namespace, target_name)
    if target is None:
        return value_not_found(f"{place}.name", source["name"])
    if source["kind"] == "ImageStreamImage":
        try:
            found = event_for_image(target, wanted, now)
        except ApiError as problem:
            return invalid_value(f"{place}.name", source["name"], f"error generating tag event: {problem.message}")
    else:
        latest = latest_event(target, wanted)
        if latest is None:
            return None
        found = latest
    event = {**found, "generation": stream.generation}
    if same and source["kind"] == "ImageStreamTag":
        # The server hands out its own event here, so the followed tag's newest item gets the generation too.
        followed = stream.history[wanted or "latest"]
        followed.items[0] = event
    if not tag.get("reference"):
        event = _in_this_stream(event, target, stream, settings)
    stream.tags[name] = tag
    add_event(stream, name, event)
    return None


def _in_this_stream(event: TagEvent, target: Stream, stream: Stream, settings: Settings) -> TagEvent:
    try:
        reference = references.parse(event["dockerImageReference"])
    except references.InvalidReference:
        return event
    internal = settings.internal_registry
    if internal and (reference.registry, reference.repository) == (internal, f"{target.namespace}/{target.name}"):
        tail = event["dockerImageReference"][len(f"{internal}/{reference.repository}") :]
        return {**event, "dockerImageReference": f"{internal}/{stream.namespace}/{stream.name}{tail}"}
    return event


def _move_followers(stream: Stream, old: Stream | None) -> None:
    moved = {}
    for name, history in stream.history.items():
        if not history.items:
            continue
        before = old.history.get(name) if old else None
        if before is None or not before.items or before.items[0] != history.items[0]:
            moved[name] = history.items[0]
    for name in sorted(moved):
        for follower in sorted(stream.tags):
            if followed_tag(stream, stream.tags[follower]) == name:
                add_event(stream, follower, moved[name])


def followed_tag(stream: Stream, tag: Tag) -> str | None:
    """The tag of the same stream that a tag follows."""
    source = tag.get("from")
    if source is None or source.get("kind") != "ImageStreamTag":
        return None
    if (source.get("namespace") or stream.namespace) != stream.namespace:
        return None
    name, mark, wanted = source.get("name", "").partition(":")
    if not mark:
        return str(name)
    return (wanted or "latest") if name == stream.name else None


def cross_stream_sources(stream: Stream, old: Stream | None) -> dict[tuple[str, str], list[str]]:
    """The streams of other namespaces that new or changed tags point to, and those tags."""
    sources: dict[tuple[str, str], list[str]] = {}
    for name in sorted(stream.tags):
        tag = stream.tags[name]
        namespace = (tag.get("from") or {}).get("namespace")
        if not namespace or namespace == stream.namespace:
            continue
        if old and name in old.tags and not tag_changed(old.tags[name], tag, stream.namespace):
            continue
        parts = split_from(stream.name, tag["from"])
        if parts:
            sources.setdefault((namespace, parts[0]), []).append(name)
    return sources


def may_not_pull(namespace: str, stream_name: str, tags: list[str]) -> list[FieldError]:
    why = f'{namespace}/{stream_name}: "" ""'
    return [forbidden_value(f"spec.tags[{tag}].from", why) for tag in tags]
