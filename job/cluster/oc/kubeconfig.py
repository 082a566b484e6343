"""The temporary kubeconfig by which HOST and TOKEN reach `oc`, so that the token is on no command line.

It lies in memory where the machine offers a folder for that, so that a token never reaches a disk. A process that is
killed cannot remove its file. So each one holds a lock on its own, and every later one removes the files that are no
longer locked.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from job.config.settings import Settings
from job.domain.errors import UsageError

PREFIX, SUFFIX = "import-images-", ".kubeconfig"
_MEMORY = frozenset({"tmpfs", "ramfs"})


class TokenFile:
    """A kubeconfig for HOST and TOKEN, for its owner only; it exists until `remove` or the program's end."""

    def __init__(self, settings: Settings) -> None:
        """Write the file.

        Raises:
            UsageError: there is no room for it in any folder.
        """
        remove_leftovers()
        problem: OSError | None = None
        for folder in _folders():
            try:
                self.path, self._file = _create_locked(folder)
                atexit.register(self.remove)
                json.dump(_kubeconfig(settings), self._file)
                self._file.flush()
                return
            except OSError as error:
                problem = error
        message = f"HOST and TOKEN need a temporary file with CLIENT=oc: {problem}"
        raise UsageError([f"{message}; make room, or set TMPDIR to another folder"]) from problem

    def remove(self) -> None:
        """Remove the file, if it is still there."""
        self.path.unlink(missing_ok=True)
        with suppress(OSError):
            self._file.close()


def _create_locked(folder: Path) -> tuple[Path, IO[str]]:
    """An empty file with mode 0600. It gets its name once it is locked, so that no other process takes it for left."""
    number, name = tempfile.mkstemp(prefix=PREFIX, suffix=".new", dir=folder)
    file = os.fdopen(number, "w", encoding="utf-8")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return Path(name).rename(Path(name).with_suffix(SUFFIX)), file


def remove_leftovers() -> None:
    """Remove the files of processes that were killed: those of this user that no process locks."""
    for folder in _folders():
        with suppress(OSError):
            for file in sorted(folder.glob(f"{PREFIX}*{SUFFIX}")):
                with suppress(OSError):
                    _remove_unlocked(file)


def _remove_unlocked(file: Path) -> None:
    """Remove a file that no process locks.

    Raises:
        OSError: it is locked, or not this user's to open.
    """
    number = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if os.fstat(number).st_uid == os.geteuid():
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.unlink()
    finally:
        os.close(number)


def _folders() -> list[Path]:
    """Where such a file may be, best first: folders in memory, then the one for temporary files."""
    return [*memory_folders(), Path(tempfile.gettempdir())]


def memory_folders() -> list[Path]:
    """Writable folders whose content is never on a disk (Linux: the user's runtime folder, /dev/shm)."""
    candidates = [Path(runtime)] if (runtime := os.environ.get("XDG_RUNTIME_DIR")) else []
    candidates.append(Path("/dev/shm"))  # noqa: S108 - mkstemp chooses the name
    return [folder for folder in candidates if os.access(folder, os.W_OK | os.X_OK) and _is_in_memory(folder)]


def _is_in_memory(folder: Path) -> bool:
    """Whether a folder's file system is kept in memory (Linux: /proc/self/mounts)."""
    kind, longest = "", -1
    with suppress(OSError, ValueError):
        place = str(folder.resolve())
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
            mount, kind_there = line.split()[1:3]
            mount = mount.replace("\\040", " ").rstrip("/")
            if (place == mount or place.startswith(mount + "/")) and len(mount) >= longest:
                kind, longest = kind_there, len(mount)
    return kind in _MEMORY


def _kubeconfig(settings: Settings) -> dict[str, object]:
    """The content of the file; JSON is YAML."""
    cluster: dict[str, object] = {"server": settings.host, "insecure-skip-tls-verify": not settings.verify_tls}
    if settings.ca_file and settings.verify_tls:
        cluster["certificate-authority"] = str(Path(settings.ca_file).absolute())
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "import-images",
        "clusters": [{"name": "import-images", "cluster": cluster}],
        "users": [{"name": "import-images", "user": {"token": settings.token}}],
        "contexts": [{"name": "import-images", "context": {"cluster": "import-images", "user": "import-images"}}],
    }
