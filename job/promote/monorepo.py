"""The monorepo: one commit records the stable branches as submodule commits.

There is no work tree: a tree is read into a temporary index, changed there and written.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from job.domain.records import dataclass
from job.domain.repositories import web_address
from job.promote.clone import Clone
from job.promote.config import Monorepo, Repository
from job.promote.errors import GitError, RefusedError

log = logging.getLogger(__name__)

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
        listed = names[0] if len(names) == 1 else f"{len(names)} submodules"
        title = self.monorepo.message.replace("{names}", listed).replace("{count}", str(len(names)))
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
    by_url = _submodules(clone, tip, monorepo.url)
    paths, left_out = {}, []
    for repository in repositories:
        path = repository.submodule or by_url.get(normalized(repository.url)) or repository.name
        if _submodule_commit(clone, tip, path) is not None:
            paths[repository.name] = path
        elif repository.submodule:
            raise GitError(f"monorepo: {path} is not a submodule; correct submodule of {repository.name}")
        else:
            left_out.append(repository.name)
    if left_out:
        log.info("monorepo: no submodule of %s, so their moves are not recorded there", ", ".join(left_out))
    for identity in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        clone.git.output(
            "var", identity, what="monorepo: no author for the commit; set user.name and user.email in git"
        )
    return Recorder(monorepo, clone, paths)


def _submodules(clone: Clone, tip: str, url: str) -> dict[str, str]:
    """The paths of the submodules in .gitmodules, by their normalized URL; those of one URL twice are left out."""
    if not clone.git.output("ls-tree", "-z", tip, "--", ".gitmodules", what="monorepo: cannot read .gitmodules"):
        return {}
    out = clone.git.output(
        *("config", "-z", "--blob", f"{tip}:.gitmodules", "--get-regexp", r"^submodule\..*\.(path|url)$"),
        what="monorepo: cannot read .gitmodules",
        # The clone has no file contents.
        network=True,
    )
    return parse_gitmodules(out, url)


def parse_gitmodules(text: str, base: str) -> dict[str, str]:
    """The submodules in the output of `git config -z` for .gitmodules: paths by normalized URL.

    Args:
        text: entries `submodule.NAME.KEY`, line break, value, NUL.
        base: the monorepo's URL, for URLs that begin with `./` or `../`.
    """
    modules: dict[str, dict[str, str]] = {}
    for entry in text.split("\0"):
        key, _, value = entry.partition("\n")
        name, _, kind = key.removeprefix("submodule.").rpartition(".")
        modules.setdefault(name, {})[kind.lower()] = value
    paths: dict[str, list[str]] = {}
    for module in modules.values():
        if "url" in module and "path" in module:
            paths.setdefault(normalized(_absolute(module["url"], base)), []).append(module["path"])
    return {url: several[0] for url, several in paths.items() if len(several) == 1}


def _absolute(url: str, base: str) -> str:
    """A submodule's URL; by gitmodules(5) `./` and `../` start at the monorepo's own URL."""
    if not url.startswith(("./", "../")):
        return url
    while url.startswith(("./", "../")):
        if url.startswith("../"):
            head, _, _ = base.rstrip("/").rpartition("/")
            # In `git@host:worker` only the colon is left.
            base = head or base.rpartition(":")[0] + ":"
        url = url.partition("/")[2]
    return f"{base.rstrip('/')}/{url}" if not base.endswith(":") else base + url


def normalized(url: str) -> str:
    """A form of a URL in which the ways to write one repository (https, ssh, with or without .git) are the same."""
    return web_address(url) or url.rstrip("/").removesuffix(".git")


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
