"""The sub-commands of `promote`, one record each. `--help` loads nothing else."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from job.config.command import PROGRAM, Arguments, Command, Invocation, Options
from job.config.flags import CLUSTER, PLACE, RETRIES, SETTINGS, TIME_ZONE
from job.config.setting import Flag
from job.domain.exit_status import ExitStatus
from job.domain.suggestions import did_you_mean, with_pointer

if TYPE_CHECKING:
    import argparse

NAME = "promote"
_STATUSES = {
    ExitStatus.SUCCESS: "Done, or there was nothing to do.",
    ExitStatus.ATTENTION: "A repository could not be read, moved or recorded, is not ready, or a check of it failed.",
    ExitStatus.USAGE: "Bad usage or configuration, no git, or not confirmed; nothing was changed.",
    ExitStatus.CLUSTER_UNUSABLE: "The cluster could not be used.",
    ExitStatus.ABORTED: "Stopped by a signal, or by `--timeout`.",
}
# Once the images have arrived, the exit status is that of the run.
_OF_RUN = {
    ExitStatus.LOCKED: "With `--run`: another run holds the lock.",
    ExitStatus.UNHEALTHY: "With `--run`: a rollout did not become healthy.",
}
_RUN_STATUSES = dict(sorted((_STATUSES | _OF_RUN).items()))
_OVERVIEW = """usage: import-images promote COMMAND [OPTIONS] [REPO...]

The step before a run: move the stable branches that production images are
built from, wait for the images built from exactly those commits, import them,
write release notes. promote.toml names the repositories and the streams they
feed (for an example see examples/promote.toml).

commands:
{commands}

examples:
  import-images promote status
  import-images promote move --wait --run --deployment prod -n packit-prod

{statuses}

For a command's flags: import-images promote COMMAND --help
"""


def _names(options: argparse.Namespace) -> list[str]:
    """The repositories of the configuration; none where it cannot be read."""
    from job.domain.errors import UsageError
    from job.promote.config_file import read_config

    try:
        return [repository.name for repository in read_config(options.config).repositories]
    except UsageError:
        return []


_REPOSITORIES = Arguments("names in promote.toml (default: all)", metavar="REPO", words=_names)
_CONFIG = Flag("--config", "use this file instead of promote.toml in the current folder", "FILE")
_WAIT = (
    Flag("--run", "then import them and watch the rollouts, as import-images run does"),
    Flag("--timeout", "how long to wait for the images (default 1h)", "DURATION", "1h"),
    Flag("--interval", "how often to check for them (default 30s)", "DURATION", "30s"),
)
# The settings of a command that only reads the cluster; one that can run an import takes all of them.
_READING = (*PLACE, *CLUSTER, RETRIES, TIME_ZONE)


def _call(call: Invocation) -> int:
    from job.promote.main import promote

    return promote(call.options, call.settings, call.stop, as_table=call.as_table)


def _command(
    name: str,
    summary: str,
    *examples: str,
    flags: Sequence[Flag],
    settings: tuple[object, ...] = _READING,
    statuses: Mapping[ExitStatus, str] = MappingProxyType(_STATUSES),
) -> Command:
    return Command(
        f"{NAME} {name}",
        summary,
        "",
        _call,
        statuses=statuses,
        settings=tuple(setting for setting in SETTINGS if setting in settings),
        flags=(_CONFIG, *flags),
        arguments=_REPOSITORIES,
        examples=examples,
    )


COMMANDS = {
    "status": _command(
        "status",
        "show the stable and rolling branches, and which commit runs in the cluster",
        "import-images promote status --deployment prod -n packit-prod",
        flags=(),
    ),
    "move": _command(
        "move",
        "move the stable branches, so that the images are built",
        "import-images promote move --dry-run",
        "import-images promote move packit --to 4d5e6f7a8",
        "import-images promote move --wait --run --deployment prod -n packit-prod",
        flags=(
            Flag("--to", "target; default: the tip of rolling; once per repository", "[REPO=]COMMIT", repeated=True),
            Flag("--yes", "do not ask"),
            Flag("--force", "allow a move that loses commits; it is confirmed by typing the name"),
            Flag("--dry-run", "push nothing; ask the remote whether the push would be accepted"),
            Flag("--wait", "then wait for the images, as promote wait does"),
            *_WAIT,
        ),
        settings=SETTINGS,
        statuses=_RUN_STATUSES,
    ),
    "wait": _command(
        "wait",
        "wait until the registry has the images built from exactly these commits",
        "import-images promote wait --deployment prod -n packit-prod --timeout 2h",
        "import-images promote wait packit --run --deployment prod -n packit-prod",
        flags=_WAIT,
        settings=SETTINGS,
        statuses=_RUN_STATUSES,
    ),
    "notes": _command(
        "notes",
        "write release notes of the last runs, as Markdown (or with --output json)",
        "import-images promote notes --deployment prod -n packit-prod",
        "import-images promote notes --since 7d --output json",
        "import-images promote notes library --between 2026-11-23",
        flags=(
            Flag("--since", "the first run, or the start, of the period; default: the last run", "RUN|TIME|DURATION"),
            Flag("--between", "instead of runs: commits of stable, from a time, run or commit on", "FROM[..TO]"),
            Flag("--template", "a jinja2 template for the Markdown; default: template in promote.toml", "FILE"),
        ),
    ),
}


def parse(arguments: Sequence[str]) -> tuple[Command, Options]:
    """The sub-command and its options; its name is their attribute `promote`, the repositories `repositories`.

    Raises:
        SystemExit: for `--help` and usage errors, as argparse does.
    """
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help"):
        sys.stdout.write(overview())
        raise SystemExit(ExitStatus.SUCCESS)
    if first not in COMMANDS:
        problem = f"{first!r} is not a command of promote" if first else "promote needs a command"
        hint = did_you_mean(first, COMMANDS) or ": " + ", ".join(COMMANDS)
        sys.stderr.write(f"{PROGRAM} {NAME}: error: {with_pointer(problem + hint, f'{PROGRAM} {NAME} --help')}\n")
        raise SystemExit(ExitStatus.USAGE)
    command = COMMANDS[first]
    options = command.parse(arguments[1:])
    options.promote, options.repositories, options.patterns = first, options.patterns, []
    if first == "notes" and options.output == "markdown":
        options.output = "table"
    return command, options


def overview() -> str:
    """The help of `promote` as a whole."""
    from job.config.parser import described_statuses

    commands = "\n".join(f"  {name:8}{command.summary}" for name, command in COMMANDS.items())
    return _OVERVIEW.format(commands=commands, statuses=described_statuses(_RUN_STATUSES))
