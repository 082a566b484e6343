"""The status on a terminal that is drawn again and again: what fits, from the top."""

from __future__ import annotations

import shutil
from typing import TextIO

from rich.text import Text

from job.domain.model import Identity
from job.domain.text import clean
from job.domain.times import iso
from job.status.model import StatusReport
from job.status.table import print_page
from job.views.tables import console_for

_HOME, _TO_END_OF_LINE, _TO_END = "\x1b[H", "\x1b[K", "\x1b[J"


class Screen:
    """Draws on one terminal, whose size may change."""

    def __init__(self, file: TextIO, *, everything: bool) -> None:
        self._file = file
        self._everything = everything

    def draw(self, report: StatusReport, identity: Identity | None, problem: str | None, every: float) -> None:
        """Show a status in place of the last one; `problem` says why it is not newer."""
        console = console_for(self._file)
        with console.capture() as capture:
            console.print(Text(f"Every {every:g} s; Ctrl-C ends; {iso(report.now)}", style="dim"))
            if identity is not None:
                # In full, however narrow: a person must see which cluster this is.
                console.print(Text(clean(str(identity)), style="dim", overflow="fold"))
            if problem:
                console.print(Text(f"not read again: {clean(problem)}", style="bold red"))
            print_page(console, report, everything=self._everything)
        lines = capture.get().rstrip("\n").split("\n")
        room = shutil.get_terminal_size((80, 24)).lines - 1
        if len(lines) > room:
            lines = [*lines[: room - 1], f"... {len(lines) - room + 1} more lines"]
        page = "".join(f"{line}{_TO_END_OF_LINE}\n" for line in lines)
        self._file.write(f"{_HOME}{page}{_TO_END}")
        self._file.flush()
