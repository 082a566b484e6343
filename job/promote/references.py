"""References to pull requests in commits: which are delivered, and where they can be read.

Sources of the forms: GitHub's and Bitbucket's merge commits, GitHub's squash commits, GitLab's `See merge request`,
Azure DevOps' `Merged PR`, Gerrit's trailers `Reviewed-on` and `Change-Id`, and `git revert`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from job.promote.commits import Commit, same

_IN_SUBJECT = re.compile(
    r"\AMerge pull request (#[0-9]{1,9})\b|\AMerged in .*\(pull request (#[0-9]{1,9})\)|\AMerged PR ([0-9]{1,9}):"
    r"|\(([\w./-]*[#!][0-9]{1,9})\)"
)
_GITLAB = re.compile(r"(?m)^See merge request ([\w./-]{0,200}![0-9]{1,9})\s*$")
_REVIEWED_ON = re.compile(r"(?m)^Reviewed-on: (https?://[^\s@<>\"'`]{1,200})\s*$")
_CHANGE_ID = re.compile(r"(?m)^Change-Id: (I[0-9a-f]{8,40})\s*$")
_REVERTED_COMMIT = re.compile(r"This reverts commit ([0-9a-f]{7,64})")
_REVERT = re.compile(r"\ARevert \"(.*)\"(.*)\Z", re.DOTALL)
# A reference at the end of a subject, which a shortened one keeps.
TRAILING = re.compile(r"\s*\([\w./-]*[#!][0-9]{1,9}\)\Z")


def references(commit: Commit) -> tuple[str, ...]:
    """The pull request that a commit merges, as its forge writes it: `#12`, `team/worker!45`, a Gerrit URL or id.

    A subject in the quotation of a revert does not count.
    """
    names = [name for name, delivered in _of_subject(commit.subject, True) if delivered]
    names += _GITLAB.findall(commit.body)
    # One change of Gerrit has both; the URL says more.
    names += _REVIEWED_ON.findall(commit.body) or [name[:9] for name in _CHANGE_ID.findall(commit.body)]
    return tuple(_without_duplicates(names))


def _of_subject(subject: str, delivered: bool) -> list[tuple[str, bool]]:
    """The references of a subject, and whether each is delivered; each quotation of a revert turns that around."""
    revert = _REVERT.match(subject)
    if revert is None:
        names = [next(filter(None, groups)) for groups in _IN_SUBJECT.findall(subject)]
        return [(f"#{name}" if name.isdigit() else name, delivered) for name in names]
    # Its own reference follows the quotation.
    return [*_of_subject(revert[2], delivered), *_of_subject(revert[1], not delivered)]


def _without_duplicates(names: Iterable[str]) -> list[str]:
    """Each name once; of `!45` and `team/worker!45` the longer one."""
    unique = list(dict.fromkeys(names))
    return [name for name in unique if not any(other != name and other.endswith(name) for other in unique)]


def delivered(commits: Iterable[Commit]) -> tuple[str, ...]:
    """The pull requests that these commits (newest first) deliver, each once; not those that they also revert."""
    newest_first = tuple(commits)
    result: dict[str, None] = {}
    by_commit: dict[str, tuple[str, ...]] = {}
    for commit in reversed(newest_first):
        own = references(commit)
        for name, is_delivered in _of_subject(commit.subject, True):
            if not is_delivered:
                result.pop(name, None)
        for reverted in _REVERTED_COMMIT.findall(commit.body):
            for other, names in by_commit.items():
                if same(reverted, other):
                    for name in names:
                        result.pop(name, None)
        by_commit[commit.id] = own
        for name in own:
            # At the place of its newest commit.
            result.pop(name, None)
            result[name] = None
    return tuple(reversed(result))


def shorten(commit: Commit, width: int) -> str:
    """A commit on one line of at most `width` characters; a reference at the end of the subject is never cut off."""
    tail = (TRAILING.search(commit.subject) or [""])[0]
    head = commit.subject.removesuffix(tail)
    author = commit.author if len(commit.author) <= 30 else commit.author[:29] + "…"
    end = f"{tail} ({author})"
    space = max(width - len(commit.short) - 1 - len(end), 10)
    return f"{commit.short} {head if len(head) <= space else head[: space - 1] + '…'}{end}"
