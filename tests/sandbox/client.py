"""The sandbox as tests see it: started as a process of its own, and asked over HTTP.

with start() as sandbox:
sandbox.registry.push("team/app", "prod", "one")
sandbox.create_namespace("shop")
sandbox.create_stream("shop", "app", {"prod": f"{sandbox.registry.address}/team/app:prod"})
sandbox.import_tag("shop", "app", "prod")
sandbox.add_fault(method="POST", path="imagestreamimports", times=1, status={"code": 503})
token = sandbox.create_account("shop", "worker", [rule("image.openshift.io", ["imagestreams"], ["list"])])
kubeconfig = sandbox.kubeconfig(token, "shop")
assert sandbox.requests(method="POST", path="imagestreamimports")
sandbox.image_behaves(digest, "crash")
sandbox.create_workload("shop", "StatefulSet", "app", tag="app:prod", replicas=2)
until(lambda: sandbox.pods("shop", "app"))
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import yaml

from tests.sandbox import workload_manifests
from tests.sandbox.programs import write_kubeconfig
from tests.sandbox.status import Json as Json
from tests.sandbox.status import JsonValue
from tests.support.paths import ROOT
from tests.support.registries import Registry

IMAGE = "/apis/image.openshift.io/v1"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
_PATIENCE = 60.0

SelectedTag = TypeVar("SelectedTag")
# Called with each sandbox of `start` before it ends.
BEFORE_END: list[Callable[[Sandbox], None]] = []


class Refused(Exception):  # noqa: N818 - the server refused
    """The server answered with an error; `status` is its Status."""

    def __init__(self, code: int, status: Json, text: str) -> None:
        super().__init__(f"{code}: {status.get('message') or text[:500]}")
        self.code = code
        self.status = status
        self.reason = str(status.get("reason", ""))
        self.message = str(status.get("message", ""))


@dataclass(slots=True)
class Reply:
    """An answer, whatever its code."""

    code: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> JsonValue:
        return json.loads(self.text)


def rule(group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()) -> Json:
    """One rule of a Role."""
    found: Json = {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
    if names:
        found["resourceNames"] = list(names)
    return found


class Connections:
    """The idle connections to one server; any thread may take one."""

    def __init__(self, server: str) -> None:
        self._address = urlsplit(server).netloc
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    @contextmanager
    def one(self, timeout: float) -> Iterator[http.client.HTTPConnection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else http.client.HTTPConnection(self._address)
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        with self._lock:
            for connection in self._idle:
                connection.close()
            self._idle.clear()


class Api:
    """The server as one user sees it."""

    def __init__(self, server: str, token: str, connections: Connections | None = None) -> None:
        self.server = server
        self.token = token
        self.connections = connections or Connections(server)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
    ) -> Reply:
        """Any request; an error is an answer like any other."""
        full = quote(path, safe="/:@?&=%+,.~-_") + (f"?{urlencode(query)}" if query else "")
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Accept": JSON, "Content-Type": content_type, **(headers or {})}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        with self.connections.one(timeout) as connection:
            connection.request(method, full, data, sent)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        return Reply(answer.status, dict(answer.headers), text)

    def close(self) -> None:
        self.connections.close()

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> JsonValue:
        """A request that must succeed; gives what it answers."""
        reply = self.request(method, path, body, query=query, content_type=content_type)
        try:
            found = reply.json if reply.text else {}
        except ValueError:
            found = {}
        if reply.code >= http.HTTPStatus.BAD_REQUEST:
            raise Refused(reply.code, found if isinstance(found, dict) else {}, reply.text)
        return found

    def get(self, path: str, **query: str) -> JsonValue:
        return self.ask("GET", path, query=query or None)

    def create(self, path: str, body: object, **query: str) -> JsonValue:
        return self.ask("POST", path, body, query=query or None)

    def replace(self, path: str, body: object, **query: str) -> JsonValue:
        return self.ask("PUT", path, body, query=query or None)

    def patch(self, path: str, body: object, content_type: str = MERGE_PATCH, **query: str) -> JsonValue:
        return self.ask("PATCH", path, body, query=query or None, content_type=content_type)

    def delete(self, path: str, body: object = None, **query: str) -> JsonValue:
        return self.ask("DELETE", path, body, query=query or None)

    def items(self, path: str, **query: str) -> list[Json]:
        """All items of a list, page by page if `limit` is given."""
        found: list[Json] = []
        more = dict(query)
        while True:
            page = self.get(path, **more)
            found += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return found
            more["continue"] = token

    @contextmanager
    def watch(self, path: str, *, timeout: float = 10.0, **query: str) -> Iterator[Iterator[Json]]:
        """The events of a watch, on a connection of its own; waiting longer than `timeout` for one is an error."""
        connection = http.client.HTTPConnection(urlsplit(self.server).netloc, timeout=timeout)
        full = f"{path}?{urlencode({'watch': 'true', **query})}"
        connection.request("GET", full, headers={"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        try:
            if answer.status != http.HTTPStatus.OK:
                text = answer.read().decode()
                raise Refused(answer.status, json.loads(text), text)
            yield (json.loads(line) for line in iter(answer.readline, b""))
        finally:
            answer.close()
            connection.close()


class Sandbox(Api):
    """A running sandbox, as its administrator sees it."""

    def __init__(self, line: Mapping[str, str | None], folder: Path) -> None:
        super().__init__(str(line["server"]), str(line["token"]))
        self.registry_address = line["registry"] or ""
        self.pushgateway = line["pushgateway"] or ""
        self.admin_kubeconfig = Path(str(line["kubeconfig"]))
        cluster = yaml.safe_load(self.admin_kubeconfig.read_text())["clusters"][0]["cluster"]
        # The same server over TLS, and the certificate to verify it by.
        self.secure_server = str(cluster["server"])
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        self.registry = Registry(self.registry_address)
        self._folder = folder

    # Users

    def as_user(self, token: str) -> Api:
        return Api(self.server, token, self.connections)

    def create_token(self, namespace: str, account: str, seconds: float = 3600) -> str:
        """A token of a service account."""
        body = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "spec": {"expirationSeconds": seconds},
        }
        answer = self.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body)
        return str(answer["status"]["token"])

    def create_account(
        self, namespace: str, name: str, rules: Sequence[Json] = (), *, cluster_role: str = "", seconds: float = 3600
    ) -> str:
        """A service account that may do what the rules say in its namespace; gives a token of it."""
        place = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        self.create(place, {"metadata": {"name": name}})
        if rules:
            self.grant(namespace, name, rules)
        if cluster_role:
            self.bind(namespace, name, {"kind": "ClusterRole", "name": cluster_role})
        return self.create_token(namespace, name, seconds)

    def grant(self, namespace: str, account: str, rules: Sequence[Json], *, of: str = "") -> None:
        """Let an account (of namespace `of`, if another) do more in a namespace."""
        name = f"{account}-{uuid.uuid4().hex[:8]}"
        place = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles"
        self.create(place, {"metadata": {"name": name}, "rules": list(rules)})
        self.bind(namespace, account, {"kind": "Role", "name": name}, of=of)

    def bind(self, namespace: str, account: str, role: Mapping[str, str], *, of: str = "") -> None:
        place = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
        subject = {"kind": "ServiceAccount", "name": account, "namespace": of or namespace}
        reference = {"apiGroup": "rbac.authorization.k8s.io", **role}
        self.create(
            place,
            {"metadata": {"generateName": f"{account}-"}, "roleRef": reference, "subjects": [subject]},
        )

    def kubeconfig(self, token: str, namespace: str = "default") -> Path:
        """A kubeconfig for a token; it goes away with the sandbox."""
        file = self._folder / f"kubeconfig-{uuid.uuid4().hex[:8]}"
        return write_kubeconfig(file, self.secure_server, self.ca_file, token, namespace)

    # Namespaces and streams

    def create_namespace(self, name: str = "", labels: Mapping[str, str] | None = None) -> str:
        """A namespace, of a name that no other has if none is given."""
        name = name or f"ns-{uuid.uuid4().hex[:8]}"
        self.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": dict(labels or {})}})
        return name

    def source(self, repository: str) -> str:
        """A place in the sandbox's registry: `team/app:prod` becomes `127.0.0.1:5000/team/app:prod`."""
        return f"{self.registry_address}/{repository}"

    def create_stream(
        self,
        namespace: str,
        name: str,
        tags: Mapping[str, object] | None = None,
        *,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Json:
        """A stream. A tag is the place of its image, imported insecurely, or the tag reference itself."""
        metadata: Json = {"name": name, "labels": dict(labels or {}), "annotations": dict(annotations or {})}
        spec = {"tags": [tag_reference(tag, value) for tag, value in (tags or {}).items()]}
        found = self.create(f"{IMAGE}/namespaces/{namespace}/imagestreams", {"metadata": metadata, "spec": spec})
        assert isinstance(found, dict)
        return found

    def stream(self, namespace: str, name: str) -> Json:
        found = self.get(f"{IMAGE}/namespaces/{namespace}/imagestreams/{name}")
        assert isinstance(found, dict)
        return found

    def import_images(
        self,
        namespace: str,
        stream: str,
        images: Iterable[Json],
        *,
        version: str = "",
        timeout: str = "",
        only_look: bool = False,
    ) -> Json:
        """Import images, as `image` makes them, into a stream; gives the ImageStreamImport."""
        metadata = {"name": stream, **({"resourceVersion": version} if version else {})}
        body = {
            "kind": "ImageStreamImport",
            "apiVersion": "image.openshift.io/v1",
            "metadata": metadata,
            "spec": {"import": not only_look, "images": list(images)},
        }
        query = {"timeout": timeout} if timeout else {}
        found = self.create(f"{IMAGE}/namespaces/{namespace}/imagestreamimports", body, **query)
        assert isinstance(found, dict)
        return found

    def import_tag(self, namespace: str, stream: str, tag: str) -> Json:
        """Import a tag as its spec says."""
        spec = next(each for each in self.stream(namespace, stream)["spec"]["tags"] if each["name"] == tag)
        wanted = {name: spec[name] for name in ("from", "importPolicy", "referencePolicy")}
        return self.import_images(namespace, stream, [{**wanted, "to": {"name": tag}}])

    # Workloads

    def create_workload(self, namespace: str, kind: str, name: str, **options: Any) -> Json:
        """A workload that follows a tag; the options are those of `workload_manifests.workload`."""
        body = workload_manifests.workload(kind, name, **options)
        found = self.create(workload_manifests.path(kind, namespace), body)
        assert isinstance(found, dict)
        return found

    def workload(self, namespace: str, kind: str, name: str) -> Json:
        found = self.get(f"{workload_manifests.path(kind, namespace)}/{name}")
        assert isinstance(found, dict)
        return found

    def pods(self, namespace: str, app: str = "") -> list[Json]:
        """The pods of a namespace, or of one workload that `create_workload` made, by name."""
        query = {"labelSelector": f"app={app}"} if app else {}
        return sorted(
            self.items(f"/api/v1/namespaces/{namespace}/pods", **query), key=lambda pod: str(pod["metadata"]["name"])
        )

    def delete_pod(self, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete a pod; with a uid, only if it is still that one."""
        body = {"preconditions": {"uid": uid}} if uid else None
        self.delete(f"/api/v1/namespaces/{namespace}/pods/{name}", body)

    def image_behaves(self, image: str, how: str) -> None:
        """Let containers of an image do as one of `workloads.lives.BEHAVIOURS` says: "ready", "crash", "unpullable" ...

        The image is told by its digest, or by any other part of the reference. Containers that are there already
        change as well.
        """
        known = self.get("/sandbox/settings")["image_behaviours"]
        known.pop(image, None)
        self.change_settings(image_behaviours={**known, image: how})

    # Faults, log and settings

    def add_fault(self, **parts: object) -> int:
        """Add a rule; its parts are those of `tests.sandbox.faults`."""
        return int(self.create("/sandbox/faults", parts)["id"])

    def faults(self) -> list[Json]:
        found = self.get("/sandbox/faults")
        assert isinstance(found, list)
        return found

    def remove_faults(self, number: int | None = None) -> None:
        self.delete("/sandbox/faults" if number is None else f"/sandbox/faults/{number}")

    def requests(self, *, method: str = "", path: str = "", user: str = "") -> list[Json]:
        """The log of requests; `method` is exact, `path` and `user` are regular expressions to be found."""
        return [
            each
            for each in self.log()["requests"]
            if (not method or each["method"] == method)
            and re.search(path, each["path"])
            and re.search(user, each["user"])
        ]

    def log(self) -> Json:
        """The whole log: `requests`, `in_flight`, `most_in_flight`, `most_imports_in_flight`."""
        found = self.get("/sandbox/requests")
        assert isinstance(found, dict)
        return found

    def clear_log(self) -> None:
        self.delete("/sandbox/requests")

    def clear_pushgateway(self) -> None:
        """Delete all groups of the Pushgateway."""
        request = urllib.request.Request(f"{self.pushgateway}/api/v1/admin/wipe", method="PUT")
        urllib.request.urlopen(request, timeout=_PATIENCE).close()

    def change_settings(self, **settings: object) -> Json:
        """Change some of `tests.sandbox.settings`; gives all."""
        found = self.patch("/sandbox/settings", settings, JSON)
        assert isinstance(found, dict)
        return found

    @contextmanager
    def settings(self, **settings: object) -> Iterator[None]:
        """Change settings for a while."""
        before = self.get("/sandbox/settings")
        self.change_settings(**settings)
        try:
            yield
        finally:
            self.change_settings(**{name: before[name] for name in settings})

    def expire_continue_tokens(self) -> None:
        self.create("/sandbox/expire-continue", {})


def tag_reference(name: str, value: object) -> Json:
    """An entry of spec.tags; a text is the place of an image that may be imported insecurely."""
    if isinstance(value, str):
        return {"name": name, "from": {"kind": "DockerImage", "name": value}, "importPolicy": {"insecure": True}}
    assert isinstance(value, dict)
    return {"name": name, **value}


def image(source: str, to: str = "", *, insecure: bool = True, **policy: object) -> Json:
    """An entry of spec.images of an import; `policy` is more of its importPolicy."""
    import_policy = {**({"insecure": True} if insecure else {}), **policy}
    wanted: Json = {"from": {"kind": "DockerImage", "name": source}, "importPolicy": import_policy}
    if to:
        wanted["to"] = {"name": to}
    return wanted


def until(what: Callable[[], SelectedTag | None], *, seconds: float = 60.0, told: str = "") -> SelectedTag:
    """Ask again and again until the answer is not empty; gives it. Taking longer is a TimeoutError that tells what."""
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise TimeoutError(f"{told or 'it did not come'}: still {found!r} after {seconds} s")
        time.sleep(0.02)
    return found


@contextmanager
def start(*options: str, environment: Mapping[str, str] | None = None) -> Iterator[Sandbox]:
    """A sandbox of one's own; options as `python -m tests.sandbox` takes them."""
    with tempfile.TemporaryDirectory(prefix="sandbox-client-") as folder:
        errors = Path(folder) / "stderr"
        with errors.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.sandbox", "--die-with-parent", *options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **(environment or {})},
            )
        assert process.stdout is not None
        timer = threading.Timer(_PATIENCE, process.kill)
        timer.start()
        try:
            line = process.stdout.readline()
            timer.cancel()
            if not line:
                raise RuntimeError(f"the sandbox did not start: {errors.read_text(errors='replace')}")
            sandbox = Sandbox(json.loads(line), Path(folder))
            yield sandbox
            for each in BEFORE_END:
                if process.poll() is None:
                    each(sandbox)
            sandbox.registry.close()
            sandbox.close()
        finally:
            timer.cancel()
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
