"""Commits as git lists them, revision labels, and a repository's pages on the web."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from job.domain.records import dataclass
from job.domain.times import from_unix

# Hash, parents, author, committer date, subject, rest of the message. None of these can contain NUL.
LOG_FORMAT = "%H%x00%P%x00%an%x00%ct%x00%s%x00%b"
_FIELDS = 6
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


_REVISION = re.compile(r"(?:[\w./+-]*-[0-9]+-g)?([0-9a-fA-F]{7,64})(?:-dirty)?")


def revision_commit(label: str | None) -> str | None:
    """The hash in a revision label: `HASH`, `HASH-dirty`, or `v1.2-3-gHASH` as of `git describe`; None without one."""
    match = _REVISION.fullmatch((label or "").strip()[:200])
    return match[1].lower() if match else None


_WEB = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^/@]*@)?([\w.-]+)(?::\d+)?/|(?:[\w.-]+@)([\w.-]+\.[\w.-]+):)([^?#\s]+?)/?"
)


def web_address(url: str) -> str | None:
    """The https address of a repository's page, without a login; None for a local path."""
    found = _WEB.fullmatch(url.strip())
    return f"https://{found[1] or found[2]}/{found[3].removesuffix('.git')}" if found else None


def compare_link(web: str, old: str, new: str) -> str:
    """The page of a forge that compares two commits."""
    return f"{web}{_dash(web)}/compare/{old}...{new}"


def commit_link(web: str, commit: str) -> str:
    """The page of a forge that shows a commit."""
    return f"{web}{_dash(web)}/commit/{commit}"


def _dash(web: str) -> str:
    # GitLab separates a repository's pages from its subgroups by a dash.
    return "/-" if "gitlab" in web.split("/")[2] else ""


def authors(commits: Sequence[Commit]) -> tuple[str, ...]:
    """The authors, most commits first; merge commits do not count."""
    names = [commit.author for commit in commits if not commit.is_merge]
    return tuple(sorted(dict.fromkeys(names), key=lambda name: -names.count(name)))
