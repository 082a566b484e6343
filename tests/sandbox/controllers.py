"""The controllers of the cluster: tasks that watch the store and act on what they see.

A controller is a class with `run`, an endless coroutine, and `resync`, which makes it look at everything again.
Source of behaviour: openshift-controller-manager pkg/image/controller/imagestream_controller.go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tests.sandbox import streams
from tests.sandbox.cluster import Cluster
from tests.sandbox.imports import CONTROLLER, Imports, import_request
from tests.sandbox.resources import IMAGE_STREAMS
from tests.sandbox.status import ApiError, Json
from tests.sandbox.store import Entry
from tests.sandbox.stream_validation import INSECURE_ANNOTATION
from tests.sandbox.streams import CHECK_ANNOTATION, Stream

_TIMEOUT = 3600.0


class Controller(Protocol):
    """Something that runs as long as the cluster does."""

    async def run(self) -> None:
        """Act on changes, for ever."""

    def resync(self) -> None:
        """Look at everything again, as after a change of settings."""


def pending_tags(stream: Stream) -> list[str]:
    """The tags whose spec is newer than what status has seen."""
    return [
        name
        for name in sorted(stream.tags)
        if _importable(stream, name)
        and (stream.tags[name]["generation"] or 0) > streams.observed_generation(stream.history.get(name))
    ]


def _importable(stream: Stream, tag: str) -> bool:
    spec = stream.tags[tag]
    return (spec.get("from") or {}).get("kind") == "DockerImage" and not spec.get("reference")


def wanted_import(stream: Stream) -> Json | None:
    """The import that a stream is waiting for."""
    whole = bool(stream.repository) and CHECK_ANNOTATION not in stream.annotations
    tags = [tag for tag in sorted(stream.tags) if _importable(stream, tag)] if whole else pending_tags(stream)
    if not tags and not whole:
        return None
    spec = import_request(stream, tags)
    if whole:
        insecure = stream.annotations.get(INSECURE_ANNOTATION) == "true"
        source = {"kind": "DockerImage", "name": stream.repository}
        spec["repository"] = {
            "from": source,
            "importPolicy": {"insecure": insecure, "importMode": streams.LEGACY},
            "referencePolicy": {"type": "Source"},
        }
    return spec


class ImportController:
    """Imports tags after an edit of their spec, keeping all their policies; a failure is not tried again."""

    def __init__(self, cluster: Cluster, imports: Imports) -> None:
        self._cluster = cluster
        self._imports = imports
        self._waiting: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        watch, _ = self._cluster.store.watch(IMAGE_STREAMS, "", None)
        try:
            self.resync()
            async for event in watch:
                if event.type != "DELETED":
                    self._look_at(event.entry)
        finally:
            watch.close()
            for task in self._waiting.values():
                task.cancel()

    def resync(self) -> None:
        if self._cluster.settings.import_controller:
            for entry in list(self._cluster.store.table(IMAGE_STREAMS).entries()):
                self._look_at(entry)

    def _look_at(self, entry: Entry) -> None:
        if not self._cluster.settings.import_controller or entry.key in self._waiting:
            return
        if wanted_import(streams.load(entry.object)):
            self._waiting[entry.key] = asyncio.create_task(self._import(entry.namespace, entry.name))

    async def _import(self, namespace: str, name: str) -> None:
        try:
            while self._cluster.settings.import_controller:
                await asyncio.sleep(self._cluster.settings.import_controller_delay)
                entry = self._cluster.store.get(IMAGE_STREAMS, namespace, name)
                spec = wanted_import(streams.load(entry.object)) if entry else None
                if entry is None or spec is None:
                    return
                given = {"name": name, "namespace": namespace, "resourceVersion": str(entry.revision)}
                try:
                    async with asyncio.timeout(_TIMEOUT):
                        await self._imports.import_images(CONTROLLER, given, spec)
                except (ApiError, TimeoutError):
                    # Usually someone else wrote the stream meanwhile; whether there is still something to do, the
                    # next round sees.
                    continue
        finally:
            self._waiting.pop(f"{namespace}/{name}", None)


class Controllers:
    """Runs the controllers."""

    def __init__(self, controllers: Sequence[Controller]) -> None:
        self._controllers = controllers
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(each.run()) for each in self._controllers]

    def resync(self) -> None:
        for each in self._controllers:
            each.resync()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
