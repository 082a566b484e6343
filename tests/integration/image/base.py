"""The base: Debian with Python and nothing that Python does not need. Made once, from Debian's packages."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tests.integration.image.store import Store

SUITE = "bookworm"
PYTHON = "3.11"
IMAGE = f"localhost/import-images-base:{SUITE}"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def provide(store: Store) -> str:
    """Make the base unless the store has it; gives its name."""
    if not store.has(IMAGE):
        with tempfile.TemporaryDirectory(dir=store.folder) as folder:
            root = Path(folder) / "root"
            _bootstrap(root)
            container = store.run("from", "scratch")
            store.run("copy", "--quiet", container, root, "/")
            store.run("config", "--env", f"PATH={PATH}", container)
            store.run("commit", "--quiet", "--rm", container, IMAGE)
    return IMAGE


def _bootstrap(root: Path) -> None:
    command = ["debootstrap", "--variant=minbase", "--include=python3-venv", SUITE, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr}")
    for archive in root.glob("var/cache/apt/archives/*.deb"):
        archive.unlink()
