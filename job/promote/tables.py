"""Tables for people, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TextIO

from job.views.columns import Column, table_of
from job.views.tables import console_for

# Columns of text that may take several lines; names are shortened, and hashes, counts and times never cut.
_TEXTS = frozenset({"WHY", "STATE", "BEHIND"})
# What a narrow terminal goes without; the highest first.
_RANKS = {"AGE": 6, "AFTER": 5, "REVISION": 4, "COMMITS": 3, "FROM": 2, "WHY": 1}
_MOST_NAME, _MOST = 36, 30


def print_rows(rows: Sequence[Sequence[str]], file: TextIO) -> None:
    """Write rows as a table; the first row is the heading."""
    head, body = rows[0], rows[1:]
    console = console_for(file)
    columns = [_column(number, title, body) for number, title in enumerate(head)]
    console.print(table_of(columns, [(row, "") for row in body], console.width))


def _column(number: int, title: str, body: Sequence[Sequence[str]]) -> Column[Sequence[str]]:
    cell, rank = itemgetter(number), _RANKS.get(title, 0)
    if title in _TEXTS:
        return Column(title, cell, rank, least=14 if rank else len(title), is_text=True)
    if number == 0:
        return Column(title, cell, least=8, most=_MOST_NAME, is_name=True)
    least = min(_MOST, max((len(row[number]) for row in body), default=0))
    return Column(title, cell, rank, least=least, most=_MOST)
