"""Commits as git lists them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from job.domain.records import dataclass
from job.domain.repositories import MIN_HASH_LENGTH
from job.domain.times import from_unix

# Hash, parents, author, committer date, subject, rest of the message. None of these can contain NUL.
LOG_FORMAT = "%H%x00%P%x00%an%x00%ct%x00%s%x00%b"
_FIELDS = 6
SHORT_LENGTH = 9
_UNIX_TIME = re.compile(r"-?[0-9]{1,18}")
_HASH = re.compile(rf"[0-9a-f]{{{MIN_HASH_LENGTH},64}}")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; `at` is None where its date is outside the calendar, since a commit may carry any number."""

    id: str
    author: str
    at: datetime | None
    subject: str
    is_merge: bool = False
    body: str = ""

    @property
    def short(self) -> str:
        """The abbreviated hash."""
        return self.id[:SHORT_LENGTH]


def parse_log(text: str) -> tuple[Commit, ...]:
    """The commits in the output of `git log -z --format=LOG_FORMAT`."""
    fields = text.split("\0")
    rows = [fields[at : at + _FIELDS] for at in range(0, len(fields) - _FIELDS + 1, _FIELDS)]
    return tuple(
        Commit(commit.strip(), author, _time(at), subject, " " in parents, body)
        for commit, parents, author, at, subject, body in rows
    )


def _time(text: str) -> datetime | None:
    return from_unix(int(text)) if _UNIX_TIME.fullmatch(text) else None


def same(one: str | None, other: str) -> bool:
    """Whether both name one commit; either may be an abbreviated hash."""
    first, second = (one or "").strip().lower(), other.lower()
    if not (_HASH.fullmatch(first) and _HASH.fullmatch(second)):
        return False
    return first.startswith(second) or second.startswith(first)


def authors(commits: Sequence[Commit]) -> tuple[str, ...]:
    """The authors, most commits first; merge commits do not count."""
    names = [commit.author for commit in commits if not commit.is_merge]
    return tuple(sorted(dict.fromkeys(names), key=lambda name: -names.count(name)))
