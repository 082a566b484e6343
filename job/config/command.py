"""What a command is: one record, from which parser, help, completion and documentation follow.

Records name the function to call, which imports what it needs when it is called, so that `--help` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from job.config.formats import Format
from job.config.setting import Flag, Setting
from job.domain.exit_status import ExitStatus
from job.domain.records import dataclass

if TYPE_CHECKING:
    import argparse

    from job.config.settings import Settings
    from job.domain.repositories import Pages
    from job.runtime.shutdown import Stop

PROGRAM = "import-images"
_TAGS = "STREAM[:TAG]"


class Options(SimpleNamespace):
    """The options of a command line, as argparse gives them: one attribute each."""


@dataclass(frozen=True, slots=True, eq=False)
class Arguments:
    """The arguments of a command, which may be mixed with its options.

    Attributes:
        help: what they name.
        metavar: how the usage line shows them.
        nargs: how many, as argparse counts them: `*`, `+` or a number.
        words: what they may be, from the options and arguments typed so far, for completion; None where the
            program alone does not know.
    """

    help: str
    metavar: str = _TAGS
    nargs: str | int = "*"
    words: Callable[[argparse.Namespace], list[str]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Invocation:
    """What the user asked for: the options of the command line and the checked settings.

    Attributes:
        options: the command's own flags and arguments.
        settings: the checked settings.
        stop: whether the user or the cluster wants an end.
        as_table: whether the result is a table, not a document.
        pages: reads what is known of the repositories that feed tags.
    """

    options: Options
    settings: Settings
    stop: Stop
    as_table: bool
    pages: Callable[[], Pages]


@dataclass(frozen=True, slots=True, eq=False)
class Command:
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
        return self.arguments is not None and self.arguments.metavar == _TAGS

    def parse(self, words: Sequence[str]) -> Options:
        """The options; arguments are its attribute `patterns`.

        Raises:
            SystemExit: for `--help` and usage errors, as argparse does.
        """
        if not words and (self.arguments is None or self.arguments.nargs == "*"):
            # As a CronJob starts it. A parser takes longer than an import.
            return self._defaults()
        options = self.parser().parse_intermixed_args(words, Options())
        if self.arguments is None:
            options.patterns = []
        return options

    def _defaults(self) -> Options:
        """What its parser makes of no words."""
        settings = {setting.name: None for setting in self.settings if setting.flag}
        flags = {flag.attribute: flag.initial for flag in self.flags}
        return Options(patterns=[], output=None, verbose=False, quiet=False, **flags, **settings)

    def parser(self) -> argparse.ArgumentParser:
        """The parser of its arguments, flags and settings."""
        from job.config.parser import parser_of

        return parser_of(self)

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


def sentence(text: str) -> str:
    """The text with a capital letter."""
    return text[0].upper() + text[1:]
