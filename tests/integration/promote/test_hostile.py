"""Hostile commits, branches, labels and remotes that try to control terminals or forge lines, in whole runs."""

from __future__ import annotations

import json

import pytest

from tests.integration.promote.test_chain import REVISION
from tests.integration.runs.test_hostile import ALL, FORGED, HOSTILE, TOGETHER, assert_harmless
from tests.support.forge import Folder
from tests.support.place import Ended, Place
from tests.support.tiers import slow

WHOLE_RUN = "whole promotions with hostile texts; those of commits and branches gate"


# Git allows everything but NUL in a commit's author and subject. The length is bounded by that of an argument.
TEXTS = [text.replace("\x00", "") for text in (*TOGETHER.values(), ALL, "x" * 100_000)]
# Both git and promote.toml allow this branch name.
STABLE = "stable<b>é😀$(id)`id`;rm"
# Git allows these names as well.
OTHERS = ("\u202egpj.exe", "\x9b31mred", "a\u2028b", "--force", "x" * 200)


@pytest.fixture
def web(folder: Folder, place: Place) -> Place:
    """A repository with these commits and branches, and its stream, with an image built from one of them."""
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


def assert_output(done: Ended) -> Ended:
    """Check that the output has no control characters and no forged lines."""
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
    """Run a command with both forms of output."""
    environment = place.environment(PUSHGATEWAY_ADDRESS=None)
    return [
        assert_output(folder.promote(*arguments, "--output", output, **environment))
        for output in ("markdown" if arguments[0] == "notes" else "table", "json")
    ]


def test_commits_and_branches(folder: Folder, web: Place) -> None:
    table, document = promote(folder, web, "status")
    assert (table.status, document.status) == (0, 0), document.stderr
    (repository,) = document.report["repositories"]
    assert repository["rolling"]["subject"] == TEXTS[-1]
    assert (repository["between"], [each["place"] for each in repository["running"]]) == (
        len(TEXTS),
        [f"{len(TEXTS)} ahead of stable"],
    )
    table, document = promote(folder, web, "move", "--dry-run")
    assert (table.status, document.status) == (0, 0), document.stderr
    for text in (table.stdout, document.stderr):
        # The visible part of the texts is shown.
        assert "owned" in text and STABLE in text
    assert [each["result"] for each in document.report["repositories"]] == ["would_move"]
    markdown, document = promote(folder, web, "notes")
    assert (markdown.status, document.status) == (0, 0), document.stderr
    assert "owned" in markdown.stdout
    # Markdown renders none of it as a tag, code or a link.
    assert not any(part in markdown.stdout for part in (" <b>", " `id`", " [link"))
    (change,) = document.report["repositories"][0]["changes"]
    assert len(change["commits"]) == len(TEXTS)


@slow(WHOLE_RUN)
def test_messages_of_the_remote(folder: Folder, web: Place) -> None:
    messages = folder.folder / "messages"
    messages.write_text("\n".join((ALL.replace("\x00", ""), "x" * 100_000)), encoding="utf-8")
    folder.origins["web"].hook("update", f"cat {messages} >&2\nexit 1")
    for done in promote(folder, web, "move", "--yes"):
        assert done.status == 1
        assert "owned" in done.stderr


@slow(WHOLE_RUN)
def test_revision_labels(folder: Folder, web: Place) -> None:
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
    done = assert_output(folder.promote(*arguments.split(), text))
    assert done.status == 2, done.stderr
    assert done.stderr.startswith(("import-images: ", "usage: ", "import-images promote"))
