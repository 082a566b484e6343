"""The kinds of workload that may follow a tag: one class for each, and the registry of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from job.cluster import Resource
from job.cluster.unstructured import object_in
from job.domain.model import TagName
from job.domain.records import replace
from job.workloads.image_triggers import Workload, container_image
from job.workloads.kinds.cron_job import CronJob
from job.workloads.kinds.daemon_set import DaemonSet
from job.workloads.kinds.deployment import Deployment
from job.workloads.kinds.deployment_config import DeploymentConfig
from job.workloads.kinds.kind import Kind
from job.workloads.kinds.stateful_set import StatefulSet

# In the order in which they are listed and shown.
REGISTRY: tuple[Kind, ...] = (Deployment(), StatefulSet(), DaemonSet(), CronJob(), DeploymentConfig())
KINDS: tuple[Resource, ...] = tuple(kind.resource for kind in REGISTRY)
_BY_RESOURCE = {kind.resource: kind for kind in REGISTRY}


def kind_of(resource: Resource) -> Kind:
    """What is known of the kind with that API resource, one of `KINDS`."""
    return _BY_RESOURCE[resource]


def workload_from(resource: Resource, data: Mapping[str, Any]) -> Workload | None:
    """A workload from its JSON; None when it has no image trigger at all."""
    metadata, kind = object_in(data, "metadata"), kind_of(resource)
    namespace, name = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
    follows, problem = kind.read_triggers(data, namespace)
    if not follows and not problem:
        return None
    return Workload(resource, namespace, name, kind.settle_triggers(follows, ()), problem)


def settle(workload: Workload, unresolved: Collection[TagName]) -> Workload:
    """The workload with the problems that its triggers cause for one another while some tags have no image."""
    own = tuple(
        replace(follow, problem=None, awaits=None) if follow.is_held_up else follow for follow in workload.follows
    )
    own = tuple(replace(follow, is_held_up=False) for follow in own)
    return replace(workload, follows=kind_of(workload.resource).settle_triggers(own, unresolved))


def pod_spec_of(resource: Resource, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec of a workload's pod template."""
    return kind_of(resource).pod_spec(data)


def template_image(resource: Resource, data: Mapping[str, Any], container: str) -> str | None:
    """The image that a workload's pod template has for the container of that name."""
    return container_image(pod_spec_of(resource, data), container)
