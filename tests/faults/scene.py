"""The namespace that meets the faults: four streams, what is remembered of them, and the job run there.

`a` has two tags, of which `prod` is to get a new image; so are `c:prod` and `d:prod`, and `b:prod` stays as it is. In a
flawed scene the image of `a:stg` is gone from the registry. They are imported one stream after another, by name.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from job.journal.encoding import encode
from job.journal.records import Journal, RunRecord, TagRecord
from tests.sandbox.client import IMAGE, MERGE_PATCH, Json, Refused, Sandbox
from tests.support.place import PROGRAM, Place, Series, metrics_of, started, with_output
from tests.support.pods import JOURNAL

TAGS = {"a": ("prod", "stg"), "b": ("prod",), "c": ("prod",), "d": ("prod",)}
NAMES = tuple(f"{stream}:{tag}" for stream, tags in TAGS.items() for tag in tags)
# Before any run of today, by the second.
LAST_SUCCESS = 1_700_000_000.0
TAG_SUCCESS = 1_690_000_000.0
FAILED_RUNS = {"d:prod": 2}
PASSWORD = "gateway-word-7"
PATIENCE = 150.0


@dataclass
class Done:
    """A run that has ended."""

    status: int
    stdout: str
    stderr: str
    termination: str

    @property
    def report(self) -> Json | None:
        """The report, if all of one was written."""
        with suppress(ValueError):
            found = json.loads(self.stdout)
            return found if isinstance(found, dict) else None
        return None


@dataclass
class Held:
    """What the cluster and the gateway hold after a run, read as an administrator."""

    tags: dict[str, str | None]
    journal: Json | None
    events: list[Json]
    lease: Json | None
    metrics: dict[str, Series]
    everything: str


@dataclass
class Scene:
    """See the module."""

    sandbox: Sandbox
    folder: Path
    flawed: bool = False
    # Whether a journal is there before.
    remembered: bool = True
    place: Place = field(init=False)
    # The digests that the registry would give for a tag; none where it cannot.
    wanted: dict[str, set[str]] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    stdout: int | IO[Any] = subprocess.PIPE
    stderr: int | IO[Any] = subprocess.PIPE
    limit: Callable[[], None] | None = None
    secrets: list[str] = field(default_factory=list)
    # The rules of which each has to act, and what else tells that the fault has come.
    rules: list[int] = field(default_factory=list)
    signs: list[Callable[[Done], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = place = Place(self.sandbox)
        for stream, tags in TAGS.items():
            for tag in tags:
                self.before[f"{stream}:{tag}"] = place.push(stream, f"old {tag}", tag)
            place.stream(stream, {tag: place.source(stream, tag) for tag in tags})
            for tag in tags:
                self.sandbox.import_tag(place.namespace, stream, tag)
        self.wanted = {name: {digest} for name, digest in self.before.items()}
        for stream in "acd":
            self.wanted[f"{stream}:prod"] = {place.push(stream, "new")}
        if self.flawed:
            self.sandbox.registry.delete(f"{place.namespace}/a", self.before["a:stg"])
            self.wanted["a:stg"] = set()
        if self.remembered:
            self.remember(self.journal())
        self._push()
        self.secrets = [place.token, PASSWORD]
        gateway = place.sandbox.pushgateway.replace("://", f"://somebody:{PASSWORD}@")
        self.environment = place.environment(
            DEPLOYMENT=None,
            CONCURRENCY="1",
            IMPORT_TIMEOUT="2s",
            PUSHGATEWAY_ADDRESS=gateway,
            TERMINATION_LOG=str(self.termination_log),
        )
        self.termination_log.touch()

    @property
    def termination_log(self) -> Path:
        return self.folder / "termination-log"

    def journal(self, **more: Any) -> Journal:
        """What is remembered before."""
        records = {}
        for name in self.before:
            stream, _, tag = name.partition(":")
            records[stream, tag] = TagRecord(TAG_SUCCESS, FAILED_RUNS.get(name, 0))
        runs = (RunRecord("20231114T221320Z-0000", None, outcome="success"),)
        return Journal(tags=records, groups={"*": LAST_SUCCESS}, runs=runs, **more)

    @property
    def journal_path(self) -> str:
        return f"/api/v1/namespaces/{self.place.namespace}/configmaps"

    def remember(self, journal: Journal) -> None:
        """Somebody writes the journal; what it held before is gone."""
        self.write_journal(encode(journal))

    def write_journal(self, content: Mapping[str, Any]) -> None:
        self.forget()
        self.sandbox.create(self.journal_path, {"metadata": {"name": JOURNAL}, **content})

    def forget(self) -> None:
        with suppress(Refused):
            self.sandbox.delete(f"{self.journal_path}/{JOURNAL}")

    @property
    def group(self) -> str:
        return f"/metrics/job/import-images/stream_namespace/{self.place.namespace}"

    def _push(self) -> None:
        """The metrics of a run before."""
        tags = [name.split(":") for name in self.before]
        lines = ["# TYPE import_images_last_success_timestamp_seconds gauge"]
        lines.append(f"import_images_last_success_timestamp_seconds {LAST_SUCCESS!r}")
        lines.append("# TYPE import_images_tag_last_success_timestamp_seconds gauge")
        name = "import_images_tag_last_success_timestamp_seconds"
        lines += [f'{name}{{stream="{stream}",tag="{tag}"}} {TAG_SUCCESS!r}' for stream, tag in tags]
        lines.append("# TYPE import_images_tag_failed_runs gauge")
        for each, count in FAILED_RUNS.items():
            stream, _, tag = each.partition(":")
            lines.append(f'import_images_tag_failed_runs{{stream="{stream}",tag="{tag}"}} {count}')
        url = self.sandbox.pushgateway + self.group
        request = urllib.request.Request(url, ("\n".join(lines) + "\n").encode(), method="PUT")
        urllib.request.urlopen(request, timeout=20).close()

    def fault(self, **parts: object) -> None:
        """A rule of the sandbox that has to act before the run ends."""
        self.rules.append(self.sandbox.add_fault(**parts))

    def verify_that_it_came(self, done: Done) -> None:
        """A fault that meets nothing proves nothing."""
        acted = {each["id"]: each["acted"] for each in self.sandbox.faults()}
        assert all(acted[number] for number in self.rules), ("the fault never came", done)
        assert all(sign(done) for sign in self.signs), ("nothing shows that the fault came", done)

    def refused(self, code: int) -> bool:
        """Whether the API has refused the job something in this namespace with that code."""
        asked = self.sandbox.requests(path=f"/namespaces/{self.place.namespace}/")
        return any(each["status"] == code and each["user_agent"].startswith("import-images/") for each in asked)

    def point(self, stream: str, source: str, tag: str = "prod") -> None:
        """Let a tag follow another place."""
        tags = [
            {**each, "from": {"kind": "DockerImage", "name": source}} if each["name"] == tag else each
            for each in self.sandbox.stream(self.place.namespace, stream)["spec"]["tags"]
        ]
        self.sandbox.patch(self.stream_path(stream), {"spec": {"tags": tags}}, MERGE_PATCH)

    def give_a_second_tag(self, stream: str) -> None:
        """Let a stream have a tag `stg` as well, which is to get a new image; nothing is remembered of it."""
        name, place = f"{stream}:stg", self.place
        self.before[name] = place.push(stream, "old stg", "stg")
        source = {"kind": "DockerImage", "name": place.source(stream, "stg")}
        first = place.spec(stream)
        tags = [first, {**first, "name": "stg", "from": source}]
        self.sandbox.patch(self.stream_path(stream), {"spec": {"tags": tags}}, MERGE_PATCH)
        self.sandbox.import_tag(place.namespace, stream, "stg")
        self.wanted[name] = {place.push(stream, "new stg", "stg")}

    def stream_path(self, stream: str) -> str:
        return f"{IMAGE}/namespaces/{self.place.namespace}/imagestreams/{stream}"

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        """The job under way."""
        streams = {"stdout": self.stdout, "stderr": self.stderr}
        with started(
            [PROGRAM, *with_output(self.arguments)], self.environment, preexec_fn=self.limit, **streams
        ) as process:
            yield process

    def ended(self, process: subprocess.Popen[str]) -> Done:
        stdout, stderr = process.communicate(timeout=PATIENCE)
        termination = self.termination_log.read_text() if self.termination_log.exists() else ""
        return Done(process.returncode, stdout or "", stderr or "", termination)

    def held(self) -> Held:
        """What there is now; from the sandbox's own store and the real Pushgateway."""
        space = self.place.namespace
        tags: dict[str, str | None] = {}
        for stream in self.sandbox.items(f"{IMAGE}/namespaces/{space}/imagestreams"):
            items = {each["tag"]: each["items"] or [] for each in stream["status"].get("tags") or ()}
            for spec in stream["spec"].get("tags") or ():
                first = next(iter(items.get(spec["name"], [])), None)
                tags[f"{stream['metadata']['name']}:{spec['name']}"] = first and first["image"]
        journal = self._get(f"{self.journal_path}/{JOURNAL}")
        events = self.sandbox.items(f"/api/v1/namespaces/{space}/events")
        lease = self._get(f"/apis/coordination.k8s.io/v1/namespaces/{space}/leases/import-images-all")
        metrics = metrics_of(self.sandbox.pushgateway, stream_namespace=space)
        everything = json.dumps([journal, events, lease, [str(each) for each in metrics.items()]])
        return Held(tags, journal, events, lease and lease["spec"], metrics, everything)

    def _get(self, path: str) -> Json | None:
        with suppress(Refused):
            found = self.sandbox.get(path)
            return found if isinstance(found, dict) else None
        return None
