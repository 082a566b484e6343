"""How the API is reached: its address, TLS, and the token of each request.

A pod's login is three files and two variables, and HOST and TOKEN are even less, so both are read here. The
`kubernetes` package knows much more (kubeconfigs, credential plug-ins, client certificates, proxies, impersonation)
and costs more CPU than a run of eight streams does; `job.cluster.kubeconfig` loads it only where that is needed.
"""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from job.config.settings import Settings
from job.domain.addresses import is_overheard, split_login
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Reason
from job.domain.records import dataclass
from job.domain.text import clean
from job.runtime.http import Connections, KeptConnections

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# The kubelet replaces the token file when 80 % of the token's life is over, so that a minute's delay is harmless.
TOKEN_AGE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Login:
    """A way to the API.

    Attributes:
        server: the address, without a login and without a slash at its end.
        namespace: the namespace that the login names, if any.
        connections: keeps the connections, with the TLS settings and the proxy of the login.
        authorization: the value of the Authorization header of the next request, or None; may raise anything, since
            a token file or a credential plug-in is behind it.
        advice: what a person does about a login that has expired.
        context: the name of the kubeconfig's context, if it comes from one.
        renew: reads the credentials again after the API refused them; None where that cannot help.
    """

    server: str
    namespace: str | None
    connections: Connections
    authorization: Callable[[], str | None]
    renew: Callable[[], None] | None = None
    advice: str = "log in again: oc login"
    context: str | None = None


def find_login(settings: Settings) -> Login:
    """The login by HOST and TOKEN, else by the pod's service account, else by a kubeconfig.

    Raises:
        UsageError: no cluster is configured, or its configuration cannot be read.
    """
    by_flag = settings.context or settings.kubeconfig
    in_pod = not settings.host and not by_flag and "KUBERNETES_SERVICE_HOST" in os.environ
    if (settings.host or in_pod) and not _has_proxy():
        login = _service_account(settings) if in_pod else _host_and_token(settings)
        warn_of_plain_http(login.server, None)
        return login
    from job.cluster.kubeconfig import package_login

    return package_login(settings, in_pod=in_pod)


def _has_proxy() -> bool:
    """Whether the environment names a proxy. Which hosts go through it is the kubernetes package's knowledge."""
    return any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in os.environ)


def _host_and_token(settings: Settings) -> Login:
    server = split_login(settings.host or "").url.rstrip("/")
    token = f"Bearer {settings.token}"
    namespace = os.environ.get("POD_NAMESPACE", "").strip() or None
    try:
        connections = _connections(settings, server, settings.ca_file)
    except OSError as error:
        raise UsageError([f"CA_FILE: {settings.ca_file} holds no certificates: {clean(str(error))}"]) from error
    return Login(server, namespace, connections, lambda: token, advice="set TOKEN to a valid one: oc whoami -t")


def _service_account(settings: Settings) -> Login:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "")
    ca_file = f"{SERVICE_ACCOUNT}/ca.crt"
    try:
        if not host or not port:
            raise ValueError("KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is empty")
        token = _TokenFile(f"{SERVICE_ACCOUNT}/token")
        namespace = read_text(f"{SERVICE_ACCOUNT}/namespace")
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        connections = _connections(settings, server, ca_file)
    except (OSError, ValueError) as error:
        raise UsageError([f"in a pod, but its service account cannot be read: {clean(str(error))}"]) from error
    advice = "see whether the pod's service account still exists"
    return Login(server, namespace, connections, token.authorization, token.read, advice=advice)


def read_text(path: str) -> str:
    """The content of a small file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8.
    """
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to load
        return file.read().strip()


class _TokenFile:
    """A service account's token, which the kubelet renews on disk."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.read()

    def read(self) -> None:
        """Read it again.

        Raises:
            OSError: there is no such file.
            ValueError: it is empty.
        """
        token = read_text(self._path)
        if not token:
            raise ValueError(f"{self._path} is empty")
        self._token, self._read_at = token, time.monotonic()

    def authorization(self) -> str:
        if time.monotonic() - self._read_at > TOKEN_AGE_SECONDS:
            self.read()
        return f"Bearer {self._token}"


def _connections(settings: Settings, server: str, ca_file: str | None) -> Connections:
    """The connections, which share one TLS context, so that the certificates are parsed once."""
    if not server.startswith("https://") and not ca_file:
        # The certificates of a whole system take 30 ms of CPU.
        return KeptConnections(None)
    return KeptConnections(tls_context(verified=settings.verify_tls, ca_file=ca_file))


def tls_context(*, verified: bool, ca_file: str | None = None, ca_data: str | bytes | None = None) -> ssl.SSLContext:
    """The TLS settings of all connections to the API. No other place can turn verification off.

    Args:
        verified: whether the server has to show a certificate that is valid for it.
        ca_file: a file of the certificates to verify it with.
        ca_data: the same as text or bytes; without both those of the system.

    Raises:
        OSError: the file cannot be read.
        ssl.SSLError: it holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file, cadata=ca_data)
    context.set_alpn_protocols(["http/1.1"])
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def warn_of_plain_http(server: str, proxy: str | None) -> None:
    """Log a warning where the token can be read on its way to the server, or to the proxy."""
    if not is_overheard(server, proxy):
        return
    on_the_way = f" through the proxy {urlsplit(proxy).hostname}" if proxy else ""
    log.warning("NO TLS to %s%s: anyone on the way can read the token and forge answers; use https", server, on_the_way)


def explained(error: ClusterError, server: str, advice: str) -> ClusterError:
    """The same error; one that concerns the login with the server, what it means, and what to do."""
    if error.code == 401:
        message = f"{server} refuses the login: the token is wrong or has expired ({error}); {advice}"
    elif error.code == 403 and "cannot impersonate" in str(error):
        message = f"{server} does not let this login act as another user ({error}); leave out --as and --as-group"
    else:
        return error
    return ClusterError(error.reason, message, code=error.code, retry_after=error.retry_after, answered=error.answered)


def authorization_of(login: Login) -> str | None:
    """The value of the Authorization header of the next request.

    Raises:
        ClusterError: the token cannot be read or renewed.
    """
    try:
        return login.authorization()
    except Exception as error:  # A token file or a credential plug-in of the kubeconfig may raise anything.
        raise ClusterError(Reason.UNAUTHORIZED, f"the login cannot be renewed: {clean(str(error))}") from error
