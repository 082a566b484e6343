"""What the sub-commands work with: the configuration and its clones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from job.domain.errors import StoppedError
from job.promote.clone import Clone, clone_of
from job.promote.config import Config, Repository
from job.promote.git import GitError
from job.runtime.shutdown import Stop
from job.runtime.terminal import Line


@dataclass(frozen=True, slots=True)
class Bench:
    """The configuration, and the clones as they are needed."""

    config: Config
    stop: Stop
    clones: dict[str, Clone] = field(default_factory=dict)

    def stopping(self) -> bool:
        """Whether the command was told to stop."""
        return bool(self.stop)

    def clone(self, repository: Repository) -> Clone:
        """The clone of a repository, as it was fetched last."""
        if repository.name not in self.clones:
            self.clones[repository.name] = clone_of(self.config, repository.name, repository.url, self.stopping)
        return self.clones[repository.name]

    def monorepo(self) -> Clone | None:
        """The clone of the monorepo, if there is one; no repository's can have that folder."""
        found = self.config.monorepo
        return clone_of(self.config, "monorepo", found.url, self.stopping, "_monorepo") if found else None

    def fetch(self, repositories: Sequence[Repository]) -> dict[str, str]:
        """Fetch repositories, one after the other, as a login may be asked for; returns what went wrong, by name.

        Raises:
            StoppedError: the command was told to stop.
        """
        line, problems = Line(sys.stderr), {}
        try:
            for number, repository in enumerate(repositories, 1):
                line.show(f"fetching {repository.name}, {number} of {len(repositories)}")
                if self.stop:
                    raise StoppedError("stopped before anything was done")
                try:
                    self.clone(repository).fetch()
                except GitError as error:
                    problems[repository.name] = str(error)
        finally:
            line.clear()
        return problems


def tip_of(clone: Clone, branch: str, key: str) -> str:
    """The commit of a repository's branch.

    Raises:
        GitError: there is no such branch.
    """
    tip = clone.tip(branch)
    if tip is None:
        advice = f"correct {key} of it in the configuration, or push that branch once"
        raise GitError(f"{clone.name}: there is no branch {branch}; {advice}")
    return tip
