"""`promote move` that is killed before or after any of its git commands, and given again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.faults.measured import record
from tests.integration.promote.conftest import _own_git, folder
from tests.support.forge import Folder, Origin
from tests.support.tiers import slow

__all__ = ["_own_git", "folder"]

NAMES = ("library", "worker")
# The pushes after which a kill gates.
GATING = (1, 3)
# A git that writes down what it is asked for, and kills the program that asks at one of the commands that it counts.
PROGRAM = """#!/bin/sh
case " $* " in *"{what}"*) echo "$*" | tr '\\n' ' ' >> {log}; echo >> {log}; counted=yes ;; esac
if [ "$counted" ] && [ "$(wc -l < {log})" = {number} ]; then
    [ {how} = before ] && kill -9 $PPID && exit 1
    {git} "$@"
    kill -9 $PPID
    exit 1
fi
exec {git} "$@"
"""


def repositories(folder: Folder) -> None:
    """A library, a worker that comes after it, and a monorepo that records both; each has something to move."""
    for name in NAMES:
        folder.origin(name)
        folder.origins[name].commit(f"Fix {name}")
    mono = folder.origins["mono"] = Origin(folder.folder / "forge" / "mono.git")
    mono.submodules({name: str(folder.origins[name].tip("stable")) for name in NAMES})
    folder.write(
        folder.table("library"),
        folder.table("worker", 'after = ["library"]'),
        f'[monorepo]\nurl = "{folder.folder}/forge/mono.git"',
    )


def move(folder: Folder, number: int, how: str, what: str) -> tuple[int, list[str]]:
    """Move with a git that kills it at one of the commands with that word, 0 for none; gives status and commands."""
    programs, log = folder.folder / "programs", folder.folder / "commands"
    programs.mkdir(exist_ok=True)
    git = programs / "git"
    git.write_text(PROGRAM.format(log=log, number=number, how=how, what=what, git=shutil.which("git")))
    git.chmod(0o755)
    done = folder.promote("move", "--yes", PATH=f"{programs}:{os.environ['PATH']}")
    return done.status, log.read_text(encoding="utf-8").splitlines()


def crash(folder: Folder, number: int, how: str, what: str = " push ") -> None:
    """Kill a move at a command, check what it left behind, and move again."""
    repositories(folder)
    mono = folder.origins["mono"]
    old = {name: folder.origins[name].tip("stable") for name in NAMES}
    new = {name: folder.origins[name].tip("main") for name in NAMES}
    status, commands = move(folder, number, how, what)
    assert status == -9, commands
    tips = {name: folder.origins[name].tip("stable") for name in NAMES}
    assert all(tips[name] in (old[name], new[name]) for name in NAMES), tips
    # The worker comes after the library, and the monorepo after both.
    assert tips["library"] == new["library"] or tips["worker"] == old["worker"], tips
    recorded = {name: mono.submodule(name) for name in NAMES}
    assert recorded in (old, new) and (recorded == old or tips == new), recorded
    again = folder.promote("move", "--yes")
    assert again.status == 0, again.stderr
    results = {each["repository"]: each["result"] for each in again.report["repositories"]}
    assert results == {name: "up_to_date" if tips[name] == new[name] else "moved" for name in NAMES}
    assert {name: folder.origins[name].tip("stable") for name in NAMES} == new
    assert {name: mono.submodule(name) for name in NAMES} == new
    assert (again.report["monorepo"]["commit"] is None) == (recorded == new)
    # Recorded once, whatever the killed one had written.
    assert len(mono.subjects("main")) == 2


@pytest.mark.parametrize("number", GATING, ids=["before-the-next-repository", "before-it-is-reported"])
def test_killed_after_a_push(number: int, folder: Folder) -> None:
    crash(folder, number, "after")


@slow("every git command of a move; kills after two of the pushes gate")
@pytest.mark.timeout(1800)
def test_killed_at_any_git_command(folder: Folder, tmp_path: Path) -> None:
    repositories(folder)
    status, commands = move(folder, 0, "never", "")
    assert status == 0 and len(commands) > 40, commands
    failures = []
    for number, command in enumerate(commands, 1):
        for how in ("before", "after"):
            try:
                crash(Folder(tmp_path / f"{number}-{how}"), number, how, "")
            except AssertionError as error:
                failures.append(f"{how} {number} {command}: {error}")
    assert not failures, "\n\n".join(failures)
    record("promote", 2 * len(commands))
