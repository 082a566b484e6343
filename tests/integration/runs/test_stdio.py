"""Whatever the standard streams are, a run is made and told."""

from __future__ import annotations

import pytest

from tests.support.place import PROGRAM, Place, ended, started
from tests.support.pods import journal


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("output", ["table", "json"])
def test_streams_that_were_closed(place: Place, closed: str, output: str) -> None:
    place.imported("worker")
    digest = place.push("worker", "two")
    place.stream("gone")
    command = ["bash", "-c", f'exec "$0" --output {output} {closed}', str(PROGRAM)]
    with started(command, place.environment()) as process:
        done = ended(process)
    assert done.status == 1
    assert place.current("worker") == digest
    assert [run.outcome for run in journal(place).runs] == ["partial"]
    assert ("worker" in done.stdout) == (closed == "2>&-")


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "iso-8859-5"},
    ],
    ids=lambda each: "-".join(each.values()),
)
def test_a_terminal_that_lacks_characters(place: Place, environment: dict[str, str]) -> None:
    revision = "\U0001f4a9\u00e9"
    place.imported("worker", labels={"org.opencontainers.image.revision": revision})
    table = place.run("--output", "table", **environment)
    assert table.status == 0, table.stderr
    assert any(line.startswith("worker:prod") and "??" in line for line in table.stdout.splitlines())
    report = place.run(**environment)
    assert report.tags["worker:prod"]["after"]["revision"] == revision
    assert place.run("history", "worker", "--output", "table", **environment).status == 0


def test_settings_that_are_no_text(place: Place) -> None:
    place.imported("worker")
    command = ["bash", "-c", "DEPLOYMENT=$'\\xff' exec \"$0\" plan $'wor\\xfe*'", str(PROGRAM)]
    with started(command, place.environment()) as process:
        done = ended(process)
    assert done.status == 2
    assert [line.count("is not") for line in done.stderr.splitlines()] == [1, 1]
