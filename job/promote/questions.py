"""The questions of `promote move`: where each branch goes, and whether to push."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Protocol

from job.domain.errors import ImportImagesError, UsageError
from job.domain.records import dataclass
from job.promote.clone import Clone
from job.promote.config import Repository
from job.promote.moves import MAX_COMMITS_READ, MAX_COMMITS_SHOWN, Move, describe_move, not_fast_forward
from job.runtime.terminal import Person

# A commit's page at GitHub, GitLab or Gitea.
_COMMIT_URL = re.compile(r"https?://\S+/commits?/([0-9a-fA-F]{7,64})(?:[/?#]\S*)?")


class Display(Protocol):
    """Shows things to the person."""

    def say(self, text: str) -> None:
        """Show a text."""

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Show a table; the first row is its heading."""

    def page(self, text: str) -> None:
        """Show a long text in a pager."""


class Back(Enum):
    """The answer that goes back to the question before."""

    BACK = "q"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A repository that can be moved: its clone, its branches, and the move to the tip of rolling or to `--to`."""

    repository: Repository
    clone: Clone
    rolling: str
    move: Move
    is_chosen: bool = False

    def move_to(self, commit: str) -> Move:
        """The move to another commit."""
        return move_of(self.clone, self.repository, self.rolling, self.move.old, commit, self.move.tip)


def move_of(clone: Clone, repository: Repository, rolling: str, old: str, new: str, tip: str) -> Move:
    """A move, with the commits that the branch gets and loses."""
    return Move(
        repository,
        rolling,
        old,
        new,
        tip,
        clone.commits(old, new, MAX_COMMITS_READ),
        clone.count(old, new),
        clone.commits(new, old, MAX_COMMITS_SHOWN),
        clone.count(new, old),
    )


def resolve(
    clone: Clone,
    repository: Repository,
    rolling: str,
    text: str,
    tip: str,
    *,
    force: bool,
    say: Callable[[str], object],
) -> str:
    """The commit that a user means: a branch, a tag, a hash, or the address of a commit's page.

    Raises:
        UsageError: there is no such commit, or rolling does not contain it and `force` is not given.
    """
    url = _COMMIT_URL.fullmatch(text.strip())
    name = url[1].lower() if url else text
    commit = clone.resolve(name)
    if commit is None:
        problem = f"{text!r} is not a branch, a tag or a commit, or an ambiguous abbreviation"
        raise UsageError([f"{repository.name}: {problem}"])
    if clone.is_branch_and_tag(name):
        say(f"{repository.name}: {name} is a branch and a tag; the branch is used (for the tag: tags/{name})")
    if not force and not clone.contains(tip, commit):
        problem = f"{text} ({commit[:9]}) is not on {rolling}; to move there anyway: --force"
        raise UsageError([f"{repository.name}: {problem}"])
    return commit


def choose_all(
    candidates: Sequence[Candidate],
    person: Person,
    display: Display,
    *,
    force: bool,
    before: Mapping[str, Move | None],
) -> dict[str, Move | None]:
    """Ask for the target of each candidate; by name the move, or None to leave the repository.

    With the choices of `before`, from which the person went back, only the last question is asked again.

    Raises:
        UsageError: the person went back before the first question.
    """
    choices = dict(before)
    position = len(candidates) - 1 if before else 0
    while position < len(candidates):
        candidate = candidates[position]
        choice = _choose(candidate, person, display, force=force)
        if choice is Back.BACK:
            if position == 0:
                raise UsageError(["aborted; nothing was moved"])
            position -= 1
            continue
        choices[candidate.repository.name] = choice
        position += 1
    return choices


def _choose(candidate: Candidate, person: Person, display: Display, *, force: bool) -> Move | Back | None:
    repository, move = candidate.repository, candidate.move
    display.say("\n".join(describe_move(move)))
    has_default = force or not move.lost_count
    if not has_default:
        display.say(f"  {not_fast_forward(move)}")
    default = f"[{move.new[:9]}]? (or another commit; " if has_default else "which commit? ("
    question = f"Move {repository.stable} of {repository.name} to {default}n leave, d diff, q back) "
    while True:
        answer = person.ask(question)
        word = answer.lower()
        if word in ("n", "no"):
            return None
        if word in ("q", "quit"):
            return Back.BACK
        if word == "d":
            _show_diff(candidate, display)
            continue
        if word in ("", "y", "yes"):
            if has_default:
                return move
            display.say("  name a commit, or answer n to leave it")
            continue
        chosen = _answered(candidate, answer, display, force=force)
        if chosen is not None:
            return chosen


def _answered(candidate: Candidate, answer: str, display: Display, *, force: bool) -> Move | None:
    """The move to the answered commit; None after the reason why it is not possible."""
    repository, move = candidate.repository, candidate.move
    try:
        commit = resolve(candidate.clone, repository, candidate.rolling, answer, move.tip, force=force, say=display.say)
    except UsageError as error:
        display.say(f"  {error}")
        return None
    chosen = candidate.move_to(commit)
    if chosen.lost_count and not force:
        display.say(f"  {not_fast_forward(chosen)}")
        return None
    if commit != move.new:
        display.say("\n".join(describe_move(chosen)))
    return chosen


def _show_diff(candidate: Candidate, display: Display) -> None:
    try:
        display.page(candidate.clone.graph(candidate.move.old, candidate.move.new))
    except ImportImagesError as error:
        display.say(f"  {error}")


def confirm(person: Person) -> bool | Back:
    """Ask whether to push what is shown."""
    while True:
        answer = person.ask("Push this? [y/N, q back] ").lower()
        if answer in ("y", "yes"):
            return True
        if answer in ("", "n", "no"):
            return False
        if answer in ("q", "quit"):
            return Back.BACK
