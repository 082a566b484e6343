"""Which pull requests commits deliver, in the forms of the usual forges."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from job.promote.commits import Commit
from job.promote.references import delivered, references, shorten

WHEN = datetime(2026, 11, 20, tzinfo=UTC)


def commit(subject: str, body: str = "", number: int = 0) -> Commit:
    return Commit(f"{number:040x}", "Jane Doe", WHEN, subject, False, body)


@pytest.mark.parametrize(
    ("subject", "body", "names"),
    [
        ("Fix it (#123)", "", ("#123",)),
        ("Merge pull request #12 from jane/fix-it", "", ("#12",)),
        ("Merged in fix/x (pull request #7)", "", ("#7",)),
        ("Merged PR 45: Fix it", "", ("#45",)),
        ("Fix it (!45)", "", ("!45",)),
        ("Fix it (team/worker!45)", "", ("team/worker!45",)),
        ("Merge branch 'x' into 'main'", "Fix it\n\nSee merge request team/worker!45", ("team/worker!45",)),
        ("Fix it (!45)", "See merge request team/worker!45", ("team/worker!45",)),
        ("Fix it", "Change-Id: I0123456789abcdef0123456789abcdef01234567", ("I01234567",)),
        (
            "Fix it",
            "Change-Id: I0123456789abcdef0123456789abcdef01234567\nReviewed-on: https://review.example.org/c/x/+/12",
            ("https://review.example.org/c/x/+/12",),
        ),
        ("Fix issue #12", "", ()),
        ("Fix it", "Closes #12", ()),
        ("Fix it", "", ()),
        ('Revert "Fix it (#12)" (#13)', "", ("#13",)),
        ('Revert "Revert "Fix it (#12)" (#13)" (#14)', "", ("#12", "#14")),
    ],
)
def test_references(subject: str, body: str, names: tuple[str, ...]) -> None:
    assert sorted(references(commit(subject, body))) == sorted(names)


def test_each_once_newest_first() -> None:
    assert delivered([commit("One (#2)"), commit("Two (#1)"), commit("Three (#2)")]) == ("#2", "#1")


def test_a_reverted_pull_request_is_not_delivered() -> None:
    fix, other = commit("Fix it (#12)", number=1), commit("Other (#11)", number=2)
    revert = commit('Revert "Fix it (#12)" (#13)', number=3)
    by_hand = commit("Take it back", f"This reverts commit {fix.id}.", number=4)
    again = commit('Revert "Revert "Fix it (#12)" (#13)" (#14)', number=5)
    assert delivered([revert, fix, other]) == ("#13", "#11")
    assert delivered([by_hand, fix, other]) == ("#11",)
    assert set(delivered([again, revert, fix, other])) == {"#14", "#12", "#11"}
    # What it reverts was delivered before.
    assert delivered([revert, other]) == ("#13", "#11")


def test_a_long_subject_keeps_its_reference() -> None:
    line = shorten(commit("x" * 500 + " (#1234)"), 98)
    assert len(line) == 98 and line.endswith("… (#1234) (Jane Doe)")
    assert shorten(commit("Fix it (#1)"), 98) == "000000000 Fix it (#1) (Jane Doe)"
    assert len(shorten(Commit("a" * 40, "J" * 500, WHEN, "Fix it (#1)"), 98)) <= 98
