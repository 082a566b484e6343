"""Building the image with `make image`, on the base and without a network."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tests.integration.image import base
from tests.integration.image.store import Store
from tests.support.paths import ROOT

IMAGE = "localhost/import-images:check"
REQUIREMENTS = ("requirements.txt", "requirements-build.txt")
# From the oldest C library that wheels are still made for to the one of the default base.
_C_LIBRARIES = range(17, 35)


def build(store: Store, folder: Path) -> str:
    """Build the image from this checkout, in an empty folder for the build's context; gives its name."""
    _lay_out(folder)
    shutil.copytree(_wheels(store), folder / "wheels", dirs_exist_ok=True)
    options = "--isolation=chroot --pull=never --build-arg PIP_NO_INDEX=1"
    settings = {"ENGINE": " ".join(store.buildah), "IMAGE": IMAGE, "BASE": base.provide(store), "ARGS": options}
    done = subprocess.run(
        ["unshare", "--net", "make", "image", *(f"{name}={value}" for name, value in settings.items())],
        cwd=folder,
        # The labels tell of the checkout, and the context has no history.
        env={**os.environ, "GIT_DIR": str(ROOT / ".git"), "GIT_WORK_TREE": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"make image: {done.stdout}")
    store.run("rmi", "--prune")
    return IMAGE


def _lay_out(folder: Path) -> None:
    """Copy what `.dockerignore` lets into the context, and what `make image` needs beside it."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    for name in ["Makefile", "Containerfile", ".dockerignore", *(line[1:] for line in lines if line.startswith("!"))]:
        place = ROOT / name
        if name == "wheels":
            (folder / name).mkdir()
        elif place.is_dir():
            shutil.copytree(place, folder / name)
        else:
            shutil.copy(place, folder / name)


def _wheels(store: Store) -> Path:
    """A folder with the wheels that the image needs; filled by pip when the requirements are new."""
    texts = b"".join((ROOT / name).read_bytes() for name in REQUIREMENTS)
    folder = store.folder / "wheels" / hashlib.sha256(texts).hexdigest()[:16]
    if folder.exists():
        return folder
    shutil.rmtree(folder.parent, ignore_errors=True)
    machine = platform.machine()
    platforms = [f"manylinux2014_{machine}", *(f"manylinux_2_{minor}_{machine}" for minor in _C_LIBRARIES)]
    partial = folder.with_name("partial")
    for name in REQUIREMENTS:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(partial)]
        command += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--implementation=cp"]
        command += [f"--python-version={base.PYTHON}", *(f"--platform={name}" for name in platforms)]
        subprocess.run([*command, "--requirement", str(ROOT / name)], check=True)
    partial.rename(folder)
    return folder
