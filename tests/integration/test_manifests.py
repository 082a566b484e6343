"""The manifests, built by `kubectl kustomize` in every combination, held against schemas and what they promise."""

from __future__ import annotations

import contextlib
import copy
import functools
import ipaddress
import itertools
import json
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from job import VERSION
from job.cluster import CRON_JOBS
from job.config.flags import SETTINGS
from job.config.setting import Setting
from job.config.settings import Settings, read_settings
from job.domain.durations import duration
from job.domain.schedule import Schedule
from job.domain.secrets import SECRETS
from job.workloads.kinds import workload_from
from tests.sandbox.programs import Program, free_port
from tests.support.kustomize import (
    COMPONENTS,
    NEEDED,
    OVERLAYS,
    Built,
    Object,
    build,
    build_with,
    cron_jobs,
    recorded_cron_jobs,
)
from tests.support.paths import MANIFESTS, ROOT
from tests.support.pod_security import violations
from tests.support.schemas import kubernetes_validate
from tests.support.tiers import slow

# The oldest Kubernetes that has all that the manifests use (OpenShift 4.16), and the newest with a published schema.
KUBERNETES = ("1.29", "1.37")
# Each of these changes one value or adds one object, so their pairs do not gate.
LONELY = {"grafana-operator", "api-addresses", "small"}
COMBINATIONS = [
    (overlay, *components)
    for overlay in OVERLAYS
    # The overlays differ in two values, which no component changes.
    for count in range(len(COMPONENTS) + 1 if overlay == "prod" else 2)
    for components in itertools.combinations(COMPONENTS, count)
    if all(NEEDED.get(component, component) in components for component in components)
]
GATING = {
    combination
    for combination in COMBINATIONS
    if (len(combination) - 1 in (1, len(COMPONENTS)) and combination[0] == "prod")
    or len(combination) == 1
    or (len(combination) == 3 and not LONELY & set(combination))
    or combination == ("prod", "monitoring", "grafana-operator")
}
TAIL = f"{len(COMBINATIONS)} builds, every combination there is; {len(GATING)} of them gate"
CLUSTER_WIDE = {"ClusterRole"}
GIVEN_BY_KUBERNETES = {"POD_NAME", "POD_NAMESPACE", "JOB_NAME"}
# Keys of the Secret.
SECRET = {"PUSHGATEWAY_USERNAME", "PUSHGATEWAY_PASSWORD", "PUSHGATEWAY_TOKEN"}
# Those that the components notify and gates add.
SECRET_OF_COMPONENTS = {"NOTIFY", "NOTIFY_KEY", "PROMETHEUS_TOKEN"}
MI = 2**20

# Kinds that are not Kubernetes' own: the documented fields of their definitions, as far as they are used here.
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}


def _with_spec(spec: Object) -> Object:
    """The schema of a kind whose objects have such a `spec`, and nothing else beside their metadata."""
    metadata = {"name": {"type": "string"}, "namespace": {"type": "string"}, "labels": _STRINGS}
    return {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {},
            "kind": {},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": metadata,
            },
            "spec": spec,
        },
    }


SCHEMAS: dict[tuple[str, str], Object] = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _with_spec(
        {
            "type": "object",
            "required": ["endpoints", "selector"],
            "additionalProperties": False,
            "properties": {
                "endpoints": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "properties": {
                            "port": {"type": "string"},
                            "path": {"type": "string"},
                            "scheme": {"enum": ["http", "https"]},
                            "honorLabels": {"type": "boolean"},
                            "interval": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
                            "scrapeTimeout": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
                        },
                    },
                },
                "selector": {
                    "type": "object",
                    "required": ["matchLabels"],
                    "additionalProperties": False,
                    "properties": {"matchLabels": _STRINGS},
                },
            },
        }
    ),
    ("grafana.integreatly.org/v1beta1", "GrafanaDashboard"): _with_spec(
        {
            "type": "object",
            "required": ["instanceSelector", "configMapRef"],
            "additionalProperties": False,
            "properties": {
                "allowCrossNamespaceImport": {"type": "boolean"},
                "instanceSelector": {
                    "type": "object",
                    "required": ["matchLabels"],
                    "additionalProperties": False,
                    "properties": {"matchLabels": _STRINGS},
                },
                "configMapRef": {
                    "type": "object",
                    "required": ["name", "key"],
                    "additionalProperties": False,
                    "properties": {"name": {"type": "string"}, "key": {"type": "string"}},
                },
            },
        }
    ),
    ("image.openshift.io/v1", "ImageStream"): _with_spec(
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "lookupPolicy": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"local": {"type": "boolean"}},
                }
            },
        }
    ),
    ("build.openshift.io/v1", "BuildConfig"): _with_spec(
        {
            "type": "object",
            "required": ["source", "strategy", "output"],
            "additionalProperties": False,
            "properties": {
                "runPolicy": {"enum": ["Serial", "SerialLatestOnly", "Parallel"]},
                "source": {
                    "type": "object",
                    "required": ["type", "git"],
                    "additionalProperties": False,
                    "properties": {
                        "type": {"const": "Git"},
                        "git": {
                            "type": "object",
                            "required": ["uri"],
                            "additionalProperties": False,
                            "properties": {"uri": {"type": "string"}, "ref": {"type": "string"}},
                        },
                    },
                },
                "strategy": {
                    "type": "object",
                    "required": ["type", "dockerStrategy"],
                    "additionalProperties": False,
                    "properties": {
                        "type": {"const": "Docker"},
                        "dockerStrategy": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {"dockerfilePath": {"type": "string"}},
                        },
                    },
                },
                "output": {
                    "type": "object",
                    "required": ["to"],
                    "additionalProperties": False,
                    "properties": {
                        "to": {
                            "type": "object",
                            "required": ["kind", "name"],
                            "additionalProperties": False,
                            "properties": {"kind": {"const": "ImageStreamTag"}, "name": {"type": "string"}},
                        }
                    },
                },
                "triggers": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["type"],
                        "additionalProperties": False,
                        "properties": {"type": {"const": "ConfigChange"}},
                    },
                },
                "resources": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"limits": _STRINGS, "requests": _STRINGS},
                },
            },
        }
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _with_spec(
        {
            "type": "object",
            "required": ["groups"],
            "additionalProperties": False,
            "properties": {
                "groups": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["name", "rules"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "rules": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "object",
                                    "required": ["alert", "expr", "labels", "annotations"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "alert": {"type": "string"},
                                        "expr": {"type": "string"},
                                        "for": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
                                        "labels": _STRINGS,
                                        "annotations": _STRINGS,
                                    },
                                },
                            },
                        },
                    },
                }
            },
        }
    ),
}


@functools.cache
def _validate(text: str) -> None:
    """Hold an object against the schema of its kind, unknown fields being errors; each text once, since it is slow."""
    found = json.loads(text)
    own = SCHEMAS.get((found["apiVersion"], found["kind"]))
    if own is not None:
        jsonschema.validate(found, own)
        return
    for version in KUBERNETES:
        kubernetes_validate.validate(found, version, strict=True)


def validate(found: Object) -> None:
    _validate(json.dumps(found, sort_keys=True))


def named(combination: tuple[str, ...]) -> str:
    return "+".join(combination)


# Every combination


@pytest.mark.parametrize(
    "combination",
    [pytest.param(each, marks=[] if each in GATING else [slow(TAIL)]) for each in COMBINATIONS],
    ids=named,
)
def test_a_combination_is_valid_and_whole(combination: tuple[str, ...]) -> None:
    built = build(*combination)
    for found in built.objects:
        validate(found)
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] in ("import-images", "prometheus-pushgateway")
        assert labels["app.kubernetes.io/part-of"] == "import-images"
    assert violations(built.job["template"]["spec"]) == []
    assert dangling(built) == []
    assert settings_of(built).wanted.deployment == combination[0]
    assert shipped(built, combination) == {"CronJob", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"} | (
        {"ConfigMap", "PrometheusRule", "ServiceMonitor"} if "monitoring" in combination else set()
    ) | ({"ClusterRole"} if "fleet" in combination else set()) | (
        {"Deployment", "Service", "PersistentVolumeClaim"} if "pushgateway" in combination else set()
    ) | ({"ImageStream", "BuildConfig"} if "build" in combination else set()) | (
        {"GrafanaDashboard"} if "grafana-operator" in combination else set()
    )


def shipped(built: Built, combination: tuple[str, ...]) -> set[str]:
    keys = [(each["kind"], each["metadata"]["name"]) for each in built.objects]
    assert len(keys) == len(set(keys)), combination
    return {kind for kind, _ in keys}


def settings_of(built: Built) -> Settings:
    """What the job makes of the settings it is given; all of them are known to it."""
    variables = built.container["env"]
    given = {each["name"] for each in variables if "value" not in each}
    assert given - SECRET_OF_COMPONENTS == GIVEN_BY_KUBERNETES | SECRET
    assert built.environment.keys() <= {setting.name for setting in SETTINGS}
    index = {"JOB_COMPLETION_INDEX": "0"} if built.job.get("completionMode") == "Indexed" else {}
    return read_settings({}, [], {**built.environment, **index})


def dangling(built: Built) -> list[str]:
    """References to what is not there."""
    names = {(each["kind"], each["metadata"]["name"]) for each in built.objects}
    wanted = [("ServiceAccount", built.job["template"]["spec"]["serviceAccountName"])]
    for binding in built.of_kind("RoleBinding"):
        wanted.append((binding["roleRef"]["kind"], binding["roleRef"]["name"]))
        wanted += [(subject["kind"], subject["name"]) for subject in binding["subjects"]]
    bound = {binding["roleRef"]["name"] for binding in built.of_kind("RoleBinding")}
    unbound = [f"unbound Role {role['metadata']['name']}" for role in built.of_kind("Role")
               if role["metadata"]["name"] not in bound]  # fmt: skip
    return [f"{kind} {name}" for kind, name in wanted if (kind, name) not in names] + unbound


@pytest.mark.parametrize("combination", [COMBINATIONS[0], ("prod", *COMPONENTS)], ids=named)
def test_a_combination_goes_into_the_namespace_it_is_told(combination: tuple[str, ...]) -> None:
    for found in build(*combination).objects:
        assert "namespace" not in found["metadata"]
    placed = build_with({"namespace": "packit-prod"}, *combination)
    for found in placed.objects:
        expected = None if found["kind"] in CLUSTER_WIDE else "packit-prod"
        assert found["metadata"].get("namespace") == expected
    for binding in placed.of_kind("RoleBinding"):
        assert [subject.get("namespace", "packit-prod") for subject in binding["subjects"]] == ["packit-prod"]


def test_two_deployments_fit_into_one_namespace() -> None:
    first, second = build("prod"), build_with({"nameSuffix": "-stg"}, "stg")
    assert dangling(second) == []
    keys = [(each["kind"], each["metadata"]["name"]) for each in (*first.objects, *second.objects)]
    assert len(keys) == len(set(keys))
    # They share the journal.
    assert second.one("Role", "import-images-stg")["rules"] == first.one("Role")["rules"]


def test_an_object_with_an_unknown_field_is_refused() -> None:
    for kind, error in (
        ("CronJob", kubernetes_validate.ValidationError),
        ("ServiceMonitor", jsonschema.ValidationError),
    ):
        found = copy.deepcopy(build("prod", *COMPONENTS).one(kind))
        found["spec"]["unknown"] = True
        with pytest.raises(error):
            validate(found)


# The schedule and the time a run has


@pytest.mark.parametrize(
    ("overlay", "dues"),
    [
        ("prod", [datetime(2026, 11, 24, 2, tzinfo=UTC), datetime(2026, 12, 1, 2, tzinfo=UTC)]),
        ("stg", [datetime(2026, 11, 22, 0, tzinfo=UTC), datetime(2026, 11, 22, 1, tzinfo=UTC)]),
    ],
)
def test_an_overlay_says_what_is_imported_and_when(overlay: str, dues: list[datetime]) -> None:
    built = build(overlay)
    assert built.environment["DEPLOYMENT"] == overlay
    spec = built.one("CronJob")["spec"]
    schedule = Schedule.parse(spec["schedule"], spec["timeZone"])
    found = schedule.next_after(datetime(2026, 11, 21, 23, 30, tzinfo=UTC))
    assert found == dues[0]
    assert schedule.next_after(found) == dues[1]


def test_unit_tests_know_the_cron_jobs_as_they_are_built() -> None:
    assert recorded_cron_jobs() == cron_jobs(), "python -m tests.support.kustomize writes them anew"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_ends_a_run_only_after_its_own_deadline(overlay: str) -> None:
    built = build(overlay, *COMPONENTS)
    defaults = {setting.name: setting.default for setting in SETTINGS}

    def seconds(name: str, otherwise: str = "") -> float:
        return duration(built.environment.get(name) or defaults.get(name) or otherwise)

    pod = built.job["template"]["spec"]
    # The watching of a rollback's roll-out comes on top of the deadline.
    own = seconds("DEADLINE") + seconds("ROLLOUT_TIMEOUT", "10m")
    assert built.job["activeDeadlineSeconds"] >= own + pod["terminationGracePeriodSeconds"]
    # Imports under way get 30 seconds, report, push and release 20.
    assert pod["terminationGracePeriodSeconds"] >= 30 + 20
    assert timedelta(seconds=built.job["activeDeadlineSeconds"]) < timedelta(hours=1), "the next hourly run is due"


def test_a_run_never_overlaps_another_and_is_tried_again_only_after_a_disruption() -> None:
    built = build("prod")
    spec = built.one("CronJob")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    # The controller looks every 10 seconds; with less it would miss runs.
    assert spec["startingDeadlineSeconds"] > 10
    assert spec["successfulJobsHistoryLimit"] > 0
    assert spec["failedJobsHistoryLimit"] > 0
    assert built.job["backoffLimit"] == 1
    assert built.job["template"]["spec"]["restartPolicy"] == "Never", "what a podFailurePolicy needs"
    assert on_failure(built, {"DisruptionTarget"}, 143) == "Ignore"
    assert [on_failure(built, set(), status) for status in (1, 2, 3, 4, 5, 6, 137)] == ["FailJob"] * 7


def on_failure(built: Built, conditions: set[str], status: int) -> str:
    """What the Job's policy says of a pod that failed: the first rule that matches decides."""
    for rule in built.job["podFailurePolicy"]["rules"]:
        if any(each["type"] in conditions and each["status"] == "True" for each in rule.get("onPodConditions", ())):
            return str(rule["action"])
        codes = rule.get("onExitCodes")
        if codes and codes["containerName"] == built.container["name"]:
            assert codes["operator"] == "NotIn"
            if status not in codes["values"]:
                return str(rule["action"])
    return "Count"


# The pod


def test_the_pod_security_check_sees_what_is_forbidden() -> None:
    def changed(change: Callable[[Object, Object], Any]) -> list[str]:
        pod = copy.deepcopy(build("prod").job["template"]["spec"])
        change(pod, pod["containers"][0])
        return violations(pod)

    assert changed(lambda pod, container: pod.update(hostNetwork=True)) == ["hostNetwork"]
    assert changed(lambda pod, container: pod.pop("securityContext")) == [
        "import-images: runAsNonRoot",
        "import-images: seccompProfile",
    ]
    assert changed(lambda pod, container: container.pop("securityContext")) == [
        "import-images: allowPrivilegeEscalation",
        "import-images: capabilities.drop",
    ]
    volumes = [{"name": "host", "hostPath": {"path": "/"}}]
    assert changed(lambda pod, container: pod.update(volumes=volumes)) == ["volume host"]
    assert changed(lambda pod, container: pod["securityContext"].update(runAsUser=0)) == ["runAsUser"]


def test_the_pod_has_the_limits_of_the_job_and_writes_nowhere() -> None:
    built = build("prod")
    assert built.container["resources"] == {
        "requests": {"cpu": "50m", "memory": "64Mi"},
        "limits": {"cpu": "500m", "memory": "80Mi"},
    }
    assert built.container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "volumes" not in built.job["template"]["spec"]
    assert built.container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    annotations = built.job["template"]["metadata"]["annotations"]
    assert annotations["openshift.io/required-scc"] == "restricted-v2"


def test_only_the_pod_gets_a_token() -> None:
    built = build("prod")
    assert built.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert built.job["template"]["spec"]["automountServiceAccountToken"] is True


def test_the_image_is_that_of_this_version() -> None:
    image = build("prod").container["image"]
    assert image.endswith(f"/import-images:{VERSION}")
    own = {"images": [{"name": image.rpartition(":")[0], "newName": "registry.example/mine", "newTag": "x"}]}
    assert build_with(own, "prod").container["image"] == "registry.example/mine:x"


def test_what_the_base_installs_names_its_version() -> None:
    assert {found["metadata"]["labels"]["app.kubernetes.io/version"] for found in build("prod").objects} == {VERSION}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_can_be_named_in_a_remote_repository(overlay: str, tmp_path: Path) -> None:
    repository = tmp_path / "remote.git"
    checkout = tmp_path / "checkout"
    shutil.copytree(MANIFESTS, checkout / "manifests", ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.com", "-C", str(checkout)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", f"v{VERSION}"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", checkout, repository], check=True)
    url = f"file://{repository}//manifests/overlays/{overlay}?ref=v{VERSION}"
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tuple(yaml.safe_load_all(done.stdout)) == build(overlay).objects


def test_an_overlay_may_name_one_build_of_the_image() -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    image = build_with({"images": [{"name": "quay.io/packit/import-images", "digest": digest}]}, "prod").container
    assert image["image"].partition("@")[2] == digest


def test_of_the_secret_only_named_keys_reach_the_pod() -> None:
    container = build("prod", *COMPONENTS).container
    assert "envFrom" not in container
    references = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in container["env"]
        if "secretKeyRef" in each.get("valueFrom", {})
    }
    assert references == {
        name: {"name": "import-images", "key": name, "optional": True} for name in SECRET | SECRET_OF_COMPONENTS
    }
    # A pod has its service account's token.
    assert {setting.name for setting in SETTINGS if is_secret(setting)} == SECRET - {
        "PUSHGATEWAY_USERNAME"
    } | SECRET_OF_COMPONENTS | {"TOKEN"}


def is_secret(setting: Setting[object]) -> bool:
    """Whether the values of a setting are kept out of what the program writes."""
    SECRETS.forget()
    with contextlib.suppress(ValueError):
        setting.parse("a-planted-value")
    return "planted" not in SECRETS.redact("a-planted-value")


def test_the_api_may_be_limited_to_addresses() -> None:
    narrow, wide = (build("prod", *names).one("NetworkPolicy")["spec"]["egress"] for names in (("api-addresses",), ()))
    changed = [(before, after) for before, after in zip(wide, narrow, strict=True) if before != after]
    ((before, after),) = changed
    assert {port["port"] for port in before["ports"]} == {443, 6443}
    assert {**before, "to": after["to"]} == after
    assert not any(
        ipaddress.ip_address("93.184.215.14") in ipaddress.ip_network(block["ipBlock"]["cidr"]) for block in after["to"]
    )


def test_the_network_is_open_to_dns_the_api_and_the_pushgateway_only() -> None:
    built = build("prod", *(component for component in COMPONENTS if component != "api-addresses"))
    spec = built.one("NetworkPolicy")["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in spec
    labels = built.job["template"]["metadata"]["labels"].items()
    assert spec["podSelector"]["matchLabels"].items() <= labels
    anywhere = {
        (port["port"], port["protocol"]) for rule in spec["egress"] if "to" not in rule for port in rule["ports"]
    }
    inside = {(port["port"], port["protocol"]) for rule in spec["egress"] if "to" in rule for port in rule["ports"]}
    assert anywhere == {(443, "TCP"), (6443, "TCP")}
    assert inside == {(port, protocol) for port in (53, 5353) for protocol in ("TCP", "UDP")} | {(9091, "TCP")}
    assert int(built.environment["PUSHGATEWAY_ADDRESS"].rpartition(":")[2]) in {port for port, _ in inside}
    for rule in spec["egress"]:
        # DNS is that of the cluster's own pods, not of any pod in their namespaces.
        if 53 in {port["port"] for port in rule["ports"]}:
            assert all(peer["podSelector"]["matchLabels"] for peer in rule["to"])


def test_gates_open_the_way_to_the_cluster_s_own_prometheus_and_no_other() -> None:
    built = build("prod", "gates")
    policy = built.one("NetworkPolicy", "import-images-gates")["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= built.job["template"]["metadata"]["labels"].items()
    (rule,) = policy["egress"]
    (peer,) = rule["to"]
    assert peer == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-monitoring"}}}
    assert rule["ports"] == [{"port": 9092, "protocol": "TCP"}]


# Rights


def grants(rules: list[Object]) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Group, resource, verb and names, one by one."""
    for rule in rules:
        for group, resource, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"]):
            yield group, resource, verb, tuple(rule.get("resourceNames", ()))


def rights(built: Built, kind: str, name: str = "import-images") -> set[tuple[str, str, str, tuple[str, ...]]]:
    found = list(grants(built.one(kind, name)["rules"]))
    assert len(found) == len(set(found)), "a right is given twice"
    return set(found)


def test_no_role_is_wider_than_its_name() -> None:
    built = build("prod", *COMPONENTS)
    for role in (*built.of_kind("Role"), *built.of_kind("ClusterRole")):
        for group, resource, verb, _ in grants(role["rules"]):
            assert "*" not in (group, resource, verb)
            assert resource not in ("secrets", "roles", "rolebindings", "pods/exec")
            assert verb not in ("bind", "escalate", "impersonate", "patch", "deletecollection")


def test_a_rollback_may_do_all_that_watching_roll_outs_may() -> None:
    built = build("prod", *COMPONENTS)
    watching = rights(built, "Role", "import-images-rollouts")
    assert {verb for _, _, verb, _ in watching} <= {"get", "list", "watch"}
    assert rights(built, "Role", "import-images-rollback") - watching == {
        ("image.openshift.io", "imagestreamtags", "update", ()),
        ("", "pods", "delete", ()),
        ("", "configmaps", "create", ()),
        ("", "configmaps", "get", ("import-images-rules",)),
        ("", "configmaps", "update", ("import-images-rules",)),
    }
    assert rights(built, "Role", "import-images-gates") - watching == {
        ("", "pods", "create", ()),
        ("", "pods", "delete", ()),
    }


def test_a_fleet_may_do_in_other_namespaces_what_a_run_may_at_home() -> None:
    built = build("prod", "fleet")
    home = rights(built, "Role")
    of_the_job_itself = {right for right in home if right[0] == "batch"}
    assert rights(built, "ClusterRole") == home - of_the_job_itself
    assert rights(built, "ClusterRole", "import-images-namespaces") == {("", "namespaces", "list", ())}
    whole = build("prod", "fleet", "rollouts", "rollback", "gates")
    for name in ("import-images-rollouts", "import-images-rollback", "import-images-gates"):
        assert rights(whole, "ClusterRole", name) == rights(whole, "Role", name)


# What the components change


def test_the_pushgateway_is_the_one_that_the_job_pushes_to_and_prometheus_scrapes() -> None:
    built = build("prod", "monitoring", "pushgateway")
    service = built.one("Service", "prometheus-pushgateway")
    (port,) = service["spec"]["ports"]
    assert built.environment["PUSHGATEWAY_ADDRESS"] == f"prometheus-pushgateway:{port['port']}"
    deployment = built.one("Deployment", "prometheus-pushgateway")
    pod = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    monitor = built.one("ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [each["port"] for each in monitor["endpoints"]] == [port["name"]]
    (container,) = pod["spec"]["containers"]
    assert {each["name"]: each["containerPort"] for each in container["ports"]} == {port["targetPort"]: port["port"]}
    assert violations(pod["spec"]) == []
    assert not pod["spec"]["automountServiceAccountToken"]
    (volume,) = pod["spec"]["volumes"]
    (claim,) = built.of_kind("PersistentVolumeClaim")
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_the_pushgateway_starts_as_its_deployment_says_and_keeps_what_was_pushed(tmp_path: Path) -> None:
    deployment = build("prod", "pushgateway").one("Deployment", "prometheus-pushgateway")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    for expected in ("", "pushed"):
        port = free_port()
        arguments = [
            each.replace(":9091", f"127.0.0.1:{port}").replace("/data", str(tmp_path)) for each in container["args"]
        ]
        path = container["readinessProbe"]["httpGet"]["path"]
        pushgateway = Program(["prometheus-pushgateway", *arguments], port, path, tmp_path / "log")
        try:
            pushgateway.wait_until_ready()
            address = f"http://{pushgateway.address}/metrics"
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert expected in answer.read().decode()
            request = urllib.request.Request(f"{address}/job/a", data=b"pushed 1\n", method="POST")
            urllib.request.urlopen(request, timeout=60).close()
        finally:
            # It writes what it has when it ends.
            pushgateway.stop()


def test_the_grafana_operator_reads_the_dashboard_whatever_it_is_called() -> None:
    for fields in ({}, {"namePrefix": "team-"}):
        built = build_with(fields, "prod", "monitoring", "grafana-operator")
        (dashboard,) = built.of_kind("GrafanaDashboard")
        reference = dashboard["spec"]["configMapRef"]
        assert reference["key"] in built.one("ConfigMap", reference["name"])["data"]


def test_the_overlay_of_the_readme_builds_with_its_own_image() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (overlay,) = re.findall(r"cat > deploy/kustomization.yaml <<'EOF'\n(.*?)^EOF$", text, re.DOTALL | re.MULTILINE)
    fields = yaml.safe_load(overlay)
    assert [(ROOT / "deploy" / each).resolve() for each in fields.pop("resources")] == [MANIFESTS / "overlays" / "prod"]
    assert build_with(fields, "prod").container["image"] == f"registry.example.com/team/import-images:{VERSION}"


def _example(name: str, kind: str) -> Object:
    objects = list(yaml.safe_load_all((ROOT / "examples" / name).read_text()))
    (found,) = (each for each in objects if each["kind"] == kind)
    assert isinstance(found, dict)
    return found


def _of_argo_cd() -> tuple[str, str, str, Object]:
    source = _example("argo-cd/application.yaml", "Application")["spec"]["source"]
    (image,) = source["kustomize"].pop("images")
    name, _, new = image.partition("=")
    new_name, _, tag = new.rpartition(":")
    images = [{"name": name, "newName": new_name, "newTag": tag}]
    return source["repoURL"], source["targetRevision"], source["path"], {**source["kustomize"], "images": images}


def _of_flux() -> tuple[str, str, str, Object]:
    repository = _example("flux/import-images.yaml", "GitRepository")["spec"]
    spec = _example("flux/import-images.yaml", "Kustomization")["spec"]
    fields = {key: spec[key] for key in ("components", "images", "patches")}
    return repository["url"], repository["ref"]["tag"], spec["path"], fields


@pytest.mark.parametrize("read", [_of_argo_cd, _of_flux])
def test_an_example_builds_with_its_own_image_component_and_patch(
    read: Callable[[], tuple[str, str, str, Object]],
) -> None:
    url, revision, path, fields = read()
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert url == tomllib.load(file)["project"]["urls"]["Source"] + ".git"
    assert revision == f"v{VERSION}"
    assert (ROOT / path).samefile(ROOT / "manifests" / "overlays" / "prod")
    components = fields.pop("components")
    assert all((ROOT / path / each / "kustomization.yaml").is_file() for each in components)
    built = build_with(fields, "prod", *(Path(each).name for each in components))
    assert built.container["image"] == f"registry.example.com/team/import-images:{VERSION}"
    assert built.one("CronJob")["spec"]["schedule"] == "30 4 * * 1"
    assert settings_of(built).watch_rollouts


def test_the_job_follows_the_image_that_is_built_from_the_repository() -> None:
    built = build("prod", "build")
    spec = built.one("BuildConfig")["spec"]
    with (ROOT / "pyproject.toml").open("rb") as file:
        source = tomllib.load(file)["project"]["urls"]["Source"]
    assert spec["source"]["git"]["uri"] == f"{source}.git"
    assert (ROOT / spec["strategy"]["dockerStrategy"]["dockerfilePath"]).is_file()
    tag = spec["output"]["to"]["name"]
    assert tag.split(":") == [built.one("ImageStream")["metadata"]["name"], "latest"]
    followed = workload_from(CRON_JOBS, built.one("CronJob"))
    assert followed is not None
    (follows,) = followed.follows
    assert (f"{follows.tag.stream}:{follows.tag.tag}", follows.problem) == (tag, None)
    assert follows.container == built.container["name"]


@pytest.mark.parametrize("component", ["rollouts", "rollback"])
def test_who_may_watch_rollouts_does_and_puts_nothing_back_unasked(component: str) -> None:
    settings = settings_of(build("prod", component))
    assert settings.watch_rollouts
    assert settings.on_bad_rollout == "report"
    assert not settings_of(build("prod")).watch_rollouts


def test_shards_are_counted_alike_everywhere_and_fail_alone() -> None:
    built = build("prod", "sharded")
    count = built.job["completions"]
    assert built.job["completionMode"] == "Indexed"
    assert built.job["parallelism"] == count
    assert built.environment["SHARDS"] == str(count)
    # A limit for all indexes together would let some of them stop the others.
    assert "backoffLimit" not in built.job
    assert built.job["backoffLimitPerIndex"] == 1
    assert on_failure(built, {"DisruptionTarget"}, 143) == "Ignore"
    assert on_failure(built, set(), 1) == "FailIndex"


def test_a_fleet_gets_more_memory_and_the_same_processor() -> None:
    limits = build("prod", "fleet").container["resources"]["limits"]
    assert limits["cpu"] == "500m"
    assert int(limits["memory"].removesuffix("Mi")) * MI > 80 * MI


def test_a_small_job_has_less_of_the_processor_and_keeps_its_memory() -> None:
    assert build("prod", "small").container["resources"]["limits"] == {"cpu": "100m", "memory": "80Mi"}
    fleet = build("prod", "fleet").container["resources"]["limits"]["memory"]
    for components in (("fleet", "small"), ("small", "fleet")):
        assert build("prod", *components).container["resources"]["limits"] == {"cpu": "100m", "memory": fleet}


def test_what_was_pushed_keeps_its_labels() -> None:
    (endpoint,) = build("prod", "monitoring").one("ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
