"""Image triggers: which tags an object follows, and what the object is with their newest images. Pure.

Source of behaviour: openshift/library-go pkg/image/trigger/annotations.go, and openshift-controller-manager
pkg/image/trigger/deploymentconfigs.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.sandbox.status import Json

ANNOTATION = "image.openshift.io/triggers"

# The newest image of a tag by namespace and "stream:tag"; None where there is none.
Resolve = Callable[[str, str], str | None]

_CONTAINER = re.compile(r"(containers|initContainers)\[([^]]*)\]\.?(.*)")
_NAMED = re.compile(r'(?:\?\(@\.name==")?(.*?)(?:"\))?')


@dataclass(frozen=True, slots=True)
class Trigger:
    """One entry of the annotation."""

    kind: str
    api_version: str
    namespace: str
    name: str
    field_path: str
    paused: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A stream whose changes wake the controller."""

    namespace: str
    stream: str


def parse(text: str) -> list[Trigger]:
    """The triggers of an annotation: none of them, if Go would not read it or two are for one field."""
    try:
        triggers = [_trigger(each) for each in _typed(json.loads(text), list)]
    except ValueError:
        return []
    paths = [each.field_path for each in triggers]
    return triggers if len(set(paths)) == len(paths) else []


def _typed(value: object, wanted: type) -> Any:
    """What Go reads as a type; null is its nought."""
    if value is None:
        return wanted()
    if type(value) is not wanted:
        raise ValueError(f"json: cannot unmarshal {value!r}")
    return value


def _fields(value: object) -> dict[str, object]:
    # Go reads names of fields in any case, and passes over those it does not know.
    return {name.lower(): each for name, each in _typed(value, dict).items()}


def _trigger(value: object) -> Trigger:
    given = _fields(value)
    source = _fields(given.get("from"))
    return Trigger(
        kind=_typed(source.get("kind"), str),
        api_version=_typed(source.get("apiversion"), str),
        namespace=_typed(source.get("namespace"), str),
        name=_typed(source.get("name"), str),
        field_path=_typed(given.get("fieldpath"), str),
        paused=_typed(given.get("paused"), bool),
    )


def annotated(item: Json) -> list[Trigger]:
    """The triggers in an object's annotation."""
    return parse((item["metadata"].get("annotations") or {}).get(ANNOTATION) or "[]")


def with_newest_images(item: Json, base: tuple[str, ...], resolve: Resolve) -> Json:
    """The object with the newest image of each tag; the same object if nothing changes.

    `base` is where its pod spec is. Of a field path that is wrong within that, nothing at all comes.
    """
    changed = copy.deepcopy(item)
    spec = _spec(changed, base)
    prefix = ".".join(base) + "."
    for trigger in annotated(item):
        if trigger.paused or not trigger.field_path.startswith(prefix):
            continue
        image = resolve(trigger.namespace or item["metadata"].get("namespace", ""), trigger.name)
        if image is None:
            continue
        container = _container(spec, trigger.field_path.removeprefix(prefix))
        if container is None:
            return item
        container["image"] = image
    return item if changed == item else changed


def _spec(item: Json, base: tuple[str, ...]) -> Json:
    found: Any = item
    for name in base:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _container(spec: Json, path: str) -> Json | None:
    """The container that the path below a pod spec names; by name, those for initialization come first."""
    found = _CONTAINER.fullmatch(path)
    if found is None or found[3] != "image":
        return None
    kind, selector = found[1], found[2]
    if re.fullmatch(r"[+-]?\d+", selector):
        containers = spec.get(kind) or []
        return containers[int(selector)] if 0 <= int(selector) < len(containers) else None
    named = _NAMED.fullmatch(selector)
    if named is None or named[1] == selector:
        return None
    every = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return next((each for each in every if each.get("name") == named[1]), None)


def images_at(item: Json, base: tuple[str, ...]) -> list[str | None]:
    """The images of the containers that unpaused triggers name."""
    spec, prefix = _spec(item, base), ".".join(base) + "."
    paths = [each.field_path for each in annotated(item) if not each.paused and each.field_path.startswith(prefix)]
    found = [_container(spec, path.removeprefix(prefix)) for path in paths]
    return [each.get("image") for each in found if each is not None]


def sources(item: Json) -> Iterator[Source]:
    """The streams whose changes wake the controller for an object with the annotation."""
    for trigger in annotated(item):
        if not trigger.paused and trigger.kind == "ImageStreamTag" and not trigger.api_version:
            yield Source(trigger.namespace or item["metadata"].get("namespace", ""), trigger.name.partition(":")[0])


# DeploymentConfigs


def _image_changes(item: Json) -> Iterator[Json]:
    for trigger in (item.get("spec") or {}).get("triggers") or ():
        params = trigger.get("imageChangeParams")
        if params and params.get("automatic") and (params.get("from") or {}).get("kind") == "ImageStreamTag":
            yield params


def sources_of_config(item: Json) -> Iterator[Source]:
    for params in _image_changes(item):
        namespace = params["from"].get("namespace") or item["metadata"].get("namespace", "")
        yield Source(namespace, str(params["from"].get("name", "")).partition(":")[0])


def config_with_newest_images(item: Json, resolve: Resolve) -> Json:
    """A DeploymentConfig with the newest images, if all its automatic triggers have one."""
    changed = copy.deepcopy(item)
    pods = _spec(changed, ("spec", "template", "spec"))
    for params in _image_changes(changed):
        namespace = params["from"].get("namespace") or item["metadata"].get("namespace", "")
        image = resolve(namespace, str(params["from"].get("name", ""))) or params.get("lastTriggeredImage")
        if not image:
            return item
        params["lastTriggeredImage"] = image
        for container in [*(pods.get("initContainers") or ()), *(pods.get("containers") or ())]:
            if container.get("name") in (params.get("containerNames") or ()):
                container["image"] = image
    return item if changed == item else changed
