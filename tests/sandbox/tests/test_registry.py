"""How the sandbox talks to registries: credentials, redirects, TLS, and connections that break."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import json
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sandbox.client import Refused, Sandbox, image
from tests.sandbox.programs import make_certificate
from tests.sandbox.status import Json
from tests.support.registries import MANIFEST

pytest_plugins = ["tests.sandbox.fixtures"]

CONFIG = b'{"architecture": "amd64", "os": "linux", "created": "2026-11-20T10:00:00Z", "config": {}}'
LAYER = gzip.compress(b"", mtime=0)


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


MANIFEST_DATA = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"digest": digest(CONFIG), "size": len(CONFIG), "mediaType": "application/json"},
        "layers": [{"digest": digest(LAYER), "size": len(LAYER), "mediaType": "application/json"}],
    }
).encode()

Answer = tuple[int, dict[str, str], bytes]
Behaviour = Callable[["Handler"], Answer | None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the test's function says; None drops the connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        assert isinstance(self.server, Stub)
        self.server.asked.append(self.path)
        answer = self.server.behaviour(self)
        if answer is None:
            self.close_connection = True
            return
        status, headers, body = answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Stub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def stub(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Stub]:
    server = Stub(behaviour)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def content(handler: Handler) -> Answer:
    """What a good registry answers."""
    if handler.path == "/v2/":
        return 200, {}, b"{}"
    if "/manifests/" in handler.path:
        return 200, {"Content-Type": MANIFEST}, MANIFEST_DATA
    return 200, {}, CONFIG if handler.path.endswith(digest(CONFIG)) else LAYER


def error(status: int, code: str, message: str) -> Answer:
    body = {"errors": [{"code": code, "message": message, "detail": None}]}
    return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


def import_one(sandbox: Sandbox, namespace: str, source: str, *, insecure: bool = True) -> Json:
    """The result of the only image."""
    found = sandbox.import_images(namespace, "app", [image(source, "prod", insecure=insecure)])
    result = found["status"]["images"][0]
    assert isinstance(result, dict)
    return result


def add_pull_secret(sandbox: Sandbox, namespace: str, place: str, password: str, **annotations: str) -> None:
    auth = base64.b64encode(f"robot:{password}".encode()).decode()
    body = {
        "metadata": {"generateName": "pull-", "annotations": annotations},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps({"auths": {place: {"auth": auth}}})},
    }
    sandbox.create(f"/api/v1/namespaces/{namespace}/secrets", body)


def with_tokens(passwords: dict[str, str]) -> Behaviour:
    """A registry that wants a token, which its own endpoint gives for a password (or none, where that is "")."""

    def behaviour(handler: Handler) -> Answer:
        host = handler.headers["Host"]
        if handler.path.startswith("/token"):
            given = handler.headers.get("Authorization", "")
            password = base64.b64decode(given.removeprefix("Basic ")).decode().partition(":")[2]
            if password not in passwords:
                return error(401, "UNAUTHORIZED", "incorrect username or password")
            assert "scope=repository%3Ateam%2Fapp%3Apull" in handler.path
            return 200, {}, json.dumps({"token": passwords[password]}).encode()
        if handler.headers.get("Authorization") not in {f"Bearer {token}" for token in passwords.values()}:
            status, headers, body = error(401, "UNAUTHORIZED", "authentication required")
            challenge = f'Bearer realm="http://{host}/token",service="registry"'
            return status, {**headers, "WWW-Authenticate": challenge}, body
        return content(handler)

    return behaviour


def test_a_token_for_the_namespaces_secret(sandbox: Sandbox, namespace: str) -> None:
    with stub(with_tokens({"right": "t1"})) as registry:
        add_pull_secret(sandbox, namespace, registry.address, "right")
        result = import_one(sandbox, namespace, f"{registry.address}/team/app:prod")
        assert result["status"]["status"] == "Success"
        assert result["image"]["metadata"]["name"] == digest(MANIFEST_DATA)


def test_the_most_specific_secret_is_used(sandbox: Sandbox, namespace: str) -> None:
    with stub(with_tokens({"right": "t1"})) as registry:
        add_pull_secret(sandbox, namespace, registry.address, "wrong")
        add_pull_secret(sandbox, namespace, f"{registry.address}/team", "right")
        assert import_one(sandbox, namespace, f"{registry.address}/team/app:prod")["status"]["status"] == "Success"


def test_a_token_that_is_refused_is_an_internal_error(sandbox: Sandbox, namespace: str) -> None:
    def behaviour(handler: Handler) -> Answer:
        if handler.path.startswith("/token"):
            return 403, {}, b'{"details": "access denied"}'
        challenge = f'Bearer realm="http://{handler.headers["Host"]}/token"'
        return 401, {"WWW-Authenticate": challenge}, b"{}"

    with stub(behaviour) as registry:
        status = import_one(sandbox, namespace, f"{registry.address}/team/app:prod")["status"]
    url = f"http://{registry.address}/v2/team/app/manifests/prod"
    assert (status["code"], status["reason"]) == (500, "InternalError")
    assert status["message"] == (
        f'Internal error occurred: {registry.address}/team/app:prod: Get "{url}": denied: access denied'
    )


def test_a_stale_secret_for_a_public_image(sandbox: Sandbox, namespace: str) -> None:
    """All is fetched again without any secret."""
    with stub(with_tokens({"": "anyone"})) as registry:
        add_pull_secret(sandbox, namespace, registry.address, "stale")
        assert import_one(sandbox, namespace, f"{registry.address}/team/app:prod")["status"]["status"] == "Success"


def test_a_stale_secret_for_a_private_image(sandbox: Sandbox, namespace: str) -> None:
    with stub(with_tokens({"right": "t1"})) as registry:
        add_pull_secret(sandbox, namespace, registry.address, "stale")
        source = f"{registry.address}/team/app:prod"
        status = import_one(sandbox, namespace, source)["status"]
    assert (status["code"], status["reason"]) == (401, "Unauthorized")
    assert status["message"] == f'incorrect username or password for image "{source}"'


def test_an_excluded_secret_is_not_used(sandbox: Sandbox, namespace: str) -> None:
    with stub(with_tokens({"": "anyone"})) as registry:
        annotation = {"openshift.io/image.excludeSecret": "true"}
        add_pull_secret(sandbox, namespace, registry.address, "stale", **annotation)
        import_one(sandbox, namespace, f"{registry.address}/team/app:prod")
        assert sum(path.startswith("/token") for path in registry.asked) == 1


def test_basic_authentication_without_a_secret(sandbox: Sandbox, namespace: str) -> None:
    def behaviour(handler: Handler) -> Answer:
        if handler.headers.get("Authorization") != "Basic " + base64.b64encode(b"robot:right").decode():
            return 401, {"WWW-Authenticate": 'Basic realm="registry"'}, b"{}"
        return content(handler)

    with stub(behaviour) as registry:
        source = f"{registry.address}/team/app:prod"
        status = import_one(sandbox, namespace, source)["status"]
        assert (status["code"], status["message"]) == (
            401,
            f'you may not have access to the container image "{source}"',
        )
        add_pull_secret(sandbox, namespace, registry.address, "right")
        sandbox.change_settings(ping_lifetime=0.0)
        assert import_one(sandbox, namespace, source)["status"]["status"] == "Success"


def test_a_redirect_is_followed_without_credentials(sandbox: Sandbox, namespace: str) -> None:
    seen: list[str | None] = []
    guarded = with_tokens({"": "anyone"})

    def storage(handler: Handler) -> Answer:
        seen.append(handler.headers.get("Authorization"))
        return 200, {}, CONFIG

    with stub(storage) as place:

        def behaviour(handler: Handler) -> Answer:
            answer = guarded(handler)
            assert answer
            if "/blobs/" in handler.path and answer[0] == 200:
                return 307, {"Location": f"http://{place.address}/elsewhere"}, b""
            return answer

        with stub(behaviour) as registry:
            result = import_one(sandbox, namespace, f"{registry.address}/team/app:prod")
    assert result["status"]["status"] == "Success"
    assert seen == [None]


def test_what_is_not_what_the_digest_says(sandbox: Sandbox, namespace: str) -> None:
    other = digest(b"other")
    with stub(content) as registry:
        status = import_one(sandbox, namespace, f"{registry.address}/team/app@{other}")["status"]
    assert status["reason"] == "InternalError"
    assert f"content integrity error: the manifest retrieved with digest {other}" in status["message"]


def reset(handler: Handler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (lambda handler: None, "EOF"),
        (lambda handler: reset(handler), "read: connection reset by peer"),
        (lambda handler: (200, {"Content-Length": "500"}, b"{"), "unexpected EOF"),
    ],
    ids=["closed", "reset", "cut"],
)
def test_a_connection_that_breaks(
    sandbox: Sandbox, namespace: str, breaks: Callable[[Handler], Answer | None], words: str
) -> None:
    def behaviour(handler: Handler) -> Answer | None:
        if "/manifests/" not in handler.path:
            return content(handler)
        answer = breaks(handler)
        handler.close_connection = True
        return answer

    with stub(behaviour) as registry:
        status = import_one(sandbox, namespace, f"{registry.address}/team/app:prod")["status"]
    assert status["reason"] == "InternalError"
    assert f'Get "http://{registry.address}/v2/team/app/manifests/prod": ' in status["message"]
    assert status["message"].endswith(words)


def test_a_registry_that_was_there_a_moment_ago(sandbox: Sandbox, namespace: str) -> None:
    """It is not asked whether it is there for each import, but what it says is as if it were."""

    def closing(handler: Handler) -> Answer:
        status, headers, body = content(handler)
        handler.close_connection = True
        return status, {**headers, "Connection": "close"}, body

    with stub(closing) as registry:
        source = f"{registry.address}/team/app:prod"
        for _ in range(3):
            assert import_one(sandbox, namespace, source)["status"]["status"] == "Success"
        assert registry.asked.count("/v2/") == 1
    message = import_one(sandbox, namespace, source)["status"]["message"]
    assert f'Get "http://{registry.address}/v2/": dial tcp {registry.address}: connect: connection refused' in message


def test_a_plain_registry_without_insecure(sandbox: Sandbox, namespace: str) -> None:
    status = import_one(sandbox, namespace, sandbox.source("any/app:prod"), insecure=False)["status"]
    assert status["message"] == (
        f"Internal error occurred: {sandbox.registry_address}/any/app:prod: Get"
        f' "https://{sandbox.registry_address}/v2/": http: server gave HTTP response to HTTPS client'
    )


def test_a_registry_that_says_nothing(sandbox: Sandbox, namespace: str) -> None:
    sandbox.change_settings(tls_handshake_timeout=0.1, ping_timeout=0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        source = f"127.0.0.1:{listener.getsockname()[1]}/x:prod"
        secure = import_one(sandbox, namespace, source, insecure=False)["status"]["message"]
        insecure = import_one(sandbox, namespace, source)["status"]["message"]
    assert secure.endswith('/v2/": net/http: TLS handshake timeout')
    assert insecure.endswith("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")


def test_tls(sandbox: Sandbox, namespace: str, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.file, certificate.key)
    with stub(content, tls) as registry:
        source = f"{registry.address}/team/app:prod"
        refused = import_one(sandbox, namespace, source, insecure=False)["status"]["message"]
        assert import_one(sandbox, namespace, source)["status"]["status"] == "Success"
    assert refused.endswith("tls: failed to verify certificate: x509: certificate signed by unknown authority")


def test_the_certificate_is_only_for_this_machine(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    command = ["openssl", "x509", "-in", str(certificate.file), "-noout", "-ext", "subjectAltName"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "IP Address:127.0.0.1, DNS:localhost" in said


def test_no_import_without_a_valid_name(sandbox: Sandbox, namespace: str) -> None:
    with pytest.raises(Refused, match="repository name must be lowercase"):
        import_one(sandbox, namespace, "quay.io/Upper/App:prod")
