"""Texts of registries, servers, images and other people: nothing in them hides, steers or covers what is shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from job.domain.text import clean

ZERO_WIDTH = ["\u200b", "\u200c", "\u200d", "\u2060", "\u00ad", "\ufeff", "\u180e", "\U000e0041", "\U000e0001"]
BLANK = ["\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\u034f", "\ufe0f", "\U000e0100", "\u17b4", "\u17b5"]
# Everything that a terminal or a browser may act on or hide.
STEERING = st.characters(categories=["Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Mn", "Me"])


@pytest.mark.parametrize("character", [*ZERO_WIDTH, *BLANK])
def test_invisible_characters_do_not_pass(character: str) -> None:
    assert clean(f"sha256:ab{character}cd") == "sha256:abcd"


@pytest.mark.parametrize("character", ["\u202e", "\u2066", "\u061c", "\u200f"])
def test_marks_that_turn_the_direction_do_not_pass(character: str) -> None:
    assert character not in clean(f"exe{character}gpj")


def test_stacked_marks_are_cut_and_letters_with_marks_are_kept() -> None:
    assert clean("e" + "\u0301" * 400 + "x") == "e\u0301\u0301x"
    for word in ("Tiếng Việt", unicodedata.normalize("NFD", "Tiếng Việt"), "שָׁלוֹם", "ภาษาไทยที่ดี", "Škoda"):
        assert clean(word) == word


def test_other_spaces_are_spaces() -> None:
    assert clean("a\u00a0b\u2003c\u3000d") == "a b c d"


def test_an_invisible_character_does_not_hide_a_password() -> None:
    assert "hunter2" not in clean("pass\u200bword=hunter2")
    assert "hunter2" not in clean("https\u2060://user:hunter2@h")


@given(st.text(STEERING | st.sampled_from("ab :@/="), max_size=200))
def test_no_text_holds_anything_invisible(text: str) -> None:
    cleaned = clean(text)
    for character in cleaned:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}
    marks = [unicodedata.category(character) in ("Mn", "Me") for character in cleaned]
    assert not any(all(marks[at : at + 3]) for at in range(len(marks) - 2))


@given(st.text(st.characters() | st.sampled_from("pasword:=@/ \"'\\token"), max_size=300))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean(text)
    assume(not once.endswith("…"))
    assert clean(once) == once


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "text",
    [
        "token" + "\\" * 100_000,
        "password" + " " * 100_000,
        "://a:b " * 20_000,
        'token="' * 20_000,
        "a.b-" * 50_000,
        "--token " * 20_000,
        "eyJ" * 50_000,
        "e" + "\u0301" * 100_000,
        "\u200b" * 100_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    for _ in range(20):
        assert len(clean(text)) <= 500
