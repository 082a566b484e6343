"""What a setting and a flag are: the records of which the tables of `flags` and of the commands are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from job.domain.records import dataclass

if TYPE_CHECKING:
    import argparse

V_co = TypeVar("V_co", covariant=True)


@dataclass(frozen=True, slots=True, eq=False)
class Setting(Generic[V_co]):
    """One setting.

    Attributes:
        name: of its environment variable, and of its value among the options.
        help: one phrase for `--help` and the documentation.
        parse: from text to the value; raises ValueError. It must accept `default`.
        default: as text; empty where there is none.
        flag: None where only the environment sets it.
        short: a short form of the flag.
        metavar: the value in help texts; None for a flag without a value.
        overrides: the environment variables that do not apply where the flag is given, since it answers the same
            question in another way.
        in_environment: whether the environment variable is read, too.
    """

    name: str
    help: str
    parse: Callable[[str], V_co]
    default: str = ""
    flag: str | None = None
    short: str | None = None
    metavar: str | None = None
    overrides: tuple[str, ...] = ()
    in_environment: bool = True

    @property
    def fallback(self) -> V_co:
        """The value where none is given."""
        return self.parse(self.default)

    def add(self, parser: argparse._ActionsContainer) -> None:
        """Add its flag, if it has one, to a parser or to a group of one."""
        if self.flag is None:
            return
        names = [name for name in (self.short, self.flag) if name]
        text = self.help + (f" (default {self.default})" if self.default else "")
        text += f"; {self.name}" if self.in_environment else ""
        if self.metavar is None:
            parser.add_argument(*names, dest=self.name, action="store_const", const="true", help=text)
        else:
            parser.add_argument(*names, dest=self.name, metavar=self.metavar, help=text)


@dataclass(frozen=True, slots=True, eq=False)
class Flag:
    """A flag of one command, which no environment variable sets."""

    flag: str
    help: str
    metavar: str | None = None
    default: str | None = None
    repeated: bool = False

    @property
    def attribute(self) -> str:
        """Its name among the options."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def initial(self) -> object:
        """Its value where it is not given."""
        return [] if self.repeated else False if self.metavar is None else self.default

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Add it to a parser; a repeated flag gives a list."""
        if self.repeated:
            parser.add_argument(self.flag, metavar=self.metavar, action="append", default=[], help=self.help)
        elif self.metavar is None:
            parser.add_argument(self.flag, action="store_true", help=self.help)
        else:
            parser.add_argument(self.flag, metavar=self.metavar, default=self.default, help=self.help)
