"""Commits as git lists them, the pull requests they name, and a repository's web address."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from job.domain.times import from_unix

# Hash, parents, author, committer date, subject. None of these can contain NUL.
LOG_FORMAT = "%H%x00%P%x00%an%x00%ct%x00%s"
_FIELDS = 5
# An abbreviated hash has at least this many digits.
MIN_HASH_LENGTH = 7
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

    @property
    def short(self) -> str:
        """The abbreviated hash."""
        return self.id[:SHORT_LENGTH]


def parse_log(text: str) -> tuple[Commit, ...]:
    """The commits in the output of `git log -z --format=LOG_FORMAT`."""
    fields = text.split("\0")
    rows = [fields[at : at + _FIELDS] for at in range(0, len(fields) - _FIELDS + 1, _FIELDS)]
    return tuple(
        Commit(
            commit.strip(), author, from_unix(int(at)) if _UNIX_TIME.fullmatch(at) else None, subject, " " in parents
        )
        for commit, parents, author, at, subject in rows
    )


_PULL_REQUESTS = re.compile(r"\A(?:Merge pull request|Merged in .*\(pull request) (#\d+)|\(([#!]\d+)\)")


def pull_requests(subject: str) -> tuple[str, ...]:
    """The pull requests that a subject names: `Merge pull request #12 from ...`, `Fix it (#12)`, `Fix it (!12)`."""
    return tuple(dict.fromkeys(merged or named for merged, named in _PULL_REQUESTS.findall(subject)))


def pull_requests_of(commits: Iterable[Commit]) -> tuple[str, ...]:
    """The pull requests of all commits, each once, in the order of the commits."""
    return tuple(dict.fromkeys(name for commit in commits for name in pull_requests(commit.subject)))


def same(one: str | None, other: str) -> bool:
    """Whether both name one commit; either may be an abbreviated hash."""
    first, second = (one or "").strip().lower(), other.lower()
    if not (_HASH.fullmatch(first) and _HASH.fullmatch(second)):
        return False
    return first.startswith(second) or second.startswith(first)


def is_hash(text: str | None) -> bool:
    """Whether a text can be a commit's hash, full or abbreviated."""
    return bool(_HASH.fullmatch((text or "").strip().lower()))


_WEB = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^/@]*@)?([\w.-]+)(?::\d+)?/|(?:[\w.-]+@)([\w.-]+\.[\w.-]+):)([^?#\s]+?)/?"
)


def web_address(url: str) -> str | None:
    """The https address of a repository's page, without a login; None for a local path."""
    found = _WEB.fullmatch(url.strip())
    return f"https://{found[1] or found[2]}/{found[3].removesuffix('.git')}" if found else None


def authors(commits: Sequence[Commit]) -> tuple[str, ...]:
    """The authors, most commits first; merge commits do not count."""
    names = [commit.author for commit in commits if not commit.is_merge]
    return tuple(sorted(dict.fromkeys(names), key=lambda name: -names.count(name)))
