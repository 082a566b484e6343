"""Which images count as promoted."""

from __future__ import annotations

from job.promote.arrivals import Judge, State

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
        return LINE[self.stable]

    def resolve(self, text: str) -> str | None:
        return next((each for each in [*LINE[: self.known], OTHER] if each.startswith(text)), None)

    def contains(self, commit: str, older: str) -> bool:
        if OTHER in (commit, older):
            return commit == older
        return LINE.index(older) <= LINE.index(commit)


def judge(history: History, commit: int = 2) -> Judge:
    return Judge(LINE[commit], "stable", history)


def test_the_commit_itself() -> None:
    history = History(2)
    for revision in (LINE[2], LINE[2][:7], LINE[2].upper()):
        assert judge(history).state(revision) is State.ARRIVED
    assert history.fetches == 0


def test_other_revisions() -> None:
    history = History(2)
    for revision in (None, "v1.2", "", LINE[1], OTHER):
        assert judge(history).state(revision) is State.WAITING
    assert history.fetches == 0


def test_a_later_commit_of_stable_counts() -> None:
    history = History(2)
    history.stable_after = 4
    decision = judge(history)
    assert decision.state(LINE[3][:12]) is State.LATER
    assert history.fetches == 1


def test_an_unknown_commit_is_fetched_once() -> None:
    history = History(2, known=3)
    history.stable_after = 4
    assert judge(history).state(LINE[4]) is State.LATER
    history = History(2)
    decision = judge(history)
    assert [decision.state("1234567") for _ in range(3)] == [State.WAITING] * 3
    assert history.fetches == 1


def test_a_commit_of_rolling_does_not_count() -> None:
    history = History(2)
    assert judge(history).state(LINE[4]) is State.WAITING


def test_stable_may_be_moved_to_a_commit_of_rolling() -> None:
    history = History(2)
    decision = judge(history)
    assert decision.state(LINE[4]) is State.WAITING
    history.stable_after = 4
    assert decision.state(LINE[4]) is State.LATER
