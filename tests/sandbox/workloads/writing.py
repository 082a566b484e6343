"""How controllers write: only what differs, and generations as the server has them."""

from __future__ import annotations

from tests.sandbox.cluster import Cluster
from tests.sandbox.status import Json
from tests.sandbox.store import Entry


def write_status(cluster: Cluster, entry: Entry, status: Json, annotations: Json | None = None) -> Entry:
    """A write to /status, which takes annotations as well and leaves the generation."""
    item = {**entry.object, "status": status}
    if annotations is not None:
        item["metadata"] = {**item["metadata"], "annotations": annotations}
    return entry if item == entry.object else cluster.store.put(entry.kind, item)


def write_spec(cluster: Cluster, entry: Entry, annotations: Json | None = None, **changes: object) -> Entry:
    """A write of parts of the spec, and of all annotations."""
    spec = {**entry.object["spec"], **changes}
    metadata = dict(entry.object["metadata"])
    if annotations is not None:
        metadata["annotations"] = annotations
    if spec != entry.object["spec"]:
        metadata["generation"] = metadata.get("generation", 0) + 1
    item = {**entry.object, "metadata": metadata, "spec": spec}
    return entry if item == entry.object else cluster.store.put(entry.kind, item)


def without_zeros(status: Json, *kept: str) -> Json:
    """A status as Go writes one: numbers that are nought are left out, but for some."""
    return {name: value for name, value in status.items() if value or name in kept}
