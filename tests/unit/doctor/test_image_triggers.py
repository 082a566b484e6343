"""Findings about triggers, and the commands that fix them."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest

from job.cluster import CRON_JOBS, DEPLOYMENT_CONFIGS, DEPLOYMENTS, STATEFUL_SETS, Resource
from job.doctor.checks import Finding
from job.doctor.checks.image_triggers import (
    built_from,
    of_pull,
    of_workload,
    pulls_wanted,
    unfollowed,
    untriggered,
    without_trigger,
)
from job.doctor.templates import Available, KnownTags, Names, Shape, normal, shape_of
from job.domain.model import TagName
from job.domain.states import Severity
from job.workloads.image_triggers import TRIGGERS_ANNOTATION
from job.workloads.kinds import workload_from
from tests.unit.objects import NAMESPACE
from tests.unit.scripted import spec_tag, stream_json
from tests.unit.workload_objects import trigger, workload

WEB = TagName(NAMESPACE, "web", "prod")
SOURCE = "quay.io/packit/web:prod"
JSON = dict[str, Any]


def stream(name: str = "web", **more: Any) -> JSON:
    data = stream_json(spec_tag("prod", f"quay.io/packit/{name}:prod"), name=name, namespace=NAMESPACE)
    data["spec"] |= more
    return data


def names(*streams: JSON) -> Names:
    found = Names()
    for each in streams or (stream(),):
        found.add(each, [tag["name"] for tag in each["spec"]["tags"]])
    return found


def known(*tags: TagName, **more: Any) -> KnownTags:
    return KnownTags(dict.fromkeys(tags or (WEB,), True), listed=frozenset({NAMESPACE}), **more)


def container(name: str = "web", image: str = "app") -> JSON:
    return {"name": name, "image": image}


def found_of(resource: Resource, data: JSON, tags: KnownTags | None = None) -> list[Finding]:
    workload = workload_from(resource, data)
    assert workload is not None
    return of_workload(workload, shape_of(resource, data), tags or known(), names())


def written(found: Finding) -> list[JSON]:
    """The annotation that a finding's command writes."""
    words = shlex.split(found.fix[0])
    (text,) = (word.partition("=")[2] for word in words if word.startswith(TRIGGERS_ANNOTATION))
    entries: list[JSON] = json.loads(text)
    return entries


def test_one_that_fires() -> None:
    assert found_of(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=[trigger()])) == []


@pytest.mark.parametrize(
    "triggers",
    [
        [trigger(paused="false")],
        [trigger(path="spec.template.spec.containers[web].image")],
        [trigger(path="containers[0].image")],
        [trigger(from_kind="DockerImage")],
        [trigger(from_apiVersion="v1")],
        [trigger(), trigger()],
    ],
)
def test_one_that_never_does(triggers: list[JSON]) -> None:
    data = workload(DEPLOYMENTS, triggers=triggers)
    (found,) = found_of(DEPLOYMENTS, data)
    assert (found.check, found.severity, found.where) == ("trigger-never-fires", Severity.ERROR, "Deployment web")
    data["metadata"]["annotations"][TRIGGERS_ANNOTATION] = json.dumps(written(found))
    assert found_of(DEPLOYMENTS, data) == []


@pytest.mark.parametrize("text", ["[{", "{}", '[{"from": 5}]', '["x"]'])
def test_one_that_cannot_be_read(text: str) -> None:
    data = workload(DEPLOYMENTS, triggers=text, containers=[container("side", "other"), container("web", SOURCE)])
    (found,) = found_of(DEPLOYMENTS, data)
    # What it was for shows only by the image.
    assert [entry["from"]["name"] for entry in written(found)] == ["web:prod"]
    assert '"web"' in written(found)[0]["fieldPath"]


def test_what_it_was_for_does_not_show() -> None:
    (found,) = found_of(DEPLOYMENTS, workload(DEPLOYMENTS, triggers="[{"), KnownTags({}))
    assert (found.check, found.fix) == ("trigger-never-fires", ())


def test_a_namespace_in_the_name_goes_where_it_belongs() -> None:
    (found,) = found_of(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=[trigger("openshift/web:latest")]))
    assert (found.check, "from.namespace" in found.message) == ("trigger-never-fires", True)
    (entry,) = written(found)
    assert entry["from"] == {"kind": "ImageStreamTag", "name": "web:latest", "namespace": "openshift"}
    # What was pasted has no problem of its own any more.
    (again,) = found_of(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=[entry]))
    assert again.check == "not-checked"


def test_the_others_of_the_workload_are_kept() -> None:
    containers = [container("web"), container("log")]
    triggers = [trigger(paused="false"), trigger("log:prod", 'spec.template.spec.containers[?(@.name=="log")].image')]
    data = workload(DEPLOYMENTS, triggers=triggers, containers=containers)
    (found,) = found_of(DEPLOYMENTS, data, known(WEB, TagName(NAMESPACE, "log", "prod")))
    assert [entry["from"]["name"] for entry in written(found)] == ["web:prod", "log:prod"]


def test_a_slip_of_the_pen() -> None:
    data = workload(STATEFUL_SETS, triggers=[trigger("wbe:prod")])
    (found,) = found_of(STATEFUL_SETS, data)
    assert (found.check, found.message) == ("trigger-without-tag", "it follows wbe:prod, which does not exist")
    assert [entry["from"]["name"] for entry in written(found)] == ["web:prod"]


def test_a_tag_still_to_be_made() -> None:
    data = workload(STATEFUL_SETS, triggers=[trigger("web:something-else")])
    (found,) = found_of(STATEFUL_SETS, data, known(WEB, sources={WEB: SOURCE}))
    assert found.fix == ()
    missing = TagName(NAMESPACE, "web", "something-else")
    image = Available("quay.io/packit/web:something-else", insecure=True)
    (found,) = found_of(STATEFUL_SETS, data, known(WEB, sources={WEB: SOURCE}, available={missing: image}))
    command = f"oc -n {NAMESPACE} tag --source=docker --insecure quay.io/packit/web:something-else web:something-else"
    assert found.fix == (command,)


def test_a_tag_without_image() -> None:
    data = workload(DEPLOYMENTS, triggers=[trigger()])
    tags = KnownTags({WEB: False}, listed=frozenset({NAMESPACE}))
    (found,) = found_of(DEPLOYMENTS, data, tags)
    # Nothing says that a run imports it.
    assert (found.check, found.severity, found.fix) == ("trigger-without-image", Severity.WARNING, ())
    origin = TagName(NAMESPACE, "web", "stg")
    alias = KnownTags({WEB: False, origin: False}, imported={WEB: origin}, listed=frozenset({NAMESPACE}))
    (found,) = found_of(DEPLOYMENTS, data, alias)
    assert found.fix == (f"import-images run web:stg -n {NAMESPACE}",)
    assert found_of(DEPLOYMENTS, data, replace(alias, broken=frozenset({origin}))) == []
    broken = KnownTags({WEB: False}, listed=frozenset({NAMESPACE}), broken=frozenset({WEB}))
    assert found_of(DEPLOYMENTS, data, broken) == []


def test_a_tag_that_cannot_be_seen() -> None:
    data = workload(DEPLOYMENTS, triggers=[trigger(from_namespace="far")])
    (found,) = found_of(DEPLOYMENTS, data)
    assert (found.check, found.severity) == ("not-checked", Severity.NOTE)
    gone = known(single=frozenset({("far", "web")}))
    (found,) = found_of(DEPLOYMENTS, data, gone)
    assert found.check == "trigger-without-tag"
    assert found.fix == ()


def test_one_that_is_paused() -> None:
    (found,) = found_of(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=[trigger(paused=True)]))
    assert (found.check, found.severity) == ("trigger-paused", Severity.NOTE)
    assert written(found) == [trigger()]


@pytest.mark.parametrize(
    ("value", "severity", "paused"),
    [("true", Severity.WARNING, True), (True, Severity.WARNING, True), ("false", Severity.NOTE, None)],
)
def test_pause(value: object, severity: Severity, paused: bool | None) -> None:
    (found,) = found_of(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=[trigger(pause=value)]))
    assert (found.check, found.severity) == ("trigger-pause-ignored", severity)
    (entry,) = written(found)
    assert "pause" not in entry
    assert entry.get("paused") is paused


def test_of_a_deployment_config() -> None:
    params = {"automatic": True, "containerNames": ["other"], "from": {"kind": "ImageStreamTag", "name": "web:prod"}}
    data = workload(DEPLOYMENT_CONFIGS)
    data["spec"]["triggers"] = [{"type": "ImageChange", "imageChangeParams": params}]
    (found,) = found_of(DEPLOYMENT_CONFIGS, data)
    command = f"oc -n {NAMESPACE} set triggers deploymentconfig/web --from-image=web:prod -c web"
    assert found.fix == (command,)


@pytest.mark.parametrize("other", ['"x"', "null", "5", "[]"])
def test_pause_beside_what_is_no_trigger(other: str) -> None:
    text = f"[{other}, {json.dumps(trigger(pause='true'))}]"
    found = found_of(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=text))
    assert {each.check for each in found} == {"trigger-never-fires", "trigger-pause-ignored"}
    for each in found:
        assert written(each) == [trigger(paused=True)]


def several(*triggers: JSON, images: tuple[str, ...] = ("app", "app")) -> JSON:
    containers = [container("web", images[0]), container("log", images[1])]
    return workload(DEPLOYMENTS, triggers=list(triggers), containers=containers)


LOG = TagName(NAMESPACE, "log", "prod")
LOG_PATH = 'spec.template.spec.containers[?(@.name=="log")].image'


class TestOneCommandForAll:
    """The annotation is written as a whole, so that a command for each finding would undo those before it."""

    def fixed(self, data: JSON, notes: bool = False) -> list[JSON]:
        """Paste every command that writes the annotation, in an order that nobody can know; gives what is left."""
        tags = known(WEB, LOG)
        every = names(stream(), stream("log"))

        def looked() -> list[Finding]:
            mine, shape = workload_from(DEPLOYMENTS, data), shape_of(DEPLOYMENTS, data)
            assert mine is not None
            bare = without_trigger([shape], [mine], every)
            found = of_workload(mine, shape, tags, every, next(iter(bare), None))
            found += [finding for finding, _ in untriggered(bare, tags, every)]
            return [each for each in found if each.check != "trigger-paused" or notes]

        first = looked()
        assert len({each.fix for each in first}) == 1 and len(first) > 1
        data["metadata"]["annotations"][TRIGGERS_ANNOTATION] = json.dumps(written(first[0]))
        assert looked() == []
        return written(first[0])

    def test_two_slips_of_the_pen(self) -> None:
        self.fixed(several(trigger("wbe:prod"), trigger("lgo:prod", LOG_PATH)))

    def test_a_slip_and_a_pause(self) -> None:
        entries = self.fixed(several(trigger("wbe:prod"), trigger("log:prod", LOG_PATH, pause="true")))
        assert [(entry["from"]["name"], entry.get("paused")) for entry in entries] == [
            ("web:prod", None),
            ("log:prod", True),
        ]

    def test_one_that_never_fires_and_a_pause(self) -> None:
        entries = self.fixed(several(trigger(pause=True), trigger("log:prod", LOG_PATH, from_apiVersion="v1")))
        assert [entry.get("paused") for entry in entries] == [True, None]

    def test_a_slip_and_a_container_without_a_trigger(self) -> None:
        data = several(trigger("wbe:prod"), images=("app", "quay.io/packit/log:prod"))
        assert [entry["from"]["name"] for entry in self.fixed(data)] == ["web:prod", "log:prod"]

    def test_two_that_are_paused(self) -> None:
        entries = self.fixed(several(trigger(paused=True), trigger("log:prod", LOG_PATH, paused=True)), notes=True)
        assert entries == [trigger(), trigger("log:prod", LOG_PATH)]

    def test_what_is_paused_fires_again_only_by_its_own_command_which_fixes_the_rest_as_well(self) -> None:
        data = several(trigger(paused=True), trigger("lgo:prod", LOG_PATH))
        found = {each.check: written(each) for each in found_of(DEPLOYMENTS, data, known(WEB, LOG))}
        assert found == {
            "trigger-without-tag": [trigger(paused=True), trigger("log:prod", LOG_PATH)],
            "trigger-paused": [trigger(), trigger("log:prod", LOG_PATH)],
        }


def test_what_cannot_be_seen_is_kept() -> None:
    data = several(trigger(from_namespace="far"), trigger("lgo:prod", LOG_PATH))
    found = {each.check: each for each in found_of(DEPLOYMENTS, data, known(WEB, LOG))}
    assert [entry["from"] for entry in written(found["trigger-without-tag"])] == [
        {"kind": "ImageStreamTag", "name": "web:prod", "namespace": "far"},
        {"kind": "ImageStreamTag", "name": "log:prod"},
    ]


def test_a_trigger_that_is_sure_keeps_its_container() -> None:
    data = several(trigger("log:prod", "nowhere"), trigger())
    (found,) = {each.fix: each for each in found_of(DEPLOYMENTS, data, known(WEB, LOG))}.values()
    assert {entry["from"]["name"]: entry["fieldPath"] for entry in written(found)} == {
        "web:prod": trigger()["fieldPath"],
        "log:prod": LOG_PATH,
    }


def test_one_that_says_in_the_wrong_words_that_it_is_paused_stays_so() -> None:
    (found,) = found_of(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=[trigger(paused="true")]))
    assert written(found) == [trigger(paused=True)]


class TestUntriggered:
    def bare(self, image: str, streams: JSON | None = None, **more: Any) -> list[str]:
        shape = Shape(CRON_JOBS, NAMESPACE, "nightly", (("app", image),), **more)
        every = names(streams or stream())
        return [str(tag) for _, tag in untriggered(without_trigger([shape], [], every), known(), every)]

    @pytest.mark.parametrize(
        "image",
        [
            SOURCE,
            "registry:5000/packit/web:prod",
            "registry:5000/packit/web@sha256:old",
            "quay.io/x@sha256:old",
        ],
    )
    def test_by_any_name(self, image: str) -> None:
        data = stream()
        data["status"]["dockerImageRepository"] = "registry:5000/packit/web"
        assert self.bare(image, data) == ["web:prod"]

    @pytest.mark.parametrize(
        "image", ["", " ", "quay.io/packit/web:stg", "quay.io/packit/web", "web:prod", "web", "quay.io/x@sha256:other"]
    )
    def test_another_image(self, image: str) -> None:
        assert self.bare(image) == []

    def test_by_the_name_of_the_stream(self) -> None:
        assert self.bare("web:prod", stream(lookupPolicy={"local": True})) == ["web:prod"]
        assert self.bare("web:prod", resolves_names=True) == ["web:prod"]

    def test_one_whose_trigger_is_broken_is_told_once(self) -> None:
        data = workload(DEPLOYMENTS, triggers=[trigger(path="nowhere")], containers=[container("web", SOURCE)])
        found = workload_from(DEPLOYMENTS, data)
        assert found is not None
        assert without_trigger([shape_of(DEPLOYMENTS, data)], [found], names()) == []

    def test_one_that_has_a_trigger(self) -> None:
        data = workload(DEPLOYMENTS, triggers=[trigger()], containers=[container("web", SOURCE)])
        found = workload_from(DEPLOYMENTS, data)
        assert found is not None
        assert without_trigger([shape_of(DEPLOYMENTS, data)], [found], names()) == []


def test_a_tag_that_nothing_follows() -> None:
    live = TagName(NAMESPACE, "web", "live")
    assert unfollowed({WEB: [live]}, {live}, []) == []
    assert unfollowed({WEB: []}, {WEB}, []) == []
    (found,) = unfollowed({WEB: []}, set(), [], "BuildConfigs")
    assert (found.severity, found.where) == (Severity.WARNING, "web:prod")
    assert "BuildConfigs" in found.message
    (found,) = unfollowed({WEB: []}, set(), ["far"])
    assert found.severity is Severity.NOTE


def test_builds() -> None:
    source = {"kind": "ImageStreamTag", "name": "base:prod", "namespace": "far"}
    spec = {
        "strategy": {"dockerStrategy": {"from": {"kind": "ImageStreamTag", "name": "web"}}},
        "triggers": [{"type": "ConfigChange"}, {"imageChange": {}}, {"imageChange": {"from": source}}],
    }
    found = built_from({"metadata": {"namespace": NAMESPACE}, "spec": spec})
    assert found == {TagName(NAMESPACE, "web", "latest"), TagName("far", "base", "prod")}


def test_pulling_from_another_namespace() -> None:
    far = TagName("far", "web", "prod")
    data = workload(DEPLOYMENTS, triggers=[trigger(from_namespace="far")])
    mine = workload_from(DEPLOYMENTS, data)
    assert mine is not None
    ((account, tag),) = pulls_wanted(mine, shape_of(DEPLOYMENTS, data), known(far, local=frozenset({far})))
    assert (account, tag) == (f"system:serviceaccount:{NAMESPACE}:default", far)
    assert of_pull(mine, far, account, True) is None
    found = of_pull(mine, far, account, False)
    assert found is not None
    assert found.fix == (
        f"oc -n far create rolebinding pull-from-{NAMESPACE}-default"
        f" --clusterrole=system:image-puller --serviceaccount={NAMESPACE}:default --dry-run=client -o yaml"
        " | oc -n far apply -f -",
    )
    unknown = of_pull(mine, far, account, None)
    assert unknown is not None
    assert unknown.check == "not-checked"


@pytest.mark.parametrize(
    ("image", "whole"),
    [
        ("redis", "docker.io/library/redis:latest"),
        ("team/app:1", "docker.io/team/app:1"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("quay.io/a/b:c@sha256:d", "quay.io/a/b@sha256:d"),
    ],
)
def test_the_long_form(image: str, whole: str) -> None:
    assert normal(image) == whole
