"""A person at a real terminal: what is shown while it takes time, at a question, and by Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.sandbox.client import Sandbox, until
from tests.support.conversation import Conversation, conversation
from tests.support.place import PROGRAM, Place
from tests.support.pods import lease, make_lease
from tests.support.rights import ROLL_BACK
from tests.support.tiers import representatives

CTRL_C = "\x03"
WIDTHS = representatives([80, 40, 120, 200], "one width shows the course; each costs seconds")


def unique(place: Place, content: str) -> str:
    """Content that makes an image of this test alone, since how images behave is known by their digests."""
    return f"{place.namespace} {content}"


@contextmanager
def typed(place: Place, *arguments: str, columns: int = 100, **more: str | None) -> Iterator[Conversation]:
    """The program on a terminal; as a person's own login has no Pushgateway."""
    environment = place.environment(PUSHGATEWAY_ADDRESS=None, **more)
    with conversation([PROGRAM, *arguments], environment, Path.cwd(), columns) as shown:
        yield shown


def test_a_run_that_nothing_narrows_says_where_and_how_many_before_it_begins(place: Place) -> None:
    for name in ("web", "worker"):
        place.imported(name)
    gate = place.import_fault(gate=True)
    with typed(place, "run") as shown:
        said = shown.until("importing 2 tags prod of")
        said += shown.until("as ")
        assert f"{place.namespace} on {place.sandbox.server}" in said
        assert place.imports("web") == [] or place.imports("web")[0]["ended"] is None
        # What is under way is on the screen, and how many of how many.
        shown.until("importing: 0/2 tags")
        shown.until("request under way")
        place.sandbox.remove_faults(gate)
        status, rest = shown.end()
    assert status == 0, rest
    assert "2 unchanged" in rest


def test_the_second_ctrl_c_releases_the_lock(place: Place) -> None:
    place.imported("app")
    place.import_fault(hang=True)
    with typed(place, "run") as shown:
        shown.until("request under way")
        shown.type(CTRL_C)
        shown.until("then the lock is released; press Ctrl-C again to release the lock and stop at once")
        assert lease(place)["holderIdentity"]
        shown.type(CTRL_C)
        shown.until("releasing the lock; press Ctrl-C again to leave it behind")
        assert shown.end()[0] == 6
    assert lease(place)["holderIdentity"] == ""


def test_waiting_for_a_lock_names_the_holder_since_when_and_counts_down(place: Place) -> None:
    place.imported("app")
    since = (datetime.now(UTC) - timedelta(minutes=12)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    make_lease(place, "import-images-prod", holderIdentity="import-images-29395320/run-1", acquireTime=since)
    with typed(place, "run") as shown:
        shown.until("waiting up to 60 s to see whether that run is still alive")
        said = shown.until(f"waiting for the lock in {place.namespace}")
        said += shown.until("at most 5")
        assert "held by" in (said + shown.until("(12m"))
        shown.type(CTRL_C)
        status, rest = shown.end()
    assert status == 6, rest
    assert place.imports() == []


@pytest.mark.parametrize("columns", WIDTHS, ids=str)
def test_a_bad_image_from_plan_to_rollback(sandbox: Sandbox, columns: int) -> None:
    place = Place(sandbox, ROLL_BACK)
    old = place.imported("app", unique(place, "old"))
    image = f"{place.source('app').rpartition(':')[0]}@{old}"
    sandbox.create_workload(place.namespace, "Deployment", "app", tag="app:prod", image=image)
    until(lambda: place.images("app") == {old})
    bad = place.push("app", unique(place, "bad"))
    sandbox.image_behaves(bad, "crash")
    with typed(place, "plan", columns=columns) as shown:
        status, page = shown.end()
    assert status == 0 and "app:prod" in page
    fits(page, columns)
    with typed(place, "run", "--watch-rollouts", "--rollout-timeout", "6s", columns=columns) as shown:
        # Why it is not ready yet is on the screen while it is waited for.
        shown.until("watching")
        shown.until("Deployment app:")
        status, page = shown.end()
    assert status == 5, page
    # The way back is printed for the person who needs it.
    assert "rollback" in page
    with typed(place, "rollback", "app:prod", columns=columns) as shown:
        page = shown.until("? [y/N] ")
        assert "was current until" in " ".join(page.split())
        assert sandbox.server.removeprefix("http://") in page.replace("\n", "")
        shown.type("n\n")
        status, page = shown.end()
    assert (status, place.current("app")) == (2, bad), page
    assert "Aborted; nothing was changed." in page
    with typed(place, "rollback", "app:prod", columns=columns) as shown:
        shown.until("? [y/N] ")
        shown.type("y\n")
        shown.until("watching")
        status, page = shown.end()
    assert (status, place.current("app")) == (0, old), page
    assert "rolled back" in page


def fits(page: str, columns: int) -> None:
    """Assert that no line of a table is wider than the terminal."""
    assert max(map(len, page.splitlines()), default=0) <= columns, page


@pytest.mark.parametrize("columns", WIDTHS, ids=str)
def test_the_status_is_drawn_again_until_ctrl_c(place: Place, columns: int) -> None:
    place.imported("app", "old")
    with typed(place, "status", "--watch", columns=columns) as shown:
        shown.until("Every 5 s; Ctrl-C ends")
        head = shown.until("1 current").replace("\n", "")
        assert place.sandbox.server in head and f"{place.namespace}:import-images" in head
        place.push("app", "new")
        shown.until("1 behind")
        shown.type(CTRL_C)
        status, rest = shown.end()
    assert status == 0, rest
    assert "stopping" not in rest
    fits(rest, columns)


@pytest.mark.parametrize("arguments", [("--output", "json"), ()], ids=["json", "pipe"])
def test_what_is_no_terminal_cannot_be_watched(place: Place, arguments: tuple[str, ...]) -> None:
    place.imported("app")
    done = place.run("status", "--watch", *(arguments or ("--output", "table")))
    assert done.status == 2
    assert "--watch draws on a terminal" in done.stderr
    assert place.requests() == []
