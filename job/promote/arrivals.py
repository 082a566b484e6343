"""Whether the images of promoted commits have arrived.

An image has arrived when its revision label names the promoted commit; either may be an abbreviated hash. It has also
arrived when its commit contains the promoted one and is on stable, which was moved on in the meantime; or on rolling,
if the configuration says `later = true`. Any other image does not count: its commit was not promoted.
"""

from __future__ import annotations

from typing import Protocol

from job.domain.records import dataclass, field
from job.domain.repositories import revision_commit
from job.domain.states import Arrival
from job.promote.commits import same


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of an image, and for a person why it does not count."""

    state: Arrival
    problem: str | None = None


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

    def count(self, since: str, until: str) -> int:
        """The number of commits that `until` has and `since` does not."""


@dataclass(slots=True)
class Judge:
    """Decides about the images of one repository's promoted commit.

    Attributes:
        commit: the promoted commit.
        stable: the name of the branch.
        rolling: the name of the branch.
        history: of the repository.
        later: whether an image of a later commit of rolling counts.
    """

    commit: str
    stable: str
    rolling: str
    history: History
    later: bool = False
    _unknown: set[str] = field(default_factory=set)

    def verdict(self, label: str | None) -> Verdict:
        """Judge an image by its revision label.

        Raises:
            GitError: an unknown revision cannot be fetched.
        """
        if not (label or "").strip():
            return _waiting("the image has no revision label, so its commit is unknown")
        revision = revision_commit(label)
        if revision is None:
            return _waiting(f"the revision label {label!r} does not name a commit")
        if same(revision, self.commit):
            return Verdict(Arrival.ARRIVED)
        commit = self._resolve(revision)
        if commit is None:
            return _waiting(f"the revision label {label!r} is not a commit of this repository; of a base image?")
        if not self.history.contains(commit, self.commit):
            return Verdict(Arrival.WAITING)
        if not self._is_on(commit, self.stable):
            # Stable may have been moved to it since the last fetch.
            self.history.fetch()
        is_on_rolling = self._is_on(commit, self.rolling)
        if self._is_on(commit, self.stable) or (self.later and is_on_rolling):
            return Verdict(Arrival.LATER)
        after = self.history.count(self.commit, commit)
        place = f"on {self.rolling}; it would count with later = true" if is_on_rolling else "on another branch"
        return _waiting(f"the image's commit is {after} after the promoted one, {place}")

    def _resolve(self, revision: str) -> str | None:
        """The commit of a revision. An unknown one is fetched for only once, since it may never resolve."""
        if (commit := self.history.resolve(revision)) is not None or revision in self._unknown:
            return commit
        self.history.fetch()
        commit = self.history.resolve(revision)
        if commit is None:
            self._unknown.add(revision)
        return commit

    def _is_on(self, commit: str, branch: str) -> bool:
        tip = self.history.tip(branch)
        return tip is not None and self.history.contains(tip, commit)


def _waiting(problem: str) -> Verdict:
    return Verdict(Arrival.WAITING, problem)
