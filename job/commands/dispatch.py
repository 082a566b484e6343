"""From an invocation to its command, which is loaded only then: that is a part of the start-up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from job.config.command import Invocation, Options

if TYPE_CHECKING:
    import argparse


def run_command(call: Invocation) -> int:
    """Run `run`; returns the exit status."""
    from job.commands.run import run
    from job.domain import model

    return run(
        model.Command.RUN,
        call.settings,
        call.stop,
        as_table=call.as_table,
        is_whole_process=True,
        plan_file=call.options.plan,
    )


def plan_command(call: Invocation) -> int:
    """Run `plan`; returns the exit status."""
    from job.commands.run import run
    from job.domain import model

    return run(model.Command.PLAN, call.settings, call.stop, as_table=call.as_table, is_whole_process=True)


def history_command(call: Invocation) -> int:
    """Run `history`; returns the exit status."""
    limit = _limit(call.options.limit)
    if call.options.runs:
        from job.commands.history_runs import history_runs

        return history_runs(call.settings, call.stop, call.pages(), as_table=call.as_table, limit=limit)
    from job.commands.history import history

    if not call.settings.wanted.patterns:
        from job.domain.errors import UsageError

        raise UsageError(["name a STREAM[:TAG], or ask for the runs: --runs"])
    return history(call.settings, call.stop, as_table=call.as_table, check=call.options.check, limit=limit)


def _limit(text: str | None) -> int | None:
    from job.config.parsers import integer
    from job.domain.errors import UsageError

    try:
        return None if text is None else integer(1, 1_000_000)(text)
    except ValueError as error:
        raise UsageError([f"--limit: {error}"]) from error


def rollback_command(call: Invocation) -> int:
    """Run `rollback`; returns the exit status."""
    from job.commands.rollback import rollback
    from job.commands.rollback_plan import Request

    options = call.options
    # An empty --to is a mistake, unlike none.
    to = "1" if options.to is None else options.to
    request = Request(to, options.reason, options.until, options.until_newer, options.yes, _block(options))
    if options.run:
        from job.commands.whole_run import rollback_run

        if options.to is not None:
            from job.domain.errors import UsageError

            raise UsageError(["--to is about one tag, and --run is about all tags of a run"])
        return rollback_run(call.settings, request, options.run, call.stop, as_table=call.as_table)
    _require_one_tag(call)
    return rollback(call.settings, request, call.stop, as_table=call.as_table)


def _block(options: Options) -> bool | None:
    """Whether the image is to be blocked; None where that depends on how much is rolled back."""
    if options.block and options.no_block:
        from job.domain.errors import UsageError

        raise UsageError(["--block and --no-block contradict each other"])
    return True if options.block else False if options.no_block else None


def _require_one_tag(call: Invocation) -> None:
    from job.domain.errors import UsageError

    if len(call.settings.wanted.patterns) != 1:
        raise UsageError(["name one STREAM[:TAG], or the run whose tags are meant: --run ID|last"])


def resume_command(call: Invocation) -> int:
    """Run `resume`; returns the exit status."""
    if call.options.run:
        from job.commands.whole_resume import resume_run

        options = call.options
        return resume_run(call.settings, options.run, call.stop, as_table=call.as_table, yes=options.yes)
    from job.commands.rollback import resume

    _require_one_tag(call)
    return resume(call.settings, call.stop, as_table=call.as_table, yes=call.options.yes)


def freeze_command(call: Invocation) -> int:
    """Run `freeze`; returns the exit status."""
    from job.commands.rules import freeze

    options = call.options
    return freeze(call.settings, call.stop, reason=options.reason, until=options.until, as_table=call.as_table)


def thaw_command(call: Invocation) -> int:
    """Run `thaw`; returns the exit status."""
    from job.commands.rules import thaw

    return thaw(call.settings, call.stop, as_table=call.as_table)


def block_command(call: Invocation) -> int:
    """Run `block`; returns the exit status."""
    from job.commands.rules import block

    options = call.options
    terms = {"reason": options.reason, "until": options.until}
    return block(call.settings, call.stop, options.patterns, **terms, as_table=call.as_table)


def unblock_command(call: Invocation) -> int:
    """Run `unblock`; returns the exit status."""
    from job.commands.rules import unblock

    return unblock(call.settings, call.stop, call.options.patterns, as_table=call.as_table)


def status_command(call: Invocation) -> int:
    """Run `status`; returns the exit status."""
    from job.status.command import status, watch

    options = call.options
    if not options.watch:
        return status(call.settings, call.stop, as_table=call.as_table, everything=options.all)
    if not (call.as_table and sys.stdout.isatty()):
        from job.domain.errors import UsageError

        raise UsageError(["--watch draws on a terminal, as a table"])
    return watch(call.settings, call.stop, everything=options.all)


def notify_command(call: Invocation) -> int:
    """Run `notify`; returns the exit status."""
    from job.commands.notify import notify

    return notify(call.settings, test=call.options.test, as_table=call.as_table)


def explain_command(call: Invocation) -> int:
    """Run `explain`; returns the exit status."""
    from job.commands.explain import explain

    return explain(call.options.patterns, as_table=call.as_table)


def explained_words(options: argparse.Namespace) -> list[str]:
    """The words that `explain` knows, or after `schema` the documents."""
    from job.commands.explain import words_after

    return words_after(options.patterns or [])


def shells(options: argparse.Namespace) -> list[str]:
    """The shells that `completion` knows."""
    from job.commands.completion import SHELLS

    return list(SHELLS)


def completion_command(call: Invocation) -> int:
    """Run `completion`; returns the exit status."""
    from job.commands.completion import print_code

    return print_code(call.options.patterns)


def doctor_command(call: Invocation) -> int:
    """Run `doctor`; returns the exit status."""
    from job.doctor.command import doctor

    return doctor(call.settings, call.stop, as_table=call.as_table)
