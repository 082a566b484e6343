"""A bare clone for promote alone, without file contents where the remote supports that."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from job.domain.records import dataclass, replace
from job.promote.cache import CloneFolder, cache_root
from job.promote.commits import LOG_FORMAT, Commit, parse_log
from job.promote.config import Config
from job.promote.errors import GitError, RefusedError, UnknownError
from job.promote.git import Git
from job.promote.reference import find_reference, tips_of
from job.promote.remote import parse_remote

# Only subjects and authors are needed, never file contents: a fraction of a full clone.
FILTER = "--filter=blob:none"
# Apart from the branches, since a branch of the remote may have any name.
_HEAD = "refs/promote/HEAD"
_FULL_HASH = re.compile(r"[0-9a-f]{40}")
_HEAD_LINE = re.compile(r"(?m)^ref: refs/heads/(\S+)\tHEAD$")
# After a stop the remote is asked once more, but not for long.
_AFTER_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Clone:
    """The clone of one repository.

    Attributes:
        name: of the repository.
        remote: its name in the clone.
        git: runs git there.
        clones: the folder of the user's own clones, one of which may be a reference; None without one.
        needs_head: whether a fetch also asks for the remote's HEAD.
    """

    name: str
    remote: str
    git: Git
    clones: Path | None = None
    needs_head: bool = False

    def fetch(self) -> None:
        """Update all branches and tags; those that the remote deleted are deleted here, too.

        Raises:
            GitError: the remote cannot be reached, or the clone cannot be written.
        """
        tags = "+refs/tags/*:refs/tags/*"
        arguments = ["fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", FILTER]
        with self.git.folder.locked(self.git.is_stopping):
            reference = find_reference(self.clones, self.name) if self.clones else None
            if self.git.folder.ensure(reference / "objects" if reference else None) and reference:
                arguments += [f"--negotiation-tip={tip}" for tip in self._known(tips_of(reference))]
            what = f"{self.name}: cannot be fetched"
            self.git.output(*arguments, self.remote, self._branches, tags, what=what, network=True)
            if self.needs_head:
                self._fetch_head(what)

    def _fetch_head(self, what: str) -> None:
        out = self.git.output("ls-remote", "--symref", self.remote, "HEAD", what=what, network=True)
        match = _HEAD_LINE.search(out)
        if match is None:
            raise GitError(f"{what}: its HEAD is not a branch; set rolling in promote.toml")
        self.git.output("symbolic-ref", _HEAD, f"refs/remotes/{self.remote}/{match[1]}", what=what)

    def rolling(self, configured: str | None) -> str:
        """The name of the rolling branch: the configured one, or the remote's HEAD as of the last fetch.

        Raises:
            GitError: the remote's HEAD is unknown.
        """
        if configured is not None:
            return configured
        what = f"{self.name}: the remote's HEAD is unknown; set rolling in promote.toml"
        target = self.git.output("symbolic-ref", "--quiet", _HEAD, what=what).strip()
        return target.removeprefix(f"refs/remotes/{self.remote}/")

    def _known(self, tips: Sequence[str]) -> list[str]:
        """Those commits whose objects can be read; git refuses any other as a tip."""
        return [tip for tip in tips if self._commit(tip) is not None]

    @property
    def _branches(self) -> str:
        return f"+refs/heads/*:refs/remotes/{self.remote}/*"

    def tip(self, branch: str) -> str | None:
        """The commit of a branch as of the last fetch; None without such a branch."""
        return self._commit(f"refs/remotes/{self.remote}/{branch}")

    def resolve(self, text: str) -> str | None:
        """The commit that a user means by a branch, a tag, or a full or abbreviated hash; None if there is none."""
        if not text.isprintable() or not text:
            return None
        # The remote's branches, since a bare clone has none of its own.
        names = (f"refs/remotes/{self.remote}/{text}", f"refs/tags/{text}", text)
        return next((commit for name in names if (commit := self._commit(name))), None)

    def is_branch_and_tag(self, text: str) -> bool:
        """Whether a name is that of a branch and of a tag with another commit."""
        branch, tag = (self._commit(f"{kind}/{text}") for kind in (f"refs/remotes/{self.remote}", "refs/tags"))
        return None not in (branch, tag) and branch != tag

    def _commit(self, name: str) -> str | None:
        done = self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}")
        return done.out.strip() or None if done.status == 0 else None

    def contains(self, commit: str, older: str) -> bool:
        """Whether `older` is `commit` or one of its ancestors."""
        done = self.git.run("merge-base", "--is-ancestor", older, commit)
        if done.status > 1:
            raise GitError(f"{self.name}: cannot compare {older[:12]} and {commit[:12]}: {done.message}")
        return done.status == 0

    def count(self, since: str, until: str) -> int:
        """The number of commits that `until` has and `since` does not."""
        what = f"{self.name}: cannot count the commits after {since[:12]}"
        return int(self.git.output("rev-list", "--count", f"{since}..{until}", what=what))

    def commits(self, since: str, until: str, limit: int | None = None) -> tuple[Commit, ...]:
        """The commits that `until` has and `since` does not, newest first."""
        return self._log(f"{since}..{until}", *([f"--max-count={limit}"] if limit else []))

    def describe(self, commit: str) -> Commit:
        """One commit with its author, date and subject."""
        return self._log("--no-walk", commit)[0]

    def _log(self, *arguments: str) -> tuple[Commit, ...]:
        command = ("log", "-z", f"--format={LOG_FORMAT}", "--no-color", "--no-notes", *arguments, "--")
        return parse_log(self.git.output(*command, what=f"{self.name}: cannot list its commits"))

    def push(self, branch: str, old: str, new: str, *, dry_run: bool = False) -> None:
        """Move a branch of the remote from `old` to `new`, and only from there.

        The lease makes the remote compare and move in one step, so that another client's push is never overwritten.
        After a failure the remote is asked for its branch, since the answer to the push may have been lost.

        Raises:
            RefusedError: the branch was not moved; the message gives the reason.
            UnknownError: the branch may have been moved.
        """
        lease = f"--force-with-lease=refs/heads/{branch}:{old}"
        command = ("push", "--quiet", *(["--dry-run"] if dry_run else []), lease, self.remote)
        done = self.git.run(*command, f"{new}:refs/heads/{branch}", network=True, hooks=True)
        if done.status == 0:
            return
        what = f"{self.name}: {branch} was not moved to {new[:12]}"
        try:
            now = self.remote_tip(branch)
        except GitError as error:
            unknown = f"{self.name}: {branch} may or may not have been moved to {new[:12]}: {done.message}"
            raise UnknownError(f"{unknown}; and {error}") from None
        if now == new and not dry_run:
            return
        if now != old:
            current = f"it is now at {now[:12]}" if now else "it is gone now"
            message = f"another client moved it from {old[:12]} in the meantime, {current}; check it, then try again"
            raise RefusedError(f"{what}: {message}")
        raise RefusedError(f"{what}: {done.message or f'git exited with status {done.status}'}")

    def remote_tip(self, branch: str, *, after_stop: bool = False) -> str | None:
        """The commit of a branch that the remote has now; None without such a branch.

        Args:
            branch: its name.
            after_stop: ask although the command was asked to stop, for at most `_AFTER_STOP_SECONDS`.

        Raises:
            GitError: the remote cannot be asked.
        """
        git = replace(self.git, is_stopping=lambda: False, limit=_AFTER_STOP_SECONDS) if after_stop else self.git
        what = f"{self.name}: cannot ask the remote for {branch}"
        return parse_remote_tip(git.output("ls-remote", self.remote, f"refs/heads/{branch}", what=what, network=True))

    def fetch_commit(self, commit: str) -> str | None:
        """Fetch a commit that is on no branch, by its full hash; None where the forge does not have or allow that."""
        if not _FULL_HASH.fullmatch(commit):
            return None
        arguments = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", FILTER, self.remote)
        with self.git.folder.locked(self.git.is_stopping):
            done = self.git.run(*arguments, f"+{commit}:refs/promote/commits/{commit}", network=True)
        return self._commit(commit) if done.status == 0 else None

    def commit_before(self, tip: str, moment: datetime) -> str | None:
        """The newest commit of a branch, along its first parents, that is not after a time; None without one."""
        what = f"{self.name}: cannot list the commits before a time"
        before = f"--before={int(moment.timestamp())}"
        return self.git.output("rev-list", "--first-parent", "--max-count=1", before, tip, what=what).strip() or None

    def graph(self, old: str, new: str) -> str:
        """The log with a graph, and the difference of two commits; missing file contents are fetched.

        Raises:
            GitError: git failed.
        """
        what = f"{self.name}: cannot show the changes"
        plain = ("--no-color", "--no-ext-diff", "--no-textconv")
        log = self.git.output("log", "--graph", "--oneline", "--no-color", f"{old}..{new}", "--", what=what)
        stat = self.git.output("diff", "--stat=100", "--patch", *plain, old, new, "--", what=what, network=True)
        return f"{log}\n{stat}"


def parse_remote_tip(text: str) -> str | None:
    """The commit in the output of `git ls-remote` for one branch; None without one."""
    match = re.match(r"([0-9a-f]{40,64})\t", text)
    return match[1] if match else None


def clone_of(
    config: Config, name: str, url: str, is_stopping: Callable[[], bool], *, needs_head: bool = False
) -> Clone:
    """The clone of a repository, in the user's cache; the first fetch creates it.

    Raises:
        UsageError: the cache cannot be used.
    """
    remote = parse_remote(url, config.folder)
    folder = CloneFolder(cache_root() / remote.folder_name, config.remote)
    return Clone(name, config.remote, Git(folder, remote, is_stopping), config.clones, needs_head)
