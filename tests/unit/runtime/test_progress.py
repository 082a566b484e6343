"""What is under way, as a person sees it on a real terminal, and as a log has it."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys

import pytest

from job.runtime import progress
from job.runtime.progress import TerminalProgress, Work
from job.runtime.progress_line import times_of
from tests.support.screen import rows_of

PROGRAM = """
import logging, sys, time
from job.runtime.logs import set_up
from job.runtime.progress import TerminalProgress
set_up()
log = logging.getLogger("job.test")
shown = TerminalProgress(sys.stderr)
shown.begin("watching rollouts", 600)
shown.show(1, 3, "rollouts")
shown.detail("Deployment web", "1 of 2 pods have been updated " + "x" * 300)
for number in range(12):
    shown.detail(f"Deployment w{number}", "waits")
time.sleep(1.0)
for number in range(3):
    log.info("log line %d", number)
    time.sleep(0.3)
shown.end()
print("the table")
"""

INTERRUPTED = """
import os, signal, sys, time
from job.runtime.progress import TerminalProgress
from job.runtime.logs import set_up
from job.runtime.shutdown import Stop
set_up()
stop = Stop()
stop.listen()
shown = TerminalProgress(sys.stderr, stop)
shown.begin("importing")
for name in ("web", "worker"):
    shown.detail(name, "request under way " + "x" * 300)
with stop.leaving(lambda: None, "requests may take 30 s to end; "):
    time.sleep(0.7)
    # What the terminal adds for the person who presses it.
    os.write(2, b"^C")
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.7)
    SECOND
shown.end()
print("the table")
"""
SECOND = "os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"


def on_terminal(text: str, columns: int, status: int = 0, **environment: str) -> str:
    terminal, side = os.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), **environment}
    with subprocess.Popen([sys.executable, "-c", text], stdout=side, stderr=side, env=variables) as process:
        os.close(side)
        seen = b""
        while True:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            seen += data
        os.close(terminal)
        assert process.wait(10) == status, seen.decode()
    return seen.decode()


def lines_of(seen: str) -> list[str]:
    """The lines that were written, each as it was when the cursor left it."""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "\r", seen)
    return [part for line in plain.split("\n") for part in line.split("\r") if part.strip()]


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_lines_fit_and_log_lines_never_run_into_them(columns: int) -> None:
    seen = on_terminal(PROGRAM, columns)
    lines = lines_of(seen)
    assert max(len(line.rstrip()) for line in lines) <= columns
    for number in range(3):
        assert f"import-images: log line {number}" in lines
    assert any("watching rollouts: 1/3" in line.replace("…", "") or "watching" in line for line in lines)
    assert "  and 5 more" in [line.rstrip() for line in lines]
    assert any(line.startswith("  Deployment web: 1 of 2 pods") for line in lines)
    # The last thing on the screen is not the progress, and the cursor is there.
    assert lines[-1] == "the table"
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l")


@pytest.mark.parametrize("columns", [40, 100])
def test_what_ctrl_c_does_stays_on_the_screen(columns: int) -> None:
    rows = rows_of(on_terminal(INTERRUPTED.replace("SECOND", ""), columns), columns)
    ends = "requests may take 30 s to end; press Ctrl-C again to release the lock and stop at once"
    assert "".join(rows) == f"import-images: stopping: {ends}the table"
    rows = rows_of(on_terminal(INTERRUPTED.replace("SECOND", SECOND), columns, status=6), columns)
    assert "stopping at once: releasing the lock; press Ctrl-C again to leave it behind" in "".join(rows)


def test_what_is_quick_draws_nothing_and_loads_nothing() -> None:
    text = """
import sys
from job.runtime.progress import TerminalProgress
shown = TerminalProgress(sys.stderr)
shown.begin("listing")
shown.end()
print("rich" in sys.modules)
"""
    assert on_terminal(text, 80).strip() == "False"


def test_a_terminal_without_cursor_movement_gets_no_line() -> None:
    assert "rollouts:" not in on_terminal(PROGRAM, 80, TERM="dumb")


def test_a_file_gets_log_lines_now_and_then(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(progress, "LOG_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(logging.getLogger("job"), "propagate", True)
    caplog.set_level(logging.INFO)
    shown = TerminalProgress(io.StringIO())
    shown.begin("importing")
    shown.show(2, 9, "tags")
    shown.end()
    shown.show(3, 9, "tags")
    assert [record.getMessage() for record in caplog.records] == ["2 of 9 tags have a result"]


@pytest.mark.parametrize(
    ("work", "passed", "text"),
    [
        (Work("", 0.0), 5.0, "5s"),
        (Work("", 0.0, limit=600.0), 48.0, "48s, at most 9m 12s more"),
        (Work("", 0.0, done=10, total=40), 20.0, "20s, about 1m more"),
        # Too early for an estimate.
        (Work("", 0.0, done=1, total=40), 20.0, "20s"),
        (Work("", 0.0, done=20, total=40), 1.0, "1s"),
        (Work("", 0.0, done=40, total=40), 100.0, "1m 40s"),
    ],
)
def test_the_time_that_is_left(work: Work, passed: float, text: str) -> None:
    assert times_of(work, passed) == text
