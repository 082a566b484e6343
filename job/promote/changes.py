"""What runs replaced, from the journal: the images that came in, by the revisions before and after."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from job.domain.errors import UsageError
from job.domain.schedule import parse_moment
from job.journal.records import RunRecord
from job.promote.config import Repository

_RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class Change:
    """Tags of one namespace that went from one revision to another; None where a revision is not known."""

    namespace: str
    names: tuple[str, ...]
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Since:
    """From when on: a run, or a time; neither: the last run that brought something in."""

    run: str | None = None
    time: datetime | None = None


def parse_since(text: str | None, now: datetime, zone: tzinfo) -> Since:
    """Read a run's id, a time (of `zone` where it names none) or a duration.

    Raises:
        UsageError: it is none of them.
    """
    if text is None:
        return Since()
    if _RUN.fullmatch(text):
        return Since(run=text)
    try:
        moment = parse_moment(text, zone)
    except ValueError:
        told = "neither a run's id, nor a time such as 2026-12-01T02:00, nor a duration such as 7d"
        raise UsageError([f"--since: {text!r} is {told}"]) from None
    return Since(time=now - moment if isinstance(moment, timedelta) else moment)


def runs_of(runs: Sequence[RunRecord], since: Since) -> tuple[RunRecord, ...]:
    """The runs from then on that brought something in, newest first.

    Raises:
        LookupError: the journal knows no such run.
    """
    productive = [run for run in runs if run.updated]
    if since.run is not None:
        asked = next((number for number, run in enumerate(runs) if run.id == since.run), None)
        if asked is None:
            raise LookupError(since.run)
        newer = {run.id for run in runs[: asked + 1]}
        return tuple(run for run in productive if run.id in newer)
    if since.time is not None:
        return tuple(run for run in productive if run.started_at is not None and run.started_at >= since.time)
    return tuple(productive[:1])


def changes_of(namespace: str, runs: Sequence[RunRecord], tags: frozenset[str] | None) -> tuple[Change, ...]:
    """What these runs (newest first) changed all in all: from before the first to after the last.

    Args:
        namespace: whose runs they are.
        runs: newest first.
        tags: only these, written STREAM:TAG or :TAG; None: all.
    """
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    for run in reversed(runs):
        for name, old, new in run.updated:
            if tags is not None and name not in tags and ":" + name.partition(":")[2] not in tags:
                continue
            before.setdefault(name, old)
            after[name] = new
    grouped: dict[tuple[str | None, str | None], list[str]] = {}
    for name in sorted(after):
        grouped.setdefault((before[name], after[name]), []).append(name)
    return tuple(Change(namespace, tuple(names), old, new) for (old, new), names in grouped.items())


def fed(repository: Repository, change: Change) -> Change | None:
    """The part of a change that is of a repository's images."""
    mine = tuple(
        name
        for name in change.names
        for stream, _, tag in [name.partition(":")]
        if any(feed.stream == stream and feed.tag in (None, tag) for feed in repository.feeds)
    )
    return Change(change.namespace, mine, change.before, change.after) if mine else None
