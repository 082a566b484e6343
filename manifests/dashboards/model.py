"""The parts of a dashboard, independent of the program that renders it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Unit(StrEnum):
    """The unit of a number. HOURS and DAYS are seconds, shown in that unit by renderers that do not scale."""

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
    """The word shown for a value, and its colour."""

    text: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Stat:
    """One number, or the word for it.

    Attributes:
        title: what it shows.
        help: what to do with it.
        expression: by deployment: one tile for each; gives one value.
        unit: of the value.
        words: the words for values.
        steps: the value from which each colour applies, ascending; the first also applies below.
        empty: what is shown if there is no value.
        combine: the aggregation over deployments, for a renderer that draws one number only.
        width: in columns of 24.
    """

    title: str
    help: str
    expression: str
    unit: Unit = Unit.NUMBER
    words: Mapping[int, Word] = field(default_factory=dict)
    steps: tuple[tuple[float, Colour], ...] = ((0, Colour.PLAIN),)
    empty: str = "-"
    combine: str = "max"
    width: int = 4
    height: int = 4

    @property
    def expressions(self) -> tuple[str, ...]:
        """Its queries."""
        return (self.expression,)


@dataclass(frozen=True, slots=True)
class Line:
    """One query of a graph, and the names of its series."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Values over time. `colours` sets the colour of a series by its name."""

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
        """Its queries."""
        return tuple(line.expression for line in self.lines)


@dataclass(frozen=True, slots=True)
class Timeline:
    """States over time: `states` gives the number of a word, `shares` gives 1 for each state that is active."""

    title: str
    help: str
    states: Line
    shares: Line
    words: Mapping[int, Word]
    width: int = 24
    height: int = 6

    @property
    def expressions(self) -> tuple[str, ...]:
        """Its queries; a renderer uses one of them."""
        return (self.states.expression, self.shares.expression)


@dataclass(frozen=True, slots=True)
class Value:
    """A column of numbers. Its expression has exactly the labels that are columns of the table; steps as in `Stat`."""

    title: str
    expression: str
    unit: Unit = Unit.NUMBER
    words: Mapping[int, Word] = field(default_factory=dict)
    steps: tuple[tuple[float, Colour], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A row for each set of labels that an expression gives now.

    Attributes:
        title: what it shows.
        help: what to do with it.
        labels: the columns of text: label and title. One with an empty title is not shown.
        values: the columns of numbers; the first one determines the rows.
        sort: the title of the column to sort by.
        descending: largest first.
        colours: of words in the text columns.
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
        """Its queries."""
        return tuple(value.expression for value in self.values)


@dataclass(frozen=True, slots=True)
class Text:
    """Markdown. Not every renderer shows it, so it must not be the only place of anything."""

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
    """A choice of the user: the values of a label."""

    name: str
    title: str
    metric: str


@dataclass(frozen=True, slots=True)
class Event:
    """A mark in every graph.

    Attributes:
        title: what happened.
        text: more, with the labels of the series as `{{label}}`.
        expression: its values are the times, in milliseconds.
        colour: of the mark.
    """

    title: str
    text: str
    expression: str
    colour: Colour


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]
    events: tuple[Event, ...] = ()

    def panels(self) -> Iterator[Panel]:
        """All panels, in order."""
        for row in self.rows:
            yield from row.panels
