"""Draw the dashboard, and what commands print: `make screenshots`.

A real Prometheus reads two weeks of runs; Perses' own components draw the dashboard from it in a headless Chromium.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from manifests.dashboards.board import BOARD
from manifests.dashboards.model import Board
from manifests.dashboards.perses import resource
from tests.integration.monitoring.pictures import terminal
from tests.integration.monitoring.pictures.story import samples
from tests.sandbox.programs import Program, free_port
from tests.support.paths import ROOT

HERE = Path(__file__).parent
# Ages and names differ each time, so those of docs/ are replaced only on purpose: PICTURES=docs/pictures.
PICTURES = ROOT / (os.environ.get("PICTURES") or "build/pictures")
# What npm brings is kept beside the virtual environment's packages, so that it is fetched once.
BUILT = Path(sys.prefix) / "pictures"
PAGE = """<!doctype html>
<meta charset="utf-8"><title>drawing</title>
<link rel="stylesheet" href="page.css"><style>body { margin: 0 24px 0 0 }</style>
<div id="root"></div><script type="module" src="page.js"></script>
"""
WIDTH = 1500
# Files, the headings of the rows that are in them, and how much of the past they show.
FILES = {
    "dashboard.png": (("What happened",), "1d"),
    "dashboard-runs.png": (("Runs",), "14d"),
    "dashboard-tags.png": (("Tags", "Rollouts"), "14d"),
}


def build() -> None:
    """Bundle Perses' components for the page."""
    BUILT.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "page.jsx", "draw.mjs"):
        shutil.copy(HERE / name, BUILT / name)
    stamp = BUILT / "installed.json"
    if not stamp.exists() or stamp.read_bytes() != (HERE / "package.json").read_bytes():
        command = ["npm", "install", "--no-audit", "--no-fund", "--legacy-peer-deps", "--loglevel=error"]
        subprocess.run(command, cwd=BUILT, check=True)
        shutil.copy(HERE / "package.json", stamp)
    options = ["--bundle", "--format=esm", "--jsx=automatic", "--minify", "--log-level=error"]
    options += ["--loader:.woff=dataurl", "--loader:.woff2=dataurl", "--define:global=window"]
    options += ['--define:process.env.NODE_ENV="production"']
    command = ["node_modules/.bin/esbuild", "page.jsx", *options, "--outfile=out/page.js"]
    subprocess.run(command, cwd=BUILT, check=True)


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """A Prometheus that knows the story; gives its URL."""
    told = folder / "story.txt"
    told.write_text("\n".join([*samples(datetime.now(UTC)), "# EOF\n"]))
    data = folder / "data"
    command = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "--quiet", "openmetrics"]
    subprocess.run([*command, told, data], check=True, stdout=subprocess.DEVNULL)
    (folder / "prometheus.yml").write_text("{}")
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=90d",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    program = Program(command, port, "/-/ready", folder / "prometheus.log")
    try:
        program.wait_until_ready()
        yield f"http://127.0.0.1:{port}"
    finally:
        program.stop()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:  # the name is the base class's
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The files of a folder; gives the URL."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def draw(url: str, file: Path) -> None:
    """Take a picture of a page when it is drawn."""
    chromium = shutil.which("chromium")
    assert chromium, "no chromium"
    command = ["node", "draw.mjs", chromium, url, str(file), str(WIDTH)]
    subprocess.run(command, cwd=BUILT, check=True, timeout=180)


def main() -> None:
    """Draw all of them."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    terminal.draw(PICTURES)
    build()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = folder / "site"
        shutil.copytree(BUILT / "out", site)
        with prometheus(folder) as source, serving(site) as url:
            (site / "index.html").write_text(PAGE)
            for file, (rows, duration) in FILES.items():
                shown = Board(
                    BOARD.uid,
                    BOARD.title,
                    BOARD.description,
                    BOARD.variables,
                    tuple(row for row in BOARD.rows if row.title in rows),
                )
                (site / "dashboard.json").write_text(json.dumps(resource(shown, duration, source)))
                draw(url, PICTURES / file)
                print(PICTURES / file)


if __name__ == "__main__":
    main()
