"""For all tests: no output of the job tells what was given to it to keep to itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox import client
from tests.sandbox.client import Sandbox
from tests.secrets import WATCH, watch_processes
from tests.spread import mark


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items)


def _search(sandbox: Sandbox) -> None:
    sandbox.remove_faults()
    WATCH.search_sandbox(sandbox)
    WATCH.check()


@pytest.fixture(scope="session", autouse=True)
def _watched() -> Iterator[None]:
    """Every process of the job is watched, and every sandbox is searched before it ends."""
    with pytest.MonkeyPatch.context() as patch:
        watch_processes(WATCH, patch)
        client.BEFORE_END.append(_search)
        yield
        client.BEFORE_END.remove(_search)


@pytest.fixture(scope="session")
def whole_sandbox() -> Iterator[Sandbox]:
    """One sandbox for all whole runs of a worker; each test has a namespace of its own in it."""
    with client.start("--no-pacing") as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_secret_is_told() -> Iterator[None]:
    yield
    WATCH.search_files()
    WATCH.check()
