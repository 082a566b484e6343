"""The parser of a command's words. It is loaded only where there are words to parse, since argparse takes long."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping
from typing import NoReturn

from job.config.command import PROGRAM, Arguments, Command, sentence
from job.config.flags import SECTIONS
from job.domain.exit_status import ExitStatus
from job.domain.suggestions import did_you_mean, with_pointer

# The width of help texts, in columns.
WIDTH = 80


def parser_of(command: Command) -> argparse.ArgumentParser:
    """The parser of a command's arguments, flags and settings."""
    about = command.arguments
    usage = f"{PROGRAM} {command.name} [OPTIONS]" + (f" {_usage(about)}" if about else "")
    parser = Parser(
        prog=f"{PROGRAM} {command.name}",
        usage=usage,
        description=textwrap.fill(f"{sentence(command.summary)}. {command.description}", WIDTH),
        epilog=f"{_examples(command)}\n\n{_statuses(command)}",
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    if about:
        parser.add_argument("patterns", nargs=about.nargs, metavar=about.metavar, help=about.help)
    formats = ", ".join(command.formats)
    parser.add_argument("-o", "--output", metavar="FORMAT", help=f"one of {formats} (default table; in a pod json)")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("-v", "--verbose", action="store_true", help="log more: each change of a rollout, defects")
    amount.add_argument("-q", "--quiet", action="store_true", help="log only warnings and errors; no progress")
    for flag in command.flags:
        flag.add(parser)
    for title, section in SECTIONS.items():
        group = parser.add_argument_group(title)
        for setting in section:
            if setting in command.settings:
                setting.add(group)
    return parser


def _examples(command: Command) -> str:
    return "\n  ".join(["examples:", *command.examples])


def _statuses(command: Command) -> str:
    return described_statuses({status: command.meaning(status) for status in command.statuses})


def line_of(command: Command) -> str:
    """A command and its summary, for the list of commands."""
    return textwrap.fill(f"  {command.name:12}{command.summary}", WIDTH, subsequent_indent=" " * 14)


def described_statuses(statuses: Mapping[ExitStatus, str]) -> str:
    """Exit statuses with their meanings, for the end of a help text."""
    lines = ["exit status:"]
    for status, meaning in statuses.items():
        wrapped = textwrap.wrap(meaning.replace("`", ""), WIDTH - 5)
        lines += [f"  {status:d}  {wrapped[0]}", *(f"     {line}" for line in wrapped[1:])]
    return "\n".join(lines)


def _usage(arguments: Arguments) -> str:
    several = {"*": f"[{arguments.metavar}...]", "+": f"{arguments.metavar}..."}
    return several.get(str(arguments.nargs), arguments.metavar)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help texts of one width on every terminal, with room for the names of flags."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=WIDTH)


class Parser(argparse.ArgumentParser):
    """Reports a usage error on one line, with the command that shows the help."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and exit."""
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            word = message.removeprefix(prefix).split()[0].partition("=")[0]
            if not word.startswith("-"):
                takes_some = any(not action.option_strings for action in self._actions)
                self._refuse(f"{word!r}: this command takes {'no more' if takes_some else 'no'} arguments")
            # Their dashes would make any two of them alike.
            names = [flag[2:] for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            hint = did_you_mean(word.lstrip("-"), names).replace("mean ", "mean --")
            message = f"{word} is not a flag of this command{hint}"
        self._refuse(message)

    def _refuse(self, message: str) -> NoReturn:
        self.exit(ExitStatus.USAGE, f"{self.prog}: error: {with_pointer(message, f'{self.prog} --help')}\n")
