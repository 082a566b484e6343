"""Which tags a workload follows, and with which of its containers.

OpenShift's trigger controller writes the image of a tag into the pod template: for a DeploymentConfig by
`spec.triggers`, for other kinds by an annotation (library-go, pkg/image/trigger/annotations.go, and
openshift-controller-manager, pkg/image/trigger). A mistake there is reported nowhere but in the controller's log, so
the same rules are followed here, and each mistake gets a sentence that says how to fix it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

from job.cluster import Resource
from job.cluster.unstructured import object_in, objects_in
from job.domain.model import TagName
from job.domain.records import dataclass, replace
from job.domain.text import clean

TRIGGERS_ANNOTATION = "image.openshift.io/triggers"

_REFERENCE = r"(?s)(containers|initContainers)\[([^\]]*)\](.*)"
_INDEX = r"[+-]?[0-9]{1,9}"
_EXAMPLE = 'containers[?(@.name=="NAME")].image'
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Follows:
    """One trigger of a workload.

    Attributes:
        tag: the tag whose image it takes.
        container: the name of the container that gets the image; as the trigger has it where there is no such.
        problem: why it cannot fire, and how to fix that.
        paused: whether it is switched off on purpose.
        meant_paused: the same, or it was to be, in a way that OpenShift does not read.
        blocks: whether its path makes the controller give up the whole object, once its tag has an image.
        has_image: whether it once took an image, with which its controller is content while its tag has none.
        is_held_up: whether `problem` is about another trigger, which keeps this one from firing.
        awaits: the tag that must get an image before this trigger fires.
    """

    tag: TagName
    container: str
    problem: str | None = None
    paused: bool = False
    meant_paused: bool = False
    blocks: bool = False
    has_image: bool = False
    is_held_up: bool = False
    awaits: TagName | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload with image triggers.

    Attributes:
        problem: what is wrong with a trigger that does not even say which tag it is for.
        unresolved: the tags among those that it follows which had no image when that was last asked.
    """

    resource: Resource
    namespace: str
    name: str
    follows: tuple[Follows, ...]
    problem: str | None = None
    unresolved: frozenset[TagName] = frozenset()

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name}"


def container_image(pod_spec: Mapping[str, Any], container: str) -> str | None:
    """The image that a pod's spec has for the container of that name."""
    # Names are unique over both lists.
    for candidate in (*objects_in(pod_spec, "initContainers"), *objects_in(pod_spec, "containers")):
        if candidate.get("name") == container:
            return str(candidate.get("image") or "")
    return None


def digest_in(image: str | None) -> str | None:
    """The digest that a pull spec or an imageID names; None where it names a tag, or the image by its configuration."""
    return (image or "").partition("@")[2] or None


@dataclass(frozen=True, slots=True)
class _From:
    kind: str
    name: str
    namespace: str
    api_version: str

    def tag(self, namespace: str) -> TagName | None:
        """The tag that is meant, also where it is not written as OpenShift reads it."""
        path, _, tag = self.name.partition(":")
        # `openshift/x:latest` is meant as OpenShift writes it elsewhere; here the namespace has a field of its own.
        elsewhere, slash, stream = path.rpartition("/")
        home = (elsewhere if slash and "/" not in elsewhere else "") or self.namespace or namespace
        return TagName(home, stream, tag or "latest") if stream and "@" not in stream else None

    @property
    def problem(self) -> str | None:
        """Why no stream's change reaches the trigger."""
        if self.kind != "ImageStreamTag":
            return f"its from.kind is {_shown(self.kind)}: only ImageStreamTag fires"
        if self.api_version:
            return "its from.apiVersion is set: leave that out, or it never fires"
        stream, _, tag = self.name.partition(":")
        if not stream or not tag or "@" in stream:
            return f"its from.name is {_shown(self.name)}: write STREAM:TAG"
        if "/" in stream:
            return f"its from.name is {_shown(self.name)}: the namespace belongs into from.namespace"
        return None


@dataclass(frozen=True, slots=True)
class _Trigger:
    source: _From
    path: str
    paused: bool
    meant_paused: bool


# The triggers, each with its own problem, and what is wrong with one that names no tag.
ReadTriggers = tuple[tuple[Follows, ...], str | None]


def read_annotation(data: Mapping[str, Any], spec: Mapping[str, Any], base: str, namespace: str) -> ReadTriggers:
    """The triggers of the annotation.

    Args:
        data: the workload.
        spec: the spec of its pod template.
        base: where that is, as a fieldPath has it.
        namespace: the workload's.
    """
    text = object_in(data, "metadata", "annotations").get(TRIGGERS_ANNOTATION)
    if not isinstance(text, str):
        return (), None
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return (), f"its annotation {TRIGGERS_ANNOTATION} is not JSON, so none of its triggers fires"
    if value is None or value == []:
        return (), None
    if not isinstance(value, list):
        return (), f"its annotation {TRIGGERS_ANNOTATION} is no JSON list, so none of its triggers fires"
    entries = [folded(entry) for entry in value]
    triggers = [_trigger_from(entry) for entry in entries]
    fault = next((fault for fault in map(_fault, value) if fault), None) or _repeated(triggers)
    if fault:
        fault = f"none of its triggers fires: {fault}"
    follows: list[Follows] = []
    nameless = None
    for trigger in triggers:
        container, path_problem, blocks = _container(spec, base, trigger.path)
        problem = fault or trigger.source.problem or path_problem
        tag = trigger.source.tag(namespace)
        if tag is None:
            nameless = problem
        else:
            blocks = blocks and not fault and not trigger.paused
            follows.append(Follows(tag, container, problem, trigger.paused, trigger.meant_paused, blocks))
    return tuple(follows), nameless


def settle_annotation(follows: Sequence[Follows], unresolved: Collection[TagName]) -> tuple[Follows, ...]:
    """The triggers of an annotation with what one of them does to the others.

    The controller gives up the object at the first trigger whose container it cannot find. It passes over a trigger
    whose tag has no image before it looks for its container.
    """
    blocking = next((follow.problem for follow in follows if follow.blocks and follow.tag not in unresolved), None)
    if blocking is None:
        return tuple(follows)
    problem = f"none of its triggers fires while one of them is wrong: {blocking}"
    return tuple(
        follow if follow.problem or follow.paused else replace(follow, problem=problem, is_held_up=True)
        for follow in follows
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def folded(value: object) -> Mapping[str, Any]:
    """An object with its field names in lower case, since Go reads them in any case; empty for another value."""
    return {str(key).lower(): item for key, item in value.items()} if isinstance(value, dict) else {}


def _trigger_from(entry: Mapping[str, Any]) -> _Trigger:
    source, path = _from(folded(entry.get("from"))), _text(entry.get("fieldpath"))
    # Older web consoles wrote "pause", and people put true into quotes.
    meant = any(str(entry.get(word)).lower() == "true" for word in ("pause", "paused"))
    return _Trigger(source, path, entry.get("paused") is True, meant)


def _from(value: Mapping[str, Any]) -> _From:
    names = ("kind", "name", "namespace", "apiversion")
    kind, name, namespace, api_version = (_text(value.get(key)) for key in names)
    return _From(kind, name, namespace, api_version)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _fault(value: object) -> str | None:
    """What keeps Go from reading an entry, and with it the whole annotation."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return f"{_shown(value)} in the annotation is no trigger"
    entry = folded(value)
    paused, source = entry.get("paused"), entry.get("from")
    if not (paused is None or isinstance(paused, bool)):
        return f'one has "paused": {_shown(paused)}; write true or false, without quotes'
    if not (source is None or isinstance(source, dict)):
        return f'one has "from": {_shown(source)}; write {{"kind": "ImageStreamTag", "name": "STREAM:TAG"}}'
    texts = {"fieldPath": entry.get("fieldpath")}
    for name in ("kind", "name", "namespace", "apiVersion"):
        texts[f"from.{name}"] = folded(source).get(name.lower())
    for name, text in texts.items():
        if not (text is None or isinstance(text, str)):
            return f"one has {_shown(text)} as {name}; write a text"
    return None


def _repeated(triggers: Sequence[_Trigger]) -> str | None:
    for path, count in Counter(trigger.path for trigger in triggers).items():
        if count > 1:
            return f"{count} have the fieldPath {_shown(path)}; leave one of them"
    return None


def _shown(value: object) -> str:
    return clean(json.dumps(value, ensure_ascii=False), _SHOWN)


def _container(spec: Mapping[str, Any], base: str, path: str) -> tuple[str, str | None, bool]:
    """The container that a fieldPath names, what is wrong with it, and whether that keeps the others from firing."""
    wrong = f"its fieldPath is {_shown(path)}: write {base}.{_EXAMPLE}"
    if not path.startswith(f"{base}."):
        return path, wrong, False
    match = re.fullmatch(_REFERENCE, path.removeprefix(f"{base}."))
    if match is None or match[3].removeprefix(".") != "image":
        return path, wrong, True
    selector = match[2]
    if re.fullmatch(_INDEX, selector):
        containers = objects_in(spec, match[1])
        if 0 <= int(selector) < len(containers):
            return str(containers[int(selector)].get("name", "")), None, False
        return selector, f"it has no {match[1]}[{selector}]: name the container in the fieldPath", True
    name = selector.removeprefix('?(@.name=="').removesuffix('")')
    if name == selector:
        return path, wrong, True
    if container_image(spec, name) is None:
        return name, f"it has no container {_shown(name)}: name one that it has in the fieldPath", True
    return name, None, False


def read_config(data: Mapping[str, Any], spec: Mapping[str, Any], namespace: str) -> ReadTriggers:
    """The image change triggers of a DeploymentConfig, whose pod template has that spec."""
    follows: list[Follows] = []
    nameless = None
    for trigger in objects_in(object_in(data, "spec"), "triggers"):
        if not isinstance(trigger.get("imageChangeParams"), dict):
            continue
        parameters = object_in(trigger, "imageChangeParams")
        source = _from(folded(parameters.get("from")))
        tag, names = source.tag(namespace), parameters.get("containerNames")
        containers = [str(name) for name in names] if isinstance(names, list) else []
        if tag is None:
            nameless = source.problem
            continue
        paused = parameters.get("automatic") is not True
        for name in containers or [""]:
            problem = source.problem
            if problem is None and not name:
                problem = "its trigger names no container: add it to containerNames"
            elif problem is None and container_image(spec, name) is None:
                problem = f"it has no container {_shown(name)}: name one that it has in containerNames"
            has_image = bool(parameters.get("lastTriggeredImage"))
            follows.append(Follows(tag, name, problem, paused, paused, has_image=has_image))
    return tuple(follows), nameless


def settle_config(follows: Sequence[Follows], unresolved: Collection[TagName]) -> tuple[Follows, ...]:
    """The triggers of a DeploymentConfig with what one of them does to the others.

    Its controller redeploys only when every automatic trigger has an image: that of its tag, or the last that it took
    (openshift-controller-manager, pkg/image/trigger/deploymentconfigs).
    """
    missing = next((e.tag for e in follows if e.tag in unresolved and not e.paused and not e.has_image), None)
    if missing is None:
        return tuple(follows)
    problem = f"none of its triggers fires until every tag that it follows has an image, and {missing} has none"
    return tuple(
        follow
        if follow.problem or follow.paused or follow.tag == missing
        else replace(follow, problem=problem, is_held_up=True, awaits=missing)
        for follow in follows
    )
