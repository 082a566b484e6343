"""TLS with a hostile other side: an old protocol, an expired, a foreign and a misnamed certificate, and none at all."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from job.cluster import CONFIG_MAPS
from job.cluster.connect import connect
from job.config.settings import GatewaySettings, Settings
from job.domain.errors import ClusterError
from job.domain.model import Client, Reason
from job.publish.pushgateway import Gateway, GatewayError
from tests.support.servers import Answered, Asked, Server, serving
from tests.support.tiers import slow

TOKEN = "planted-token-of-tls"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    file: Path
    key: Path


def certificate(folder: Path, name: str, *, host: str = "IP:127.0.0.1", at: str = "") -> Pair:
    """A certificate that signs itself, made at a time."""
    made = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=attack"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", f"subjectAltName={host}"]
    command += ["-keyout", str(made.key), "-out", str(made.file)]
    subprocess.run([*(["faketime", at] if at else []), *command], check=True, capture_output=True)
    return made


@contextmanager
def https(pair: Pair, *, newest: ssl.TLSVersion | None = None) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.file, pair.key)
    if newest is not None:
        with warnings.catch_warnings():
            # Python warns of the protocols that are tried here.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = newest
        context.set_ciphers("ALL:@SECLEVEL=0")
    with serving(instead=lambda asked: Answered(200, b'{"kind": "ConfigMap"}'), tls=context) as server:
        yield server


def refused_by_both(server: Server, trusted: Path, patch: pytest.MonkeyPatch) -> None:
    """Neither the API nor a gateway is asked anything over such a connection."""
    url = f"https://{server.address}"
    patch.setenv("SSL_CERT_FILE", str(trusted))
    cluster = connect(Settings(host=url, token=TOKEN), lambda *_: None)
    with pytest.raises(ClusterError) as refused:
        cluster.get(CONFIG_MAPS, "here", "there")
    cluster.close()
    assert refused.value.reason is Reason.UNREACHABLE
    assert "TLS" in str(refused.value)
    gateway = Gateway(GatewaySettings(url, token=TOKEN, ca_file=str(trusted)))
    with pytest.raises(GatewayError):
        gateway.request("POST", "/metrics", b"")
    gateway.close()
    assert server.asked == []


# With oc, which is kubectl here

ONE_GATES = "the checks are client-go's own; that of one certificate gates"


@pytest.fixture
def oc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "path"
    folder.mkdir()
    (folder / "oc").symlink_to(Path(sys.executable).with_name("kubectl"))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)


def asked_by_oc(server: Server, trusted: Path) -> str:
    """Ask by oc for an object; gives why that failed, empty where it did not."""
    settings = Settings(host=f"https://{server.address}", token=TOKEN, client=Client.OC, ca_file=str(trusted))
    cluster = connect(settings, lambda *_: None)
    try:
        assert cluster.get(CONFIG_MAPS, "here", "there")["kind"] == "ConfigMap"
    except ClusterError as error:
        assert error.reason is Reason.UNREACHABLE, error
        assert TOKEN not in str(error)
        return str(error)
    finally:
        cluster.close()
    return ""


@pytest.mark.usefixtures("oc")
@slow(ONE_GATES)
def test_oc_uses_a_good_one(tmp_path: Path) -> None:
    pair = certificate(tmp_path, "good")
    with https(pair) as server:
        assert asked_by_oc(server, pair.file) == ""
        # client-go sends a token over TLS alone.
        assert [asked.headers["Authorization"] for asked in server.asked] == [f"Bearer {TOKEN}"]


@pytest.mark.usefixtures("oc")
@pytest.mark.parametrize(
    ("what", "options", "newest"),
    [
        ("expired", {"at": "2020-01-01 00:00:00"}, None),
        pytest.param("not yet valid", {"at": "2100-01-01 00:00:00"}, None, marks=slow(ONE_GATES)),
        pytest.param("of another host", {"host": "DNS:other.example"}, None, marks=slow(ONE_GATES)),
        pytest.param("foreign", {}, None, marks=slow(ONE_GATES)),
        pytest.param("TLS 1.0", {}, ssl.TLSVersion.TLSv1, marks=slow(ONE_GATES)),
        pytest.param("TLS 1.1", {}, ssl.TLSVersion.TLSv1_1, marks=slow(ONE_GATES)),
    ],
)
def test_oc_refuses(what: str, options: dict[str, str], newest: ssl.TLSVersion | None, tmp_path: Path) -> None:
    pair = certificate(tmp_path, "bad", **options)
    trusted = certificate(tmp_path, "own") if what == "foreign" else pair
    with https(pair, newest=newest) as server:
        assert "tls" in asked_by_oc(server, trusted.file).lower()
        assert server.asked == []


@pytest.mark.usefixtures("oc")
@slow(ONE_GATES)
def test_oc_refuses_a_server_without_tls(tmp_path: Path) -> None:
    pair = certificate(tmp_path, "good")
    with serving(instead=lambda asked: Answered(200)) as server:
        assert asked_by_oc(server, pair.file)
        assert server.asked == []


def test_a_good_one_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = certificate(tmp_path, "good")
    with https(pair) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(pair.file))
        cluster = connect(Settings(host=f"https://{server.address}", token=TOKEN), lambda *_: None)
        assert cluster.get(CONFIG_MAPS, "here", "there") == {"kind": "ConfigMap"}
        cluster.close()
        gateway = Gateway(GatewaySettings(f"https://{server.address}", ca_file=str(pair.file)))
        gateway.request("POST", "/metrics", b"").close()
        gateway.close()


@pytest.mark.parametrize(
    ("host", "at"),
    [("IP:127.0.0.1", "2020-01-01 00:00:00"), ("IP:127.0.0.1", "2100-01-01 00:00:00"), ("DNS:other.example", "")],
    ids=["expired", "not yet valid", "of another host"],
)
def test_a_certificate_that_is_not_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, at: str) -> None:
    pair = certificate(tmp_path, "bad", host=host, at=at)
    with https(pair) as server:
        refused_by_both(server, pair.file, monkeypatch)


def test_a_foreign_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, foreign = certificate(tmp_path, "own"), certificate(tmp_path, "foreign")
    with https(foreign) as server:
        refused_by_both(server, own.file, monkeypatch)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_a_downgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newest: ssl.TLSVersion) -> None:
    pair = certificate(tmp_path, "good")
    with https(pair, newest=newest) as server:
        refused_by_both(server, pair.file, monkeypatch)


def test_a_server_without_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = certificate(tmp_path, "good")
    with serving(instead=lambda asked: Answered(200)) as server:
        refused_by_both(server, pair.file, monkeypatch)


def test_a_redirect_to_a_server_without_tls_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = certificate(tmp_path, "good")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.file, pair.key)
    with serving(instead=lambda asked: Answered(200)) as plain:

        def elsewhere(asked: Asked) -> Answered:
            return Answered(307, headers={"Location": f"{plain.url}/stolen"})

        with serving(instead=elsewhere, tls=context) as server:
            url = f"https://{server.address}"
            monkeypatch.setenv("SSL_CERT_FILE", str(pair.file))
            cluster = connect(Settings(host=url, token=TOKEN), lambda *_: None)
            with pytest.raises(ClusterError):
                cluster.create(CONFIG_MAPS, "here", {"metadata": {"name": "a"}})
            cluster.close()
            gateway = Gateway(GatewaySettings(url, token=TOKEN, ca_file=str(pair.file)))
            gateway.request("POST", "/metrics", b"").close()
            gateway.close()
        assert plain.asked == []
