"""`make`: nothing from the environment, the command line or git's configuration is ever run by make or a shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

# Each would leave a file in the folder if make or a shell read it.
PAYLOADS = [
    "$(shell touch {mark})",
    "$(touch {mark})",
    "`touch {mark}`",
    "x; touch {mark}",
    "x' ; touch {mark} ; '",
    'x" ; touch {mark} ; "',
    "x && touch {mark}",
    "x | touch {mark}",
    "x\ntouch {mark}",
]
VARIABLES = ["STREAM", "TO", "REASON", "DEPLOYMENT", "NAMESPACE", "ARGS", "CLIENT", "JOBS", "UNHEARD_OF"]


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """A virtual environment whose program writes down what it is started with."""
    program = tmp_path / "venv" / "bin" / "import-images"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "DEPLOYMENT=$DEPLOYMENT"; for each in "$@"; do echo "$each"; done\n')
    program.chmod(0o755)
    program.with_name("python").symlink_to(sys.executable)
    for name, age in ((".python", 60), (".job", -1)):
        (tmp_path / "venv" / name).touch()
        os.utime(tmp_path / "venv" / name, (time.time() - age,) * 2)
    return tmp_path / "venv"


def make(
    target: str, venv: Path, *arguments: str, path: Path | None = None, folder: Path = ROOT, **environment: Any
) -> subprocess.CompletedProcess[str]:
    given = [] if "VENV" in environment or any(each.startswith("VENV=") for each in arguments) else [f"VENV={venv}"]
    return subprocess.run(
        [shutil.which("make") or "make", "--silent", f"--directory={folder}", target, *given, *arguments],
        env={"PATH": f"{path}:{os.environ['PATH']}" if path else "/none", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_variable_is_run(venv: Path, tmp_path: Path, payload: str) -> None:
    mark = tmp_path / "mark"
    path = tmp_path / "path"
    path.mkdir()
    (path / "touch").symlink_to("/usr/bin/touch")
    value = payload.format(mark=mark)
    values: dict[str, Any] = dict.fromkeys(VARIABLES, value)
    words = [f"{name}={value}" for name in VARIABLES]
    for target in ("plan", "rollback"):
        make(target, venv, path=path, **values)
        assert not mark.exists()
        make(target, venv, *words, path=path)
        assert not mark.exists()
    # A virtual environment of such a name is refused.
    for done in (make("plan", venv, path=path, VENV=value), make("plan", venv, f"VENV={value}", path=path)):
        assert not mark.exists()
        assert done.returncode == 2
        assert "VENV: a name with" in done.stderr


def test_a_deployment_arrives_as_it_is(venv: Path) -> None:
    odd = """it's "bad" $(id) $(shell id) `id` $HOME $$ ; # x"""
    assert make("plan", venv, f"DEPLOYMENT={odd}").stdout.splitlines()[0] == f"DEPLOYMENT={odd}"
    assert make("plan", venv, DEPLOYMENT=odd).stdout.splitlines()[0] == f"DEPLOYMENT={odd}"


def test_arguments_are_words_and_quotation_marks_group_them(venv: Path) -> None:
    done = make("plan", venv, """ARGS=-l app=x --reason 'it is; $(id)' "*" """)
    assert done.stdout.splitlines()[1:] == ["plan", "-l", "app=x", "--reason", "it is; $(id)", "*"]
    # A mistake in them starts nothing.
    broken = make("plan", venv, "ARGS=it's")
    assert (broken.returncode != 0, broken.stdout) == (True, "")
    # Only the word of the recipe is replaced, not one of the user.
    rollback = make("rollback", venv, "STREAM=ARGS", "ARGS=--yes")
    assert rollback.stdout.splitlines()[1:] == ["rollback", "--yes", "--", "ARGS"]


ORIGINS = {
    "https://user:pa@ss@git.example/team/repo.git": "https://git.example/team/repo.git",
    "https://user:pa/ss@git.example/repo": "https://git.example/repo",
    "https://token@git.example/repo": "https://git.example/repo",
    "https://git.example/repo;touch mark": "https://git.example/repo;touch mark",
    "https://git.example/$(touch mark)`touch mark`": "https://git.example/$(touch mark)`touch mark`",
    "git@git.example:team/repo": "git@git.example:team/repo",
    "https://git.example/a b' \"c": "https://git.example/a b' \"c",
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_the_address_of_the_source_is_data_and_loses_its_login(venv: Path, tmp_path: Path, origin: str) -> None:
    folder, path = tmp_path / "clone", tmp_path / "path"
    folder.mkdir()
    path.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    clean = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (["init", "--quiet"], ["config", "remote.origin.url", origin]):
        subprocess.run(["git", *words], cwd=folder, env=clean, check=True)
    engine = path / "podman"
    engine.write_text('#!/bin/sh\nfor each in "$@"; do echo "$each"; done\n')
    engine.chmod(0o755)
    done = make("image", venv, path=path, folder=folder, BASE="base; touch mark", HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    words = done.stdout.splitlines()
    assert f"org.opencontainers.image.source={ORIGINS[origin]}" in words
    assert "BASE=base; touch mark" in words
    assert words[-1] == "."
    assert not (folder / "mark").exists()
