"""What the results of an import do to the stream. Pure.

Source of behaviour: openshift-apiserver pkg/image/apiserver/registry/imagestreamimport/rest.go.
"""

from __future__ import annotations

from dataclasses import replace

from tests.sandbox import references, stream_rules
from tests.sandbox.references import InvalidReference
from tests.sandbox.status import Json
from tests.sandbox.streams import (
    History,
    Stream,
    as_list,
    as_object,
    decode_from,
    decode_import_policy,
    decode_reference_policy,
)


def with_defaults(spec: Json) -> Json:
    """The spec of an ImageStreamImport as the server takes it."""
    complete: Json = {"import": bool(spec.get("import"))}
    if spec.get("repository") is not None:
        complete["repository"] = _import_spec(as_object(spec["repository"], "spec.repository"))
    given = as_list(spec.get("images"), "spec.images")
    if given:
        complete["images"] = [_image_spec(as_object(image, "spec.images")) for image in given]
    return complete


def _import_spec(given: Json) -> Json:
    spec: Json = {
        "from": decode_from(given.get("from")),
        "importPolicy": decode_import_policy(given.get("importPolicy")),
        "referencePolicy": decode_reference_policy(given.get("referencePolicy")),
    }
    if given.get("includeManifest"):
        spec["includeManifest"] = True
    return spec


def _image_spec(given: Json) -> Json:
    spec = _import_spec(given)
    if given.get("to") is not None:
        spec["to"] = {"name": as_object(given["to"], "to").get("name") or ""}
        return spec
    try:
        tag = references.parse(spec["from"].get("name", "")).tag
    except InvalidReference:
        return spec
    if tag:
        spec["to"] = {"name": tag}
    return spec


def apply_results(stream: Stream, spec: Json, status: Json, generation: int, now: str) -> None:
    """Record every result in the stream; `generation` is the one the stream will have."""
    repository = spec.get("repository")
    if repository:
        for result in status["repository"].get("images", ()):
            tag = result["tag"]
            if _failed(result):
                _record_failure(stream, tag, result, generation, now)
            else:
                source = replace(references.parse(repository["from"]["name"]), tag=tag).exact()
                _record_success(stream, tag, source, repository, result, generation, now)
    for image, result in zip(spec.get("images", ()), status.get("images", ()), strict=True):
        if "to" not in image:
            continue
        tag = image["to"]["name"]
        if _failed(result):
            _record_failure(stream, tag, result, generation, now)
            if tag not in stream.tags:
                _set_source(stream, tag, image["from"]["name"], image)
        else:
            _record_success(stream, tag, image["from"]["name"], image, result, generation, now)


def _failed(result: Json) -> bool:
    return "image" not in result or result["status"]["status"] != "Success"


def _record_failure(stream: Stream, tag: str, result: Json, generation: int, now: str) -> None:
    """Set the condition, unless it says the same already; the images of the tag stay."""
    status = result["status"]
    message = status.get("message") or "unknown error prevented import"
    condition: Json = {"type": "ImportSuccess", "status": "False", "lastTransitionTime": now}
    if status.get("reason"):
        condition["reason"] = status["reason"]
    condition |= {"message": message, "generation": generation}
    history = stream.history.get(tag) or History()
    if any(_says_the_same(known, condition) for known in history.conditions):
        return
    stream.history[tag] = History(history.items, [condition])
    if tag in stream.tags:
        stream.tags[tag] = {**stream.tags[tag], "generation": 0}


def _says_the_same(one: Json, other: Json) -> bool:
    return all(one.get(name, "") == other.get(name, "") for name in ("type", "status", "reason", "message"))


def _record_success(
    stream: Stream, tag: str, source: str, wanted: Json, result: Json, generation: int, now: str
) -> None:
    image = result["image"]
    event = {
        "created": now,
        "dockerImageReference": image["dockerImageReference"],
        "image": image["metadata"]["name"],
        "generation": generation,
    }
    if _has_changed(stream, tag, event):
        _set_source(stream, tag, source, wanted)
        stream_rules.add_event(stream, tag, event)
    stream.tags[tag] = {**stream.tags[tag], "importPolicy": wanted["importPolicy"]}
    stream.history[tag] = History(stream.history[tag].items)


def _has_changed(stream: Stream, tag: str, event: Json) -> bool:
    history, spec = stream.history.get(tag), stream.tags.get(tag)
    if history is None or not history.items or spec is None or spec["generation"] is None:
        return True
    current = history.items[0]
    return bool(
        current["dockerImageReference"] != event["dockerImageReference"]
        or current["image"] != event["image"]
        or spec["generation"] > current["generation"]
    )


def _set_source(stream: Stream, tag: str, source: str, wanted: Json) -> None:
    """Point the spec tag at where the image came from. Only a new tag gets the request's reference policy."""
    known = stream.tags.get(tag, {"name": tag, "annotations": None, "referencePolicy": wanted["referencePolicy"]})
    stream.tags[tag] = {
        **known,
        "from": {"kind": "DockerImage", "name": source},
        "generation": 0,
        "importPolicy": wanted["importPolicy"],
    }


def retry_without_secrets(results: list[Json]) -> bool:
    """Whether a registry refused a password, so that everything is to be fetched again without any."""
    return any(
        result["status"].get("reason") == "Unauthorized"
        and "username or password" in result["status"].get("message", "").lower()
        for result in results
    )


def with_first_refusals(first: list[Json], second: list[Json]) -> list[Json]:
    """The results of the second try, where what it refused again keeps the status (not the image) of the first."""
    return [
        {**again, "status": before["status"]} if again["status"].get("reason") == "Unauthorized" else again
        for before, again in zip(first, second, strict=True)
    ]
