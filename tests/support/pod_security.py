"""Kubernetes' Pod Security Standard `restricted`, field by field, and what OpenShift's SCC restricted-v2 adds to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]

_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
}  # fmt: skip
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
_PROFILES = {"RuntimeDefault", "Localhost"}


def violations(pod: Object) -> list[str]:
    """What in a pod's spec the standard forbids; none if all is well."""
    found = list(_of_pod(pod))
    own = pod.get("securityContext") or {}
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in pod.get(kind) or ():
            found += [f"{container['name']}: {each}" for each in _of_container(container, own)]
    return found


def _of_pod(pod: Object) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    for volume in pod.get("volumes") or ():
        if not _VOLUMES.issuperset(volume.keys() - {"name"}):
            yield f"volume {volume['name']}"
    context = pod.get("securityContext") or {}
    for sysctl in context.get("sysctls") or ():
        if sysctl["name"] not in _SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess"
    # OpenShift gives out user and group from the namespace's range; restricted-v2 refuses any that are asked for.
    for field in ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"):
        if field in context:
            yield field
    yield from _of_labels(context)


def _of_container(container: Object, pod: Object) -> Iterator[str]:  # noqa: C901 - one branch for each rule of the restricted profile
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()):
        yield "capabilities.drop"
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield "capabilities.add"
    if context.get("procMount", "Default") != "Default":
        yield "procMount"
    if context.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot"
    if "runAsUser" in context or "runAsGroup" in context:
        yield "runAsUser"
    if ((context.get("seccompProfile") or pod.get("seccompProfile")) or {}).get("type") not in _PROFILES:
        yield "seccompProfile"
    for port in container.get("ports") or ():
        if port.get("hostPort"):
            yield "hostPort"
    for handler in ("livenessProbe", "readinessProbe", "startupProbe"):
        if "host" in ((container.get(handler) or {}).get("httpGet") or {}):
            yield f"{handler}.httpGet.host"
    yield from _of_labels(context)


def _of_labels(context: Object) -> Iterator[str]:
    labels = context.get("seLinuxOptions") or {}
    if labels.get("type", "") not in _SELINUX_TYPES or labels.get("user") or labels.get("role"):
        yield "seLinuxOptions"
    if (context.get("appArmorProfile") or {"type": "RuntimeDefault"})["type"] not in _PROFILES:
        yield "appArmorProfile"
