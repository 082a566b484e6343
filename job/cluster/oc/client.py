"""The cluster by way of the openshift-client package: over a person's own login, by their `oc` (or `kubectl`).

Context, proxy and impersonation are those of the kubeconfig; a bastion host is what openshift-client's own environment
variables name. Every request is one process: `get`, `create`, `replace` or `delete` with `--raw`, which takes the path
of a request as it is. So nothing is discovered or validated beforehand, a name cannot be taken for an option, the
server's own limit of time and a delete's precondition are sent along, and what is not a GET is sent once only:
client-go repeats a GET by itself after 429 and 5xx with Retry-After, but never a body that it got as a stream.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import openshift_client

from job.cluster import Resource
from job.cluster.oc.output import answers, refusal
from job.cluster.oc.processes import Processes
from job.cluster.paths import path_of
from job.config.settings import Settings
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Reason
from job.domain.text import clean

log = logging.getLogger(__name__)

PAGE = 500
SECONDS = 60.0
# How much longer a process may take than the server was told to work.
SLACK_SECONDS = 10.0
PROGRAM = "OPENSHIFT_CLIENT_PYTHON_DEFAULT_OC_PATH"
BASTION = "OPENSHIFT_CLIENT_PYTHON_DEFAULT_SSH_HOSTNAME"

Counted = Callable[[str, str], None]


def connect(settings: Settings, counted: Counted) -> OcCluster:
    """Find the program and the login.

    Args:
        settings: of these HOST, TOKEN and TLS verification are used.
        counted: called with the namespace and the HTTP status (or `none`) of every request.

    Raises:
        UsageError: there is no program, or no login, or it cannot be read.
    """
    bastion = bool(openshift_client.DEFAULT_SSH_HOSTNAME)
    program = os.environ.get(PROGRAM) or "oc"
    if not bastion:
        found = shutil.which(program) or (shutil.which("kubectl") if program == "oc" else None)
        if found is None:
            missing = "neither oc nor kubectl is on the PATH" if program == "oc" else f"{PROGRAM} names no program"
            raise UsageError([f"CLIENT=oc: {missing}; install oc, or leave CLIENT unset"])
        program = found
    kubeconfig = None
    if settings.host:
        if bastion:
            raise UsageError([f"HOST: not together with {BASTION}; log in with oc login there"])
        if not settings.host.startswith("https://"):
            raise UsageError(["HOST: must begin with https:// with CLIENT=oc, since oc sends no token without TLS"])
        kubeconfig = _write_kubeconfig(settings)
    processes = Processes(program, settings.host, kubeconfig, verify_tls=settings.verify_tls)
    try:
        if settings.host:
            namespace, server = os.environ.get("POD_NAMESPACE", "").strip() or None, settings.host
        else:
            namespace, server = _context(processes, verify_tls=settings.verify_tls)
    except BaseException:
        processes.close()
        raise
    return OcCluster(processes, namespace, urlsplit(server).path.rstrip("/"), counted)


def _write_kubeconfig(settings: Settings) -> Path:
    """A kubeconfig for HOST and TOKEN, for its owner's eyes only. JSON is YAML."""
    cluster = {"server": settings.host, "insecure-skip-tls-verify": not settings.verify_tls}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "import-images",
        "clusters": [{"name": "import-images", "cluster": cluster}],
        "users": [{"name": "import-images", "user": {"token": settings.token}}],
        "contexts": [{"name": "import-images", "context": {"cluster": "import-images", "user": "import-images"}}],
    }
    try:
        # Made with mode 0600.
        number, name = tempfile.mkstemp(prefix="import-images-", suffix=".kubeconfig")
        file = Path(name)
        atexit.register(file.unlink, missing_ok=True)
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            json.dump(config, stream)
    except OSError as error:
        told = (
            f"HOST and TOKEN need a temporary file with CLIENT=oc: {error}; make room, or set TMPDIR to another folder"
        )
        raise UsageError([told]) from error
    return file


def _context(processes: Processes, *, verify_tls: bool) -> tuple[str | None, str]:
    """Namespace and server of the current context. What `config view` shows has its secrets blotted out."""
    try:
        done = processes.run("config", ["view", "--minify", "--output=json"], None, SECONDS)
    except ImportError as error:
        raise UsageError([f"{BASTION} is set, which needs paramiko; pip install paramiko"]) from error
    except ClusterError as error:
        raise UsageError([f"CLIENT=oc: {error}"]) from error
    try:
        if done.too_late or done.status:
            raise ValueError(refusal(done.err))
        view = json.loads(done.out)
        namespace = view["contexts"][0]["context"].get("namespace")
        server = str(view["clusters"][0]["cluster"]["server"])
        unverified = view["clusters"][0]["cluster"].get("insecure-skip-tls-verify")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        why = clean(str(error)) if done.status else "the kubeconfig's current context is not complete"
        raise UsageError([f"no cluster to talk to: {why}; log in with oc login, or set KUBECONFIG"]) from error
    if unverified is True and verify_tls:
        log.warning("TLS VERIFICATION IS OFF by the kubeconfig: whoever is on the way to the API can forge answers")
    return (str(namespace) if namespace else None), server


class OcCluster:
    """Implements `job.cluster.Cluster`."""

    def __init__(self, processes: Processes, default_namespace: str | None, root: str, counted: Counted) -> None:
        self._processes = processes
        self._default_namespace = default_namespace
        # `--raw` leaves out the path that the server's address has.
        self._root = root
        self._counted = counted

    @property
    def default_namespace(self) -> str | None:
        """The namespace of the kubeconfig's context."""
        return self._default_namespace

    @property
    def clock_skew(self) -> float | None:
        """Not known: no answer's headers are shown."""
        return None

    def list(self, resource: Resource, namespace: str, selector: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Every object, in pages of `PAGE`.

        Raises:
            ClusterError: also between two pages, with 410 when the list took longer than the server remembers.
        """
        query = {"limit": str(PAGE)}
        if selector:
            query["labelSelector"] = selector
        while True:
            page = self._request("get", resource, namespace, query=query)
            items = page.get("items")
            yield from items if isinstance(items, list) else ()
            onward = (page.get("metadata") or {}).get("continue")
            if not onward:
                return
            query["continue"] = onward

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        """One object by name."""
        return self._request("get", resource, namespace, name)

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Create an object; `timeout` in seconds replaces the server's own limit of 34 seconds."""
        return self._request("create", resource, namespace, body=body, timeout=timeout)

    def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Replace an object by what `body` says, whose metadata names it; `timeout` as for `create`."""
        name = str(body["metadata"]["name"])
        return self._request("replace", resource, namespace, name, body=body, timeout=timeout, slack=2.0)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object; one of that name with another `uid` is a conflict (HTTP 409) and stays."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **({"preconditions": {"uid": uid}} if uid else {})}
        self._request("delete", resource, namespace, name, body=body)

    def close(self) -> None:
        """End the processes that are under way, and remove the kubeconfig that holds the token."""
        self._processes.close()

    def _request(
        self,
        verb: str,
        resource: Resource,
        namespace: str,
        name: str | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        timeout: float | None = None,
        slack: float = SLACK_SECONDS,
    ) -> Mapping[str, Any]:
        path = self._root + path_of(resource, namespace, name)
        seconds = SECONDS if timeout is None else timeout + slack
        if timeout is not None:
            query = {**(query or {}), "timeout": f"{max(1, round(timeout * 1000))}ms"}
        arguments = [f"--raw={path}" + (f"?{urlencode(query)}" if query else ""), "-v=6"]
        if body is not None:
            arguments.append("--filename=-")
        if verb in ("create", "replace"):
            arguments.append("--validate=false")
        done = self._processes.run(verb, arguments, None if body is None else json.dumps(body), seconds)
        codes = answers(done.err) or ["none"]
        for code in codes:
            self._counted(namespace, code)
        if done.too_late:
            raise _unfinished(done.err, codes, seconds)
        if done.status:
            raise refusal(done.err)
        return _parsed(done.out, codes[-1])


def _unfinished(said: str, codes: list[str], seconds: float) -> ClusterError:
    # A GET that was refused, and then waits by itself for as long as the server asked.
    if codes[-1].isdigit() and int(codes[-1]) >= 400:
        return refusal(said)
    return ClusterError(Reason.TIMEOUT, f"no answer within {seconds:g} s", answered=False)


def _parsed(text: str, code: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    # The request took effect, but what it did is not known.
    number = int(code) if code.isdigit() else None
    raise ClusterError(Reason.API_ERROR, f"HTTP {code} without a JSON object", code=number, answered=False)
