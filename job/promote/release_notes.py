"""Release notes: what they contain, and how they are written as Markdown and as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from job.domain.records import dataclass, field
from job.domain.repositories import commit_link, compare_link
from job.domain.times import iso
from job.journal.records import RunRecord
from job.promote.changes import Change
from job.promote.commits import SHORT_LENGTH, Commit, authors
from job.promote.forge import kind_of
from job.promote.markdown import escape, link
from job.promote.moves import plural
from job.promote.references import TRAILING, delivered, references

MAX_COMMITS = 500
MAX_REQUESTS = 100
_OWN_REFERENCE = re.compile(r"[#!][0-9]+")
_FULL_REFERENCE = re.compile(r"([\w./-]+)([#!])([0-9]+)")


@dataclass(frozen=True, slots=True)
class Section:
    """A change of a repository: the commits that came and went, or why they are unknown.

    Attributes:
        change: the tags, and the commits before and after.
        commits: new ones, newest first.
        removed: what went, newest first.
        message: why commits are missing, or a remark.
        failed: the repository could not be read.
        notes: release notes by pull request.
    """

    change: Change
    commits: tuple[Commit, ...] = ()
    removed: tuple[Commit, ...] = ()
    message: str | None = None
    failed: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notes:
    """Release notes.

    Attributes:
        deployment: the deployment; None for every tag, or for a period of commits.
        namespaces: the namespaces of the runs.
        runs: newest first; empty for a period of commits.
        sections: by repository name.
        others: changes of images that no repository feeds.
        web: the address of each repository's page, by its name.
        period: what `--between` said; None for runs.
        forges: `github` or `gitlab`, by host.
    """

    deployment: str | None
    namespaces: tuple[str, ...]
    runs: tuple[RunRecord, ...]
    sections: Mapping[str, tuple[Section, ...]]
    others: tuple[Change, ...]
    web: Mapping[str, str | None]
    period: str | None = None
    forges: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether a repository could not be read, so that its notes are missing."""
        return any(section.failed for sections in self.sections.values() for section in sections)


def as_markdown(notes: Notes) -> str:
    """The notes as Markdown that pings nobody, and links to the right place wherever it is posted."""
    lines = [f"# {escape(_title(notes))}", ""]
    if notes.period is None:
        if not notes.runs:
            return "\n".join([*lines, "Nothing: no run updated an image.", ""])
        runs = [
            f"{escape(run.id)} ({iso(run.finished_at or run.started_at) or 'unknown time'})"
            for run in reversed(notes.runs)
        ]
        names = escape(", ".join(notes.namespaces))
        lines += [f"{'Run' if len(runs) == 1 else 'Runs'} {', '.join(runs)} in {names}.", ""]
    for name, sections in notes.sections.items():
        lines += [f"## {escape(name)}", ""]
        for section in sections:
            lines += [*_section_lines(section, notes.web.get(name), notes.forges), ""]
    if notes.others:
        lines += ["## Other images", ""]
        lines += [f"- {_headline(change, None)}" for change in notes.others] + [""]
    return "\n".join(lines)


def _title(notes: Notes) -> str:
    if notes.period is not None:
        return f"Changes {notes.period}"
    return f"Deployed to {notes.deployment or ', '.join(notes.namespaces)}"


def _headline(change: Change, web: str | None) -> str:
    names = f"{escape(', '.join(change.names))}: " if change.names else ""
    before, after = ((revision or "?")[:SHORT_LENGTH] for revision in (change.before, change.after))
    arrow = f"{escape(before)} → {escape(after)}"
    are_hashes = all(re.fullmatch("[0-9a-f]+", commit) for commit in (before, after))
    return names + (f"[{arrow}]({compare_link(web, before, after)})" if web and are_hashes else arrow)


def _section_lines(section: Section, web: str | None, forges: Mapping[str, str]) -> list[str]:
    # The commits of a merged branch say what changed; the merge itself only repeats that.
    shown = [commit for commit in section.commits if not commit.is_merge] or list(section.commits)
    head = _headline(section.change, web)
    if shown and not section.message:
        head += f", {plural(len(shown), 'commit')} by {escape(_bounded(authors(shown)), starts_line=False)}"
    lines = [head, ""]
    if section.message:
        lines += [escape(section.message[0].upper() + section.message[1:]), ""]
    for commit in shown[:MAX_COMMITS]:
        lines.append(_item(commit, web, forges))
        for name in references(commit):
            lines += [f"  - {escape(line)}" for line in section.notes.get(name, "").splitlines() if line.strip()]
    if len(shown) > MAX_COMMITS:
        lines.append(f"- and {len(shown) - MAX_COMMITS:,} more")
    if names := delivered(section.commits):
        more = f" and {len(names) - MAX_REQUESTS:,} more" if len(names) > MAX_REQUESTS else ""
        lines += [
            "",
            "Pull requests: " + ", ".join(_request(name, web, forges) for name in names[:MAX_REQUESTS]) + more,
        ]
    if section.removed:
        lines += ["", "Removed, since the new image does not have them:", ""]
        lines += [_item(commit, web, forges) for commit in section.removed[:MAX_COMMITS]]
        if len(section.removed) > MAX_COMMITS:
            lines.append(f"- and {len(section.removed) - MAX_COMMITS:,} more")
    return lines


def _bounded(names: Sequence[str], limit: int = 30) -> str:
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _item(commit: Commit, web: str | None, forges: Mapping[str, str]) -> str:
    page = f"[`{commit.short}`]({commit_link(web, commit.id)})" if web else f"`{commit.short}`"
    requests = [_request(name, web, forges) for name in references(commit)]
    author = escape(commit.author, 100, starts_line=False)
    return f"- {escape(TRAILING.sub('', commit.subject))} ({', '.join([*requests, page, author])})"


def _request(name: str, web: str | None, forges: Mapping[str, str]) -> str:
    """A pull request as a link with its full name, such as `team/worker#12`; without a known page its plain name."""
    if name.startswith(("https://", "http://")):
        return link(name.partition("://")[2], name)
    kind = kind_of(web, forges) if web else None
    if web is None:
        return escape(name, starts_line=False)
    parts = urlsplit(web)
    full = parts.path.strip("/") + name if _OWN_REFERENCE.fullmatch(name) else name
    match = _FULL_REFERENCE.fullmatch(full)
    if match is None or kind is None:
        return escape(full if match else name, starts_line=False)
    path = "pull" if kind == "github" else "-/merge_requests" if match[2] == "!" else "-/issues"
    return link(full, f"{parts.scheme}://{parts.netloc}/{match[1]}/{path}/{match[3]}")


def as_document(notes: Notes) -> dict[str, Any]:
    """The notes as JSON, also given to templates."""
    return {
        "deployment": notes.deployment,
        "namespaces": list(notes.namespaces),
        "period": notes.period,
        "runs": [
            {"id": run.id, "started_at": iso(run.started_at), "finished_at": iso(run.finished_at)} for run in notes.runs
        ],
        "repositories": [
            {
                "name": name,
                "url": notes.web.get(name),
                "changes": [_change(section, notes.web.get(name)) for section in sections],
            }
            for name, sections in notes.sections.items()
        ],
        "others": [_change(Section(change), None) for change in notes.others],
    }


def _change(section: Section, web: str | None) -> dict[str, Any]:
    change = section.change
    before, after = change.before, change.after
    return {
        "namespace": change.namespace or None,
        "tags": list(change.names),
        "before": before,
        "after": after,
        "compare": compare_link(web, before, after) if web and before and after else None,
        "commits": [_commit(commit, section.notes) for commit in section.commits],
        "taken_back": [_commit(commit, {}) for commit in section.removed],
        "pull_requests": list(delivered(section.commits)),
        "message": section.message,
    }


def _commit(commit: Commit, notes: Mapping[str, str]) -> dict[str, Any]:
    names = references(commit)
    return {
        "commit": commit.id,
        "author": commit.author,
        "at": iso(commit.at),
        "subject": commit.subject,
        "pull_requests": list(names),
        "release_notes": [notes[name] for name in names if name in notes],
    }
