"""Commits as git lists them, pull requests, and web addresses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from job.promote.commits import (
    Commit,
    authors,
    commit_link,
    compare_link,
    parse_log,
    revision_commit,
    same,
    web_address,
)

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


@pytest.mark.parametrize(
    ("label", "commit"),
    [
        (FULL, FULL),
        (f" {FULL.upper()}\n", FULL),
        (FULL[:7], FULL[:7]),
        (FULL + "-dirty", FULL),
        ("v1.2-3-g4d5e6f7", "4d5e6f7"),
        ("release/1.2-30-g4d5e6f7-dirty", "4d5e6f7"),
        (None, None),
        ("", None),
        ("main", None),
        ("v1.0", None),
        ("4d5e6f", None),
        (FULL + "x", None),
        ("x" * 100_000, None),
    ],
)
def test_revision_labels(label: str | None, commit: str | None) -> None:
    assert revision_commit(label) == commit


@pytest.mark.parametrize(
    ("url", "web"),
    [
        ("https://github.com/packit/packit", "https://github.com/packit/packit"),
        ("https://github.com/packit/packit.git", "https://github.com/packit/packit"),
        ("https://me:hunter2@github.com/packit/packit.git/", "https://github.com/packit/packit"),
        ("git@github.com:packit/packit.git", "https://github.com/packit/packit"),
        ("ssh://git@example.com:2222/team/worker", "https://example.com/team/worker"),
        ("/srv/git/worker.git", None),
        ("../worker", None),
        ("file:///srv/git/worker.git", None),
    ],
)
def test_web_address(url: str, web: str | None) -> None:
    assert web_address(url) == web


def test_authors() -> None:
    names = authors([commit("a", "Jim"), commit("b"), commit("c"), commit("d", "Bot", is_merge=True)])
    assert names == ("Jane Doe", "Jim")


def test_pages() -> None:
    assert compare_link("https://github.com/a/b", "1", "2") == "https://github.com/a/b/compare/1...2"
    assert compare_link("https://gitlab.com/a/b/c", "1", "2") == "https://gitlab.com/a/b/c/-/compare/1...2"
    assert commit_link("https://gitlab.example.com/a/b", "1") == "https://gitlab.example.com/a/b/-/commit/1"
