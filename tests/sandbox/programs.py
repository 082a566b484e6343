"""The real programs that stand beside the server: a registry and a Pushgateway."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

_PATIENCE = 45.0
_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """Make the kernel send this process a signal when its parent ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number))


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


class Program:
    """A program that listens on a port, from its start until it is stopped."""

    def __init__(
        self, command: list[str], port: int, path: str, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = port
        self._path = path
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                preexec_fn=die_with_parent,
            )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        end = time.monotonic() + _PATIENCE
        while not _answers(self.port, self._path):
            if self._process.poll() is not None or time.monotonic() > end:
                said = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self._process.args!r} did not start: {said}")
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def start_registry(folder: Path) -> Program:
    port = free_port()
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "inmemory": {},
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    file = folder / "registry.yml"
    file.write_text(yaml.safe_dump(config))
    # Half of the work of a registry with few and small images is collecting garbage.
    environment = {**os.environ, "GOGC": "800"}
    return Program(["docker-registry", "serve", str(file)], port, "/v2/", folder / "registry.log", environment)


def start_pushgateway(folder: Path) -> Program:
    port = free_port()
    command = [
        "prometheus-pushgateway",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--persistence.file={folder / 'pushgateway'}",
        "--web.enable-admin-api",
    ]
    return Program(command, port, "/-/ready", folder / "pushgateway.log")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for the loopback interface that vouches for itself, and its key."""

    file: Path
    key: Path


def make_certificate(folder: Path) -> Certificate:
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    extensions = (
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "basicConstraints=critical,CA:TRUE",
        "keyUsage=critical,digitalSignature,keyCertSign",
    )
    command = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=sandbox"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-keyout", str(made.key), "-out", str(made.file)]
    for extension in extensions:
        command += ["-addext", extension]
    subprocess.run(command, check=True, capture_output=True)
    return made


def write_kubeconfig(file: Path, server: str, authority: Path, token: str, namespace: str = "default") -> Path:
    """A kubeconfig with one context; readable by its owner only, since it holds a token."""
    certificate = base64.b64encode(authority.read_bytes()).decode()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "clusters": [{"name": "sandbox", "cluster": {"server": server, "certificate-authority-data": certificate}}],
        "users": [{"name": "sandbox", "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "sandbox", "namespace": namespace}}],
    }
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(config))
    return file
