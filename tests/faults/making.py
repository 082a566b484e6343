"""How each kind of fault is made: what is set up before the job starts, and what is done at the moment."""

from __future__ import annotations

import base64
import functools
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from job.journal.decoding import PACKED_KEY, PLAIN_KEY
from job.journal.encoding import encode
from job.journal.records import Journal, TagRecord
from tests.faults.catalogue import Case
from tests.faults.moments import STREAM_AT, Moment, gate, request_at
from tests.faults.scene import PASSWORD, TAGS, Done, Scene
from tests.sandbox.client import until
from tests.support.pods import JOURNAL, make_lease, write_lease
from tests.support.rights import RUN
from tests.support.servers import Answered, Asked, serving

LEASE = "import-images-all"
HERE = Path(__file__).parent
FAKETIME = "*/faketime/libfaketime.so.1"

# What is done to a run under way, at its moment.
Act = Callable[[subprocess.Popen[str]], None]
Making = Callable[[Scene, Case, ExitStack], Act | None]


def perform(scene: Scene, case: Case) -> Done:
    """Run the job into a fault, to its end."""
    scene.environment.update(case.fault.environment)
    with ExitStack() as stack:
        done = _performed(scene, case, stack)
        scene.verify_that_it_came(done)
        return done


def _performed(scene: Scene, case: Case, stack: ExitStack) -> Done:
    act = MAKING[case.fault.kind](scene, case, stack)
    if act is None:
        with scene.running() as process:
            return scene.ended(process)
    closed, environment = stack.enter_context(gate(scene.place, case.moment, case.fault.parts.get("answer", {})))
    for name, value in environment.items():
        scene.environment[name] = value.replace("://", f"://somebody:{PASSWORD}@")
    with scene.running() as process:
        until(lambda: closed.reached() or process.poll() is not None)
        assert closed.reached(), ("the run ended before the moment of the fault", scene.ended(process))
        act(process)
        closed.open()
        return scene.ended(process)


# The API


def _rule(scene: Scene, case: Case, stack: ExitStack) -> Act | None:
    where = request_at(scene.place, case.moment)
    if case.moment is Moment.START and (case.fault.parts.get("status") or {}).get("code") == 409:
        where["method"] = "POST"
    parts = {**where, **case.fault.parts}
    if case.moment is not Moment.PUSH:
        scene.fault(**parts)
        return None

    def act(process: subprocess.Popen[str]) -> None:
        scene.fault(**parts)

    return act


def _pages(scene: Scene, case: Case, stack: ExitStack) -> None:
    where = request_at(scene.place, Moment.LIST)
    checks = where.pop("after")
    scene.fault(**where, page=case.fault.parts["page"])
    expired = {"code": 410, "message": "The provided continue parameter is too old"}
    # The second page of the run's own list.
    scene.fault(**where, after=checks + 1, times=case.fault.parts["expired"], status=expired)


def _api_gone(scene: Scene, case: Case, stack: ExitStack) -> Act:
    """The API goes away and stays away: connections break, new ones are refused."""
    server = stack.enter_context(serving(scene.sandbox.server))
    scene.environment["HOST"] = server.url
    # What waits at the gate belongs to a connection that breaks now.
    return lambda process: server.go_away()


def _not_allowed(scene: Scene, case: Case, stack: ExitStack) -> None:
    """The cluster allows no imports from the host of one image; the other of its request comes from an allowed one."""
    stream = STREAM_AT[case.moment]
    if len(TAGS[stream]) == 1:
        scene.give_a_second_tag(stream)
    allowed = scene.sandbox.registry_address
    scene.point(stream, "elsewhere.example:5000/app:prod")
    stack.enter_context(scene.sandbox.settings(allowed_registries=[allowed]))
    refused = {"status": 422, "tags": ["prod", "stg"]}
    scene.signs.append(lambda done: any(each.items() >= refused.items() for each in scene.place.imports(stream)))
    scene.wanted[f"{stream}:prod"] = set()


def _stream_deleted(scene: Scene, case: Case, stack: ExitStack) -> Act:
    stream = STREAM_AT.get(case.moment, "c")

    def act(process: subprocess.Popen[str]) -> None:
        scene.sandbox.delete(scene.stream_path(stream))
        if case.moment is Moment.LIST:
            del scene.before[f"{stream}:prod"]

    return act


def _delete_account(scene: Scene) -> None:
    scene.sandbox.delete(f"/api/v1/namespaces/{scene.place.namespace}/serviceaccounts/import-images")


def _token_expired(scene: Scene, case: Case, stack: ExitStack) -> Act:
    scene.signs.append(lambda done: scene.refused(401))
    return lambda process: _delete_account(scene)


def _token_renewed(scene: Scene, case: Case, stack: ExitStack) -> Act:
    """In a pod, whose token is renewed on disk; the one before is refused from then on."""
    account = scene.folder / "serviceaccount"
    account.mkdir()
    (account / "token").write_text(scene.place.token)
    (account / "namespace").write_text(scene.place.namespace)
    (account / "ca.crt").write_bytes(scene.sandbox.ca_file.read_bytes())
    host, _, port = scene.sandbox.secure_server.removeprefix("https://").partition(":")
    for name in ("HOST", "TOKEN"):
        del scene.environment[name]
    scene.environment |= {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "SERVICE_ACCOUNT_FOLDER": str(account),
        "PYTHONPATH": str(HERE / "pod"),
    }
    renewed = scene.sandbox.create_account(scene.place.namespace, "renewed", RUN)
    scene.secrets.append(renewed)
    scene.signs.append(lambda done: scene.refused(401))
    scene.signs.append(lambda done: scene.sandbox.requests(user=f":{scene.place.namespace}:renewed$"))

    def act(process: subprocess.Popen[str]) -> None:
        (account / "token").write_text(renewed)
        _delete_account(scene)

    return act


def _rights_withdrawn(scene: Scene, case: Case, stack: ExitStack) -> Act:
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{scene.place.namespace}/rolebindings"
    scene.signs.append(lambda done: scene.refused(403))

    def act(process: subprocess.Popen[str]) -> None:
        for binding in scene.sandbox.items(path):
            scene.sandbox.delete(f"{path}/{binding['metadata']['name']}")

    return act


def _tag_moves(scene: Scene, case: Case, stack: ExitStack) -> Act:
    stream = STREAM_AT[case.moment]

    def act(process: subprocess.Popen[str]) -> None:
        scene.wanted[f"{stream}:prod"] = {scene.place.push(stream, "newest")}

    return act


def _rolled_back(scene: Scene, case: Case, stack: ExitStack) -> Act:
    """Somebody else rolls a tag back that this run has chosen to import."""
    stream = STREAM_AT.get(case.moment, "c")
    scene.place.push(stream, "between")
    scene.sandbox.import_tag(scene.place.namespace, stream, "prod")
    scene.place.push(stream, "new")

    def act(process: subprocess.Popen[str]) -> None:
        scene.place.roll_back(stream, scene.before[f"{stream}:prod"])

    return act


# The lock


@contextmanager
def _kept_alive(scene: Scene, name: str) -> Iterator[None]:
    over = threading.Event()

    def renew() -> None:
        count = 0
        while not over.wait(0.3):
            count += 1
            write_lease(scene.place, name, renewTime=f"2026-11-20T12:00:00.{count:06d}Z")

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _take_lock(scene: Scene, case: Case, stack: ExitStack) -> None:
    if case.moment is Moment.START:
        make_lease(scene.place, LEASE, holderIdentity="somebody", renewTime="2026-11-20T11:00:00.000000Z")
        stack.enter_context(_kept_alive(scene, LEASE))
    else:
        write_lease(scene.place, LEASE, holderIdentity="somebody")


def _threads(process: subprocess.Popen[str]) -> int:
    return len(list(Path(f"/proc/{process.pid}/task").iterdir()))


def _wait_for_the_loss(scene: Scene, process: subprocess.Popen[str]) -> None:
    """Until the job has tried to renew a lock that is no longer its own, has looked at whose it is, and knows it."""
    before = _threads(process)

    def noticed() -> bool:
        asked = scene.place.requests(path="leases/")
        lost = next((n for n, each in enumerate(asked) if each["method"] == "PUT" and each["status"] >= 400), None)
        if lost is None:
            return process.poll() is not None
        return asked[lost]["status"] == 404 or any(each["ended"] for each in asked[lost + 1 :])

    until(noticed)
    # The thread that renews ends when it has told the others.
    until(lambda: process.poll() is not None or _threads(process) < before)


def _lock_taken(scene: Scene, case: Case, stack: ExitStack) -> Act:
    def act(process: subprocess.Popen[str]) -> None:
        _take_lock(scene, case, stack)
        if case.moment in case.fault.slow:
            _wait_for_the_loss(scene, process)

    return act


def _lock_deleted(scene: Scene, case: Case, stack: ExitStack) -> Act:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{scene.place.namespace}/leases/{LEASE}"

    def act(process: subprocess.Popen[str]) -> None:
        scene.sandbox.delete(path)
        if case.moment in case.fault.slow:
            _wait_for_the_loss(scene, process)

    return act


def _suspended(scene: Scene, case: Case, stack: ExitStack) -> Act:
    """The node sleeps; when it wakes up, somebody else holds the lock."""

    def act(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGSTOP)
        _take_lock(scene, case, stack)
        process.send_signal(signal.SIGCONT)
        if case.moment in case.fault.slow:
            _wait_for_the_loss(scene, process)

    return act


# The registry


def _registry(scene: Scene, case: Case, stack: ExitStack) -> None:
    from tests.support.registries import faulty_registry

    address = stack.enter_context(faulty_registry())
    _spoil(scene, case, f"{address}/{case.fault.parts['repository']}:prod")
    stack.enter_context(scene.sandbox.settings(retry_rate_limited=0.1))


def _spoil(scene: Scene, case: Case, source: str) -> None:
    stream = STREAM_AT[case.moment]
    scene.point(stream, source)
    scene.wanted[f"{stream}:prod"] = set()


def _registry_unreachable(scene: Scene, case: Case, stack: ExitStack) -> None:
    _spoil(scene, case, "127.0.0.1:1/app:prod")


def _wrong_digest(scene: Scene, case: Case, stack: ExitStack) -> None:
    """What comes for the digest of an index's manifest is something else."""
    other = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'

    def instead(asked: Asked) -> Answered | None:
        if "/manifests/sha256:" in asked.path:
            return Answered(200, other, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"})
        return None

    server = stack.enter_context(serving(f"http://{scene.sandbox.registry_address}", instead))
    scene.signs.append(lambda done: any("/manifests/sha256:" in each.path for each in server.asked))
    stream = STREAM_AT[case.moment]
    scene.place.push(f"{stream}-index", "new", platforms=("amd64", "arm64"))
    _spoil(scene, case, f"{server.address}/{scene.place.namespace}/{stream}-index:prod")


# The Pushgateway


def _gateway(scene: Scene, case: Case, stack: ExitStack) -> None:
    parts = case.fault.parts
    left = [parts.get("times")]
    over, came = threading.Event(), threading.Event()
    stack.callback(over.set)
    scene.signs.append(lambda done: came.is_set())
    upstream = scene.sandbox.pushgateway

    def instead(asked: Asked) -> Answered | None:
        if (asked.method == "GET") != bool(parts.get("reads")) or left[0] == 0:
            return None
        came.set()
        if left[0] is not None:
            left[0] -= 1
        if parts.get("hang"):
            return Answered(0, hang=lambda: over.wait(200))
        if parts.get("after"):
            server.forward(asked)
        if parts.get("text"):
            return _garbled(str(parts["text"]), server.forward(asked))
        headers = {"Location": upstream} if parts["status"] == 302 else {}
        # As one that repeats what it was sent.
        return Answered(parts["status"], f"no: {asked.headers.get('Authorization')}".encode(), headers)

    server = stack.enter_context(serving(upstream, instead))
    scene.environment["PUSHGATEWAY_ADDRESS"] = f"http://somebody:{PASSWORD}@{server.address}"
    scene.secrets.append(base64.b64encode(f"somebody:{PASSWORD}".encode()).decode())


def _garbled(how: str, answer: Answered) -> Answered:
    match how:
        case "html":
            return Answered(200, b"<html>Sign in</html>", {"Content-Type": "text/html"})
        case "truncated":
            return Answered(200, answer.body[: len(answer.body) // 2], answer.headers)
    return Answered(200, b'["0123456789"]' * 750_000, answer.headers)


def _gateway_refused(scene: Scene, case: Case, stack: ExitStack) -> None:
    scene.environment["PUSHGATEWAY_ADDRESS"] = f"http://somebody:{PASSWORD}@127.0.0.1:1"
    scene.signs.append(lambda done: "not pushed" in done.stderr)


def _gateway_signal(scene: Scene, case: Case, stack: ExitStack) -> Act:
    """The gateway hangs, and the pod is told to end."""

    def act(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    return act


# The journal


@functools.cache
def _largest() -> Journal:
    """More than a journal can hold."""
    return Journal(
        tags={
            (f"stream-{number * 7919 % 100_003:x}", f"v{number}"): TagRecord(1e9 + number) for number in range(30_000)
        }
    )


def _journal(scene: Scene, case: Case, stack: ExitStack) -> Act | None:
    def change(process: subprocess.Popen[str] | None = None) -> None:
        match case.fault.parts["how"]:
            case "full":
                full = encode(_largest())
                assert PACKED_KEY in full["binaryData"]
                scene.write_journal(full)
            case "unparseable":
                scene.write_journal({"data": {PLAIN_KEY: '{"version": 1, "runs": [\x1b[2J'}})
            case "foreign":
                # Somebody else's ConfigMap of that name, with much in it.
                scene.write_journal({"data": {PLAIN_KEY: "7", "other": "x" * 700_000}})
            case "deleted":
                scene.forget()
            case _:
                quota = {"code": 403, "message": "exceeded quota: all, requested: configmaps=1"}
                where = {"path": f"/namespaces/{scene.place.namespace}/configmaps", "method": "POST|PUT"}
                scene.fault(**where, status=quota)

    if case.moment is Moment.START:
        change()
        return None
    return change


def _journal_begun(scene: Scene, case: Case, stack: ExitStack) -> None:
    """The first request of a kind that the run makes for its journal."""
    path = f"/namespaces/{scene.place.namespace}/configmaps/{JOURNAL}$"
    scene.fault(path=path, times=1, **case.fault.parts)


# The process


def _signal(scene: Scene, case: Case, stack: ExitStack) -> Act:
    return lambda process: process.send_signal(signal.Signals[case.fault.parts["signal"]])


def _deadline(scene: Scene, case: Case, stack: ExitStack) -> Act:
    # It began to count before it came here.
    return lambda process: time.sleep(float(scene.environment["DEADLINE"].removesuffix("s")) + 0.5)


def _memory(scene: Scene, case: Case, stack: ExitStack) -> Act:
    """No more memory from now on but for what is left of what the process has; the answer under way needs more."""
    # Else each thread has address space in reserve, which the limit counts already.
    scene.environment["MALLOC_ARENA_MAX"] = "1"
    scene.signs.append(lambda done: "MemoryError" in done.stderr)

    def act(process: subprocess.Popen[str]) -> None:
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        size = pages * resource.getpagesize()
        resource.prlimit(process.pid, resource.RLIMIT_AS, (size, size))

    return act


def _disk_full(scene: Scene, case: Case, stack: ExitStack) -> None:
    scene.stdout = stack.enter_context(Path("/dev/full").open("w"))  # noqa: SIM115
    scene.environment["TERMINATION_LOG"] = "/dev/full"
    scene.signs.append(lambda done: "report could not be written" in done.stderr)
    scene.signs.append(lambda done: "termination message" in done.stderr)


def _logs_full(scene: Scene, case: Case, stack: ExitStack) -> Act | None:
    """What is logged goes to a file, and nothing can be written to any."""
    logs = scene.folder / "logs"
    scene.stderr = stack.enter_context(logs.open("w"))
    # The last line of every run is there otherwise.
    scene.signs.append(lambda done: f"{scene.place.namespace}: success: " not in logs.read_text())
    return _without_files(scene, case)


def _no_disk(scene: Scene, case: Case, stack: ExitStack) -> Act | None:
    """Nothing can be written to any file; stdout and stderr are pipes."""
    scene.signs.append(lambda done: "termination message" in done.stderr)
    return _without_files(scene, case)


def _without_files(scene: Scene, case: Case) -> Act | None:
    """No file may grow any more; at the start from the first instruction on."""
    limit = resource.RLIMIT_FSIZE, (0, 0)
    if case.moment is Moment.START:
        scene.limit = functools.partial(resource.setrlimit, *limit)
        return None

    def act(process: subprocess.Popen[str]) -> None:
        resource.prlimit(process.pid, *limit)

    return act


def _clock(scene: Scene, case: Case, stack: ExitStack) -> Act:
    library = next(iter(sorted(Path("/usr/lib").glob(FAKETIME))), None)
    assert library, "missing: libfaketime, of Debian's package faketime"
    file = scene.folder / "faketime"
    file.write_text("+0d")
    scene.environment |= {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        # Nobody sets the monotonic clock.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }

    def act(process: subprocess.Popen[str]) -> None:
        new = scene.folder / "new"
        new.write_text(case.fault.parts["change"])
        new.replace(file)

    def changed(done: Done) -> bool:
        """Whether what the job wrote of its lock at the end has the new time."""
        lease = scene.held().lease
        assert lease
        written = datetime.fromisoformat(lease["renewTime"])
        return abs(written - datetime.now(UTC)) > timedelta(days=20)

    scene.signs.append(changed)
    return act


MAKING: dict[str, Making] = {
    "rule": _rule,
    "pages": _pages,
    "api-gone": _api_gone,
    "not-allowed": _not_allowed,
    "stream-deleted": _stream_deleted,
    "token-expired": _token_expired,
    "token-renewed": _token_renewed,
    "rights-withdrawn": _rights_withdrawn,
    "tag-moves": _tag_moves,
    "rolled-back": _rolled_back,
    "suspended": _suspended,
    "lock-taken": _lock_taken,
    "lock-deleted": _lock_deleted,
    "registry": _registry,
    "registry-unreachable": _registry_unreachable,
    "wrong-digest": _wrong_digest,
    "gateway": _gateway,
    "gateway-refused": _gateway_refused,
    "gateway-signal": _gateway_signal,
    "journal": _journal,
    "journal-begun": _journal_begun,
    "signal": _signal,
    "deadline": _deadline,
    "memory": _memory,
    "disk-full": _disk_full,
    "logs-full": _logs_full,
    "no-disk": _no_disk,
    "clock": _clock,
}
