"""What `make` starts: the program, by `oc` where there is one, with what it was given word for word."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.paths import ROOT

ODD = """it's "bad" $(id) $(shell id) `id` $HOME $$ ; # x"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment whose program writes down what it is started with."""
    program = tmp_path / "bin" / "import-images"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "CLIENT=$CLIENT"; for each in "$@"; do echo "$each"; done\n')
    program.chmod(0o755)
    program.with_name("python").symlink_to(sys.executable)
    for name, age in ((".python", 60), (".job", -1)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    return tmp_path


def make(environment: Path, *arguments: str, oc: bool = False, **variables: str) -> list[str]:
    folder = environment / "path"
    folder.mkdir(exist_ok=True)
    if oc:
        (folder / "oc").symlink_to("/bin/true")
    done = subprocess.run(
        [shutil.which("make") or "make", "--silent", f"VENV={environment}", *arguments],
        cwd=ROOT,
        env={"PATH": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_oc_where_there_is_one_and_nothing_else_was_said(environment: Path) -> None:
    assert make(environment, "plan") == ["CLIENT=", "plan"]
    assert make(environment, "import-images", oc=True) == ["CLIENT=oc", "run"]
    assert make(environment, "plan", CLIENT="api") == ["CLIENT=api", "plan"]
    assert make(environment, "plan", "CLIENT=api", "ARGS=-l a=b") == ["CLIENT=api", "plan", "-l", "a=b"]


def test_values_arrive_as_they_are(environment: Path) -> None:
    wanted = ["CLIENT=", "rollback", "--to=2", f"--reason={ODD}", "--", ODD]
    assert make(environment, "rollback", f"STREAM={ODD}", "TO=2", f"REASON={ODD}") == wanted
    assert make(environment, "rollback", STREAM=ODD, TO="2", REASON=ODD) == wanted
    assert make(environment, "rollback", "STREAM=a:prod") == ["CLIENT=", "rollback", "--", "a:prod"]
    assert make(environment, "history", "STREAM=a", "ARGS=--check") == ["CLIENT=", "history", "--check", "--", "a"]
    assert make(environment, "resume", "STREAM=a") == ["CLIENT=", "resume", "--", "a"]


@pytest.mark.parametrize("target", ["history", "rollback", "resume"])
def test_without_a_stream_it_says_how(environment: Path, target: str) -> None:
    with pytest.raises(AssertionError, match=f"missing: STREAM=..., as in: make {target} STREAM=packit-worker:prod"):
        make(environment, target)
