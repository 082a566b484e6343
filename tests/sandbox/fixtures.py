"""Fixtures for tests that need a sandbox: `pytest_plugins = ["tests.sandbox.fixtures"]`.

One sandbox serves all tests of a worker. Each test gets a namespace of its own; faults and settings are put back
after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.client import Sandbox, start
from tests.support.registries import faulty_registry


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    with start("--no-pushgateway", "--no-pacing") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The worker's sandbox, without Pushgateway and without pacing."""
    before = shared_sandbox.get("/sandbox/settings")
    yield shared_sandbox
    shared_sandbox.remove_faults()
    shared_sandbox.change_settings(**before)


@pytest.fixture
def namespace(sandbox: Sandbox) -> Iterator[str]:
    """A namespace that is gone after the test."""
    name = sandbox.create_namespace()
    yield name
    sandbox.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def failing_registry() -> Iterator[str]:
    """The address of a registry that fails as `tests.support.registries` says."""
    with faulty_registry() as address:
        yield address
