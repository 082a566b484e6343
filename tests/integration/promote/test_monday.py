"""A Monday: nine repositories, of which most go wrong in their own way, promoted at a terminal."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.support.conversation import Conversation, conversation
from tests.support.forge import GIT, Folder
from tests.support.place import PROGRAM
from tests.support.tiers import slow

NAMES = ("library", "service", "refused", "away", "diverged", "rewritten", "closed", "web", "slow")
ASK = "q back) "


def script(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)


@pytest.fixture
def monday(folder: Folder) -> Folder:
    for name in NAMES:
        folder.origin(name).commit(f"Fix {name} (#7)", author="Jim")
    origins = folder.origins
    origins["library"].commit("Not yet (#8)")
    origins["refused"].hook("update", "echo 'GH006: Protected branch update failed' >&2; exit 1")
    origins["diverged"].commit("Hotfix", "stable")
    origins["slow"].hook("pre-receive", f"touch {folder.folder}/pushing; sleep 30")
    (folder.folder / "forge" / "away.git").rename(folder.folder / "moved-away")
    # Built at the second try; the commit of its push is in the environment.
    script(
        folder.folder / "built",
        'echo "$PROMOTE_REPOSITORY $PROMOTE_COMMIT" >> tries\n'
        "[ $(wc -l < tries) -ge 2 ] || { echo build 1 is running; exit 75; }",
    )
    script(folder.folder / "broken", "echo build 2 failed: https://builds.example/2; exit 3")
    folder.write(
        folder.table("library", 'ready = ["./built"]\nready_interval = "1s"\nweb = "https://github.com/team/library"'),
        folder.table("service", 'after = ["library"]'),
        *(folder.table(name) for name in ("refused", "away", "diverged", "rewritten")),
        folder.table("closed", 'ready = ["./broken"]'),
        folder.table("web", 'after = ["closed"]'),
        folder.table("slow"),
    )
    return folder


def talk(folder: Folder) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(folder.folder), "PAGER": "cat", **GIT}


def answer(person: Conversation, repository: str, *answers: str) -> str:
    """Give answers to the questions about a repository; returns what was shown before the first."""
    shown = person.until(f"Move stable of {repository} to ") + person.until(ASK)
    for number, each in enumerate(answers):
        if number:
            person.until(ASK)
        person.type(each + "\n")
    return shown


@slow("nine repositories, a gate with two tries, and a push that is interrupted")
def test_a_monday(monday: Folder) -> None:  # noqa: PLR0915 - one morning, told in its order
    origins = monday.origins
    before = {name: origin.tip("stable") for name, origin in origins.items() if name != "away"}
    wanted = origins["library"]._git("rev-parse", "main~1")
    with conversation([PROGRAM, "promote", "move"], talk(monday), monday.folder) as person:
        # Typed while repositories are still fetched: none of it is an answer.
        person.type("\ny\n\n\ny\n")
        first = person.until("Move stable of library to ")
        assert "away: cannot be fetched: " in first
        assert "https://github.com/team/library/compare/" in first
        person.until(ASK)
        time.sleep(0.5)
        person.type("nonsense\n")
        assert "'nonsense' is not a branch, a tag or a commit" in person.until(ASK)
        person.type(f"https://github.com/team/library/commit/{wanted}\n")
        answer(person, "service", "")
        answer(person, "refused", "")
        # A diverged branch offers no default, and one question back is one question back.
        shown = answer(person, "diverged", "")
        assert "which commit?" in shown and "[" not in shown.splitlines()[-1] and "cannot be fast-forwarded" in shown
        assert "name a commit, or answer n to leave it" in person.until(ASK)
        person.type("main\n")
        assert "cannot be fast-forwarded" in person.until(ASK)
        person.type("q\n")
        answer(person, "refused", "")
        answer(person, "diverged", "n")
        for name in ("rewritten", "closed", "web"):
            answer(person, name, "")
        person.until("Move stable of slow to ")
        person.until(ASK)
        person.type("d\n")
        diff = person.until(ASK)
        assert "+Fix slow (#7)" in diff and "* " in diff
        person.type("\n")
        plan = person.until("Push this? [y/N, q back] ")
        rows = {line.split()[0]: line for line in plan.splitlines() if line.split() and line.split()[0] in NAMES}
        assert set(rows) >= set(NAMES)
        assert "then waits for ./built" in rows["library"] and wanted[:9] in rows["library"]
        assert "you chose to leave it" in rows["diverged"] and "cannot be fetched" in rows["away"]
        rewritten = origins["rewritten"]
        rewritten.commit("Another history", parents=[str(before["rewritten"])])
        person.type("y\n")
        person.until("library is ready")
        person.until("main was rewritten in the meantime and does not contain")
        person.until("closed: at ")
        while not (monday.folder / "pushing").exists():
            time.sleep(0.1)
        person.type("\x03")
        status, rest = person.end()
    assert status == 6, rest
    assert "slow: stopped during the push; stable is still at " in rest
    table = rest[rest.rindex("REPOSITORY") :]
    results = {line.split()[0]: line for line in table.splitlines()[1:] if line.split() and line.split()[0] in NAMES}
    for name, result in (
        ("library", "moved"),
        ("service", "moved"),
        ("refused", "failed"),
        ("away", "failed"),
        ("diverged", "left"),
        ("rewritten", "failed"),
        ("closed", "not ready"),
        ("web", "not tried"),
        ("slow", "stopped"),
    ):
        assert f" {result} " in results[name], table
    assert "build 2 failed" in " ".join(table.split())
    assert max(map(len, table.splitlines())) <= 100
    moved = {name: origin.tip("stable") for name, origin in origins.items() if name != "away"}
    assert moved["library"] == wanted
    assert (monday.folder / "tries").read_text().split() == ["library", wanted] * 2
    for name in ("service", "closed"):
        assert moved[name] == origins[name].tip("main")
    for name in ("refused", "diverged", "rewritten", "web", "slow"):
        assert moved[name] == before[name]

    # The same command again goes on where the gate ended: what comes after it is still not moved.
    again = monday.promote("move", "closed", "web", "--yes", "--output", "json")
    assert again.status == 1
    assert {each["repository"]: each["result"] for each in again.report["repositories"]} == {
        "closed": "not_ready",
        "web": "behind",
    }
    script(monday.folder / "broken", "exit 0")
    again = monday.promote("move", "closed", "web", "--yes", "--output", "json")
    assert again.status == 0, again.stderr
    assert origins["web"].tip("stable") == origins["web"].tip("main")
