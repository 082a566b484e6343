"""Which tags a workload follows, and what keeps a trigger from firing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.cluster import CRON_JOBS, DAEMON_SETS, DEPLOYMENT_CONFIGS, DEPLOYMENTS, STATEFUL_SETS, Resource
from job.domain.model import TagName
from job.workloads.image_triggers import Follows, digest_in
from job.workloads.kinds import KINDS, template_image, workload_from
from tests.unit.objects import NAMESPACE
from tests.unit.workload_objects import JSON, NEW, by_name, image, trigger, workload

WEB = TagName(NAMESPACE, "web", "prod")
WORKER = TagName(NAMESPACE, "worker", "prod")
CRON_BASE = "spec.jobTemplate.spec.template.spec"
BY_ANNOTATION = [DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, CRON_JOBS]


def follows(triggers: object, resource: Resource = DEPLOYMENTS, **more: Any) -> tuple[Follows, ...]:
    found = workload_from(resource, workload(resource, triggers=triggers, **more))
    assert found is not None
    return found.follows


@pytest.mark.parametrize("resource", BY_ANNOTATION)
def test_a_trigger_of_each_kind(resource: Resource) -> None:
    path = by_name(base=CRON_BASE if resource == CRON_JOBS else "spec.template.spec")
    found = workload_from(resource, workload(resource, triggers=[trigger(path=path)]))
    assert found is not None
    assert (found.resource, found.namespace, found.name) == (resource, NAMESPACE, "web")
    assert (found.follows, found.problem) == ((Follows(WEB, "web"),), None)


def test_the_namespace_of_the_tag_is_the_workload_s_unless_it_is_given() -> None:
    assert follows([trigger(from_namespace="images")])[0].tag == TagName("images", "web", "prod")


@pytest.mark.parametrize(
    ("path", "container"),
    [
        ("containers[0].image", "web"),
        ("containers[1].image", "side"),
        ("initContainers[0].image", "init"),
        ('containers[?(@.name=="side")].image', "side"),
        # By name it is looked for among all of them, whichever was written.
        ('containers[?(@.name=="init")].image', "init"),
        ('initContainers[?(@.name=="web")].image', "web"),
    ],
)
def test_field_paths(path: str, container: str) -> None:
    data = workload(DEPLOYMENTS, triggers=[trigger(path=f"spec.template.spec.{path}")])
    data["spec"]["template"]["spec"] = {
        "initContainers": [{"name": "init", "image": "i"}],
        "containers": [{"name": "web", "image": "w"}, {"name": "side", "image": "s"}],
    }
    found = workload_from(DEPLOYMENTS, data)
    assert found is not None
    assert found.follows == (Follows(WEB, container),)
    assert template_image(DEPLOYMENTS, data, container) == container[0]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (trigger(paused="false"), '"paused": "false"; write true or false, without quotes'),
        (trigger(paused=1), '"paused": 1'),
        (trigger(fieldPath=7), "has 7 as fieldPath"),
        (trigger(from_namespace=7), "has 7 as from.namespace"),
        ({**trigger(), "from": "web:prod"}, '"from": "web:prod"; write {"kind"'),
        ("web:prod", '"web:prod" in the annotation is no trigger'),
        (trigger(), "2 have the fieldPath"),
    ],
)
def test_what_makes_the_whole_annotation_inert(wrong: object, told: str) -> None:
    right = trigger("worker:prod", path=by_name() if wrong == trigger() else "spec.template.spec.containers[0].image")
    found = follows([wrong, right])
    assert WORKER in {each.tag for each in found}
    for each in found:
        assert each.problem is not None
        assert each.problem.startswith("none of its triggers fires: ")
        assert told in each.problem


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (trigger(from_kind="ImageStreamImage"), 'its from.kind is "ImageStreamImage": only ImageStreamTag fires'),
        (trigger(from_kind=""), 'its from.kind is ""'),
        (trigger(from_apiVersion="image.openshift.io/v1"), "its from.apiVersion is set"),
        (trigger("web"), 'its from.name is "web": write STREAM:TAG'),
        (trigger(path="spec.containers[0].image"), 'write spec.template.spec.containers[?(@.name=="NAME")].image'),
        (trigger(path=""), 'its fieldPath is ""'),
    ],
)
def test_what_keeps_one_trigger_from_firing(wrong: JSON, told: str) -> None:
    right = trigger("worker:prod", path="spec.template.spec.containers[0].image")
    bad, good = follows([wrong, right])
    assert told in (bad.problem or "")
    assert good == Follows(WORKER, "web")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (by_name("wbe"), 'it has no container "wbe"'),
        ("spec.template.spec.containers[7].image", "it has no containers[7]"),
        ("spec.template.spec.containers[-1].image", "it has no containers[-1]"),
        ("spec.template.spec.initContainers[0].image", "it has no initContainers[0]"),
        ("spec.template.spec.containers[0].name", "its fieldPath is"),
        ("spec.template.spec.containers[web].image", "its fieldPath is"),
        ("spec.template.spec.containers[?(@.name=='web')].image", "its fieldPath is"),
        ("spec.template.spec.volumes[0].image", "its fieldPath is"),
    ],
)
def test_a_container_that_is_not_found_keeps_all_from_firing(path: str, told: str) -> None:
    bad, good = follows([trigger(path=path), trigger("worker:prod", path="spec.template.spec.containers[0].image")])
    assert told in (bad.problem or "")
    assert (good.problem or "").startswith("none of its triggers fires while one of them is wrong")
    assert told in (good.problem or "")


def test_a_paused_trigger_keeps_none_from_firing() -> None:
    paused, other = follows([trigger(path=by_name("gone"), paused=True), trigger("worker:prod")])
    assert (paused.paused, other) == (True, Follows(WORKER, "web"))


def test_the_older_consoles_pause_is_none() -> None:
    assert follows([trigger(pause="true")]) == (Follows(WEB, "web", meant_paused=True),)


def test_names_of_fields_are_read_whatever_their_case() -> None:
    entry = {"From": {"Kind": "ImageStreamTag", "Name": "web:prod"}, "FIELDPATH": by_name(), "Paused": True}
    assert follows([entry]) == (Follows(WEB, "web", None, True, True),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('[{"paused": NaN}]', "is not JSON"),
        ("{}", "is no JSON list"),
        ("7", "is no JSON list"),
        ('[{"from": {"kind": "ImageStreamTag", "name": "web@sha256:1"}}]', "write STREAM:TAG"),
    ],
)
def test_where_no_tag_can_be_made_out(text: str, told: str) -> None:
    found = workload_from(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=text))
    assert found is not None
    assert found.follows == ()
    assert told in (found.problem or "")


@pytest.mark.parametrize("text", ["[]", "null"])
def test_an_annotation_without_triggers(text: str) -> None:
    assert workload_from(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=text)) is None


@pytest.mark.parametrize("resource", KINDS)
def test_no_trigger_at_all(resource: Resource) -> None:
    assert workload_from(resource, workload(resource)) is None


def change(**more: Any) -> JSON:
    source = {"kind": "ImageStreamTag", "name": "web:prod"}
    return {"type": "ImageChange", "imageChangeParams": {"from": source, "containerNames": ["web"], **more}}


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"automatic": True}, Follows(WEB, "web")),
        ({"automatic": False}, Follows(WEB, "web", None, True, True)),
        ({}, Follows(WEB, "web", None, True, True)),
        (
            {"automatic": True, "containerNames": ["gone"]},
            Follows(WEB, "gone", 'it has no container "gone": name one that it has in containerNames'),
        ),
        (
            {"automatic": True, "containerNames": None},
            Follows(WEB, "", "its trigger names no container: add it to containerNames"),
        ),
        (
            {"automatic": True, "from": {"kind": "DockerImage", "name": "web:prod"}},
            Follows(WEB, "web", 'its from.kind is "DockerImage": only ImageStreamTag fires'),
        ),
    ],
)
def test_deployment_configs(parameters: JSON, expected: Follows) -> None:
    data = workload(DEPLOYMENT_CONFIGS)
    data["spec"]["triggers"] = [{"type": "ConfigChange"}, change(**parameters)]
    found = workload_from(DEPLOYMENT_CONFIGS, data)
    assert found is not None
    assert found.follows == (expected,)


def test_a_trigger_of_a_deployment_config_for_several_containers() -> None:
    containers = [{"name": "web", "image": "w"}, {"name": "side", "image": "s"}]
    data = workload(DEPLOYMENT_CONFIGS, containers=containers)
    data["spec"]["triggers"] = [change(automatic=True, containerNames=["web", "side"])]
    found = workload_from(DEPLOYMENT_CONFIGS, data)
    assert found is not None
    assert [each.container for each in found.follows] == ["web", "side"]


@pytest.mark.parametrize("resource", KINDS)
def test_the_image_of_a_container(resource: Resource) -> None:
    data = workload(resource)
    assert digest_in(template_image(resource, data, "web")) == NEW
    assert template_image(resource, data, "gone") is None


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (image(NEW), NEW),
        (f"docker-pullable://quay.io/web@{NEW}", NEW),
        ("quay.io/web:prod", None),
        # The image's configuration, not its manifest.
        ("sha256:0123", None),
        ("", None),
        (None, None),
    ],
)
def test_digests(text: str | None, digest: str | None) -> None:
    assert digest_in(text) == digest


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = ["from", "From", "fieldPath", "paused", "kind", "name", "namespace", "apiVersion"]
NEAR_TRIGGERS = st.lists(
    st.dictionaries(st.sampled_from(NAMES), ANY_JSON | st.dictionaries(st.sampled_from(NAMES), ANY_JSON)), max_size=4
)


@given(st.one_of(ANY_JSON, NEAR_TRIGGERS).map(json.dumps) | st.text())
def test_any_annotation_can_be_read(text: str) -> None:
    found = workload_from(DEPLOYMENTS, workload(DEPLOYMENTS, triggers=text))
    assert found is None or found.follows or found.problem


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), ANY_JSON))
def test_any_object_can_be_read(resource: Resource, data: JSON) -> None:
    workload_from(resource, data)
    template_image(resource, data, "web")
