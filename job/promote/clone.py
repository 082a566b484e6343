"""A clone of our own: bare, and without file contents where the remote can do that; nobody works in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from job.domain.errors import UsageError
from job.promote.commits import LOG_FORMAT, Commit, commits_from
from job.promote.config import Config
from job.promote.git import Git, GitError

# Subjects and authors are wanted, never file contents: a fraction of what a whole clone would fetch.
FILTER = "--filter=blob:none"


class RefusedError(GitError):
    """A push that moved nothing."""


class UnknownError(GitError):
    """A push of which nobody knows whether it moved anything."""

    is_known = False


@dataclass(frozen=True, slots=True)
class Clone:
    """The clone of one repository, and its remote."""

    name: str
    remote: str
    git: Git

    def fetch(self) -> None:
        """Bring all branches and tags up to date; what is gone there is gone here.

        Raises:
            GitError: the remote cannot be reached, or the clone cannot be written.
        """
        if not (self.git.folder / "HEAD").is_file():
            self.git.ask("init", "--quiet", "--bare", what=f"{self.name}: the clone {self.git.folder} cannot be made")
        tags = "+refs/tags/*:refs/tags/*"
        arguments = ("fetch", "--quiet", "--prune", "--no-tags", FILTER, self.remote, self._branches, tags)
        self.git.ask(*arguments, what=f"{self.name}: cannot be fetched", network=True)

    @property
    def _branches(self) -> str:
        return f"+refs/heads/*:refs/remotes/{self.remote}/*"

    def tip(self, branch: str) -> str | None:
        """The commit of a branch as it was fetched; None where there is no such branch."""
        return self._commit(f"refs/remotes/{self.remote}/{branch}")

    def resolve(self, text: str) -> str | None:
        """The commit that a person means: a branch, a tag, or a hash or its beginning; None where there is none."""
        if not text.isprintable() or not text:
            return None
        # The remote's, since a bare clone has no branches of its own.
        names = (f"refs/remotes/{self.remote}/{text}", f"refs/tags/{text}", text)
        return next((commit for name in names if (commit := self._commit(name))), None)

    def _commit(self, name: str) -> str | None:
        done = self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}")
        return done.out.strip() or None if done.status == 0 else None

    def contains(self, commit: str, older: str) -> bool:
        """Whether `older` is the commit, or one of those before it."""
        done = self.git.run("merge-base", "--is-ancestor", older, commit)
        if done.status > 1:
            raise GitError(f"{self.name}: {older[:12]} and {commit[:12]} cannot be compared: {done.words}")
        return done.status == 0

    def count(self, since: str, until: str) -> int:
        """How many commits `until` has that `since` has not."""
        told = f"{self.name}: the commits after {since[:12]} cannot be counted"
        return int(self.git.ask("rev-list", "--count", f"{since}..{until}", what=told))

    def commits(self, since: str, until: str, most: int | None = None) -> tuple[Commit, ...]:
        """The commits that `until` has and `since` has not, newest first."""
        return self._log(f"{since}..{until}", *([f"--max-count={most}"] if most else []))

    def describe(self, commit: str) -> Commit:
        """One commit."""
        return self._log("--no-walk", commit)[0]

    def _log(self, *arguments: str) -> tuple[Commit, ...]:
        plain = ("-c", "log.showSignature=false", "-c", "i18n.logOutputEncoding=UTF-8")
        command = ("log", "-z", f"--format={LOG_FORMAT}", "--no-color", "--no-notes", *arguments, "--")
        return commits_from(self.git.ask(*plain, *command, what=f"{self.name}: its commits cannot be listed"))

    def push(self, branch: str, old: str, new: str, *, dry_run: bool = False) -> None:
        """Move a branch of the remote from `old` to `new`, and only from there.

        The lease makes the remote compare and move in one step, so what somebody else pushed meanwhile is never
        overwritten. A push that failed is looked into: its answer may have been lost on the way.

        Raises:
            RefusedError: the branch was not moved; the message says why.
            UnknownError: it is not known whether it was.
        """
        lease = f"--force-with-lease=refs/heads/{branch}:{old}"
        command = ("push", "--quiet", *(["--dry-run"] if dry_run else []), lease, self.remote)
        done = self.git.run(*command, f"{new}:refs/heads/{branch}", network=True)
        if done.status == 0:
            return
        what = f"{self.name}: {branch} was not moved to {new[:12]}"
        try:
            now = self._now(branch)
        except GitError as error:
            unsure = f"{self.name}: it is not known whether {branch} was moved to {new[:12]}: {done.words}"
            raise UnknownError(f"{unsure}; and {error}") from None
        if now == new and not dry_run:
            return
        if now != old:
            there = f"it is at {now[:12]}" if now else "it is gone"
            raise RefusedError(f"{what}: somebody else moved it from {old[:12]} meanwhile, {there}; look again")
        raise RefusedError(f"{what}: {done.words or f'git ended with {done.status}'}")

    def _now(self, branch: str) -> str | None:
        told = f"{self.name}: the remote did not tell where {branch} is"
        out = self.git.ask("ls-remote", self.remote, f"refs/heads/{branch}", what=told, network=True)
        return out.split()[0] if out.strip() else None


def clone_of(config: Config, name: str, url: str, stopping: Callable[[], bool], folder_name: str = "") -> Clone:
    """The clone of a repository, in a folder of its name if no other is given; made when it is fetched first.

    Raises:
        UsageError: there can be no folder for it.
    """
    folder = config.clones / f"{folder_name or name}.git"
    try:
        if not config.clones.exists():
            # What is fetched may be private, and is nothing to be committed where the configuration is.
            config.clones.mkdir(mode=0o700, parents=True)
            (config.clones / ".gitignore").write_text("*\n", encoding="utf-8")
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError([f"clones: {folder} cannot be made: {error.strerror}"]) from None
    remote = config.remote
    network = {
        f"remote.{remote}.url": _seen_from(config.folder, url),
        f"remote.{remote}.fetch": f"+refs/heads/*:refs/remotes/{remote}/*",
    }
    return Clone(name, remote, Git(folder, network, stopping))


def _seen_from(folder: Path, url: str) -> str:
    """The URL; a path of this machine is seen from the configuration's folder."""
    if url.startswith(("./", "../", "~/")):
        return str((folder / Path(url).expanduser()).resolve())
    return url
