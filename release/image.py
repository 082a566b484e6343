"""The image for each architecture, by buildah, and the manifest list of them.

The image of this machine's architecture is built by the Containerfile. The one of the other gets the same files on the
other's base, with the compiled packages replaced by the other's wheels: none of its code runs here, so neither an
emulator nor a second machine is needed.
"""

from __future__ import annotations

import csv
import json
import platform
import shutil
import struct
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
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
        epoch: the time of the commit, in seconds, which all files and layers get.
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
        self._build_native(context, base)
        for architecture in others:
            with tempfile.TemporaryDirectory(prefix="release-") as folder:
                wheels = Path(folder) / "wheels"
                download(wheels, minor, architecture, REQUIREMENTS[:1])
                self._build_other(architecture, minor, wheels)
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
            self.bases[NATIVE] = self._base_of(container)
            return self.run("run", "--isolation=chroot", container, "--", "python3", "-c", code)
        finally:
            self.run("rm", container)

    def _base_of(self, container: str) -> str:
        """The digest of the image that a container was made from."""
        digest = self.run("inspect", "--type=container", "--format", "{{.FromImageDigest}}", container)
        if not digest.startswith("sha256:"):
            raise Failed(f"the base of {container} has no digest")
        return digest

    def _build_native(self, context: Path, base: str) -> None:
        recipe = self._recipe
        given = {
            "BASE": base, "VERSION": recipe.version, "REVISION": recipe.revision, "SOURCE": recipe.source,
            "PIP_NO_INDEX": "1",
        }  # fmt: skip
        arguments = [part for name, value in given.items() for part in ("--build-arg", f"{name}={value}")]
        options = ("--isolation=chroot", f"--timestamp={recipe.epoch}", "--format=oci")
        self.run(
            "build", *options, *arguments, "--file", context / "Containerfile", "--tag", self.name(NATIVE), context
        )

    def _build_other(self, architecture: str, minor: str, wheels: Path) -> None:
        native = self.run("from", "--pull-never", self.name(NATIVE))
        other = self.run("from", f"--arch={architecture}", self._recipe.bases[architecture])
        try:
            self.bases[architecture] = self._base_of(other)
            root = Path(self.run("mount", native))
            # Beside the original, so that the Python of this machine compiles what was replaced.
            tree = root / "other" / VENV
            shutil.copytree(root / VENV, tree, symlinks=True)
            site = tree / f"lib/python{minor}/site-packages"
            for wheel in wheels.glob("*.whl"):
                if not wheel.stem.endswith("-any"):
                    replace(site, wheel)
            compiling = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", "/other", "-p", "/")
            self.run("run", "--isolation=chroot", "--user=0", native, "--", "python3", *compiling, f"/other/{VENV}/lib")
            base = Path(self.run("mount", other))
            check_machine(tree, base, architecture)
            self.run("copy", "--quiet", "--chown=0:0", other, tree, f"/{VENV}")
            self._configure(other, architecture)
            timestamp = f"--timestamp={self._recipe.epoch}"
            self.run("commit", "--quiet", "--format=oci", timestamp, other, self.name(architecture))
        finally:
            self.run("rm", native, other)

    def _configure(self, container: str, architecture: str) -> None:
        """Give a container what the image of this machine says of itself."""
        found: dict[str, Any] = json.loads(self.run("inspect", "--type=image", self.name(NATIVE)))["OCIv1"]["config"]
        options = [f"--arch={architecture}", f"--user={found['User']}", f"--workingdir={found['WorkingDir']}"]
        options += [f"--env={pair}" for pair in found["Env"]]
        options += [f"--label={name}={value}" for name, value in found["Labels"].items()]
        self.run("config", *options, "--entrypoint", json.dumps(found["Entrypoint"]), "--cmd", "", container)


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


def check_machine(tree: Path, base: Path, architecture: str) -> None:
    """Hold everything that is compiled against the architecture it is to be for.

    Raises:
        Failed: something is for another one, or the environment's Python is not in the base.
    """
    wanted = ARCHITECTURES[architecture][1]
    wrong = [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file() and not path.is_symlink()
             and machine_of(path) not in (None, wanted)]  # fmt: skip
    if wrong:
        raise Failed(f"not for {architecture}: {', '.join(wrong)}")
    link = (tree / "bin" / "python3").readlink()
    while (place := base / str(link).lstrip("/")).is_symlink():
        target = place.readlink()
        link = target if target.is_absolute() else Path("/") / link.parent.relative_to("/") / target
    if not place.is_file() or machine_of(place) != wanted:
        raise Failed(f"the base for {architecture} has no {link} for it: {place}")


def extract(archive: Path, folder: Path) -> None:
    """Unpack an archive of git."""
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
