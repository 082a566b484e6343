"""What an OCI layout has: the images of its manifest list, with their layers."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What a release of the job changes: its own folders and programs.
_JOB = re.compile(
    r"opt/import-images/(lib/python3\.[0-9]+/site-packages/(job|import_images-[^/]+)/.*|bin/(kubectl-)?import[-_]images)"
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image.

    Attributes:
        diff_id: the digest of its content, by which a node knows it.
        digest: of its blob, by which a registry knows it.
        files: the names of its files and links.
        times: the modification times of all that is in it.
    """

    diff_id: str
    digest: str
    files: frozenset[str]
    times: frozenset[int]


@dataclass(frozen=True, slots=True)
class Image:
    """An image for one architecture; `config` is the document that holds its configuration."""

    digest: str
    config: dict[str, Any]
    layers: list[Layer]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read(layout: Path) -> tuple[str, dict[str, Image]]:
    """The digest of the manifest list of an OCI layout, and its images by architecture."""
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    images = {}
    for described in _document(layout, entry["digest"])["manifests"]:
        manifest = _document(layout, described["digest"])
        config = _document(layout, manifest["config"]["digest"])
        assert config["architecture"] == described["platform"]["architecture"]
        pairs = zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
        layers = [_layer(layout, layer["digest"], diff_id) for layer, diff_id in pairs]
        images[config["architecture"]] = Image(described["digest"], config, layers)
    return entry["digest"], images


def check_split(packages: Iterable[str], job: Iterable[str]) -> None:
    """Hold the names of the files of two layers: first the packages of requirements.txt, then the job."""
    packages, job = set(packages), set(job)
    assert [name for name in packages if _JOB.fullmatch(name)] == []
    assert [name for name in job if not _JOB.fullmatch(name)] == []
    for end in ("/job/cli.py", ".dist-info/RECORD", "/bin/import-images"):
        assert any(name.endswith(end) for name in job), end
    assert any("/site-packages/kubernetes/" in name for name in packages)


def _layer(layout: Path, digest: str, diff_id: str) -> Layer:
    with tarfile.open(_blob(layout, digest)) as archive:
        members = archive.getmembers()
    files = frozenset(member.name for member in members if not member.isdir())
    return Layer(diff_id, digest, files, frozenset(int(member.mtime) for member in members))


def _document(layout: Path, digest: str) -> dict[str, Any]:
    data = _blob(layout, digest).read_bytes()
    assert digest_of(data) == digest
    found = json.loads(data)
    assert isinstance(found, dict)
    return found


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")
