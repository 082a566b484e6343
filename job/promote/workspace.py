"""What the sub-commands share: the configuration, its clones, and the request to stop."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from job.domain.errors import StoppedError
from job.domain.records import dataclass, field
from job.promote.clone import Clone, clone_of
from job.promote.config import Config, Repository
from job.promote.errors import GitError
from job.runtime.shutdown import Stop
from job.runtime.terminal import Line


@dataclass(frozen=True, slots=True)
class Workspace:
    """The configuration, and the clones opened so far."""

    config: Config
    stop: Stop
    clones: dict[str, Clone] = field(default_factory=dict)

    def is_stopping(self) -> bool:
        """Whether the command was asked to stop."""
        return bool(self.stop)

    def clone(self, repository: Repository) -> Clone:
        """The clone of a repository, as of its last fetch."""
        if repository.name not in self.clones:
            self.clones[repository.name] = clone_of(
                self.config,
                repository.name,
                repository.url,
                self.is_stopping,
                needs_head=repository.rolling is None,
            )
        return self.clones[repository.name]

    def monorepo(self) -> Clone | None:
        """The clone of the monorepo; None without a `[monorepo]`."""
        monorepo = self.config.monorepo
        return clone_of(self.config, "monorepo", monorepo.url, self.is_stopping) if monorepo else None

    def fetch(self, repositories: Sequence[Repository]) -> dict[str, str]:
        """Fetch repositories one after the other, since git may ask for a login; returns errors by repository name.

        Raises:
            StoppedError: the command was asked to stop.
        """
        line, problems = Line(sys.stderr), {}
        try:
            for number, repository in enumerate(repositories, 1):
                line.show(f"fetching {repository.name}, {number} of {len(repositories)}")
                if self.stop:
                    raise StoppedError("stopped; nothing was changed")
                try:
                    self.clone(repository).fetch()
                except GitError as error:
                    problems[repository.name] = str(error)
        finally:
            line.clear()
        return problems


def rolling_of(clone: Clone, repository: Repository) -> str:
    """The name of a repository's rolling branch.

    Raises:
        GitError: it is unknown, or the stable branch itself.
    """
    rolling = clone.rolling(repository.rolling)
    if rolling == repository.stable:
        raise GitError(f"{clone.name}: the remote's HEAD is {rolling} itself; set rolling in promote.toml")
    return rolling


def require_tip(clone: Clone, branch: str, key: str) -> str:
    """The commit of a repository's branch, which the configuration names under `key`.

    Raises:
        GitError: there is no such branch.
    """
    tip = clone.tip(branch)
    if tip is None:
        fix = f"correct {key} in its configuration, or push that branch once"
        raise GitError(f"{clone.name}: there is no branch {branch}; {fix}")
    return tip
