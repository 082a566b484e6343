"""`promote move`: choose where each stable branch goes, agree on all of it, then push in order."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from job.domain.errors import StoppedError, UsageError
from job.domain.shell import command
from job.promote.bench import Bench, tip_of
from job.promote.clone import Clone
from job.promote.config import Repository
from job.promote.git import GitError
from job.promote.monorepo import Recorder, recorder
from job.promote.moves import DONE, MOST_SHOWN, Fate, Move, Moved, described, obstacle, status_of
from job.runtime.terminal import Person, agreed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for.

    Attributes:
        to: where each repository is to go that is not to go to the tip.
        person: whom to ask; None where nobody is there.
        yes: whether that person said yes to everything but a loss.
        force: whether something else than a fast-forward may be asked about.
        dry_run: whether only to look.
    """

    to: Mapping[str, str]
    person: Person | None
    yes: bool = False
    force: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class Promotion:
    """A `move` under way; what it says for people to read goes to `say`.

    Attributes:
        recorded: the commit of the monorepo that records the moves.
        problem: why they are not recorded there, where they are to be.
    """

    bench: Bench
    repositories: Sequence[Repository]
    asked: Asked
    say: Callable[[str], object]
    fates: dict[str, Moved] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    recorded: str | None = None
    problem: str | None = None
    _unrecorded: int = 0

    def perform(self) -> list[Moved]:
        """Everything; returns what became of each, in order.

        Raises:
            UsageError: it was asked for something that cannot be, or nobody agreed; nothing was pushed.
            GitError: the monorepo cannot be written; nothing was pushed.
            StoppedError: it was told to stop before anything was pushed.
        """
        problems = self.bench.fetch(self.repositories)
        for repository in self.repositories:
            self._look(repository, problems.get(repository.name))
        found = self._recorder()
        if self._agreed(found):
            for move in self.moves:
                self._push(move)
            self._record(found)
        return [self.fates[repository.name] for repository in self.repositories]

    @property
    def status(self) -> int:
        """The exit status, once it is performed."""
        return max(status_of(self.fates.values()), self._unrecorded)

    def stable(self) -> dict[str, str]:
        """Where the stable branches are that are where they were asked to be."""
        return {each.name: each.new for each in self.fates.values() if each.fate in DONE and each.new}

    def _look(self, repository: Repository, problem: str | None) -> None:
        """Decide where a repository's branch goes, or that it cannot."""
        name = repository.name
        try:
            if problem is None:
                problem = obstacle(repository, self._so_far())
                if problem:
                    self._end(Moved(name, Fate.BEHIND, message=problem))
                    return
                move = self._choose(repository)
                if move is not None:
                    self.moves.append(move)
                return
        except GitError as error:
            problem = str(error)
        self._end(Moved(name, Fate.FAILED, message=problem))

    def _so_far(self) -> dict[str, Fate]:
        return {name: moved.fate for name, moved in self.fates.items()}

    def _end(self, moved: Moved) -> None:
        self.fates[moved.name] = moved
        if moved.message:
            log.error("%s", moved.message)

    def _choose(self, repository: Repository) -> Move | None:
        """The move that is to be made; None where there is none, which then is that one's fate."""
        clone = self.bench.clone(repository)
        old = tip_of(clone, repository.stable, "stable")
        tip = tip_of(clone, repository.rolling, "rolling")
        name, text = repository.name, self.asked.to.get(repository.name)
        new = tip if text is None else self._resolve(clone, repository, text, tip)
        move = move_of(clone, repository, old, new, tip)
        if new == old:
            self.say(f"{name}: {repository.stable} is at {old[:9]} already; nothing to move")
        else:
            self._show(clone, move)
        if text is None and new != old and self.asked.person is not None and not self.asked.yes:
            chosen = self._ask(self.asked.person, clone, repository, tip)
            if chosen is None:
                self._end(Moved(name, Fate.LEFT, old, old))
                return None
            if chosen != new:
                move = move_of(clone, repository, old, chosen, tip)
                self._show(clone, move)
        if move.new == old:
            self._end(Moved(name, Fate.UP_TO_DATE, old, old))
            return None
        if move.lost and not self.asked.force:
            raise GitError(_not_forward(move))
        return move

    def _show(self, clone: Clone, move: Move) -> None:
        folder, here = clone.git.folder, Path.cwd()
        folder = folder.relative_to(here) if folder.is_relative_to(here) else folder
        log_command = command("git", f"--git-dir={folder}", "log", "--oneline", f"{move.old[:9]}..{move.new[:9]}")
        self.say("\n".join(described(move, log_command)))

    def _resolve(self, clone: Clone, repository: Repository, text: str, tip: str) -> str:
        commit = clone.resolve(text)
        if commit is None:
            raise UsageError([f"{repository.name}: {text!r} is no branch, tag or commit there (or begins several)"])
        if not self.asked.force and not clone.contains(tip, commit):
            told = f"{repository.name}: {text} ({commit[:9]}) is not on {repository.rolling}"
            raise UsageError([f"{told}; to move there all the same: --force"])
        return commit

    def _ask(self, person: Person, clone: Clone, repository: Repository, tip: str) -> str | None:
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

    def _recorder(self) -> Recorder | None:
        clone, monorepo = self.bench.monorepo(), self.bench.config.monorepo
        return recorder(monorepo, clone, self.repositories) if clone is not None and monorepo is not None else None

    def _agreed(self, found: Recorder | None) -> bool:
        """Whether to go on; False where there is nothing to do."""
        changed = (
            found.changed(self.stable() | {move.repository.name: move.new for move in self.moves}) if found else {}
        )
        if not self.moves and not changed:
            return False
        told = [f"{move.repository.name} {move.old[:9]} -> {move.new[:9]}" for move in self.moves]
        if changed:
            told.append(f"and in the monorepo the commits of {', '.join(changed)}")
        self.say("to be moved: " + ", ".join(told))
        if self.asked.dry_run:
            return True
        for move in self.moves:
            if move.lost:
                self._agreed_to_lose(move)
        person = self.asked.person
        if person is not None and not self.asked.yes and not agreed(person.ask("Push this? [y/N] ")):
            raise UsageError(["not confirmed: nothing was moved"])
        if self.bench.stop:
            raise StoppedError("stopped before anything was moved")
        return True

    def _agreed_to_lose(self, move: Move) -> None:
        name, person = move.repository.name, self.asked.person
        count = f"{len(move.lost)} {'commit' if len(move.lost) == 1 else 'commits'}"
        told = f"{move.repository.stable} of {name} loses {count}"
        if person is None:
            raise UsageError([f"--force: {told}, so {name} must be typed, and nobody is there to do so"])
        if person.ask(f"{told}. Type {name} to move it all the same: ") != name:
            raise UsageError([f"{name}: not confirmed: nothing was moved"])

    def _push(self, move: Move) -> None:
        repository = move.repository
        name, old, new = repository.name, move.old, move.new
        problem = obstacle(repository, self._so_far())
        if problem:
            self._end(Moved(name, Fate.BEHIND, old, new, move.count, problem))
            return
        if self.bench.stop:
            self._end(Moved(name, Fate.STOPPED, old, new, move.count, f"{name}: stopped before it was moved"))
            return
        try:
            self.bench.clone(repository).push(repository.stable, old, new, dry_run=self.asked.dry_run)
        except StoppedError:
            told = f"{name}: stopped while it was moved to {new[:9]}; see: import-images promote status"
            self._end(Moved(name, Fate.STOPPED, old, new, move.count, told))
        except GitError as error:
            known = error.is_known
            self._end(Moved(name, Fate.FAILED if known else Fate.UNKNOWN, old, new, move.count, str(error)))
        else:
            self._end(Moved(name, Fate.WOULD_MOVE if self.asked.dry_run else Fate.MOVED, old, new, move.count))

    def _record(self, found: Recorder | None) -> None:
        if found is None:
            return
        commits = self.stable()
        if self.asked.dry_run:
            commits |= {
                each.name: each.new for each in self.fates.values() if each.fate is Fate.WOULD_MOVE and each.new
            }
        try:
            if not self.bench.stop:
                self.recorded = found.record(commits, dry_run=self.asked.dry_run)
            elif found.changed(commits):
                raise StoppedError("stopped before the monorepo was reached")
        except (GitError, StoppedError) as error:
            self._unrecorded = error.exit_status
            self.problem = f"{error}; what was moved is not recorded there: run the same command again"
            log.error("%s", self.problem)


def move_of(clone: Clone, repository: Repository, old: str, new: str, tip: str) -> Move:
    """A move, with what the branch gets and loses by it."""
    return Move(
        repository,
        old,
        new,
        tip,
        clone.commits(old, new, MOST_SHOWN),
        clone.count(old, new),
        clone.commits(new, old, MOST_SHOWN),
    )


def _not_forward(move: Move) -> str:
    repository, lost = move.repository, move.lost
    what = f"{repository.name}: {repository.stable} cannot go to {move.new[:9]} by a fast-forward"
    if not move.commits:
        return f"{what}: it is ahead of it by {len(lost)}; to move it back: --force"
    named = ", ".join(commit.short for commit in lost[:3]) + (" and others" if len(lost) > 3 else "")
    told = f"it has {named}, which {move.new[:9]} has not"
    return f"{what}: {told}; bring that to {repository.rolling} first, or give it up: --force"
