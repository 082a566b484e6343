"""The attacks on `promote` start from a folder with a promote.toml and from real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.forge import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder whose promote.toml names one repository, `worker`, with a commit to promote."""
    folder = Folder(tmp_path)
    folder.origin("worker")
    folder.origins["worker"].commit("Fix worker (#7)")
    folder.write(folder.table("worker"))
    return folder
