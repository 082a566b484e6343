"""The adapter for the openshift-client package: a person's own login, by their `oc` (or `kubectl`).

Context, proxy and impersonation are those of the kubeconfig; openshift-client's own environment variables name a
bastion host. Every request is one process: `get`, `create`, `replace` or `delete` with `--raw`, which sends the path of
a request unchanged. So nothing is discovered or validated first, a name cannot become an option, and the server's time
limit and a delete's precondition are sent along. Only a GET is ever sent again by client-go itself (after 429 and 5xx
with Retry-After), never a body that it read from a stream.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import openshift_client

from job.cluster import Resource
from job.cluster.login import explained
from job.cluster.oc.kubeconfig import TokenFile
from job.cluster.oc.output import answers, refusal
from job.cluster.oc.processes import Processes
from job.cluster.paths import path_of
from job.cluster.unstructured import object_in
from job.config.settings import Settings
from job.domain.addresses import is_overheard, split_login
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Reason
from job.domain.text import clean

log = logging.getLogger(__name__)

PAGE = 500
SECONDS = 60.0
# `oc config view` asks no server.
CONFIG_SECONDS = 15.0
# How much longer a process may take than the time limit given to the server.
SLACK_SECONDS = 10.0
PROGRAM = "OPENSHIFT_CLIENT_PYTHON_DEFAULT_OC_PATH"
BASTION = "OPENSHIFT_CLIENT_PYTHON_DEFAULT_SSH_HOSTNAME"

RequestCounter = Callable[[str, str], None]


def connect(settings: Settings, count: RequestCounter) -> OcCluster:
    """Find the program and the login.

    Args:
        settings: of these HOST, TOKEN and TLS verification are used.
        count: called with the namespace and the HTTP status (or `none`) of every request.

    Raises:
        UsageError: there is no program or no login, or the login cannot be read.
    """
    bastion = bool(openshift_client.DEFAULT_SSH_HOSTNAME)
    program = os.environ.get(PROGRAM) or "oc"
    if not bastion:
        executable = shutil.which(program) or (shutil.which("kubectl") if program == "oc" else None)
        if executable is None:
            missing = "neither oc nor kubectl is on the PATH" if program == "oc" else f"{PROGRAM} names no program"
            raise UsageError([f"CLIENT=oc: {missing}; install oc, or leave CLIENT unset"])
        program = executable
    token_file = None
    if settings.host:
        if bastion:
            raise UsageError([f"HOST: not together with {BASTION}; log in with oc login there"])
        if not settings.host.startswith("https://"):
            raise UsageError(["HOST: must begin with https:// with CLIENT=oc, since oc sends no token without TLS"])
        token_file = TokenFile(settings)
    processes = Processes(
        program, settings.host, token_file, verify_tls=settings.verify_tls, options=global_options(settings)
    )
    try:
        if settings.host:
            context, namespace, server = None, os.environ.get("POD_NAMESPACE", "").strip() or None, settings.host
        else:
            context, namespace, server = _context(processes, verify_tls=settings.verify_tls)
    except BaseException:
        processes.close()
        raise
    return OcCluster(processes, namespace, server, context, count)


def global_options(settings: Settings) -> list[str]:
    """The options of every `oc` process: which login it uses, and as whom it acts."""
    given = (("kubeconfig", settings.kubeconfig), ("context", settings.context), ("as", settings.as_user))
    options = [f"--{name}={value}" for name, value in given if value]
    return options + [f"--as-group={group}" for group in settings.as_groups]


def _context(processes: Processes, *, verify_tls: bool) -> tuple[str | None, str | None, str]:
    """Name, namespace and server of the context that is used. `config view` masks the secrets it shows.

    Raises:
        UsageError: there is no complete context.
    """
    try:
        done = processes.run("config", ["view", "--minify", "--output=json"], None, CONFIG_SECONDS)
    except ImportError as error:
        raise UsageError([f"{BASTION} is set, which needs paramiko; pip install paramiko"]) from error
    except ClusterError as error:
        raise UsageError([f"CLIENT=oc: {error}"]) from error
    if done.too_late:
        raise UsageError([f"CLIENT=oc: oc config view gave no answer within {CONFIG_SECONDS:g} s; does oc work here?"])
    try:
        if done.status:
            raise ValueError(refusal(done.err))
        view = json.loads(done.out)
        name, namespace = view["contexts"][0].get("name"), view["contexts"][0]["context"].get("namespace")
        server = split_login(str(view["clusters"][0]["cluster"]["server"])).url
        unverified = view["clusters"][0]["cluster"].get("insecure-skip-tls-verify")
        split_login(str(view["clusters"][0]["cluster"].get("proxy-url") or ""))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        why = clean(str(error)) if done.status else "the kubeconfig's current context is not complete"
        raise UsageError([f"no cluster to talk to: {why}; log in with oc login, or set KUBECONFIG"]) from error
    if not openshift_client.DEFAULT_SSH_HOSTNAME and (missing := _missing_files(view)):
        raise UsageError([f"the kubeconfig names a file that does not exist: {', '.join(missing)}"])
    if unverified is True and verify_tls:
        log.warning("TLS VERIFICATION IS OFF by the kubeconfig: anyone between here and the API can forge its answers")
    if is_overheard(server):
        log.warning("NO TLS to %s: anyone on the way can read the login and forge answers; use https", server)
    return (str(name) if name else None), (str(namespace) if namespace else None), server


def _missing_files(view: Mapping[str, Any]) -> list[str]:
    """The files of certificates and keys that a login names and this machine lacks."""
    cluster, user = view["clusters"][0].get("cluster") or {}, (view.get("users") or [{}])[0].get("user") or {}
    named = (cluster.get("certificate-authority"), user.get("client-certificate"), user.get("client-key"))
    paths = [Path(path) for path in named if isinstance(path, str)]
    # A path that is not absolute begins at a folder that this view no longer shows.
    return [clean(str(path)) for path in paths if path.is_absolute() and not path.is_file()]


class OcCluster:
    """Implements `job.cluster.Cluster`."""

    def __init__(
        self,
        processes: Processes,
        default_namespace: str | None,
        server: str,
        context: str | None,
        count: RequestCounter,
    ) -> None:
        self._processes = processes
        self._default_namespace = default_namespace
        # `--raw` leaves out the path that the server's address has.
        self._root = urlsplit(server).path.rstrip("/")
        self._server = server
        self._context = context
        self._count = count

    @property
    def default_namespace(self) -> str | None:
        """The namespace of the kubeconfig's context."""
        return self._default_namespace

    @property
    def server(self) -> str:
        """The address of the API."""
        return self._server

    @property
    def context(self) -> str | None:
        """The kubeconfig's context, if the login comes from one."""
        return self._context

    @property
    def clock_skew(self) -> float | None:
        """None: oc shows no headers of an answer."""
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
            items = page.get("items", "")
            # Go writes an empty list as null.
            if not (items is None or isinstance(items, list)):
                where = f" in {namespace}" if namespace else ""
                raise ClusterError(Reason.API_ERROR, f"the answer to a list of {resource.plural}{where} has no items")
            yield from (item for item in items or () if isinstance(item, dict))
            next_page = object_in(page, "metadata").get("continue")
            if not next_page:
                return
            query["continue"] = str(next_page)

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
        """Replace the object that the metadata of `body` names; `timeout` as for `create`."""
        name = str(body["metadata"]["name"])
        return self._request("replace", resource, namespace, name, body=body, timeout=timeout, slack=2.0)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object; one of that name with another `uid` stays, and is a conflict (HTTP 409)."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **({"preconditions": {"uid": uid}} if uid else {})}
        self._request("delete", resource, namespace, name, body=body)

    def close(self) -> None:
        """End the running processes, and remove the kubeconfig that holds the token."""
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
            self._count(namespace, code)
        if done.too_late:
            raise _unfinished(done.err, codes, seconds)
        if done.status:
            raise explained(refusal(done.err), self._server, f"log in again: oc login {self._server}")
        return _parsed(done.out, codes[-1])


def _unfinished(stderr: str, codes: list[str], seconds: float) -> ClusterError:
    # After a refused GET, client-go itself waits for as long as the server asked.
    if codes[-1] != "none" and int(codes[-1]) >= 400:
        return refusal(stderr)
    return ClusterError(Reason.TIMEOUT, f"no answer within {seconds:g} s", answered=False)


def _parsed(text: str, code: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    # The request took effect, but its result is unknown.
    number = None if code == "none" else int(code)
    raise ClusterError(Reason.API_ERROR, f"HTTP {code} without a JSON object", code=number, answered=False)
