"""A namespace of the sandbox with an account that may do just what a run needs, and the job run there as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.sandbox.client import IMAGE, Json, Sandbox, until
from tests.support.documents import check_document
from tests.support.rights import RUN

# Another one is named where the job is tried on other Pythons; see tests.support.compatibility.
PROGRAM = Path(os.environ.get("IMPORT_IMAGES_PROGRAM") or Path(sys.executable).with_name("import-images"))
PATIENCE = 90.0
HOLD = "import-images.dev/hold"
GATEWAY_LOGIN = {"PUSHGATEWAY_USERNAME": "planted-user", "PUSHGATEWAY_PASSWORD": "planted-password-5b1f"}

Series = dict[tuple[tuple[str, str], ...], float]


@dataclass(frozen=True)
class Ended:
    """A process that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def report(self) -> Json:
        """The JSON document on stdout."""
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        return found

    @property
    def tags(self) -> dict[str, Json]:
        """The results by STREAM:TAG."""
        return {f"{tag['stream']}:{tag['tag']}": tag for tag in self.report["tags"]}

    @property
    def results(self) -> dict[str, str]:
        """Result, and reason if there is one, by STREAM:TAG."""
        return {name: " ".join(filter(None, (tag["result"], tag["reason"]))) for name, tag in self.tags.items()}


def with_output(arguments: Sequence[str]) -> list[str]:
    """The arguments, and the form of output that tests read where they name none."""
    # Release notes are Markdown for whoever posts them.
    named = any(each.startswith(("-o", "--output")) for each in arguments) or arguments[:2] == ("promote", "notes")
    at = next((number for number, each in enumerate(arguments) if each == "--"), len(arguments))
    return [*arguments] if named else [*arguments[:at], "--output", "json", *arguments[at:]]


class Place:
    """A namespace with an account, and what tests do in it."""

    def __init__(self, sandbox: Sandbox, rules: Sequence[Json] = RUN) -> None:
        self.sandbox = sandbox
        self.namespace = sandbox.create_namespace()
        self.token = sandbox.create_account(self.namespace, "import-images", rules)

    def environment(self, **more: str | None) -> dict[str, str]:
        """What the job is given: nothing of the tests' own environment but the path. None takes a setting away."""
        environment: dict[str, str | None] = {
            "PATH": os.environ["PATH"],
            "HOST": self.sandbox.server,
            "TOKEN": self.token,
            "NAMESPACE": self.namespace,
            "DEPLOYMENT": "prod",
            "PUSHGATEWAY_ADDRESS": self.sandbox.pushgateway,
            "RETRIES": "1",
            # Long enough to see a crash of the sandbox's, whose kubelet is fast.
            "ROLLOUT_STABLE": "1s",
            **more,
        }
        told = any(name in more for name in ("PUSHGATEWAY_USERNAME", "PUSHGATEWAY_TOKEN", "PUSHGATEWAY_PASSWORD"))
        if not told and "@" not in (environment["PUSHGATEWAY_ADDRESS"] or ""):
            # The sandbox's Pushgateway asks for no login. One is given so that tests.support.secrets can search for it.
            environment |= GATEWAY_LOGIN
        return {name: value for name, value in environment.items() if value is not None}

    def run(self, *arguments: str, **environment: str | None) -> Ended:
        """Run the job to its end; it writes JSON unless another form is asked for."""
        done = subprocess.run(
            [PROGRAM, *with_output(arguments)],
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return told(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *arguments: str, **environment: str | None) -> Iterator[subprocess.Popen[str]]:
        """The job under way; whoever waits for it takes its output by `ended`."""
        with started([PROGRAM, *with_output(arguments)], self.environment(**environment)) as process:
            yield process

    def push(self, name: str, content: str, tag: str = "prod", **more: Any) -> str:
        """Push an image to a repository of this namespace's own; returns its digest."""
        return self.sandbox.registry.push(f"{self.namespace}/{name}", tag, content, **more)

    def source(self, name: str, tag: str = "prod") -> str:
        """Where `push` puts an image."""
        return self.sandbox.source(f"{self.namespace}/{name}:{tag}")

    def images(self, app: str) -> set[str]:
        """The digests that the pods of a workload run, with `!` where one is not ready."""
        return {
            status["imageID"].rpartition("@")[2] + ("" if status["ready"] else "!")
            for pod in self.sandbox.pods(self.namespace, app)
            for status in pod["status"].get("containerStatuses") or [{"imageID": "", "ready": False}]
        }

    def stream(self, name: str, tags: Mapping[str, str | Json] | None = None, **more: Any) -> Json:
        """A stream; by default with the tag prod of the repository of the same name."""
        return self.sandbox.create_stream(self.namespace, name, tags or {"prod": self.source(name)}, **more)

    def current(self, name: str, tag: str = "prod") -> str | None:
        """The digest that a tag has now, as the sandbox's own store tells."""
        for entry in self.sandbox.stream(self.namespace, name)["status"].get("tags", []):
            if entry["tag"] == tag and entry["items"]:
                return str(entry["items"][0]["image"])
        return None

    def requests(self, method: str = "", path: str = "") -> list[Json]:
        """What the job's account asked of the API."""
        return self.sandbox.requests(
            method=method, path=f"/namespaces/{self.namespace}/.*{path}", user=f"serviceaccount:{self.namespace}:"
        )

    def spec(self, name: str, tag: str = "prod") -> Json:
        """A tag's entry in the spec of its stream."""
        found = next(each for each in self.sandbox.stream(self.namespace, name)["spec"]["tags"] if each["name"] == tag)
        assert isinstance(found, dict)
        return found

    def history(self, name: str, tag: str = "prod") -> list[Json]:
        """The items of a tag, newest first."""
        tags = self.sandbox.stream(self.namespace, name)["status"].get("tags", [])
        return next((list(each["items"] or ()) for each in tags if each["tag"] == tag), [])

    def versions(self, namespace: str = "") -> dict[str, str]:
        """The resourceVersion of every stream."""
        items = self.sandbox.items(f"{IMAGE}/namespaces/{namespace or self.namespace}/imagestreams")
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}

    def imported(self, name: str, content: str = "one", tag: str = "prod", **more: Any) -> str:
        """A stream of that name whose tag has an image already; gives its digest."""
        digest = self.push(name, content, tag, **more)
        self.stream(name, {tag: self.source(name, tag)})
        self.sandbox.import_tag(self.namespace, name, tag)
        return digest

    def fault(self, path: str, method: str = "", **parts: object) -> int:
        """A fault for requests in this namespace; `path` is what follows the namespace."""
        return self.sandbox.add_fault(path=f"/namespaces/{self.namespace}/{path}", method=method, **parts)

    def import_fault(self, stream: str = "", **parts: object) -> int:
        """A fault for imports, of one stream if that is named."""
        body = f'"metadata": *{{[^}}]*"name": *"{stream}"' if stream else ""
        return self.fault("imagestreamimports$", "POST", body=body, **parts)

    def imports(self, stream: str = "") -> list[Json]:
        """The imports that the job asked for, in order; of one under way, or met by a fault, no user is known yet."""
        path, user = f"/namespaces/{self.namespace}/imagestreamimports$", "^$|serviceaccount"
        found = self.sandbox.requests(method="POST", path=path, user=user)
        return [each for each in found if stream in ("", each["stream"])]

    def wait_for_import(self, stream: str) -> None:
        """Wait until an import of a stream is under way."""
        until(lambda: any(each["ended"] is None for each in self.imports(stream)), told=f"an import of {stream}")

    def roll_back(self, name: str, digest: str, tag: str = "prod", **more: Any) -> None:
        """Move a tag to an earlier image and hold it there, as a rollback does."""
        before = self.spec(name, tag)
        source = {"kind": "ImageStreamImage", "name": f"{name}@{digest}"}
        hold = {
            "version": 1,
            "by": "somebody",
            "at": "2026-11-20T12:00:00Z",
            "reason": "bad release",
            "until": None,
            "from": source,
            "image": digest,
            "original": before,
            **more,
        }
        annotations = {**(before.get("annotations") or {}), HOLD: json.dumps(hold)}
        policies = {key: before[key] for key in ("importPolicy", "referencePolicy")}
        wanted = {"name": tag, "from": source, "annotations": annotations, **policies}
        metadata = {"name": f"{name}:{tag}", "namespace": self.namespace, "annotations": annotations}
        path = f"{IMAGE}/namespaces/{self.namespace}/imagestreamtags/{name}:{tag}"
        kind = {"kind": "ImageStreamTag", "apiVersion": "image.openshift.io/v1"}
        self.sandbox.replace(path, {**kind, "metadata": metadata, "tag": wanted})

    def metrics(self, gateway: str = "", deployment: str = "prod") -> dict[str, Series]:
        """What a Pushgateway (by default the sandbox's) holds of the group of this namespace and a deployment."""
        group = {"stream_namespace": self.namespace, **({"deployment": deployment} if deployment else {})}
        return metrics_of(gateway or self.sandbox.pushgateway, **group)

    def objects(self, path: str) -> list[str]:
        """The names of objects that are in this namespace: `configmaps` or `GROUP/VERSION/PLURAL`."""
        group, _, plural = path.rpartition("/")
        root = f"/apis/{group}" if group else "/api/v1"
        return [each["metadata"]["name"] for each in self.sandbox.items(f"{root}/namespaces/{self.namespace}/{plural}")]


def of(stream: str, tag: str = "prod", **labels: str) -> tuple[tuple[str, str], ...]:
    """The labels of one series of a tag, as `metrics_of` has them."""
    return tuple(sorted({"stream": stream, "tag": tag, **labels}.items()))


@contextmanager
def started(
    command: Sequence[str | Path], environment: Mapping[str, str], **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """A program under way with nobody at a terminal; killed in the end if it has not ended.

    Args:
        command: the program and its arguments.
        environment: all of it.
        options: more for `subprocess.Popen`, or other than usual.
    """
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(list(command), env=environment, text=True, **{**streams, **options})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], patience: float = PATIENCE) -> Ended:
    """Wait for a process of `started`."""
    stdout, stderr = process.communicate(timeout=patience)
    return told(process.returncode, stdout, stderr)


def told(status: int, stdout: str, stderr: str) -> Ended:
    """What a program said until it ended. A defect of its own is never what was expected, whatever status it gives."""
    said = stdout + stderr
    assert "Traceback" not in said, said
    assert "please report it" not in said, said
    check_document(stdout)
    return Ended(status, stdout, stderr)


def metrics_of(gateway: str, **group: str) -> dict[str, Series]:
    """What a Pushgateway holds of a group: series by name (without prefix) and by their labels beyond the group's."""
    with urllib.request.urlopen(f"{gateway}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    # Parsing takes long, and a shared Pushgateway has the groups of others.
    wanted = [f'{name}="{value}"' for name, value in group.items()]
    # Only a line feed ends a line there; a label may contain the other separators.
    lines = (line for line in text.split("\n") if line.startswith("#") or all(each in line for each in wanted))
    found: dict[str, Series] = {}
    for family in text_string_to_metric_families("\n".join(lines) + "\n"):
        if not family.name.startswith("import_images_"):
            continue
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if value}
            if all(labels.get(name) == value for name, value in group.items()):
                rest = tuple(
                    sorted((n, v) for n, v in labels.items() if n not in group and n not in ("job", "instance"))
                )
                found.setdefault(sample.name.removeprefix("import_images_"), {})[rest] = sample.value
    return found
