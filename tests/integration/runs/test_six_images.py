"""Six images behind all gates at once: exactly the good one stays, and each other one is reported with its reason."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.monitoring.prometheus import Prometheus, prometheus
from tests.sandbox.client import Sandbox, until
from tests.sandbox.status import Json
from tests.support.place import Place, of
from tests.support.rights import GATES, ROLL_BACK, WATCH
from tests.support.tiers import slow

# What is wrong with each, which is its name, and what becomes of its tag.
IMAGES = {
    "good": "updated",
    "young": "skipped young",
    "unproven": "skipped unproven",
    "unusable": "failed unusable",
    "changed": "failed conflict",
    "breaking": "rolled_back",
}


@pytest.fixture(scope="module")
def metrics(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the sandbox's Pushgateway."""
    folder = tmp_path_factory.mktemp("six") / "prometheus"
    with prometheus(folder, sandbox.pushgateway.removeprefix("http://"), "honored", {"groups": []}) as server:
        yield server


def ago(**span: float) -> str:
    return (datetime.now(UTC) - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pushed(place: Place, value: int) -> None:
    """What users of the service see."""
    url = f"{place.sandbox.pushgateway}/metrics/job/service/service/{place.namespace}"
    request = urllib.request.Request(url, f"service_good {value}\n".encode(), method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


class Scene:
    """Six streams whose registry has something new, with a workload each; the same in staging, where they run."""

    def __init__(self, place: Place) -> None:
        self.place = place
        sandbox, namespace = place.sandbox, place.namespace
        self.staging = sandbox.create_namespace()
        sandbox.grant(self.staging, "import-images", WATCH, of=namespace)
        self.old: dict[str, str] = {}
        self.new: dict[str, str] = {}
        for name in IMAGES:
            self.old[name] = place.imported(name, f"{namespace} {name} old")
            sandbox.create_workload(namespace, "Deployment", name, tag=f"{name}:prod")
            wave = {"metadata": {"annotations": {"import-images.dev/wave": "0" if name == "good" else "1"}}}
            sandbox.patch(f"/apis/image.openshift.io/v1/namespaces/{namespace}/imagestreams/{name}", wave)
            self.release(name, created=ago(hours=1) if name == "young" else ago(days=3))
            self.stage(name, f"{namespace} {name} new" if name != "unproven" else "another")
        until(lambda: all(place.images(name) == {self.old[name]} for name in IMAGES))
        sandbox.image_behaves(f"{namespace}/unusable@{self.new['unusable']}", "unpullable")
        pushed(place, 1)

    def release(self, name: str, what: str = "new", created: str = "") -> None:
        self.created = created
        self.new[name] = self.place.push(name, f"{self.place.namespace} {name} {what}", created=created)

    def stage(self, name: str, content: str) -> None:
        sandbox, repository = self.place.sandbox, f"{self.staging}/{name}"
        digest = sandbox.registry.push(repository, "stg", content, created=self.created)
        sandbox.create_stream(self.staging, name, {"stg": sandbox.source(f"{repository}:stg")})
        sandbox.import_tag(self.staging, name, "stg")
        image = f"{sandbox.source(repository)}@{digest}"
        sandbox.create_workload(self.staging, "Deployment", name, tag=f"{name}:stg", image=image)

    @contextmanager
    def users(self, metrics: Prometheus) -> Iterator[None]:
        """Users of the service, who see that `breaking` breaks it as soon as it runs, and is well again without it."""
        place = self.place

        def watch() -> None:
            until(lambda: place.images("breaking") == {self.new["breaking"]}, told="the image that breaks")
            pushed(place, 0)
            until(lambda: place.images("breaking") == {self.old["breaking"]}, told="the image before")
            pushed(place, 1)

        query = f'service_good{{service="{place.namespace}"}}'
        until(lambda: list(metrics.ask(query).values()) == [1])
        thread = threading.Thread(target=watch)
        thread.start()
        yield
        thread.join()

    def settings(self, metrics: Prometheus) -> dict[str, str]:
        return {
            "MIN_AGE": "1d",
            "PROVEN_IN": f"{self.staging}/*:stg",
            "PROVEN_FOR": "1s",
            "REHEARSE": "true",
            "VERIFY": f'users: service_good{{service="{self.place.namespace}"}} == bool 1',
            "VERIFY_FOR": "4s",
            "PROMETHEUS_URL": metrics.url,
            "ON_BAD_ROLLOUT": "rollback",
            "ROLLOUT_TIMEOUT": "20s",
            "ROLLOUT_STABLE": "200ms",
        }


@slow("half a minute; each gate has a whole run that gates")
@pytest.mark.parametrize("output", ["json", "table"])
def test_exactly_the_good_one_stays(sandbox: Sandbox, metrics: Prometheus, tmp_path: Path, output: str) -> None:
    place = Place(sandbox, (*ROLL_BACK, *GATES))
    scene = Scene(place)
    # Reviewed before one of them changed once more.
    plan = tmp_path / "plan.json"
    plan.write_text(place.run("plan").stdout, encoding="utf-8")
    scene.release("changed", "later", created=ago(days=3))
    with scene.users(metrics):
        done = place.run("run", "--plan", str(plan), "--output", output, **scene.settings(metrics))
    assert done.status == 5, done.stderr

    wanted = {name: scene.new[name] if name == "good" else scene.old[name] for name in IMAGES}
    assert {name: place.current(name) for name in IMAGES} == wanted
    until(lambda: all(place.images(name) == {digest} for name, digest in wanted.items()), told="pods on those images")
    labels = "app.kubernetes.io/component=rehearsal"
    assert sandbox.items(f"/api/v1/namespaces/{place.namespace}/pods", labelSelector=labels) == []

    if output == "json":
        assert done.results == {f"{name}:prod": result for name, result in IMAGES.items()}, done.stderr
        gates = {name: done.tags[f"{name}:prod"]["gates"] for name in IMAGES}
        refused = {name: [each["gate"] for each in gates[name] if each["verdict"] != "passed"] for name in IMAGES}
        assert refused == {
            "good": [],
            "young": ["min_age"],
            "unproven": ["proven"],
            "unusable": ["rehearse"],
            "changed": [],
            "breaking": ["verify"],
        }
        assert [query["result"] for query in done.report["queries"]] == ["passed", "failed"]
    else:
        for name, words in {**IMAGES, "breaking": "rolled back"}.items():
            rows = [line for line in done.stdout.splitlines() if line.startswith(name) or f" {name}:prod" in line]
            assert any(all(word in row for word in words.split()) for row in rows), f"{name}: {done.stdout}"
    check_metrics(place)
    check_events(place)


def check_metrics(place: Place) -> None:
    found = place.metrics()
    for name, result in IMAGES.items():
        assert of(name, result=result.split()[0]) in found["tag_result"]
    verdicts = {
        ("young", "min_age", "held"),
        ("unproven", "proven", "held"),
        ("unusable", "rehearse", "held"),
        ("breaking", "verify", "held"),
        ("good", "verify", "passed"),
        ("good", "rehearse", "passed"),
    }
    assert {of(stream, gate=gate, verdict=verdict) for stream, gate, verdict in verdicts} <= found["tag_gate"].keys()
    assert of("changed", reason="conflict") in found["tag_failure"]
    assert of("unusable", reason="unusable") in found["tag_failure"]


def check_events(place: Place) -> None:
    events: list[Json] = place.sandbox.items(f"/api/v1/namespaces/{place.namespace}/events")
    told = {(each["involvedObject"]["name"], each["reason"]): each["message"] for each in events}
    for name, reason, words in (
        ("good", "ImageImported", "prod: from"),
        ("young", "ImageHeldBack", "young: gate min_age"),
        ("unproven", "ImageHeldBack", "unproven: gate proven"),
        ("unusable", "ImportFailed", "unusable: Deployment unusable on node node-1: gone"),
        ("changed", "ImportFailed", "conflict: left alone: the registry has"),
        ("breaking", "ImageRolledBack", "query users false after"),
    ):
        assert words in told.get((name, reason), ""), f"{name}: {told}"
