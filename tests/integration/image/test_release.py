"""`make release` without publishing: every file is made, and holds together."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from job import VERSION
from tests.integration.image import base
from tests.integration.image.store import Store, default_folder
from tests.support.paths import ROOT

pytestmark = [pytest.mark.image, pytest.mark.timeout(3000)]

ARM_BASE = f"localhost/import-images-base:{base.SUITE}-arm64"


@pytest.fixture(scope="module")
def store() -> Store:
    assert os.geteuid() == 0, "building the image's base needs root"
    return Store(default_folder())


def provide_arm_base(store: Store) -> str:
    """Debian for the other architecture, only unpacked, since nothing of it can run here; gives its name."""
    if store.has(ARM_BASE):
        return ARM_BASE
    with tempfile.TemporaryDirectory(dir=store.folder) as folder:
        root = Path(folder) / "root"
        bootstrap = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", "--include=python3-venv"]
        subprocess.run([*bootstrap, base.SUITE, str(root)], check=True, capture_output=True)
        for archive in root.glob("var/cache/apt/archives/*.deb"):
            subprocess.run(["dpkg-deb", "--extract", archive, root], check=True)
            archive.unlink()
        container = store.run("from", "scratch")
        store.run("copy", "--quiet", container, root, "/")
        store.run("config", "--arch=arm64", "--env", f"PATH={base.PATH}", container)
        store.run("commit", "--quiet", "--rm", container, ARM_BASE)
    return ARM_BASE


@pytest.fixture(scope="module")
def made(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a release of the current commit."""
    folder = tmp_path_factory.mktemp("release") / "files"
    native, other = base.provide(store), provide_arm_base(store)
    options = ["--anyway", "--output", str(folder), "--storage", str(store.folder / "storage")]
    command = [sys.executable, "-m", "release", *options, "--base", native, "--base-arm64", other, VERSION]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing was published" in done.stdout
    return folder


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def blob(archive: tarfile.TarFile, digest: str) -> dict[str, Any]:
    file = archive.extractfile(f"blobs/{digest.replace(':', '/')}")
    assert file
    data = file.read()
    assert digest_of(data) == digest
    found = json.loads(data)
    assert isinstance(found, dict)
    return found


def test_every_file_is_there_and_summed(made: Path) -> None:
    names = {path.name for path in made.iterdir()}
    assert names == {
        f"import_images-{VERSION}-py3-none-any.whl",
        f"import_images-{VERSION}.tar.gz",
        "kubectl-import_images.tar.gz",
        f"import-images-{VERSION}.oci.tar",
        f"import-images-{VERSION}-manifests.tar.gz",
        "sbom.cdx.json",
        "provenance.intoto.json",
        "notes.md",
        "SHA256SUMS",
    }
    lines = [line.split("  ") for line in (made / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert sums.keys() == names - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert digest_of((made / name).read_bytes()) == f"sha256:{digest}"
    sbom = json.loads((made / "sbom.cdx.json").read_text())
    with (ROOT / "pyproject.toml").open("rb") as file:
        dependencies = tomllib.load(file)["project"]["dependencies"]
    assert len(sbom["components"]) >= len(dependencies)


def test_the_images_are_for_both_architectures_and_the_manifests_name_them(made: Path) -> None:
    with tarfile.open(made / f"import-images-{VERSION}.oci.tar") as archive:
        layout = archive.extractfile("index.json")
        assert layout
        (entry,) = json.load(layout)["manifests"]
        configs = {}
        for image in blob(archive, entry["digest"])["manifests"]:
            config = blob(archive, blob(archive, image["digest"])["config"]["digest"])
            assert config["architecture"] == image["platform"]["architecture"]
            configs[config["architecture"]] = config
    assert configs.keys() == {"amd64", "arm64"}
    assert configs["amd64"]["config"] == configs["arm64"]["config"]
    assert configs["amd64"]["created"] == configs["arm64"]["created"]
    labels = configs["arm64"]["config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == VERSION
    with tarfile.open(made / f"import-images-{VERSION}-manifests.tar.gz") as archive:
        file = archive.extractfile("manifests/base/kustomization.yaml")
        assert file
        (setting,) = yaml.safe_load(file)["images"]
    assert setting["digest"] == entry["digest"]
    statement = json.loads((made / "provenance.intoto.json").read_text())
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    bases = [dependency["name"] for dependency in dependencies if "-base:" in dependency.get("name", "")]
    assert bases == [f"{base.IMAGE} (amd64)", f"{ARM_BASE} (arm64)"]
    assert f"sha256:{subjects[setting['name']]}" == entry["digest"]


def test_the_wheel_runs(made: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", environment], check=True)
    wheel = made / f"import_images-{VERSION}-py3-none-any.whl"
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    done = subprocess.run(
        [environment / "bin" / "import-images", "--version"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert VERSION in done.stdout
