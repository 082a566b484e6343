"""What runs replaced, by the journal: for each tag the image revisions before and after."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from job.domain.errors import UsageError
from job.domain.records import dataclass
from job.domain.schedule import parse_moment
from job.journal.records import RunRecord
from job.promote.config import Repository

_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")


@dataclass(frozen=True, slots=True)
class Change:
    """Tags of one namespace that went from one revision to another; None where a revision is unknown."""

    namespace: str
    names: tuple[str, ...]
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Since:
    """The start of a period: a run, or a time; without either the last run that updated something."""

    run: str | None = None
    time: datetime | None = None


def parse_since(text: str | None, now: datetime, zone: tzinfo) -> Since:
    """Parse a run's id, a time (in `zone` unless it names another) or a duration.

    Raises:
        UsageError: it does not name one of them.
    """
    if text is None:
        return Since()
    if _RUN_ID.fullmatch(text):
        return Since(run=text)
    try:
        moment = parse_moment(text, zone)
    except ValueError:
        expected = "neither a run's id, nor a time such as 2026-12-01T02:00, nor a duration such as 7d"
        raise UsageError([f"--since: {text!r} is {expected}"]) from None
    return Since(time=now - moment if isinstance(moment, timedelta) else moment)


def run_start(text: str) -> datetime | None:
    """The time in a run's id; None if the text is not an id."""
    if not _RUN_ID.fullmatch(text):
        return None
    try:
        return datetime.strptime(text[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def runs_since(runs: Sequence[RunRecord], since: Since) -> tuple[RunRecord, ...]:
    """The runs of the period that updated something, newest first.

    Raises:
        LookupError: the journal has no such run.
    """
    productive = [run for run in runs if run.updated]
    if since.run is not None:
        position = next((number for number, run in enumerate(runs) if run.id == since.run), None)
        if position is None:
            raise LookupError(since.run)
        newer = {run.id for run in runs[: position + 1]}
        return tuple(run for run in productive if run.id in newer)
    if since.time is not None:
        return tuple(run for run in productive if run.started_at is not None and run.started_at >= since.time)
    return tuple(productive[:1])


def changes_of(namespace: str, runs: Sequence[RunRecord], tags: frozenset[str] | None) -> tuple[Change, ...]:
    """The changes of all these runs together, from before the first to after the last.

    Args:
        namespace: the runs' namespace.
        runs: newest first.
        tags: the tags to consider, as STREAM:TAG or :TAG; None for all.
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


def change_of(repository: Repository, change: Change) -> Change | None:
    """The part of a change that affects a repository's images; None if there is none."""
    own_tags = tuple(
        name
        for name in change.names
        for stream, _, tag in [name.partition(":")]
        if any(feed.stream == stream and feed.tag in (None, tag) for feed in repository.feeds)
    )
    return Change(change.namespace, own_tags, change.before, change.after) if own_tags else None
