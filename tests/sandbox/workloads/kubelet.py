"""Brings pods to life that a controller made, and those that are to run no command; others stay as they were sent.

Source of behaviour: Kubernetes' pkg/kubelet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.sandbox import timestamps
from tests.sandbox.cluster import Cluster
from tests.sandbox.resources import PODS
from tests.sandbox.status import Json
from tests.sandbox.store import Entry, Event
from tests.sandbox.workloads import lives, lone_pods, pods
from tests.sandbox.workloads.lives import Pace
from tests.sandbox.workloads.work import Work
from tests.sandbox.workloads.writing import write_status

_KEEPERS = ("ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController")


@dataclass(slots=True)
class _Life:
    """How far a pod has come, and how its images behaved when it came there."""

    uid: str
    step: int
    behaviours: list[str]


class Kubelet:
    """The one node."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._work: Work[tuple[str, str]] = Work()
        self._lives: dict[tuple[str, str], _Life] = {}

    async def run(self) -> None:
        self.resync()
        await self._work.run(self._cluster.store, (PODS,), self._see, self._act)

    def resync(self) -> None:
        """Images may behave otherwise now: what changed for a pod begins anew."""
        for entry in self._cluster.store.table(PODS).entries():
            life = self._lives.get((entry.namespace, entry.name))
            if life is None:
                self._begin(entry)
            elif life.behaviours != self._behaviours(entry.object):
                life.step, life.behaviours = 1, self._behaviours(entry.object)
                self._work.add((entry.namespace, entry.name))

    def _see(self, event: Event) -> None:
        key = (event.entry.namespace, event.entry.name)
        if event.type == "DELETED":
            self._work.forget(key)
            self._lives.pop(key, None)
        elif event.type == "ADDED":
            self._begin(event.entry)

    def _begin(self, entry: Entry) -> None:
        keeper = pods.controller_of(entry.object)
        lives_here = keeper["kind"] in _KEEPERS if keeper else lone_pods.is_one(entry.object)
        if lives_here and self._cluster.settings.workload_controllers:
            key = (entry.namespace, entry.name)
            self._lives[key] = _Life(entry.object["metadata"]["uid"], 0, self._behaviours(entry.object))
            self._work.add(key)

    def _behaviours(self, pod: Json) -> list[str]:
        spec = pod["spec"]
        every = [*(spec.get("initContainers") or ()), *spec["containers"]]
        return [self._behaviour(each.get("image", "")) for each in every]

    def _behaviour(self, image: str) -> str:
        """What a container of an image does: as the settings have it, else as the image's own label says."""
        own = self._cluster.behaviours.get(image.rpartition("@")[2], "")
        return self._cluster.settings.behaviour_of(image, own)

    def _act(self, key: tuple[str, str]) -> None:
        entry, life = self._cluster.store.get(PODS, *key), self._lives.get(key)
        if entry is None or life is None or not self._cluster.settings.workload_controllers:
            return
        settings, pod = self._cluster.settings, entry.object
        pace, before = Pace(settings.pod_ready_delay, settings.crash_back_off), pod.get("status") or {}
        if lone_pods.is_one(pod) and not pods.controller_of(pod):
            status, wait = self._lone(entry, life, pace)
        else:
            status = lives.status_of(pod, self._behaviour, life.step, timestamps.now(), before)
            wait = lives.next_step(life.behaviours, life.step, pace)
        write_status(self._cluster, entry, status)
        if wait is not None:
            life.step += 1
            self._work.add_later(key, wait)
        else:
            self._work.forget(key)

    def _lone(self, entry: Entry, life: _Life, pace: Pace) -> tuple[Json, float | None]:
        settings, before, now = self._cluster.settings, entry.object.get("status") or {}, timestamps.now()
        if settings.unschedulable and re.search(settings.unschedulable, entry.namespace):
            why = "0/1 nodes are available: 1 Insufficient cpu."
            return lone_pods.unschedulable(before, now, why), None
        runtime = settings.container_runtime
        status = lone_pods.status_of(entry.object, self._behaviour, life.step, now, before, runtime)
        return status, lone_pods.next_step(life.behaviours, life.step, pace)
