"""Whether the images of promoted commits have arrived.

An image has arrived when its revision is the promoted commit, either of which may be written as but the beginning of
the hash. It has also arrived when somebody moved stable on meanwhile: its revision then comes after the promoted
commit, and lies on stable as it is now. Anything else, such as an image of the rolling branch that contains the commit,
is not what was promoted and does not count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from job.promote.commits import is_hash, same


class State(StrEnum):
    """How far an image is. `later`: of a commit to which stable was moved after the promoted one."""

    WAITING = "waiting"
    ARRIVED = "arrived"
    LATER = "later"


class History(Protocol):
    """What has to be known of a repository."""

    def fetch(self) -> None:
        """Bring it up to date."""

    def tip(self, branch: str) -> str | None:
        """The commit of a branch."""

    def resolve(self, text: str) -> str | None:
        """The commit that a text names."""

    def contains(self, commit: str, older: str) -> bool:
        """Whether `older` is the commit, or one of those before it."""


@dataclass(slots=True)
class Judge:
    """What is said of the images of one repository's promoted commit."""

    commit: str
    stable: str
    history: History
    _unknown: set[str] = field(default_factory=set)

    def state(self, revision: str | None) -> State:
        """Whether an image of this revision is what is waited for.

        Raises:
            GitError: a revision that is not known here cannot be looked into.
        """
        if revision is None or not is_hash(revision):
            return State.WAITING
        if same(revision, self.commit):
            return State.ARRIVED
        named = revision.strip().lower()
        found = self.history.resolve(named)
        if found is None:
            if named in self._unknown:
                return State.WAITING
            self.history.fetch()
            found = self.history.resolve(named)
            if found is None:
                # Of a repository of somebody else's, or a label that means something else.
                self._unknown.add(named)
                return State.WAITING
        if not self.history.contains(found, self.commit):
            return State.WAITING
        if not self._is_on_stable(found):
            # Stable may have been moved to it since.
            self.history.fetch()
        return State.LATER if self._is_on_stable(found) else State.WAITING

    def _is_on_stable(self, commit: str) -> bool:
        stable = self.history.tip(self.stable)
        return stable is not None and self.history.contains(stable, commit)
