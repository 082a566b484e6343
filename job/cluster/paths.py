"""The URL path of a request. Pure."""

from __future__ import annotations

from urllib.parse import quote

from job.cluster import Resource
from job.domain.errors import ClusterError
from job.domain.model import Reason
from job.domain.text import clean


def path_of(resource: Resource, namespace: str, name: str | None = None) -> str:
    """The path of an object, or without `name` of the list; without `namespace` that of the whole cluster.

    Raises:
        ClusterError: not a valid object name.
    """
    root = "/api" if "/" not in resource.api_version else "/apis"
    path = f"{root}/{resource.api_version}"
    path += f"/namespaces/{_segment(namespace)}/{resource.plural}" if namespace else f"/{resource.plural}"
    return path if name is None else f"{path}/{_segment(name)}"


def _segment(name: str) -> str:
    # Clients resolve dots, and client-go decodes a path before sending it: quoted or not, these would lead elsewhere.
    # Kubernetes forbids them as names (apimachinery/pkg/api/validation/path).
    if name in ("", ".", "..") or "/" in name or "%" in name or not name.isprintable():
        raise ClusterError(Reason.INVALID, clean(f"not a valid object name: {name!r}"), code=400)
    return quote(name, safe="@:")
