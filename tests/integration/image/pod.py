"""Running what an image holds as a pod's container."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# As OpenShift gives them out: from the namespace's range, unknown to the image.
UID = 1000680000


class Pod:
    """A container of an image, as often as it is run; `message` is the last termination message."""

    def __init__(self, root: Path, config: Mapping[str, Any]) -> None:
        self.message = ""
        self._root = root
        self._config = config

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the image's entry point."""
        return self.execute(*self._config["Entrypoint"], *arguments, environment=environment)

    def execute(self, *command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of the image."""
        own = dict(pair.split("=", 1) for pair in self._config["Env"])
        with tempfile.NamedTemporaryFile("r") as message:
            done = subprocess.run(
                [Path(__file__).with_name("run-as-pod"), self._root, str(UID), message.name, *command],
                env={**own, **(environment or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            self.message = message.read()
        return done
