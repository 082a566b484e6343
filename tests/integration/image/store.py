"""A place for images that is the tests' own, outside the checkout and outside what the machine's engines keep."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def default_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "import-images"


class Store:
    """Images, and what runs buildah on them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        # vfs needs no kernel support, and so works inside containers and virtual machines too.
        storage = folder / "storage"
        self.buildah = ["buildah", f"--root={storage}", f"--runroot={storage}/run", "--storage-driver=vfs"]

    def run(self, *arguments: str | Path) -> str:
        done = subprocess.run([*self.buildah, *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"buildah {' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout.strip()

    def has(self, image: str) -> bool:
        return bool(self.run("images", "--quiet", "--filter", f"reference={image}"))

    def config(self, image: str) -> dict[str, Any]:
        """What the image says of itself: Entrypoint, Env, Labels, User and so on."""
        found = json.loads(self.run("inspect", "--type=image", image))["OCIv1"]["config"]
        assert isinstance(found, dict)
        return found

    def diff_ids(self, image: str) -> list[str]:
        """The digests of the content of its layers."""
        found = json.loads(self.run("inspect", "--type=image", image))["OCIv1"]["rootfs"]["diff_ids"]
        assert isinstance(found, list)
        return found

    def layers(self, image: str) -> list[set[str]]:
        """The names of the files and links in each layer, the base's first."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            self.run("push", "--quiet", "--disable-compression", image, f"dir:{folder}")
            manifest = json.loads((Path(folder) / "manifest.json").read_text())
            found = []
            for layer in manifest["layers"]:
                with tarfile.open(Path(folder) / layer["digest"].removeprefix("sha256:")) as archive:
                    found.append({member.name for member in archive if not member.isdir()})
            return found

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """The image's root file system; what is changed there is lost."""
        container = self.run("from", "--pull-never", image)
        try:
            yield Path(self.run("mount", container))
        finally:
            self.run("rm", container)
