"""Every way to log in behaves alike: address, namespace, certificates, renewal of the token, errors.

A pod's login and HOST with TOKEN are read by the program itself; through a proxy, and with a kubeconfig, the kubernetes
package reads them.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kubernetes.config import incluster_config, kube_config

from job.cluster import CONFIG_MAPS, Cluster, login
from job.cluster.connect import connect
from job.config.settings import Settings
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Reason
from tests.sandbox.client import Sandbox

WAYS = ["host", "host through the package", "pod", "pod through the package", "kubeconfig"]


@dataclass
class Way:
    """One way to log in, with what it reads."""

    name: str
    sandbox: Sandbox
    namespace: str
    folder: Path
    patch: pytest.MonkeyPatch

    def open(self, token: str | None = None, ca_file: Path | None = None) -> Cluster:
        token, ca_file = token or self.sandbox.token, ca_file or self.sandbox.ca_file
        settings = Settings()
        self.patch.setenv("KUBECONFIG", "/none")
        self.patch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", "/none")
        if "through the package" in self.name:
            # A proxy is named, and not used for this address.
            self.patch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
            self.patch.setenv("NO_PROXY", "127.0.0.1")
        if self.name.startswith("host"):
            self.patch.setenv("POD_NAMESPACE", self.namespace)
            settings = Settings(host=self.sandbox.server, token=token)
        elif self.name.startswith("pod"):
            self.pod(token, ca_file)
        else:
            file = self.sandbox.kubeconfig(token, self.namespace)
            self.patch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(file))
        return connect(settings, lambda *_: None)

    def pod(self, token: str, ca_file: Path) -> None:
        address = urlsplit(self.sandbox.secure_server)
        self.patch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
        self.patch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
        for name, text in (("token", token), ("namespace", self.namespace), ("ca.crt", ca_file.read_text())):
            (self.folder / name).write_text(text)
        self.patch.setattr(login, "SERVICE_ACCOUNT", str(self.folder))
        self.patch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(self.folder / "token"))
        self.patch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(self.folder / "ca.crt"))


@pytest.fixture(params=WAYS)
def way(
    request: pytest.FixtureRequest, sandbox: Sandbox, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Way:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Way(str(request.param), sandbox, namespace, tmp_path, monkeypatch)


@pytest.fixture
def opened(way: Way) -> Iterator[Callable[..., Cluster]]:
    clusters: list[Cluster] = []

    def open_(**options: object) -> Cluster:
        clusters.append(way.open(**options))  # type: ignore[arg-type]
        return clusters[-1]

    yield open_
    for cluster in clusters:
        cluster.close()


def refused(cluster: Cluster, namespace: str) -> ClusterError:
    with pytest.raises(ClusterError) as told:
        cluster.get(CONFIG_MAPS, namespace, "none")
    return told.value


def test_it_reaches_the_api_and_knows_its_namespace(way: Way, opened: Callable[..., Cluster]) -> None:
    cluster = opened()
    assert cluster.default_namespace == way.namespace
    assert refused(cluster, way.namespace).code == 404


def test_a_token_that_is_not_valid(way: Way, opened: Callable[..., Cluster]) -> None:
    error = refused(opened(token="no-such-token"), way.namespace)
    assert (error.code, error.reason) == (401, Reason.UNAUTHORIZED)


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("pod")], indirect=True)
def test_a_pods_token_is_read_again_when_it_was_refused(way: Way, opened: Callable[..., Cluster]) -> None:
    cluster = opened(token="expired-token")
    (way.folder / "token").write_text(way.sandbox.token + "\n")
    assert refused(cluster, way.namespace).code == 404


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("pod")], indirect=True)
@pytest.mark.parametrize("file", ["token", "ca.crt", "namespace"])
def test_a_pod_whose_account_is_not_mounted(way: Way, file: str) -> None:
    way.open().close()
    (way.folder / file).unlink()
    with pytest.raises(UsageError) as told:
        connect(Settings(), lambda *_: None)
    assert "in a pod, but its service account cannot be read" in str(told.value)


@pytest.mark.parametrize("way", [way for way in WAYS if way.startswith("pod")], indirect=True)
def test_certificates_are_verified_by_the_pods_own(way: Way, opened: Callable[..., Cluster], foreign_ca: Path) -> None:
    error = refused(opened(ca_file=foreign_ca), way.namespace)
    assert error.reason is Reason.UNREACHABLE
    said = f"{way.sandbox.secure_server}: TLS: its certificate is not trusted: self-signed certificate; "
    assert str(error) == f"{said}the file of its CA: CA_FILE"


@pytest.mark.parametrize("way", ["kubeconfig", "host"], indirect=True)
@pytest.mark.parametrize("server", ["https://no-such-host.invalid:6443", "https://127.0.0.1:9"])
def test_an_address_without_a_server_is_named_in_plain_words(
    way: Way, server: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "secure_server", server)
    monkeypatch.setattr(sandbox, "server", server)
    cluster = way.open(token="x")
    said = str(refused(cluster, way.namespace))
    cluster.close()
    problem = "Connection refused" if "127" in server else "Name or service not known"
    advice = "; is its address right, and the network (VPN) there?" if way.name == "kubeconfig" else ""
    assert said == f"{server}: {problem}{advice}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no cluster to talk to: there is no kubeconfig; set HOST and TOKEN, or KUBECONFIG, or log in with oc"),
        ("garbage\n", "the kubeconfig cannot be read: it does not have the parts of one"),
    ],
    ids=["none", "garbage"],
)
def test_a_kubeconfig_that_is_none(
    content: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    if content:
        file.write_text(content)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    with pytest.raises(UsageError) as told:
        connect(Settings(), lambda *_: None)
    assert said in str(told.value)


@pytest.fixture
def foreign_ca(tmp_path: Path) -> Path:
    """A certificate that has nothing to do with the sandbox's."""
    from tests.sandbox.programs import make_certificate

    folder = tmp_path / "foreign"
    folder.mkdir()
    return make_certificate(folder).file


@pytest.mark.parametrize("way", ["pod", "kubeconfig"], indirect=True)
def test_certificates_are_parsed_once_for_all_connections(
    way: Way, opened: Callable[..., Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[object] = []
    load = ssl.SSLContext.load_verify_locations

    def counting(self: ssl.SSLContext, *args: object, **options: object) -> None:
        parsed.append(self)
        load(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counting)
    cluster = opened()
    before, gate = len(parsed), threading.Barrier(4)

    def ask() -> None:
        gate.wait(10)
        refused(cluster, way.namespace)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert before >= 1
    assert len(parsed) == before
