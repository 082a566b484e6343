"""The command line: from arguments and environment to a command and its exit status.

Nothing slow is imported at the top, so that `--help` is quick and signals are handled from the first moment.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from job import VERSION
from job.commands.registry import COMMANDS as OWN_COMMANDS
from job.config.command import PROGRAM, Arguments, Command, Invocation, Options
from job.config.flags import SETTINGS
from job.config.formats import Format
from job.domain.exit_status import ExitStatus
from job.runtime import stdio
from job.runtime.shutdown import Stop

if TYPE_CHECKING:
    from job.domain.repositories import Pages

log = logging.getLogger(__name__)

_OBJECTS_PER_COLLECTION = 100_000

_OVERVIEW = """usage: import-images COMMAND [OPTIONS] [STREAM[:TAG]...]

Import the image stream tags of a deployment, and report what changed.
For a command's flags, settings and exit statuses: import-images COMMAND --help

examples:
  import-images plan --deployment prod -n packit-prod
  import-images run --deployment prod -n packit-prod
"""
# The flags that only say how much is logged.
_AMOUNTS = frozenset(("-v", "--verbose", "-q", "--quiet"))


def _promote(call: Invocation) -> int:
    from job.promote.main import promote

    return promote(call.options, call.settings, call.stop, as_table=call.as_table)


def _promote_commands() -> Mapping[str, Command]:
    from job.promote.arguments import COMMANDS

    return COMMANDS


PROMOTE = Command(
    "promote",
    "before an import: move stable git branches, wait for their images, write release notes",
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
    if "_ARGCOMPLETE" in os.environ:
        from job.commands.completion import complete

        complete(COMMANDS, {PROMOTE.name: _promote_commands})
    # What is loaded is never garbage, and a run makes little.
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    stop = Stop()
    stop.listen()
    stdio.set_up()
    command, options = _parse(sys.argv[1:] if arguments is None else arguments)

    from job.domain.errors import ImportImagesError, UsageError
    from job.runtime.logs import log_defect, set_up

    set_up(logging.DEBUG if options.verbose else logging.WARNING if options.quiet else logging.INFO)
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
        log.error("%s%s", error, _advice(error))
        return error.exit_status
    except Exception as error:  # The last resort: a defect of the program itself.
        log_defect("internal error", error)
        return ExitStatus.ATTENTION


def _advice(error: Exception) -> str:
    """What to do about a namespace that may not be read: OpenShift says so of those that do not exist, too."""
    is_refused = getattr(error, "code", None) == 403 and "in the namespace" in str(error)
    return "; does the namespace exist, and may this login read it? see: oc projects" if is_refused else ""


def _call(command: Command, options: Options, stop: Stop) -> int:
    from job.config.settings import read_settings
    from job.domain.shell import name_login
    from job.runtime.logs import in_container
    from job.views.output import choose

    flags = {setting.name: getattr(options, setting.name, None) for setting in command.settings}
    patterns = options.patterns if command.takes_tags else ()
    environment = command.environment(os.environ)
    settings = read_settings(flags, patterns, environment, options.output, command.formats)
    name_login(settings.context, settings.kubeconfig, settings.as_user, settings.as_groups)
    # In a pod the reader is a program that collects logs.
    form = Format(options.output or (Format.JSON if in_container() else Format.TABLE))
    choose(form)
    if not settings.verify_tls:
        log.warning("TLS VERIFICATION IS OFF: anyone between here and the API can read the token and forge answers")
    return command.call(Invocation(options, settings, stop, form.is_table, _pages))


def _pages() -> Pages:
    """What the configuration of `promote` in the current folder knows of repositories."""
    from job.promote.pages import pages_here

    return pages_here()


def _parse(arguments: Sequence[str]) -> tuple[Command, Options]:
    """The command and its options.

    Raises:
        SystemExit: for help and usage errors.
    """
    first = arguments[0] if arguments else ""
    # How much to log does not say what to do either, and -v is the version elsewhere.
    if first in ("-h", "--help") or (_is_at_terminal() and _AMOUNTS.issuperset(arguments)):
        sys.stdout.write(overview())
        raise SystemExit(ExitStatus.SUCCESS)
    if first == "--version":
        sys.stdout.write(f"{PROGRAM} {VERSION}\n")
        raise SystemExit(ExitStatus.SUCCESS)
    if first == PROMOTE.name:
        from job.promote.arguments import parse

        return parse(arguments[1:])
    if first in COMMANDS:
        return COMMANDS[first], COMMANDS[first].parse(arguments[1:])
    if first and not first.startswith("-"):
        _refuse(_unknown_command(first))
    # Options alone are those of a run, as a CronJob gives them.
    command = COMMANDS["run"]
    options = command.parse(arguments)
    for word in options.patterns:
        if word in COMMANDS:
            import shlex

            # Before it, the same word may be the value of a flag.
            at = len(arguments) - 1 - arguments[::-1].index(word)
            _refuse(f"the command comes first: {shlex.join([PROGRAM, word, *arguments[:at], *arguments[at + 1 :]])}")
        _refuse(f"no command before {word!r}; to import it: {PROGRAM} run {word} ...")
    return command, options


def _is_at_terminal() -> bool:
    """Whether a person typed the command, unlike a pod, which may have a terminal too."""
    return sys.stdout.isatty() and "KUBERNETES_SERVICE_HOST" not in os.environ


def _unknown_command(word: str) -> str:
    from job.domain.suggestions import did_you_mean

    # Words of other command lines, whose spelling is too far from ours.
    others = {"help": "--help", "version": "--version", "import": "run", "undo": "rollback", "check": "doctor"}
    hint = f"; did you mean {others[word]}?" if word in others else did_you_mean(word, COMMANDS)
    return f"{word!r} is not a command{hint or f'; to import a stream: {PROGRAM} run {word}'}"


def _refuse(problem: str) -> NoReturn:
    """End with a usage error.

    Raises:
        SystemExit: always.
    """
    from job.domain.suggestions import with_pointer

    sys.stderr.write(f"{PROGRAM}: error: {with_pointer(problem, f'{PROGRAM} --help')}\n")
    raise SystemExit(ExitStatus.USAGE)


def overview() -> str:
    """The help of the program as a whole."""
    from job.config.parser import described_statuses, line_of

    commands = "\n".join(line_of(command) for command in COMMANDS.values())
    statuses = described_statuses({status: status.meaning for status in ExitStatus})
    return f"{_OVERVIEW}\ncommands:\n{commands}\n\n{statuses}\n"
