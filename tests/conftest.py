"""For all tests: no output of the job tells what was given to it to keep to itself."""

from __future__ import annotations

import logging
import signal
from collections.abc import Generator, Iterator

import pytest

from job.domain.secrets import SECRETS
from tests.sandbox import client
from tests.sandbox.client import Sandbox
from tests.spread import mark
from tests.support.secrets import WATCH, watch_captures, watch_processes


def pytest_configure(config: pytest.Config) -> None:
    # Who starts the tests in the background may have them ignored, and what the tests start would inherit that.
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    config.addinivalue_line("markers", "always: part of every `make test`, whatever the share of its file")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Search what was captured of a test, all of which is known after its last step."""
    report = yield
    if report.when == "teardown":
        WATCH.search_report(report)
        try:
            WATCH.check()
        except AssertionError as problem:
            report.outcome, report.longrepr = "failed", str(problem)
    return report


def _search(sandbox: Sandbox) -> None:
    sandbox.remove_faults()
    WATCH.search_sandbox(sandbox)
    WATCH.check()


@pytest.fixture(scope="session", autouse=True)
def _watched() -> Iterator[None]:
    """Every process of the job is watched, and every sandbox is searched before it ends."""
    with pytest.MonkeyPatch.context() as patch:
        watch_processes(WATCH, patch)
        watch_captures(WATCH, patch)
        client.BEFORE_END.append(_search)
        yield
        client.BEFORE_END.remove(_search)


@pytest.fixture(scope="session")
def whole_sandbox() -> Iterator[Sandbox]:
    """One sandbox for all whole runs of a worker; each test has a namespace of its own in it."""
    with client.start("--no-pacing") as found:
        yield found


@pytest.fixture(autouse=True)
def _short_log(request: pytest.FixtureRequest) -> None:
    """Each test asks for the whole log of requests, which would be that of hundreds of tests."""
    if "whole_sandbox" in request.fixturenames:
        request.getfixturevalue("whole_sandbox").clear_log()


@pytest.fixture(autouse=True)
def nothing_secret_is_told() -> Iterator[None]:
    logger = logging.getLogger("job")
    before = logger.handlers[:], logger.propagate, logger.level
    yield
    SECRETS.forget()
    # What a test has set up would write to its own stream, which is closed, and tell so with lines of the tests.
    logger.handlers[:], logger.propagate, level = before
    logger.setLevel(level)
    WATCH.search_files()
    WATCH.check()
