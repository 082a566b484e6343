"""The end of a pod's life: a signal, the deadline, and the termination message."""

from __future__ import annotations

import fcntl
import resource
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.sandbox.client import Sandbox, until
from tests.support.place import Ended, Place, ended
from tests.support.pods import journal, lease
from tests.support.rights import ROLL_BACK
from tests.support.tiers import slow


def check(place: Place, done: Ended, file: Path) -> None:
    """All that an aborted run leaves behind: the stream `a` was under way, `b` to `d` were not begun."""
    assert done.status == 6, done.stderr
    assert done.report["run"]["outcome"] == "aborted"
    assert done.results == {"a:prod": "updated", **{f"{name}:prod": "failed aborted" for name in "bcd"}}
    assert {each["stream"] for each in place.imports()} == {"a"}
    assert lease(place)["holderIdentity"] == ""
    assert journal(place).runs[0].outcome == "aborted"
    metrics = place.metrics()
    assert metrics["run_outcome"][(("outcome", "aborted"),)] == 1
    assert metrics["tags"][(("result", "updated"),)] == 1
    assert "aborted" in file.read_text()


@pytest.fixture
def four(place: Place) -> Place:
    """Four streams with something new for each; an import takes a while."""
    for name in "abcd":
        place.imported(name)
        place.push(name, "two")
    place.import_fault(latency=2)
    return place


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of the termination message."""
    found = tmp_path / "termination-log"
    found.touch()
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_under_way_finish_and_begins_nothing(four: Place, file: Path, number: int) -> None:
    with four.running(CONCURRENCY="1", TERMINATION_LOG=str(file)) as process:
        four.wait_for_import("a")
        process.send_signal(number)
        check(four, ended(process), file)


def test_the_deadline_does_the_same(four: Place, file: Path) -> None:
    gate = four.import_fault(gate=True)
    with four.running(CONCURRENCY="1", DEADLINE="6s", TERMINATION_LOG=str(file)) as process:
        four.wait_for_import("a")
        # It began to count before it came here.
        time.sleep(6.5)
        four.sandbox.remove_faults(gate)
        done = ended(process)
    check(four, done, file)
    assert "the deadline of 6 s has passed" in done.stderr


def test_a_signal_while_the_lock_is_waited_for_is_an_abort(place: Place) -> None:
    place.imported("worker")
    place.import_fault(hang=True)
    with place.running() as holder:
        place.wait_for_import("worker")
        with place.running() as process:
            until(lambda: len(place.requests("GET", "leases$")) >= 4)
            process.send_signal(signal.SIGTERM)
            done = ended(process)
        holder.kill()
    assert done.status == 6, done.stderr
    assert journal(place).runs[0].outcome == "running"


@slow("waits for the end of all that a hanging gateway gets")
def test_a_gateway_that_hangs_does_not_outlast_the_pod(four: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        address = f"127.0.0.1:{hanging.getsockname()[1]}"
        with four.running(CONCURRENCY="1", PUSHGATEWAY_ADDRESS=address) as process:
            four.wait_for_import("a")
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            done = ended(process, 200)
    assert (done.status, lease(four)["holderIdentity"]) == (6, "")
    assert time.monotonic() - begun < 55


def test_a_gateway_that_hangs_costs_nothing_but_metrics(place: Place, file: Path) -> None:
    """While it is waited for, the report is published everywhere else and the lock is free."""
    place.imported("app")
    place.push("app", "two")
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        address = f"127.0.0.1:{hanging.getsockname()[1]}"
        with place.running(PUSHGATEWAY_ADDRESS=address, TERMINATION_LOG=str(file)) as process:
            hanging.settimeout(60)
            with hanging.accept()[0]:
                assert lease(place)["holderIdentity"] == ""
                assert journal(place).runs[0].outcome == "success"
                assert "1 updated" in file.read_text()
                assert place.objects("events") != []
                assert process.poll() is None
                # The next run need not wait for this one.
                assert place.run().results == {"app:prod": "unchanged"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("run",), ("updated", True)), (("rollback", "app", "--yes"), ("rolled_back", False))],
    ids=["run", "rollback"],
)
def test_a_run_killed_while_it_pushes_metrics_has_reported(
    sandbox: Sandbox, arguments: tuple[str, ...], expected: tuple[str, bool]
) -> None:
    """As a gateway's answer that takes all of the memory would end it."""
    place = Place(sandbox, ROLL_BACK)
    place.imported("app")
    new = place.push("app", "two")
    if arguments != ("run",):
        place.sandbox.import_tag(place.namespace, "app", "prod")
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        address = f"127.0.0.1:{hanging.getsockname()[1]}"
        with place.running(*arguments, PUSHGATEWAY_ADDRESS=address) as process:
            hanging.settimeout(60)
            with hanging.accept()[0]:
                process.send_signal(signal.SIGKILL)
                done = ended(process)
    assert done.status == -signal.SIGKILL
    (tag,) = done.report["tags"]
    assert tag["after"]["digest"] == place.current("app")
    assert (tag["result"], place.current("app") == new) == expected
    assert journal(place).runs[0].outcome == "success"
    assert place.objects("events") != []
    assert all(not lease(place)["holderIdentity"] for _ in place.objects("coordination.k8s.io/v1/leases"))


def test_nobody_reads_the_report_for_a_while(place: Place) -> None:
    """As where it goes to a pager: meanwhile nobody is locked out, and all others are told."""
    for number in range(20):
        place.imported(f"app-{number}")
    with place.running() as process:
        assert process.stdout
        size = fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, resource.getpagesize())
        until(lambda: journal(place).runs and journal(place).runs[0].outcome == "success")
        until(lambda: lease(place)["holderIdentity"] == "")
        until(lambda: place.metrics().get("run_outcome", {}).get((("outcome", "success"),)) == 1)
        assert process.poll() is None
        done = ended(process)
    assert (done.status, len(done.results)) == (0, 20)
    assert len(done.stdout) > 2 * size


def test_the_message_of_a_thousand_failures_fits(place: Place, file: Path) -> None:
    for number in range(60):
        place.stream(f"s{number}", {"prod": place.source(f"ne{'x' * 80}{number}")})
    done = place.run(TERMINATION_LOG=str(file))
    text = file.read_bytes()
    assert done.status == 1
    assert 3000 < len(text) <= 4096
    assert "60 failed" in text.decode().splitlines()[0]
    assert " more" in text.decode().splitlines()[-1]


def test_the_message_file_is_never_made(place: Place, tmp_path: Path) -> None:
    place.imported("worker")
    assert place.run(TERMINATION_LOG=str(tmp_path / "none")).status == 0
    assert list(tmp_path.iterdir()) == []
