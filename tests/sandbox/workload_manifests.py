"""Manifests of workloads that follow a tag, as tests send them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tests.sandbox.resources import CRON_JOBS, DAEMON_SETS, DEPLOYMENT_CONFIGS, DEPLOYMENTS, STATEFUL_SETS, Kind
from tests.sandbox.status import Json
from tests.sandbox.workloads.triggers import ANNOTATION

KINDS = {kind.kind: kind for kind in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, CRON_JOBS, DEPLOYMENT_CONFIGS)}
_NO_REPLICAS = (DAEMON_SETS, CRON_JOBS)


def path(kind: str, namespace: str) -> str:
    """Where a kind's objects are."""
    found = KINDS[kind]
    return f"/apis/{found.group}/{found.version}/namespaces/{namespace}/{found.plural}"


def trigger(tag: str, container: str = "app", *, of: str = "Deployment", **more: object) -> Json:
    """One entry of the annotation; `tag` is stream:tag, or namespace/stream:tag. `more` are fields beside `from`."""
    namespace, _, name = tag.rpartition("/")
    source = {"kind": "ImageStreamTag", "name": name, **({"namespace": namespace} if namespace else {})}
    prefix = "spec.jobTemplate." if of == "CronJob" else ""
    return {
        "from": source,
        "fieldPath": f'{prefix}spec.template.spec.containers[?(@.name=="{container}")].image',
        **more,
    }


def workload(
    kind: str,
    name: str,
    *,
    tag: str = "",
    image: str = "",
    triggers: object = None,
    replicas: int = 1,
    container: str = "app",
    annotations: Mapping[str, str] | None = None,
    spec: Mapping[str, object] | None = None,
) -> Json:
    """A workload of one container whose image follows `tag`.

    `triggers` replaces the annotation that this makes: a text word for word, anything else as JSON; of a
    DeploymentConfig it is spec.triggers. `spec` is laid over the spec, part by part.
    """
    found = KINDS[kind]
    pod: Json = {"containers": [{"name": container, "image": image or tag or "app"}]}
    template: Json = {"metadata": {"labels": {"app": name}}, "spec": pod}
    body: Json = {"template": template, **_selected(found, name)}
    if found is CRON_JOBS:
        pod["restartPolicy"] = "Never"
        body = {"schedule": "0 2 * * 2", "jobTemplate": {"spec": {"template": template}}}
    if found not in _NO_REPLICAS:
        body["replicas"] = replicas
    if found is STATEFUL_SETS:
        body["serviceName"] = name
    told = dict(annotations or {})
    if found is DEPLOYMENT_CONFIGS:
        body["triggers"] = _config_triggers(tag, container) if triggers is None else triggers
    elif triggers is not None or tag:
        wanted = [trigger(tag, container, of=kind)] if triggers is None else triggers
        told[ANNOTATION] = wanted if isinstance(wanted, str) else json.dumps(wanted)
    body = {**body, **(spec or {})}
    return {
        "apiVersion": found.api_version,
        "kind": kind,
        "metadata": {"name": name, "annotations": told},
        "spec": body,
    }


def _selected(kind: Kind, name: str) -> Json:
    labels = {"app": name}
    return {"selector": labels if kind is DEPLOYMENT_CONFIGS else {"matchLabels": labels}}


def _config_triggers(tag: str, container: str) -> list[Json]:
    if not tag:
        return [{"type": "ConfigChange"}]
    params = {"automatic": True, "containerNames": [container], "from": trigger(tag)["from"]}
    return [{"type": "ConfigChange"}, {"type": "ImageChange", "imageChangeParams": params}]
