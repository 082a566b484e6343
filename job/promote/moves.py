"""Planned moves of stable branches, and their results."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from job.domain.records import dataclass
from job.domain.repositories import compare_link
from job.domain.states import MoveResult
from job.domain.text import clean
from job.promote.commits import SHORT_LENGTH, Commit, authors
from job.promote.config import Gate, Repository
from job.promote.references import delivered, shorten
from job.views.output import width_of

MAX_COMMITS_SHOWN = 50
# Upper bound of the commits that authors and pull requests are read from, and of either in a list.
MAX_COMMITS_READ = 10_000
MAX_NAMES_SHOWN = 30


# Stable is at the requested commit.
DONE = frozenset({MoveResult.MOVED, MoveResult.UP_TO_DATE})
# The repositories that come after it are not moved.
BAD = frozenset({MoveResult.FAILED, MoveResult.UNKNOWN, MoveResult.NOT_READY, MoveResult.BEHIND, MoveResult.STOPPED})


@dataclass(frozen=True, slots=True)
class Move:
    """A planned move of a stable branch.

    Attributes:
        repository: the branch's repository.
        rolling: the name of its rolling branch.
        old: the current commit.
        new: the target.
        tip: the tip of the rolling branch.
        commits: what the branch gets, newest first, at most `MAX_COMMITS_READ`.
        count: the number of all commits it gets.
        lost: what it loses, newest first, at most `MAX_COMMITS_SHOWN`; empty for a fast-forward.
        lost_count: the number of all commits it loses.
    """

    repository: Repository
    rolling: str
    old: str
    new: str
    tip: str
    commits: tuple[Commit, ...]
    count: int
    lost: tuple[Commit, ...] = ()
    lost_count: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """The result of one repository; `old` and `new` are None where they are unknown."""

    name: str
    result: MoveResult
    old: str | None = None
    new: str | None = None
    count: int = 0
    message: str | None = None


def blocked_by(repository: Repository, results: Mapping[str, MoveResult]) -> str | None:
    """Why a repository must not be moved: a repository in its `after` was not done."""
    bad = [name for name in repository.after if results.get(name) in BAD]
    return f"{repository.name} comes after {', '.join(bad)}, which was not done" if bad else None


def describe_move(move: Move) -> list[str]:
    """A move as lines for a person."""
    # Of the terminal of the question; each line is indented.
    repository, width = move.repository, width_of(sys.stderr) - 2
    rolling = f"{move.rolling} " if move.new == move.tip else ""
    lines = [f"{repository.name}: {repository.stable} {_short(move.old)} -> {rolling}{_short(move.new)}, "]
    lines[0] += plural(move.count, "commit")
    lines += ["  " + clean(shorten(commit, width), width) for commit in move.commits[:MAX_COMMITS_SHOWN]]
    if (hidden := move.count - MAX_COMMITS_SHOWN) > 0:
        lines.append(f"  and {hidden} more")
    if move.commits:
        read = f" (of the newest {len(move.commits)} commits)" if move.count > len(move.commits) else ""
        lines.append("  " + clean(f"authors{read}: {_bounded(authors(move.commits))}", 2000))
        if requests := delivered(move.commits):
            lines.append("  " + clean(f"pull requests{read}: {_bounded(requests)}", 2000))
    if repository.page:
        lines.append(f"  {compare_link(repository.page, _short(move.old), _short(move.new))}")
    for commit in move.lost:
        prefix = f"! {repository.stable} loses "
        lines.append("  " + prefix + clean(shorten(commit, width - len(prefix)), width - len(prefix)))
    if (hidden := move.lost_count - len(move.lost)) > 0:
        lines.append(f"  ! and loses {hidden} more")
    return lines


def _short(commit: str) -> str:
    return commit[:SHORT_LENGTH]


def _bounded(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    return (", ".join(names[:MAX_NAMES_SHOWN]) or "-") + more


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 commit`, `3,000 commits`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def not_fast_forward(move: Move) -> str:
    """Why a branch cannot be moved without `--force`, and what to do."""
    repository, lost = move.repository, move.lost
    what = f"{repository.name}: {repository.stable} cannot be fast-forwarded to {_short(move.new)}"
    if not move.count:
        return f"{what}: it is {move.lost_count:,} ahead of it; to move it back: --force"
    names = ", ".join(commit.short for commit in lost[:3])
    names += f" and {move.lost_count - 3:,} more" if move.lost_count > 3 else ""
    those = "that" if move.lost_count == 1 else "those"
    fix = f"bring {those} to {move.rolling} first, or drop {those}: --force"
    return f"{what}: it has {names}, which {_short(move.new)} does not contain; {fix}"


def gate_to_pass(repository: Repository, moves: Sequence[Move]) -> Gate | None:
    """The gate that is asked once a repository is at its target; None where nothing needs it.

    Of a repository that was there already it is asked for the sake of one that comes after it: an earlier call may have
    ended at this gate.
    """
    names = {move.repository.name for move in moves}
    is_needed = repository.name in names or any(repository.name in move.repository.after for move in moves)
    return repository.ready if is_needed else None


def plan_rows(
    moves: Sequence[Move], results: Mapping[str, Moved], repositories: Sequence[Repository]
) -> list[tuple[str, ...]]:
    """What is about to happen, as the rows of a table: the moves, what is not moved and why, and the gates."""
    by_name = {move.repository.name: move for move in moves}
    rows: list[tuple[str, ...]] = [("REPOSITORY", "FROM", "TO", "COMMITS", "WHY")]
    for repository in repositories:
        name, gate = repository.name, gate_to_pass(repository, moves)
        waits = [f"then waits for {gate.command[0]}"] if gate else []
        if (move := by_name.get(name)) is not None:
            notes = [f"loses {plural(move.lost_count, 'commit')}"] if move.lost_count else []
            rows.append((name, _short(move.old), _short(move.new), f"{move.count:,}", ", ".join(notes + waits)))
        else:
            result = results[name]
            notes = [_why(result), *(waits if result.result in DONE else [])]
            rows.append((name, _short(result.old or "-"), "-", "-", ", ".join(notes)))
    return rows


_WHY = {MoveResult.UP_TO_DATE: "already there", MoveResult.LEFT: "you chose to leave it"}


def _why(moved: Moved) -> str:
    """Why a repository has its result, without its name."""
    return (moved.message or _WHY.get(moved.result, "")).removeprefix(f"{moved.name}: ").removeprefix(f"{moved.name} ")


def exit_status(moved: Collection[Moved]) -> int:
    """The exit status for these results."""
    results = {move.result for move in moved}
    if MoveResult.STOPPED in results:
        return 6
    return 1 if results & BAD else 0


def result_rows(moved: Sequence[Moved]) -> list[tuple[str, ...]]:
    """The results as the rows of a table, with a heading."""
    rows: list[tuple[str, ...]] = [("REPOSITORY", "STABLE", "FROM", "TO", "COMMITS", "WHY")]
    for move in moved:
        count = f"{move.count:,}" if move.count else "-"
        result = str(move.result).replace("_", " ") if move.result is not MoveResult.BEHIND else "not tried"
        rows.append((move.name, result, _short(move.old or "-"), _short(move.new or "-"), count, _why(move)))
    return rows


def as_document(moved: Sequence[Moved]) -> list[dict[str, Any]]:
    """The results as JSON."""
    return [
        {
            "repository": move.name,
            "result": str(move.result),
            "from": move.old,
            "to": move.new,
            "commits": move.count,
            "message": move.message,
        }
        for move in moved
    ]


def parse_targets(texts: Sequence[str], names: Sequence[str], errors: list[str]) -> dict[str, str]:
    """The target of each repository, by the values of `--to`; mistakes are added to `errors`."""
    targets: dict[str, str] = {}
    for text in texts:
        name, equals, commit = text.partition("=")
        if not equals or name not in names:
            if len(names) != 1:
                fix = f"name one repository, or write --to REPO={text}"
                errors.append(f"--to: {clean(text)!r} is for one repository, but {len(names)} are selected; {fix}")
                continue
            name, commit = names[0], text
        if not commit:
            errors.append(f"--to: {name} has no commit")
        elif name in targets:
            errors.append(f"--to: {name} is given twice")
        targets[name] = commit
    return targets
