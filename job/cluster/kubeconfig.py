"""Logins that need the `kubernetes` package: kubeconfigs with all they may hold, and ways through a proxy.

The package sends its requests by urllib3, whose connections are adapted here to the protocol of the other logins.
"""

from __future__ import annotations

import base64
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.config import kube_config
from urllib3.response import BaseHTTPResponse

from job.cluster import login
from job.config.settings import Settings
from job.domain.addresses import split_login
from job.domain.errors import UsageError
from job.domain.suggestions import did_you_mean
from job.domain.text import clean
from job.runtime.http import Answer, Headers, HttpError, Problem, tls_problem

log = logging.getLogger(__name__)

# How the kubernetes package begins its message about a certificate or key.
_NO_FILE = "File does not exist: "
# What it says where no file of KUBECONFIG exists.
_NO_CONFIG = "No configuration found"

Renewal = Callable[[], None]


def package_login(settings: Settings, *, in_pod: bool) -> login.Login:
    """The login of the environment's HOST and TOKEN, of the pod, or of a kubeconfig, as the package reads it.

    Raises:
        UsageError: no cluster is configured, or its configuration cannot be read.
    """
    configuration = client.Configuration()
    renew: Renewal | None = None
    context: str | None = None
    complaints: Sequence[str] = ()
    if settings.host:
        configuration.host = settings.host
        configuration.api_key = {"authorization": f"Bearer {settings.token}"}
        configuration.ssl_ca_cert = settings.ca_file
        namespace = os.environ.get("POD_NAMESPACE", "").strip() or None
    elif in_pod:
        namespace, renew = _load_service_account(configuration)
    else:
        with _complaints() as complaints:
            context, namespace = _load_kubeconfig(settings, configuration)
    _strip_logins(configuration)
    if settings.verify_tls and not configuration.verify_ssl:
        log.warning("TLS VERIFICATION IS OFF by the kubeconfig: anyone between here and the API can forge its answers")
    # This program's own retries know which requests may be sent twice; the library's do not.
    configuration.retries = False
    configuration.connection_pool_maxsize = settings.concurrency
    connections = client.ApiClient(configuration).rest_client.pool_manager
    _share_tls_context(connections, verified=settings.verify_tls and configuration.verify_ssl)
    server = configuration.host.rstrip("/")
    login.warn_of_plain_http(server, str(connections.proxy) if connections.proxy else None)
    return login.Login(
        server=server,
        namespace=namespace,
        connections=_PackageConnections(connections),
        authorization=lambda: _authorization(configuration, complaints),
        renew=renew,
        advice=_advice(settings, configuration.host, context),
        context=context,
    )


def _advice(settings: Settings, server: str, context: str | None) -> str:
    if settings.host:
        return "set TOKEN to a valid one: oc whoami -t"
    return f"log in again: oc login {server}" if context else "see whether the pod's service account still exists"


def _authorization(configuration: client.Configuration, complaints: Sequence[str]) -> str | None:
    value = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    if complaints and not value and not configuration.cert_file:
        # Without this a request would be anonymous, and refused for rights that the user has.
        raise config.ConfigException(complaints[-1])
    return str(value).strip() if value else None


@contextmanager
def _complaints() -> Iterator[Sequence[str]]:
    """What the package logs meanwhile instead of raising it: why a credential plug-in gave no login."""
    messages: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield messages
    finally:
        logging.getLogger().removeHandler(handler)


def _load_service_account(configuration: client.Configuration) -> tuple[str, Renewal]:
    """The pod's namespace, and how to read its token again."""

    def renew() -> None:
        config.load_incluster_config(client_configuration=configuration)

    try:
        renew()
        return login.read_text(f"{login.SERVICE_ACCOUNT}/namespace"), renew
    except (config.ConfigException, OSError) as error:
        raise UsageError([f"in a pod, but its service account cannot be read: {clean(str(error))}"]) from error


def _load_kubeconfig(settings: Settings, configuration: client.Configuration) -> tuple[str | None, str | None]:
    """The name of the context that --context names, else of the current one, and its namespace, if it has one.

    Raises:
        UsageError: there is no such file or context, or it cannot be read.
    """
    try:
        contexts, current = _contexts(settings.kubeconfig)
        if settings.context:
            _named(settings.context, contexts)
        config.load_kube_config(
            config_file=settings.kubeconfig, context=settings.context, client_configuration=configuration
        )
        active = _named(settings.context or current, contexts)
    except UsageError:
        raise
    except config.ConfigException as error:
        if str(error).startswith(_NO_FILE):
            missing = clean(str(error).removeprefix(_NO_FILE))
            raise UsageError([f"the kubeconfig names a file that does not exist: {missing}"]) from error
        problem = "there is no kubeconfig" if _NO_CONFIG in str(error) else clean(str(error)).rstrip(".")
        advice = "set HOST and TOKEN, or KUBECONFIG, or log in with oc login"
        raise UsageError([f"no cluster to talk to: {problem}; {advice}"]) from error
    except (TypeError, AttributeError, LookupError) as error:
        raise UsageError(["the kubeconfig cannot be read: it does not have the parts of one"]) from error
    except Exception as error:  # The package lets through what a damaged file makes of its parsers.
        raise UsageError([f"the kubeconfig cannot be read: {clean(str(error))}"]) from error
    namespace = active.get("context", {}).get("namespace")
    return str(active["name"]), str(namespace) if namespace else None


def context_names(file: str | None = None) -> list[str]:
    """The names of the contexts of a kubeconfig, or of that of the environment; none where it cannot be read."""
    try:
        return [str(context["name"]) for context in _contexts(file)[0]]
    except Exception:  # The package lets through what a damaged file makes of its parsers.
        return []


def _contexts(file: str | None) -> tuple[list[Mapping[str, Any]], str]:
    """The contexts of a kubeconfig, and the name of the current one, which need not be set or exist."""
    # `list_kube_config_contexts` refuses a file whose current context is not there, also where another one is named.
    merged = kube_config.KubeConfigMerger(file or kube_config.KUBE_CONFIG_DEFAULT_LOCATION).config
    if merged is None:
        raise config.ConfigException(_NO_CONFIG)
    return [context.value for context in merged["contexts"]], str(merged.safe_get("current-context") or "")


def _named(name: str, contexts: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    names = [str(context["name"]) for context in contexts]
    if name not in names:
        hint = did_you_mean(name, names) or f"; contexts: {', '.join(sorted(names)[:10]) or 'none'}"
        raise UsageError([f"--context: the kubeconfig has no context {clean(name)}{clean(hint)}"])
    return contexts[names.index(name)]


def _strip_logins(configuration: client.Configuration) -> None:
    """Take the logins out of the addresses of API and proxy, so that no error message can repeat them.

    Raises:
        UsageError: the proxy's address cannot be used.
    """
    configuration.host = split_login(configuration.host).url
    if not configuration.proxy:
        return
    given = configuration.proxy
    proxy = split_login(given if "://" in given else f"http://{given}")
    try:
        parts = urllib3.util.parse_url(proxy.url)
        usable = parts.scheme in ("http", "https") and bool(parts.host)
    except urllib3.exceptions.LocationParseError:
        usable = False
    if not usable:
        where = "HTTPS_PROXY (or HTTP_PROXY, ALL_PROXY, or proxy-url in the kubeconfig)"
        raise UsageError([f"{where}: not the URL of an HTTP proxy such as http://proxy.example.com:3128"])
    configuration.proxy = proxy.url
    if proxy.username or proxy.password:
        login = f"{proxy.username or ''}:{proxy.password or ''}".encode("utf-8", "surrogateescape")
        configuration.proxy_headers = {"proxy-authorization": f"Basic {base64.b64encode(login).decode()}"}


def _share_tls_context(connections: urllib3.PoolManager, *, verified: bool) -> None:
    """Let all connections share one TLS context; else each parses the certificates anew, 30 ms of CPU for a bundle.

    Raises:
        UsageError: a certificate or key of the kubeconfig cannot be read.
    """
    settings = connections.connection_pool_kw
    try:
        ca_file, ca_data = settings.pop("ca_certs"), settings.pop("ca_cert_data", None)
        context = login.tls_context(verified=verified, ca_file=ca_file, ca_data=ca_data)
        if certificate := settings.pop("cert_file"):
            context.load_cert_chain(certificate, settings.pop("key_file"))
    except OSError as error:
        raise UsageError([f"the certificates of the kubeconfig cannot be read: {clean(str(error))}"]) from error
    if not verified:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    # Else urllib3 would set the context's verification by it.
    settings.pop("cert_reqs", None)
    settings["ssl_context"] = context


class _PackageConnections:
    """urllib3's connections as `job.runtime.http.Connections`."""

    def __init__(self, pools: urllib3.PoolManager) -> None:
        self._pools = pools

    def request(
        self, method: str, url: str, headers: Headers, body: bytes | None, *, connect: float, read: float
    ) -> Answer:
        """See `Connections`."""
        # A header may be there more than once.
        repeated = urllib3.HTTPHeaderDict()
        for name, value in headers:
            repeated.add(name, value)
        try:
            response = self._pools.request(
                method,
                url,
                body=body,
                headers=repeated,
                timeout=urllib3.Timeout(connect=connect, read=read),
                preload_content=False,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unanswered(error) from error
        return _PackageAnswer(response)

    def close(self) -> None:
        """See `Connections`."""
        self._pools.clear()


class _PackageAnswer:
    """urllib3's answer as `job.runtime.http.Answer`."""

    def __init__(self, response: BaseHTTPResponse) -> None:
        self._response = response
        self._is_read = False
        self.status = response.status
        self.reason = response.reason
        self.headers: Mapping[str, str] = response.headers

    def read(self, most: int) -> bytes:
        """See `Answer`."""
        try:
            # `read1` returns what has arrived; waiting for a full chunk could take for ever.
            part = self._response.read1(most)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unanswered(error) from error
        if not part:
            self._is_read = True
            self._response.release_conn()
        return part

    def close(self) -> None:
        """See `Answer`."""
        if not self._is_read:
            self._response.close()


def _unanswered(error: Exception) -> HttpError:
    cause: BaseException = error
    while isinstance(cause, urllib3.exceptions.MaxRetryError) and cause.reason:
        cause = cause.reason
    # It is a subclass of ConnectTimeoutError, too.
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        text = getattr(cause.__cause__, "strerror", None) or str(cause).rpartition(": ")[2]
        return HttpError(Problem.UNREACHABLE, text)
    if isinstance(cause, urllib3.exceptions.ConnectTimeoutError):
        return HttpError(Problem.UNREACHABLE_IN_TIME, str(cause))
    if isinstance(cause, urllib3.exceptions.TimeoutError | TimeoutError):
        return HttpError(Problem.NO_ANSWER_IN_TIME, str(cause))
    if isinstance(cause, urllib3.exceptions.SSLError):
        return HttpError(Problem.TLS, tls_problem(cause.args[0] if isinstance(cause.args[0], OSError) else cause))
    return HttpError(Problem.LOST, str(cause))
