"""The image for each architecture, by buildah, and the manifest list of them.

The Containerfile builds the files and the configuration on the base of this machine's architecture. The image of each
architecture gets them on its own base, in two layers: the packages, then the job. The image of the other architecture
gets the other's wheels instead of the compiled packages: none of its code runs here, so neither an emulator nor a
second machine is needed.

All files of the packages have one constant time, so that the same packages are the same layer in every release. The
job's layer and the image have the commit's time, so that the age of an image is known.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import shutil
import struct
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from release.commands import Failed, python, run

ARCHITECTURES = {"amd64": ("x86_64", 62), "arm64": ("aarch64", 183)}
NATIVE = {machine: name for name, (machine, _) in ARCHITECTURES.items()}[platform.machine()]
VENV = "opt/import-images"
REQUIREMENTS = ("requirements.txt", "requirements-build.txt")
# From the oldest C library that wheels are still made for to the one of the default base.
C_LIBRARIES = range(17, 35)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the images are made of.

    Attributes:
        bases: the base image by architecture.
        version: of the release.
        revision: the commit.
        source: the address of the repository.
        epoch: the time of the commit, in seconds, which the image and the files of the job get.
    """

    bases: dict[str, str]
    version: str
    revision: str
    source: str
    epoch: int


class Builder:
    """buildah with a storage of its own, which needs no support of the kernel."""

    def __init__(self, storage: Path, recipe: Recipe) -> None:
        self._buildah = ("buildah", f"--root={storage}", f"--runroot={storage}/run", "--storage-driver=vfs")
        self._recipe = recipe
        # The digest of each base, by architecture, once an image is made from it.
        self.bases: dict[str, str] = {}

    def run(self, *arguments: str | Path) -> str:
        return run(*self._buildah, *arguments)

    def name(self, architecture: str) -> str:
        return f"localhost/import-images:{self._recipe.version}-{architecture}"

    def build(self, context: Path) -> list[str]:
        """Build all images from a folder with the sources; gives the architectures, this machine's first."""
        others = [name for name in self._recipe.bases if name != NATIVE]
        base = self._recipe.bases[NATIVE]
        minor = self._python_of(base)
        download(context / "wheels", minor, NATIVE, REQUIREMENTS)
        files = self._build_files(context, base)
        self._assemble(NATIVE, files, minor)
        for architecture in others:
            with tempfile.TemporaryDirectory(prefix="release-") as folder:
                wheels = Path(folder) / "wheels"
                download(wheels, minor, architecture, REQUIREMENTS[:1])
                self._assemble(architecture, files, minor, wheels)
        self.run("rmi", files)
        return [NATIVE, *others]

    def push(self, architectures: list[str], destination: str) -> str:
        """Write the manifest list with its images somewhere, as buildah names places; gives its digest."""
        name = f"localhost/import-images-list:{self._recipe.version}"
        if name in self.run("images", "--format", "{{.Name}}:{{.Tag}}"):
            self.run("manifest", "rm", name)
        self.run("manifest", "create", name)
        for architecture in architectures:
            self.run("manifest", "add", name, self.name(architecture))
        with tempfile.NamedTemporaryFile("r") as digest:
            self.run("manifest", "push", "--all", "--digestfile", digest.name, name, destination)
            return digest.read().strip()

    def _python_of(self, base: str) -> str:
        container = self.run("from", base)
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        try:
            return self.run("run", "--isolation=chroot", container, "--", "python3", "-c", code)
        finally:
            self.run("rm", container)

    def _base_of(self, container: str) -> str:
        """The digest of the image that a container was made from."""
        digest = self.run("inspect", "--type=container", "--format", "{{.FromImageDigest}}", container)
        if not digest.startswith("sha256:"):
            raise Failed(f"the base of {container} has no digest")
        return digest

    def _build_files(self, context: Path, base: str) -> str:
        """Build the image of the Containerfile, with the files and the configuration of all images; gives its id."""
        recipe = self._recipe
        created = datetime.fromtimestamp(recipe.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        labels = {
            "version": recipe.version, "revision": recipe.revision, "source": recipe.source, "created": created,
        }  # fmt: skip
        arguments = ["--build-arg", f"BASE={base}", "--build-arg", "PIP_NO_INDEX=1"]
        for name, value in labels.items():
            arguments += ["--label", f"org.opencontainers.image.{name}={value}"]
        # Without --layers, which would take layers from its cache whose files have other times.
        options = ("--quiet", "--isolation=chroot", "--format=oci", "--layers=false")
        return self.run("build", *options, *arguments, "--file", context / "Containerfile", context)

    def _assemble(self, architecture: str, files: str, minor: str, wheels: Path | None = None) -> None:
        """Make the image for an architecture; `wheels` has the compiled packages of another one than this machine's."""
        native = self.run("from", "--pull-never", files)
        options = () if wheels is None else (f"--arch={architecture}",)
        other = self.run("from", *options, self._recipe.bases[architecture])
        try:
            self.bases[architecture] = self._base_of(other)
            root = Path(self.run("mount", native))
            packages, job = root / "packages" / VENV, root / "job" / VENV
            divide(root / VENV, packages, job)
            if wheels is not None:
                self._exchange(native, packages, minor, wheels)
            layer = self._layer(other, packages, "packages of requirements.txt", 0)
            complete = self.run("from", "--pull-never", layer)
            try:
                self._configure(complete, architecture, files)
                self._layer(complete, job, f"import-images {self._recipe.version}", self._recipe.epoch, architecture)
                check_machine(Path(self.run("mount", complete)), architecture)
            finally:
                self.run("rm", complete)
                self.run("rmi", layer)
        finally:
            self.run("rm", native, other)

    def _exchange(self, container: str, packages: Path, minor: str, wheels: Path) -> None:
        """Put another architecture's wheels in the place of what is compiled; the container's Python compiles them."""
        site = packages / f"lib/python{minor}/site-packages"
        for wheel in wheels.glob("*.whl"):
            if not wheel.stem.endswith("-any"):
                replace(site, wheel)
        compiling = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", "/packages", "-p", "/")
        command = ("python3", *compiling, f"/packages/{VENV}/lib")
        self.run("run", "--isolation=chroot", "--user=0", container, "--", *command)

    def _layer(self, container: str, tree: Path, comment: str, epoch: int, architecture: str = "") -> str:
        """Commit a container with an environment's files as one layer more; gives the image's id."""
        self.run("copy", "--quiet", "--chown=0:0", container, tree, f"/{VENV}")
        self.run("config", "--created-by", f"COPY {comment} in /{VENV}", container)
        # Gives this time to all files of the layer, and to the image.
        options = ("--quiet", "--format=oci", f"--timestamp={epoch}")
        return self.run("commit", *options, container, *([self.name(architecture)] if architecture else []))

    def _configure(self, container: str, architecture: str, files: str) -> None:
        """Give a container the configuration of the Containerfile's image."""
        config: dict[str, Any] = json.loads(self.run("inspect", "--type=image", files))["OCIv1"]["config"]
        options = [f"--arch={architecture}", f"--user={config['User']}", f"--workingdir={config['WorkingDir']}"]
        options += [f"--env={pair}" for pair in config["Env"]]
        options += [f"--label={name}={value}" for name, value in config["Labels"].items()]
        self.run("config", *options, "--entrypoint", json.dumps(config["Entrypoint"]), "--cmd", "", container)


def download(folder: Path, minor: str, architecture: str, requirements: tuple[str, ...]) -> None:
    """Fill a folder with the wheels that requirements files name, for a Python and an architecture."""
    machine = ARCHITECTURES[architecture][0]
    platforms = [f"manylinux2014_{machine}", *(f"manylinux_2_{number}_{machine}" for number in C_LIBRARIES)]
    for name in requirements:
        python(
            "-m", "pip", "download", "--quiet", "--dest", folder, "--require-hashes", "--no-deps",
            "--only-binary=:all:", "--implementation=cp", f"--python-version={minor}",
            *(f"--platform={name}" for name in platforms), "--requirement", name,
        )  # fmt: skip


def divide(environment: Path, packages: Path, job: Path) -> None:
    """Copy an environment as two trees: the packages of requirements.txt, and the job that is installed beside them.

    Folders that have files of both are in both. What the job is, its wheel's RECORD says.

    Raises:
        Failed: the job is not installed, or more than once.
    """
    records = list(environment.glob("lib/python3.*/site-packages/import_images-*.dist-info/RECORD"))
    if len(records) != 1:
        raise Failed(f"the job is installed {len(records)} times in {environment}")
    site = records[0].parents[1]
    with records[0].open(newline="") as lines:
        own = {owned_by(site, row[0]) for row in csv.reader(lines)}
    kept = own | {folder for path in own for folder in path.parents}

    def of_job(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if Path(folder, name) in own}

    def of_packages(folder: str, names: list[str]) -> set[str]:
        inside = not own.isdisjoint((Path(folder), *Path(folder).parents))
        return set() if inside else {name for name in names if Path(folder, name) not in kept}

    shutil.copytree(environment, packages, symlinks=True, ignore=of_job)
    shutil.copytree(environment, job, symlinks=True, ignore=of_packages)


def owned_by(site: Path, line: str) -> Path:
    """What a package alone has, by a file that its RECORD names: a folder of site-packages, or one file.

    A folder has the bytecode too, which no RECORD names.
    """
    path = Path(os.path.normpath(site / line))
    return site / path.relative_to(site).parts[0] if path.is_relative_to(site) else path


def replace(site: Path, wheel: Path) -> None:
    """Put a wheel in the place of the same package that is installed."""
    package, version = wheel.name.split("-")[:2]
    with (site / f"{package}-{version}.dist-info" / "RECORD").open(newline="") as lines:
        files = [site / row[0] for row in csv.reader(lines)]
    for path in files:
        # Scripts are in the environment's bin, and are no machine's own.
        if path.is_file() and ".." not in path.relative_to(site).parts:
            path.unlink()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)


def machine_of(path: Path) -> int | None:
    """The machine that a program or library of ELF is for; None of another file."""
    with path.open("rb") as file:
        head = file.read(20)
    return int(struct.unpack_from("<H", head, 18)[0]) if head[:4] == b"\x7fELF" else None


def check_machine(root: Path, architecture: str) -> None:
    """Hold everything compiled of an image's environment against the architecture it is to be for.

    Raises:
        Failed: something is for another one, or the environment's Python is not in the image.
    """
    wanted, tree = ARCHITECTURES[architecture][1], root / VENV
    wrong = [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file() and not path.is_symlink()
             and machine_of(path) not in (None, wanted)]  # fmt: skip
    if wrong:
        raise Failed(f"not for {architecture}: {', '.join(wrong)}")
    link = (tree / "bin" / "python3").readlink()
    while (place := root / str(link).lstrip("/")).is_symlink():
        target = place.readlink()
        link = target if target.is_absolute() else Path("/") / link.parent.relative_to("/") / target
    if not place.is_file() or machine_of(place) != wanted:
        raise Failed(f"the base for {architecture} has no {link} for it: {place}")


def extract(archive: Path, folder: Path) -> None:
    """Unpack an archive of git."""
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
