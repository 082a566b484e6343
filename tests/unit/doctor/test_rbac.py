"""The rights that doctor asks for are those of the Roles that are shipped."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from job.doctor.checks.rbac import Use, fleet, granted, missing
from job.doctor.rights import ESSENTIAL, FLEET, HOME, NAMES, RULES, Component, Right, wanted
from job.domain.states import Severity
from tests.support.paths import MANIFESTS

NAMESPACE = "packit-prod"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:import-images"
ROLES = {
    Component.BASE: "base/role.yaml",
    Component.ROLLOUTS: "components/rollouts/role.yaml",
    Component.ROLLBACK: "components/rollback/role.yaml",
    Component.GATES: "components/gates/role.yaml",
}


def shipped(path: str, kind: str, name: str) -> list[Right]:
    """The rules of a shipped Role, each verb on its own."""
    documents = yaml.safe_load_all((MANIFESTS / path).read_text(encoding="utf-8"))
    (role,) = (each for each in documents if each["kind"] == kind and each["metadata"]["name"] == name)
    return list(rights_of(role["rules"]))


def rights_of(rules: Iterable[dict[str, Any]]) -> Iterable[Right]:
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Right(group, resource, verb, name)


@pytest.mark.parametrize("component", list(Component))
def test_they_are_those_of_the_role(component: Component) -> None:
    found = shipped(ROLES[component], "Role", NAMES[component])
    assert len(set(RULES[component])) == len(RULES[component])
    assert set(RULES[component]) == set(found)


@pytest.mark.parametrize("component", list(Component))
def test_the_fix_grants_all_rights_of_the_component(component: Component) -> None:
    apply = f" | oc -n {NAMESPACE} apply -f -"
    for user in (ACCOUNT, "jane", "system:serviceaccount:other:bot", f"system:serviceaccount:{NAMESPACE}:bot", None):
        role, binding = granted(user, NAMESPACE, component)
        assert role.endswith(apply) and binding.endswith(apply)
        echo, text = shlex.split(role.removesuffix(apply))
        written = json.loads(text)
        assert (echo, written["kind"], written["metadata"]["name"]) == ("echo", "Role", NAMES[component])
        assert set(rights_of(written["rules"])) == set(RULES[component])
        # Only the job's own account is bound by the binding of the manifests.
        own = f"rolebinding {NAMES[component]} " in binding
        assert own is (user == ACCOUNT)


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("kube:admin", "kube-admin"),
        ("jane.doe@example.org", "jane.doe-example.org"),
        ("https://idp.example/realms/x#jane", "https---idp.example-realms-x-jane"),
        ("100% real/..", "100--real-.."),
        ("é" * 300, "-" * 63),
        (None, "USER"),
    ],
)
def test_a_binding_has_a_name_that_the_api_takes(user: str | None, name: str) -> None:
    who = f"--user={user or 'USER'}"
    words = shlex.split(granted(user, NAMESPACE, Component.BASE)[1])
    assert (words[5], words[7]) == (f"import-images-{name}", who)
    words = shlex.split(fleet(user, "no").fix[1])
    assert (words[3], words[5]) == (f"import-images-{name}", who)


def test_accounts_of_one_name_have_bindings_of_their_own() -> None:
    users = [f"system:serviceaccount:{home}:import-images" for home in (NAMESPACE, "packit-stg", "packit-dev")]
    names = [shlex.split(granted(user, NAMESPACE, Component.ROLLOUTS)[1])[5] for user in users]
    role = "import-images-rollouts"
    assert names == [role, f"{role}-packit-stg-import-images", f"{role}-packit-dev-import-images"]


def test_those_of_a_fleet() -> None:
    path = "components/fleet/cluster-roles.yaml"
    assert list(FLEET) == shipped(path, "ClusterRole", "import-images-namespaces")
    everywhere = {right for right in RULES[Component.BASE] if right not in HOME}
    assert everywhere == set(shipped(path, "ClusterRole", "import-images"))


def all_but(*lacking: Right) -> dict[Right, bool | None]:
    return {right: right not in lacking for rights in RULES.values() for right in rights}


def test_none_is_missing() -> None:
    assert missing(Use(ACCOUNT), NAMESPACE, all_but()) == []


def test_pods_are_created_only_for_rehearsals() -> None:
    lacking = all_but(Right("", "pods", "create"))
    assert missing(Use(ACCOUNT), NAMESPACE, lacking) == []
    (found,) = missing(Use(ACCOUNT, rehearses="REHEARSE is set"), NAMESPACE, lacking)
    assert found.severity is Severity.ERROR
    assert found.message == "run --rehearse: may not create pods; needed because REHEARSE is set"
    assert found.fix == granted(ACCOUNT, NAMESPACE, Component.GATES)


@pytest.mark.parametrize(
    "right", [right for component, rights in RULES.items() if component is not Component.GATES for right in rights]
)
def test_each_is_told(right: Right) -> None:
    found = missing(Use(ACCOUNT), NAMESPACE, all_but(right))
    assert found
    for each in found:
        assert f"may not {right.verb} {right.resource}" in each.message
        assert each.fix == granted(ACCOUNT, NAMESPACE, Component(each.check.removeprefix("rights-")))
    worst = found[0].severity
    base = right in RULES[Component.BASE]
    assert worst is (Severity.ERROR if right in ESSENTIAL else Severity.WARNING if base else Severity.NOTE)


def test_what_is_made_use_of_is_an_error() -> None:
    update = Right("image.openshift.io", "imagestreamtags", "update")
    (found,) = missing(Use(ACCOUNT, goes_back="ON_BAD_ROLLOUT is rollback"), NAMESPACE, all_but(update))
    assert found.severity is Severity.ERROR
    assert found.message.endswith("may not update imagestreamtags; needed because ON_BAD_ROLLOUT is rollback")
    (note,) = missing(Use("somebody", is_job=False), NAMESPACE, all_but(update))
    assert note.severity is Severity.NOTE
    assert note.fix[1] == (
        f"oc -n {NAMESPACE} create rolebinding import-images-rollback-somebody --role=import-images-rollback"
        f" --user=somebody --dry-run=client -o yaml | oc -n {NAMESPACE} apply -f -"
    )


def test_what_the_job_reads_of_itself_is_asked_at_home_only() -> None:
    assert set(HOME) <= {right for each, right in wanted(ACCOUNT, NAMESPACE) if each is Component.BASE}
    assert not set(HOME) & {right for each, right in wanted(ACCOUNT, "other") if each is Component.BASE}
    assert not set(HOME) & {right for each, right in wanted("somebody", NAMESPACE) if each is Component.BASE}


def test_no_answer_is_told() -> None:
    (found,) = missing(Use(ACCOUNT), NAMESPACE, dict.fromkeys(all_but()))
    assert (found.check, found.severity) == ("not-checked", Severity.WARNING)


def test_several_in_one_sentence() -> None:
    events = [Right("", "events", verb) for verb in ("create", "get", "update")]
    jobs = [Right("batch", "jobs", "get")]
    (found,) = missing(Use(ACCOUNT), NAMESPACE, all_but(*events, *jobs))
    assert found.message == "run: may not create, get and update events; get jobs"
