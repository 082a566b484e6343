"""Images that really start, crash, or cannot be pulled: a static program, pushed without a container engine."""

from __future__ import annotations

import gzip
import hashlib
import io
import platform
import shutil
import tarfile
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from tests.e2e.settings import Settings
from tests.support.registries import CREATED, Registry

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
READY_FILE = "/ready"
BUSYBOX = "/bin/busybox"
# Where a workload's probe finds out.
READY = [BUSYBOX, "test", "-e", READY_FILE]


class Behaviour(StrEnum):
    """What a container of an image does; the values are those of the sandbox's label, whose pods run no program."""

    READY = "ready"
    CRASHING = "crash"
    UNREADY = "hang"
    UNPULLABLE = "unpullable"


class Images:
    """The repositories of one namespace of the suite."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._registry = Registry(settings.registry, secure=not settings.insecure, login=settings.registry_login)
        self._place = f"{settings.repository}{name}"
        self._host = settings.registry

    def close(self) -> None:
        self._registry.close()

    def source(self, name: str) -> str:
        """Where `push` puts an image, as the cluster names it."""
        return f"{self._host}/{self._place}/{name}:prod"

    def push(
        self,
        name: str,
        content: str,
        behaviour: Behaviour = Behaviour.READY,
        *,
        revision: str = "",
        created: str = CREATED,
    ) -> str:
        """Push an image that differs by its content; gives its digest."""
        files: dict[str, bytes] = {"/content": f"{self._place} {content}".encode()}
        if behaviour is not Behaviour.UNREADY:
            files[READY_FILE] = b""
        layers = [_program(), _layer(files)]
        if behaviour is Behaviour.UNPULLABLE:
            # The registry only compares digests; whoever unpacks it sees that this is no archive.
            layers.append((gzip.compress(f"no archive: {content}".encode(), mtime=0), _digest(content.encode())))
        command = [BUSYBOX, "false"] if behaviour is Behaviour.CRASHING else [BUSYBOX, "sleep", "86400"]
        labels = {"sandbox.behaviour": behaviour.value}
        if revision:
            labels["org.opencontainers.image.revision"] = revision
        config: dict[str, Any] = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "created": created,
            "config": {"Labels": labels, "Cmd": command, "User": "1001"},
            "rootfs": {"type": "layers", "diff_ids": [uncompressed for _, uncompressed in layers]},
        }
        return self._registry.push_image(f"{self._place}/{name}", "prod", config, [packed for packed, _ in layers])


@cache
def _program() -> tuple[bytes, str]:
    program = shutil.which("busybox")
    assert program, "no busybox"
    return _layer({BUSYBOX: Path(program).read_bytes()})


def _layer(files: dict[str, bytes]) -> tuple[bytes, str]:
    """A layer with these files, compressed, and the digest of it before that."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), compresslevel=3, mtime=0), _digest(raw.getvalue())


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
