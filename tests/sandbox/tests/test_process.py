"""`python -m tests.sandbox` as a program: what it prints, starts and leaves behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.sandbox.client import start, until
from tests.support.paths import ROOT


def run(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.sandbox", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )


def answers(address: str, path: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_one_line_and_nothing_left(tmp_path: Path, number: signal.Signals) -> None:
    process = run(tmp_path)
    assert process.stdout and process.stderr
    with process.stdout, process.stderr:
        line = json.loads(process.stdout.readline())
        assert list(line) == ["server", "registry", "pushgateway", "kubeconfig", "token"]
        places = [
            (urlsplit(line["server"]).netloc, "/version"),
            (line["registry"], "/v2/"),
            (urlsplit(line["pushgateway"]).netloc, "/-/ready"),
        ]
        assert all(answers(*place) for place in places)
        assert Path(line["kubeconfig"]).stat().st_mode & 0o777 == 0o600
        assert Path(line["kubeconfig"]).is_relative_to(tmp_path)

        process.send_signal(number)
        assert process.wait(10) == (-number if number is signal.SIGKILL else 0)
        until(lambda: not any(answers(*place) for place in places))
        assert process.stdout.read() == ""
        if number is not signal.SIGKILL:
            assert list(tmp_path.iterdir()) == []
            assert process.stderr.read() == ""


def test_a_registry_of_someone_else() -> None:
    with start("--registry", "127.0.0.1:5", "--no-pushgateway") as sandbox:
        assert sandbox.registry_address == "127.0.0.1:5"
        assert sandbox.pushgateway == ""


def test_options_and_settings() -> None:
    options = ["--no-registry", "--no-pushgateway", "--import-controller", "--set", "import_timeout=3.5"]
    with start(*options) as sandbox:
        settings = sandbox.get("/sandbox/settings")
        assert (settings["pacing"], settings["import_controller"], settings["import_timeout"]) == (True, True, 3.5)
        with sandbox.settings(pacing=False):
            assert sandbox.get("/sandbox/settings")["pacing"] is False
        assert sandbox.get("/sandbox/settings")["pacing"] is True


def test_a_setting_that_is_none(tmp_path: Path) -> None:
    process = run(tmp_path, "--set", "nothing=1")
    said, complaint = process.communicate(timeout=20)
    assert (process.returncode, said) == (2, "")
    assert "no such setting: nothing" in complaint


def test_it_stops_while_requests_are_under_way() -> None:
    with ExitStack() as clients, start("--no-registry", "--no-pushgateway") as sandbox:
        sandbox.add_fault(path="/version", hang=True)
        hanging = clients.enter_context(closing(http.client.HTTPConnection(urlsplit(sandbox.server).netloc)))
        hanging.request("GET", "/version", headers={"Authorization": f"Bearer {sandbox.token}"})
        events = clients.enter_context(sandbox.watch("/api/v1/namespaces"))
        assert next(events)["type"] == "ADDED"
        begun = time.monotonic()
    assert time.monotonic() - begun < 10


def test_the_pushgateway_takes_metrics() -> None:
    with start("--no-registry") as sandbox:
        address = urlsplit(sandbox.pushgateway).netloc
        connection = http.client.HTTPConnection(address, timeout=5)
        connection.request("PUT", "/metrics/job/a", b"x 1\n")
        assert connection.getresponse().read() == b""
        connection.request("GET", "/api/v1/metrics")
        assert json.loads(connection.getresponse().read())["data"][0]["labels"] == {"job": "a"}
        connection.close()
