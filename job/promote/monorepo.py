"""The monorepo: one commit records the stable branches as submodule commits.

There is no work tree: a tree is read into a temporary index, changed there and written.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from job.promote.clone import Clone
from job.promote.config import Monorepo, Repository
from job.promote.errors import GitError, RefusedError

# Another client may push between the fetch and our push.
TRIES = 4
_SUBMODULE_MODE = "160000"
_SUBMODULE = re.compile(rf"{_SUBMODULE_MODE} commit ([0-9a-f]{{40,64}})\t")


@dataclass(frozen=True, slots=True)
class Recorder:
    """Records moves: the monorepo, its clone, and the submodule paths by repository name."""

    monorepo: Monorepo
    clone: Clone
    paths: Mapping[str, str]

    def changed(self, commits: Mapping[str, str]) -> dict[str, str]:
        """Those of the repositories' commits that the monorepo, as of the last fetch, does not record."""
        tip = _tip(self.clone, self.monorepo)
        return {
            name: commit
            for name, commit in commits.items()
            if name in self.paths and _submodule_commit(self.clone, tip, self.paths[name]) not in (None, commit)
        }

    def record(self, commits: Mapping[str, str], *, dry_run: bool = False) -> str | None:
        """Record the repositories' commits, and push; returns the new commit, None if there was nothing to change.

        Raises:
            GitError: it could not be written or pushed.
        """
        for attempt in range(1, TRIES + 1):
            tip = _tip(self.clone, self.monorepo)
            changed = self.changed(commits)
            if not changed:
                return None
            new = self._commit(tip, changed)
            try:
                self.clone.push(self.monorepo.branch, tip, new, dry_run=dry_run)
                return new
            except RefusedError:
                self.clone.fetch()
                if attempt == TRIES or _tip(self.clone, self.monorepo) == tip:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _commit(self, tip: str, commits: Mapping[str, str]) -> str:
        git, what = self.clone.git, "monorepo: cannot create the commit"
        try:
            temporary = tempfile.TemporaryDirectory()
        except OSError as error:
            raise GitError(f"{what}: no temporary folder: {error}; free some space, or set TMPDIR") from error
        with temporary as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            git.output("read-tree", tip, what=what, environment=index)
            for name, commit in commits.items():
                entry = f"{_SUBMODULE_MODE},{commit},{self.paths[name]}"
                git.output("update-index", "--cacheinfo", entry, what=what, environment=index)
            # The clone has no file contents, and none are needed.
            tree = git.output("write-tree", "--missing-ok", what=what, environment=index).strip()
        signed = git.run("config", "--type=bool", "--get", "commit.gpgSign").out.strip() == "true"
        names = sorted(commits)
        title = f"Move {names[0] if len(names) == 1 else f'{len(names)} submodules'} to stable"
        body = "\n".join(f"{self.paths[name]}: {commits[name]}" for name in names)
        arguments = ("commit-tree", *(["-S"] if signed else []), "-p", tip, "-m", title, "-m", body, tree)
        return git.output(*arguments, what=what).strip()


def recorder(monorepo: Monorepo, clone: Clone, repositories: Sequence[Repository]) -> Recorder:
    """Fetch the monorepo, and check that it can be written before anything is moved.

    Raises:
        GitError: it cannot be read, a submodule is missing, or git has no name and email for the commit.
    """
    clone.fetch()
    tip = _tip(clone, monorepo)
    paths = {}
    for repository in repositories:
        path = repository.submodule or repository.name
        if _submodule_commit(clone, tip, path) is not None:
            paths[repository.name] = path
        elif repository.submodule:
            raise GitError(f"monorepo: {path} is not a submodule; correct submodule of {repository.name}")
    for identity in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        clone.git.output(
            "var", identity, what="monorepo: no author for the commit; set user.name and user.email in git"
        )
    return Recorder(monorepo, clone, paths)


def _tip(clone: Clone, monorepo: Monorepo) -> str:
    tip = clone.tip(monorepo.branch)
    if tip is None:
        raise GitError(f"monorepo: there is no branch {monorepo.branch}; correct branch in [monorepo]")
    return tip


def _submodule_commit(clone: Clone, tip: str, path: str) -> str | None:
    """The recorded commit of the submodule at a path; None if there is no submodule."""
    return parse_tree_entry(clone.git.output("ls-tree", "-z", tip, "--", path, what=f"monorepo: cannot read {path}"))


def parse_tree_entry(text: str) -> str | None:
    """The commit in an entry of `git ls-tree -z`, `MODE commit ID<TAB>PATH<NUL>`; None if it is not a submodule."""
    match = _SUBMODULE.match(text)
    return match[1] if match else None
