"""The commands that mend what needs attention."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from job.clusters import CRON_JOBS, STATEFUL_SETS, Resource
from job.model import RolloutResult, TagName
from job.pods import Pod
from job.workloads import object_in


def resuming(name: TagName) -> str:
    """The command that lets a held tag go."""
    return command("import-images", "resume", str(name), "-n", name.namespace)


def command(*words: str) -> str:
    """A command line, fit to be pasted."""
    return shlex.join(words)


def remedy(
    resource: Resource,
    data: Mapping[str, Any],
    pods: Sequence[Pod],
    result: RolloutResult | None,
    wanted: Mapping[str, str],
    tag: TagName,
    *,
    held: bool,
) -> str | None:
    """The command that helps a workload, or shows more of what ails it; None where nothing does.

    Args:
        resource: its kind.
        data: the workload.
        pods: what its selector finds.
        result: the verdict on it.
        wanted: the digest that each container should run.
        tag: a tag that it follows.
        held: whether that was rolled back already.
    """
    if result in (RolloutResult.HEALTHY, RolloutResult.PAUSED):
        return None
    metadata, spec = object_in(data, "metadata"), object_in(data, "spec")
    name, namespace = str(metadata.get("name", "")), str(metadata.get("namespace", ""))
    target, where = f"{resource.kind.lower()}/{name}", ("-n", namespace)
    if result is RolloutResult.WILL_NOT_REDEPLOY:
        return command("import-images", "doctor", str(tag), "-n", tag.namespace)
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
    is_hopeless = any(each.is_hopeless for pod in pods if pod.runs(images) for each in pod.containers)
    if result is RolloutResult.FAILED and is_hopeless and not held:
        return command("import-images", "rollback", str(tag), "-n", tag.namespace)
    if result is None and resource != CRON_JOBS:
        return command("oc", "rollout", "status", target, *where)
    return command("oc", "describe", target, *where)
