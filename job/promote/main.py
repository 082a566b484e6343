"""The sub-commands of `promote`: from options to exit status."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from job.config.command import Options
from job.config.settings import Settings
from job.domain.durations import duration
from job.domain.errors import UsageError
from job.domain.records import dataclass, replace
from job.promote.commits import SHORT_LENGTH
from job.promote.config import Repository
from job.promote.config_file import read_config
from job.promote.deployed import run_settings, settings_for_feeds
from job.promote.errors import GitError
from job.promote.git import require_git
from job.promote.move import MoveOptions, Mover, Outcome
from job.promote.moves import as_document, parse_targets, result_rows
from job.promote.wait import AwaitedImage, Waiter, images_to_await, rows
from job.promote.workspace import Workspace, require_tip
from job.run.session import Place, place
from job.runtime.shutdown import Stop
from job.runtime.terminal import Terminal, agreed, is_there
from job.views.output import document, write

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """One call of `promote`: its options, the selected repositories, and the form of its output."""

    options: Options
    workspace: Workspace
    repositories: Sequence[Repository]
    settings: Settings
    as_table: bool

    def say(self, text: str) -> None:
        """Show text to a person; on stderr if stdout is for a document."""
        if self.as_table:
            write(lambda: sys.stdout.write(text + "\n"))
        else:
            sys.stderr.write(text + "\n")

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Show a table to a person; on stderr if stdout is for a document."""
        from job.promote.tables import print_rows

        if self.as_table:
            write(lambda: print_rows(rows, sys.stdout))
        else:
            print_rows(rows, sys.stderr)

    def page(self, text: str) -> None:
        """Show a long text in the pager."""
        from job.promote.pager import page

        page(text)


def promote(options: Options, settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Run a sub-command; returns the exit status.

    Raises:
        ImportImagesError: it could not be completed.
    """
    config = read_config(options.config)
    repositories = config.select(options.repositories)
    require_git()
    session = Session(options, Workspace(config, stop), repositories, settings, as_table)
    return {"status": _status, "move": _move, "wait": _wait, "notes": _notes}[options.promote](session)


def _status(session: Session) -> int:
    from job.promote import status

    statuses, cluster_problem = status.collect(session.workspace, session.repositories, session.settings)
    if session.as_table:
        session.table(status.branch_rows(statuses, datetime.now(UTC)))
        if len(images := status.image_rows(statuses)) > 1:
            session.say("")
            session.table(images)
    else:
        document("PromoteStatus", status.as_document(statuses, cluster_problem))
    if cluster_problem:
        log.warning("the cluster's images are not shown: %s", cluster_problem)
    for state in statuses:
        if state.problem:
            log.error("%s", state.problem)
    return status.exit_status(statuses)


def _move(session: Session) -> int:
    options, errors = session.options, list[str]()
    targets = parse_targets(options.to, [repository.name for repository in session.repositories], errors)
    wait = options.wait or options.run
    if wait and options.dry_run:
        errors.append("--dry-run: nothing is moved, so there is nothing to wait for; remove --wait and --run")
    if not (is_there() or options.dry_run or options.yes):
        errors.append("promote move asks before it pushes, but there is no terminal; add --yes")
    times = _times(options, errors)
    if errors:
        raise UsageError(errors)
    person = Terminal(session.workspace.is_stopping) if is_there() and not options.dry_run else None
    move_options = MoveOptions(targets, person, options.yes, options.force, options.dry_run)
    mover = Mover(session.workspace, session.repositories, move_options, session)
    with ExitStack() as stack:
        # A mistake in the settings of the wait must be found before anything is moved.
        cluster = _Cluster.connect(session, stack) if wait else None
        outcome = mover.perform()
        images = cluster.images_of(outcome.stable()) if cluster else []
        _show_outcome(session, outcome, is_last=bool(outcome.exit_status or not images))
        if cluster is None:
            return outcome.exit_status
        if outcome.exit_status:
            log.error(
                "not waiting for images, since not everything was moved; to wait anyway: import-images promote wait"
            )
            return outcome.exit_status
        if not images:
            log.info("there is no image to wait for")
            return 0
        cluster.wait(session, images, outcome.stable(), times)
    return _import(session)


def _show_outcome(session: Session, outcome: Outcome, *, is_last: bool) -> None:
    """Show a move; as a document only if no other one follows."""
    if session.as_table:
        session.say("")
        session.table(result_rows(outcome.results))
        session.say("")
    elif is_last:
        record = {"commit": outcome.recorded, "message": outcome.monorepo_problem}
        monorepo = record if session.workspace.config.monorepo else None
        document("Moves", {"repositories": as_document(outcome.results), "monorepo": monorepo})
    if outcome.recorded and not session.options.dry_run:
        log.info("recorded in the monorepo as %s", outcome.recorded[:SHORT_LENGTH])


def _wait(session: Session) -> int:
    errors: list[str] = []
    times = _times(session.options, errors)
    if errors:
        raise UsageError(errors)
    with ExitStack() as stack:
        cluster = _Cluster.connect(session, stack)
        feeding = [repository for repository in session.repositories if repository.feeds]
        problems = session.workspace.fetch(feeding)
        if problems:
            raise GitError("; ".join(problems.values()))
        commits = {
            repository.name: require_tip(session.workspace.clone(repository), repository.stable, "stable")
            for repository in feeding
        }
        cluster.wait(session, cluster.images, commits, times)
    return _import(session)


@dataclass(frozen=True, slots=True)
class _Cluster:
    """A connection to the cluster, and the images that a wait would be for."""

    place: Place
    images: Sequence[AwaitedImage]

    @classmethod
    def connect(cls, session: Session, stack: ExitStack) -> _Cluster:
        """Connect, and list the images.

        Raises:
            UsageError: there is no image to wait for, or no cluster is configured.
            ClusterError: the cluster cannot be read.
        """
        repositories = [repository for repository in session.repositories if repository.feeds]
        wanted = settings_for_feeds(session.settings, repositories or session.repositories)
        where = stack.enter_context(place(wanted, session.workspace.stop))
        images = images_to_await(where, repositories, session.workspace.config.forges)
        # The terminal is git's, and the person's who is asked.
        where.progress.pause()
        return cls(where, images)

    def images_of(self, names: Collection[str]) -> list[AwaitedImage]:
        """The images of these repositories."""
        return [image for image in self.images if image.repository.name in names]

    def wait(
        self, session: Session, images: Sequence[AwaitedImage], commits: Mapping[str, str], times: tuple[float, float]
    ) -> None:
        """Wait for these images of the commits, by repository name, and show them."""
        waiter = Waiter(session.workspace, self.place, images, commits, *times)
        try:
            waiter.perform()
        finally:
            if session.as_table:
                session.table(rows(images))
                session.say("")
            elif not (session.options.run and waiter.is_over):
                # Otherwise the report of the run is the only document.
                document("Arrivals", {"images": [image.as_document() for image in images]})


def _times(options: Options, errors: list[str]) -> tuple[float, float]:
    """The timeout and the interval of a wait, in seconds; mistakes are added to `errors`."""
    times = []
    for flag, text in (("--timeout", options.timeout), ("--interval", options.interval)):
        try:
            times.append(duration(text))
        except ValueError as error:
            errors.append(f"{flag}: {error}")
            times.append(1.0)
    return times[0], times[1]


def _import(session: Session) -> int:
    """Import the arrived images, with --run or after a question."""
    settings = run_settings(session.settings, session.repositories)
    if not session.options.run:
        # A document is already on stdout, and the run would add a second one.
        if not (session.as_table and is_there()):
            log.info("all images have arrived; to import them: import-images run")
            return 0
        if not agreed(Terminal(session.workspace.is_stopping).ask("All images have arrived. Import them now? [y/N] ")):
            return 0
    if not os.environ.get("WATCH_ROLLOUTS", "").strip():
        # A promotion is complete only when the new images run.
        settings = replace(settings, watch_rollouts=True)
    from job.commands.run import run
    from job.domain.model import Command

    return run(Command.RUN, settings, session.workspace.stop, as_table=session.as_table)


def _notes(session: Session) -> int:
    from job.promote import notes, release_notes
    from job.promote.template import render

    options, config = session.options, session.workspace.config
    if options.since and options.between:
        raise UsageError(["--since and --between: give one of them"])
    arguments = (session.workspace, session.repositories, session.settings)
    if options.between:
        collected = notes.collect_between(*arguments, options.between)
    else:
        collected = notes.collect(*arguments, options.since)
    template = Path(options.template) if options.template else config.template
    if options.output == "json":
        document("Notes", release_notes.as_document(collected))
    else:
        content = release_notes.as_document(collected)
        text = render(template, content) if template else release_notes.as_markdown(collected)
        write(lambda: sys.stdout.write(text))
    return 1 if collected.failed else 0
