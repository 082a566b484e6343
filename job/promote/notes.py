"""`promote notes`: the commits between the images that runs replaced, or of a period, by repository."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from job.config.settings import Settings
from job.domain.errors import ImportImagesError, UsageError
from job.domain.records import replace
from job.domain.repositories import revision_commit
from job.domain.schedule import parse_moment, parse_zone
from job.domain.text import clean
from job.domain.times import iso
from job.journal.records import RunRecord
from job.journal.store import JournalStore
from job.promote.changes import Change, Since, change_of, changes_of, parse_since, run_start, runs_since
from job.promote.clone import Clone
from job.promote.commits import same
from job.promote.config import Repository
from job.promote.deployed import feed_name
from job.promote.errors import GitError
from job.promote.forge import ForgeError, forge_of
from job.promote.references import delivered
from job.promote.release_notes import Notes, Section
from job.promote.workspace import Workspace, require_tip
from job.run.context import namespaces_of
from job.run.session import Place, place

log = logging.getLogger(__name__)

# Each costs one request to the forge.
MAX_BODIES = 100
_NUMBER = re.compile(r".*[#!]([0-9]+)")


class NoJournalError(ImportImagesError):
    """No journal of runs can be read."""

    exit_status = 3


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
    libraries = [repository.name for repository in repositories if not repository.feeds]
    if libraries:
        names = " ".join(libraries)
        log.info("without streams, so not in these notes: %s; instead: promote notes %s --between TIME", names, names)
    return Notes(
        deployment=settings.wanted.deployment,
        namespaces=namespaces,
        runs=runs,
        sections=sections,
        # A selection of repositories is not about the images of others.
        others=_others(every_repository, changes) if len(repositories) == len(every_repository) else (),
        web={repository.name: repository.page for repository in by_repository},
        forges=workspace.config.forges,
    )


def collect_between(
    workspace: Workspace, repositories: Sequence[Repository], settings: Settings, between: str
) -> Notes:
    """The commits of stable branches in a period, `FROM` or `FROM..TO`, each a time, a run's id or a commit.

    Of a time or a run the commit counts at which stable was then, by the dates of its commits.

    Raises:
        UsageError: the period is invalid.
    """
    start, _, end = between.partition("..")
    zone = parse_zone(settings.time_zone)
    problems = workspace.fetch(repositories)
    sections = {}
    for repository in repositories:
        empty = Change("", (), None, None)
        try:
            if repository.name in problems:
                raise GitError(problems[repository.name])
            clone = workspace.clone(repository)
            tip = require_tip(clone, repository.stable, "stable")
            old = _commit_at(clone, repository, start, zone, tip)
            new = _commit_at(clone, repository, end, zone, tip) if end else tip
            section = _section(workspace, repository, Change("", (), old, new))
        except GitError as error:
            section = Section(empty, message=str(error), failed=True)
        sections[repository.name] = (section,)
    return Notes(
        deployment=None,
        namespaces=(),
        runs=(),
        sections=sections,
        others=(),
        web={repository.name: repository.page for repository in repositories},
        period=f"from {start} to {end}" if end else f"since {start}",
        forges=workspace.config.forges,
    )


def _commit_at(clone: Clone, repository: Repository, text: str, zone: tzinfo, tip: str) -> str:
    """The commit that one end of a period means.

    Raises:
        UsageError: it is neither a run's id, nor a time, nor a commit.
        GitError: the branch has no commit that old.
    """
    moment = run_start(text) or _time(text, zone)
    if moment is not None:
        commit = clone.commit_before(tip, moment)
        if commit is None:
            raise GitError(f"{clone.name}: {repository.stable} has no commit before {iso(moment)}")
        return commit
    commit = clone.resolve(text)
    if commit is None:
        expected = "neither a time, nor a run's id, nor a commit of it"
        raise UsageError([f"--between: {clean(text)!r} is, for {repository.name}, {expected}"])
    return commit


def _time(text: str, zone: tzinfo) -> datetime | None:
    try:
        moment = parse_moment(text, zone)
    except ValueError:
        return None
    return datetime.now(UTC) - moment if isinstance(moment, timedelta) else moment


def _section_of(workspace: Workspace, repository: Repository, change: Change, problems: Mapping[str, str]) -> Section:
    if repository.name in problems:
        return Section(change, message=problems[repository.name], failed=True)
    return _section(workspace, repository, change)


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
    explicit = {feed_name(feed, deployment) for repository in repositories for feed in repository.feeds if feed.tag}
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
        raise NoJournalError(f"no notes: the journal of runs in {names} cannot be read; see the warning above")
    if without_run == readable:
        of = f" of {deployment}" if deployment else ""
        raise UsageError([f"--since: the journal of {names} has no run {since.run}{of}"])
    unique = {run.id: run for run in runs}
    return tuple(sorted(unique.values(), key=lambda run: run.id, reverse=True)), tuple(changes)


def _section(workspace: Workspace, repository: Repository, change: Change) -> Section:
    """The commits of a change, with the release notes of their pull requests."""
    section = _commits(workspace.clone(repository), change)
    forge = forge_of(repository.page, workspace.config.forges, os.environ)
    # Without a login or a line in the configuration the forge's API is not asked.
    if forge is None or not section.commits or not (forge.token or workspace.config.forges):
        return section
    notes: dict[str, str] = {}
    for name in delivered(section.commits)[:MAX_BODIES]:
        number = _NUMBER.fullmatch(name)
        try:
            if number and (note := forge.release_note(number[1])):
                notes[name] = note
        except ForgeError as error:
            log.warning("%s: no release notes of pull requests: %s", repository.name, error)
            break
    return replace(section, notes=notes)


def _commits(clone: Clone, change: Change) -> Section:
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
        return Section(change, message="nothing changed" if not change.names else "rebuilt from the same commit")
    try:
        if old is None:
            message = "the revision of the previous image, if there was one, is unknown; the new image's last commit is"
            return Section(change, (clone.describe(new),), message=message)
        return Section(change, clone.commits(old, new), clone.commits(new, old))
    except GitError as error:
        return Section(change, message=str(error), failed=True)


def _resolve(clone: Clone, revision: str) -> str | None:
    commit = revision_commit(revision)
    if commit is None:
        return None
    # A commit that was force-pushed away is on no branch any more.
    return clone.resolve(commit) or clone.fetch_commit(commit)
