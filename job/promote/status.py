"""`promote status`: where the branches are, and which commits run in the cluster."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from job.config.settings import Settings
from job.domain.errors import ImportImagesError, StoppedError
from job.domain.text import clean
from job.domain.times import iso
from job.promote.bench import Bench
from job.promote.clone import Clone
from job.promote.commits import SHOWN, Commit, is_hash, same
from job.promote.config import Repository
from job.promote.deployed import asking_for, fed_by, named, revisions
from job.promote.git import GitError
from job.run.session import place

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """The commit of the image that a tag has now: its revision, and where that is, seen from stable."""

    namespace: str
    name: str
    revision: str | None
    place: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A repository: its branches (None: not there), how many commits each has that the other has not, what runs."""

    name: str
    stable: Commit | None = None
    rolling: Commit | None = None
    between: int | None = None
    ahead: int | None = None
    problem: str | None = None
    running: tuple[Running, ...] = ()


def look(bench: Bench, repositories: Sequence[Repository], settings: Settings) -> tuple[list[Standing], str | None]:
    """Look at all of them; returns with them why the cluster is not shown, if it is not."""
    problems = bench.fetch(repositories)
    found = []
    for repository in repositories:
        try:
            if repository.name in problems:
                raise GitError(problems[repository.name])
            found.append(_standing(bench.clone(repository), repository))
        except GitError as error:
            found.append(Standing(repository.name, problem=str(error)))
    try:
        running = _running(bench, repositories, settings)
    except StoppedError:
        raise
    except ImportImagesError as error:
        return found, str(error)
    return [replace(each, running=tuple(running[each.name])) for each in found], None


def _standing(clone: Clone, repository: Repository) -> Standing:
    tips = [clone.tip(branch) for branch in (repository.stable, repository.rolling)]
    stable, rolling = (clone.describe(tip) if tip else None for tip in tips)
    missing = [branch for branch, tip in zip((repository.stable, repository.rolling), tips, strict=True) if not tip]
    problem = f"{repository.name}: there is no branch {' and no branch '.join(missing)}" if missing else None
    if stable is None or rolling is None:
        return Standing(repository.name, stable, rolling, problem=problem)
    between, ahead = clone.count(stable.id, rolling.id), clone.count(rolling.id, stable.id)
    return Standing(repository.name, stable, rolling, between, ahead)


def _running(bench: Bench, repositories: Sequence[Repository], settings: Settings) -> dict[str, list[Running]]:
    """What runs, by repository.

    Raises:
        ImportImagesError: the cluster cannot be reached or read, or it is not known where to look.
    """
    found: dict[str, list[Running]] = {repository.name: [] for repository in repositories}
    feeding = [repository for repository in repositories if repository.feeds]
    if not feeding:
        return found
    # Nobody waits for a cluster that is away: what git tells is there already.
    wanted = replace(asking_for(settings, feeding), retries=min(settings.retries, 1))
    with place(wanted, bench.stop) as where:
        fed, missing = fed_by(where, feeding)
        by_digest = revisions(where, fed)
    for each in fed:
        current, name = each.found.tag.current, each.found.name
        revision = by_digest.get(current.digest) if current else None
        told = _seen(bench.clone(each.repository), each.repository, revision) if current else "no image yet"
        found[each.repository.name].append(Running(name.namespace, str(name), revision, told))
    for repository in feeding:
        for feed in repository.feeds:
            absent = named(feed, wanted.wanted.deployment)
            if absent in missing:
                found[repository.name].append(Running("", absent, None, "no such tag"))
    return found


def _seen(clone: Clone, repository: Repository, revision: str | None) -> str:
    """Where a revision is, seen from stable."""
    if revision is None:
        return "no revision label"
    stable = clone.tip(repository.stable)
    commit = clone.resolve(revision.strip().lower()) if is_hash(revision) else None
    if stable is None or commit is None:
        return "not known here"
    if same(revision, stable):
        return "as stable"
    behind, ahead = clone.count(commit, stable), clone.count(stable, commit)
    if ahead and behind:
        return f"not on stable, {behind} behind"
    return f"{behind} behind stable" if behind else f"{ahead} ahead of stable"


def status_of(found: Sequence[Standing]) -> int:
    """The exit status: 1 where a repository could not be read."""
    return 1 if any(each.problem for each in found) else 0


def branches(found: Sequence[Standing], now: datetime) -> list[tuple[str, ...]]:
    """The branches as a table."""
    table: list[tuple[str, ...]] = [("REPOSITORY", "STABLE", "AGE", "ROLLING", "AGE", "BETWEEN")]
    for each in found:
        between = "-" if each.between is None else str(each.between)
        diverged = f", {each.ahead} only on stable" if each.ahead else ""
        table.append((each.name, *_tip(each.stable, now), *_tip(each.rolling, now), between + diverged))
    return table


def images(found: Sequence[Standing]) -> list[tuple[str, ...]]:
    """What runs as a table; just a heading where nothing is known."""
    several = len({run.namespace for each in found for run in each.running if run.namespace}) > 1
    table: list[tuple[str, ...]] = [("TAG", "REPOSITORY", "RUNS", "WHICH IS")]
    for each in found:
        for run in each.running:
            name = f"{run.namespace}/{run.name}" if several and run.namespace else run.name
            table.append((clean(name), each.name, clean(run.revision or "-")[:SHOWN], run.place))
    return table


def _tip(commit: Commit | None, now: datetime) -> tuple[str, str]:
    from job.views.tables import age

    return (commit.short, age(commit.at, now)) if commit else ("-", "-")


def as_document(found: Sequence[Standing], problem: str | None) -> dict[str, Any]:
    """All of it as JSON."""
    return {
        "repositories": [
            {
                "name": each.name,
                "stable": _commit(each.stable),
                "rolling": _commit(each.rolling),
                "between": each.between,
                "only_on_stable": each.ahead,
                "error": each.problem,
                "running": [
                    {"namespace": run.namespace or None, "tag": run.name, "revision": run.revision, "place": run.place}
                    for run in each.running
                ],
            }
            for each in found
        ],
        "cluster_error": problem,
    }


def _commit(commit: Commit | None) -> dict[str, Any] | None:
    if commit is None:
        return None
    return {"commit": commit.id, "at": iso(commit.at), "author": commit.author, "subject": commit.subject}
