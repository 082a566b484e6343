"""How the unit tests run: few examples each, and no program but Python itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A busy machine is not a defect. Fewer examples than usual, since every change runs them all.
settings.register_profile("unit", deadline=None, max_examples=50)
settings.load_profile("unit")

_watching = False


def _refuse_programs(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event == "subprocess.Popen" and str(arguments[0]) != sys.executable:
        raise FileNotFoundError(f"{arguments[0]}: a test that needs a program belongs into tests/integration")


# An audit hook cannot be removed again.
sys.addaudithook(_refuse_programs)


@pytest.fixture(autouse=True)
def _no_programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A unit test needs no program on the PATH, nor kubectl beside Python."""
    global _watching
    monkeypatch.setenv("PATH", "")
    _watching = True
    yield
    _watching = False
