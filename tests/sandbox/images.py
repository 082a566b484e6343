"""Image objects made of a registry's manifests and configurations. Pure.

Source of behaviour: openshift-apiserver pkg/image/apiserver/importer/image.go and
pkg/image/apiserver/internal/imageutil, openshift/api image/docker10.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.sandbox.status import Json, JsonValue

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
ACCEPTED = (DOCKER_SCHEMA1, DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_LIST, OCI_INDEX)

LAYERS_ORDER = "image.openshift.io/dockerLayersOrder"
_CONFIG_TYPES = {
    OCI_MANIFEST: "application/vnd.oci.image.config.v1+json",
    DOCKER_MANIFEST: "application/vnd.docker.container.image.v1+json",
}
_METADATA_FIELDS = {
    "parent": "Parent",
    "comment": "Comment",
    "container": "Container",
    "docker_version": "DockerVersion",
    "author": "Author",
    "architecture": "Architecture",
}
_CONFIG_FIELDS = (
    "Hostname", "Domainname", "User", "Memory", "MemorySwap", "CpuShares", "Cpuset", "AttachStdin", "AttachStdout",
    "AttachStderr", "PortSpecs", "ExposedPorts", "Tty", "OpenStdin", "StdinOnce", "Env", "Cmd", "Dns", "Image",
    "Volumes", "VolumesFrom", "WorkingDir", "Entrypoint", "NetworkDisabled", "SecurityOpts", "OnBuild", "Labels",
)  # fmt: skip


class UnusableManifest(ValueError):  # noqa: N818 - not everything a registry gives is an image
    """The answer is no manifest, or not one that can be imported."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One manifest or index as a registry gave it."""

    media_type: str
    digest: str
    raw: bytes = field(repr=False)
    content: Json = field(repr=False)

    @property
    def is_index(self) -> bool:
        return self.media_type in (OCI_INDEX, DOCKER_LIST)

    @property
    def config_digest(self) -> str:
        return str((self.content.get("config") or {}).get("digest", ""))


def parse_manifest(content_type: str, data: bytes) -> Manifest:
    media_type = content_type.partition(";")[0].strip().lower()
    content = parse_json(data)
    if media_type not in ACCEPTED or media_type == DOCKER_SCHEMA1:
        # What has no known type is taken for the oldest format, which is signed.
        if not isinstance(content, dict) or not content.get("signatures"):
            raise UnusableManifest("missing signature key")
        raise UnusableManifest("unsupported image manifest type: *schema1.SignedManifest")
    if not isinstance(content, dict):
        raise UnusableManifest(f"json: cannot unmarshal {_json_type(content)} into Go value of type manifest")
    stated = content.get("mediaType")
    if stated and stated != media_type:
        kind = "index" if media_type in (OCI_INDEX, DOCKER_LIST) else "manifest"
        raise UnusableManifest(f"if present, mediaType in {kind} should be '{media_type}' not '{stated}'")
    return Manifest(media_type, "sha256:" + hashlib.sha256(data).hexdigest(), data, content)


def _json_type(value: object) -> str:
    return {list: "array", str: "string", bool: "bool"}.get(type(value), "number")


def parse_json(data: bytes) -> JsonValue:
    try:
        return json.loads(data)
    except ValueError:
        raise UnusableManifest(json_complaint(data)) from None


def json_complaint(data: bytes) -> str:
    """What Go's encoding/json says about a text that is no JSON."""
    text = data.decode(errors="replace")
    try:
        json.loads(text)
    except json.JSONDecodeError as problem:
        place, said = problem.pos, problem.msg
        while place < len(text) and text[place] in " \t\r\n":
            place += 1
        if place >= len(text) or said.startswith(("Unterminated", "Invalid \\u")):
            return "unexpected end of JSON input"
        where = {
            "Extra data": "after top-level value",
            "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
            "Expecting ':' delimiter": "after object key",
            "Expecting ',' delimiter": "after object key:value pair",
            "Illegal trailing comma before end of object": "looking for beginning of object key string",
        }.get(said, "looking for beginning of value")
        return f"invalid character {_quoted(text[place])} {where}"
    return "invalid JSON"


def _quoted(letter: str) -> str:
    return {"'": r"'\''", '"': "'\"'"}.get(letter, f"'{letter}'")


def pick_manifest(index: Manifest, architecture: str, system: str) -> str:
    """The digest that Legacy mode takes from an index."""
    entries = index.content.get("manifests") or []
    if not entries:
        raise UnusableManifest("no manifests in manifest list")
    for wanted in ((architecture or "amd64", system or "linux"), ("amd64", "linux")):
        for entry in entries:
            platform = entry.get("platform") or {}
            if (platform.get("architecture"), platform.get("os")) == wanted:
                return str(entry["digest"])
    return str(entries[0]["digest"])


def image_of(manifest: Manifest, config: bytes) -> Json:
    """The Image of a single manifest, without a reference."""
    settings = parse_json(config)
    if not isinstance(settings, dict):
        raise UnusableManifest(f"json: cannot unmarshal {_json_type(settings)} into Go value of type DockerImageConfig")
    layers = [
        {"name": each.get("digest", ""), "size": each.get("size", 0), "mediaType": each.get("mediaType", "")}
        for each in manifest.content.get("layers") or []
    ]
    sizes = {layer["name"]: layer["size"] for layer in layers if layer["name"] != manifest.config_digest}
    metadata: Json = {"kind": "DockerImage", "apiVersion": "image.openshift.io/1.0", "Id": manifest.config_digest}
    for name, ours in _METADATA_FIELDS.items():
        if settings.get(name):
            metadata[ours] = settings[name]
    metadata["Created"] = go_seconds(settings.get("created"))
    metadata["ContainerConfig"] = _container_config(settings.get("container_config"))
    if settings.get("config") is not None:
        metadata["Config"] = _container_config(settings["config"])
    size = len(config) + sum(sizes.values())
    if size:
        metadata["Size"] = size
    image: Json = {"metadata": {"name": manifest.digest, "annotations": {LAYERS_ORDER: "ascending"}}}
    image["dockerImageMetadata"] = metadata
    image["dockerImageMetadataVersion"] = "1.0"
    if layers:
        image["dockerImageLayers"] = layers
    image["dockerImageManifestMediaType"] = manifest.media_type
    return image


def image_of_index(manifest: Manifest, now: str) -> Json:
    """The Image of a whole index: its build time is the time of the import, and it has no labels."""
    parts = []
    for entry in manifest.content.get("manifests") or []:
        platform = entry.get("platform") or {}
        part = {
            "digest": entry.get("digest", ""),
            "mediaType": entry.get("mediaType", ""),
            "manifestSize": entry.get("size", 0),
            "architecture": platform.get("architecture", ""),
            "os": platform.get("os", ""),
        }
        if platform.get("variant"):
            part["variant"] = platform["variant"]
        parts.append(part)
    image: Json = {
        "metadata": {"name": manifest.digest},
        "dockerImageMetadata": {
            "kind": "DockerImage",
            "apiVersion": "image.openshift.io/1.0",
            "Id": manifest.digest,
            "Created": now,
            "ContainerConfig": {},
        },
        "dockerImageMetadataVersion": "1.0",
        "dockerImageManifestMediaType": manifest.media_type,
    }
    if parts:
        image["dockerImageManifests"] = parts
    return image


def _container_config(value: object) -> Json:
    if not isinstance(value, dict):
        return {}
    lower = {name.lower(): each for name, each in value.items()}
    return {name: lower[name.lower()] for name in _CONFIG_FIELDS if lower.get(name.lower())}


def go_seconds(time: object) -> str | None:
    """A time as Kubernetes prints it, which has no parts of a second; None is Go's zero time."""
    if not isinstance(time, str) or not time or time.startswith("0001-01-01T00:00:00"):
        return None
    try:
        parsed = datetime.fromisoformat(_at_most_microseconds(time))
    except ValueError:
        raise UnusableManifest(f'parsing time "{time}" as "2006-01-02T15:04:05Z07:00": cannot parse') from None
    return parsed.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _at_most_microseconds(time: str) -> str:
    whole, dot, rest = time.partition(".")
    if not dot:
        return time
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{whole}.{rest[: min(digits, 6)]}{rest[digits:]}"


def layers_of(stream_metadata: Json, history: Iterable[str], find: Callable[[str], Json | None]) -> Json:
    """What imagestreams/NAME/layers says: every image of the history and its parts; `find` gives Images by digest."""
    blobs: Json = {}
    images: Json = {}

    def add(digest: str) -> None:
        if digest in images:
            return
        image = find(digest)
        if image is None:
            images[digest] = {"imageMissing": True, "layers": None, "config": None}
            return
        media_type = image.get("dockerImageManifestMediaType") or DOCKER_MANIFEST
        layers = image.get("dockerImageLayers") or []
        for layer in layers:
            blobs.setdefault(layer["name"], {"size": layer["size"], "mediaType": layer["mediaType"]})
        config = None
        if media_type in _CONFIG_TYPES:
            config = image["dockerImageMetadata"]["Id"]
            blobs.setdefault(config, {"size": None, "mediaType": _CONFIG_TYPES[media_type]})
        parts = [each["digest"] for each in image.get("dockerImageManifests") or []]
        blobs.setdefault(digest, {"size": None, "mediaType": media_type})
        known: Json = {"imageMissing": False, "layers": [layer["name"] for layer in layers] or None, "config": config}
        if parts:
            known["manifests"] = parts
        images[digest] = known
        for part in parts:
            add(part)

    for digest in history:
        if digest:
            add(digest)
    return {"metadata": stream_metadata, "blobs": blobs, "images": images}
