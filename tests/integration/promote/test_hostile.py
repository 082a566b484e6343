"""Commits, branches, labels and remotes of others that try to steer terminals or forge lines, in whole runs."""

from __future__ import annotations

import json

import pytest

from tests.integration.promote.test_chain import REVISION
from tests.integration.runs.test_hostile import ALL, FORGED, HOSTILE, TOGETHER, assert_harmless
from tests.support.forge import Folder
from tests.support.place import Ended, Place

# What git allows in a commit: anything but NUL, and line breaks in the first paragraph. No argument can be longer.
TEXTS = [text.replace("\x00", "") for text in (*TOGETHER.values(), ALL, "x" * 100_000)]
# What git allows in the name of a branch, and promote.toml as well.
STABLE = "stable<b>é😀$(id)`id`;rm"
# What git allows, though nobody would write it in promote.toml.
OTHERS = ("\u202egpj.exe", "\x9b31mred", "a\u2028b", "--force", "x" * 200)


@pytest.fixture
def web(folder: Folder, place: Place) -> Place:
    """A repository with such commits and branches, and its stream, whose image was built from one of them."""
    origin = folder.origin("web")
    first = origin.tip("stable")
    assert first
    origin.move(STABLE, first)
    for name in OTHERS:
        origin.move(name, first)
    place.imported("web", "old", labels={REVISION: first})
    for text in TEXTS:
        origin.commit(text, author=f"J {text[:60_000]}")
    place.push("web", "new", labels={REVISION: str(origin.tip("main"))})
    assert place.run(PUSHGATEWAY_ADDRESS=None).status == 0
    folder.write(folder.table("web", f'streams = ["web"]\nstable = "{STABLE}"'))
    return place


def told_well(done: Ended) -> Ended:
    """What was written is lines of its own and nothing else."""
    for text in (done.stdout, done.stderr):
        assert_harmless(text)
        assert not FORGED.search(text)
    if done.stdout.startswith("{"):
        assert isinstance(json.loads(done.stdout), dict)
        assert done.stdout.isascii()
    else:
        assert all(len(line) < 2500 for line in (done.stdout + done.stderr).splitlines())
    return done


def promote(folder: Folder, place: Place, *arguments: str) -> list[Ended]:
    """The same for people and for programs."""
    environment = place.environment(PUSHGATEWAY_ADDRESS=None)
    return [
        told_well(folder.promote(*arguments, "--output", output, **environment))
        for output in ("markdown" if arguments[0] == "notes" else "table", "json")
    ]


@pytest.mark.always
def test_commits_and_branches(folder: Folder, web: Place) -> None:
    table, document = promote(folder, web, "status")
    assert (table.status, document.status) == (0, 0), document.stderr
    (found,) = document.report["repositories"]
    assert found["rolling"]["subject"] == TEXTS[-1]
    assert (found["between"], [each["place"] for each in found["running"]]) == (
        len(TEXTS),
        [f"{len(TEXTS)} ahead of stable"],
    )
    table, document = promote(folder, web, "move", "--dry-run")
    assert (table.status, document.status) == (0, 0), document.stderr
    for text in (table.stdout, document.stderr):
        # In each of the first two lines of it as they were written.
        assert "owned" in text and STABLE in text
    assert [each["result"] for each in document.report["repositories"]] == ["would_move"]
    markdown, document = promote(folder, web, "notes")
    assert (markdown.status, document.status) == (0, 0), document.stderr
    assert "owned" in markdown.stdout
    # Nothing of it is a link or a tag to whoever shows Markdown.
    assert not any(part in markdown.stdout for part in (" <b>", " `id`", " [link"))
    (change,) = document.report["repositories"][0]["changes"]
    assert len(change["commits"]) == len(TEXTS)


def test_what_the_remote_says(folder: Folder, web: Place) -> None:
    words = folder.folder / "words"
    words.write_text("\n".join((ALL.replace("\x00", ""), "x" * 100_000)), encoding="utf-8")
    folder.origins["web"].hook("update", f"cat {words} >&2\nexit 1")
    for done in promote(folder, web, "move", "--yes"):
        assert done.status == 1
        assert "owned" in done.stderr


def test_what_an_image_says_of_its_revision(folder: Folder, web: Place) -> None:
    web.push("web", "other", labels={REVISION: ALL})
    assert web.run(PUSHGATEWAY_ADDRESS=None).status == 0
    for command in ("status", "notes"):
        for done in promote(folder, web, command):
            assert done.status == 0, done.stderr
            assert "owned" in done.stdout or command == "status"


@pytest.mark.parametrize("text", [ALL.replace("\x00", ""), HOSTILE["option"]], ids=["all", "option"])
@pytest.mark.parametrize(
    "arguments", ["status", "move --yes --to", "notes --since", "status --config", "wait --timeout"]
)
def test_any_argument(folder: Folder, arguments: str, text: str) -> None:
    folder.origin("web")
    folder.write(folder.table("web"))
    done = told_well(folder.promote(*arguments.split(), text))
    assert done.status == 2, done.stderr
    assert done.stderr.startswith(("import-images: ", "usage: ", "import-images promote"))
