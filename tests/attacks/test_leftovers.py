"""What a killed process leaves: the kubeconfig with a token, in memory where that is possible, until the next run."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from job.cluster.oc import kubeconfig
from job.cluster.oc.kubeconfig import TokenFile, memory_folders, remove_leftovers
from job.config.settings import Settings

SETTINGS = Settings(host="https://api.example", token="planted-token-of-a-run")
HOLDER = """
import sys, time
from job.cluster.oc.kubeconfig import TokenFile
from job.config.settings import Settings
print(TokenFile(Settings(host="https://api.example", token="planted-token-of-another")).path, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(kubeconfig, "memory_folders", lambda: [])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def other(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has such a file."""
    environment = {**os.environ, "TMPDIR": str(folder), "XDG_RUNTIME_DIR": ""}
    code = HOLDER.replace(
        "import sys, time", "import job.cluster.oc.kubeconfig as k\nk.memory_folders = lambda: []\nimport time"
    )
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def path_of(process: subprocess.Popen[str]) -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def test_a_file_of_a_killed_process_is_removed_by_the_next(folder: Path, other: subprocess.Popen[str]) -> None:
    left = path_of(other)
    remove_leftovers()
    assert left.exists(), "it is in use"
    os.kill(other.pid, signal.SIGKILL)
    other.wait(10)
    assert "planted-token-of-another" in left.read_text()
    file = TokenFile(SETTINGS)
    assert not left.exists()
    assert list(folder.iterdir()) == [file.path]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    file.remove()
    assert list(folder.iterdir()) == []


def test_only_own_files_are_removed(folder: Path) -> None:
    victim = folder / "victim"
    victim.write_text("kept")
    (folder / "import-images-link.kubeconfig").symlink_to(victim)
    (folder / "import-images-notes.txt").write_text("kept")
    os.mkfifo(folder / "import-images-pipe.kubeconfig")
    remove_leftovers()
    assert victim.read_text() == "kept"
    assert (folder / "import-images-notes.txt").exists()


@pytest.mark.skipif(not memory_folders(), reason="no folder in memory here")
def test_it_lies_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "memory_folders", memory_folders)
    file = TokenFile(SETTINGS)
    try:
        assert file.path.parent in memory_folders()
        assert not list(folder.iterdir())
    finally:
        file.remove()


def test_a_folder_on_a_disk_is_none_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = dict(line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines())
    if kinds["/"] in ("tmpfs", "ramfs"):
        pytest.skip("everything is in memory here")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/usr")
    assert Path("/usr") not in memory_folders()
