"""The commands: from arguments and environment to an exit status.

Nothing heavy is loaded at the top, so that `--help` is quick and signals are handled from the first moment.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
from collections.abc import Sequence

from job import VERSION
from job.config.flags import FLAGS, OF_ONE_TAG, SETTINGS
from job.runtime import stdio
from job.runtime.shutdown import Stop

log = logging.getLogger(__name__)

COMMANDS = {
    "run": "import the tags of a deployment (what happens without a command)",
    "plan": "show what a run would bring in; writes nothing",
    "history": "the images that a tag has had, newest first",
    "rollback": "move a tag back to an earlier image, hold it there, and watch that it comes up",
    "resume": "let a held tag go: put back what it followed, import, and watch that it comes up",
    "status": "what needs attention: failures, holds, old tags, runs, workloads on another image",
    "doctor": "find what will go wrong: triggers that never fire, rights that are missing, ...",
}
# Commands with sub-commands and flags of their own.
APART = {"promote": "the step before: move stable branches, wait for their images, tell what went out"}
EXAMPLES = {
    "run": """examples:
  import-images --deployment prod -n packit-prod
  import-images run 'packit-*' --deployment prod --exclude packit-tests
  import-images run packit-worker:stg --output json""",
    "plan": """examples:
  import-images plan --deployment prod -n packit-prod
  import-images plan 'packit-*:prod' --output json""",
    "history": """examples:
  import-images history packit-worker:prod -n packit-prod
  import-images history packit-worker --deployment prod --check""",
    "rollback": """examples:
  import-images rollback packit-worker:prod -n packit-prod --reason 'crashes on start'
  import-images rollback packit-worker:prod --to 2 --until 3d --yes
  import-images rollback packit-worker:prod --to sha256:4f53cda18c2b --until-newer""",
    "resume": """examples:
  import-images resume packit-worker:prod -n packit-prod""",
    "status": """examples:
  import-images status --deployment prod -n packit-prod
  import-images status 'packit-*' --output json""",
    "doctor": """examples:
  import-images doctor --deployment prod -n packit-prod""",
}
OVERVIEW = """usage: import-images [COMMAND] [OPTIONS] [STREAM[:TAG]...]

Import the image stream tags of a deployment, and tell what came in.
Without a command: run. 'import-images COMMAND --help' tells more.

example:
  import-images --deployment prod -n packit-prod
"""
STATUSES = """exit status:
  0 success   1 some tag failed, or a namespace could not be read;
                status, doctor: something needs attention
  2 bad usage or settings, or nothing matched, or frozen and started by hand
  3 the cluster could not be used   4 another run holds the lock
  5 imported, but a rollout did not become healthy
  6 stopped by a signal, the deadline, or the loss of the lock"""


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
        status = _main(command, options, stop)
        # What is left is not searched for garbage on the way out, which would take a pod's 100m of CPU a second.
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
        return 1


def _main(command: str, options: argparse.Namespace, stop: Stop) -> int:
    from job.config.settings import read_settings

    flags = {setting.name: getattr(options, setting.name, None) for setting in SETTINGS}
    settings = read_settings(flags, options.patterns, os.environ, options.output)
    as_table = options.output == "table" if options.output else sys.stdout.isatty()
    if not settings.verify_tls:
        log.warning("TLS VERIFICATION IS OFF: whoever is on the way to the API can read the token and forge answers")
    if command == "promote":
        from job.promote.main import promote

        return promote(options, settings, stop, as_table=as_table)
    if command in ("run", "plan"):
        from job.commands.run import run
        from job.domain.model import Command

        return run(Command(command), settings, stop, as_table=as_table)
    if command == "history":
        from job.commands.history import history

        return history(settings, stop, as_table=as_table, check=options.check)
    if command == "status":
        from job.status.command import status

        return status(settings, stop, as_table=as_table)
    if command == "doctor":
        from job.doctor.command import doctor

        return doctor(settings, stop, as_table=as_table)
    from job.commands.rollback import resume, rollback
    from job.commands.rollback_plan import Asked

    if command == "resume":
        return resume(settings, stop, as_table=as_table)
    asked = Asked(options.to, options.reason, options.until, options.until_newer, options.yes)
    return rollback(settings, asked, stop, as_table=as_table)


def _parse(arguments: Sequence[str]) -> tuple[str, argparse.Namespace]:
    """The command, and its options."""
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help"):
        overview = "\n".join(f"  {name:10}{told}" for name, told in (COMMANDS | APART).items())
        sys.stdout.write(f"{OVERVIEW}\ncommands:\n{overview}\n\n{STATUSES}\n")
        raise SystemExit(0)
    if first == "--version":
        sys.stdout.write(f"import-images {VERSION}\n")
        raise SystemExit(0)
    if first == "promote":
        from job.promote.arguments import parse

        return first, parse(arguments[1:])
    command = first if first in COMMANDS else "run"
    parser = _parser(command)
    options = parser.parse_intermixed_args(arguments[first in COMMANDS :])
    misplaced = [name for name in options.patterns if name in (*COMMANDS, *APART)]
    if misplaced and first not in COMMANDS:
        parser.error(f"the command comes first: import-images {misplaced[0]} [OPTIONS] [STREAM[:TAG]...]")
    return command, options


def _parser(command: str) -> argparse.ArgumentParser:
    told = COMMANDS[command]
    parser = argparse.ArgumentParser(
        prog=f"import-images {command}",
        description=told[0].upper() + told[1:] + ".",
        epilog=f"{EXAMPLES[command]}\n\n{STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    nargs, told = _ARGUMENTS[command]
    parser.add_argument("patterns", nargs=nargs, metavar="STREAM[:TAG]", help=told)
    parser.add_argument("--output", metavar="FORMAT", help="table (default on a terminal) or json")
    for flag in FLAGS.get(command, ()):
        flag.add(parser)
    for setting in SETTINGS:
        if command not in _OF_ONE_TAG or setting.name in OF_ONE_TAG:
            setting.add(parser)
    return parser


_OF_ONE_TAG = ("history", "rollback", "resume")
_ONE = (1, "one stream and tag; without TAG: --deployment")
_ARGUMENTS: dict[str, tuple[str | int, str]] = {
    "run": ("*", "globs; STREAM:TAG beats --deployment"),
    "plan": ("*", "globs; STREAM:TAG beats --deployment"),
    "status": ("*", "globs; without TAG: --deployment, else every tag"),
    "doctor": ("*", "globs; without TAG: --deployment, else every tag"),
    "history": ("+", "globs; without TAG: --deployment, else every tag"),
    "rollback": _ONE,
    "resume": _ONE,
}
