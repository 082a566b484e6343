"""Whole runs, as a user would start them: a process, and what cluster and Pushgateway then hold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.client import Sandbox
from tests.support.place import Place
from tests.support.registries import faulty_registry


@pytest.fixture(scope="session")
def sandbox(whole_sandbox: Sandbox) -> Sandbox:
    """That of the worker."""
    return whole_sandbox


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    """A namespace of the test's own. Faults are for all, so they go when it ends."""
    yield Place(sandbox)
    sandbox.remove_faults()


@pytest.fixture(scope="session")
def faulty() -> Iterator[str]:
    """A registry that fails as the names of its repositories say; its address."""
    with faulty_registry() as address:
        yield address
