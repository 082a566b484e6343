"""User names and passwords for registries, from a namespace's pull secrets. Pure.

Source of behaviour: openshift-apiserver pkg/image/apiserver/registry/imagesecret, Kubernetes' docker config secrets.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and password for a registry, or for a part of it."""

    place: str
    username: str
    password: str


def credentials_for(repository: str, known: list[Credential]) -> Credential | None:
    """The first credential of the most specific place that holds the repository."""
    fitting = [each for each in known if repository == each.place or repository.startswith(f"{each.place}/")]
    return max(fitting, key=lambda each: len(each.place), default=None)


def credentials_of(secret: Mapping[str, Any]) -> list[Credential]:
    """What a pull secret holds, if it is one."""
    if (secret["metadata"].get("annotations") or {}).get("openshift.io/image.excludeSecret") == "true":
        return []
    name = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
    field_name = name.get(secret.get("type", ""), "")
    try:
        config = json.loads(base64.b64decode(secret["data"][field_name]))
        entries = config["auths"] if field_name == ".dockerconfigjson" else config
        return [_credential(place, entry) for place, entry in entries.items()]
    except (KeyError, ValueError, TypeError, AttributeError):
        return []


def _credential(place: str, entry: Mapping[str, str]) -> Credential:
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    bare = place.removeprefix("https://").removeprefix("http://").rstrip("/")
    return Credential(bare.removesuffix("/v1").removesuffix("/v2"), username, password)


def basic_authorization(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()
