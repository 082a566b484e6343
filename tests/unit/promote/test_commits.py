"""Commits as git lists them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from job.promote.commits import Commit, authors, parse_log, same

WHEN = datetime(2026, 11, 20, tzinfo=UTC)
FULL = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"


def commit(subject: str, author: str = "Jane Doe", *, is_merge: bool = False) -> Commit:
    return Commit(FULL, author, WHEN, subject, is_merge)


def test_a_list_of_commits() -> None:
    rows = [
        "a" * 40,
        "b" * 40,
        "Jane",
        "1763596800",
        "One",
        "Why.\n",
        "b" * 40,
        "c d",
        "Jim",
        "1763596801",
        "Merge it",
        "",
    ]
    commits = parse_log("\0".join(rows) + "\0")
    assert [(each.id[0], each.author, each.subject, each.is_merge) for each in commits] == [
        ("a", "Jane", "One", False),
        ("b", "Jim", "Merge it", True),
    ]
    assert commits[0].at == datetime(2025, 11, 20, tzinfo=UTC)
    assert parse_log("") == ()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (FULL, FULL, True),
        (FULL[:7], FULL, True),
        (FULL, FULL[:12], True),
        (FULL.upper(), FULL, True),
        (FULL[:6], FULL, False),
        (FULL[:11] + "0", FULL, False),
        ("", FULL, False),
        (None, FULL, False),
        ("v1.2.3", FULL, False),
        (FULL + "-dirty", FULL, False),
    ],
)
def test_abbreviated_hashes(one: str | None, other: str, expected: bool) -> None:
    assert same(one, other) is expected


def test_authors() -> None:
    names = authors([commit("a", "Jim"), commit("b"), commit("c"), commit("d", "Bot", is_merge=True)])
    assert names == ("Jane Doe", "Jim")
