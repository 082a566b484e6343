"""A registry in which every image exists, made up when it is asked for, so that ten thousand need no disk.

Its images are as large as usual ones in what an import reads of them: a dozen labels, ten layers.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from tests.support.registries import MANIFEST

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYERS = 10
_PATIENCE = 10.0


def _digest(text: str | bytes) -> str:
    return "sha256:" + hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


def _failure(repository: str) -> int | None:
    """The status in the place of an image, by the number that its repository's name ends with."""
    number = int(repository.rpartition("-")[2])
    return None if number % 20 else (404, 500)[number // 20 % 2]


class MadeUpRegistry:
    """Every tag of every repository has an image, which is another one after `change`."""

    def __init__(self) -> None:
        self.address = ""
        # Whether every 20th image fails: half of these are gone, of the other half the registry cannot tell.
        self.failing = False
        self._generation = 0
        self._configs: dict[str, bytes] = {}

    def change(self) -> None:
        """Let every tag have a new image."""
        self._generation += 1
        self._configs = {}

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.removeprefix("/v2/")
        if not path:
            return web.json_response({})
        repository, _, tag = path.partition("/manifests/")
        if tag and self.failing and (status := _failure(repository)):
            return web.Response(status=status)
        if tag:
            return web.Response(body=self._manifest(repository, tag), headers={"Content-Type": MANIFEST})
        config = self._configs.get(path.rpartition("/")[2])
        return web.Response(status=404) if config is None else web.Response(body=config)

    def _manifest(self, repository: str, tag: str) -> bytes:
        name = f"{repository}:{tag} {self._generation}"
        # Half of the layers are everybody's.
        layers = [_digest(f"base {number}") for number in range(_LAYERS // 2)]
        layers += [_digest(f"{name} {number}") for number in range(_LAYERS // 2)]
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "created": f"2026-11-{self._generation % 27 + 1:02}T10:00:00Z",
                "config": {
                    "User": "1024",
                    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "container=oci", "HOME=/home/app", "LANG=C.UTF-8"],
                    "Cmd": ["/usr/bin/run.sh"],
                    "Labels": {
                        "org.opencontainers.image.revision": hashlib.sha1(name.encode()).hexdigest(),
                        "org.opencontainers.image.version": f"{self._generation}.0",
                        **{f"io.example.label-{number}": f"what is said of {name}" for number in range(10)},
                    },
                },
                "rootfs": {"type": "layers", "diff_ids": layers},
            }
        ).encode()
        digest = _digest(config)
        self._configs[digest] = config
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": _CONFIG, "digest": digest, "size": len(config)},
            "layers": [{"mediaType": kind, "digest": layer, "size": 30_000_000} for layer in layers],
        }
        return json.dumps(manifest).encode()


@contextmanager
def made_up_registry() -> Iterator[MadeUpRegistry]:
    """A registry in a thread."""
    registry = MadeUpRegistry()
    loop = asyncio.new_event_loop()
    stop, started = asyncio.Event(), threading.Event()

    async def serve() -> None:
        runner = web.ServerRunner(web.Server(registry.answer))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        registry.address = f"{host}:{port}"
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        if not started.wait(_PATIENCE):
            raise RuntimeError("the registry did not start")
        yield registry
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_PATIENCE)
        loop.close()
