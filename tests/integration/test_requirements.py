"""The exact versions that the image is made of, against what the project asks for. `make requirements` mends them."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pinned(name: str) -> dict[str, Version]:
    """The packages of a requirements file, each with one version and the hashes of its files, and nothing else."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    found = {}
    for line in text.replace("\\\n", "").splitlines():
        match = re.fullmatch(r"([a-z0-9-]+)==([0-9.]+)( +--hash=sha256:[0-9a-f]{64})+ *", line)
        assert match, f"{name}: {line[:80]}"
        found[match[1]] = Version(match[2])
    return found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.txt", PROJECT["project"]["dependencies"]),
        ("requirements-build.txt", PROJECT["build-system"]["requires"]),
    ],
)
def test_the_image_has_what_the_project_asks_for(name: str, wanted: list[str]) -> None:
    found = pinned(name)
    for requirement in map(Requirement, wanted):
        assert found[canonicalize_name(requirement.name)] in requirement.specifier, f"make requirements: {requirement}"


def test_what_is_left_out_is_not_in_the_image() -> None:
    assert not set(PROJECT["tool"]["uv"]["exclude-dependencies"]) & pinned("requirements.txt").keys()
