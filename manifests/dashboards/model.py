"""What a dashboard is made of, whoever draws it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Unit(StrEnum):
    """What a number counts. HOURS and DAYS are seconds, too: long ones, to be read so where nobody scales them."""

    NUMBER = "number"
    SECONDS = "seconds"
    HOURS = "hours"
    DAYS = "days"


class Colour(StrEnum):
    """How good a value is."""

    GOOD = "green"
    NOTICE = "blue"
    WARNING = "orange"
    BAD = "red"
    PLAIN = "text"


@dataclass(frozen=True, slots=True)
class Word:
    """The word that stands for a value, and its colour."""

    text: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Stat:
    """One number, or the word that stands for it.

    Attributes:
        title: what it tells.
        help: what to do with it.
        expression: gives one value.
        unit: what it counts.
        words: the words that stand for values.
        steps: from which value on it has which colour, ascending; the first is for all below, too.
        empty: what is said where there is no value.
        width: in columns of 24.
    """

    title: str
    help: str
    expression: str
    unit: Unit = Unit.NUMBER
    words: Mapping[int, Word] = field(default_factory=dict)
    steps: tuple[tuple[float, Colour], ...] = ((0, Colour.PLAIN),)
    empty: str = "-"
    width: int = 4
    height: int = 4

    @property
    def expressions(self) -> tuple[str, ...]:
        """What Prometheus is asked."""
        return (self.expression,)


@dataclass(frozen=True, slots=True)
class Line:
    """One query of a graph, and how its series are called."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Values over time. With `colours` series have theirs by name."""

    title: str
    help: str
    lines: tuple[Line, ...]
    unit: Unit = Unit.NUMBER
    stacked: bool = False
    colours: Mapping[str, Colour] = field(default_factory=dict)
    width: int = 12
    height: int = 8

    @property
    def expressions(self) -> tuple[str, ...]:
        """What Prometheus is asked."""
        return tuple(line.expression for line in self.lines)


@dataclass(frozen=True, slots=True)
class Timeline:
    """States over time: `states` gives a number that a word stands for, `shares` gives 1 to each state that is on."""

    title: str
    help: str
    states: Line
    shares: Line
    words: Mapping[int, Word]
    width: int = 24
    height: int = 6

    @property
    def expressions(self) -> tuple[str, ...]:
        """What Prometheus is asked, by one who draws it or another."""
        return (self.states.expression, self.shares.expression)


@dataclass(frozen=True, slots=True)
class Value:
    """A column of numbers. Its expression has just the labels that are columns of the table."""

    title: str
    expression: str
    unit: Unit = Unit.NUMBER
    words: Mapping[int, Word] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A row for each set of labels that an expression gives, now.

    Attributes:
        title: what it tells.
        help: what to do with it.
        labels: the columns of text: label and title. One with an empty title is not shown.
        values: the columns of numbers; the first has all the rows.
        sort: the title of the column to sort by.
        descending: the largest first.
        colours: of words in columns of text.
    """

    title: str
    help: str
    labels: tuple[tuple[str, str], ...]
    values: tuple[Value, ...]
    sort: str = ""
    descending: bool = False
    colours: Mapping[str, Colour] = field(default_factory=dict)
    width: int = 24
    height: int = 8

    @property
    def expressions(self) -> tuple[str, ...]:
        """What Prometheus is asked."""
        return tuple(value.expression for value in self.values)


@dataclass(frozen=True, slots=True)
class Text:
    """Markdown, for those who can draw it; nothing may be said here alone."""

    title: str
    content: str
    width: int = 12
    height: int = 8

    @property
    def expressions(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


Panel = Stat | Graph | Timeline | Table | Text


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """What a person chooses from: the values of a label."""

    name: str
    title: str
    metric: str


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    def panels(self) -> Iterator[Panel]:
        """All of them, in order."""
        for row in self.rows:
            yield from row.panels
