"""Real git repositories on disk, as on a forge: bare, with branches that others push to."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.place import PROGRAM, Ended, ended, started, with_output

# Isolated from the git configuration of the user who runs the tests.
GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Jane Doe",
    "GIT_AUTHOR_EMAIL": "jane@example.com",
    "GIT_COMMITTER_NAME": "Jane Doe",
    "GIT_COMMITTER_EMAIL": "jane@example.com",
}


class Origin:
    """A bare repository; commits are made in it without a work tree."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._git("init", "--quiet", "--bare", "--initial-branch=main")
        # Partial clones work, as on the usual forges.
        self._git("config", "uploadpack.allowFilter", "true")

    def _git(self, *arguments: str, text: str | None = None, **more: str) -> str:
        environment = {"PATH": os.environ["PATH"], **GIT, **more}
        done = subprocess.run(
            ["git", f"--git-dir={self.folder}", *arguments],
            env=environment,
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(
        self,
        subject: str,
        branch: str = "main",
        *,
        parents: Sequence[str] | None = None,
        author: str = "Jane Doe",
        tree: str | None = None,
    ) -> str:
        """Commit at the tip of a branch; `parents` makes a merge, or a diverged branch."""
        before = self.tip(branch)
        kept = parents if parents is not None else [before] if before else []
        blob = self._git("hash-object", "-w", "--stdin", text=subject)
        tree = tree or self._git("mktree", text=f"100644 blob {blob}\tfile\n")
        options = [option for parent in kept for option in ("-p", parent)]
        commit = self._git("commit-tree", *options, "-m", subject, tree, GIT_AUTHOR_NAME=author)
        self.move(branch, commit)
        return commit

    def submodules(self, commits: Mapping[str, str]) -> str:
        """Commit these submodules and a file to main."""
        blob = self._git("hash-object", "-w", "--stdin", text="readme")
        lines = [f"160000 commit {commit}\t{path}" for path, commit in commits.items()]
        tree = self._git("mktree", "--missing", text="\n".join([*lines, f"100644 blob {blob}\tREADME"]) + "\n")
        return self.commit("Add submodules", tree=tree)

    def tree(self, commits: Mapping[str, str], modules: str) -> str:
        """Commit submodules at any paths and their .gitmodules to main."""
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            blob = self._git("hash-object", "-w", "--stdin", text=modules)
            self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},.gitmodules", **index)
            for path, commit in commits.items():
                self._git("update-index", "--add", "--cacheinfo", f"160000,{commit},{path}", **index)
            return self.commit("Add submodules", tree=self._git("write-tree", "--missing-ok", **index))

    def submodule(self, path: str, branch: str = "main") -> str:
        """The recorded commit of a submodule."""
        return self._git("rev-parse", f"{branch}:{path}")

    def paths(self, branch: str = "main") -> list[str]:
        return self._git("ls-tree", "--name-only", branch).splitlines()

    def tip(self, branch: str) -> str | None:
        commit = self._git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return commit or None

    def move(self, branch: str, commit: str) -> None:
        self._git("update-ref", f"refs/heads/{branch}", commit)

    def tag(self, name: str, commit: str) -> None:
        self._git("update-ref", f"refs/tags/{name}", commit)

    def remove(self, branch: str) -> None:
        self._git("update-ref", "-d", f"refs/heads/{branch}")

    def subjects(self, branch: str) -> list[str]:
        return self._git("log", "--format=%s", branch).splitlines()

    def hook(self, name: str, script: str) -> None:
        file = self.folder / "hooks" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)


class Folder:
    """A folder with a promote.toml, and the repositories that it names."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.cwd = folder
        self.origins: dict[str, Origin] = {}

    @property
    def config(self) -> Path:
        return self.folder / "promote.toml"

    def origin(self, name: str) -> Origin:
        """A new repository with one commit, which main and stable point to."""
        origin = self.origins[name] = Origin(self.folder / "forge" / f"{name}.git")
        origin.move("stable", origin.commit(f"Begin {name}"))
        return origin

    def write(self, *tables: str, top: str = "") -> None:
        """Write the configuration: top-level keys, then tables."""
        self.config.write_text("\n".join([top, *tables]), encoding="utf-8")

    def clone(self, name: str) -> Path:
        """The one clone in the cache of a repository with this name."""
        (path,) = (self.folder / ".cache" / "import-images" / "clones").glob(f"*{name}-*.git")
        return path

    def table(self, name: str, more: str = "") -> str:
        return f'[[repository]]\nname = "{name}"\nurl = "{self.folder}/forge/{name}.git"\n{more}\n'

    def promote(self, *arguments: str, **environment: str) -> Ended:
        """Run `import-images promote` in `cwd`, without a terminal."""
        with self.promoting(*arguments, **environment) as process:
            return ended(process)

    @contextmanager
    def promoting(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """The running process; `ended` waits for it and returns its output."""
        given = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **GIT, **environment}
        with started([PROGRAM, *with_output(("promote", *arguments))], given, cwd=self.cwd) as process:
            yield process
