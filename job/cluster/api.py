"""The cluster by way of the `kubernetes` package: in a pod, with a kubeconfig, or with HOST and TOKEN.

The package finds the way in (configuration, TLS, proxy, token renewal) and keeps the connections; the image API's
objects are none of its models, so requests and answers are plain JSON. Nothing is discovered: paths are known.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config
from urllib3.response import BaseHTTPResponse

from job import VERSION
from job.cluster import CRON_JOBS, PODS, Resource
from job.cluster.paths import path_of
from job.config.settings import Settings, is_overheard
from job.domain.errors import ClusterError, UsageError
from job.domain.failures import of_http
from job.domain.model import Reason
from job.domain.text import clean

log = logging.getLogger(__name__)

PAGE = 500
# Pods and what makes them are large, and the pod of a run is small.
PAGE_OF_LARGE = 100
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
# How much longer the client waits than the server was told to work.
SLACK_SECONDS = 10.0
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

Counted = Callable[[str, str], None]


def connect(settings: Settings, counted: Counted) -> ApiCluster:
    """Find the cluster: HOST and TOKEN, else the pod's service account, else a kubeconfig.

    Args:
        settings: of these HOST, TOKEN, TLS verification and CONCURRENCY are used.
        counted: called with the namespace and the HTTP status (or `none`) of every request.

    Raises:
        UsageError: there is no way to a cluster, or it cannot be read.
    """
    configuration = client.Configuration()
    namespace: str | None = None
    renew: Callable[[], None] | None = None
    if settings.host:
        configuration.host = settings.host
        configuration.api_key = {"authorization": f"Bearer {settings.token}"}
        namespace = os.environ.get("POD_NAMESPACE", "").strip() or None
    elif "KUBERNETES_SERVICE_HOST" in os.environ:
        try:
            config.load_incluster_config(client_configuration=configuration)
            namespace = (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
        except (config.ConfigException, OSError) as error:
            raise UsageError([f"in a pod, but its service account cannot be read: {clean(str(error))}"]) from error

        def renew() -> None:
            config.load_incluster_config(client_configuration=configuration)

    else:
        namespace = _load_kubeconfig(configuration)
    if not settings.verify_tls:
        configuration.verify_ssl = False
    elif not configuration.verify_ssl:
        log.warning("TLS VERIFICATION IS OFF by the kubeconfig: whoever is on the way to the API can forge answers")
    if not configuration.verify_ssl:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    # Our own retries know what may be sent twice; the library's do not.
    configuration.retries = False
    if is_overheard(configuration.host):
        log.warning("NO TLS to %s: whoever is on the way can read the token and forge answers", configuration.host)
    configuration.connection_pool_maxsize = settings.concurrency
    return ApiCluster(client.ApiClient(configuration), namespace, counted, renew)


def _load_kubeconfig(configuration: client.Configuration) -> str | None:
    try:
        config.load_kube_config(client_configuration=configuration)
        _, active = config.list_kube_config_contexts()
    except config.ConfigException as error:
        advice = "set HOST and TOKEN, or KUBECONFIG, or log in with oc login"
        raise UsageError([f"no cluster to talk to: {clean(str(error))}; {advice}"]) from error
    except Exception as error:  # The package lets through what a damaged file makes of its parsers.
        raise UsageError([f"the kubeconfig cannot be read: {clean(str(error))}"]) from error
    namespace = active.get("context", {}).get("namespace")
    return str(namespace) if namespace else None


class ApiCluster:
    """Implements `job.cluster.Cluster`."""

    def __init__(
        self,
        api: client.ApiClient,
        default_namespace: str | None,
        counted: Counted,
        renew: Callable[[], None] | None = None,
    ) -> None:
        self._api = api
        self._default_namespace = default_namespace
        self._counted = counted
        self._renew = renew
        self._host: str = api.configuration.host.rstrip("/")
        self._skew: tuple[float, float] | None = None

    @property
    def default_namespace(self) -> str | None:
        """The namespace of the pod or of the kubeconfig's context."""
        return self._default_namespace

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the server's clock is ahead of this one, by the answer that came soonest; None before one."""
        return self._skew[1] if self._skew else None

    def list(self, resource: Resource, namespace: str, selector: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Every object, page by page.

        Raises:
            ClusterError: also between two pages, with 410 when the list took longer than the server remembers.
        """
        large = resource.api_version.startswith("apps") or resource in (PODS, CRON_JOBS)
        query = {"limit": str(PAGE_OF_LARGE if large else PAGE)}
        if selector:
            query["labelSelector"] = selector
        while True:
            page = self._request("GET", resource, namespace, query=query)
            # Go writes an empty list as null; an answer that says nothing of items is none to a list.
            if "items" not in page or not isinstance(items := page["items"] or [], list):
                raise ClusterError(Reason.API_ERROR, f"the answer is no list of {resource.plural}")
            yield from items
            onward = (page.get("metadata") or {}).get("continue")
            if not onward:
                return
            query["continue"] = onward

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
        """Replace an object by what `body` says, whose metadata names it; `timeout` as for `create`."""
        query, limit = _limits(timeout, slack=2.0)
        name = str(body["metadata"]["name"])
        return self._request("PUT", resource, namespace, name, body=body, query=query, seconds=limit)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object; one of that name with another `uid` is a conflict (HTTP 409) and stays."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", **({"preconditions": {"uid": uid}} if uid else {})}
        self._request("DELETE", resource, namespace, name, body=body)

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

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
        url = self._host + path_of(resource, namespace, name) + ("?" + urlencode(query) if query else "")
        try:
            return self._send(method, url, namespace, body, seconds)
        except ClusterError as error:
            if error.code != 401 or self._renew is None:
                raise
        # A service account's token is renewed on disk before it expires; the one in memory may be older.
        try:
            self._renew()
        except config.ConfigException as error:
            raise ClusterError(Reason.UNAUTHORIZED, f"the token was refused, and: {clean(str(error))}") from error
        return self._send(method, url, namespace, body, seconds)

    def _send(
        self, method: str, url: str, namespace: str, body: Mapping[str, Any] | None, seconds: float
    ) -> Mapping[str, Any]:
        headers = {"Accept": "application/json", "User-Agent": f"import-images/{VERSION}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            token = self._api.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        except Exception as error:  # Whatever a token file or a plug-in of the kubeconfig comes up with.
            raise ClusterError(Reason.UNAUTHORIZED, f"the login cannot be renewed: {clean(str(error))}") from error
        if token:
            headers["Authorization"] = token.strip()
        until = time.monotonic() + seconds
        code, sent = "none", time.time()
        try:
            response = self._api.rest_client.pool_manager.request(
                method,
                url,
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=seconds),
                preload_content=False,
                redirect=False,
            )
            code = str(response.status)
            self._compare_clocks(response.headers.get("Date"), sent, time.time())
            data = _read(response, until)
        except (urllib3.exceptions.HTTPError, OSError, TimeoutError) as error:
            raise _unanswered(error, self._host, seconds) from error
        finally:
            self._counted(namespace, code)
        return _parsed(response, data)

    def _compare_clocks(self, date: str | None, sent: float, answered: float) -> None:
        took = answered - sent
        if date is None or (self._skew and self._skew[0] <= took):
            return
        with suppress(ValueError, TypeError):
            # A Date is cut to whole seconds, and was written somewhere between the two moments.
            self._skew = took, parsedate_to_datetime(date).timestamp() + 0.5 - (sent + answered) / 2


def _limits(timeout: float | None, slack: float = SLACK_SECONDS) -> tuple[dict[str, str], float]:
    """The query that tells the server its limit, and how many seconds the client waits."""
    if timeout is None:
        return {}, READ_SECONDS
    return {"timeout": f"{max(1, round(timeout * 1000))}ms"}, timeout + slack


def _read(response: BaseHTTPResponse, until: float) -> bytes:
    """The whole body, but not for longer than `until`: a timeout of the socket starts anew with every byte."""
    try:
        parts = []
        # As it comes: to wait for a whole piece could take for ever, too.
        while part := response.read1(1 << 16):
            parts.append(part)
            if time.monotonic() > until:
                raise TimeoutError("the answer took too long")
        response.release_conn()
        return b"".join(parts)
    except BaseException:
        response.close()
        raise


def _unanswered(error: Exception, host: str, seconds: float) -> ClusterError:
    cause: BaseException = error
    while isinstance(cause, urllib3.exceptions.MaxRetryError) and cause.reason:
        cause = cause.reason
    # It counts as a ConnectTimeoutError, too.
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        text = str(cause).rpartition("] ")[2] or str(cause)
        return ClusterError(Reason.UNREACHABLE, clean(f"{host}: {text.rpartition(': ')[2]}"))
    if isinstance(cause, urllib3.exceptions.ConnectTimeoutError):
        return ClusterError(Reason.UNREACHABLE, f"{host}: no connection within {CONNECT_SECONDS:g} s")
    if isinstance(cause, urllib3.exceptions.TimeoutError | TimeoutError):
        return ClusterError(Reason.TIMEOUT, f"{host}: no answer within {seconds:g} s", answered=False)
    if isinstance(cause, urllib3.exceptions.SSLError):
        return ClusterError(Reason.UNREACHABLE, clean(f"{host}: TLS: {cause}"))
    return ClusterError(Reason.UNREACHABLE, clean(f"{host}: connection lost: {cause}"), answered=False)


def _parsed(response: BaseHTTPResponse, data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    code: int = response.status
    if 200 <= code < 300:
        # Each says what it is; one that does not comes from something on the way.
        if isinstance(value, dict) and value.get("kind"):
            return value
        # The request may have taken effect, but what it did is not known.
        raise ClusterError(Reason.API_ERROR, f"HTTP {code} without an object of the API", code=code, answered=False)
    status = value if isinstance(value, dict) else {}
    message = status.get("message") or f"HTTP {code} {response.reason or ''}".strip()
    details = status.get("details")
    hint = (
        response.headers.get("Retry-After") or (details or {}).get("retryAfterSeconds")
        if isinstance(details, dict | None)
        else None
    )
    raise ClusterError(of_http(code), clean(str(message)), code=code, retry_after=_seconds(hint))


def _seconds(hint: object) -> float | None:
    try:
        seconds = float(str(hint))
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(str(hint)).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
