"""The runs of a period, and their changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from job.domain.errors import UsageError
from job.journal.records import RunRecord
from job.promote.changes import Change, Since, change_of, changes_of, parse_since, runs_since
from job.promote.config import Feed, Repository

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def run(number: int, *updated: tuple[str, str | None, str | None]) -> RunRecord:
    started = NOW - timedelta(days=10 - number)
    return RunRecord(f"{started:%Y%m%dT%H%M%SZ}-000{number}", started, "success", updated=updated)


RUNS = (
    run(4),
    run(3, ("worker:prod", "b", "c"), ("web:prod", "x", "y")),
    run(2),
    run(1, ("worker:prod", "a", "b"), ("beat:prod", "a", "c"), ("worker:stg", None, "z")),
)


def test_since() -> None:
    zone = timezone(timedelta(hours=1))
    assert parse_since(None, NOW, UTC) == Since()
    assert parse_since(RUNS[0].id, NOW, UTC) == Since(run=RUNS[0].id)
    assert parse_since("36h", NOW, UTC) == Since(time=NOW - timedelta(hours=36))
    assert parse_since("2026-11-20T02:00", NOW, zone) == Since(time=datetime(2026, 11, 20, 1, tzinfo=UTC))
    assert parse_since("2026-11-20T02:00Z", NOW, zone) == Since(time=datetime(2026, 11, 20, 2, tzinfo=UTC))
    with pytest.raises(UsageError, match="--since: 'soon' is neither"):
        parse_since("soon", NOW, UTC)


def test_runs() -> None:
    assert runs_since(RUNS, Since()) == (RUNS[1],)
    assert runs_since(RUNS, Since(run=RUNS[3].id)) == (RUNS[1], RUNS[3])
    assert runs_since(RUNS, Since(run=RUNS[2].id)) == (RUNS[1],)
    assert runs_since(RUNS, Since(run=RUNS[0].id)) == ()
    assert runs_since(RUNS, Since(time=NOW - timedelta(days=7))) == (RUNS[1],)
    assert runs_since((), Since()) == ()
    with pytest.raises(LookupError):
        runs_since(RUNS, Since(run="20200101T000000Z-0000"))


def test_changes_from_before_the_first_to_after_the_last() -> None:
    assert changes_of("shop", (RUNS[1], RUNS[3]), frozenset({":prod"})) == (
        Change("shop", ("beat:prod", "worker:prod"), "a", "c"),
        Change("shop", ("web:prod",), "x", "y"),
    )
    assert changes_of("shop", (RUNS[3],), frozenset({"worker:stg"})) == (Change("shop", ("worker:stg",), None, "z"),)
    assert len(changes_of("shop", (RUNS[3],), None)) == 3


def test_the_part_of_a_repository() -> None:
    change = Change("shop", ("beat:prod", "web:prod", "worker:prod"), "a", "c")
    repository = Repository("worker", "x", feeds=(Feed("worker"), Feed("beat", "prod"), Feed("web", "live")))
    assert change_of(repository, change) == Change("shop", ("beat:prod", "worker:prod"), "a", "c")
    assert change_of(Repository("library", "x"), change) is None
