"""`promote move`: plan all moves, confirm them with one question, then push them in order."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Collection, Mapping, Sequence

from job.domain.errors import ImportImagesError, StoppedError, UsageError
from job.domain.records import dataclass, replace
from job.domain.states import MoveResult
from job.promote.clone import Clone
from job.promote.config import Repository
from job.promote.errors import GitError
from job.promote.gates import NotReadyError, wait_until_ready
from job.promote.monorepo import Recorder, recorder
from job.promote.moves import (
    DONE,
    Move,
    Moved,
    blocked_by,
    describe_move,
    exit_status,
    gate_to_pass,
    not_fast_forward,
    plan_rows,
)
from job.promote.questions import Back, Candidate, Display, choose_all, confirm, move_of, resolve
from job.promote.remote import parse_remote
from job.promote.workspace import Workspace, require_tip, rolling_of
from job.runtime.progress import TerminalProgress
from job.runtime.terminal import Person

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
    """Makes a `move`."""

    workspace: Workspace
    repositories: Sequence[Repository]
    options: MoveOptions
    display: Display

    def perform(self) -> Outcome:
        """Fetch, plan, confirm, push and record.

        Raises:
            UsageError: a target is wrong, or the move was not confirmed; nothing was pushed.
            GitError: the monorepo cannot be written; nothing was pushed.
            StoppedError: the command was asked to stop before anything was pushed.
        """
        candidates, results = self._survey(self.workspace.fetch(self.repositories))
        clone, monorepo = self.workspace.monorepo(), self.workspace.config.monorepo
        record = recorder(monorepo, clone, self.repositories) if clone is not None and monorepo is not None else None
        choices: dict[str, Move | None] = {}
        while True:
            choices = self._choose(candidates, choices)
            plan = _plan(candidates, choices, results)
            confirmed = self._confirm(plan, record)
            if confirmed is not Back.BACK:
                break
        if not confirmed:
            return Outcome(self._in_order(plan.results))
        done = dict(plan.results)
        for repository in self.repositories:
            move = next((candidate for candidate in plan.moves if candidate.repository is repository), None)
            if move is not None:
                done[repository.name] = self._push(move, done)
            done[repository.name] = self._pass_gate(done[repository.name], repository, plan)
        return self._record(record, self._in_order(done))

    def _in_order(self, results: Mapping[str, Moved]) -> tuple[Moved, ...]:
        return tuple(results[repository.name] for repository in self.repositories)

    def _survey(self, problems: Mapping[str, str]) -> tuple[list[Candidate], dict[str, Moved]]:
        """What can be moved, and the results of what cannot; `problems` by name are of the fetch.

        Problems are reported before the first question.
        """
        candidates: list[Candidate] = []
        results: dict[str, Moved] = {}
        for repository in self.repositories:
            name = repository.name
            try:
                if name in problems:
                    raise GitError(problems[name])
                if problem := blocked_by(repository, _by_name(results)):
                    results[name] = _logged(Moved(name, MoveResult.BEHIND, message=problem))
                    continue
                candidate = self._candidate(repository)
            except GitError as error:
                results[name] = _logged(Moved(name, MoveResult.FAILED, message=str(error)))
                continue
            if candidate.move.new == candidate.move.old:
                results[name] = Moved(name, MoveResult.UP_TO_DATE, candidate.move.old, candidate.move.old)
                self.display.say(f"{name}: {repository.stable} is already at {candidate.move.old[:9]}; nothing to move")
            else:
                candidates.append(candidate)
        return candidates, results

    def _candidate(self, repository: Repository) -> Candidate:
        """A repository with its move to the tip of rolling or to `--to`.

        Raises:
            GitError: a branch is missing; or the move is no fast-forward, and no person can choose another.
            UsageError: `--to` is wrong.
        """
        clone, text = self.workspace.clone(repository), self.options.targets.get(repository.name)
        rolling = rolling_of(clone, repository)
        old = require_tip(clone, repository.stable, "stable")
        tip = require_tip(clone, rolling, "rolling")
        force = self.options.force
        new = tip if text is None else resolve(clone, repository, rolling, text, tip, force=force, say=self.display.say)
        move = move_of(clone, repository, rolling, old, new, tip)
        is_chosen = text is not None or not self._asks
        if move.lost_count and not force and is_chosen:
            raise GitError(not_fast_forward(move))
        return Candidate(repository, clone, rolling, move, is_chosen)

    @property
    def _asks(self) -> bool:
        return self.options.person is not None and not self.options.yes

    def _choose(self, candidates: Sequence[Candidate], before: Mapping[str, Move | None]) -> dict[str, Move | None]:
        """The moves by name; None where the person leaves a repository. `before`: what was chosen before going back."""
        choices: dict[str, Move | None] = {}
        for candidate in candidates:
            if candidate.is_chosen:
                if not before:
                    self.display.say("\n".join(describe_move(candidate.move)))
                choices[candidate.repository.name] = candidate.move
        open_candidates = [candidate for candidate in candidates if not candidate.is_chosen]
        if not open_candidates or self.options.person is None:
            return choices
        earlier = {name: move for name, move in before.items() if name not in choices}
        force = self.options.force
        return choices | choose_all(open_candidates, self.options.person, self.display, force=force, before=earlier)

    def _confirm(self, plan: Plan, record: Recorder | None) -> bool | Back:
        """Ask whether to push; False if there is nothing to push."""
        targets = _stable(plan.results.values()) | {move.repository.name: move.new for move in plan.moves}
        changed = record.changed(targets) if record else {}
        if not plan.moves and not changed:
            return False
        self.display.say("")
        self.display.table(plan_rows(plan.moves, plan.results, self.repositories))
        if changed:
            self.display.say(f"and in the monorepo the commits of {', '.join(changed)}")
        if self.options.dry_run:
            return True
        for move in plan.moves:
            if move.lost_count:
                self._confirm_loss(move)
        if self.options.person is not None and not self.options.yes:
            answer = confirm(self.options.person)
            if answer is Back.BACK and plan.moves:
                return answer
            if answer is not True:
                raise UsageError(["aborted; nothing was moved"])
        if self.workspace.stop:
            raise StoppedError("stopped; nothing was moved")
        return True

    def _confirm_loss(self, move: Move) -> None:
        name, person = move.repository.name, self.options.person
        loss = (
            f"{move.repository.stable} of {name} loses {move.lost_count:,} commit{'' if move.lost_count == 1 else 's'}"
        )
        if person is None:
            raise UsageError([f"--force: {loss}; this must be confirmed at a terminal by typing {name}"])
        if person.ask(f"{loss}. Type {name} to move it anyway: ") != name:
            raise UsageError([f"{name}: aborted; nothing was moved"])

    def _push(self, move: Move, results: Mapping[str, Moved]) -> Moved:
        repository, new = move.repository, move.new
        name, clone = repository.name, self.workspace.clone(repository)

        def moved(result: MoveResult, message: str | None = None) -> Moved:
            return _logged(Moved(name, result, move.old, new, move.count, message))

        if problem := blocked_by(repository, _by_name(results)):
            return moved(MoveResult.BEHIND, problem)
        if self.workspace.stop:
            return moved(MoveResult.STOPPED, f"{name}: stopped before it was moved")
        dry_run = self.options.dry_run
        try:
            if problem := _rewritten(move, clone):
                return moved(MoveResult.FAILED, problem)
            clone.push(repository.stable, move.old, new, dry_run=dry_run)
        except StoppedError:
            return moved(*_after_interruption(move, clone))
        except GitError as error:
            return moved(MoveResult.FAILED if error.is_known else MoveResult.UNKNOWN, str(error))
        if not dry_run:
            log.info("%s: %s is now at %s", name, repository.stable, new[:9])
        return moved(MoveResult.WOULD_MOVE if dry_run else MoveResult.MOVED)

    def _pass_gate(self, moved: Moved, repository: Repository, plan: Plan) -> Moved:
        """Wait until a repository is ready; returns its result after that. A dry run starts no program."""
        gate, commit = gate_to_pass(repository, plan.moves), moved.new
        is_over = self.options.dry_run or self.workspace.stop
        if gate is None or commit is None or moved.result not in DONE or is_over:
            return moved
        name = repository.name
        remote = parse_remote(repository.url, self.workspace.config.folder)
        variables = {"PROMOTE_COMMIT": commit, "PROMOTE_REPOSITORY": name, "PROMOTE_URL": remote.url}
        log.info("%s: waiting until it is ready: %s", name, " ".join(gate.command))
        progress = TerminalProgress(sys.stderr, self.workspace.stop)
        progress.begin(f"{name}: waiting until it is ready", gate.timeout)
        show = functools.partial(progress.detail, gate.command[0])
        try:
            workspace = self.workspace
            wait_until_ready(gate, workspace.config.folder, variables, workspace.is_stopping, show)
        except (NotReadyError, StoppedError) as error:
            return _logged(replace(moved, result=MoveResult.NOT_READY, message=f"{name}: at {commit[:9]}, but {error}"))
        finally:
            progress.end()
        log.info("%s is ready", name)
        return moved

    def _record(self, record: Recorder | None, results: tuple[Moved, ...]) -> Outcome:
        status = 6 if self.workspace.stop and any(result.result is MoveResult.NOT_READY for result in results) else 0
        if record is None:
            return Outcome(results, monorepo_status=status)
        dry_run = self.options.dry_run
        # A repository that is not ready was moved all the same.
        done = DONE | {MoveResult.NOT_READY} | ({MoveResult.WOULD_MOVE} if dry_run else set())
        commits = {result.name: result.new for result in results if result.result in done and result.new}
        try:
            if not self.workspace.stop:
                return Outcome(results, record.record(commits, dry_run=dry_run))
            if record.changed(commits):
                raise StoppedError("stopped before the monorepo was written")
        except (GitError, StoppedError) as error:
            problem = f"{error}; the moves are not recorded there: run the same command again"
            log.error("%s", problem)
            return Outcome(results, None, problem, error.exit_status)
        return Outcome(results, monorepo_status=status)


def _plan(candidates: Sequence[Candidate], choices: Mapping[str, Move | None], known: Mapping[str, Moved]) -> Plan:
    moves, results = [], dict(known)
    for candidate in candidates:
        name, old = candidate.repository.name, candidate.move.old
        move = choices[name]
        if move is None:
            results[name] = Moved(name, MoveResult.LEFT, old, old)
        elif move.new == old:
            results[name] = Moved(name, MoveResult.UP_TO_DATE, old, old)
        else:
            moves.append(move)
    return Plan(tuple(moves), results)


def _rewritten(move: Move, clone: Clone) -> str | None:
    """Why a commit is not to be pushed any more: rolling was rewritten since it was chosen; None if it was not."""
    if not clone.contains(move.tip, move.new):
        # It was chosen although it is not on rolling.
        return None
    now = clone.remote_tip(move.rolling)
    if now == move.tip:
        return None
    what = f"{clone.name}: {move.rolling} was rewritten in the meantime"
    if now is not None:
        clone.fetch()
        if clone.contains(now, move.new):
            return None
    return f"{what} and does not contain {move.new[:9]} any more; check it, then run the same command again"


def _after_interruption(move: Move, clone: Clone) -> tuple[MoveResult, str]:
    """The result of a push that a signal interrupted, by what the remote has."""
    name, stable = clone.name, move.repository.stable
    try:
        now = clone.remote_tip(stable, after_stop=True)
    except ImportImagesError as error:
        return MoveResult.UNKNOWN, f"{name}: stopped during the push; {stable} may or may not have been moved: {error}"
    if now == move.new:
        return MoveResult.MOVED, f"{name}: stopped during the push; {stable} was moved to {move.new[:9]}"
    if now == move.old:
        return MoveResult.STOPPED, f"{name}: stopped during the push; {stable} is still at {move.old[:9]}"
    return MoveResult.UNKNOWN, f"{name}: stopped during the push; {stable} is now at {(now or 'no commit')[:9]}"


def _by_name(results: Mapping[str, Moved]) -> dict[str, MoveResult]:
    return {name: moved.result for name, moved in results.items()}


def _stable(results: Collection[Moved]) -> dict[str, str]:
    return {result.name: result.new for result in results if result.result in DONE and result.new}


def _logged(moved: Moved) -> Moved:
    """The same result, after its message is logged."""
    if moved.message:
        log.error("%s", moved.message)
    return moved
