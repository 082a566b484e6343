"""Pictures of what commands print on a terminal: run on a sandbox, by a pseudo-terminal of 100 columns.

Made by rich, which draws the same text and colours as SVG.
"""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.sandbox.client import Sandbox, start
from tests.sandbox.status import Json
from tests.sandbox.workload_manifests import trigger
from tests.support.kustomize import build
from tests.support.rights import ROLL_BACK

NAMESPACE, DEPLOYMENT = "packit-prod", "prod"
PROGRAM = Path(sys.executable).with_name("import-images")
COLUMNS = 100
AGES = {"packit-dashboard": 16, "packit-service": 9, "packit-worker": 9, "tokman": 40, "hardly": 118}
# Fonts are the reader's own: nothing is loaded from elsewhere.
_FONT_FACES = re.compile(r"@font-face \{.*?\}", re.DOTALL)


class Scene:
    """A namespace on the day after a bad image, and the commands in it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        sandbox.create_namespace(NAMESPACE)
        rules = [*ROLL_BACK, {"apiGroups": ["batch"], "resources": ["cronjobs"], "verbs": ["list"]}]
        token = sandbox.create_account(NAMESPACE, "import-images", rules)
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "TERM": "xterm-256color",
            "COLUMNS": str(COLUMNS),
            "LANG": "C.UTF-8",
            "HOST": sandbox.server,
            "TOKEN": token,
            "NAMESPACE": NAMESPACE,
            "DEPLOYMENT": DEPLOYMENT,
            "PUSHGATEWAY_ADDRESS": sandbox.pushgateway,
            "RETRIES": "1",
        }

    def set_up(self) -> None:
        """Images, streams, the CronJob as it is shipped, and workloads, one of which has a trigger that never fires."""
        sandbox = self.sandbox
        for name in AGES:
            sandbox.create_stream(NAMESPACE, name, {DEPLOYMENT: sandbox.source(f"packit/{name}:{DEPLOYMENT}")})
        # Three weeks of runs, so that there is something to go back to.
        for build_number in range(1, 4):
            for name, days in AGES.items():
                self.push(name, build_number, timedelta(days=days + 7 * (3 - build_number)))
            self.typed("import-images run")
        cron_job: Json = build("prod").one("CronJob")
        sandbox.create(f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs", cron_job)
        for name in ("packit-service", "packit-worker", "tokman", "hardly"):
            kind = "StatefulSet" if name == "packit-worker" else "Deployment"
            sandbox.create_workload(NAMESPACE, kind, name, tag=f"{name}:{DEPLOYMENT}", replicas=2)
        name, broken = "packit-dashboard", [trigger(f"packit-dashboard:{DEPLOYMENT}", paused="false")]
        sandbox.create_workload(NAMESPACE, "Deployment", name, triggers=broken, image="packit/dashboard:1")

    def push(self, name: str, build: int, age: timedelta) -> str:
        """Build an image; its digest."""
        revision = sha1(f"{name} {build}".encode(), usedforsecurity=False).hexdigest()
        labels = {"org.opencontainers.image.revision": revision}
        when = f"{datetime.now(UTC) - age:%Y-%m-%dT%H:%M:%SZ}"
        return self.sandbox.registry.push(f"packit/{name}", DEPLOYMENT, f"{name} {build}", ("amd64",), labels, when)

    def typed(self, command: str, **more: str) -> str:
        """What a terminal shows of a command, colours and all."""
        main, terminal = pty.openpty()
        program, *arguments = shlex.split(command)
        assert program == PROGRAM.name
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.DEVNULL,
        )
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):
            while part := os.read(main, 65536):
                shown += part
        os.close(main)
        process.wait(timeout=60)
        return shown.decode().replace("\r\n", "\n")


def draw(folder: Path) -> None:
    """Make every picture."""
    with start() as sandbox:
        scene = Scene(sandbox)
        scene.set_up()
        for name, minutes in {"packit-service": 50, "tokman": 420}.items():
            scene.push(name, 4, timedelta(minutes=minutes))
        sandbox.image_behaves(scene.push("packit-worker", 4, timedelta(minutes=12)), "crash")
        tags = sandbox.stream(NAMESPACE, "packit-dashboard")["status"]["tags"]
        sandbox.registry.delete("packit/packit-dashboard", tags[0]["items"][0]["image"])
        pictures: Mapping[str, tuple[str, dict[str, str]]] = {
            "plan": ("import-images plan", {}),
            "run": ("import-images run --on-bad-rollout rollback", {}),
            "history": ("import-images history packit-worker --check", {}),
            "status": ("import-images status", {}),
            "doctor": ("import-images doctor", {}),
        }
        for name, (command, more) in pictures.items():
            shown = scene.typed(command, **more)
            (folder / f"terminal-{name}.svg").write_text(as_svg(command, shown), encoding="utf-8")


def as_svg(command: str, shown: str) -> str:
    """The picture of a command and what it printed."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(shown))
    return _FONT_FACES.sub("", console.export_svg(title="import-images", unique_id="terminal"))
