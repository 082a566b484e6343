"""The forms of output: tables for people by default, documents for programs, names for other commands."""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
import subprocess
import termios

import pytest
import yaml

from tests.support.place import PROGRAM, Place, started
from tests.support.rights import ROLL_BACK

NAMES = ["imagestreamtag.image.openshift.io/app-2:prod", "imagestreamtag.image.openshift.io/app-10:prod"]


@pytest.mark.parametrize("command", ["plan", "status", "history"])
def test_every_form_of_output(place: Place, command: str) -> None:
    for name in ("app-10", "app-2"):
        place.imported(name)
    words = (command, "app-2", "app-10")
    as_json = json.loads(place.run(*words, "-o", "json").stdout)
    as_yaml = yaml.safe_load(place.run(*words, "-o", "yaml").stdout)
    assert as_json["kind"] == as_yaml["kind"] == {"plan": "Report"}.get(command, command.capitalize())
    assert as_yaml.keys() == as_json.keys()
    assert [tag["stream"] for tag in as_yaml["tags"]] == [tag["stream"] for tag in as_json["tags"]]
    assert sorted(place.run(*words, "-o", "name").stdout.splitlines()) == sorted(NAMES)
    digest = place.current("app-2")
    assert digest and digest in place.run(*words, "-o", "wide").stdout
    table = place.run(*words, "-o", "table").stdout
    assert digest not in table and digest.removeprefix("sha256:")[:12] in table
    assert table.index("app-2:prod") < table.index("app-10:prod")


def test_a_table_is_the_default_also_in_a_pipe_and_json_in_a_pod(place: Place) -> None:
    place.imported("app")
    for pod, start in (({}, place.sandbox.server), ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "{")):
        with started([PROGRAM, "plan"], place.environment() | pod) as process:
            out, _ = process.communicate(timeout=60)
        assert out.startswith(start), out


def test_a_mistyped_form_and_one_that_the_command_does_not_have(place: Place) -> None:
    wrong = place.run("plan", "-o", "jsn")
    assert wrong.status == 2 and "did you mean json?" in wrong.stderr
    assert place.run("completion", "bash", "-o", "name").status == 2


def test_names_of_what_has_no_tags(place: Place) -> None:
    place.imported("app")
    place.push("app", "two")
    assert place.run("run").status == 0
    (run,) = json.loads(place.run("history", "--runs", "-o", "json").stdout)["runs"]
    for words, names in (
        (("history", "--runs"), [run["id"]]),
        (("explain", "pinned", "Pinned"), ["pinned"]),
    ):
        assert place.run(*words, "-o", "name").stdout.splitlines() == names
    place.sandbox.grant(place.namespace, "import-images", ROLL_BACK)
    assert place.run("freeze", "--reason", "holidays", "-o", "name").stdout == f"{place.namespace}\n"


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_a_table_fits_the_terminal_and_keeps_the_tag(place: Place, columns: int) -> None:
    names = [f"a-very-long-name-of-a-stream-that-somebody-chose-{number}" for number in (1, 2)]
    for name in names:
        place.imported(name)
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = place.environment(TERM="xterm")
    process = subprocess.Popen([PROGRAM, "plan"], env=environment, stdin=slave, stdout=slave, stderr=subprocess.DEVNULL)
    os.close(slave)
    text = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
    assert process.wait(60) == 0
    os.close(master)
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in text.decode().splitlines()]
    assert max(map(len, lines)) <= columns
    for number in (1, 2):
        assert any(f"-{number}:prod" in line and "unchanged" in line for line in lines), lines
