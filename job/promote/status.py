"""`promote status`: the branches, and the commits that run in the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from job.config.settings import Settings
from job.domain.errors import ImportImagesError, StoppedError
from job.domain.records import dataclass, replace
from job.domain.repositories import revision_commit
from job.domain.text import clean
from job.domain.times import iso
from job.promote.clone import Clone
from job.promote.commits import SHORT_LENGTH, Commit, same
from job.promote.config import Repository
from job.promote.deployed import feed_name, find_fed_tags, revisions, settings_for_feeds
from job.promote.errors import GitError
from job.promote.workspace import Workspace, rolling_of
from job.run.session import place


@dataclass(frozen=True, slots=True)
class RunningImage:
    """A tag's current image: its revision label, and how that commit relates to stable."""

    namespace: str
    name: str
    revision: str | None
    relation: str


@dataclass(frozen=True, slots=True)
class RepositoryStatus:
    """The state of a repository.

    Attributes:
        name: the repository's name.
        stable: the tip of the stable branch; None without one.
        rolling: the tip of the rolling branch; None without one.
        behind: the number of commits that only rolling has.
        ahead: the number of commits that only stable has.
        problem: why something is missing.
        running: its images in the cluster.
    """

    name: str
    stable: Commit | None = None
    rolling: Commit | None = None
    behind: int | None = None
    ahead: int | None = None
    problem: str | None = None
    running: tuple[RunningImage, ...] = ()


def collect(
    workspace: Workspace, repositories: Sequence[Repository], settings: Settings
) -> tuple[list[RepositoryStatus], str | None]:
    """The state of all repositories; and why the cluster's part is missing, if it is."""
    problems = workspace.fetch(repositories)
    statuses = []
    for repository in repositories:
        try:
            if repository.name in problems:
                raise GitError(problems[repository.name])
            statuses.append(_branches(workspace.clone(repository), repository))
        except GitError as error:
            statuses.append(RepositoryStatus(repository.name, problem=str(error)))
    try:
        running = _running(workspace, repositories, settings)
    except StoppedError:
        raise
    except ImportImagesError as error:
        return statuses, str(error)
    return [replace(status, running=tuple(running[status.name])) for status in statuses], None


def _branches(clone: Clone, repository: Repository) -> RepositoryStatus:
    branches = (repository.stable, rolling_of(clone, repository))
    tips = [clone.tip(branch) for branch in branches]
    stable, rolling = (clone.describe(tip) if tip else None for tip in tips)
    missing = [branch for branch, tip in zip(branches, tips, strict=True) if not tip]
    problem = f"{repository.name}: there is no branch {' and no branch '.join(missing)}" if missing else None
    if stable is None or rolling is None:
        return RepositoryStatus(repository.name, stable, rolling, problem=problem)
    behind, ahead = clone.count(stable.id, rolling.id), clone.count(rolling.id, stable.id)
    return RepositoryStatus(repository.name, stable, rolling, behind, ahead)


def _running(
    workspace: Workspace, repositories: Sequence[Repository], settings: Settings
) -> dict[str, list[RunningImage]]:
    """The running images, by repository name.

    Raises:
        ImportImagesError: the cluster cannot be reached or read, or the namespace or tag is unknown.
    """
    running: dict[str, list[RunningImage]] = {repository.name: [] for repository in repositories}
    feeding = [repository for repository in repositories if repository.feeds]
    if not feeding:
        return running
    # The branches are shown even without a cluster, so an unreachable one must not delay them for long.
    wanted = replace(settings_for_feeds(settings, feeding), retries=min(settings.retries, 1))
    with place(wanted, workspace.stop) as where:
        fed, missing = find_fed_tags(where, feeding, strict=False)
        by_digest = revisions(where, fed)
    for fed_tag in fed:
        current, name = fed_tag.selected.tag.current, fed_tag.selected.name
        revision = by_digest.get(current.digest) if current else None
        clone = workspace.clone(fed_tag.repository)
        relation = _relation(clone, fed_tag.repository, revision) if current else "no image yet"
        running[fed_tag.repository.name].append(RunningImage(name.namespace, str(name), revision, relation))
    for repository in feeding:
        for feed in repository.feeds:
            name_of_feed = feed_name(feed, wanted.wanted.deployment)
            if name_of_feed in missing:
                running[repository.name].append(RunningImage("", name_of_feed, None, "no such tag"))
    return running


def _relation(clone: Clone, repository: Repository, revision: str | None) -> str:
    """How a revision relates to stable."""
    if revision is None:
        return "no revision label"
    stable = clone.tip(repository.stable)
    commit = clone.resolve(commit_id) if (commit_id := revision_commit(revision)) else None
    if stable is None or commit is None:
        return "unknown commit"
    if same(revision, stable):
        return "same as stable"
    behind, ahead = clone.count(commit, stable), clone.count(stable, commit)
    if ahead and behind:
        return f"not on stable, {behind} behind"
    return f"{behind} behind stable" if behind else f"{ahead} ahead of stable"


def exit_status(statuses: Sequence[RepositoryStatus]) -> int:
    """1 if a repository could not be read."""
    return 1 if any(status.problem for status in statuses) else 0


def branch_rows(statuses: Sequence[RepositoryStatus], now: datetime) -> list[tuple[str, ...]]:
    """The branches as the rows of a table, with a heading."""
    rows: list[tuple[str, ...]] = [("REPOSITORY", "STABLE", "AGE", "ROLLING", "AGE", "BEHIND")]
    for status in statuses:
        behind = "-" if status.behind is None else str(status.behind)
        diverged = f", {status.ahead} only on stable" if status.ahead else ""
        rows.append((status.name, *_tip_cells(status.stable, now), *_tip_cells(status.rolling, now), behind + diverged))
    return rows


def image_rows(statuses: Sequence[RepositoryStatus]) -> list[tuple[str, ...]]:
    """The running images as the rows of a table; only a heading where none is known."""
    several = len({image.namespace for status in statuses for image in status.running if image.namespace}) > 1
    rows: list[tuple[str, ...]] = [("TAG", "REPOSITORY", "COMMIT", "STATE")]
    for status in statuses:
        for image in status.running:
            name = f"{image.namespace}/{image.name}" if several and image.namespace else image.name
            rows.append((clean(name), status.name, clean(image.revision or "-")[:SHORT_LENGTH], image.relation))
    return rows


def _tip_cells(commit: Commit | None, now: datetime) -> tuple[str, str]:
    from job.views.tables import age

    return (commit.short, age(commit.at, now)) if commit else ("-", "-")


def as_document(statuses: Sequence[RepositoryStatus], cluster_problem: str | None) -> dict[str, Any]:
    """The state as JSON."""
    return {
        "repositories": [
            {
                "name": status.name,
                "stable": _commit(status.stable),
                "rolling": _commit(status.rolling),
                "between": status.behind,
                "only_on_stable": status.ahead,
                "error": status.problem,
                "running": [
                    {
                        "namespace": image.namespace or None,
                        "tag": image.name,
                        "revision": image.revision,
                        "place": image.relation,
                    }
                    for image in status.running
                ],
            }
            for status in statuses
        ],
        "cluster_error": cluster_problem,
    }


def _commit(commit: Commit | None) -> dict[str, Any] | None:
    if commit is None:
        return None
    return {"commit": commit.id, "at": iso(commit.at), "author": commit.author, "subject": commit.subject}
