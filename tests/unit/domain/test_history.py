"""The images that a tag had, and the one that a rollback goes to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.history import (
    NoSuchImageError,
    bad_images,
    earlier_than_current,
    first_imported_at,
    image_to_go_to,
    tenures_of,
)
from job.domain.model import Hold, Item

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)


def digest(name: str) -> str:
    return "sha256:" + name.encode().hex().ljust(64, "0")


def steps(names: str) -> tuple[Item, ...]:
    """A history, given oldest first, a letter for each image, an hour apart; newest first as the API has it."""
    found = [Item(digest(name), NOW + timedelta(hours=hour), f"repo@{digest(name)}") for hour, name in enumerate(names)]
    return tuple(reversed(found))


def hold(names: str, image: str, bad: str, *, came: bool = True) -> Hold:
    """The hold on the last image of a history."""
    first = first_imported_at(steps(names), digest(image)) if came else None
    return Hold(NOW, None, None, None, digest(image), bad=digest(bad), first_imported=first)


def names_of(found: tuple[Item, ...]) -> str:
    letters = {digest(name): name for name in "abcdefgh"}
    return "".join(letters[step.digest] for step in found)


@pytest.mark.parametrize(
    ("history", "earlier"),
    [
        ("", ""),
        ("a", ""),
        ("ab", "a"),
        ("abc", "ba"),
        # After a rollback one step back must not be the bad one.
        ("aba", ""),
        ("abcb", "a"),
        ("abca", ""),
        ("abcba", ""),
        # Fixed after a rollback: the image that was rolled back from is not offered.
        ("abac", "a"),
        # Unless the tag was moved to it again since.
        ("abab", "a"),
        ("ababc", "ba"),
    ],
)
def test_what_is_earlier(history: str, earlier: str) -> None:
    assert names_of(earlier_than_current(steps(history), None)) == earlier


@pytest.mark.parametrize(
    ("history", "left", "image", "bad", "earlier"),
    [
        # Pruning left only what the rollback itself put there: the hold knows when its image first came.
        ("abcb", 2, "b", "c", ""),
        ("abcb", 3, "b", "c", ""),
        ("abca", 3, "a", "c", ""),
    ],
)
def test_of_a_pruned_history_the_hold_tells(history: str, left: int, image: str, bad: str, earlier: str) -> None:
    found = earlier_than_current(steps(history)[:left], hold(history, image, bad))
    assert names_of(found) == earlier


def test_an_image_that_never_was_in_the_history_is_not_older_than_the_rest() -> None:
    held = hold("abcd", "d", "c", came=False)
    assert names_of(earlier_than_current(steps("abcd"), held)) == "ba"


@given(st.text("abcde", min_size=1, max_size=12))
def test_a_rollback_never_goes_to_what_came_later(history: str) -> None:
    found = steps(history)
    first = {name: history.index(name) for name in history}
    earlier = names_of(earlier_than_current(found, None))
    assert len(set(earlier)) == len(earlier)
    assert all(first[name] < first[history[-1]] for name in earlier)
    assert [first[name] for name in earlier] == sorted((first[name] for name in earlier), reverse=True)


@given(st.text("abcde", min_size=2, max_size=8), st.data())
def test_step_by_step_one_comes_to_an_end(history: str, data: st.DataObject) -> None:
    """Rollback after rollback, each held, with a history that may be pruned before any of them."""
    left, held = steps(history), None
    for number in range(len(set(history)) + 1):
        left = left[: data.draw(st.integers(3, 20))]
        earlier = earlier_than_current(left, held)
        if not earlier:
            return
        there, now = earlier[0].digest, left[0]
        assert there != digest(history[-1])
        held = Hold(NOW, None, None, None, there, bad=now.digest, first_imported=first_imported_at(left, there))
        left = (Item(there, NOW + timedelta(days=1, hours=number), ""), *left)
    raise AssertionError("it goes round in a circle")


def test_to_go_on_to_an_image_that_was_rolled_back_from_is_no_rollback() -> None:
    """As after resume, where the registry still has it: the older one was not bad."""
    assert [(m.restored, m.rolled_back_from) for m in tenures_of(steps("abab"))] == [
        (False, False),
        (True, False),
        (False, True),
        (False, False),
    ]


def test_the_hold_shows_what_was_rolled_back_to_an_image_that_the_tag_never_had() -> None:
    assert bad_images(steps("ab"), None) == frozenset()
    assert bad_images(steps("ab"), hold("ab", "b", "a")) == {digest("a")}
    # It was moved to that one again since.
    assert bad_images(steps("aba"), hold("aba", "a", "a")) == {digest("b")}
    assert bad_images((), hold("ab", "b", "a")) == frozenset()


def test_how_long_each_stayed() -> None:
    tenures = tenures_of(steps("aba"))
    assert [(m.is_current, m.restored, m.rolled_back_from) for m in tenures] == [
        (True, True, False),
        (False, False, True),
        (False, False, False),
    ]
    assert [m.until for m in tenures] == [None, NOW + timedelta(hours=2), NOW + timedelta(hours=1)]
    assert tenures_of(()) == ()


class TestWhichImage:
    def test_a_number(self) -> None:
        assert image_to_go_to(steps("abc"), None, "2") == steps("abc")[2]
        with pytest.raises(NoSuchImageError, match="only 2 earlier"):
            image_to_go_to(steps("abc"), None, "3")
        with pytest.raises(NoSuchImageError, match="no earlier image"):
            image_to_go_to(steps("a"), None, "1")

    @pytest.mark.parametrize("prefix", ["", "sha256:"])
    def test_the_beginning_of_a_digest(self, prefix: str) -> None:
        found = image_to_go_to(steps("abc"), None, prefix + digest("a")[7:20])
        assert found == steps("abc")[2]
        assert image_to_go_to(steps("abab"), None, digest("a")) == steps("abab")[1]

    def test_one_that_fits_several(self) -> None:
        alike = tuple(Item("sha256:" + "0" * 60 + each * 4, NOW, "") for each in "123")
        with pytest.raises(NoSuchImageError, match="beginning of 3 digests"):
            image_to_go_to(alike, None, "000000")

    def test_the_one_that_it_has(self) -> None:
        with pytest.raises(NoSuchImageError, match="already"):
            image_to_go_to(steps("ab"), None, digest("b"))

    def test_a_full_digest_that_is_not_in_the_history_is_looked_for(self) -> None:
        assert image_to_go_to(steps("ab"), None, digest("f")) == digest("f")
        assert image_to_go_to(steps("ab"), None, digest("f")[7:]) == digest("f")
        with pytest.raises(NoSuchImageError, match="no digest in its history"):
            image_to_go_to(steps("ab"), None, digest("f")[7:30])

    @given(st.text())
    def test_anything_else_is_refused(self, text: str) -> None:
        try:
            found = image_to_go_to(steps("abc"), None, text)
        except NoSuchImageError:
            return
        assert found in (*steps("abc")[1:], text, f"sha256:{text}")
