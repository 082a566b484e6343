"""What is measured on: streams in a sandbox, imported by the job and by the loop."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measuring import Cost, Failed, measure
from tests.bench.registry import MadeUpRegistry
from tests.sandbox.client import Sandbox, image
from tests.sandbox.status import Json
from tests.support import rights

JOB = Path(sys.executable).with_name("import-images")
KUBECTL = Path(sys.executable).with_name("kubectl")
# As favourable as a loop can be: the requests are there already, and nothing is read, validated or printed.
LOOP = 'for file in "$2"/*.json; do "$1" create --validate=false -f "$file" >/dev/null || exit 1; done'
# What one `oc import-image` does for each stream: it reads the stream, and sends the import.
READING_LOOP = """
for file in "$2"/*.json; do
    "$1" get imagestream "$(basename "$file" .json)" -o json >/dev/null || exit 1
    "$1" create --validate=false -f "$file" >/dev/null || exit 1
done
"""
# Joins the control group that a process is to run in.
Enter = Callable[[], None] | None


@dataclass(frozen=True, slots=True)
class Load:
    """What a run with failures cost, and what it asked of the API: how often, and how much at a time."""

    cost: Cost
    requests: int
    retries: int
    most: int
    most_imports: int


@dataclass(slots=True)
class Scene:
    """A namespace with streams, all of one shape."""

    sandbox: Sandbox
    registry: MadeUpRegistry
    folder: Path
    namespace: str
    streams: int
    tags: int = 1
    _token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self.sandbox.create_namespace(self.namespace)
        self._token = self.sandbox.create_account(self.namespace, "import-images", rights.RUN)
        for stream in self._names():
            tags = {tag: self._source(stream, tag) for tag in self._tag_names()}
            self.sandbox.create_stream(self.namespace, stream, tags)

    def _names(self) -> list[str]:
        return [f"app-{number:05}" for number in range(self.streams)]

    def _tag_names(self) -> list[str]:
        return ["prod"] if self.tags == 1 else [f"v{number:02}" for number in range(self.tags)]

    def _source(self, stream: str, tag: str) -> str:
        return f"{self.registry.address}/{self.namespace}/{stream}:{tag}"

    def job(self, result: str = "updated", *, enter: Enter = None, **more: str) -> Cost:
        """The job on all of it; with the result `updated` every image is a new one.

        Raises:
            Failed: the job ended badly, or some tag has another result.
        """
        if result == "updated":
            self.registry.change()
        self.sandbox.clear_log()
        environment = self._environment(**more)
        cost, output = measure([JOB, "--output", "json"], environment, self.folder, enter=enter)
        found = Counter(tag["result"] for tag in json.loads(output)["tags"])
        if found != {result: self.streams * self.tags}:
            raise Failed(f"the results in {self.namespace} are {dict(found)}, and not all {result}")
        return cost

    def _environment(self, **more: str) -> dict[str, str]:
        return {
            "HOST": self.sandbox.server,
            "TOKEN": self._token,
            "NAMESPACE": self.namespace,
            "PUSHGATEWAY_ADDRESS": self.sandbox.pushgateway,
            **({"DEPLOYMENT": "prod"} if self.tags == 1 else {}),
            **more,
        }

    def load(self) -> Load:
        """The job on all of it, with new images of which every 20th fails.

        Raises:
            Failed: the job ended badly, or tells of other failures than those.
        """
        self.registry.change()
        self.registry.failing = True
        self.sandbox.clear_log()
        try:
            cost, output = measure([JOB, "--output", "json"], self._environment(), self.folder, status=1)
        finally:
            self.registry.failing = False
        report = json.loads(output)
        found = Counter((tag["result"], tag["reason"]) for tag in report["tags"])
        failing = -(-self.streams // 20)
        gone = -(-failing // 2)
        wanted = {
            ("updated", None): self.streams - failing,
            ("failed", "not_found"): gone,
            ("failed", "registry_error"): failing - gone,
        }
        if found != wanted:
            raise Failed(f"the results in {self.namespace} are {dict(found)}, and not {wanted}")
        log = self.sandbox.log()
        run = report["run"]
        return Load(cost, run["requests"], run["retries"], log["most_in_flight"], log["most_imports_in_flight"])

    def loop(self, streams: int, *, enter: Enter = None) -> Cost:
        """One `kubectl create` for each of so many streams, with all of a stream's tags in one request.

        The images are new ones; the cost is scaled to all streams.

        Raises:
            Failed: a kubectl ended badly, or not every import was done.
        """
        self.registry.change()
        images = {
            stream: [image(self._source(stream, tag), tag) for tag in self._tag_names()]
            for stream in self._names()[:streams]
        }
        loop = Loop(self.sandbox, self.folder, self.namespace, self._token, images)
        return loop.measured(LOOP, enter=enter).times(self.streams / streams)


@dataclass(slots=True)
class Loop:
    """A shell that starts kubectl for one stream after another, with requests from prepared files."""

    sandbox: Sandbox
    folder: Path
    namespace: str
    token: str = field(repr=False)
    images: Mapping[str, Sequence[Json]]

    def measured(self, script: str, *, enter: Enter = None) -> Cost:
        """Run it; `script` gets kubectl and the folder of the files.

        Raises:
            Failed: a kubectl ended badly, or not every import was done.
        """
        files = self.folder / f"{self.namespace}-{len(self.images)}"
        environment = {"KUBECONFIG": str(self.sandbox.kubeconfig(self.token, self.namespace))}
        if not files.exists():
            files.mkdir()
            for stream in self.images:
                (files / f"{stream}.json").write_text(json.dumps(self._import(stream)))
            # What kubectl has to find out about an API it then keeps for hours.
            measure([KUBECTL, "create", "--validate=false", "-f", next(files.iterdir())], environment, self.folder)
        self.sandbox.clear_log()
        cost, _ = measure(["/bin/sh", "-c", script, "loop", KUBECTL, files], environment, self.folder, enter=enter)
        statuses = Counter(each["status"] for each in self.sandbox.requests(method="POST", path="imagestreamimports$"))
        if statuses != {201: len(self.images)}:
            raise Failed(f"the loop's requests were answered {dict(statuses)}")
        return cost

    def _import(self, stream: str) -> Json:
        return {
            "kind": "ImageStreamImport",
            "apiVersion": "image.openshift.io/v1",
            "metadata": {"name": stream, "namespace": self.namespace},
            "spec": {"import": True, "images": self.images[stream]},
        }
