"""The example gates ask their services as they say, and the example template renders."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from job.promote.template import render
from tests.support.paths import ROOT

COMMIT = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"


class Service(http.server.BaseHTTPRequestHandler):
    answer: object = None
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = json.dumps(self.answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def service() -> Iterator[tuple[type[Service], str]]:
    handler = type("Handler", (Service,), {"asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield handler, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def gate(name: str, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "ready" / name, *arguments],
        env={"PATH": os.environ["PATH"], "PROMOTE_COMMIT": COMMIT, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()[-1]


def build(version: str | None, state: str) -> object:
    return {"builds": {"latest": {"id": 7, "state": state, "source_package": {"version": version}}}}


def test_copr(service: tuple[type[Service], str]) -> None:
    handler, url = service
    for answer, status, line in (
        (build("1.2-1.20261124.stable.3.g4d5e6f7a8", "succeeded"), 0, f"succeeded: {url}/coprs/build/7"),
        (build("1.2-1.20261124.stable.3.g4d5e6f7a8", "running"), 75, "running"),
        (build("1.2-1.20261124.stable.3.g4d5e6f7a8", "failed"), 1, "failed"),
        (build("1.2-1.20261124.stable.2.gabcdef012", "succeeded"), 75, "waiting for a build of 4d5e6f7a8"),
        (build(None, "importing"), 75, "the latest is none"),
        ({"builds": {"latest": None}}, 75, "the latest is none"),
        ({}, 75, "cannot be asked"),
    ):
        handler.answer = answer
        found = gate("copr", "@packit", "stable", "python-ogr", COPR_URL=url)
        assert found[0] == status and line in found[1], found
    assert "ownername=%40packit" in handler.asked[0] and "packagename=python-ogr" in handler.asked[0]


def test_github_check(service: tuple[type[Service], str]) -> None:
    handler, url = service
    for runs, status in (
        ([], 75),
        ([{"status": "in_progress", "conclusion": None, "html_url": "https://x"}], 75),
        ([{"status": "completed", "conclusion": "success", "html_url": "https://x"}], 0),
        ([{"status": "completed", "conclusion": "failure", "html_url": "https://x"}], 1),
    ):
        handler.answer = {"check_runs": runs}
        assert gate("github-check", "packit/ogr", "build it", GITHUB_API_URL=url)[0] == status
    assert f"/repos/packit/ogr/commits/{COMMIT}/check-runs?check_name=build+it" in handler.asked[0]


def test_the_template() -> None:
    commit = {"subject": "Fix <b>", "author": "Jim", "release_notes": ["It flies."]}
    change = {"compare": "https://github.com/a/b/compare/1...2", "commits": [commit]}
    document = {"deployment": "prod", "repositories": [{"name": "worker", "changes": [change]}]}
    lines = render(ROOT / "examples" / "notes.md.j2", document).splitlines()
    assert lines == [
        "**Deployed to prod**",
        "",
        "**worker**",
        "https://github.com/a/b/compare/1...2",
        "- Fix \\<b\\> (Jim)",
        "  It flies.",
    ]
