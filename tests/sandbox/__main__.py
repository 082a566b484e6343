"""Start a sandbox: `python -m tests.sandbox --help`.

Prints one line of JSON when everything answers: {"server", "registry", "pushgateway", "kubeconfig", "token"}.
The server is plain HTTP; the kubeconfig names the TLS port of the same server.
Serves until SIGTERM or SIGINT, then stops what it started and removes what it wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import ssl
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.sandbox import programs
from tests.sandbox.programs import Program
from tests.sandbox.server import Server
from tests.sandbox.settings import Settings


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description="A small OpenShift on one machine.")
    parser.add_argument("--port", type=int, default=0, help="port of the API; default: any free one")
    parser.add_argument("--registry", metavar="HOST:PORT", help="a registry to name; default: one of its own")
    parser.add_argument("--no-registry", action="store_true", help="start no registry")
    parser.add_argument("--no-pushgateway", action="store_true", help="start no Pushgateway")
    parser.add_argument("--no-pacing", action="store_true", help="do not slow down imports of many images")
    parser.add_argument("--import-controller", action="store_true", help="import tags after an edit of their spec")
    parser.add_argument("--die-with-parent", action="store_true", help="stop when the process that started this ends")
    parser.add_argument("--set", metavar="NAME=JSON", action="append", default=[], help="any setting of the sandbox")
    return parser.parse_args(arguments)


def _settings(options: argparse.Namespace) -> Settings:
    settings = Settings(pacing=not options.no_pacing, import_controller=options.import_controller)
    settings.change({name: json.loads(value) for name, _, value in (each.partition("=") for each in options.set)})
    return settings


async def _serve(options: argparse.Namespace, settings: Settings, folder: Path, stack: ExitStack) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    started: dict[str, Program] = {}
    if not options.registry and not options.no_registry:
        started["registry"] = programs.start_registry(folder)
    if not options.no_pushgateway:
        started["pushgateway"] = programs.start_pushgateway(folder)
    for program in started.values():
        stack.callback(program.stop)
    certificate = programs.make_certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.file, certificate.key)
    for program in started.values():
        program.wait_until_ready()
    server = Server(settings)
    try:
        port, secure_port = await server.start(options.port, tls)
        url, token = f"http://127.0.0.1:{port}", server.cluster.tokens.admin
        # Clients of Kubernetes send a token of a kubeconfig over TLS only.
        secure_url = f"https://127.0.0.1:{secure_port}"
        kubeconfig = programs.write_kubeconfig(folder / "kubeconfig", secure_url, certificate.file, token)
        server.cluster.where.address, server.cluster.where.authority = secure_url, str(certificate.file)
        registry, gateway = started.get("registry"), started.get("pushgateway")
        line = {
            "server": url,
            "registry": options.registry or (registry.address if registry else None),
            "pushgateway": f"http://{gateway.address}" if gateway else None,
            "kubeconfig": str(kubeconfig),
            "token": token,
        }
        print(json.dumps(line), flush=True)
        await stop.wait()
    finally:
        await server.stop()


def main(arguments: list[str]) -> int:
    options = _options(arguments)
    try:
        settings = _settings(options)
    except ValueError as problem:
        print(f"--set: {problem}", file=sys.stderr)
        return 2
    if options.die_with_parent:
        parent = os.getppid()
        programs.die_with_parent(signal.SIGTERM)
        if os.getppid() != parent:
            return 0
    folder = Path(tempfile.mkdtemp(prefix="sandbox-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        asyncio.run(_serve(options, settings, folder, stack))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
