"""What the suite is given: variables of the environment, all checked at once before anything is touched."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "import-images-e2e"
# As in the job's own settings.
STABLE = "15s"
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """One cluster, and how its pods and the tests reach the same registry and Pushgateway.

    Attributes:
        kubeconfig: the file; None: the one that the kubernetes package finds.
        prefix: how the names of the suite's namespaces begin.
        registry: HOST[:PORT] that the tests push to and the cluster pulls from.
        repository: what the names of the repositories there begin with.
        registry_login: USER:PASSWORD for pushing.
        insecure: whether the registry is plain HTTP.
        image: the job's image.
        pushgateway: HOST:PORT as the job sees it.
        pushgateway_local: its URL as the tests see it.
        pods: whether the job runs in pods.
        workloads: whether the pods of workloads come up: false on a cluster without a node.
        run_as_user: of the pods, where no security context constraint gives one.
        stable: ROLLOUT_STABLE of the runs.
    """

    registry: str
    kubeconfig: str | None = None
    prefix: str = PREFIX
    repository: str = ""
    registry_login: str = ""
    insecure: bool = False
    image: str = ""
    pushgateway: str = ""
    pushgateway_local: str = ""
    pods: bool = True
    workloads: bool = True
    run_as_user: int | None = None
    stable: str = STABLE

    @property
    def patience(self) -> float:
        """Seconds within which what the cluster does by itself has happened."""
        return 300.0 if self.pods else 90.0


def read(environment: Mapping[str, str] | None = None) -> tuple[Settings | None, list[str]]:
    """The settings, or what is missing or wrong, one line each."""
    given = os.environ if environment is None else environment
    problems: list[str] = []
    flags = {name: _flag(given, f"E2E_{name}", default, problems) for name, default in _FLAGS.items()}
    values = {name: given.get(f"E2E_{name}", "").strip() for name in _TEXTS}
    if not values["REGISTRY"]:
        problems.append("E2E_REGISTRY: HOST[:PORT][/PATH] of a registry that this machine and the cluster both reach")
    if flags["PODS"] and not values["IMAGE"]:
        problems.append("E2E_IMAGE: the job's image, as the cluster pulls it; or E2E_PODS=false to leave out pods")
    if bool(values["PUSHGATEWAY"]) != bool(values["PUSHGATEWAY_LOCAL"]):
        problems.append("E2E_PUSHGATEWAY and E2E_PUSHGATEWAY_LOCAL: both or neither")
    if values["RUN_AS_USER"] and not values["RUN_AS_USER"].isdecimal():
        problems.append("E2E_RUN_AS_USER: a number")
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?", values["PREFIX"] or PREFIX):
        problems.append("E2E_PREFIX: up to 32 of a-z, 0-9 and -, as names of namespaces begin")
    if problems:
        return None, problems
    registry, _, repository = values["REGISTRY"].partition("/")
    return Settings(
        registry=registry,
        prefix=values["PREFIX"] or PREFIX,
        repository=f"{repository.strip('/')}/" if repository else "",
        registry_login=values["REGISTRY_LOGIN"],
        insecure=flags["REGISTRY_INSECURE"],
        image=values["IMAGE"],
        pushgateway=values["PUSHGATEWAY"],
        pushgateway_local=values["PUSHGATEWAY_LOCAL"].rstrip("/"),
        pods=flags["PODS"],
        workloads=flags["PODS"] or flags["WORKLOADS"],
        run_as_user=int(values["RUN_AS_USER"]) if values["RUN_AS_USER"] else None,
        stable=values["STABLE"] or STABLE,
    ), []


_FLAGS = {"REGISTRY_INSECURE": False, "PODS": True, "WORKLOADS": False}
_TEXTS = (
    *("REGISTRY", "REGISTRY_LOGIN", "IMAGE", "PUSHGATEWAY", "PUSHGATEWAY_LOCAL", "RUN_AS_USER", "PREFIX", "STABLE"),
)


def _flag(given: Mapping[str, str], name: str, default: bool, problems: list[str]) -> bool:
    text = given.get(name, "").strip().lower()
    if text and text not in _WORDS:
        problems.append(f"{name}: true or false")
    return _WORDS.get(text, default)


def missing_programs() -> list[str]:
    """What the test images are made of, unless it is here and static."""
    program = shutil.which("busybox")
    # A dynamic program names its loader.
    if program and b"/ld-linux" not in Path(program).read_bytes()[:4096]:
        return []
    return ["busybox: a static one, from which the test images are made (Debian: busybox-static)"]
