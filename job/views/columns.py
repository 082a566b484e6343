"""Tables that always fit their width. A column is one record.

Texts continue on the next line, names lose their middle, so that the tag at their end stays, and where that is not
enough, the columns of the highest rank are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from job.domain.records import dataclass
from job.domain.text import clean
from job.views.output import is_wide

R = TypeVar("R")

# Between two columns.
GAP = 2
_LONG_DIGEST = r"sha256:([0-9a-f]{12})[0-9a-f]{52}"


def new_table() -> Table:
    """An empty table without lines."""
    return Table(box=None, pad_edge=False, show_edge=False, header_style="bold", expand=False)


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    """One column.

    Attributes:
        title: its heading.
        cell: the text for a row.
        rank: columns of a higher rank are left out first where the table is too wide; 0: never.
        least: its smallest width, in characters.
        most: its largest width; None: as wide as its cells.
        is_name: whether a cell that is too long loses its middle.
        is_text: whether a cell that is too long continues on the next line.
        is_number: whether it is aligned to the right.
    """

    title: str
    cell: Callable[[R], str]
    rank: int = 0
    least: int = 4
    most: int | None = None
    is_name: bool = False
    is_text: bool = False
    is_number: bool = False


def shorten(text: str, width: int, end: int | None = None) -> str:
    """A text of at most that width: its middle gives way, so that a tag at its end stays.

    Args:
        text: any text.
        width: in cells of a terminal.
        end: how many characters of the end stay.
    """
    if cell_len(text) <= width:
        return text
    # Twice as much of the end: streams differ at their end, and the tag is there.
    end = max(1, (width - 1) * 2 // 3) if end is None else end
    start = max(0, width - 1 - end)
    cut = f"{text[:start]}…{text[-end:]}"
    # Wide characters take two cells each.
    while cell_len(cut) > width and end > 1:
        end -= 1
        cut = f"{text[:start]}…{text[-end:]}"
    return cut


def shorten_all(texts: Sequence[str], width: int) -> list[str]:
    """Texts of at most that width, which lose another part where two of them would look alike."""
    usual = {text: shorten(text, width) for text in texts}
    alike: dict[str, list[str]] = {}
    for text, cut in usual.items():
        alike.setdefault(cut, []).append(text)
    for group in (group for group in alike.values() if len(group) > 1):
        # More of the end, so that the tag stays.
        for end in range(width * 2 // 3, width - 1):
            shortened = {text: shorten(text, width, end) for text in group}
            if len(set(shortened.values())) == len(group):
                usual |= shortened
                break
    return [usual[text] for text in texts]


def table_of(columns: Sequence[Column[R]], rows: Sequence[tuple[R, str]], width: int) -> Table:
    """A table of the rows, each with its style, that fits the width."""
    texts = [[shown(column.cell(row)) for column in columns] for row, _ in rows]
    widths = [
        max(cell_len(column.title), *(min(cell_len(text[i]), column.most or width) for text in texts))
        for i, column in enumerate(columns)
    ]
    least = [min(have, max(column.least, cell_len(column.title))) for column, have in zip(columns, widths, strict=True)]
    # A remark that no row has is no column.
    empty = [i for i, c in enumerate(columns) if c.is_text and c.rank and texts and not any(text[i] for text in texts)]
    kept = _kept(columns, least, width, empty)
    spare = width - sum(least[i] for i in kept) - GAP * (len(kept) - 1)
    table = new_table()
    final: dict[int, int] = {}
    # Numbers and states are whole before names are, and names before texts.
    for i in sorted(kept, key=lambda i: (columns[i].is_text, columns[i].is_name, i)):
        more = min(max(0, spare), widths[i] - least[i])
        final[i] = least[i] + more
        spare -= more
    for i in kept:
        column = columns[i]
        table.add_column(
            column.title,
            width=final[i],
            no_wrap=not column.is_text,
            overflow="fold",
            justify="right" if column.is_number else "left",
        )
    cells = {i: [row[i] for row in texts] for i in kept}
    cells |= {i: shorten_all(cells[i], final[i]) for i in kept if columns[i].is_name}
    for number, (_, style) in enumerate(rows):
        # Text, so that nothing in a name is taken for markup.
        table.add_row(*(Text(cells[i][number], style=style) for i in kept))
    return table


def _kept(columns: Sequence[Column[R]], least: Sequence[int], width: int, empty: Sequence[int]) -> list[int]:
    """The numbers of the columns that fit, without the empty ones."""
    kept = [i for i in range(len(columns)) if i not in empty]
    while sum(least[i] for i in kept) + GAP * (len(kept) - 1) > width:
        droppable = [i for i in kept if columns[i].rank]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda i: columns[i].rank))
    return kept


def shown(text: str, limit: int = 500) -> str:
    """A text as tables show it: bounded, without control characters, digests in short unless they may be wide."""
    text = clean(text, limit)
    return text if is_wide() else re.sub(_LONG_DIGEST, r"\1", text)
