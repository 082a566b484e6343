"""The folders of clones: in the user's own cache, and with nothing in them that git would execute.

Git obeys the configuration and the hooks of any folder given by `--git-dir`, without its usual check of the owner. So
a clone never lies where a repository could bring one along. Its owner, its mode and its contents are checked before
each git command, and its configuration must be byte for byte the one written here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from job.domain.errors import StoppedError, UsageError
from job.domain.records import dataclass
from job.promote.errors import GitError

# What git itself creates in a bare repository. Not `hooks`, nor anything else that changes what git does.
_ENTRIES = frozenset(
    {"HEAD", "FETCH_HEAD", "ORIG_HEAD", "branches", "config", "gc.log", "gc.pid", "info", "logs", "objects"}
    | {"packed-refs", "packed-refs.new", "refs", "shallow"}
)
# Names the object folder of another clone of the same repository, whose objects were not fetched.
_REFERENCE = "reference"
_INFO_ENTRIES = frozenset({"refs", "exclude"})
# Both let git read the objects of another folder.
_OBJECT_LINKS = frozenset({"alternates", "http-alternates"})
_POLL_SECONDS = 0.2


def cache_root() -> Path:
    """The folder of all clones: `import-images/clones` in XDG_CACHE_HOME or `~/.cache`; created when missing.

    Raises:
        UsageError: it cannot be created, is another user's, or other users can write to it.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    # By the XDG Base Directory Specification a relative path is ignored.
    base = Path(given) if given.startswith("/") else _home() / ".cache"
    root = base / "import-images" / "clones"
    try:
        # Each by itself, since the mode is that of the last folder only.
        for folder in (root.parent, root):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (root, root.parent):
            if problem := _insecure(folder):
                fix = "remove it, or set XDG_CACHE_HOME to a folder of your own"
                raise UsageError([f"clones: {folder} {problem}; {fix}"])
    except OSError as error:
        raise UsageError([f"clones: cannot create {root}: {error.strerror}; set XDG_CACHE_HOME"]) from None
    return root


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise UsageError(["clones: the home folder is unknown; set XDG_CACHE_HOME"]) from None


def _insecure(folder: Path) -> str | None:
    """Why a folder is not safe from other users; None if it is.

    Raises:
        OSError: it cannot be read.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return "is not a folder"
    if status.st_uid != os.geteuid():
        return "belongs to another user"
    if status.st_mode & 0o022:
        return "can be written by other users"
    return None


def is_own_folder(folder: Path) -> bool:
    """Whether a folder belongs to the user, and not everyone can write to it."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o002


@dataclass(frozen=True, slots=True)
class CloneFolder:
    """The folder of one bare clone; `remote` is the name of its remote."""

    path: Path
    remote: str

    @property
    def config(self) -> bytes:
        """The whole configuration: that of a partial clone, so that git has no reason to write to it."""
        lines = ("[core]", "\trepositoryformatversion = 1", "\tbare = true", f'[remote "{self.remote}"]')
        return "\n".join([*lines, "\tpromisor = true", "\tpartialclonefilter = blob:none", ""]).encode()

    def problem(self) -> str | None:
        """Why git must not be run in it; None if it may."""
        try:
            return _insecure(self.path) or self._unexpected()
        except OSError as error:
            return f"cannot be read: {error.strerror}"

    def _unexpected(self) -> str | None:
        for entry in self.path.iterdir():
            known = entry.name in _ENTRIES or entry.name == _REFERENCE or entry.name.endswith(".lock")
            if entry.is_symlink() or not known:
                return f"has an unexpected entry {entry.name!r}"
        if _entries(self.path / "info") - _INFO_ENTRIES:
            return "has unexpected entries in info"
        if _entries(self.path / "objects" / "info") & _OBJECT_LINKS:
            return "uses the objects of another folder"
        if (self.path / "config").read_bytes() != self.config:
            return "has another configuration than the one that was written to it"
        return None

    def check(self) -> None:
        """Check the folder.

        Raises:
            GitError: git must not be run in it.
        """
        if problem := self.problem():
            raise GitError(f"clones: {self.path} {problem}; remove it, and it is made anew")

    def objects(self) -> Path | None:
        """The object folder of the reference clone; None without one, or where it is not the user's own any more."""
        try:
            objects = Path((self.path / _REFERENCE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return objects if is_own_folder(objects) else None

    def ensure(self, reference: Path | None = None) -> bool:
        """Create the clone, anew if it is damaged; returns whether it is new.

        Args:
            reference: the object folder of another clone of the repository, for a new clone.

        Raises:
            GitError: it cannot be created.
        """
        try:
            if os.path.lexists(self.path):
                has_objects = self.objects() is not None or not (self.path / _REFERENCE).exists()
                if self.problem() is None and has_objects:
                    return False
                self.remove()
            with tempfile.TemporaryDirectory(dir=self.path.parent, prefix="new-") as temporary:
                new = Path(temporary) / "clone"
                # By hand, since `git init` copies the hooks of the user's templates.
                for folder in (new, new / "objects", new / "refs"):
                    folder.mkdir(mode=0o700)
                (new / "HEAD").write_text("ref: refs/heads/main\n", encoding="ascii")
                (new / "config").write_bytes(self.config)
                if reference is not None:
                    (new / _REFERENCE).write_text(str(reference), encoding="utf-8")
                new.rename(self.path)
        except OSError as error:
            raise GitError(f"clones: cannot create {self.path}: {error.strerror}") from None
        return True

    def remove(self) -> None:
        """Remove it, whatever it is.

        Raises:
            OSError: it cannot be removed.
        """
        if self.path.is_symlink() or not self.path.is_dir():
            self.path.unlink()
        else:
            shutil.rmtree(self.path)

    @contextmanager
    def locked(self, is_stopping: Callable[[], bool]) -> Iterator[None]:
        """Hold the clone's lock, so that two programs do not create or fetch it at the same time.

        Raises:
            GitError: the lock cannot be created.
            StoppedError: the command was asked to stop while it waited.
        """
        try:
            descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise GitError(f"clones: cannot lock {self.path}: {error.strerror}") from None
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if is_stopping():
                        raise StoppedError("stopped; nothing was changed") from None
                    time.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)


def _entries(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
