"""What only the `oc` adapter has: the program, its processes, a login by HOST and TOKEN, and a bastion host."""

from __future__ import annotations

import io
import signal
import stat
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openshift_client
import pytest

from job.cluster import CONFIG_MAPS, IMAGE_STREAMS, Cluster
from job.cluster.oc.client import connect
from job.config.settings import Settings
from job.domain.errors import ClusterError, UsageError
from job.domain.model import Client, Reason
from tests.integration.cluster.conftest import KUBECTL
from tests.sandbox.client import Sandbox, until
from tests.support.tiers import representatives, slow

TAIL = "the long tail of a matrix, each a whole run or request of its own"


pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
SECRET = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "hush-hush"}}


class Recorded:
    """A program in the place of oc: kubectl, with what it was started with written down."""

    def __init__(self, folder: Path, name: str = "oc", ending: str = f'exec {KUBECTL} "$@"') -> None:
        self.program = folder / name
        self.log = folder / f"{name}.log"
        # `exec` keeps the number of the process.
        self.program.write_text(f'#!/bin/sh\n{{ echo "$$"; printf "%s|" "$@"; echo; }} >> {self.log}\n{ending}\n')
        self.program.chmod(0o755)

    @property
    def lines(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def processes(self) -> list[int]:
        return [int(line) for line in self.lines[::2]]

    @property
    def arguments(self) -> list[str]:
        return self.lines[1::2]


@pytest.fixture
def oc(only_kubectl: Path) -> Recorded:
    return Recorded(only_kubectl)


@pytest.fixture
def kubeconfig(sandbox: Sandbox, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = sandbox.kubeconfig(sandbox.token, namespace)
    monkeypatch.setenv("KUBECONFIG", str(file))
    return file


@pytest.fixture
def reach() -> Iterator[Callable[..., Cluster]]:
    made: list[Cluster] = []

    def by(**settings: Any) -> Cluster:
        made.append(connect(Settings(client=Client.OC, **settings), lambda *_: None))
        return made[-1]

    yield by
    for cluster in made:
        cluster.close()


def runs(number: int) -> bool:
    """Whether a process runs; one that has ended and waits to be asked for its status does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# The program


def test_it_is_loaded_only_where_it_is_used() -> None:
    program = "import sys, job.cli, job.cluster.connect as c; from job.config.settings import Settings\n"
    program += (
        "c.connect(Settings(host='https://h', token='t'), print).close(); print('openshift_client' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_oc_is_taken_before_kubectl(oc: Recorded, kubeconfig: Path, reach: Callable[..., Cluster]) -> None:
    reach()
    assert len(oc.processes) == 1


def test_openshift_clients_own_variable_names_another(
    oc: Recorded, only_kubectl: Path, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, reach: Callable[..., Cluster]
) -> None:
    other = Recorded(only_kubectl, "oc-4.18")
    monkeypatch.setenv("OPENSHIFT_CLIENT_PYTHON_DEFAULT_OC_PATH", str(other.program))
    reach()
    assert (len(oc.processes), len(other.processes)) == (0, 1)
    other.program.unlink()
    with pytest.raises(UsageError, match="OPENSHIFT_CLIENT_PYTHON_DEFAULT_OC_PATH names no program"):
        reach()


def test_without_both_it_says_what_to_do(only_kubectl: Path, reach: Callable[..., Cluster]) -> None:
    (only_kubectl / "kubectl").unlink()
    with pytest.raises(UsageError) as caught:
        reach()
    assert caught.value.errors == (
        "CLIENT=oc: neither oc nor kubectl is on the PATH; install oc, or leave CLIENT unset",
    )


def test_a_program_that_fails_in_its_own_way(
    only_kubectl: Path, oc: Recorded, kubeconfig: Path, namespace: str, reach: Callable[..., Cluster]
) -> None:
    cluster = reach()
    Recorded(only_kubectl, ending="exit 3")
    with pytest.raises(ClusterError) as caught:
        cluster.create(CONFIG_MAPS, namespace, SECRET)
    error = caught.value
    assert (error.reason, error.answered, str(error)) == (Reason.API_ERROR, False, "no reason given")
    oc.program.unlink()
    with pytest.raises(ClusterError, match="oc could not be run") as caught:
        cluster.create(CONFIG_MAPS, namespace, SECRET)
    assert caught.value.answered
    assert "hush" not in str(caught.value)


def test_a_list_without_items_is_an_error_and_not_an_empty_one(
    only_kubectl: Path, oc: Recorded, kubeconfig: Path, namespace: str, reach: Callable[..., Cluster]
) -> None:
    cluster = reach()
    for page in ("{}", '{"kind": "Status", "status": "Success"}', '{"items": {}}'):
        Recorded(only_kubectl, ending=f"echo '{page}'")
        with pytest.raises(ClusterError, match=r"the answer to a list of configmaps in .* has no items") as caught:
            list(cluster.list(CONFIG_MAPS, namespace))
        assert caught.value.reason is Reason.API_ERROR
    Recorded(only_kubectl, ending="""echo '{"items": null}'""")
    assert list(cluster.list(CONFIG_MAPS, namespace)) == []


def test_only_what_kubectl_has_is_asked(
    oc: Recorded, kubeconfig: Path, namespace: str, reach: Callable[..., Cluster]
) -> None:
    cluster = reach()
    made = dict(cluster.create(CONFIG_MAPS, namespace, SECRET, timeout=3))
    cluster.replace(CONFIG_MAPS, namespace, made)
    list(cluster.list(CONFIG_MAPS, namespace, "a=b"))
    cluster.delete(CONFIG_MAPS, namespace, "c")
    place = f"--raw=/api/v1/namespaces/{namespace}/configmaps"
    assert oc.arguments[1:] == [
        f"create|{place}?timeout=3000ms|-v=6|--filename=-|--validate=false|",
        f"replace|{place}/c|-v=6|--filename=-|--validate=false|",
        f"get|{place}?limit=500&labelSelector=a%3Db|-v=6|",
        f"delete|{place}/c|-v=6|--filename=-|",
    ]


# Processes


@slow("a process that hangs is waited for")
def test_what_hangs_is_given_up_at_the_end(
    oc: Recorded, sandbox: Sandbox, kubeconfig: Path, namespace: str, reach: Callable[..., Cluster]
) -> None:
    cluster = reach()
    sandbox.add_fault(path=f"{namespace}/configmaps", hang=True)
    errors: list[ClusterError] = []

    def work() -> None:
        with pytest.raises(ClusterError) as caught:
            cluster.create(CONFIG_MAPS, namespace, SECRET)
        errors.append(caught.value)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: len(sandbox.requests(path=f"{namespace}/configmaps")) == 4)
    begun = time.monotonic()
    cluster.close()
    # Far from the minute after which a request is given up.
    assert time.monotonic() - begun < 30
    until(lambda: not any(runs(number) for number in oc.processes))
    for thread in threads:
        thread.join(5)
    assert [error.reason for error in errors] == [Reason.ABORTED] * 6
    # Four were sent, and nobody knows what became of them.
    assert sorted(error.answered for error in errors) == [False] * 4 + [True] * 2
    assert len(sandbox.requests(path=f"{namespace}/configmaps")) == 4
    with pytest.raises(ClusterError) as caught:
        cluster.get(CONFIG_MAPS, namespace, "c")
    assert caught.value.reason is Reason.ABORTED
    cluster.close()


@pytest.mark.parametrize("number", representatives([signal.SIGINT, signal.SIGTERM], TAIL))
def test_a_process_that_the_terminal_ends(
    only_kubectl: Path,
    oc: Recorded,
    kubeconfig: Path,
    namespace: str,
    number: int,
    reach: Callable[..., Cluster],
) -> None:
    """Ctrl-C reaches the processes, too: nobody knows then what became of the request."""
    cluster = reach()
    Recorded(only_kubectl, ending=f"kill -{int(number)} $$")
    with pytest.raises(ClusterError) as caught:
        cluster.create(CONFIG_MAPS, namespace, SECRET)
    assert (caught.value.reason, caught.value.answered) == (Reason.ABORTED, False)


# HOST and TOKEN


def test_nowhere_to_put_the_token(
    oc: Recorded, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: Callable[..., Cluster]
) -> None:
    monkeypatch.setattr("job.cluster.oc.kubeconfig.memory_folders", lambda: [tmp_path / "no-memory"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="TMPDIR") as told:
        reach(host=sandbox.secure_server, token=sandbox.token)
    assert sandbox.token not in str(told.value)


def test_a_token_goes_by_a_file_for_its_owner_only(
    oc: Recorded,
    sandbox: Sandbox,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reach: Callable[..., Cluster],
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("job.cluster.oc.kubeconfig.memory_folders", lambda: [place])
    monkeypatch.setenv("SSL_CERT_FILE", str(sandbox.ca_file))
    monkeypatch.setenv("KUBECONFIG", "/none")
    monkeypatch.setenv("POD_NAMESPACE", "here")
    cluster = reach(host=sandbox.secure_server, token=sandbox.token)
    assert list(cluster.list(IMAGE_STREAMS, namespace)) == []
    assert cluster.default_namespace == "here"
    [file] = place.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sandbox.token in file.read_text()
    assert sandbox.token not in "".join(oc.arguments)
    assert f"--kubeconfig={file}" in oc.arguments[0].split("|")
    cluster.close()
    assert list(place.iterdir()) == []


def test_a_token_is_not_sent_without_tls(
    oc: Recorded, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: Callable[..., Cluster]
) -> None:
    with pytest.raises(UsageError, match="HOST: must begin with https://"):
        reach(host=sandbox.server, token=sandbox.token)
    assert oc.processes == []


# A bastion host


class _Client:
    """What openshift-client asks of paramiko, with a shell here instead of one there."""

    made: list[_Client] = []  # noqa: RUF012 - looked at by the tests

    def __init__(self) -> None:
        self.connected: dict[str, Any] = {}
        self.closed = False
        self.commands: list[str] = []
        self.made.append(self)

    def load_system_host_keys(self) -> None:
        pass

    def connect(self, **how: Any) -> None:
        if how["hostname"] == "away":
            raise OSError("Name or service not known")
        self.connected = how

    def get_transport(self) -> Any:
        return types.SimpleNamespace(open_session=lambda: None)

    def close(self) -> None:
        self.closed = True

    def exec_command(self, command: str, timeout: float | None, environment: dict[str, str]) -> Any:
        self.commands.append(command)
        process = subprocess.Popen(
            ["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        written = io.StringIO()
        channel = types.SimpleNamespace(shutdown_write=lambda: None, recv_exit_status=process.wait)
        done: list[tuple[bytes, bytes]] = []

        def output(part: int) -> bytes:
            if not done:
                done.append(process.communicate(written.getvalue().encode()))
            return done[0][part]

        stdin = types.SimpleNamespace(write=written.write, flush=lambda: None, channel=channel)
        stdout, stderr = (types.SimpleNamespace(read=lambda p=part: output(p), channel=channel) for part in (0, 1))
        return stdin, stdout, stderr


@pytest.fixture
def bastion(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    paramiko = types.ModuleType("paramiko")
    paramiko.SSHClient = _Client  # type: ignore[attr-defined]
    paramiko.packet = types.SimpleNamespace(Packetizer=types.SimpleNamespace())  # type: ignore[attr-defined]
    paramiko.agent = types.SimpleNamespace(AgentRequestHandler=lambda _: None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "paramiko", paramiko)
    monkeypatch.setattr(_Client, "made", [])
    return lambda name: set_bastion(monkeypatch, name)


def set_bastion(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    # openshift-client reads its variables when it is loaded.
    monkeypatch.setattr(openshift_client, "DEFAULT_SSH_HOSTNAME", name)
    monkeypatch.setattr(sys.modules["openshift_client.context"], "DEFAULT_SSH_HOSTNAME", name)


def test_a_bastion_host_runs_oc(
    bastion: Callable[[str], None], oc: Recorded, kubeconfig: Path, namespace: str, reach: Callable[..., Cluster]
) -> None:
    bastion("me@bastion.example")
    cluster = reach()
    assert cluster.default_namespace == namespace
    cluster.create(CONFIG_MAPS, namespace, SECRET)
    assert cluster.get(CONFIG_MAPS, namespace, "c")["data"] == SECRET["data"]
    with pytest.raises(ClusterError) as caught:
        cluster.get(CONFIG_MAPS, namespace, "a b'; exit 3; '")
    assert (caught.value.code, len(_Client.made)) == (404, 1)
    [client] = _Client.made
    assert (client.connected["username"], client.connected["hostname"]) == ("me", "bastion.example")
    assert "hush" not in "".join(client.commands)
    cluster.close()
    assert client.closed


def test_a_bastion_host_that_is_not_there(bastion: Callable[[str], None], reach: Callable[..., Cluster]) -> None:
    bastion("away")
    with pytest.raises(UsageError, match="Name or service not known"):
        reach()


def test_a_bastion_host_needs_paramiko_and_has_its_own_login(
    monkeypatch: pytest.MonkeyPatch, reach: Callable[..., Cluster]
) -> None:
    set_bastion(monkeypatch, "bastion.example")
    monkeypatch.setitem(sys.modules, "paramiko", None)
    with pytest.raises(UsageError, match="needs paramiko"):
        reach()
    with pytest.raises(UsageError, match="HOST: not together with"):
        reach(host="https://api.example", token="x")
