"""The configuration: the repositories, the streams they feed, and the order in which they are moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from job.domain.errors import UsageError
from job.domain.records import dataclass, field
from job.domain.repositories import web_address
from job.domain.suggestions import did_you_mean

FILE = "promote.toml"
DEFAULT_MESSAGE = "Move {names} to stable"


@dataclass(frozen=True, slots=True)
class Feed:
    """A stream that gets a repository's images, and its tag if that is not the deployment's."""

    stream: str
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A program that decides whether a moved repository is ready.

    Attributes:
        command: program and arguments.
        interval: seconds between two tries.
        timeout: of all tries, in seconds.
    """

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 3600.0


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with a rolling branch for development and a stable branch that production is built from.

    Attributes:
        name: its name on the command line, in messages, and of its clone.
        url: anything `git clone` accepts; it may carry a login.
        rolling: the development branch; None for the remote's HEAD.
        stable: the branch that production images are built from.
        feeds: the streams that get its images.
        after: names of the repositories to move before it.
        submodule: its path in the monorepo; None to find the submodule by its URL.
        web: the https address of its page; None to derive it from the URL.
        ready: asks whether what comes after it may be moved.
        later: whether an image of a later commit of rolling counts as arrived.
        checks: whether the commit's checks are watched through the forge's API.
    """

    name: str
    url: str = field(repr=False)
    rolling: str | None = None
    stable: str = "stable"
    feeds: tuple[Feed, ...] = ()
    after: tuple[str, ...] = ()
    submodule: str | None = None
    web: str | None = None
    ready: Gate | None = None
    later: bool = False
    checks: bool = False

    @property
    def page(self) -> str | None:
        """The https address of its page on the web; None for a local path."""
        return self.web or web_address(self.url)


@dataclass(frozen=True, slots=True)
class Monorepo:
    """A repository with the others as submodules; `message` is the title of the commit that records moves."""

    url: str = field(repr=False)
    branch: str = "main"
    message: str = DEFAULT_MESSAGE


@dataclass(frozen=True, slots=True)
class Config:
    """The validated file.

    Attributes:
        folder: of the file.
        clones: the folder of the user's own clones, which save fetching; None without one.
        remote: the name of the remote in our clones.
        repositories: sorted so that each comes after those in its `after`.
        monorepo: None without one.
        template: the file of the notes' template; None for the usual notes.
        forges: `github` or `gitlab`, by host.
    """

    folder: Path
    clones: Path | None
    remote: str
    repositories: tuple[Repository, ...]
    monorepo: Monorepo | None = None
    template: Path | None = None
    forges: Mapping[str, str] = field(default_factory=dict)

    def select(self, names: Sequence[str]) -> tuple[Repository, ...]:
        """The repositories with these names, in order; all without names.

        Raises:
            UsageError: a name is unknown.
        """
        known = [repository.name for repository in self.repositories]
        errors = [
            f"{name!r} is not a repository in {FILE}{did_you_mean(name, known) or '; known: ' + ', '.join(known)}"
            for name in names
            if name not in known
        ]
        if errors:
            raise UsageError(errors)
        return tuple(candidate for candidate in self.repositories if not names or candidate.name in names)
