"""What is left on a terminal's screen: the output as a person sees it, not as it was sent."""

from __future__ import annotations

import re

_TOKENS = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])")


def rows_of(output: str, columns: int) -> list[str]:
    """The rows of the screen, which never scrolls; knows the sequences that rich and readline use."""
    rows: dict[int, dict[int, str]] = {}
    row = column = 0
    for number, letter, control, character in _TOKENS.findall(output):
        if character:
            if column == columns:
                row, column = row + 1, 0
            rows.setdefault(row, {})[column] = character
            column += 1
        elif control == "\r":
            column = 0
        elif control == "\n":
            row += 1
        elif letter == "A":
            row = max(0, row - int(number or 1))
        elif letter == "K":
            kept = {} if number == "2" else {at: text for at, text in rows.get(row, {}).items() if at < column}
            rows[row] = kept
        else:
            assert letter in "mhl", f"the screen does not know {letter}"
    last = max(rows, default=-1)
    return ["".join(rows.get(at, {}).get(x, " ") for x in range(columns)).rstrip() for at in range(last + 1)]
