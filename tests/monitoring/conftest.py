"""A sandbox for the runs whose metrics are looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.client import Sandbox, start


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """One sandbox for all tests of a worker."""
    with start("--no-pacing") as found:
        yield found
