"""The size of things: a module that no longer fits on a few screens is to be split, and so is a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MOST_LINES_OF_A_MODULE = 350
MOST_LINES_OF_A_FUNCTION = 60
MODULES = sorted((ROOT / "job").rglob("*.py"))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_a_module_and_its_functions_are_not_too_long(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES_OF_A_MODULE
    for function in _functions(ast.parse(text)):
        assert (function.end_lineno or 0) - function.lineno < MOST_LINES_OF_A_FUNCTION, function.name
