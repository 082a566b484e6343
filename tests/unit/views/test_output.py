"""What becomes of a report that cannot be written."""

from __future__ import annotations

import subprocess
import sys

import pytest

WRITING = """
import sys
from job.views.output import write
def printing():
    sys.stdout.write("begun ")
    sys.stdout.flush()
    raise {problem}
write(printing)
sys.stdout.write("more")
print("went on", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ("OSError(28, 'No space left on device')", "could not be written: [Errno 28] No space left on device"),
        ("MemoryError()", "could not be written: MemoryError"),
        ("BrokenPipeError()", ""),
    ],
)
def test_the_rest_of_a_run_goes_on_without_it(problem: str, message: str) -> None:
    code = WRITING.format(problem=problem)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "begun "
    assert message in done.stderr
    assert ("could not be written" in done.stderr) == bool(message)
    assert done.stderr.endswith("went on\n")
