"""The controller of all workloads: looks at whatever changed, or at whom its pods belong to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.sandbox.cluster import Cluster
from tests.sandbox.resources import (
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENT_CONFIGS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
    Kind,
)
from tests.sandbox.store import Entry, Event
from tests.sandbox.workloads import (
    daemon_sets,
    deployment_configs,
    deployments,
    pods,
    replica_sets,
    stateful_sets,
)
from tests.sandbox.workloads.work import Work

# A look at one object, which gives the seconds until it has to be looked at again although nothing changes.
_RECONCILE: dict[Kind, Callable[[Cluster, Entry], float | None]] = {
    DEPLOYMENTS: deployments.reconcile,
    REPLICA_SETS: replica_sets.reconcile,
    REPLICATION_CONTROLLERS: replica_sets.reconcile,
    STATEFUL_SETS: stateful_sets.reconcile,
    DAEMON_SETS: daemon_sets.reconcile,
    DEPLOYMENT_CONFIGS: deployment_configs.reconcile,
}
_BY_NAME = {kind.kind: kind for kind in _RECONCILE}


@dataclass(frozen=True, slots=True)
class _Key:
    kind: Kind
    namespace: str
    name: str


class WorkloadController:
    """Makes what workloads ask for, and tells in their status how far it is."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._work: Work[_Key] = Work()

    async def run(self) -> None:
        self.resync()
        await self._work.run(
            self._cluster.store, (PODS, CONTROLLER_REVISIONS, *_RECONCILE), self._see, self._act
        )  # fmt: skip

    def resync(self) -> None:
        for kind in _RECONCILE:
            for entry in self._cluster.store.table(kind).entries():
                self._work.add(_Key(kind, entry.namespace, entry.name))

    def _see(self, event: Event) -> None:
        entry = event.entry
        if entry.kind in _RECONCILE:
            key = _Key(entry.kind, entry.namespace, entry.name)
            if event.type == "DELETED":
                self._work.forget(key)
            else:
                self._work.add(key)
        owner = pods.controller_of(entry.object)
        if owner and owner["kind"] in _BY_NAME:
            self._work.add(_Key(_BY_NAME[owner["kind"]], entry.namespace, owner["name"]))

    def _act(self, key: _Key) -> None:
        entry = self._cluster.store.get(key.kind, key.namespace, key.name)
        if entry is None or not self._cluster.settings.workload_controllers:
            return
        if not pods.is_kept(entry.object, key.kind):
            return
        wait = _RECONCILE[key.kind](self._cluster, entry)
        if wait is None:
            self._work.forget(key)
        else:
            self._work.add_later(key, wait)
