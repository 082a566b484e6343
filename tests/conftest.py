"""For all tests: no output of the job tells what was given to it to keep to itself."""

from __future__ import annotations

import logging
import signal
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings

from job.domain.secrets import SECRETS
from tests.sandbox import client
from tests.sandbox.client import Sandbox
from tests.support import tiers
from tests.support.secrets import WATCH, watch_captures, watch_processes

# jsonschema builds the grammar of IRIs when it is imported and this package is there, which takes each worker 3 s; no
# schema of ours has an IRI, and jsonschema does without.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

# A busy machine is not a defect.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

COUNTED = pytest.StashKey[Counter[str]]()
WORKERS_COUNTED: Counter[str] = Counter()


def pytest_configure(config: pytest.Config) -> None:
    # Who starts the tests in the background may have them ignored, and what the tests start would inherit that.
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse slow tests without a reason, and count the tiers before `-m` selects one of them."""
    if missing := tiers.reasons_missing(items):
        raise pytest.UsageError(f"slow without a reason: {', '.join(missing[:10])}")
    config.stash[COUNTED] = tiers.counted(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many cases ran of how many there are; with xdist only the workers collect."""
    counted = config.stash.get(COUNTED, None) or WORKERS_COUNTED
    if counted:
        ran = sum(len(terminalreporter.stats.get(outcome, ())) for outcome in ("passed", "failed", "xfailed"))
        parts = f"{counted['gating']} gate each change, {counted['slow']} are slow"
        terminalreporter.write_line(f"cases: {ran} ran, of {counted.total()} ({parts}: make test-all runs these too)")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over the count of a worker of xdist."""
    WORKERS_COUNTED.clear()
    WORKERS_COUNTED.update(getattr(node, "workeroutput", {}).get("tiers", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the count of a worker of xdist to its controller."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["tiers"] = dict(session.config.stash.get(COUNTED, {}))


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
def _clean_sandbox(request: pytest.FixtureRequest) -> None:
    """Clear what namespaces do not keep apart: log, metrics, and how images behave, whose digests tests may share."""
    if "whole_sandbox" in request.fixturenames:
        sandbox = request.getfixturevalue("whole_sandbox")
        sandbox.clear_log()
        sandbox.clear_pushgateway()
        sandbox.change_settings(image_behaviours={})


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
