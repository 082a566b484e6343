"""The `git` program, run without a shell.

The program and not a library: who may push is known to the person's own git, with its credential helpers, ssh and its
agent, `insteadOf`, proxies, signing and hooks, and `push --force-with-lease` is its own. GitPython only starts the same
program; pygit2 and dulwich have ways of their own to log in, none of those helpers, and no lease. Nothing is installed
for it, and the container image, which has no git, stays as it is.

A URL is handed over in the environment, never written to a clone or put on our command line: it may carry a login.
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

# The first that takes configuration from GIT_CONFIG_COUNT.
OLDEST = (2, 31)
_WAIT_SECONDS = 0.2
_MOST_BYTES = 64 * 1024 * 1024
# Those of a git that may have started us, as a hook or an alias does; they would point to another repository.
_INHERITED = (
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
    """Git did not do what it was asked for; the message says what, where and what git said."""

    exit_status = 1
    # Whether it is known what became of the remote.
    is_known = True


@dataclass(frozen=True, slots=True)
class Done:
    """A git that has ended."""

    status: int
    out: str
    words: str


@dataclass(frozen=True, slots=True)
class Git:
    """How git is run for one clone: its folder, the configuration that is given for the network, and when to stop."""

    folder: Path
    network: Mapping[str, str] = field(repr=False)
    stopping: Callable[[], bool]

    def ask(
        self, *arguments: str, what: str, network: bool = False, environment: Mapping[str, str] | None = None
    ) -> str:
        """What git prints.

        Args:
            arguments: of git.
            what: what could not be done, for the message.
            network: whether it goes to the remote, and so is told its URL. Without that a clone that lacks an object
                cannot go and fetch it behind our back.
            environment: more of it.

        Raises:
            GitError: it failed.
            StoppedError: it was told to stop.
        """
        done = self.run(*arguments, network=network, environment=environment)
        if done.status:
            raise GitError(f"{what}: {done.words or f'git ended with {done.status}'}")
        return done.out

    def run(self, *arguments: str, network: bool = False, environment: Mapping[str, str] | None = None) -> Done:
        """Run git to its end, whatever that is.

        Raises:
            StoppedError: it was told to stop.
        """
        surroundings = {**_environment(self.network if network else {}), **(environment or {})}
        # Files and not pipes: a helper that stays behind, such as an ssh master, would keep a pipe open.
        with _temporary() as out, _temporary() as err:
            process = subprocess.Popen(  # noqa: S603 - no shell, and what a person names never stands for a flag
                [_program(), f"--git-dir={self.folder}", *arguments],
                cwd=self.folder,
                env=surroundings,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
            stopped = False
            while True:
                try:
                    status = process.wait(_WAIT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if self.stopping() and not stopped:
                        stopped = True
                        process.terminate()
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read(_MOST_BYTES).decode("utf-8", "replace"))
        if status and self.stopping():
            raise StoppedError(f"stopped while git was at work: {arguments[0]}")
        return Done(status, texts[0], told(texts[1]))


def told(stderr: str) -> str:
    """What git said, on one line: the remote's own words first, without hints and logins."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", stderr) if not _NOISE.match(line)]
    remote = [line.removeprefix("remote:").strip() for line in lines if line.startswith("remote:")]
    rest = [line for line in lines if not line.startswith("remote:")]
    return clean("; ".join(line for line in (*remote, *rest) if line))


def _temporary() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        raise GitError(f"git needs a temporary file: {error}; make room, or set TMPDIR to another folder") from error


def _environment(config: Mapping[str, str]) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _INHERITED}
    # What it says is shown in the midst of our own words.
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
    found = shutil.which("git")
    if found is None:
        raise UsageError(["git: the program is not there; promote runs where you push from, with your own git"])
    return found


def require_git() -> None:
    """See that there is a git that is new enough.

    Raises:
        UsageError: there is not.
    """
    done = subprocess.run([_program(), "version"], capture_output=True, text=True, check=False)  # noqa: S603 - as above
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise UsageError([f"git: {clean(done.stdout) or 'it does not tell its version'}; at least {wanted} is needed"])
