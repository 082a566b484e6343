"""`promote`: its sub-commands, from options to exit status."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from job.config.settings import Settings
from job.domain.durations import duration
from job.domain.errors import UsageError
from job.promote.bench import Bench, tip_of
from job.promote.commits import SHOWN
from job.promote.config import Repository, read_config
from job.promote.deployed import asking_for, import_of
from job.promote.git import GitError, require_git
from job.promote.moves import aims, as_document, columns, table
from job.promote.wait import Awaited, Waiting, awaited_in, rows
from job.run.session import Place, place
from job.runtime.shutdown import Stop
from job.runtime.terminal import Terminal, agreed, is_there
from job.views.output import document, write

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """One `promote`: what was asked for, of which repositories, and how to show it."""

    options: argparse.Namespace
    bench: Bench
    repositories: Sequence[Repository]
    settings: Settings
    as_table: bool

    def say(self, text: str) -> None:
        """Tell a person; a document on stdout stays alone there."""
        if self.as_table:
            write(lambda: sys.stdout.write(text + "\n"))
        else:
            sys.stderr.write(text + "\n")


def promote(options: argparse.Namespace, settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Run a sub-command; returns the exit status.

    Raises:
        ImportImagesError: it came to an early end.
    """
    config = read_config(options.config)
    repositories = config.chosen(options.repositories)
    require_git()
    session = Session(options, Bench(config, stop), repositories, settings, as_table)
    return {"status": _status, "move": _move, "wait": _wait, "notes": _notes}[options.promote](session)


def _status(session: Session) -> int:
    from job.promote import status

    found, problem = status.look(session.bench, session.repositories, session.settings)
    if session.as_table:
        write(lambda: columns(status.branches(found, datetime.now(UTC)), sys.stdout.write))
        if len(images := status.images(found)) > 1:
            session.say("")
            write(lambda: columns(images, sys.stdout.write))
    else:
        document("PromoteStatus", status.as_document(found, problem))
    if problem:
        log.warning("what runs in the cluster is not shown: %s", problem)
    for each in found:
        if each.problem:
            log.error("%s", each.problem)
    return status.status_of(found)


def _move(session: Session) -> int:
    from job.promote.move import Asked, Promotion

    options, errors = session.options, list[str]()
    to = aims(options.to, [repository.name for repository in session.repositories], errors)
    wait = options.wait or options.run
    if wait and options.dry_run:
        errors.append("--dry-run: nothing is moved, so there is nothing to wait for; leave out --wait and --run")
    if not (is_there() or options.dry_run or options.yes):
        errors.append("promote move asks before it does anything, and nobody is there to answer: add --yes")
    times = _times(options, errors)
    if errors:
        raise UsageError(errors)
    person = Terminal(session.bench.stopping) if is_there() and not options.dry_run else None
    asked = Asked(to, person, options.yes, options.force, options.dry_run)
    promotion = Promotion(session.bench, session.repositories, asked, session.say)
    with ExitStack() as stack:
        # What would be missing for the rest of the way is missed before anything is moved.
        ahead = _Ahead.of(session, stack) if wait else None
        moved, status = promotion.perform(), promotion.status
        # Of all that could have been moved those that feed streams may have been left.
        awaited = ahead.those_of(promotion.stable()) if ahead else []
        if session.as_table:
            session.say("")
            write(lambda: columns(table(moved), sys.stdout.write))
            session.say("")
        elif status or not awaited:
            record = {"commit": promotion.recorded, "message": promotion.problem}
            monorepo = record if session.bench.config.monorepo else None
            document("Moves", {"repositories": as_document(moved), "monorepo": monorepo})
        if promotion.recorded and not options.dry_run:
            log.info("recorded in the monorepo by %s", promotion.recorded[:SHOWN])
        if ahead is None:
            return status
        if status:
            log.error(
                "not waiting for images, since not all was moved; to wait all the same: import-images promote wait"
            )
            return status
        if not awaited:
            log.info("there is no image to wait for")
            return 0
        ahead.arrive(session, awaited, promotion.stable(), times)
    return _run(session)


def _wait(session: Session) -> int:
    errors: list[str] = []
    times = _times(session.options, errors)
    if errors:
        raise UsageError(errors)
    with ExitStack() as stack:
        ahead = _Ahead.of(session, stack)
        feeding = [repository for repository in session.repositories if repository.feeds]
        problems = session.bench.fetch(feeding)
        if problems:
            raise GitError("; ".join(problems.values()))
        commits = {each.name: tip_of(session.bench.clone(each), each.stable, "stable") for each in feeding}
        ahead.arrive(session, ahead.awaited, commits, times)
    return _run(session)


@dataclass(frozen=True, slots=True)
class _Ahead:
    """The way to the cluster, and the images that will be waited for."""

    place: Place
    awaited: Sequence[Awaited]

    @classmethod
    def of(cls, session: Session, stack: ExitStack) -> _Ahead:
        """Find them out.

        Raises:
            UsageError: there is nothing to wait for, or no way to the cluster.
            ClusterError: the cluster cannot be read.
        """
        repositories = [repository for repository in session.repositories if repository.feeds]
        wanted = asking_for(session.settings, repositories or session.repositories)
        where = stack.enter_context(place(wanted, session.bench.stop))
        return cls(where, awaited_in(where, repositories))

    def those_of(self, names: Collection[str]) -> list[Awaited]:
        """The images of these repositories."""
        return [each for each in self.awaited if each.repository.name in names]

    def arrive(
        self, session: Session, awaited: Sequence[Awaited], commits: Mapping[str, str], times: tuple[float, float]
    ) -> None:
        """Wait for these images of the commits, by repository, and show them."""
        waiting = Waiting(session.bench, self.place, awaited, commits, *times)
        try:
            waiting.perform()
        finally:
            if session.as_table:
                write(lambda: columns(rows(awaited), sys.stdout.write))
                session.say("")
            elif not (session.options.run and waiting.is_over):
                # Else the report of the run is the one document.
                document("Arrivals", {"images": [each.as_document() for each in awaited]})


def _times(options: argparse.Namespace, errors: list[str]) -> tuple[float, float]:
    """How long to wait, and how often to ask, in seconds; what is wrong goes to `errors`."""
    times = []
    for flag, text in (("--timeout", options.timeout), ("--interval", options.interval)):
        try:
            times.append(duration(text))
        except ValueError as error:
            errors.append(f"{flag}: {error}")
            times.append(1.0)
    return times[0], times[1]


def _run(session: Session) -> int:
    """Import what has arrived, if that is wanted."""
    settings = import_of(session.settings, session.repositories)
    if not session.options.run:
        # Who reads a document has it already, and would get a second one.
        if not (session.as_table and is_there()):
            log.info("all images are there; to import them: import-images run")
            return 0
        if not agreed(Terminal(session.bench.stopping).ask("All images are there. Import them now? [y/N] ")):
            return 0
    if not os.environ.get("WATCH_ROLLOUTS", "").strip():
        # Whoever promotes wants to see it come up.
        settings = replace(settings, watch_rollouts=True)
    from job.commands.run import run
    from job.domain.model import Command

    return run(Command.RUN, settings, session.bench.stop, as_table=session.as_table)


def _notes(session: Session) -> int:
    from job.promote import notes

    found = notes.take(session.bench, session.repositories, session.settings, session.options.since)
    if session.options.output == "json":
        document("Notes", notes.as_document(found))
    else:
        write(lambda: sys.stdout.write(notes.as_markdown(found)))
    return 1 if found.failed else 0
