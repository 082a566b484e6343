"""The job on each Python that it supports, with the oldest and the newest versions of what it needs.

`python -m tests.support.compatibility`, part of `make test-all`. Each pair gets a virtual environment of its own, in
which the unit tests and the contract of the adapter for `kubernetes` run; whole runs (from this environment) start
its program. A Python that is not there is a failure, unless PYTHONS says which: `make test-all PYTHONS='3.11 3.13'`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import ROOT

PYTHONS = ("3.11", "3.12", "3.13")
# As `uv pip compile` calls them: the ends of the ranges in pyproject.toml.
VERSIONS = {"oldest": "lowest-direct", "newest": "highest"}
UV = Path(sys.executable).with_name("uv")
# A handful, so that a pair takes minutes and not a quarter of an hour.
WHOLE_RUNS = (
    "tests/integration/runs/test_run.py",
    "tests/integration/runs/test_schedule.py",
    "tests/integration/runs/test_gateway.py",
    "tests/integration/runs/test_rollouts.py",
    "tests/integration/runs/test_journal.py",
)
# Named in the summary, since the range is there for its sake.
SHOWN = "kubernetes"


class Failed(Exception):  # noqa: N818 - says what did not work
    """A Python is missing, or does not do."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One Python with one choice of versions."""

    python: str
    versions: str

    def __str__(self) -> str:
        return f"Python {self.python}, {self.versions} versions"

    def check(self, folder: Path, jobs: str) -> str:
        """Make the environment and run the tests; gives what was tested.

        Raises:
            Failed: something of it did not work.
        """
        home = folder / f"{self.python}-{self.versions}"
        program = home / "bin" / "python"
        constraints = folder / f"{home.name}.txt"
        _run(UV, "venv", "--quiet", "--no-config", "--python", _interpreter(self.python), home)
        _run(
            *(UV, "pip", "compile", "--quiet", "--python", program, "--resolution", VERSIONS[self.versions]),
            *("--output-file", constraints, "pyproject.toml"),
        )
        # What the tests need is the newest that goes along; pyproject.toml leaves aiohttp out of the image only.
        install = (UV, "pip", "install", "--quiet", "--no-config", "--python", program)
        _run(*install, "--constraint", constraints, "--group", "test", "--editable", ".")
        told = _run(UV, "pip", "show", "--no-config", "--python", program, SHOWN)
        found = re.search(r"^Version: (.*)$", told, re.MULTILINE)
        if not found:
            raise Failed(f"{SHOWN} is not installed")
        # Which the tests look for beside Python.
        (home / "bin" / "kubectl").symlink_to(UV.with_name("kubectl"))
        tests = ("-m", "pytest", "-q", "-n", jobs, "-p", "no:cacheprovider", "-m", "not slow")
        _run(program, *tests, "tests/unit")
        # That of openshift-client is left out: it starts a process for each request.
        _run(program, *tests, "-k", "api", "tests/integration/cluster/test_contract.py")
        environment = {"IMPORT_IMAGES_PROGRAM": str(home / "bin" / "import-images")}
        _run(sys.executable, *tests, *WHOLE_RUNS, environment=environment)
        return f"{SHOWN} {found[1]}"


def _run(*command: str | Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        name = " ".join([Path(command[0]).name, *map(str, command[1:4])])
        raise Failed(f"{name} ... ended with {done.returncode}:\n{(done.stdout + done.stderr)[-6000:]}")
    return done.stdout


def _interpreter(version: str) -> Path:
    """The interpreter of a version: on the path, of pyenv, or of uv.

    Raises:
        Failed: there is none.
    """
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [shutil.which(f"python{version}") or ""]
    found += sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/python")), reverse=True)
    looked = [str(UV), "python", "find", "--no-config", "--no-python-downloads", "--system", version]
    found.append(subprocess.run(looked, capture_output=True, text=True, check=False).stdout.strip())
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    for each in filter(None, found):
        # What pyenv puts on the path is there even where the version is not switched on.
        done = subprocess.run([each, "-c", code], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return Path(each)
    raise Failed(f"there is no Python {version} on this machine; install it, or say which to take in PYTHONS")


def main(arguments: Sequence[str]) -> int:
    """Check every pair; 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.compatibility", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", help=f"such as 3.12 (default {' '.join(PYTHONS)})")
    parser.add_argument("--jobs", default="2", help="processes of the tests at a time (default 2)")
    options = parser.parse_args(arguments)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="import-images-compatibility-") as folder:
        for pair in (Pair(python, versions) for python in options.pythons or PYTHONS for versions in VERSIONS):
            begun = time.monotonic()
            try:
                told = pair.check(Path(folder), options.jobs)
            except Failed as problem:
                failed += 1
                print(f"{pair}: FAILED: {problem}", flush=True)
            else:
                print(f"{pair}: passed with {told} in {time.monotonic() - begun:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
