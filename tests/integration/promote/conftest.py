"""Promotion with real git repositories, and with the sandbox as the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.runs.conftest import place, sandbox
from tests.support.forge import GIT, Folder

__all__ = ["place", "sandbox"]


@pytest.fixture(autouse=True)
def _own_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("WATCH_ROLLOUTS", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)
