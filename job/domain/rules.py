"""The rules of a namespace, which every run there obeys: a freeze, and images that are known to be bad.

People write them (`oc edit`, GitOps), and so do commands and rollbacks; `job.journal.rules_text` reads and writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from job.domain.records import dataclass, replace
from job.domain.times import iso

# The ConfigMap that holds the rules of its namespace.
RULES = "import-images-rules"
MOST_FREEZES = 50
MOST_BLOCKED = 300
# The shortest form of a commit id: as many digits as git shows at least.
_SHORTEST_REVISION = 7
REVISION = rf"[0-9a-f]{{{_SHORTEST_REVISION},64}}"


@dataclass(frozen=True, slots=True)
class FreezeRule:
    """While it is in force no run imports anything. It applies once it is written; `at` is informational."""

    reason: str | None = None
    by: str | None = None
    at: datetime | None = None
    until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it has ended."""
        return self.until is not None and self.until <= now

    def __str__(self) -> str:
        end = f"until {iso(self.until)}" if self.until else "until import-images thaw"
        return f"frozen{_by_and_since(self.by, self.at)} {end}: {self.reason or 'no reason given'}"


@dataclass(frozen=True, slots=True)
class BlockRule:
    """A known-bad image, by its digest or by the revision that it was built from: exactly one of them."""

    digest: str | None = None
    revision: str | None = None
    reason: str | None = None
    by: str | None = None
    at: datetime | None = None
    until: datetime | None = None

    @property
    def what(self) -> str:
        """The digest or the revision."""
        return self.digest or self.revision or ""

    def is_over(self, now: datetime) -> bool:
        """Whether it has ended."""
        return self.until is not None and self.until <= now

    def matches(self, digest: str, revision: str | None) -> bool:
        """Whether an image is meant; revisions match if one is a prefix of the other."""
        if self.digest is not None:
            return digest == self.digest
        if self.revision is None or not revision:
            return False
        from job.domain.repositories import revision_commit

        # A label may be `HASH-dirty`, or what `git describe` says.
        image = revision_commit(revision)
        if image is None:
            return False
        return image.startswith(self.revision) or self.revision.startswith(image)

    def __str__(self) -> str:
        end = f" until {iso(self.until)}" if self.until else ""
        what = self.digest or f"revision {self.revision}"
        return f"{what} is blocked{_by_and_since(self.by, self.at)}{end}: {self.reason or 'no reason given'}"


def _by_and_since(by: str | None, at: datetime | None) -> str:
    return (f" by {by}" if by else "") + (f" since {iso(at)}" if at else "")


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a namespace, in the order in which they are written."""

    freezes: tuple[FreezeRule, ...] = ()
    blocked: tuple[BlockRule, ...] = ()

    def in_force(self, now: datetime) -> Rules:
        """Those that have not ended."""
        return Rules(
            tuple(freeze for freeze in self.freezes if not freeze.is_over(now)),
            tuple(rule for rule in self.blocked if not rule.is_over(now)),
        )

    @property
    def freeze(self) -> FreezeRule | None:
        """The freeze in force that ends last."""
        endless = next((freeze for freeze in self.freezes if freeze.until is None), None)
        return endless or max(self.freezes, key=lambda freeze: freeze.until or datetime.max, default=None)

    def blocking(self, digest: str, revision: str | None) -> BlockRule | None:
        """The rule that blocks an image."""
        return next((rule for rule in self.blocked if rule.matches(digest, revision)), None)


NONE = Rules()


class FullError(ValueError):
    """There is no room for another rule."""


def with_freeze(rules: Rules, freeze: FreezeRule) -> Rules:
    """The rules with another freeze.

    Raises:
        FullError: there are too many.
    """
    if freeze in rules.freezes:
        return rules
    if len(rules.freezes) >= MOST_FREEZES and freeze.at:
        # What has ended stays for readers while there is room.
        rules = replace(rules, freezes=rules.in_force(freeze.at).freezes)
    if len(rules.freezes) >= MOST_FREEZES:
        raise FullError(f"there are {MOST_FREEZES} freezes already: import-images thaw")
    return replace(rules, freezes=(*rules.freezes, freeze))


def with_blocked(rules: Rules, blocked: Iterable[BlockRule]) -> Rules:
    """The rules with more blocked images; a new rule for an image replaces the old one.

    Raises:
        FullError: there are too many.
    """
    new = {rule.what: rule for rule in blocked}
    kept = tuple(new.pop(rule.what, rule) for rule in rules.blocked)
    combined = (*kept, *new.values())
    at = max((rule.at for rule in new.values() if rule.at), default=None)
    if len(combined) > MOST_BLOCKED and at:
        combined = tuple(rule for rule in combined if not rule.is_over(at))
    if len(combined) > MOST_BLOCKED:
        raise FullError(f"more than {MOST_BLOCKED} images would be blocked: import-images unblock those of long ago")
    return replace(rules, blocked=combined)
