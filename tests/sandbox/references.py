"""Image references: parsing and printing them as OpenShift does.

Source of behaviour: openshift/library-go pkg/image/reference, and docker/distribution's reference for normalised names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

DOCKER_HUB = "docker.io"
DOCKER_HUB_V1 = "index.docker.io"
DOCKER_HUB_V2 = "registry-1.docker.io"

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"{_HOST_COMPONENT}(?:\.{_HOST_COMPONENT})*(?::[0-9]+)?"
_NAME = rf"(?:{_HOST}/)?{_COMPONENT}(?:/{_COMPONENT})*"
_TAG = r"[\w][\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"({_NAME})(?::({_TAG}))?(?:@({_DIGEST}))?", re.ASCII)
_SHA256 = re.compile(r"sha256:[a-f0-9]{64}")
_LONGEST_NAME = 255


class InvalidReference(ValueError):  # noqa: N818 - what OpenShift calls it
    """The text is no image reference; the message is OpenShift's."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image reference as it was written: nothing is filled in."""

    registry: str = ""
    namespace: str = ""
    name: str = ""
    tag: str = ""
    digest: str = ""

    @property
    def repository(self) -> str:
        """The path inside the registry."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def exact(self) -> str:
        """Only what is set."""
        if not self.name:
            return ""
        text = f"{self.registry}/{self.repository}" if self.registry else self.repository
        if self.digest:
            return f"{text}@{self.digest}"
        return f"{text}:{self.tag}" if self.tag else text

    def with_defaults(self) -> Reference:
        registry = self.registry or DOCKER_HUB
        namespace = self.namespace or ("library" if is_docker_hub(registry) else "")
        return replace(self, registry=registry, namespace=namespace, tag=self.tag or "latest")

    def normalized(self) -> str:
        """The full name, as docker/distribution prints it."""
        full = replace(self.with_defaults(), tag=self.tag)
        if full.registry == DOCKER_HUB_V1:
            full = replace(full, registry=DOCKER_HUB)
        return full.exact()

    def host(self) -> str:
        """The host (and port) to talk to."""
        registry = self.registry or DOCKER_HUB
        return DOCKER_HUB_V2 if registry in (DOCKER_HUB, DOCKER_HUB_V1) else registry

    def host_and_port(self, *, insecure: bool) -> tuple[str, str]:
        host = self.host()
        if ":" in host:
            name, _, port = host.rpartition(":")
            return name, port
        return host, "80" if insecure else "443"


def is_docker_hub(registry: str) -> bool:
    return registry in (DOCKER_HUB, DOCKER_HUB_V1, DOCKER_HUB_V2)


def is_digest(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


@lru_cache(maxsize=16384)
def parse(text: str) -> Reference:
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise InvalidReference("repository name must have at least one component" if not text else _complaint(text))
    name, tag, digest = found[1], found[2] or "", found[3] or ""
    if len(name) > _LONGEST_NAME:
        raise InvalidReference("repository name must not be more than 255 characters")
    if digest:
        _check_digest(digest)
    first, slash, rest = name.partition("/")
    if not slash:
        if "." in name or name.startswith("localhost"):
            # A bare host with no repository; OpenShift keeps it as the registry.
            return Reference(registry=text if not digest else name, digest=digest)
        return Reference(name=name, tag=tag, digest=digest)
    if ":" not in first and "." not in first and first != "localhost":
        registry, path = "", name
    else:
        registry, path = first, rest
    namespace, slash, last = path.partition("/")
    if not slash:
        namespace, last = "", path
    return Reference(registry=registry, namespace=namespace, name=last, tag=tag, digest=digest)


def _complaint(text: str) -> str:
    if _REFERENCE.fullmatch(text.lower()):
        return "repository name must be lowercase"
    return "invalid reference format"


def _check_digest(digest: str) -> None:
    algorithm, _, value = digest.partition(":")
    length = {"sha256": 64, "sha384": 96, "sha512": 128}.get(algorithm)
    if length is None:
        raise InvalidReference("unsupported digest algorithm")
    if len(value) != length:
        raise InvalidReference("invalid checksum digest length")
    if value != value.lower():
        raise InvalidReference("invalid checksum digest format")
