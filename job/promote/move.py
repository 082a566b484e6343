"""`promote move`: plan all moves, confirm them with one question, then push them in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from job.domain.errors import StoppedError, UsageError
from job.promote.clone import Clone
from job.promote.config import Repository
from job.promote.errors import GitError
from job.promote.monorepo import Recorder, recorder
from job.promote.moves import DONE, MAX_COMMITS_SHOWN, Move, Moved, Result, blocked_by, describe_move, exit_status
from job.promote.workspace import Workspace, require_tip
from job.runtime.terminal import Person, agreed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MoveOptions:
    """The options of a `move`.

    Attributes:
        targets: by repository name; the others go to the tip of rolling.
        person: answers questions; None without a terminal.
        yes: every question except the loss of commits is answered with yes.
        force: moves that are no fast-forward are allowed.
        dry_run: push nothing.
    """

    targets: Mapping[str, str]
    person: Person | None
    yes: bool = False
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The moves to make, in order; and the results of the repositories that are not moved, by name."""

    moves: tuple[Move, ...]
    results: Mapping[str, Moved]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The results in order, and the monorepo's commit, or why it was not written."""

    results: tuple[Moved, ...]
    recorded: str | None = None
    monorepo_problem: str | None = None
    monorepo_status: int = 0

    @property
    def exit_status(self) -> int:
        """The exit status of the command."""
        return max(exit_status(self.results), self.monorepo_status)

    def stable(self) -> dict[str, str]:
        """The commits of the stable branches that are at their target, by repository name."""
        return _stable(self.results)


@dataclass(frozen=True, slots=True)
class Mover:
    """Makes a `move`; `say` shows text to a person."""

    workspace: Workspace
    repositories: Sequence[Repository]
    options: MoveOptions
    say: Callable[[str], object]

    def perform(self) -> Outcome:
        """Fetch, plan, confirm, push and record.

        Raises:
            UsageError: a target is wrong, or the move was not confirmed; nothing was pushed.
            GitError: the monorepo cannot be written; nothing was pushed.
            StoppedError: the command was asked to stop before anything was pushed.
        """
        plan = self._plan(self.workspace.fetch(self.repositories))
        clone, monorepo = self.workspace.monorepo(), self.workspace.config.monorepo
        record = recorder(monorepo, clone, self.repositories) if clone is not None and monorepo is not None else None
        if not self._confirm(plan, record):
            return Outcome(self._in_order(plan.results))
        results = dict(plan.results)
        for move in plan.moves:
            results[move.repository.name] = self._push(move, results)
        return self._record(record, self._in_order(results))

    def _in_order(self, results: Mapping[str, Moved]) -> tuple[Moved, ...]:
        return tuple(results[repository.name] for repository in self.repositories)

    def _plan(self, problems: Mapping[str, str]) -> Plan:
        """Decide the target of each repository, or that it is not moved; `problems` by name are of the fetch."""
        moves: list[Move] = []
        results: dict[str, Moved] = {}
        for repository in self.repositories:
            name = repository.name
            try:
                if name in problems:
                    raise GitError(problems[name])
                if problem := blocked_by(repository, _by_name(results)):
                    results[name] = _logged(Moved(name, Result.BEHIND, message=problem))
                    continue
                choice = self._choose(repository)
            except GitError as error:
                choice = _logged(Moved(name, Result.FAILED, message=str(error)))
            if isinstance(choice, Move):
                moves.append(choice)
            else:
                results[name] = choice
        return Plan(tuple(moves), results)

    def _choose(self, repository: Repository) -> Move | Moved:
        """The planned move of a repository, or its result where there is nothing to move."""
        clone, name = self.workspace.clone(repository), repository.name
        old = require_tip(clone, repository.stable, "stable")
        tip = require_tip(clone, repository.rolling, "rolling")
        text = self.options.targets.get(name)
        new = tip if text is None else self._resolve(clone, repository, text, tip)
        move = move_of(clone, repository, old, new, tip)
        if new == old:
            self.say(f"{name}: {repository.stable} is already at {old[:9]}; nothing to move")
        else:
            self._show(move)
        if text is None and new != old and self.options.person is not None and not self.options.yes:
            chosen = self._ask(self.options.person, clone, repository, tip)
            if chosen is None:
                return Moved(name, Result.LEFT, old, old)
            if chosen != new:
                move = move_of(clone, repository, old, chosen, tip)
                self._show(move)
        if move.new == old:
            return Moved(name, Result.UP_TO_DATE, old, old)
        if move.lost and not self.options.force:
            raise GitError(_not_fast_forward(move))
        return move

    def _show(self, move: Move) -> None:
        self.say("\n".join(describe_move(move)))

    def _resolve(self, clone: Clone, repository: Repository, text: str, tip: str) -> str:
        commit = clone.resolve(text)
        if commit is None:
            problem = f"{text!r} is not a branch, a tag or a commit, or an ambiguous abbreviation"
            raise UsageError([f"{repository.name}: {problem}"])
        if not self.options.force and not clone.contains(tip, commit):
            problem = f"{text} ({commit[:9]}) is not on {repository.rolling}; to move there anyway: --force"
            raise UsageError([f"{repository.name}: {problem}"])
        return commit

    def _ask(self, person: Person, clone: Clone, repository: Repository, tip: str) -> str | None:
        """The chosen commit; None to leave the repository."""
        question = f"Move {repository.stable} of {repository.name} to [{tip[:9]}], another commit, or n to leave it: "
        while True:
            answer = person.ask(question)
            if answer.lower() in ("n", "no"):
                return None
            if answer.lower() in ("", "y", "yes"):
                return tip
            try:
                return self._resolve(clone, repository, answer, tip)
            except UsageError as error:
                self.say(f"  {error}")

    def _confirm(self, plan: Plan, record: Recorder | None) -> bool:
        """Ask whether to push; False if there is nothing to push."""
        targets = _stable(plan.results.values()) | {move.repository.name: move.new for move in plan.moves}
        changed = record.changed(targets) if record else {}
        if not plan.moves and not changed:
            return False
        parts = [f"{move.repository.name} {move.old[:9]} -> {move.new[:9]}" for move in plan.moves]
        if changed:
            parts.append(f"and in the monorepo the commits of {', '.join(changed)}")
        self.say("to be moved: " + ", ".join(parts))
        if self.options.dry_run:
            return True
        for move in plan.moves:
            if move.lost:
                self._confirm_loss(move)
        person = self.options.person
        if person is not None and not self.options.yes and not agreed(person.ask("Push this? [y/N] ")):
            raise UsageError(["aborted; nothing was moved"])
        if self.workspace.stop:
            raise StoppedError("stopped; nothing was moved")
        return True

    def _confirm_loss(self, move: Move) -> None:
        name, person = move.repository.name, self.options.person
        count = f"{len(move.lost)} {'commit' if len(move.lost) == 1 else 'commits'}"
        loss = f"{move.repository.stable} of {name} loses {count}"
        if person is None:
            raise UsageError([f"--force: {loss}; this must be confirmed at a terminal by typing {name}"])
        if person.ask(f"{loss}. Type {name} to move it anyway: ") != name:
            raise UsageError([f"{name}: aborted; nothing was moved"])

    def _push(self, move: Move, results: Mapping[str, Moved]) -> Moved:
        repository, new = move.repository, move.new
        name = repository.name

        def moved(result: Result, message: str | None = None) -> Moved:
            return _logged(Moved(name, result, move.old, new, move.count, message))

        if problem := blocked_by(repository, _by_name(results)):
            return moved(Result.BEHIND, problem)
        if self.workspace.stop:
            return moved(Result.STOPPED, f"{name}: stopped before it was moved")
        dry_run = self.options.dry_run
        try:
            self.workspace.clone(repository).push(repository.stable, move.old, new, dry_run=dry_run)
        except StoppedError:
            message = f"{name}: stopped while it was moved to {new[:9]}; check: import-images promote status"
            return moved(Result.STOPPED, message)
        except GitError as error:
            return moved(Result.FAILED if error.is_known else Result.UNKNOWN, str(error))
        return moved(Result.WOULD_MOVE if dry_run else Result.MOVED)

    def _record(self, record: Recorder | None, results: tuple[Moved, ...]) -> Outcome:
        if record is None:
            return Outcome(results)
        dry_run = self.options.dry_run
        done = DONE | {Result.WOULD_MOVE} if dry_run else DONE
        commits = {each.name: each.new for each in results if each.result in done and each.new}
        try:
            if not self.workspace.stop:
                return Outcome(results, record.record(commits, dry_run=dry_run))
            if record.changed(commits):
                raise StoppedError("stopped before the monorepo was written")
        except (GitError, StoppedError) as error:
            problem = f"{error}; the moves are not recorded there: run the same command again"
            log.error("%s", problem)
            return Outcome(results, None, problem, error.exit_status)
        return Outcome(results)


def _by_name(results: Mapping[str, Moved]) -> dict[str, Result]:
    return {name: moved.result for name, moved in results.items()}


def _stable(results: Collection[Moved]) -> dict[str, str]:
    return {each.name: each.new for each in results if each.result in DONE and each.new}


def _logged(moved: Moved) -> Moved:
    """The same result, after its message is logged."""
    if moved.message:
        log.error("%s", moved.message)
    return moved


def move_of(clone: Clone, repository: Repository, old: str, new: str, tip: str) -> Move:
    """A move, with the commits that the branch gets and loses."""
    return Move(
        repository,
        old,
        new,
        tip,
        clone.commits(old, new, MAX_COMMITS_SHOWN),
        clone.count(old, new),
        clone.commits(new, old, MAX_COMMITS_SHOWN),
    )


def _not_fast_forward(move: Move) -> str:
    repository, lost = move.repository, move.lost
    what = f"{repository.name}: {repository.stable} cannot be fast-forwarded to {move.new[:9]}"
    if not move.commits:
        return f"{what}: it is {len(lost)} ahead of it; to move it back: --force"
    names = ", ".join(commit.short for commit in lost[:3]) + (" and others" if len(lost) > 3 else "")
    fix = f"bring them to {repository.rolling} first, or drop them: --force"
    return f"{what}: it has {names}, which {move.new[:9]} does not contain; {fix}"
