"""Log lines: for people on a terminal, as JSON lines in a container, and never more than one line each."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.runtime.logs import log_defect, set_up

Written = Callable[[], str]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """What was written to stderr since the last call."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    logger, root = logging.getLogger("job"), logging.getLogger()
    before = logger.handlers[:], logger.propagate, logger.level, root.handlers[:]
    yield lambda: capsys.readouterr().err
    logger.handlers[:], logger.propagate, level, root.handlers[:] = before
    logger.setLevel(level)


def set_up_in_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    set_up()


def test_on_a_terminal_lines_are_for_people(written: Written) -> None:
    set_up()
    log = logging.getLogger("job.imagestreams.importer")
    log.info("begun with %d tags", 3)
    log.warning("careful")
    log.error("broken")
    assert written().splitlines() == [
        "import-images: begun with 3 tags",
        "import-images: warning: careful",
        "import-images: error: broken",
    ]


def test_in_a_container_lines_are_json(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up_in_a_container(monkeypatch)
    logging.getLogger("job.imagestreams.importer").warning("careful: é")
    line = json.loads(written())
    assert line.keys() == {"time", "level", "message"}
    assert (line["level"], line["message"]) == ("warning", "careful: é")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def _fail() -> None:
    raise KeyError("q1: https://me:hunter2@quay.io/v2/\nforged: line")


@pytest.mark.parametrize("how", ["container", "verbose", "plain"])
def test_a_defect_shows_where_it_happened(written: Written, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "container":
        set_up_in_a_container(monkeypatch)
    else:
        set_up()
    if how == "verbose":
        logging.getLogger("job").setLevel(logging.DEBUG)
    try:
        _fail()
    except KeyError as error:
        log_defect("internal error", error)
    text = written()
    assert "hunter2" not in text
    if how == "container":
        line = json.loads(text)
        assert line["message"].startswith("internal error: KeyError: ")
        assert any("test_logs.py" in each and "_fail" in each for each in line["traceback"])
        assert not any(each.startswith("forged") for each in line["traceback"])
        return
    first, *more = text.splitlines()
    assert first.startswith("import-images: error: internal error: KeyError: ") and first.endswith("; please report it")
    assert any("test_logs.py" in each and "_fail" in each for each in more) == (how == "verbose")


@pytest.mark.parametrize("container", [True, False])
def test_a_message_is_one_line(written: Written, monkeypatch: pytest.MonkeyPatch, container: bool) -> None:
    if container:
        set_up_in_a_container(monkeypatch)
    else:
        set_up()
    logging.getLogger("job").error("a\nb\r\nc\x1b[31m\u2028d")
    assert len(written().splitlines()) == 1


def test_any_message_is_one_line_of_json(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up_in_a_container(monkeypatch)

    @settings(max_examples=50)
    @given(st.text(max_size=50))
    def check(message: str) -> None:
        logging.getLogger("job").error("%s", message)
        (line,) = written().splitlines()
        assert isinstance(json.loads(line)["message"], str)

    check()


def test_a_long_message_is_cut(written: Written) -> None:
    set_up()
    logging.getLogger("job").error("%s", "x" * 1_000_000)
    assert len(written()) < 3000


def test_logins_and_tokens_are_left_out(written: Written) -> None:
    set_up()
    logging.getLogger("job").error("http://user:hunter2@h refused Bearer hunter2")
    assert "hunter2" not in written()


def test_an_exception_is_not_spread_over_lines(written: Written) -> None:
    set_up()
    try:
        raise ValueError("inner")
    except ValueError:
        logging.getLogger("job").exception("it broke")
    assert len(written().splitlines()) == 1


def test_libraries_are_not_heard(written: Written) -> None:
    set_up()
    logging.getLogger("urllib3.connectionpool").warning("Retrying https://user:hunter2@h")
    logging.getLogger("kubernetes.client.rest").error("headers: Authorization: Bearer hunter2")
    assert written() == ""


def test_set_up_twice_says_everything_once(written: Written) -> None:
    set_up()
    set_up()
    logging.getLogger("job").info("once")
    assert written().count("once") == 1
