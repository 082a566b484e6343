"""The controller that keeps what follows a tag on the tag's newest image.

It is driven by what is, not by what happened: whoever sets another image finds it undone.
Source of behaviour: openshift-controller-manager pkg/image/controller/trigger/image_trigger_controller.go.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.sandbox import streams
from tests.sandbox.cluster import Cluster
from tests.sandbox.resources import (
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENT_CONFIGS,
    DEPLOYMENTS,
    IMAGE_STREAMS,
    STATEFUL_SETS,
    Kind,
)
from tests.sandbox.status import Json
from tests.sandbox.store import Event
from tests.sandbox.workloads import triggers
from tests.sandbox.workloads.triggers import Source
from tests.sandbox.workloads.work import Work

_TEMPLATE = ("spec", "template", "spec")
_POD_SPECS = {
    DEPLOYMENTS: _TEMPLATE,
    STATEFUL_SETS: _TEMPLATE,
    DAEMON_SETS: _TEMPLATE,
    CRON_JOBS: ("spec", "jobTemplate", "spec", "template", "spec"),
    DEPLOYMENT_CONFIGS: _TEMPLATE,
}


@dataclass(frozen=True, slots=True)
class _Key:
    kind: Kind
    namespace: str
    name: str


class TriggerController:
    """Sets images as triggers say. Deployments that are paused get theirs as well."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._work: Work[_Key] = Work()
        self._sources: dict[_Key, set[Source]] = {}
        self._followers: dict[Source, set[_Key]] = {}

    async def run(self) -> None:
        self.resync()
        await self._work.run(self._cluster.store, (IMAGE_STREAMS, *_POD_SPECS), self._see, self._act)

    def resync(self) -> None:
        for kind in _POD_SPECS:
            for entry in self._cluster.store.table(kind).entries():
                key = _Key(kind, entry.namespace, entry.name)
                self._follow(key, set(_sources(kind, entry.object)))
                self._work.add(key)

    def _see(self, event: Event) -> None:
        entry = event.entry
        if entry.kind is IMAGE_STREAMS:
            if self._followers and event.type != "DELETED":
                for key in self._followers.get(Source(entry.namespace, entry.name), ()):
                    self._work.add_within(key, self._cluster.settings.trigger_delay)
            return
        key = _Key(entry.kind, entry.namespace, entry.name)
        if event.type == "DELETED":
            self._follow(key, set())
        elif event.before is None or _has_changed(entry.kind, event.before.object, entry.object):
            self._follow(key, set(_sources(entry.kind, entry.object)))
            self._work.add_within(key, self._cluster.settings.trigger_delay)

    def _follow(self, key: _Key, sources: set[Source]) -> None:
        for source in self._sources.pop(key, ()):
            followers = self._followers[source]
            followers.discard(key)
            if not followers:
                del self._followers[source]
        if sources:
            self._sources[key] = sources
            for source in sources:
                self._followers.setdefault(source, set()).add(key)

    def _act(self, key: _Key) -> None:
        entry = self._cluster.store.get(key.kind, key.namespace, key.name)
        if entry is None or not self._cluster.settings.trigger_controller:
            return
        if key.kind is DEPLOYMENT_CONFIGS:
            item = triggers.config_with_newest_images(entry.object, self._resolve)
        else:
            item = triggers.with_newest_images(entry.object, _POD_SPECS[key.kind], self._resolve)
        if item is not entry.object:
            generation = entry.object["metadata"].get("generation", 0) + 1
            self._cluster.store.put(key.kind, {**item, "metadata": {**item["metadata"], "generation": generation}})

    def _resolve(self, namespace: str, name: str) -> str | None:
        stream_name, colon, tag = name.partition(":")
        entry = self._cluster.store.get(IMAGE_STREAMS, namespace, stream_name)
        if entry is None or not colon or not tag:
            return None
        stream = streams.load(entry.object)
        event = streams.latest_event(stream, tag)
        return streams.reference_for(stream, tag, event, self._cluster.settings) if event else None


def _sources(kind: Kind, item: Json) -> list[Source]:
    return list(triggers.sources_of_config(item) if kind is DEPLOYMENT_CONFIGS else triggers.sources(item))


def _has_changed(kind: Kind, before: Json, after: Json) -> bool:
    """Whether triggers changed, or the images they set."""
    if kind is DEPLOYMENT_CONFIGS:
        return bool(before.get("spec") != after.get("spec"))
    if triggers.annotated(before) != triggers.annotated(after):
        return True
    base = _POD_SPECS[kind]
    return triggers.images_at(before, base) != triggers.images_at(after, base)
