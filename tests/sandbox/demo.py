"""The job on a sandbox, as a person sees it: two runs, what the Pushgateway then holds, and the day of a bad image.

`make run`, or `python -m tests.sandbox.demo`. Ends with 0 when everything went as intended, else with 1 and a line
that says what did not.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.sandbox.client import IMAGE, Sandbox, start, tag_reference
from tests.sandbox.status import Json
from tests.support.rights import ROLL_BACK

NAMESPACE, DEPLOYMENT = "packit-prod", "prod"
PROGRAM = Path(sys.executable).with_name("import-images")
PREFIX = "import_images_"
GROUP = {"job": "import-images", "stream_namespace": NAMESPACE, "deployment": DEPLOYMENT}
SHOWN = (
    "run_outcome",
    "tags",
    "tag_result",
    "tag_failure",
    "tag_failed_runs",
    "tag_last_success_timestamp_seconds",
)
MULTI_ARCH = {"insecure": True, "importMode": "PreserveOriginal"}

# Stream, and what becomes of its tag in the first run and in the second.
EXPECTED = {
    "packit-dashboard": ("updated", "failed"),
    "packit-service": ("updated", "updated"),
    "packit-worker": ("updated", "updated"),
    "sandcastle": ("skipped", "skipped"),
    "tokman": ("updated", "updated"),
    "hardly": ("updated", "unchanged"),
    "valkey": ("skipped", "skipped"),
}


class Unintended(Exception):  # noqa: N818 - says what went otherwise than intended
    """Something went otherwise than intended."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of the Pushgateway; its labels are without those of the group."""

    name: str
    labels: Mapping[str, str]
    value: float

    def __str__(self) -> str:
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels.items())
        return f"{PREFIX}{self.name}{{{labels}}} {self.value:.0f}"


class Demo:
    """The steps, each shown as the command that a person would type."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.environment: dict[str, str] = {}

    def run(self) -> None:
        sandbox = self.sandbox
        self._set_up()
        self._say(
            f"An OpenShift API ({sandbox.server}), a registry ({sandbox.registry_address}) and a Pushgateway",
            "python -m tests.sandbox",
        )
        token = sandbox.create_account(NAMESPACE, "import-images", ROLL_BACK)
        self.environment = {
            "HOST": sandbox.server,
            "TOKEN": token,
            "NAMESPACE": NAMESPACE,
            "DEPLOYMENT": DEPLOYMENT,
            "PUSHGATEWAY_ADDRESS": sandbox.pushgateway,
        }
        shown = {name: value for name, value in self.environment.items() if name not in ("HOST", "TOKEN")}
        self._say(
            f"A service account of {NAMESPACE} with the rights of the base and of the component rollback",
            f"export HOST={sandbox.server} TOKEN=$(oc create token import-images -n {NAMESPACE})",
            "export " + " ".join(f"{name}={value}" for name, value in shown.items()),
        )
        self._job("The first run", "import-images --output table", 0)
        self._expect_results(0)
        first = self._last_success("packit-dashboard")
        self._build_and_break()
        versions = self._versions()
        told = "Three images are built anew, one is deleted from the registry. What would a run bring in?"
        self._job(told, "import-images plan --output table", 1)
        expect("the streams after a plan", self._versions(), versions)
        self._job("The second run: one image is missing, the others come in", "import-images --output table", 1)
        self._expect_results(1)
        expect("the last success of packit-dashboard", self._last_success("packit-dashboard"), first)
        policy = sandbox.stream(NAMESPACE, "tokman")["spec"]["tags"][0]["importPolicy"]
        expect("the importPolicy of tokman", policy, MULTI_ARCH)
        self._show_metrics()
        self._bad_day()

    def _bad_day(self) -> None:
        """A broken worker comes in, is rolled back, held, mended and resumed."""
        sandbox = self.sandbox
        for kind, name in (("StatefulSet", "packit-worker"), ("Deployment", "packit-worker-long")):
            sandbox.create_workload(NAMESPACE, kind, name, tag=f"packit-worker:{DEPLOYMENT}", replicas=2)
        before = self._reference("packit-worker")
        bad = self._push("packit-worker", 3, timedelta(minutes=9))
        sandbox.image_behaves(bad, "crash")
        self._job(
            "A StatefulSet and a Deployment follow packit-worker. Its next image crashes on start",
            "import-images run packit-worker --watch-rollouts --output table",
            5,
        )
        self._job("What images has it had?", "import-images history packit-worker --output table", 0)
        self._job(
            "Back to the good one, and stay there",
            "import-images rollback packit-worker --reason 'crashes on start' --yes --output table",
            0,
        )
        self._job("No run undoes it", "import-images run packit-worker --output table", 0)
        self._push("packit-worker", 4, timedelta(minutes=1))
        told = "The fix is built: let the tag go"
        self._job(told, "import-images resume packit-worker --output table", 0)
        expect("the tag's reference, as it was before", self._reference("packit-worker"), before)

    def _reference(self, stream: str) -> Json:
        tags = self.sandbox.stream(NAMESPACE, stream)["spec"]["tags"]
        # Only the server counts generations.
        return {key: value for key, value in tags[0].items() if key != "generation"}

    def _push(self, name: str, build: int, age: timedelta, tag: str = DEPLOYMENT) -> str:
        revision = sha1(f"{name} {build}".encode(), usedforsecurity=False).hexdigest()
        return self.sandbox.registry.push(
            f"packit/{name}",
            tag,
            f"{name} {build}",
            ("amd64", "arm64") if name == "tokman" else ("amd64",),
            {"org.opencontainers.image.revision": revision},
            f"{datetime.now(UTC) - age:%Y-%m-%dT%H:%M:%SZ}",
        )

    def _source(self, name: str, tag: str = DEPLOYMENT) -> str:
        return self.sandbox.source(f"packit/{name}:{tag}")

    def _set_up(self) -> None:
        """Images in the registry, and streams that follow them."""
        sandbox = self.sandbox
        sandbox.create_namespace(NAMESPACE)
        ages = {"packit-service": 9, "packit-worker": 9, "packit-dashboard": 16, "tokman": 40, "hardly": 75}
        for name, days in ages.items():
            self._push(name, 1, timedelta(days=days))
        digest = self._push("valkey", 1, timedelta(days=120))
        self._push("sandcastle", 1, timedelta(days=33), "v1")
        streams: dict[str, dict[str, str | Json]] = {
            **{name: {DEPLOYMENT: self._source(name)} for name in ages},
            "packit-service": {DEPLOYMENT: self._source("packit-service"), "live": follows(DEPLOYMENT)},
            "tokman": {DEPLOYMENT: {**tag_reference("", self._source("tokman")), "importPolicy": MULTI_ARCH}},
            "valkey": {DEPLOYMENT: f"{sandbox.source('packit/valkey')}@{digest}"},
            "sandcastle": {"v1": self._source("sandcastle", "v1"), DEPLOYMENT: follows("v1")},
        }
        for name, tags in streams.items():
            sandbox.create_stream(NAMESPACE, name, {tag: named(tag, value) for tag, value in tags.items()})
        # What a person brought in by hand: a pinned image, and the version that another tag follows.
        sandbox.import_tag(NAMESPACE, "valkey", DEPLOYMENT)
        sandbox.import_tag(NAMESPACE, "sandcastle", "v1")

    def _build_and_break(self) -> None:
        for name, minutes in {"packit-service": 50, "packit-worker": 50, "tokman": 7 * 60}.items():
            self._push(name, 2, timedelta(minutes=minutes))
        tags = self.sandbox.stream(NAMESPACE, "packit-dashboard")["status"]["tags"]
        self.sandbox.registry.delete("packit/packit-dashboard", tags[0]["items"][0]["image"])

    def _say(self, told: str, *commands: str) -> None:
        print(f"# {told}", *(f"$ {command}" for command in commands), sep="\n", end="\n\n", flush=True)

    def _job(self, told: str, command: str, status: int) -> None:
        """Run the job as a process of its own, with an environment that holds what was shown and little else."""
        print(f"# {told}\n$ {command}", flush=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TERM") if name in os.environ}
        program, *arguments = shlex.split(command)
        assert program == PROGRAM.name
        ended = subprocess.run([PROGRAM, *arguments], env={**kept, **self.environment}, check=False, timeout=60)
        print(f"$ echo $?\n{ended.returncode}\n", flush=True)
        expect(f"the exit status of {command}", ended.returncode, status)

    def _samples(self) -> Iterator[Sample]:
        """What the Pushgateway holds of the group."""
        with urllib.request.urlopen(f"{self.sandbox.pushgateway}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith(PREFIX) and GROUP.items() <= sample.labels.items():
                    rest = {name: text for name, text in sample.labels.items() if name not in GROUP and text}
                    yield Sample(sample.name.removeprefix(PREFIX), rest, sample.value)

    def _expect_results(self, run: int) -> None:
        found = {each.labels["stream"]: each.labels["result"] for each in self._samples() if each.name == "tag_result"}
        expect("the Pushgateway's tag_result", found, {name: results[run] for name, results in EXPECTED.items()})

    def _last_success(self, stream: str) -> int:
        name = "tag_last_success_timestamp_seconds"
        found = [each.value for each in self._samples() if each.name == name and each.labels["stream"] == stream]
        expect(f"how many {name} there are of {stream}", len(found), 1)
        return int(found[0])

    def _versions(self) -> dict[str, str]:
        streams = self.sandbox.items(f"{IMAGE}/namespaces/{NAMESPACE}/imagestreams")
        return {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in streams}

    def _show_metrics(self) -> None:
        group = ",".join(f'{name}="{value}"' for name, value in GROUP.items())
        print("# What dashboards and alerts go by; packit-dashboard keeps its last success. An excerpt, without")
        print(f"# {group}")
        print(f"$ curl -s $PUSHGATEWAY_ADDRESS/metrics | grep ^{PREFIX}")
        shown = [each for each in self._samples() if each.name in SHOWN and (each.value or "stream" in each.labels)]
        print(*sorted(shown, key=lambda each: SHOWN.index(each.name)), sep="\n", end="\n\n")


def follows(tag: str) -> Json:
    """A tag reference to another tag of the same stream."""
    return {"from": {"kind": "ImageStreamTag", "name": tag}}


def named(tag: str, value: str | Json) -> str | Json:
    return value if isinstance(value, str) else {**value, "name": tag}


def expect(what: str, found: object, wanted: object) -> None:
    """Compare what came out with what was intended.

    Raises:
        Unintended: they differ.
    """
    if found != wanted:
        raise Unintended(f"{what}: {found}, and not {wanted}")


def main() -> int:
    # Whoever ends this process ends what it started, by the same way as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with start() as sandbox:
            Demo(sandbox).run()
        print("# All of it went as intended, and what was started is stopped")
    except (Unintended, RuntimeError, OSError, subprocess.TimeoutExpired) as problem:
        print(f"the demo failed: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
