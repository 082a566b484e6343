"""Pods of the job's own image run as processes of this machine, with what the kubelet gives a container.

A process cannot have the files of its service account where a container has them, so it is given their content as the
job's settings HOST, TOKEN and CA_FILE. Source of behaviour: Kubernetes' pkg/kubelet.
"""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.sandbox import timestamps
from tests.sandbox.cluster import Cluster
from tests.sandbox.resources import PODS, SECRETS, SERVICE_ACCOUNTS
from tests.sandbox.status import Json
from tests.sandbox.store import Entry, Event
from tests.sandbox.workloads import pods
from tests.sandbox.workloads.batch import INDEX
from tests.sandbox.workloads.writing import write_status
from tests.support.paths import ROOT

# As a message of a container may be.
_LONGEST_MESSAGE = 4096


class Processes:
    """The processes of one node."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._running: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def run(self) -> None:
        watch, _ = self._cluster.store.watch(PODS, "", None)
        try:
            async for event in watch:
                self._see(event)
        finally:
            watch.close()
            for process in self._processes.values():
                with suppress(ProcessLookupError):
                    process.kill()
            for task in self._running.values():
                task.cancel()

    def resync(self) -> None:
        """Nothing: pods start when they are made."""

    def _see(self, event: Event) -> None:
        entry = event.entry
        metadata = entry.object["metadata"]
        uid = str(metadata["uid"])
        process = self._processes.get(uid)
        if event.type == "ADDED" and self._is_ours(entry.object):
            self._running[uid] = asyncio.create_task(self._live(entry))
        elif process is not None:
            with suppress(ProcessLookupError):
                if event.type == "DELETED":
                    process.kill()
                elif metadata.get("deletionTimestamp") and not (event.before or entry).object["metadata"].get(
                    "deletionTimestamp"
                ):
                    process.send_signal(signal.SIGTERM)

    def _is_ours(self, pod: Json) -> bool:
        owner, image = pods.controller_of(pod), self._cluster.settings.job_image
        containers = pod["spec"].get("containers") or [{}]
        return bool(image and owner and owner["kind"] == "Job" and containers[0].get("image") == image)

    async def _live(self, entry: Entry) -> None:
        uid = str(entry.object["metadata"]["uid"])
        container = entry.object["spec"]["containers"][0]
        with tempfile.TemporaryDirectory(prefix="sandbox-pod-") as folder:
            message = Path(folder) / "termination-log"
            message.touch()
            environment = {**self._given(entry), "TERMINATION_LOG": str(message)}
            started = timestamps.now()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "job", *container.get("args", ()),
                cwd=ROOT, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            self._processes[uid] = process
            try:
                self._write(entry, "Running", {"running": {"startedAt": started}})
                log, _ = await process.communicate()
                self._cluster.logs[uid] = log
                text = message.read_text(errors="replace") or log.decode(errors="replace")[-2048:]
                code = process.returncode if process.returncode is not None else -1
                # A signal's number, as a shell tells it.
                code = 128 - code if code < 0 else code
                reason = "Completed" if code == 0 else "Error"
                times = {"startedAt": started, "finishedAt": timestamps.now()}
                ended = {"exitCode": code, "reason": reason, "message": text[:_LONGEST_MESSAGE], **times}
                self._write(entry, "Failed" if code else "Succeeded", {"terminated": ended})
            finally:
                self._processes.pop(uid, None)
                self._running.pop(uid, None)

    def _write(self, entry: Entry, phase: str, state: Json) -> None:
        """The status of the pod as it is now, unless it has gone."""
        now = self._cluster.store.get(PODS, entry.namespace, entry.name)
        if now is None or now.object["metadata"]["uid"] != entry.object["metadata"]["uid"]:
            return
        container = now.object["spec"]["containers"][0]
        running = phase == "Running"
        shown = {
            "name": container["name"], "image": container["image"], "imageID": container["image"], "ready": running,
            "started": running, "restartCount": 0, "lastState": {}, "state": state,
        }  # fmt: skip
        status = {**now.object["status"], "phase": phase, "containerStatuses": [shown]}
        write_status(self._cluster, now, status)

    def _given(self, entry: Entry) -> dict[str, str]:
        """The environment of the container."""
        pod, container = entry.object, entry.object["spec"]["containers"][0]
        account = pod["spec"].get("serviceAccountName", "default")
        found = self._cluster.store.get(SERVICE_ACCOUNTS, entry.namespace, account)
        uid = found.object["metadata"]["uid"] if found else ""
        token, _ = self._cluster.tokens.give(entry.namespace, account, uid, 3600)
        given = {
            "PATH": os.environ["PATH"],
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "HOST": self._cluster.where.address,
            "TOKEN": token,
            "CA_FILE": self._cluster.where.authority,
        }
        index = (pod["metadata"].get("labels") or {}).get(INDEX)
        if index is not None:
            given["JOB_COMPLETION_INDEX"] = index
        for variable in container.get("env") or ():
            value = self._value(entry, variable)
            if value is not None:
                given[variable["name"]] = value
        return given

    def _value(self, entry: Entry, variable: Json) -> str | None:
        source = variable.get("valueFrom") or {}
        if "fieldRef" in source:
            metadata, path = entry.object["metadata"], source["fieldRef"]["fieldPath"]
            if "['" in path:
                return str((metadata.get("labels") or {}).get(path.split("'")[1], ""))
            return str(metadata[path.removeprefix("metadata.")])
        if "secretKeyRef" in source:
            reference = source["secretKeyRef"]
            secret = self._cluster.store.get(SECRETS, entry.namespace, reference["name"])
            data = (secret.object.get("data") or {}) if secret else {}
            return base64.b64decode(data[reference["key"]]).decode() if reference["key"] in data else None
        return str(variable.get("value") or "")
