"""`promote notes`: the commits between the images that runs replaced, by repository."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from job.config.settings import Settings
from job.domain.errors import ImportImagesError, UsageError
from job.domain.schedule import parse_zone
from job.domain.text import clean
from job.domain.times import iso
from job.journal.records import RunRecord
from job.journal.store import JournalStore
from job.promote.bench import Bench
from job.promote.changes import Change, Since, changes_of, fed, parse_since, runs_of
from job.promote.clone import Clone
from job.promote.commits import SHOWN, Commit, authors, is_hash, pull_requests, pull_requests_of, same, web_address
from job.promote.config import Repository
from job.promote.deployed import named
from job.promote.git import GitError
from job.run.context import namespaces_of
from job.run.session import Place, place

log = logging.getLogger(__name__)


class NoJournalError(ImportImagesError):
    """What runs did cannot be read."""

    exit_status = 3


@dataclass(frozen=True, slots=True)
class Section:
    """A change of a repository's images: the commits it brought, those it took back, or why that is not known.

    `failed`: the repository could not be read.
    """

    change: Change
    commits: tuple[Commit, ...] = ()
    taken_back: tuple[Commit, ...] = ()
    message: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Notes:
    """All that went out, by repository; `others` are images of none of them."""

    deployment: str | None
    namespaces: tuple[str, ...]
    runs: tuple[RunRecord, ...]
    sections: Mapping[str, tuple[Section, ...]]
    others: tuple[Change, ...]
    web: Mapping[str, str | None]

    @property
    def failed(self) -> bool:
        """Whether some is missing, since a repository could not be read."""
        return any(section.failed for sections in self.sections.values() for section in sections)


def take(bench: Bench, repositories: Sequence[Repository], settings: Settings, since: str | None) -> Notes:
    """Read the journals, and the commits.

    Raises:
        UsageError: `since` names nothing.
        NoJournalError: no journal can be read.
        ClusterError: the cluster cannot be used.
    """
    asked = parse_since(since, datetime.now(UTC), parse_zone(settings.time_zone))
    with place(settings, bench.stop) as where:
        runs, changes = _changed(where, bench.config.repositories, asked)
        namespaces = namespaces_of(where)
    parts = {
        repository: [part for change in changes if (part := fed(repository, change))] for repository in repositories
    }
    wanted = [repository for repository, mine in parts.items() if mine]
    problems = bench.fetch(wanted)
    sections = {
        repository.name: tuple(
            Section(change, message=problems[repository.name], failed=True)
            if repository.name in problems
            else _section(bench.clone(repository), change)
            for change in parts[repository]
        )
        for repository in wanted
    }
    known = {
        name
        for repository in bench.config.repositories
        for c in changes
        if (p := fed(repository, c))
        for name in p.names
    }
    others = [
        Change(change.namespace, tuple(rest), change.before, change.after)
        for change in changes
        if (rest := [name for name in change.names if name not in known])
    ]
    return Notes(
        deployment=settings.wanted.deployment,
        namespaces=namespaces,
        runs=runs,
        sections=sections,
        # Whoever asks for one repository does not want to hear of the rest.
        others=tuple(others) if len(repositories) == len(bench.config.repositories) else (),
        web={repository.name: web_address(repository.url) for repository in wanted},
    )


def _changed(
    where: Place, repositories: Sequence[Repository], since: Since
) -> tuple[tuple[RunRecord, ...], tuple[Change, ...]]:
    deployment = where.settings.wanted.deployment
    explicit = {named(feed, deployment) for each in repositories for feed in each.feeds if feed.tag}
    tags = frozenset({f":{deployment}", *explicit}) if deployment else None
    runs: list[RunRecord] = []
    changes: list[Change] = []
    read = unknown = 0
    for namespace in namespaces_of(where):
        journal = JournalStore(where.cluster, namespace).read()
        if journal is None:
            continue
        read += 1
        kept = [run for run in journal.runs if deployment is None or run.deployment in (None, deployment)]
        try:
            mine = runs_of(kept, since)
        except LookupError:
            unknown += 1
            continue
        runs += mine
        changes += changes_of(namespace, mine, tags)
    if not read:
        raise NoJournalError(
            f"the journal of {', '.join(namespaces_of(where))} cannot be read, so nothing is known of runs"
        )
    if unknown == read:
        told = f"--since: the journal of {', '.join(namespaces_of(where))} knows no run {since.run}"
        raise UsageError([told + (f" of {deployment}" if deployment else "")])
    unique = {run.id: run for run in runs}
    return tuple(sorted(unique.values(), key=lambda run: run.id, reverse=True)), tuple(changes)


def _section(clone: Clone, change: Change) -> Section:
    """The commits of a change."""
    before, after = change.before, change.after
    if after is None:
        return Section(change, message="the new image has no label that names its revision")
    found = {revision: _resolved(clone, revision) for revision in (before, after) if revision}
    unknown = [revision for revision, commit in found.items() if commit is None]
    if unknown:
        return Section(change, message=f"not a commit that {clone.name} has: {clean(', '.join(unknown))}")
    new = found[after]
    assert new is not None
    old = found[before] if before else None
    if old is not None and same(old, new):
        return Section(change, message="built anew from the same commit")
    try:
        if old is None:
            told = "the first image, or one whose revision is not known, was before; its last commit is"
            return Section(change, (clone.describe(new),), message=told)
        return Section(change, clone.commits(old, new), clone.commits(new, old))
    except GitError as error:
        return Section(change, message=str(error), failed=True)


def _resolved(clone: Clone, revision: str) -> str | None:
    return clone.resolve(revision.strip().lower()) if is_hash(revision) else None


_SPECIAL = re.compile(r"([\\`*_\[\]<>|])")
# A heading, list or quotation where a line begins.
_LEADING = re.compile(r"\A([#+>-])")


def _plain(text: str) -> str:
    """A text in Markdown that is shown as it is."""
    return _LEADING.sub(r"\\\1", _SPECIAL.sub(r"\\\1", clean(text)))


def as_markdown(notes: Notes) -> str:
    """The notes for people."""
    title = f"What went out to {notes.deployment or ', '.join(notes.namespaces)}"
    lines = [f"# {_plain(title)}", ""]
    if not notes.runs:
        lines += ["Nothing: no run brought an image in.", ""]
        return "\n".join(lines)
    told = [
        f"{_plain(run.id)} ({iso(run.finished_at or run.started_at) or 'time not known'})"
        for run in reversed(notes.runs)
    ]
    lines += [f"{'Run' if len(told) == 1 else 'Runs'} {', '.join(told)} in {', '.join(notes.namespaces)}.", ""]
    for name, sections in notes.sections.items():
        lines += [f"## {_plain(name)}", ""]
        for section in sections:
            lines += [*_section_lines(section, notes.web[name]), ""]
    if notes.others:
        lines += ["## Other images", ""]
        lines += [f"- {_headline(change)}" for change in notes.others] + [""]
    return "\n".join(lines)


def _headline(change: Change) -> str:
    names = ", ".join(_plain(name) for name in change.names)
    return f"{names}: {clean(change.before or '?')[:SHOWN]} → {clean(change.after or '?')[:SHOWN]}"


def _section_lines(section: Section, web: str | None) -> list[str]:
    shown = [commit for commit in section.commits if not commit.is_merge] or list(section.commits)
    head = _headline(section.change)
    if shown and not section.message:
        head += f", {len(shown)} {'commit' if len(shown) == 1 else 'commits'} by {_plain(', '.join(authors(shown)))}"
    lines = [head, ""]
    if section.message:
        lines += [_plain(section.message[0].upper() + section.message[1:]), ""]
    lines += [_item(commit, web) for commit in shown]
    if requests := [_request(name, web) for name in pull_requests_of(section.commits)]:
        lines += ["", f"Pull requests: {', '.join(requests)}"]
    if section.taken_back:
        lines += ["", "Taken back, since the new image does not have them:", ""]
        lines += [_item(commit, web) for commit in section.taken_back]
    return lines


def _item(commit: Commit, web: str | None) -> str:
    link = f"[`{commit.short}`]({web}/commit/{commit.id})" if web else f"`{commit.short}`"
    return f"- {_plain(commit.subject)} ({link}, {_plain(commit.author)})"


def _request(name: str, web: str | None) -> str:
    known = web is not None and web.startswith("https://github.com/") and name.startswith("#")
    return f"[{name}]({web}/pull/{name[1:]})" if known else name


def as_document(notes: Notes) -> dict[str, Any]:
    """The notes as JSON."""
    return {
        "deployment": notes.deployment,
        "namespaces": list(notes.namespaces),
        "runs": [
            {"id": run.id, "started_at": iso(run.started_at), "finished_at": iso(run.finished_at)} for run in notes.runs
        ],
        "repositories": [
            {"name": name, "url": notes.web[name], "changes": [_change(section) for section in sections]}
            for name, sections in notes.sections.items()
        ],
        "others": [_change(Section(change)) for change in notes.others],
    }


def _change(section: Section) -> dict[str, Any]:
    change = section.change
    return {
        "namespace": change.namespace,
        "tags": list(change.names),
        "before": change.before,
        "after": change.after,
        "commits": [_commit(commit) for commit in section.commits],
        "taken_back": [_commit(commit) for commit in section.taken_back],
        "message": section.message,
    }


def _commit(commit: Commit) -> dict[str, Any]:
    return {
        "commit": commit.id,
        "author": commit.author,
        "at": iso(commit.at),
        "subject": commit.subject,
        "pull_requests": list(pull_requests(commit.subject)),
    }
