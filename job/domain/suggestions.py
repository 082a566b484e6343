"""What a mistyped word was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the known word that is nearest, else nothing."""
    from difflib import get_close_matches

    near = get_close_matches(word, sorted(set(known)), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def with_pointer(problem: str, see: str) -> str:
    """A usage error, and what to read or run: `problem; see: COMMAND --help`."""
    return f"{problem}{' See' if problem.endswith('?') else '; see'}: {see}"
