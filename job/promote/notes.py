"""`promote notes`: the commits between the images that runs replaced, by repository."""

from __future__ import annotations

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
from job.promote.changes import Change, Since, change_of, changes_of, parse_since, runs_since
from job.promote.clone import Clone
from job.promote.commits import (
    SHORT_LENGTH,
    Commit,
    authors,
    is_hash,
    pull_requests,
    pull_requests_of,
    same,
    web_address,
)
from job.promote.config import Repository
from job.promote.deployed import feed_name
from job.promote.errors import GitError
from job.promote.workspace import Workspace
from job.run.context import namespaces_of
from job.run.session import Place, place


class NoJournalError(ImportImagesError):
    """No journal of runs can be read."""

    exit_status = 3


@dataclass(frozen=True, slots=True)
class Section:
    """A change of a repository's images: the commits that came and went, or why they are unknown.

    `failed`: the repository could not be read.
    """

    change: Change
    commits: tuple[Commit, ...] = ()
    removed: tuple[Commit, ...] = ()
    message: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Notes:
    """The release notes, by repository name; `others` are changes of images that no repository feeds."""

    deployment: str | None
    namespaces: tuple[str, ...]
    runs: tuple[RunRecord, ...]
    sections: Mapping[str, tuple[Section, ...]]
    others: tuple[Change, ...]
    web: Mapping[str, str | None]

    @property
    def failed(self) -> bool:
        """Whether a repository could not be read, so that its notes are missing."""
        return any(section.failed for sections in self.sections.values() for section in sections)


def collect(workspace: Workspace, repositories: Sequence[Repository], settings: Settings, since: str | None) -> Notes:
    """Read the journals, and the commits of the changed images.

    Raises:
        UsageError: `since` is invalid, or no journal has that run.
        NoJournalError: no journal can be read.
        ClusterError: the cluster cannot be used.
    """
    period = parse_since(since, datetime.now(UTC), parse_zone(settings.time_zone))
    every_repository = workspace.config.repositories
    with place(settings, workspace.stop) as where:
        runs, changes = _read_journals(where, every_repository, period)
        namespaces = namespaces_of(where)
    by_repository = {
        repository: own
        for repository in repositories
        if (own := [part for change in changes if (part := change_of(repository, change))])
    }
    problems = workspace.fetch(list(by_repository))
    sections = {
        repository.name: tuple(_section_of(workspace, repository, change, problems) for change in own)
        for repository, own in by_repository.items()
    }
    return Notes(
        deployment=settings.wanted.deployment,
        namespaces=namespaces,
        runs=runs,
        sections=sections,
        # A selection of repositories is not about the images of others.
        others=_others(every_repository, changes) if len(repositories) == len(every_repository) else (),
        web={repository.name: web_address(repository.url) for repository in by_repository},
    )


def _section_of(workspace: Workspace, repository: Repository, change: Change, problems: Mapping[str, str]) -> Section:
    if repository.name in problems:
        return Section(change, message=problems[repository.name], failed=True)
    return _section(workspace.clone(repository), change)


def _others(repositories: Sequence[Repository], changes: Sequence[Change]) -> tuple[Change, ...]:
    """The changes of images that no repository feeds."""
    fed = {
        name
        for repository in repositories
        for change in changes
        if (own := change_of(repository, change))
        for name in own.names
    }
    return tuple(
        Change(change.namespace, tuple(unfed), change.before, change.after)
        for change in changes
        if (unfed := [name for name in change.names if name not in fed])
    )


def _read_journals(
    where: Place, repositories: Sequence[Repository], since: Since
) -> tuple[tuple[RunRecord, ...], tuple[Change, ...]]:
    """The period's runs of the deployment, newest first, and their changes."""
    deployment = where.settings.wanted.deployment
    explicit = {feed_name(feed, deployment) for each in repositories for feed in each.feeds if feed.tag}
    tags = frozenset({f":{deployment}", *explicit}) if deployment else None
    runs: list[RunRecord] = []
    changes: list[Change] = []
    readable = without_run = 0
    for namespace in namespaces_of(where):
        journal = JournalStore(where.cluster, namespace).read()
        if journal is None:
            continue
        readable += 1
        of_deployment = [run for run in journal.runs if deployment is None or run.deployment in (None, deployment)]
        try:
            matching = runs_since(of_deployment, since)
        except LookupError:
            without_run += 1
            continue
        runs += matching
        changes += changes_of(namespace, matching, tags)
    names = ", ".join(namespaces_of(where))
    if not readable:
        raise NoJournalError(f"cannot read the journal of runs in {names}; is `get` on its ConfigMap allowed?")
    if without_run == readable:
        of = f" of {deployment}" if deployment else ""
        raise UsageError([f"--since: the journal of {names} has no run {since.run}{of}"])
    unique = {run.id: run for run in runs}
    return tuple(sorted(unique.values(), key=lambda run: run.id, reverse=True)), tuple(changes)


def _section(clone: Clone, change: Change) -> Section:
    """The commits of a change."""
    before, after = change.before, change.after
    if after is None:
        return Section(change, message="the new image has no revision label")
    commits = {revision: _resolve(clone, revision) for revision in (before, after) if revision}
    unknown = [revision for revision, commit in commits.items() if commit is None]
    if unknown:
        return Section(change, message=f"not a commit of {clone.name}: {clean(', '.join(unknown))}")
    new = commits[after]
    assert new is not None
    old = commits[before] if before else None
    if old is not None and same(old, new):
        return Section(change, message="rebuilt from the same commit")
    try:
        if old is None:
            message = "the revision of the previous image, if there was one, is unknown; the new image's last commit is"
            return Section(change, (clone.describe(new),), message=message)
        return Section(change, clone.commits(old, new), clone.commits(new, old))
    except GitError as error:
        return Section(change, message=str(error), failed=True)


def _resolve(clone: Clone, revision: str) -> str | None:
    return clone.resolve(revision.strip().lower()) if is_hash(revision) else None


_SPECIAL = re.compile(r"([\\`*_\[\]<>|])")
# A heading, a list or a quotation at the start of a line.
_LEADING = re.compile(r"\A([#+>-])")


def _plain(text: str) -> str:
    """Markdown that shows a text literally."""
    return _LEADING.sub(r"\\\1", _SPECIAL.sub(r"\\\1", clean(text)))


def as_markdown(notes: Notes) -> str:
    """The notes as Markdown."""
    title = f"Deployed to {notes.deployment or ', '.join(notes.namespaces)}"
    lines = [f"# {_plain(title)}", ""]
    if not notes.runs:
        lines += ["Nothing: no run updated an image.", ""]
        return "\n".join(lines)
    runs = [
        f"{_plain(run.id)} ({iso(run.finished_at or run.started_at) or 'unknown time'})" for run in reversed(notes.runs)
    ]
    lines += [f"{'Run' if len(runs) == 1 else 'Runs'} {', '.join(runs)} in {', '.join(notes.namespaces)}.", ""]
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
    return f"{names}: {clean(change.before or '?')[:SHORT_LENGTH]} → {clean(change.after or '?')[:SHORT_LENGTH]}"


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
    if section.removed:
        lines += ["", "Removed, since the new image does not have them:", ""]
        lines += [_item(commit, web) for commit in section.removed]
    return lines


def _item(commit: Commit, web: str | None) -> str:
    link = f"[`{commit.short}`]({web}/commit/{commit.id})" if web else f"`{commit.short}`"
    return f"- {_plain(commit.subject)} ({link}, {_plain(commit.author)})"


def _request(name: str, web: str | None) -> str:
    is_on_github = web is not None and web.startswith("https://github.com/") and name.startswith("#")
    return f"[{name}]({web}/pull/{name[1:]})" if is_on_github else name


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
        "taken_back": [_commit(commit) for commit in section.removed],
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
