"""What a command is: one record, from which parser, help, completion and documentation follow.

Records name the function to call, which imports what it needs when it is called, so that `--help` stays quick.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from job.config.flags import SECTIONS
from job.config.formats import Format
from job.config.setting import Flag, Setting
from job.domain.exit_status import ExitStatus
from job.domain.suggestions import did_you_mean, with_pointer

if TYPE_CHECKING:
    from job.config.settings import Settings
    from job.domain.repositories import Pages
    from job.runtime.shutdown import Stop

PROGRAM = "import-images"
# The width of help texts, in columns.
WIDTH = 80


class Arguments(NamedTuple):
    """The arguments of a command, which may be mixed with its options.

    Attributes:
        help: what they name.
        metavar: how the usage line shows them.
        nargs: how many, as argparse counts them: `*`, `+` or a number.
        words: what they may be, from the options and arguments typed so far, for completion; None where the
            program alone does not know.
    """

    help: str
    metavar: str = "STREAM[:TAG]"
    nargs: str | int = "*"
    words: Callable[[argparse.Namespace], list[str]] | None = None


class Invocation(NamedTuple):
    """What the user asked for: the options of the command line and the checked settings.

    Attributes:
        options: the command's own flags and arguments.
        settings: the checked settings.
        stop: whether the user or the cluster wants an end.
        as_table: whether the result is a table, not a document.
        pages: reads what is known of the repositories that feed tags.
    """

    options: argparse.Namespace
    settings: Settings
    stop: Stop
    as_table: bool
    pages: Callable[[], Pages]


class Command(NamedTuple):
    """One command.

    Attributes:
        name: what the user types.
        summary: one phrase for the list of commands.
        description: what more the command's own help says, in sentences.
        call: does the work and returns the exit status.
        statuses: every exit status that it can end with, and what it then means; empty text for the general meaning.
        settings: the settings that it reads; all others of the environment do not apply to it.
        flags: its own flags.
        arguments: None where it takes none.
        examples: command lines.
        formats: the values of `--output` that it knows.
    """

    name: str
    summary: str
    description: str
    call: Callable[[Invocation], int]
    statuses: Mapping[ExitStatus, str]
    settings: tuple[Setting[object], ...] = ()
    flags: tuple[Flag, ...] = ()
    arguments: Arguments | None = None
    examples: tuple[str, ...] = ()
    formats: tuple[Format, ...] = tuple(Format)

    @property
    def takes_tags(self) -> bool:
        """Whether its arguments are globs of streams and tags."""
        return self.arguments is not None and self.arguments.metavar == Arguments._field_defaults["metavar"]

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The options; arguments are its attribute `patterns`.

        Raises:
            SystemExit: for `--help` and usage errors, as argparse does.
        """
        options = self.parser().parse_intermixed_args(words)
        if self.arguments is None:
            options.patterns = []
        return options

    def parser(self) -> argparse.ArgumentParser:
        """The parser of its arguments, flags and settings."""
        about = self.arguments
        usage = f"{PROGRAM} {self.name} [OPTIONS]" + (f" {_usage(about)}" if about else "")
        parser = Parser(
            prog=f"{PROGRAM} {self.name}",
            usage=usage,
            description=textwrap.fill(f"{sentence(self.summary)}. {self.description}", WIDTH),
            epilog=f"{self._examples()}\n\n{self._statuses()}",
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        if about:
            parser.add_argument("patterns", nargs=about.nargs, metavar=about.metavar, help=about.help)
        formats = ", ".join(self.formats)
        parser.add_argument("-o", "--output", metavar="FORMAT", help=f"{formats} (default table; in a pod json)")
        amount = parser.add_mutually_exclusive_group()
        amount.add_argument("-v", "--verbose", action="store_true", help="log more: each change of a rollout, defects")
        amount.add_argument("-q", "--quiet", action="store_true", help="log only warnings and errors; no progress")
        for flag in self.flags:
            flag.add(parser)
        for title, section in SECTIONS.items():
            group = parser.add_argument_group(title)
            for setting in section:
                if setting in self.settings:
                    setting.add(group)
        return parser

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment variables that apply to it."""
        return {
            setting.name: environment[setting.name]
            for setting in self.settings
            if setting.in_environment and setting.name in environment
        }

    def meaning(self, status: ExitStatus) -> str:
        """What an exit status of this command means."""
        return self.statuses[status] or status.meaning

    def _examples(self) -> str:
        return "\n  ".join(["examples:", *self.examples])

    def _statuses(self) -> str:
        return described_statuses({status: self.meaning(status) for status in self.statuses})


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
            # Their dashes would make any two of them alike.
            names = [flag[2:] for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            hint = did_you_mean(word.lstrip("-"), names).replace("mean ", "mean --")
            message = f"{word} is not a flag of this command{hint}"
        self.exit(ExitStatus.USAGE, f"{self.prog}: error: {with_pointer(message, f'{self.prog} --help')}\n")


def sentence(text: str) -> str:
    """The text with a capital letter."""
    return text[0].upper() + text[1:]
