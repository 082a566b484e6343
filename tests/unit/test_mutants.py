"""Every mutant can still be made: the text that it replaces is there once, and what stands there instead is Python."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.__main__ import edited, main
from tests.mutants.catalogue import MUTANTS, Mutant
from tests.support.paths import ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_be_made(mutant: Mutant) -> None:
    source = (ROOT / "job" / mutant.file).read_text(encoding="utf-8")
    changed = edited(mutant, source)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    for argument in mutant.tests:
        assert argument.startswith(("-k", "tests/")) or "tests/" not in argument
        if argument.startswith("tests/"):
            assert (ROOT / argument).exists(), argument


def test_there_are_twenty() -> None:
    assert len(MUTANTS) == len({mutant.name for mutant in MUTANTS}) == 20


def test_a_filter_that_no_mutant_has_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["locks", "unheard-of"]) == 2
    assert "no mutant has locks and unheard-of in its name" in capsys.readouterr().err
