"""The command line: from arguments and environment to a command and its exit status.

Nothing slow is imported at the top, so that `--help` is quick and signals are handled from the first moment.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from collections.abc import Sequence

from job import VERSION
from job.commands.registry import COMMANDS as OWN_COMMANDS
from job.config.command import PROGRAM, Arguments, Command, Invocation, described_statuses
from job.config.flags import SETTINGS
from job.domain.exit_status import ExitStatus
from job.runtime import stdio
from job.runtime.shutdown import Stop

log = logging.getLogger(__name__)

_OVERVIEW = """usage: import-images [COMMAND] [OPTIONS] [STREAM[:TAG]...]

Import the image stream tags of a deployment, and report what changed.
Without a command: run. For a command's flags: import-images COMMAND --help

example:
  import-images --deployment prod -n packit-prod
"""


def _promote(call: Invocation) -> int:
    from job.promote.main import promote

    return promote(call.options, call.settings, call.stop, as_table=call.as_table)


PROMOTE = Command(
    "promote",
    "the step before: move stable branches, wait for their images, write release notes",
    "",
    _promote,
    settings=SETTINGS,
    arguments=Arguments("names of repositories", metavar="COMMAND [REPO]"),
    statuses=dict.fromkeys(ExitStatus, ""),
)
COMMANDS = {command.name: command for command in (*OWN_COMMANDS, PROMOTE)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status.

    Raises:
        SystemExit: for `--help`, `--version` and usage errors, as argparse does.
    """
    stop = Stop()
    stop.listen()
    stdio.set_up()
    command, options = _parse(sys.argv[1:] if arguments is None else arguments)

    from job.domain.errors import ImportImagesError, UsageError
    from job.runtime.logs import set_up

    set_up()
    try:
        status = _call(command, options, stop)
        # Collecting garbage at exit would take a pod's 100m of CPU a second.
        gc.freeze()
        return status
    except UsageError as error:
        for line in error.errors:
            log.error("%s", line)
        return error.exit_status
    except ImportImagesError as error:
        log.error("%s", error)
        return error.exit_status
    except Exception as error:  # The last resort: a defect of the program itself.
        log.error("internal error: %s: %s; please report it", type(error).__name__, error)
        return ExitStatus.ATTENTION


def _call(command: Command, options: argparse.Namespace, stop: Stop) -> int:
    from job.config.settings import read_settings

    flags = {setting.name: getattr(options, setting.name, None) for setting in command.settings}
    settings = read_settings(flags, options.patterns, command.environment(os.environ), options.output)
    as_table = options.output == "table" if options.output else sys.stdout.isatty()
    if not settings.verify_tls:
        log.warning("TLS VERIFICATION IS OFF: anyone between here and the API can read the token and forge answers")
    return command.call(Invocation(options, settings, stop, as_table))


def _parse(arguments: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """The command and its options."""
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help"):
        sys.stdout.write(overview())
        raise SystemExit(ExitStatus.SUCCESS)
    if first == "--version":
        sys.stdout.write(f"{PROGRAM} {VERSION}\n")
        raise SystemExit(ExitStatus.SUCCESS)
    if first == PROMOTE.name:
        from job.promote.arguments import parse

        return PROMOTE, parse(arguments[1:])
    command = COMMANDS.get(first, COMMANDS["run"])
    options = command.parse(arguments[first in COMMANDS :])
    misplaced = [name for name in options.patterns if name in COMMANDS]
    if misplaced and first not in COMMANDS:
        command.parser().error(f"the command comes first: {PROGRAM} {misplaced[0]} [OPTIONS] [STREAM[:TAG]...]")
    return command, options


def overview() -> str:
    """The help of the program as a whole."""
    commands = "\n".join(f"  {command.name:10}{command.summary}" for command in COMMANDS.values())
    statuses = described_statuses({status: status.meaning for status in ExitStatus})
    return f"{_OVERVIEW}\ncommands:\n{commands}\n\n{statuses}\n"
