"""What has to be true of the checkout before a release, and its notes. Reads files only; git is asked elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

VERSION = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}(rc[1-9][0-9]*)?")
# Where the version is written, and what comes before it there.
PLACES = {
    "pyproject.toml": r'^version = "',
    "job/__init__.py": r'^VERSION = "',
    "manifests/base/kustomization.yaml": r"^ *(?:newTag|app.kubernetes.io/version): ",
    "README.md": r"^ *newTag: ",
    "docs/install.md": r"(?:\?ref=v|^ *newTag: )",
    "examples/argo-cd/application.yaml": r"^ *targetRevision: v",
    "examples/flux/import-images.yaml": r"^ *tag: v",
}


def problems(root: Path, version: str) -> Iterator[str]:
    """One line for each thing that is wrong."""
    if not VERSION.fullmatch(version):
        yield f"VERSION: {version!r} is not like 1.2.3 or 1.2.3rc1"
        return
    for name, before in PLACES.items():
        written = re.findall(before + r"([0-9][0-9A-Za-z.]*)", (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        if set(written) != {version}:
            yield f"{name}: the version is {', '.join(written) or 'missing'}, not {version}"
    if not notes(root, version):
        yield f"CHANGELOG.md: no section '## [{version}] - DATE' with anything in it"


def notes(root: Path, version: str) -> str:
    """The section of a version in the changelog, without its heading; empty if there is none."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(
        rf"^## \[{re.escape(version)}\] - [0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}\n(.*?)(?=^## |^\[|\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    return section[1].strip() + "\n" if section and section[1].strip() else ""


def absolute(text: str, address: str) -> str:
    """A text in Markdown whose links to files of the repository lead to this address."""
    return re.sub(r"(?<=\]\()(?![a-z]+:|#)", f"{address}/", text)
