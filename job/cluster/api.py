"""The adapter that speaks to the API itself: in a pod, with a kubeconfig, or with HOST and TOKEN.

`job.cluster.login` finds the way in. No client has models for the image API, so requests and answers are plain JSON,
and paths are known instead of discovered.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from job import VERSION
from job.cluster import Resource
from job.cluster.headers import retry_after, unix_time
from job.cluster.login import Login, authorization_of, explained, find_login
from job.cluster.paths import path_of
from job.cluster.unstructured import object_in
from job.config.settings import Settings
from job.domain.errors import ClusterError
from job.domain.failures import of_http
from job.domain.model import Reason
from job.domain.secrets import SECRETS
from job.domain.text import clean
from job.runtime.http import Answer, HttpError, Problem

log = logging.getLogger(__name__)

PAGE = 500
# Pods and workloads are large objects, and a run's pod has little memory.
PAGE_OF_LARGE = 100
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
# How much longer the client waits than the time limit given to the server.
SLACK_SECONDS = 10.0

RequestCounter = Callable[[str, str], None]


def connect(settings: Settings, count: RequestCounter) -> ApiCluster:
    """Find the cluster: HOST and TOKEN, else the pod's service account, else a kubeconfig.

    Args:
        settings: of these HOST, TOKEN, TLS verification and CONCURRENCY are used.
        count: called with the namespace and the HTTP status (or `none`) of every request.

    Raises:
        UsageError: no cluster is configured, or its configuration cannot be read.
    """
    return ApiCluster(find_login(settings), count, _impersonation(settings))


class ApiCluster:
    """Implements `job.cluster.Cluster`."""

    def __init__(
        self,
        login: Login,
        count: RequestCounter,
        impersonation: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._login = login
        self._count = count
        self._impersonation = impersonation
        self._skew: tuple[float, float] | None = None

    @property
    def default_namespace(self) -> str | None:
        """The namespace of the pod or of the kubeconfig's context."""
        return self._login.namespace

    @property
    def server(self) -> str:
        """The address of the API."""
        return self._login.server

    @property
    def context(self) -> str | None:
        """The kubeconfig's context, if the login comes from one."""
        return self._login.context

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the server's clock is ahead of this one, by the fastest answer; None before the first one."""
        return self._skew[1] if self._skew else None

    def list(self, resource: Resource, namespace: str, selector: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Every object, page by page.

        Raises:
            ClusterError: also between two pages, with 410 when the list took longer than the server remembers.
        """
        query = {"limit": str(PAGE_OF_LARGE if resource.is_large else PAGE)}
        if selector:
            query["labelSelector"] = selector
        while True:
            page = self._request("GET", resource, namespace, query=query)
            # Go writes an empty list as null; an answer without `items` is not an answer to a list request.
            if "items" not in page or not isinstance(items := page["items"] or [], list):
                raise ClusterError(Reason.API_ERROR, f"the answer is not a list of {resource.plural}")
            yield from (item for item in items if isinstance(item, dict))
            next_page = object_in(page, "metadata").get("continue")
            if not next_page:
                return
            query["continue"] = str(next_page)

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        """One object by name."""
        return self._request("GET", resource, namespace, name)

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Create an object; `timeout` in seconds replaces the server's own limit of 34 seconds."""
        query, limit = _limits(timeout)
        return self._request("POST", resource, namespace, body=body, query=query, seconds=limit)

    def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Replace the object that the metadata of `body` names; `timeout` as for `create`."""
        query, limit = _limits(timeout, slack=2.0)
        name = str(body["metadata"]["name"])
        return self._request("PUT", resource, namespace, name, body=body, query=query, seconds=limit)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object; one of that name with another `uid` stays, and is a conflict (HTTP 409)."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **({"preconditions": {"uid": uid}} if uid else {})}
        self._request("DELETE", resource, namespace, name, body=body)

    def close(self) -> None:
        """Close the connections."""
        self._login.connections.close()

    def _request(
        self,
        method: str,
        resource: Resource,
        namespace: str,
        name: str | None = None,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        seconds: float = READ_SECONDS,
    ) -> Mapping[str, Any]:
        url = self._login.server + path_of(resource, namespace, name) + ("?" + urlencode(query) if query else "")
        try:
            return self._send(method, url, namespace, body, seconds)
        except ClusterError as error:
            if error.code != 401 or self._login.renew is None:
                raise
        # The kubelet renews a service account's token on disk before it expires; the one in memory may be older.
        try:
            self._login.renew()
        except Exception as error:  # The same files and plug-ins as at the beginning.
            raise ClusterError(Reason.UNAUTHORIZED, f"the token was refused, and: {clean(str(error))}") from error
        return self._send(method, url, namespace, body, seconds)

    def _send(
        self, method: str, url: str, namespace: str, body: Mapping[str, Any] | None, seconds: float
    ) -> Mapping[str, Any]:
        headers = [("Accept", "application/json"), ("User-Agent", f"import-images/{VERSION}"), *self._impersonation]
        if body is not None:
            headers.append(("Content-Type", "application/json"))
        if authorization := authorization_of(self._login):
            headers.append(("Authorization", authorization))
            SECRETS.add(authorization.rpartition(" ")[2])
        until = time.monotonic() + seconds
        code, sent = "none", time.time()
        try:
            content = None if body is None else json.dumps(body).encode()
            answer = self._login.connections.request(
                method, url, headers, content, connect=CONNECT_SECONDS, read=seconds
            )
            code = str(answer.status)
            self._compare_clocks(answer.headers.get("Date"), sent, time.time())
            data = _read(answer, until)
        except HttpError as error:
            raise _unanswered(error, self._login, seconds) from error
        finally:
            self._count(namespace, code)
        try:
            return _parsed(answer, data)
        except ClusterError as error:
            raise explained(error, self._login.server, self._login.advice) from error

    def _compare_clocks(self, date: str | None, sent: float, answered: float) -> None:
        took = answered - sent
        if self._skew and self._skew[0] <= took:
            return
        server_time = unix_time(date)
        if server_time is not None:
            # A Date is cut to whole seconds, and was written somewhere between the two moments.
            self._skew = took, server_time + 0.5 - (sent + answered) / 2


def _impersonation(settings: Settings) -> list[tuple[str, str]]:
    """The headers that ask the API to act as another user, as `--as` of kubectl sends them."""
    groups = [("Impersonate-Group", group) for group in settings.as_groups]
    return [("Impersonate-User", settings.as_user), *groups] if settings.as_user else []


def _limits(timeout: float | None, slack: float = SLACK_SECONDS) -> tuple[dict[str, str], float]:
    """The query that gives the server its time limit, and how many seconds the client waits."""
    if timeout is None:
        return {}, READ_SECONDS
    return {"timeout": f"{max(1, round(timeout * 1000))}ms"}, timeout + slack


def _read(answer: Answer, until: float) -> bytes:
    """The whole body, read no longer than `until` (monotonic), since a socket's timeout starts anew with every byte.

    Raises:
        HttpError: it did not come in time, or the connection broke.
    """
    parts = []
    try:
        while part := answer.read(1 << 16):
            parts.append(part)
            if time.monotonic() > until:
                raise HttpError(Problem.NO_ANSWER_IN_TIME, "the answer took too long")
        return b"".join(parts)
    finally:
        answer.close()


def _unanswered(error: HttpError, login: Login, seconds: float) -> ClusterError:
    host = login.server
    match error.problem:
        case Problem.UNREACHABLE:
            where = "; is its address right, and the network (VPN) there?" if login.context else ""
            return ClusterError(Reason.UNREACHABLE, clean(f"{host}: {error}{where}"))
        case Problem.UNREACHABLE_IN_TIME:
            return ClusterError(Reason.UNREACHABLE, f"{host}: no connection within {CONNECT_SECONDS:g} s")
        case Problem.NO_ANSWER_IN_TIME:
            return ClusterError(Reason.TIMEOUT, f"{host}: no answer within {seconds:g} s", answered=False)
        case Problem.TLS:
            file = "certificate-authority in the kubeconfig" if login.context else "CA_FILE"
            return ClusterError(Reason.UNREACHABLE, clean(f"{host}: TLS: {error}; the file of its CA: {file}"))
        case Problem.LOST:
            return ClusterError(Reason.UNREACHABLE, clean(f"{host}: connection lost: {error}"), answered=False)


def _parsed(answer: Answer, data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    code: int = answer.status
    if 200 <= code < 300:
        # Every object of the API has a kind; an answer without one comes from a proxy or a load balancer.
        if isinstance(value, dict) and value.get("kind"):
            return value
        # The request may have taken effect, but its result is unknown.
        raise ClusterError(Reason.API_ERROR, f"HTTP {code} without an object of the API", code=code, answered=False)
    status = value if isinstance(value, dict) else {}
    message = status.get("message") or f"HTTP {code} {answer.reason or ''}".strip()
    hint = answer.headers.get("Retry-After") or object_in(status, "details").get("retryAfterSeconds")
    wait = retry_after(hint, time.time())
    raise ClusterError(of_http(code), clean(str(message)), code=code, retry_after=wait)
