"""A bare clone for promote alone, without file contents where the remote supports that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from job.promote.cache import CloneFolder, cache_root
from job.promote.commits import LOG_FORMAT, Commit, parse_log
from job.promote.config import Config
from job.promote.errors import GitError, RefusedError, UnknownError
from job.promote.git import Git
from job.promote.reference import find_reference, tips_of
from job.promote.remote import parse_remote

# Only subjects and authors are needed, never file contents: a fraction of a full clone.
FILTER = "--filter=blob:none"


@dataclass(frozen=True, slots=True)
class Clone:
    """The clone of one repository, the name of its remote, and the folder of the user's own clones."""

    name: str
    remote: str
    git: Git
    clones: Path | None = None

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
            now = self._remote_tip(branch)
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

    def _remote_tip(self, branch: str) -> str | None:
        what = f"{self.name}: cannot ask the remote for {branch}"
        out = self.git.output("ls-remote", self.remote, f"refs/heads/{branch}", what=what, network=True)
        return out.split()[0] if out.strip() else None


def clone_of(config: Config, name: str, url: str, is_stopping: Callable[[], bool]) -> Clone:
    """The clone of a repository, in the user's cache; the first fetch creates it.

    Raises:
        UsageError: the cache cannot be used.
    """
    remote = parse_remote(url, config.folder)
    folder = CloneFolder(cache_root() / remote.folder_name, config.remote)
    return Clone(name, config.remote, Git(folder, remote, is_stopping), config.clones)
