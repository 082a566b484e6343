"""How old the process is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from job.runtime.clock import process_age


def test_a_process_knows_when_it_started() -> None:
    code = "import time; time.sleep(0.3); from job.runtime.clock import process_age; print(process_age())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # It is known to a hundredth of a second.
    assert 0.29 <= float(done.stdout) < 30


def test_one_that_is_too_old_to_be_starting_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.clock_gettime", lambda which: 10.0**9)
    assert process_age() == 0.0
