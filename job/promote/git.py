"""The `git` program, run without a shell, in a clone of ours, with nothing in effect that a repository chose.

The program rather than a library: the user's own git has the login to push with (credential helpers, ssh and its
agent), `insteadOf`, proxies, signing and hooks, and only it has `push --force-with-lease`. GitPython starts the same
program; pygit2 and dulwich log in differently, support none of those helpers, and have no lease. The container image
needs no git.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from job.domain.errors import StoppedError, UsageError
from job.domain.records import dataclass, field
from job.domain.text import clean
from job.promote.cache import CloneFolder
from job.promote.environment import (
    HARDENED,
    NO_HOOKS,
    SYSTEM_KEYS,
    Pairs,
    config_of,
    git_environment,
    login_of,
)
from job.promote.errors import GitError
from job.promote.remote import Remote
from job.runtime.terminal import is_there

# The first version that reads configuration from GIT_CONFIG_COUNT.
OLDEST = (2, 31)
# Limits of one command, in seconds. A first fetch of a large repository takes minutes; so may a hook that runs tests.
LOCAL_SECONDS = 120.0
NETWORK_SECONDS = 1800.0
# The exit status of a command that was ended at its time limit, as of `timeout` in coreutils.
TIMED_OUT = 124
_POLL_SECONDS = 0.2
_KILL_AFTER_SECONDS = 10.0
_MAX_BYTES = 64 * 1024 * 1024
_NOISE = re.compile(
    r"(?i)^(to |from |hint:|warning: filtering not recognized|error: failed to push some refs|\s*$"
    r"|fatal: could not read from remote repository|please make sure you have the correct access rights"
    r"|and the repository exists)"
)
# What git adds to the remote's own message.
_REJECTED = re.compile(r"error: hook declined to update |! \[remote rejected\] ")
# They say where the configuration is.
_CONFIG_VARIABLES = ("PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL")


@dataclass(frozen=True, slots=True)
class Completed:
    """A git command that has ended: its exit status, its output, and the message it wrote to stderr on one line."""

    status: int
    out: str
    message: str


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git in one clone, for one remote.

    Attributes:
        folder: the clone; it is checked before each command.
        remote: the address and the login.
        is_stopping: whether the command was asked to stop.
        limit: seconds of each command; None for the usual limits.
    """

    folder: CloneFolder
    remote: Remote = field(repr=False)
    is_stopping: Callable[[], bool]
    limit: float | None = None

    def output(
        self,
        *arguments: str,
        what: str,
        network: bool = False,
        hooks: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> str:
        """The output of a git command.

        Args:
            arguments: the command and its arguments.
            what: the beginning of the error message, such as `worker: cannot be fetched`.
            network: whether it contacts the remote. Without it git gets neither the URL nor the login, so that a
                partial clone cannot fetch missing objects unnoticed.
            hooks: whether the user's global hooks apply, if there are any.
            environment: additional variables.

        Raises:
            GitError: it failed.
            StoppedError: the command was asked to stop.
        """
        done = self.run(*arguments, network=network, hooks=hooks, environment=environment)
        if done.status:
            raise GitError(f"{what}: {done.message or f'git exited with status {done.status}'}")
        return done.out

    def run(
        self,
        *arguments: str,
        network: bool = False,
        hooks: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a git command to its end or its time limit; a failure is the caller's to judge.

        Raises:
            GitError: the clone is not safe to use.
            StoppedError: the command was asked to stop.
        """
        self.folder.check()
        limit = self.limit or (NETWORK_SECONDS if network else LOCAL_SECONDS)
        # Files instead of pipes, since a background helper such as an ssh master would keep a pipe open.
        with _temporary() as out, _temporary() as err:
            with self.started(
                *arguments, network=network, hooks=hooks, environment=environment, out=out, err=err
            ) as it:
                status = _wait(it, limit, self.is_stopping)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read(_MAX_BYTES).decode("utf-8", "replace"))
        if status != 0 and self.is_stopping():
            raise StoppedError(f"stopped during git {arguments[0]}")
        message = summarize(texts[1])
        if status is None:
            message = f"git {arguments[0]} was ended after {limit:.0f} s; {message}".removesuffix("; ")
        return Completed(TIMED_OUT if status is None else status, texts[0], message)

    @contextmanager
    def started(
        self,
        *arguments: str,
        network: bool,
        hooks: bool,
        environment: Mapping[str, str] | None,
        out: IO[bytes] | int,
        err: IO[bytes] | int | None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running git command; it is ended with the context."""
        config = [*_system_config(), *HARDENED, ("core.hooksPath", (_global_hooks() if hooks else None) or NO_HOOKS)]
        login: dict[str, str] = {}
        if network:
            config += config_of(self.folder.remote, self.remote)
            login = login_of(self.remote)
        variables = git_environment(os.environ, config, has_terminal=is_there()) | login | dict(environment or {})
        if objects := self.folder.objects():
            variables["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(objects)
        process = subprocess.Popen(  # noqa: S603 - no shell; values of users never take the place of a flag
            [_program(), f"--git-dir={self.folder.path}", *arguments],
            cwd=self.folder.path,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], seconds: float, is_stopping: Callable[[], bool]) -> int | None:
    """The exit status; None if the time limit passed. Git is given some time to end its helpers."""
    deadline = time.monotonic() + seconds
    ending: float | None = None
    while True:
        try:
            status = process.wait(_POLL_SECONDS)
            return None if ending is not None and not is_stopping() else status
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if ending is None and (is_stopping() or now >= deadline):
                ending = now
                process.terminate()
            elif ending is not None and now >= ending + _KILL_AFTER_SECONDS:
                process.kill()


def summarize(stderr: str) -> str:
    """Git's messages on one line: those of the remote first, without hints and logins."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", stderr) if not _NOISE.match(line)]
    remotes = [line.removeprefix("remote:").strip() for line in lines if line.startswith("remote:")]
    own = [line for line in lines if not line.startswith("remote:") and not (remotes and _REJECTED.match(line))]
    return clean("; ".join(line for line in (*remotes, *own) if line))


def _temporary() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        message = f"git needs a temporary file: {error}; free some space, or set TMPDIR to another folder"
        raise GitError(message) from error


@functools.cache
def _system_config() -> Pairs:
    """The keys about logins and certificates in the system's configuration, such as Apple's credential helper."""
    if os.environ.get("GIT_CONFIG_NOSYSTEM", "").lower() in ("1", "true", "yes", "on"):
        return ()
    out = _read_config("--system", "-z", "--get-regexp", SYSTEM_KEYS)
    return tuple((key, value) for entry in out.split("\0") if entry for key, _, value in [entry.partition("\n")])


@functools.cache
def _global_hooks() -> str | None:
    """The folder of hooks in the user's global configuration; None without one."""
    return _read_config("--global", "--includes", "--type=path", "--get", "core.hooksPath").strip("\n") or None


def _read_config(*arguments: str) -> str:
    """The output of `git config` outside of any repository; empty where the key or the file does not exist."""
    done = subprocess.run(  # noqa: S603 - as above
        [_program(), "config", *arguments],
        cwd="/",
        env={name: value for name, value in os.environ.items() if name in _CONFIG_VARIABLES},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=LOCAL_SECONDS,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def pager_command() -> str:
    """The user's pager as a shell command: GIT_PAGER, core.pager, PAGER, or git's default."""
    environment = {
        name: value for name, value in os.environ.items() if name in (*_CONFIG_VARIABLES, "GIT_PAGER", "PAGER")
    }
    done = subprocess.run(  # noqa: S603 - as above
        [_program(), "var", "GIT_PAGER"], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "cat"


def _program() -> str:
    path = shutil.which("git")
    if path is None:
        raise UsageError(["git: not found on PATH; promote needs the git that you push with"])
    return path


def require_git() -> None:
    """Check that git is installed and new enough.

    Raises:
        UsageError: it is not.
    """
    done = subprocess.run([_program(), "version"], capture_output=True, text=True, check=False)  # noqa: S603 - as above
    version = parse_version(done.stdout)
    if version is None or version < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise UsageError([f"git: {clean(done.stdout) or 'its version is unknown'}; {wanted} or newer is needed"])


def parse_version(text: str) -> tuple[int, int] | None:
    """Major and minor version in the output of `git version`; None without one."""
    version = re.search(r"([0-9]{1,9})\.([0-9]{1,9})", text)
    return (int(version[1]), int(version[2])) if version else None
