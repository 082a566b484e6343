"""Which images count as promoted."""

from __future__ import annotations

import pytest

from job.domain.states import Arrival
from job.promote.arrivals import Judge

LINE = [letter * 40 for letter in "abcde"]
OTHER = "f" * 40


class History:
    """Five commits in a row; stable is at one of them, and a fetch makes the remaining ones known."""

    def __init__(self, stable: int, known: int = 5) -> None:
        self.stable = self.stable_after = stable
        self.known = known
        self.fetches = 0

    def fetch(self) -> None:
        self.fetches += 1
        self.known, self.stable = 5, self.stable_after

    def tip(self, branch: str) -> str | None:
        return LINE[self.stable] if branch == "stable" else LINE[self.known - 1]

    def resolve(self, text: str) -> str | None:
        return next((each for each in [*LINE[: self.known], OTHER] if each.startswith(text)), None)

    def contains(self, commit: str, older: str) -> bool:
        if OTHER in (commit, older):
            return commit == older
        return LINE.index(older) <= LINE.index(commit)

    def count(self, since: str, until: str) -> int:
        return LINE.index(until) - LINE.index(since)


def judge(history: History, commit: int = 2, *, later: bool = False) -> Judge:
    return Judge(LINE[commit], "stable", "main", history, later)


def state(decision: Judge, label: str | None) -> Arrival:
    return decision.verdict(label).state


def test_the_commit_itself() -> None:
    history = History(2)
    for revision in (LINE[2], LINE[2][:7], LINE[2].upper()):
        assert state(judge(history), revision) is Arrival.ARRIVED
    assert history.fetches == 0


def test_other_revisions() -> None:
    history = History(2)
    for revision in (None, "v1.2", "", LINE[1], OTHER):
        assert state(judge(history), revision) is Arrival.WAITING
    assert history.fetches == 0


def test_a_later_commit_of_stable_counts() -> None:
    history = History(2)
    history.stable_after = 4
    decision = judge(history)
    assert state(decision, LINE[3][:12]) is Arrival.LATER
    assert history.fetches == 1


def test_an_unknown_commit_is_fetched_once() -> None:
    history = History(2, known=3)
    history.stable_after = 4
    assert state(judge(history), LINE[4]) is Arrival.LATER
    history = History(2)
    decision = judge(history)
    assert [state(decision, "1234567") for _ in range(3)] == [Arrival.WAITING] * 3
    assert history.fetches == 1


def test_a_commit_of_rolling_does_not_count() -> None:
    history = History(2)
    assert state(judge(history), LINE[4]) is Arrival.WAITING


def test_stable_may_be_moved_to_a_commit_of_rolling() -> None:
    history = History(2)
    decision = judge(history)
    assert state(decision, LINE[4]) is Arrival.WAITING
    history.stable_after = 4
    assert state(decision, LINE[4]) is Arrival.LATER


def test_a_commit_of_rolling_counts_where_that_is_configured() -> None:
    assert state(judge(History(2), later=True), LINE[4]) is Arrival.LATER
    assert state(judge(History(2), later=True), LINE[1]) is Arrival.WAITING
    assert state(judge(History(2), later=True), OTHER) is Arrival.WAITING


def test_labels_with_more_than_a_hash() -> None:
    for label in (f"{LINE[2]}-dirty", f"v1.2-3-g{LINE[2][:8]}", f" {LINE[2]} "):
        assert state(judge(History(2)), label) is Arrival.ARRIVED


@pytest.mark.parametrize(
    ("label", "problem"),
    [
        (None, "no revision label"),
        ("main", "'main' does not name a commit"),
        ("v1.0", "'v1.0' does not name a commit"),
        ("abcdef", "'abcdef' does not name a commit"),
        ("1234567", "'1234567' is not a commit of this repository; of a base image?"),
        (LINE[4], "2 after the promoted one, on main; it would count with later = true"),
    ],
)
def test_why_an_image_does_not_count(label: str | None, problem: str) -> None:
    verdict = judge(History(2)).verdict(label)
    assert verdict.state is Arrival.WAITING and problem in str(verdict.problem)
