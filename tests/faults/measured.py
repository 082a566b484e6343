"""What the full runs of the suites counted, for the documentation: each writes its own number where it is asked to.

RECORD_FIGURES=1 makes the full suites and `make mutants` write into `measured.json` beside this module.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

FILE = Path(__file__).with_name("measured.json")


def measured() -> dict[str, int]:
    """The numbers by suite."""
    found: dict[str, int] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def total(suite: str) -> int:
    """All numbers of a suite, whose parts are `SUITE/PART`."""
    return sum(number for name, number in measured().items() if name == suite or name.startswith(f"{suite}/"))


def record(name: str, number: int) -> None:
    """Write a number of a run that has passed, if that is asked for."""
    if not os.environ.get("RECORD_FIGURES"):
        return
    with FILE.open("r+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        numbers = json.load(file) | {name: number}
        file.seek(0)
        file.truncate()
        file.write(json.dumps(dict(sorted(numbers.items())), indent=2) + "\n")
