"""A run that is stopped: what was done stays told, the rest is aborted."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import termios
import time

import pytest

from tests.sandbox.client import until
from tests.support.place import PROGRAM, Place, ended, of, started
from tests.support.pods import journal, lease


def three(place: Place) -> dict[str, str]:
    """Three streams with new images, of which the second takes a while; gives the new digests."""
    digests = {}
    for name in ("a", "b", "c"):
        place.imported(name, "old")
        digests[name] = place.push(name, "new")
    place.import_fault("b", latency=1.5)
    return digests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_in_the_middle(place: Place, number: signal.Signals) -> None:
    digests = three(place)
    with place.running(CONCURRENCY="1") as process:
        place.wait_for_import("b")
        process.send_signal(number)
        done = ended(process)
    assert done.status == 6, done.stderr
    # What was under way is waited for, and told.
    assert done.results == {"a:prod": "updated", "b:prod": "updated", "c:prod": "failed aborted"}
    assert [place.current(name) for name in ("a", "b")] == [digests["a"], digests["b"]]
    tag = done.tags["c:prod"]
    assert (tag["by"], tag["attempts"], tag["after"]["digest"]) == (None, 0, place.current("c"))
    assert place.imports("c") == []
    assert (done.report["run"]["outcome"], done.report["run"]["exit_status"]) == ("aborted", 6)
    assert number.name in done.stderr
    held = place.metrics()
    assert held["run_outcome"][(("outcome", "aborted"),)] == 1
    assert held["tag_failure"] == {of("c", reason="aborted"): 1}
    assert held["tags"][(("result", "updated"),)] == 2


def test_waiting_for_another_try_ends_with_the_signal(place: Place) -> None:
    place.imported("app", "old")
    place.import_fault("app", status={"code": 503, "headers": {"Retry-After": "60"}})
    with place.running(RETRIES="4") as process:
        until(lambda: any(each["ended"] and each["status"] == 503 for each in place.imports("app")))
        process.send_signal(signal.SIGTERM)
        done = ended(process, patience=20)
    assert done.status == 6
    tag = done.tags["app:prod"]
    assert (tag["reason"], tag["attempts"], tag["after"]["digest"]) == ("aborted", 1, place.current("app"))


def test_further_signals_end_it_at_once(place: Place) -> None:
    place.imported("app", "old")
    place.import_fault("app", hang=True)
    with place.running() as process:
        place.wait_for_import("app")
        begun = time.monotonic()
        # One after the other: two of a kind may be taken for one.
        while process.poll() is None and time.monotonic() < begun + 20:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
        assert process.poll() == 6
    assert time.monotonic() - begun < 15


def test_the_second_signal_frees_the_lock_and_ends_the_run_in_the_journal(place: Place) -> None:
    place.imported("app", "old")
    place.import_fault("app", hang=True)
    with place.running() as process:
        place.wait_for_import("app")
        # Of two kinds, since two of a kind may be taken for one.
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 6
    assert not lease(place).get("holderIdentity")
    # What was imported is not known, as with a run that was killed.
    run = journal(place).runs[0]
    assert (run.outcome, run.exit_status) == ("aborted", None)


def test_signal_before_anything_is_done(place: Place) -> None:
    place.imported("app", "old")
    place.push("app", "new")
    place.fault("imagestreams$", "GET", latency=1.0)
    with place.running() as process:
        path = f"/namespaces/{place.namespace}/imagestreams$"
        until(lambda: [each for each in place.sandbox.requests(method="GET", path=path) if each["ended"] is None])
        process.send_signal(signal.SIGTERM)
        done = ended(process)
    assert done.status == 6, done.stderr
    assert place.imports() == []
    assert done.report["run"]["outcome"] == "aborted"


@pytest.mark.parametrize("ignored", [False, True], ids=["", "nohup"])
def test_a_terminal_that_goes_away(place: Place, ignored: bool) -> None:
    """Its end is a signal like others, unless whoever started the run had that ignored; nothing can be shown then."""
    digests = three(place)
    gate = place.import_fault("a", gate=True)
    terminal, side = pty.openpty()

    def become_its_own() -> None:
        os.setsid()
        fcntl.ioctl(side, termios.TIOCSCTTY, 0)
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    streams = dict.fromkeys(("stdin", "stdout", "stderr"), side)
    with started([PROGRAM, "run"], place.environment(CONCURRENCY="1"), preexec_fn=become_its_own, **streams) as process:
        os.close(side)
        place.wait_for_import("a")
        os.close(terminal)
        # Written to several times a second while imports have results.
        time.sleep(0.5)
        place.sandbox.remove_faults(gate)
        status = process.wait(60)
    assert status == (0 if ignored else 6)
    assert [run.outcome for run in journal(place).runs] == ["success" if ignored else "aborted"]
    assert lease(place)["holderIdentity"] == ""
    assert place.current("a") == digests["a"]
    assert (place.current("c") == digests["c"]) == ignored


@pytest.mark.parametrize("output", ["json", "table"])
def test_output_to_a_closed_pipe_loses_nothing_else(place: Place, output: str) -> None:
    new = place.push("app", "new")
    place.stream("app")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [PROGRAM, "--output", output],
            env=place.environment(),
            stdin=subprocess.DEVNULL,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert place.current("app") == new
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    # Whoever read the report has gone; the image was imported, and the others are told.
    assert place.metrics()["tag_result"] == {of("app", result="updated"): 1}
    assert place.objects("configmaps") != []
    assert done.returncode == 0
