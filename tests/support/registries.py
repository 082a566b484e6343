"""Registries for tests: pushing small real images to one, and one that fails in every way.

What is pushed depends only on the arguments, so the same content has the same digest everywhere.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import http.server
import io
import json
import re
import tarfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.support.paths import CONFORMANCE

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ATTESTATION = "attestation"
CREATED = "2026-11-20T10:00:00Z"

Descriptor = dict[str, Any]


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _layer(content: str, architecture: str) -> tuple[bytes, str]:
    """A layer with one file, compressed, and the digest of it before that."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        data = f"{content} {architecture}".encode()
        entry = tarfile.TarInfo("etc/content")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0), _digest(raw.getvalue())


class Registry:
    """Pushes images to a registry over one connection that is kept; use one for each thread."""

    def __init__(self, address: str, *, secure: bool = False, login: str = "") -> None:
        """Connect to it.

        Args:
            address: HOST:PORT.
            secure: whether by TLS.
            login: USER:PASSWORD, for Basic authentication and for the tokens that the registry asks for.
        """
        self.address = address
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection: http.client.HTTPConnection = connect(address, timeout=30)
        self._basic = f"Basic {base64.b64encode(login.encode()).decode()}" if login else ""
        self._authorization = self._basic
        self._uploaded: set[tuple[str, str]] = set()
        self._layers: dict[tuple[str, str], tuple[bytes, str]] = {}

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def push(
        self,
        repo: str,
        tag: str,
        content: str,
        platforms: Sequence[str] = ("amd64",),
        labels: Mapping[str, str] | None = None,
        created: str = CREATED,
    ) -> str:
        """Push an image, or for several platforms an index; gives the digest that the tag then has.

        The platform `attestation` stands for what BuildKit adds to an index.
        """
        manifests = []
        for architecture in platforms:
            manifest = self._manifest(repo, content, architecture, dict(labels or {}), created)
            digest = _digest(manifest)
            self._put_manifest(repo, tag if len(platforms) == 1 else digest, manifest, MANIFEST)
            entry = {"mediaType": MANIFEST, "digest": digest, "size": len(manifest)}
            if architecture == ATTESTATION:
                kind = {"vnd.docker.reference.type": "attestation-manifest"}
                manifests.append(
                    {**entry, "platform": {"architecture": "unknown", "os": "unknown"}, "annotations": kind}
                )
            else:
                manifests.append({**entry, "platform": {"architecture": architecture, "os": "linux"}})
        if len(manifests) == 1:
            return str(manifests[0]["digest"])
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
        self._put_manifest(repo, tag, index, INDEX)
        return _digest(index)

    def tag(self, repo: str, tag: str, reference: str) -> str:
        """Put another tag on what a tag or digest of the same repository names; gives its digest."""
        media_type, data = self._get_manifest(repo, reference)
        self._put_manifest(repo, tag, data, media_type)
        return _digest(data)

    def read_manifest(self, repo: str, reference: str) -> dict[str, Any]:
        """The manifest or index that a tag or digest names."""
        content: dict[str, Any] = json.loads(self._get_manifest(repo, reference)[1])
        return content

    def _get_manifest(self, repo: str, reference: str) -> tuple[str, bytes]:
        headers = {"Accept": f"{MANIFEST}, {INDEX}"}
        answer, data = self._call("GET", f"/v2/{repo}/manifests/{reference}", headers=headers)
        return answer.headers["Content-Type"], data

    def delete(self, repo: str, digest: str) -> None:
        """Remove a manifest, as a registry's own clean-up does."""
        self._call("DELETE", f"/v2/{repo}/manifests/{digest}")

    def _manifest(self, repo: str, content: str, architecture: str, labels: dict[str, str], created: str) -> bytes:
        if (content, architecture) not in self._layers:
            self._layers[(content, architecture)] = _layer(content, architecture)
        layer, uncompressed = self._layers[(content, architecture)]
        # The order of the keys decides the digest.
        config = {
            "architecture": architecture,
            "os": "linux",
            "created": created,
            "config": {"Labels": labels, "Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [uncompressed]},
            "history": [{"created": created, "created_by": content}],
        }
        return self._manifest_of(repo, config, [layer])

    def push_image(self, repo: str, tag: str, config: Mapping[str, Any], layers: Sequence[bytes]) -> str:
        """Push an image of compressed layers and a config, as OCI's image-spec has it; gives its digest."""
        manifest = self._manifest_of(repo, config, layers)
        self._put_manifest(repo, tag, manifest, MANIFEST)
        return _digest(manifest)

    def _manifest_of(self, repo: str, config: Mapping[str, Any], layers: Sequence[bytes]) -> bytes:
        layer_parts = [self._blob(repo, layer) for layer in layers]
        config_part = self._blob(repo, json.dumps(config).encode())
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config_part},
            "layers": [{"mediaType": kind, **part} for part in layer_parts],
        }
        return json.dumps(manifest).encode()

    def _blob(self, repo: str, data: bytes) -> Descriptor:
        digest = _digest(data)
        if (repo, digest) not in self._uploaded:
            self._upload(repo, digest, data)
            self._uploaded.add((repo, digest))
        return {"digest": digest, "size": len(data)}

    def _upload(self, repo: str, digest: str, data: bytes) -> None:
        elsewhere = next((other for other, known in self._uploaded if known == digest), None)
        start = f"/v2/{repo}/blobs/uploads/"
        if elsewhere:
            # A registry that has the blob for another repository takes it from there, and answers 201.
            answer, _ = self._call("POST", f"{start}?mount={digest}&from={elsewhere}", b"")
        else:
            answer, _ = self._call("POST", start, b"")
        if answer.status == http.HTTPStatus.CREATED:
            return
        place = urlsplit(answer.headers["Location"])
        mark = "&" if place.query else ""
        path = f"{place.path}?{place.query}{mark}digest={digest}"
        self._call("PUT", path, data, {"Content-Type": "application/octet-stream"})

    def _put_manifest(self, repo: str, reference: str, data: bytes, media_type: str) -> None:
        self._call("PUT", f"/v2/{repo}/manifests/{reference}", data, {"Content-Type": media_type})

    def _call(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        answer, data = self._ask(method, path, body, headers)
        if answer.status == http.HTTPStatus.UNAUTHORIZED and self._log_in(answer.headers.get("WWW-Authenticate", "")):
            answer, data = self._ask(method, path, body, headers)
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise RuntimeError(f"registry: {method} {path}: {answer.status} {data[:200]!r}")
        return answer, data

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        login = {"Authorization": self._authorization} if self._authorization else {}
        sent = {**login, **(headers or {})}
        try:
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
        except (http.client.RemoteDisconnected, ConnectionError):
            # A connection that lay idle may have been closed by the other side.
            self._connection.close()
            self._connection.request(method, path, body, sent)
            answer = self._connection.getresponse()
        return answer, answer.read()

    def _log_in(self, challenge: str) -> bool:
        """Get the token that a registry asks for, as the distribution specification has it; whether there is one."""
        if not challenge.startswith("Bearer "):
            return False
        asked = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        query = urlencode({name: asked[name] for name in ("service", "scope") if name in asked})
        headers = {"Authorization": self._basic} if self._basic else {}
        request = urllib.request.Request(f"{asked['realm']}?{query}", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            given = json.load(answer)
        self._authorization = f"Bearer {given.get('token') or given['access_token']}"
        return True


def push(
    address: str,
    repo: str,
    tag: str,
    content: str,
    platforms: Sequence[str] = ("amd64",),
    labels: Mapping[str, str] | None = None,
    created: str = CREATED,
) -> str:
    """Push one image; for many, keep a `Registry`."""
    with Registry(address) as registry:
        return registry.push(repo, tag, content, platforms, labels, created)


# A registry that fails


def _error(code: str, message: str) -> str:
    return json.dumps({"errors": [{"code": code, "message": message, "detail": None}]})


_JSON, _HTML, _TEXT = "application/json", "text/html", "text/plain"
_AUTHENTICATE = _error("UNAUTHORIZED", "authentication required")

# What a repository of that name answers when its manifest is asked for: status, type and body.
ANSWERS: dict[str, tuple[int, str, str]] = {
    "unauthorized-json": (401, _JSON, _AUTHENTICATE),
    "unauthorized-html": (401, _HTML, "<html>401</html>"),
    "denied": (403, _JSON, _error("DENIED", "requested access to the resource is denied")),
    "forbidden-html": (403, _HTML, "<html>403 Forbidden</html>"),
    "name-unknown": (404, _JSON, _error("NAME_UNKNOWN", "repository name not known to registry")),
    "manifest-unknown": (404, _JSON, _error("MANIFEST_UNKNOWN", "manifest unknown")),
    "not-found-html": (404, _HTML, "<html>404 Not Found</html>"),
    "rate-limited-json": (429, _JSON, _error("TOOMANYREQUESTS", "You have reached your pull rate limit.")),
    "rate-limited-text": (429, _TEXT, "Too Many Requests"),
    "server-error": (500, _TEXT, "internal"),
    "bad-gateway-html": (502, _HTML, "<html>502 Bad Gateway</html>"),
    "unavailable": (503, _TEXT, "unavailable"),
    "gateway-timeout": (504, _TEXT, "timeout"),
    "not-json": (200, MANIFEST, "<html>surprise</html>"),
    "unknown-type": (200, "application/x-unknown", "{}"),
    "empty": (200, MANIFEST, ""),
}
# Answers of real products: Quay, Harbor, Artifactory, Nexus, ECR, Azure.
ANSWERS |= {
    name: (recorded["http"], recorded["content_type"], recorded["body"])
    for name, recorded in json.loads((CONFORMANCE / "registry-errors-field.json").read_text(encoding="utf-8")).items()
}
# Besides these: `slow-SECONDS`, which answers like manifest-unknown after that time.
SPECIAL = ("reset", "token-refused", "token-unreachable", "redirect-away")
_NOWHERE = "http://127.0.0.1:1"


class _FailingHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:  # the name is the base class's
        pass

    def do_GET(self) -> None:
        parts = self.path.split("/")
        if self.path.rstrip("/") == "/v2":
            self._answer(200, _JSON, "{}")
        elif self.path.startswith("/token"):
            self._answer(403, _JSON, json.dumps({"details": "access denied"}))
        else:
            self._answer_for(parts[2])

    do_HEAD = do_GET  # noqa: N815 - the base class's way of naming

    def _answer_for(self, repository: str) -> None:
        assert isinstance(self.server, FaultyRegistry)
        realms = {"token-refused": f"http://{self.server.address}", "token-unreachable": _NOWHERE}
        if repository == "reset":
            # A half-closed connection on which nothing more comes: what the recorded answers were made with.
            self.server.stopped.wait()
            self.close_connection = True
        elif repository in realms:
            challenge = f'Bearer realm="{realms[repository]}/token",service="r",scope="repository:x:pull"'
            self._answer(401, _JSON, _AUTHENTICATE, {"WWW-Authenticate": challenge})
        elif repository == "redirect-away":
            self._answer(307, _TEXT, "", {"Location": f"{_NOWHERE}/v2/x/manifests/y"})
        elif repository.startswith("slow-"):
            time.sleep(float(repository.removeprefix("slow-")))
            self._answer(*ANSWERS["manifest-unknown"])
        else:
            self._answer(*ANSWERS[repository])

    def _answer(self, status: int, kind: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class FaultyRegistry(http.server.ThreadingHTTPServer):
    """A registry whose repositories fail as their names say: those of ANSWERS and SPECIAL, and `slow-SECONDS`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _FailingHandler)
        self.stopped = threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that went away."""


@contextmanager
def faulty_registry() -> Iterator[str]:
    """A failing registry in a thread; gives its address."""
    server = FaultyRegistry()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.address
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()
