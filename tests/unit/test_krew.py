"""The manifest for krew, which installs plugins of kubectl: what krew demands, and that it agrees with the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = (ROOT / ".krew.yaml").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TAG, DIGEST = "v9.8.7", "0" * 64


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    """The manifest as krew-release-bot makes it from the template at a release."""
    text = re.sub(
        r'{{ addURIAndSha "(.*?)" \.TagName }}',
        lambda found: f"uri: {found[1]}\n      sha256: {DIGEST}",
        TEMPLATE,
    ).replace("{{ .TagName }}", TAG)
    assert "{{" not in text
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def test_it_has_what_krew_demands(manifest: dict[str, Any]) -> None:
    assert (manifest["apiVersion"], manifest["kind"]) == ("krew.googlecontainertools.github.com/v1alpha2", "Plugin")
    spec = manifest["spec"]
    assert spec.keys() == {"version", "homepage", "shortDescription", "description", "caveats", "platforms"}
    # krew's naming guide: at most 50 characters, and no sentence.
    assert len(spec["shortDescription"]) <= 50 and not spec["shortDescription"].endswith(".")
    for platform in spec["platforms"]:
        assert platform.keys() == {"selector", "uri", "sha256", "bin", "files"}
        keys = [each["key"] for each in platform["selector"]["matchExpressions"]]
        assert keys == ["os", "arch"]


def test_its_program_is_the_plugin_that_the_package_installs(manifest: dict[str, Any]) -> None:
    # kubectl looks for `import-images` under a name with an underscore.
    name = "kubectl-" + manifest["metadata"]["name"].replace("-", "_")
    assert manifest["metadata"]["name"] == PROJECT["name"] and name in PROJECT["scripts"]
    for platform in manifest["spec"]["platforms"]:
        assert platform["bin"] == name and (ROOT / "plugin" / name).stat().st_mode & 0o100


def test_its_version_comes_from_the_tag_alone(manifest: dict[str, Any]) -> None:
    assert manifest["spec"]["version"] == TAG
    assert not re.search(r"\bv?[0-9]+\.[0-9]+\.[0-9]+\b", TEMPLATE)
    assert all(f"/{TAG}/" in platform["uri"] for platform in manifest["spec"]["platforms"])


def test_it_names_no_host_but_the_one_of_the_project(manifest: dict[str, Any]) -> None:
    page = PROJECT["urls"]["Homepage"]
    assert manifest["spec"]["homepage"] == page
    hosts = {urlsplit(found).netloc for found in re.findall(r"https?://[^\s\"]+", TEMPLATE)}
    assert hosts == {urlsplit(page).netloc}


def test_it_says_for_which_pythons_it_is(manifest: dict[str, Any]) -> None:
    prefix = "Programming Language :: Python :: 3."
    supported = ["3." + each.removeprefix(prefix) for each in PROJECT["classifiers"] if each.startswith(prefix)]
    build = (ROOT / "plugin" / "build").read_text(encoding="utf-8")
    assert f"for python in {' '.join(supported)}; do" in build
    assert all(version in manifest["spec"]["caveats"] for version in supported)


def test_the_program_finds_the_packages_beside_it_wherever_it_is_linked_to(tmp_path: Path) -> None:
    folder, link = tmp_path / "store", tmp_path / "bin" / "kubectl-import_images"
    shutil.copytree(ROOT / "job", folder / "lib" / "job", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "plugin" / link.name, folder)
    link.parent.mkdir()
    # As krew does.
    link.symlink_to(folder / link.name)
    told = subprocess.run([sys.executable, link, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.startswith("import-images ")
