"""What can be changed while the sandbox runs, through the control endpoint."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tests.sandbox.workloads.lives import BEHAVIOURS, READY
from tests.sandbox.workloads.lone_pods import CONTAINERD, RUNTIMES


@dataclass(slots=True)
class Settings:
    """The knobs of one sandbox; every time is in seconds."""

    # Images of one request after the third wait for each other, as OpenShift's per-request rate limiter has it.
    pacing: bool = True
    pacing_burst: int = 3
    pacing_rate: float = 2.0
    # OpenShift's controller that imports tags whose spec is newer than their status.
    import_controller: bool = False
    import_controller_delay: float = 0.1
    # OpenShift's controller that keeps what follows a tag on its newest image; and those that make pods.
    trigger_controller: bool = True
    # How long a workload keeps its old image after its tag has moved, or another one that somebody set.
    trigger_delay: float = 0.05
    workload_controllers: bool = True
    # How long a container takes to come up, or to crash; and what kubelet waits before it starts a crashed one for the
    # third time, which doubles from there on.
    pod_ready_delay: float = 0.05
    crash_back_off: float = 0.5
    # What containers do by a part of their image's reference, such as the digest: one of `workloads.lives`. Of several
    # that fit, the last counts; of none, a container becomes ready.
    image_behaviours: dict[str, str] = field(default_factory=dict)
    # What keeps a pod from a node that somebody created by hand: how many there may be, by namespace, and a regular
    # expression of the namespaces for which no node has room.
    pod_quota: dict[str, int] = field(default_factory=dict)
    unschedulable: str = ""
    # Which of `workloads.lone_pods.RUNTIMES` the node has.
    container_runtime: str = CONTAINERD
    # The image of the job: CronJobs make Jobs and Jobs make pods, and those of this image run as processes. If empty,
    # Jobs and CronJobs are only stored.
    job_image: str = ""
    # None allows every registry, as an unset allowedRegistriesForImport does; entries are "host" or "host:port" globs.
    allowed_registries: list[str] | None = None
    blocked_registries: list[str] = field(default_factory=list)
    # Extra seconds for each image an import fetches, by a regular expression that "host/repository" must match.
    registry_latency: dict[str, float] = field(default_factory=dict)
    internal_registry: str = "image-registry.openshift-image-registry.svc:5000"
    external_registry: str = ""
    repository_import_limit: int = 50
    # An import that names no timeout of its own.
    import_timeout: float = 34.0
    request_timeout: float = 60.0
    tls_handshake_timeout: float = 10.0
    ping_timeout: float = 15.0
    # How long a registry that answered a ping is taken to be there. OpenShift asks anew for every import, which with
    # thousands of imports would be a third of all work; a registry that is gone meanwhile is noticed all the same.
    ping_lifetime: float = 1.0
    # What the registry client waits before it asks a registry again that answered 429.
    retry_rate_limited: float = 2.0
    # How long a continue token can be used.
    continue_lifetime: float = 300.0

    def change(self, changes: dict[str, Any]) -> None:
        """Take over new values; a name that is not a setting, or a value of another type, is a ValueError."""
        known = {each.name for each in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"no such setting: {name}")
            _check(name, getattr(Settings(), name), value)
        for name, value in changes.items():
            if name == "registry_latency" and isinstance(value, (int, float)):
                value = {".*": float(value)} if value else {}
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def behaviour_of(self, image: str, own: str = "") -> str:
        """What a container of an image does; `own` is what the image says of itself."""
        return next((how for part, how in reversed(self.image_behaviours.items()) if part in image), own or READY)

    def latency_of(self, repository: str) -> float:
        for pattern, seconds in self.registry_latency.items():
            if re.search(pattern, repository):
                return seconds
        return 0.0


def _check(name: str, default: object, value: object) -> None:
    if name == "allowed_registries" and value is None:
        return
    if name == "registry_latency" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return
    if name == "image_behaviours" and isinstance(value, dict) and not set(value.values()) <= set(BEHAVIOURS):
        raise ValueError(f"{name}: {value!r} is none of {', '.join(BEHAVIOURS)}")
    if name == "container_runtime" and value not in RUNTIMES:
        raise ValueError(f"{name}: {value!r} is none of {', '.join(RUNTIMES)}")
    wanted: type | tuple[type, ...] = list if name == "allowed_registries" else type(default)
    if wanted is float:
        wanted = (int, float)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        raise ValueError(f"{name}: {value!r} is not of the right type")
