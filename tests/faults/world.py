"""A namespace in which images are imported, go bad, are rolled back and released, and what must be true of it always.

`check` holds one report against the cluster; `check_holds` and `check_settled` know only the cluster. None of them
knows which fault came.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from job.domain.rules import RULES
from tests.sandbox.client import IMAGE, MERGE_PATCH, Json, Refused, Sandbox, until
from tests.sandbox.workload_manifests import path as workload_path
from tests.support.actors import Actor, Request, act
from tests.support.place import HOLD, Ended, Place
from tests.support.pods import JOURNAL
from tests.support.rights import ROLL_BACK

PAUSES = 0.05
# A failed pull or a crash is decided quickly, and healthy is believed at once.
QUICK = {"RETRIES": "2", "IMPORT_TIMEOUT": "5s", "ROLLOUT_TIMEOUT": "8s", "ROLLOUT_STABLE": "1s", "CONCURRENCY": "1"}
_SUCCESSES = ("updated", "unchanged")


@dataclass
class World:
    """See the module.

    Attributes:
        wanted: for each tag the digest that its registry has now; None where that is unknown.
        references: each spec tag as it was before anything was held.
    """

    sandbox: Sandbox
    place: Place = field(init=False)
    wanted: dict[str, str | None] = field(default_factory=dict)
    references: dict[str, Json] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    _pushed: int = 0

    def __post_init__(self) -> None:
        self.place = Place(self.sandbox, ROLL_BACK)
        # A pod of the same Job takes over the lock of one that was killed at once.
        job = {"JOB_NAME": "import-images-1", "POD_NAMESPACE": self.place.namespace}
        self.environment = self.place.environment(**job, **QUICK)

    # What others do

    def stream(self, name: str, *, images: int = 1, workload: str = "", **annotations: str) -> list[str]:
        """A stream whose tag prod had so many images, the last of which is current; gives their digests."""
        digests = []
        for _ in range(images):
            digests.append(self.push(name))
            if len(digests) == 1:
                named = {f"import-images.dev/{key}": value for key, value in annotations.items()}
                self.place.stream(name, annotations=named)
            self.sandbox.import_tag(self.place.namespace, name, "prod")
        self.references[name] = self.reference(name)
        if workload:
            self.sandbox.create_workload(self.place.namespace, workload, name, tag=f"{name}:prod", replicas=1)
            until(lambda: self.place.images(name) == {digests[-1]})
        return digests

    def push(self, name: str, behaves: str = "") -> str:
        """The registry gets a new image; gives its digest."""
        self._pushed += 1
        digest = self.place.push(name, f"{self.place.namespace} {name} {self._pushed}")
        if behaves:
            self.sandbox.image_behaves(digest, behaves)
        self.wanted[name] = digest
        return digest

    def apply(self, name: str) -> None:
        """Somebody applies the stream's manifest: the source comes back, annotations stay."""
        # With the annotation that somebody else put there, which a manifest does not know and apply leaves.
        annotations = self.place.spec(name).get("annotations")
        tags = [{**self.references[name], "annotations": annotations}]
        path = f"{IMAGE}/namespaces/{self.place.namespace}/imagestreams/{name}"
        self.sandbox.patch(path, {"spec": {"tags": tags}}, "application/strategic-merge-patch+json")

    def retag(self, name: str, digest: str) -> None:
        """Somebody moves the tag by `oc tag`, which drops annotations."""
        source = {"kind": "ImageStreamImage", "name": f"{name}@{digest}"}
        policies = {key: self.place.spec(name)[key] for key in ("importPolicy", "referencePolicy")}
        self.write(name, {"name": "prod", "annotations": None, "from": source, **policies})

    def write(self, name: str, reference: Mapping[str, Any]) -> None:
        """Somebody replaces the spec tag."""
        tag = f"{name}:prod"
        metadata = {"name": tag, "namespace": self.place.namespace, "annotations": reference.get("annotations")}
        body = {"kind": "ImageStreamTag", "apiVersion": "image.openshift.io/v1", "metadata": metadata}
        path = f"{IMAGE}/namespaces/{self.place.namespace}/imagestreamtags/{tag}"
        self.sandbox.replace(path, {**body, "tag": dict(reference)})

    def let_holds_end(self, name: str) -> None:
        """The end of a hold passes."""
        reference = self.place.spec(name)
        hold = self.hold(name)
        assert hold is not None
        hold["until"] = "2026-01-01T00:00:00Z"
        tags = [{**reference, "annotations": {**reference["annotations"], HOLD: json.dumps(hold)}}]
        path = f"{IMAGE}/namespaces/{self.place.namespace}/imagestreams/{name}"
        self.sandbox.patch(path, {"spec": {"tags": tags}}, MERGE_PATCH)

    def scale(self, name: str, replicas: int, kind: str = "Deployment") -> None:
        path = f"{workload_path(kind, self.place.namespace)}/{name}"
        self.sandbox.patch(path, {"spec": {"replicas": replicas}}, MERGE_PATCH)

    # What the job does

    def run(self, *arguments: str, **options: Any) -> tuple[Ended, list[Request]]:
        """Run the job to its end; `environment` is more of it, the rest goes to `Actor`."""
        environment = {**self.environment, **options.pop("environment", {})}
        return act(self._with_output(arguments), environment, pauses=PAUSES, **options)

    @contextmanager
    def running(self, *arguments: str, **options: Any) -> Iterator[Actor]:
        environment = {**self.environment, **options.pop("environment", {})}
        with Actor(self._with_output(arguments), environment, pauses=PAUSES, **options) as actor:
            yield actor

    @staticmethod
    def _with_output(arguments: tuple[str, ...]) -> list[str]:
        return [*arguments, "--output", "json"]

    # What there is

    @property
    def names(self) -> list[str]:
        return sorted(self.references)

    def reference(self, name: str) -> Json:
        """The spec tag, but for the generation, which only the server sets."""
        return {key: value for key, value in self.place.spec(name).items() if key != "generation"}

    def hold(self, name: str) -> Json | None:
        """The hold's annotation on the tag, whether or not it is over."""
        text = (self.place.spec(name).get("annotations") or {}).get(HOLD)
        found: Json | None = json.loads(text) if text else None
        return found

    def held(self, name: str) -> bool:
        """Whether the tag is held now: annotation, source and newest image agree."""
        hold = self.hold(name)
        return (
            hold is not None
            and hold["from"] == self.place.spec(name)["from"]
            and hold["image"] == self.place.current(name)
        )

    def blocked(self) -> set[str]:
        """The digests that the rules block."""
        path = f"/api/v1/namespaces/{self.place.namespace}/configmaps"
        found = [each for each in self.sandbox.items(path) if each["metadata"]["name"] == RULES]
        texts = [(each.get("data") or {}).get("blocked") or "" for each in found]
        return {rule["digest"] for text in texts for rule in yaml.safe_load(text) or ()}

    def lease_holders(self) -> dict[str, str]:
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.place.namespace}/leases"
        return {each["metadata"]["name"]: each["spec"].get("holderIdentity") or "" for each in self.sandbox.items(path)}

    def journal(self) -> Json | None:
        path = f"/api/v1/namespaces/{self.place.namespace}/configmaps"
        return next((each for each in self.sandbox.items(path) if each["metadata"]["name"] == JOURNAL), None)


def row_of(report: Json, name: str) -> Json | None:
    """What a report says of a tag."""
    return next((tag for tag in report["tags"] if tag["stream"] == name and tag["tag"] == "prod"), None)


def report_of(ended: Ended) -> Json | None:
    """The report, if one was written."""
    return ended.report if ended.stdout.startswith("{") else None


def _digest(image: Json | None) -> str | None:
    return image["digest"] if image else None


def check(world: World, ended: Ended, before: Mapping[str, str | None], others: Collection[str] = frozenset()) -> None:
    """Hold what one command reported against the cluster, at once after it ended.

    Args:
        world: where.
        ended: the command.
        before: the images that the tags had when it began.
        others: streams that somebody else moved meanwhile: what is reported of them was so at some time.
    """
    for secret in (world.place.token,):
        assert secret not in ended.stdout + ended.stderr
    check_holds(world)
    report = report_of(ended)
    if report is None or "tags" not in report:
        in_doubt = "is not known" in ended.stderr and ended.status == 1
        assert ended.status in (2, 3, 4, 6, -9) or in_doubt, (ended.status, ended.stderr)
        # 2, 3 and 4 say that nothing was done.
        assert ended.status not in (2, 3, 4) or currents(world) == before, (ended.status, ended.stderr)
        return
    assert ended.status in (report["run"]["exit_status"], -9), (ended.status, report["run"])
    for tag in report["tags"]:
        if tag["stream"] in others and tag["result"] == "failed":
            images = {item["image"] for item in world.place.history(tag["stream"])}
            assert _digest(tag["after"]) in {*images, None}, (tag, ended.stderr)
        else:
            _check_row(world, ended, tag, before.get(tag["stream"]))
    _check_status(ended, report)


def _check_row(world: World, ended: Ended, tag: Json, before: str | None) -> None:
    name = tag["stream"]
    there, wanted, after = current_of(world, name), world.wanted[name], _digest(tag["after"])
    context = (
        f"{name}: {tag['result']} {tag['reason']} {tag['message']}: {before} -> {after}, but {there}\n{ended.stderr}"
    )
    # What was reported of a tag is what the cluster holds, or nothing was.
    assert after in (there, None), context
    match tag["result"]:
        case "updated" if there is None:
            # Its stream was deleted after the import, so there is nothing left that could be reported.
            assert after is None, context
        case "updated":
            assert after == there != before and there == wanted, context
        case "unchanged":
            assert after == there == before and there == wanted, context
        case "rolled_back":
            assert after == there and world.held(name), context
            original = world.hold(name)
            assert original is not None and _same(original["original"], world.references[name]), context
        case "skipped":
            assert there == before, context
            in_doubt = "is not known" in (tag["message"] or "")
            assert tag["reason"] != "held" or world.held(name) or in_doubt, context
        case "failed":
            assert there == before or after is None, context
            assert there != wanted or before == wanted or after is None, f"failed for a tag that is current: {context}"
            assert tag["reason"], context
        case _:
            raise AssertionError(context)


def _check_status(ended: Ended, report: Json) -> None:
    """The exit status follows from what is reported."""
    results = [tag["result"] for tag in report["tags"]]
    rollouts = [each["result"] for each in report["rollouts"]]
    reasons = {tag["reason"] for tag in report["tags"] if tag["result"] == "failed"}
    reasons |= {error["reason"] for error in report["errors"]}
    status = report["run"]["exit_status"]
    if status == 0:
        assert "failed" not in results and not report["errors"], report
        assert set(rollouts) <= {"healthy", "paused"}, report
    elif status == 1:
        assert "failed" in results or report["errors"], report
    elif status == 5:
        assert set(rollouts) - {"healthy", "paused"} or "rolled_back" in results, report
    elif status == 6:
        assert report["run"]["outcome"] == "aborted", report
    else:
        assert status in (2, 3, 4), report
        assert not set(results) & {"updated", "rolled_back"}, report


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two spec tags are the same word for word; the API writes no annotations as null, and sets generations."""

    def plain(reference: Mapping[str, Any]) -> Json:
        return {key: value for key, value in reference.items() if key != "generation" and value not in (None, {})}

    return plain(one) == plain(other)


def check_holds(world: World) -> None:
    """Each tag that is held can be released again, word for word."""
    for name in world.names:
        hold = world.hold(name)
        if hold is None or not world.held(name):
            continue
        assert _same(hold["original"], world.references[name]), (name, hold["original"], world.references[name])
        assert hold["image"].startswith("sha256:"), hold


def check_settled(world: World) -> None:
    """After a run that nothing disturbed: no hold is left that is over, every other tag follows its own source.

    No lock is held any more.
    """
    check_holds(world)
    assert not any(world.lease_holders().values()), world.lease_holders()
    for name in world.names:
        if world.hold(name) is not None:
            assert world.held(name), f"{name} has a hold that is over"
        else:
            assert _same(world.reference(name), world.references[name]), (name, world.reference(name))


def current_of(world: World, name: str) -> str | None:
    """The digest that the tag has; None where its stream was deleted."""
    try:
        return world.place.current(name)
    except Refused as error:
        if error.code != 404:
            raise
        return None


def currents(world: World) -> dict[str, str | None]:
    """The image of each tag now."""
    return {name: current_of(world, name) for name in world.names}
