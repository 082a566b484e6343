"""The line itself: rich's progress, with the details below it. Only `progress` loads this."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from job.domain.durations import describe
from job.runtime.progress import MOST_DETAILS, Work

# Narrower terminals have no room for a bar.
BAR_FROM_COLUMNS = 80
# What the terminal adds to the last line by Ctrl-C; if that breaks the line, it cannot be taken away again.
ECHO = "^C"
# Before that an estimate is a guess.
LEAST_SECONDS, LEAST_PART = 3.0, 0.1


class _Times(ProgressColumn):
    """How long it has taken, and how much longer it will take at the most, as far as that is known."""

    # Every time, since times go on while nothing else changes.
    max_refresh = None

    def __init__(self, work: Work) -> None:
        self._work = work
        super().__init__()

    def render(self, task: Task) -> Text:
        return Text(times_of(self._work, time.monotonic()), style="dim")


def times_of(work: Work, now: float) -> str:
    """The time passed, and what is known of the time left."""
    passed = now - work.begun
    if work.limit is not None:
        return f"{describe(passed)}, at most {describe(max(0.0, work.limit - passed))} more"
    part = work.done / work.total if work.total else 0.0
    if passed < LEAST_SECONDS or not LEAST_PART <= part < 1.0:
        return describe(passed)
    return f"{describe(passed)}, about {describe(passed / part - passed)} more"


class _Lines(Progress):
    """One line, and the details below it."""

    def __init__(self, console: Console, work: Work) -> None:
        self._work = work
        bar = [BarColumn(bar_width=16)] if work.total and console.width >= BAR_FROM_COLUMNS else []
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            *bar,
            _Times(work),
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self.add_task(self._description(), total=work.total)

    def get_renderables(self) -> Iterable[RenderableType]:
        """The lines as they are now."""
        yield self.make_tasks_table(self.tasks)
        # None of them is longer than the terminal is wide, which rich would count as one line.
        details = [f"  {subject}: {text}" for subject, text in self._work.details.items()]
        for text in details[:MOST_DETAILS]:
            yield Text(text, style="dim", no_wrap=True, overflow="ellipsis")
        if len(details) > MOST_DETAILS:
            yield Text(f"  and {len(details) - MOST_DETAILS} more", style="dim")

    def draw(self) -> None:
        work = self._work
        self.update(self._task, description=self._description(), completed=work.done, total=work.total)
        self.refresh()

    def _description(self) -> str:
        work = self._work
        counts = f"{work.done}/{work.total} {work.what}" if work.total is not None else ""
        return ": ".join(filter(None, (work.title, counts)))


class ProgressLine:
    """Draws on one terminal."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: _Lines | None = None
        self._work: Work | None = None
        self._has_bar = False

    def draw(self, work: Work) -> None:
        """Show the work as it is now."""
        if self._lines is None or self._work is not work or self._has_bar != bool(work.total):
            self.close()
            width = shutil.get_terminal_size().columns - len(ECHO)
            console = Console(file=self._file, width=width, highlight=False, force_terminal=True, markup=False)
            self._lines, self._work, self._has_bar = _Lines(console, work), work, bool(work.total)
            self._lines.start()
            # It stays on, since a process that is killed could not switch it on again.
            console.show_cursor(True)
        self._lines.draw()

    def print_above(self, text: str) -> None:
        """Print a text above what is shown."""
        if self._lines is None:
            self._file.write(text + "\n")
            self._file.flush()
        else:
            self._lines.console.print(Text(text), soft_wrap=True)

    def close(self) -> None:
        """Take away what is shown."""
        if self._lines is not None:
            self._lines.stop()
            self._lines = None
