"""Tables for people, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.text import Text

from job.domain.text import clean
from job.views.columns import new_table
from job.views.tables import console_for

# Columns of text that may take several lines; names are shortened instead.
_FOLDED = frozenset({"WHY", "STATE"})
_MAX_NAME = 36


def print_rows(rows: Sequence[Sequence[str]], file: TextIO) -> None:
    """Write rows as a table; the first row is the heading."""
    table = new_table()
    for number, name in enumerate(rows[0]):
        if name in _FOLDED:
            table.add_column(name, overflow="fold", min_width=len(name))
        elif number == 0:
            table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=_MAX_NAME)
        else:
            # Hashes, counts and times are never cut.
            table.add_column(name, overflow="ellipsis", no_wrap=True, min_width=_width(rows, number))
    for row in rows[1:]:
        table.add_row(*(Text(clean(cell, 300)) for cell in row))
    console_for(file).print(table)


def _width(rows: Sequence[Sequence[str]], number: int) -> int:
    return min(30, max(len(row[number]) for row in rows))
