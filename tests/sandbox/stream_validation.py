"""What an ImageStream, an ImageStreamTag or an ImageStreamImport must be like to be accepted. Pure.

Source of behaviour: openshift-apiserver pkg/image/apis/image/validation and its whitelist package.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tests.sandbox import references
from tests.sandbox.references import InvalidReference, Reference
from tests.sandbox.status import FieldError, Json, forbidden_value, invalid_value, required_value
from tests.sandbox.streams import LEGACY, PRESERVE, Stream, Tag

_NAME = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
INSECURE_ANNOTATION = "openshift.io/image.insecureRepository"


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."))


class Allowed:
    """The registries that images may be imported from; None allows all."""

    def __init__(self, registries: Iterable[str] | None, internal: str = "") -> None:
        self._known: set[tuple[str, str]] = set()
        self._places: list[tuple[str, str]] | None = None
        if registries is not None:
            self._places = [_place(each) for each in registries]
            if internal and _place(internal) not in self._places:
                self._places.insert(0, _place(internal))

    def and_of(self, specs: Iterable[str]) -> Allowed:
        """Also everything from the repositories a stream already has images of."""
        if self._places is None:
            return self
        wider = Allowed(None)
        wider._places = self._places
        wider._known = {_repository(spec) for spec in specs if _parses(spec)}
        return wider

    def objection(self, reference: Reference, *, any_port: bool = False) -> str | None:
        """Why an image may not be imported. `any_port` is for tags that allow insecure access."""
        if self._places is None:
            return None
        if reference.name and (reference.with_defaults().registry, reference.repository) in self._known:
            return None
        if any_port:
            host, _, port = reference.registry.partition(":")
            host = host or reference.host()
        else:
            host, port = reference.host_and_port(insecure=False)
        names = [references.DOCKER_HUB, host] if references.is_docker_hub(host) else [host]
        if any(self._matches(name, port) for name in names):
            return None
        shown = reference.registry or (f"{host}:{port}" if port else host)
        return f'registry "{shown}" not allowed by {self._printed()}'

    def _matches(self, host: str, port: str) -> bool:
        for place_host, place_port in self._places or ():
            if not _glob(place_host).fullmatch(host):
                continue
            if port and _glob(place_port).fullmatch(port):
                return True
            if not port and place_port in ("80", "443", "*"):
                return True
        return False

    def _printed(self) -> str:
        places = [f'"{host}:{port}"' for host, port in self._places or ()]
        if not places:
            return "empty whitelist"
        if len(places) <= 5:
            return "whitelist: " + ", ".join(places)
        return f"whitelist: {', '.join(places[:4])}, and {len(places) - 4} more ..."


def _place(text: str) -> tuple[str, str]:
    host, mark, port = text.partition(":")
    return host, port if mark else "443"


def _parses(spec: str) -> bool:
    try:
        references.parse(spec)
    except InvalidReference:
        return False
    return True


def _repository(spec: str) -> tuple[str, str]:
    reference = references.parse(spec)
    return reference.with_defaults().registry, reference.repository


def pull_specs(stream: Stream) -> list[str]:
    """Every place a stream takes or took images from."""
    specs = [stream.repository] if stream.repository else []
    specs += [tag["from"]["name"] for tag in stream.tags.values() if _is_docker(tag) and tag["from"].get("name")]
    specs += [event["dockerImageReference"] for each in stream.history.values() for event in each.items]
    return specs


def _is_docker(tag: Tag) -> bool:
    return bool((tag.get("from") or {}).get("kind") == "DockerImage")


def validate_stream(stream: Stream, allowed: Allowed) -> list[FieldError]:
    errors = _validate_name(stream.metadata)
    if len(f"{stream.namespace}/{stream.name}") > 255:
        detail = "'namespace/name' cannot be longer than 255 characters"
        errors.append(invalid_value("metadata.name", stream.name, detail))
    insecure = stream.annotations.get(INSECURE_ANNOTATION) == "true"
    if stream.repository:
        errors += _validate_repository(stream.repository, allowed, insecure=insecure)
    for name in sorted(stream.tags):
        errors += validate_tag(stream.tags[name], f"spec.tags[{name}]", allowed, insecure=insecure)
    for name in sorted(stream.history):
        errors += _validate_history(stream, name, allowed, insecure=insecure)
    return errors


def _validate_name(metadata: Json) -> list[FieldError]:
    name = metadata.get("name", "")
    if not name:
        return [required_value("metadata.name", "name or generateName is required")]
    for part in ("/", "%"):
        if part in name:
            return [invalid_value("metadata.name", name, f"may not contain '{part}'")]
    if name in (".", ".."):
        return [invalid_value("metadata.name", name, f"may not be '{name}'")]
    if not re.fullmatch(_NAME, name):
        return [invalid_value("metadata.name", name, f'must match "{_NAME}"')]
    return []


def _validate_repository(repository: str, allowed: Allowed, *, insecure: bool) -> list[FieldError]:
    place = "spec.dockerImageRepository"
    try:
        reference = references.parse(repository)
    except InvalidReference as problem:
        return [invalid_value(place, repository, str(problem))]
    errors = []
    if reference.tag:
        errors.append(invalid_value(place, repository, "the repository name may not contain a tag"))
    if reference.digest:
        errors.append(invalid_value(place, repository, "the repository name may not contain an ID"))
    objection = None if errors else allowed.objection(reference, any_port=insecure)
    return [forbidden_value(place, objection)] if objection else errors


def _validate_history(stream: Stream, tag: str, allowed: Allowed, *, insecure: bool) -> list[FieldError]:
    errors = []
    policy = stream.tags[tag]["importPolicy"] if tag in stream.tags else {}
    for index, event in enumerate(stream.history[tag].items):
        place = f"status.tags[{tag}].items[{index}].dockerImageReference"
        text = event["dockerImageReference"]
        if not text:
            errors.append(required_value(place))
            continue
        try:
            objection = allowed.objection(references.parse(text), any_port=insecure or bool(policy.get("insecure")))
        except InvalidReference as problem:
            errors.append(invalid_value(place, text, str(problem)))
            continue
        if objection:
            errors.append(forbidden_value(place, objection))
    return errors


def validate_tag(tag: Tag, place: str, allowed: Allowed, *, insecure: bool = False) -> list[FieldError]:
    errors: list[FieldError] = []
    if "from" in tag:
        name, kind = tag["from"].get("name", ""), tag["from"].get("kind", "")
        if not name:
            errors.append(required_value(f"{place}.from.name"))
        if kind == "DockerImage":
            errors += _validate_docker_source(tag, name, place, allowed, insecure=insecure)
        elif kind in ("ImageStreamImage", "ImageStreamTag"):
            if tag["importPolicy"].get("scheduled"):
                detail = "only tags pointing to Docker repositories may be scheduled for background import"
                errors.append(invalid_value(f"{place}.importPolicy.scheduled", True, detail))
        else:
            detail = "valid values are 'DockerImage', 'ImageStreamImage', 'ImageStreamTag'"
            errors.append(required_value(f"{place}.from.kind", detail))
    kind = tag["referencePolicy"]["type"]
    if kind not in ("Source", "Local"):
        errors.append(invalid_value(f"{place}.referencePolicy.type", kind, 'valid values are "Source", "Local"'))
    return errors + validate_import_policy(tag["importPolicy"], f"{place}.importPolicy")


def _validate_docker_source(tag: Tag, name: str, place: str, allowed: Allowed, *, insecure: bool) -> list[FieldError]:
    if not name:
        return []
    try:
        reference = references.parse(name)
    except InvalidReference as problem:
        return [invalid_value(f"{place}.from.name", name, str(problem))]
    objection = allowed.objection(reference, any_port=insecure or bool(tag["importPolicy"].get("insecure")))
    return [forbidden_value(f"{place}.from.name", objection)] if objection else []


def validate_import_policy(policy: Json, place: str) -> list[FieldError]:
    mode = policy["importMode"]
    if mode in (LEGACY, PRESERVE):
        return []
    detail = f"invalid import mode, valid modes are '', '{LEGACY}', '{PRESERVE}'"
    return [invalid_value(f"{place}.importMode", mode, detail)]


def validate_import(name_metadata: Json, spec: Json) -> list[FieldError]:
    """An ImageStreamImport after defaulting."""
    errors: list[FieldError] = []
    for index, image in enumerate(spec.get("images", ())):
        place = f"spec.images[{index}]"
        errors += _validate_import_source(image, place)
        errors += validate_import_policy(image["importPolicy"], f"{place}.importPolicy")
    repository = spec.get("repository")
    if repository:
        errors += _validate_import_repository(repository["from"])
        errors += validate_import_policy(repository["importPolicy"], "spec.repository.importPolicy")
    if not spec.get("images") and not repository:
        detail = "you must specify at least one image or a repository import"
        errors.append(invalid_value("spec.images", None, detail))
    return errors + _validate_name(name_metadata)


def _validate_import_source(image: Json, place: str) -> list[FieldError]:
    source = image["from"]
    if source.get("kind") != "DockerImage":
        return [invalid_value(f"{place}.from.kind", source.get("kind", ""), "only DockerImage is supported")]
    errors = []
    if "to" in image and not image["to"].get("name"):
        errors.append(invalid_value(f"{place}.to.name", "", "the name of the target tag must be specified"))
    name = source.get("name", "")
    if not name:
        errors.append(required_value(f"{place}.from.name"))
    elif name != "*":
        try:
            references.parse(name)
        except InvalidReference as problem:
            errors.append(invalid_value(f"{place}.from.name", name, str(problem)))
    return errors


def _validate_import_repository(source: Json) -> list[FieldError]:
    if source.get("kind") != "DockerImage":
        return [invalid_value("spec.repository.from.kind", source.get("kind", ""), "only DockerImage is supported")]
    name = source.get("name", "")
    if not name:
        return [required_value("spec.repository.from.name", "container image references require a name")]
    try:
        reference = references.parse(name)
    except InvalidReference as problem:
        return [invalid_value("spec.repository.from.name", name, str(problem))]
    if reference.tag or reference.digest:
        detail = "you must specify an image repository, not a tag or ID"
        return [invalid_value("spec.repository.from.name", name, detail)]
    return []


def validate_import_registries(spec: Json, allowed: Allowed) -> list[FieldError]:
    """Whether every registry of a request is one to import from; one that is not fails all of it."""
    places: list[tuple[str, Json]] = []
    repository = spec.get("repository")
    if repository and repository["from"].get("kind") == "DockerImage":
        places.append(("spec.repository", repository))
    places += [(f"spec.images[{index}]", image) for index, image in enumerate(spec.get("images", ()))]
    errors = []
    for place, wanted in places:
        errors += _not_allowed(place, wanted, allowed.objection)
    return errors


def _not_allowed(place: str, wanted: Json, objection: Callable[[Reference], str | None]) -> list[FieldError]:
    insecure = bool(wanted["importPolicy"].get("insecure"))
    host, port = references.parse(wanted["from"]["name"]).host_and_port(insecure=insecure)
    why = objection(Reference(registry=f"{host}:{port}"))
    if why is None:
        return []
    detail = f'importing images from registry "{host}:{port}" is forbidden: {why}'
    return [forbidden_value(f"{place}.from.name", detail)]
