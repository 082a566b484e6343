"""Whether the images of promoted commits have arrived.

An image has arrived when its revision label is the promoted commit; either may be an abbreviated hash. It has also
arrived when stable was moved on in the meantime: the image's commit contains the promoted one and is on stable. Any
other image does not count, for example one of the rolling branch that contains the commit: it was not promoted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from job.promote.commits import is_hash, same


class State(StrEnum):
    """The state of an awaited image. `later`: its commit is one to which stable was moved after the promoted one."""

    WAITING = "waiting"
    ARRIVED = "arrived"
    LATER = "later"


class History(Protocol):
    """The questions about a repository that decide an arrival."""

    def fetch(self) -> None:
        """Bring it up to date."""

    def tip(self, branch: str) -> str | None:
        """The commit of a branch."""

    def resolve(self, text: str) -> str | None:
        """The commit that a text names."""

    def contains(self, commit: str, older: str) -> bool:
        """Whether `older` is `commit` or one of its ancestors."""


@dataclass(slots=True)
class Judge:
    """Decides about the images of one repository's promoted commit."""

    commit: str
    stable: str
    history: History
    _unknown: set[str] = field(default_factory=set)

    def state(self, revision: str | None) -> State:
        """The state of an image with this revision label.

        Raises:
            GitError: an unknown revision cannot be fetched.
        """
        if revision is None or not is_hash(revision):
            return State.WAITING
        if same(revision, self.commit):
            return State.ARRIVED
        commit = self._resolve(revision.strip().lower())
        if commit is None or not self.history.contains(commit, self.commit):
            return State.WAITING
        if not self._is_on_stable(commit):
            # Stable may have been moved to it since the last fetch.
            self.history.fetch()
        return State.LATER if self._is_on_stable(commit) else State.WAITING

    def _resolve(self, revision: str) -> str | None:
        """The commit of a revision. An unknown one is fetched for only once, since it may never resolve."""
        if (commit := self.history.resolve(revision)) is not None or revision in self._unknown:
            return commit
        self.history.fetch()
        commit = self.history.resolve(revision)
        if commit is None:
            self._unknown.add(revision)
        return commit

    def _is_on_stable(self, commit: str) -> bool:
        stable = self.history.tip(self.stable)
        return stable is not None and self.history.contains(stable, commit)
