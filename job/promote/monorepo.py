"""The monorepo: where stable branches are, recorded as its submodules' commits by one commit of its own.

Nothing is checked out: a tree is read into an index of its own, changed there and written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from job.promote.clone import Clone, RefusedError
from job.promote.config import Monorepo, Repository
from job.promote.git import GitError

# Somebody else may push there in between.
TRIES = 4
_SUBMODULE = "160000"


@dataclass(frozen=True, slots=True)
class Recorder:
    """Who records: the monorepo, its clone, and the paths that are submodules, by the name of their repository."""

    monorepo: Monorepo
    clone: Clone
    paths: Mapping[str, str]

    def changed(self, commits: Mapping[str, str]) -> dict[str, str]:
        """Of the commits of repositories those that the monorepo, as it was fetched, does not have."""
        tip = self._tip()
        return {
            name: commit
            for name, commit in commits.items()
            if name in self.paths and _recorded(self.clone, tip, self.paths[name]) not in (None, commit)
        }

    def record(self, commits: Mapping[str, str], *, dry_run: bool = False) -> str | None:
        """Record commits of repositories, and push; returns the new commit, None where it had them already.

        Raises:
            GitError: it could not be written or pushed.
        """
        for tries in range(1, TRIES + 1):
            tip = self._tip()
            changed = self.changed(commits)
            if not changed:
                return None
            new = self._commit(tip, changed)
            try:
                self.clone.push(self.monorepo.branch, tip, new, dry_run=dry_run)
                return new
            except RefusedError:
                self.clone.fetch()
                if tries == TRIES or self._tip() == tip:
                    raise
        raise AssertionError("never ends without a result")

    def _tip(self) -> str:
        tip = self.clone.tip(self.monorepo.branch)
        if tip is None:
            raise GitError(f"monorepo: there is no branch {self.monorepo.branch}; correct branch in [monorepo]")
        return tip

    def _commit(self, tip: str, commits: Mapping[str, str]) -> str:
        git, what = self.clone.git, "monorepo: the commit cannot be made"
        try:
            temporary = tempfile.TemporaryDirectory()
        except OSError as error:
            raise GitError(f"{what}: it needs a temporary folder: {error}; make room, or set TMPDIR") from error
        with temporary as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            git.ask("read-tree", tip, what=what, environment=index)
            for name, commit in commits.items():
                entry = f"{_SUBMODULE},{commit},{self.paths[name]}"
                git.ask("update-index", "--cacheinfo", entry, what=what, environment=index)
            # The contents of files are not here, and are not needed.
            tree = git.ask("write-tree", "--missing-ok", what=what, environment=index).strip()
        signing = git.run("config", "--type=bool", "--get", "commit.gpgSign").out.strip() == "true"
        names = sorted(commits)
        title = f"Move {names[0] if len(names) == 1 else f'{len(names)} submodules'} to stable"
        body = "\n".join(f"{self.paths[name]}: {commits[name]}" for name in names)
        arguments = ("commit-tree", *(["-S"] if signing else []), "-p", tip, "-m", title, "-m", body, tree)
        return git.ask(*arguments, what=what).strip()


def recorder(monorepo: Monorepo, clone: Clone, repositories: Sequence[Repository]) -> Recorder:
    """Fetch the monorepo, and see that it can be written before anything is moved.

    Raises:
        GitError: it cannot be read, a submodule is not there, or git does not know who commits.
    """
    clone.fetch()
    found = Recorder(monorepo, clone, {})
    tip = found._tip()
    paths = {}
    for repository in repositories:
        path = repository.submodule or repository.name
        if _recorded(clone, tip, path) is not None:
            paths[repository.name] = path
        elif repository.submodule:
            raise GitError(f"monorepo: {path} is not a submodule in it; correct submodule of {repository.name}")
    for ident in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        clone.git.ask("var", ident, what="monorepo: git does not know who commits; set user.name and user.email")
    return Recorder(monorepo, clone, paths)


def _recorded(clone: Clone, tip: str, path: str) -> str | None:
    """The commit that is recorded for a submodule; None where there is no submodule at that path."""
    out = clone.git.ask("ls-tree", "-z", tip, "--", path, what=f"monorepo: {path} cannot be looked at").rstrip("\0")
    mode, _, rest = out.partition(" ")
    return rest.partition("\t")[0].split()[-1] if mode == _SUBMODULE else None
