"""What the server checks and adds when somebody creates a pod, and the log and the eviction of one.

Source of behaviour: Kubernetes' plugin/pkg/admission (serviceaccount, resourcequota) and pod-security-admission.
"""

from __future__ import annotations

import asyncio
import re

from tests.sandbox import timestamps
from tests.sandbox.calls import Answer, Call, answer_json
from tests.sandbox.objects import Objects
from tests.sandbox.resources import NAMESPACES, PODS, SERVICE_ACCOUNTS
from tests.sandbox.status import Json, forbidden, no_such_path, success
from tests.sandbox.workloads import lone_pods
from tests.sandbox.workloads.pods import is_alive
from tests.support.pod_security import violations

_ENFORCED = "pod-security.kubernetes.io/enforce"


class Pods(Objects):
    """Pods; those that controllers make are not checked here."""

    def prepare_create(self, call: Call, item: Json) -> Json:
        item = super().prepare_create(call, item)
        metadata, spec = item["metadata"], item.get("spec")
        if not isinstance(spec, dict) or not spec.get("containers"):
            return item
        namespace, name = metadata["namespace"], metadata["name"]
        home = self.cluster.store.get(NAMESPACES, "", namespace)
        labels = (home.object["metadata"].get("labels") or {}) if home else {}
        if labels.get(_ENFORCED) == "restricted" and (wrong := violations(spec)):
            raise forbidden("pods", "", name, f'violates PodSecurity "restricted:latest": {", ".join(wrong)}')
        self._check_quota(namespace, name)
        account = spec.setdefault("serviceAccountName", "default")
        entry = self.cluster.store.get(SERVICE_ACCOUNTS, namespace, account)
        if entry is None:
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise forbidden("pods", "", name, why)
        if not spec.get("imagePullSecrets") and entry.object.get("imagePullSecrets"):
            spec["imagePullSecrets"] = entry.object["imagePullSecrets"]
        crowded = self.cluster.settings.unschedulable
        if not (crowded and re.search(crowded, namespace)):
            # The scheduler does it a moment later.
            spec.setdefault("nodeName", "node-1")
        if lone_pods.is_one(item):
            item["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
        return item

    async def subresource(self, call: Call) -> Answer:
        pod = self.find(call.target.namespace, call.target.name)
        match call.target.subresource, call.target.verb:
            case "log", "get":
                # A log that is followed ends with its container.
                while call.query.get("follow") == "true" and is_alive(pod.object):
                    await asyncio.sleep(0.05)
                    pod = self.find(call.target.namespace, call.target.name)
                log = self.cluster.logs.get(pod.object["metadata"]["uid"], b"")
                return Answer(200, log, "text/plain")
            case "eviction", "create":
                why = {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
                condition = {
                    "type": "DisruptionTarget",
                    "status": "True",
                    "lastTransitionTime": timestamps.now(),
                    **why,
                }
                status = {
                    **pod.object["status"],
                    "conditions": [*pod.object["status"].get("conditions", ()), condition],
                }
                self.remove(self.cluster.store.put(PODS, {**pod.object, "status": status}), orphan=False)
                return answer_json(success(), 201)
        raise no_such_path()

    def _check_quota(self, namespace: str, name: str) -> None:
        most = self.cluster.settings.pod_quota.get(namespace)
        used = sum(is_alive(entry.object) for entry in self.cluster.store.table(PODS).entries(namespace))
        if most is not None and used >= most:
            why = f"exceeded quota: pods, requested: pods=1, used: pods={used}, limited: pods={most}"
            raise forbidden("pods", "", name, why)
