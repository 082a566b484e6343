"""`make release` without publishing: every file is made, and holds together."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from job import VERSION
from release import image
from tests.integration.image import base
from tests.integration.image.layouts import Image, check_split, digest_of, read
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


@pytest.fixture(scope="module")
def released(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Image]]:
    """The digest of the release's manifest list, and its images by architecture."""
    layout = tmp_path_factory.mktemp("layout")
    image.extract(made / f"import-images-{VERSION}.oci.tar", layout)
    return read(layout)


@pytest.fixture(scope="module")
def recipe(store: Store) -> image.Recipe:
    """What the release makes its images of."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        source = tomllib.load(file)["project"]["urls"]["Source"]
    commit = ["git", "show", "--no-patch", "--format=%H %ct", "HEAD"]
    revision, epoch = subprocess.run(commit, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    bases = {"amd64": base.provide(store), "arm64": provide_arm_base(store)}
    return image.Recipe(bases, VERSION, revision, source, int(epoch))


def build(store: Store, recipe: image.Recipe, folder: Path, *, added: str = "") -> dict[str, Image]:
    """The images of the current commit, or of one that adds some code to the job, by architecture."""
    archive, context, layout = folder / "commit.tar", folder / "context", folder / "layout"
    subprocess.run(["git", "archive", "--output", archive, "HEAD"], cwd=ROOT, check=True)
    image.extract(archive, context)
    with (context / "job" / "cli.py").open("a") as code:
        code.write(added)
    builder = image.Builder(store.folder / "storage", recipe)
    builder.push(builder.build(context), f"oci:{layout}:{recipe.version}")
    return read(layout)[1]


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


def test_the_images_are_for_both_architectures_and_the_manifests_name_them(
    made: Path, released: tuple[str, dict[str, Image]], recipe: image.Recipe
) -> None:
    digest, images = released
    assert images.keys() == {"amd64", "arm64"}
    amd64, arm64 = images["amd64"].config, images["arm64"].config
    assert amd64["config"] == arm64["config"]
    assert amd64["created"] == arm64["created"]
    labels = arm64["config"]["Labels"]
    given = {name: labels[f"org.opencontainers.image.{name}"] for name in ("version", "revision", "source")}
    assert given == {"version": VERSION, "revision": recipe.revision, "source": recipe.source}
    with tarfile.open(made / f"import-images-{VERSION}-manifests.tar.gz") as archive:
        file = archive.extractfile("manifests/base/kustomization.yaml")
        assert file
        (setting,) = yaml.safe_load(file)["images"]
    assert setting["digest"] == digest
    statement = json.loads((made / "provenance.intoto.json").read_text())
    subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
    dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    bases = [dependency["name"] for dependency in dependencies if "-base:" in dependency.get("name", "")]
    assert bases == [f"{base.IMAGE} (amd64)", f"{ARM_BASE} (arm64)"]
    assert f"sha256:{subjects[setting['name']]}" == digest


def test_each_image_is_the_packages_and_the_job_on_its_base(
    store: Store, released: tuple[str, dict[str, Image]], recipe: image.Recipe
) -> None:
    commit = datetime.fromtimestamp(recipe.epoch, UTC)
    for architecture, made in released[1].items():
        *others, packages, job = made.layers
        assert [layer.diff_id for layer in others] == store.diff_ids(recipe.bases[architecture])
        check_split(packages.files, job.files)
        assert packages.times == {0}
        assert job.times == {recipe.epoch}
        assert datetime.fromisoformat(made.config["created"]) == commit
        assert made.config["config"]["Labels"]["org.opencontainers.image.created"] == f"{commit:%Y-%m-%dT%H:%M:%SZ}"


def test_a_new_version_with_the_same_packages_has_their_layer(
    store: Store, released: tuple[str, dict[str, Image]], recipe: image.Recipe, tmp_path: Path
) -> None:
    later = dataclasses.replace(recipe, version="0.0.1", revision="f" * 40, epoch=recipe.epoch + 86400)
    changed = build(store, later, tmp_path, added="\nCHANGED = True\n")
    for architecture, before in released[1].items():
        after = changed[architecture]
        assert after.layers[:-1] == before.layers[:-1]
        assert after.layers[-1].diff_id != before.layers[-1].diff_id
        assert after.layers[-1].digest != before.layers[-1].digest


def test_the_same_commit_is_the_same_image(
    store: Store, released: tuple[str, dict[str, Image]], recipe: image.Recipe, tmp_path: Path
) -> None:
    alone = dataclasses.replace(recipe, bases={image.NATIVE: recipe.bases[image.NATIVE]})
    again = build(store, alone, tmp_path)[image.NATIVE]
    assert again == released[1][image.NATIVE]


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
