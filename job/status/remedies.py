"""The commands that mend what needs attention, as they can be pasted into a shell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from job.cluster import CRON_JOBS, STATEFUL_SETS, Resource, reference
from job.cluster.unstructured import object_in
from job.domain.model import RolloutResult, TagName
from job.domain.shell import command, ours
from job.workloads.pods import Pod


def remedy(
    resource: Resource,
    data: Mapping[str, Any],
    pods: Sequence[Pod],
    result: RolloutResult | None,
    wanted: Mapping[str, str],
    tag: TagName,
    back: TagName | None,
) -> str | None:
    """The command that helps a workload, or shows more of what ails it; None where nothing does.

    Args:
        resource: its kind.
        data: the workload.
        pods: what its selector finds.
        result: the verdict on it.
        wanted: the digest that each container should run.
        tag: a tag that it follows.
        back: the tag that a rollback would move; None where it was rolled back already, or has no image to go back to.
    """
    if result in (RolloutResult.HEALTHY, RolloutResult.PAUSED):
        return None
    metadata, spec = object_in(data, "metadata"), object_in(data, "spec")
    name, namespace = str(metadata.get("name", "")), str(metadata.get("namespace", ""))
    target, where = reference(resource, name), ("-n", namespace)
    if result is RolloutResult.WILL_NOT_REDEPLOY:
        return ours("doctor", tag)
    images = {container: frozenset({digest}) for container, digest in wanted.items()}
    old = [pod for pod in pods if pod.active and pod.owner[:2] == (resource.kind, name) and not pod.runs(images)]
    if result is RolloutResult.WAITING:
        if spec.get("paused") is True:
            return command("oc", "rollout", "resume", target, *where)
        if object_in(spec, "updateStrategy").get("type") == "OnDelete":
            return command("oc", "delete", "pod", *(pod.name for pod in old[:5]), *where)
        patch = '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'
        return command("oc", "patch", target, *where, "--type=merge", "-p", patch)
    stuck = [pod for pod in old if not pod.ready]
    if result is None and resource == STATEFUL_SETS and stuck:
        return command("oc", "delete", "pod", stuck[0].name, *where)
    hopeless = next(
        ((pod, each) for pod in pods if pod.runs(images) for each in pod.containers if each.is_hopeless), None
    )
    if result is RolloutResult.FAILED and hopeless is not None:
        if back is not None:
            return ours("rollback", back)
        pod, container = hopeless
        # What it said before it ended; one that never began says nothing.
        if container.restarts:
            return command("oc", "logs", f"pod/{pod.name}", "-c", container.name, "--previous", *where)
        return command("oc", "describe", f"pod/{pod.name}", *where)
    if result is None and resource != CRON_JOBS:
        return command("oc", "rollout", "status", target, *where)
    return command("oc", "describe", target, *where)
