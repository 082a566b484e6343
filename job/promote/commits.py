"""Commits: as git lists them, which pull requests they name, and where they can be read on the web."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from job.domain.times import from_unix

# Hash, number of parents by their hashes, author, time of the commit, subject. Nothing of it holds a NUL.
LOG_FORMAT = "%H%x00%P%x00%an%x00%ct%x00%s"
_FIELDS = 5
# The least that is taken for the beginning of a commit's hash.
LEAST = 7
SHOWN = 9
_HASH = re.compile(rf"[0-9a-f]{{{LEAST},64}}")


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; `at` is None where its time is none that there can be, since anybody may write one."""

    id: str
    author: str
    at: datetime | None
    subject: str
    is_merge: bool = False

    @property
    def short(self) -> str:
        """The beginning of its hash."""
        return self.id[:SHOWN]


def commits_from(text: str) -> tuple[Commit, ...]:
    """The commits that `git log -z --format=LOG_FORMAT` lists."""
    fields = text.split("\0")
    rows = [fields[at : at + _FIELDS] for at in range(0, len(fields) - _FIELDS + 1, _FIELDS)]
    return tuple(
        Commit(commit.strip(), author, from_unix(int(at)), subject, " " in parents)
        for commit, parents, author, at, subject in rows
    )


_PULL_REQUESTS = re.compile(r"\A(?:Merge pull request|Merged in .*\(pull request) (#\d+)|\(([#!]\d+)\)")


def pull_requests(subject: str) -> tuple[str, ...]:
    """The merged pull requests that a subject names: `Merge pull request #12 from ...`, `Mend it (#12)`, `(!12)`."""
    return tuple(dict.fromkeys(first or second for first, second in _PULL_REQUESTS.findall(subject)))


def pull_requests_of(commits: Iterable[Commit]) -> tuple[str, ...]:
    """Those of all commits, each once, in their order."""
    return tuple(dict.fromkeys(name for commit in commits for name in pull_requests(commit.subject)))


def same(one: str | None, other: str) -> bool:
    """Whether both name one commit, where either may be but the beginning of its hash."""
    first, second = (one or "").strip().lower(), other.lower()
    if not (_HASH.fullmatch(first) and _HASH.fullmatch(second)):
        return False
    return first.startswith(second) or second.startswith(first)


def is_hash(text: str | None) -> bool:
    """Whether it can be a commit's hash or its beginning."""
    return bool(_HASH.fullmatch((text or "").strip().lower()))


_WEB = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^/@]*@)?([\w.-]+)(?::\d+)?/|(?:[\w.-]+@)([\w.-]+\.[\w.-]+):)([^?#\s]+?)/?"
)


def web_address(url: str) -> str | None:
    """Where a repository can be read, without any login; None for one on a disk."""
    found = _WEB.fullmatch(url.strip())
    return f"https://{found[1] or found[2]}/{found[3].removesuffix('.git')}" if found else None


def authors(commits: Sequence[Commit]) -> tuple[str, ...]:
    """Who wrote them, merges aside, the most first."""
    names = [commit.author for commit in commits if not commit.is_merge]
    return tuple(sorted(dict.fromkeys(names), key=lambda name: -names.count(name)))
