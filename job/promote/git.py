"""The `git` program, run without a shell.

The program rather than a library: the user's own git has the login to push with (credential helpers, ssh and its
agent), `insteadOf`, proxies, signing and hooks, and only it has `push --force-with-lease`. GitPython starts the same
program; pygit2 and dulwich log in differently, support none of those helpers, and have no lease. The container image
needs no git.

A URL may carry a login, so it is passed in the environment, and never written to a clone or put on our command line.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from job.domain.errors import ImportImagesError, StoppedError, UsageError
from job.domain.text import clean
from job.runtime.terminal import is_there

# The first version that reads configuration from GIT_CONFIG_COUNT.
OLDEST = (2, 31)
_POLL_SECONDS = 0.2
_MAX_BYTES = 64 * 1024 * 1024
# A git that runs us as a hook or an alias sets these; they would point to another repository.
_REPOSITORY_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_QUARANTINE_PATH",
)
_NOISE = re.compile(r"(?i)^(to |from |hint:|warning: filtering not recognized|error: failed to push some refs|\s*$)")


class GitError(ImportImagesError):
    """A git command failed; the message says what failed, where, and git's reason."""

    exit_status = 1
    # False where the remote may have been changed.
    is_known = True


@dataclass(frozen=True, slots=True)
class Completed:
    """A git command that has ended: its exit status, its output, and the message it wrote to stderr on one line."""

    status: int
    out: str
    message: str


@dataclass(frozen=True, slots=True)
class Git:
    """Runs git in one clone: the clone's folder, the configuration for network commands, and when to stop."""

    folder: Path
    network: Mapping[str, str] = field(repr=False)
    is_stopping: Callable[[], bool]

    def output(
        self, *arguments: str, what: str, network: bool = False, environment: Mapping[str, str] | None = None
    ) -> str:
        """The output of a git command.

        Args:
            arguments: the command and its arguments.
            what: the beginning of the error message, such as `worker: cannot be fetched`.
            network: whether it contacts the remote. Without it git does not get the URL, so that a partial clone
                cannot fetch missing objects unnoticed.
            environment: additional variables.

        Raises:
            GitError: it failed.
            StoppedError: the command was asked to stop.
        """
        done = self.run(*arguments, network=network, environment=environment)
        if done.status:
            raise GitError(f"{what}: {done.message or f'git exited with status {done.status}'}")
        return done.out

    def run(self, *arguments: str, network: bool = False, environment: Mapping[str, str] | None = None) -> Completed:
        """Run a git command to its end; a failure is the caller's to judge.

        Raises:
            StoppedError: the command was asked to stop.
        """
        variables = {**_environment(self.network if network else {}), **(environment or {})}
        # Files instead of pipes, since a background helper such as an ssh master would keep a pipe open.
        with _temporary() as out, _temporary() as err:
            process = subprocess.Popen(  # noqa: S603 - no shell; values of users never take the place of a flag
                [_program(), f"--git-dir={self.folder}", *arguments],
                cwd=self.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
            stopped = False
            while True:
                try:
                    status = process.wait(_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if self.is_stopping() and not stopped:
                        stopped = True
                        process.terminate()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read(_MAX_BYTES).decode("utf-8", "replace"))
        if status and self.is_stopping():
            raise StoppedError(f"stopped during git {arguments[0]}")
        return Completed(status, texts[0], summarize(texts[1]))


def summarize(stderr: str) -> str:
    """Git's messages on one line: those of the remote first, without hints and logins."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", stderr) if not _NOISE.match(line)]
    remote = [line.removeprefix("remote:").strip() for line in lines if line.startswith("remote:")]
    rest = [line for line in lines if not line.startswith("remote:")]
    return clean("; ".join(line for line in (*remote, *rest) if line))


def _temporary() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise GitError(
            f"git needs a temporary file: {error}; free some space, or set TMPDIR to another folder"
        ) from error


def _environment(config: Mapping[str, str]) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    # Its messages become part of ours, which are in English.
    environment["LC_ALL"] = "C"
    if not is_there():
        environment["GIT_TERMINAL_PROMPT"] = "0"
    count = int(given) if (given := environment.get("GIT_CONFIG_COUNT", "")).isdecimal() else 0
    for number, (name, value) in enumerate(config.items(), count):
        environment[f"GIT_CONFIG_KEY_{number}"] = name
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    environment["GIT_CONFIG_COUNT"] = str(count + len(config))
    return environment


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
    version = re.search(r"([0-9]+)\.([0-9]+)", done.stdout)
    if version is None or (int(version[1]), int(version[2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise UsageError([f"git: {clean(done.stdout) or 'its version is unknown'}; {wanted} or newer is needed"])
