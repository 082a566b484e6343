"""Which cluster, as whom: by context, kubeconfig, impersonation and certificate; and what is said of it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
import yaml

from tests.sandbox.client import Sandbox
from tests.support.place import Place
from tests.support.rights import RUN
from tests.support.servers import Answered, serving
from tests.support.tiers import representatives

TAIL = "the long tail of a matrix, each a whole run of its own"


def two_contexts(place: Place, folder: Path) -> Path:
    """A kubeconfig: `stg`, the current one, leads nowhere, and `prod` to the sandbox."""
    file = place.sandbox.kubeconfig(place.token, place.namespace)
    config = yaml.safe_load(file.read_text())
    clusters = [
        {"name": "stg", "cluster": {"server": "https://127.0.0.1:1"}},
        {**config["clusters"][0], "name": "prod"},
    ]
    user = config["users"][0]["name"]
    contexts = [
        {"name": "stg", "context": {"cluster": "stg", "user": user, "namespace": "packit-stg"}},
        {"name": "prod", "context": {"cluster": "prod", "user": user, "namespace": place.namespace}},
    ]
    made = folder / "two-contexts"
    made.write_text(json.dumps({**config, "clusters": clusters, "contexts": contexts, "current-context": "stg"}))
    return made


def test_a_context_beats_the_login_of_the_environment_and_is_named(place: Place, tmp_path: Path) -> None:
    place.imported("app")
    file = two_contexts(place, tmp_path)
    elsewhere = {"HOST": "https://127.0.0.1:1", "NAMESPACE": None}
    done = place.run("plan", "--kubeconfig", str(file), "--context", "prod", "--output", "table", **elsewhere)
    assert done.status == 0, done.stderr
    user = f"system:serviceaccount:{place.namespace}:import-images"
    assert done.stdout.replace("\n", "").startswith(f"{place.sandbox.secure_server} (context prod) as {user}")
    report = place.run("plan", "--context", "prod", "--output", "json", KUBECONFIG=str(file), **elsewhere).report
    assert (report["run"]["server"], report["run"]["user"]) == (place.sandbox.secure_server, user)
    mistyped = place.run("plan", "--context", "prodd", KUBECONFIG=str(file))
    assert mistyped.status == 2
    assert "no context prodd; did you mean prod?" in mistyped.stderr


@pytest.mark.parametrize("current", representatives(["", "gone", None], TAIL))
def test_a_context_that_is_named_needs_no_current_one(place: Place, tmp_path: Path, current: str | None) -> None:
    """As with oc, where a logout or a tool that writes kubeconfigs left none, or one that was deleted."""
    place.imported("app")
    file = two_contexts(place, tmp_path)
    content = {**json.loads(file.read_text()), "current-context": current}
    if current is None:
        del content["current-context"]
    file.write_text(json.dumps(content))
    login = {"KUBECONFIG": str(file), "HOST": None, "TOKEN": None, "NAMESPACE": None}
    done = place.run("plan", "--context", "prod", **login)
    assert (done.status, done.results) == (0, {"app:prod": "unchanged"}), done.stderr
    without = place.run("plan", **login)
    assert without.status == 2 and "no cluster to talk to" in without.stderr


@pytest.mark.parametrize("client", representatives(["api", "oc"], TAIL))
def test_a_credential_plug_in_that_fails_is_quoted(place: Place, tmp_path: Path, client: str) -> None:
    """Without its login a request would be anonymous, and the answer about rights."""
    plugin = tmp_path / "plugin"
    plugin.write_text("#!/bin/sh\necho 'the session is over: run corp-login' >&2\nexit 1\n")
    plugin.chmod(0o700)
    version = "client.authentication.k8s.io/v1"
    user = {"exec": {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}}
    config = yaml.safe_load(place.sandbox.kubeconfig(place.token, place.namespace).read_text())
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps({**config, "users": [{**config["users"][0], "user": user}]}))
    login = {"KUBECONFIG": str(file), "HOST": None, "TOKEN": None, "HOME": str(tmp_path)}
    done = place.run("plan", "--client", client, **login)
    assert done.status == 3
    assert "the login cannot be renewed" in done.stderr and "the session is over: run corp-login" in done.stderr


def test_a_suggested_command_reaches_the_same_cluster_when_it_is_pasted(place: Place, tmp_path: Path) -> None:
    digest = place.imported("app")
    place.sandbox.registry.delete(f"{place.namespace}/app", digest)
    file = two_contexts(place, tmp_path)
    login = {"KUBECONFIG": str(file), "HOST": None, "TOKEN": None, "NAMESPACE": None}
    commands = [each["command"] for each in place.run("status", "--context", "prod", **login).report["attention"]]
    commands += [
        each for found in place.run("doctor", "--context", "prod", **login).report["findings"] for each in found["fix"]
    ]
    ours = [each for each in commands if each and each.startswith(("import-images ", "oc "))]
    assert ours and all("--context prod" in each for each in ours), commands


def test_a_run_as_another_user_has_that_users_rights(place: Place) -> None:
    place.imported("app")
    place.sandbox.create_account(place.namespace, "other", [])
    reader = [{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}]
    token = place.sandbox.create_account(place.namespace, "boss", [*RUN, *reader])
    user = f"system:serviceaccount:{place.namespace}:other"
    done = place.run("plan", "--as", user, "--output", "json", TOKEN=token)
    assert done.status == 3
    assert user in done.stderr and "cannot list" in done.stderr
    assert place.run("plan", "--as-group", "admins").status == 2


def test_the_certificate_of_host_may_be_the_clusters_own(place: Place, tmp_path: Path) -> None:
    place.imported("app")
    assert place.run("plan", HOST=place.sandbox.secure_server, CA_FILE=str(place.sandbox.ca_file)).status == 0
    (tmp_path / "none.pem").write_text("none")
    done = place.run("plan", HOST=place.sandbox.secure_server, CA_FILE=str(tmp_path / "none.pem"))
    assert done.status == 2 and "CA_FILE" in done.stderr


def test_an_expired_login_says_where_and_what_to_do(place: Place) -> None:
    with serving("", lambda _: Answered(401, b'{"kind": "Status", "message": "Unauthorized", "code": 401}')) as server:
        done = place.run("plan", HOST=server.url, RETRIES="0")
    assert done.status == 3
    # Once, though the rules cannot be read either.
    (line,) = [line for line in done.stderr.splitlines() if "refuses the login" in line]
    assert f"{server.url} refuses the login: the token is wrong or has expired" in line
    assert "oc whoami -t" in line


def test_a_namespace_that_is_not_there_is_told_from_one_that_may_not_be_read(place: Place, sandbox: Sandbox) -> None:
    place.imported("app")
    missing = place.run("plan", NAMESPACE=place.namespace + "x", TOKEN=sandbox.token)
    assert missing.status == 2
    assert f"there is no namespace {place.namespace}x on {sandbox.server}" in missing.stderr
    # A name that is like the readable namespace's would be taken for a mistyped one.
    other = sandbox.create_namespace(f"elsewhere-{uuid.uuid4().hex}")
    refused = place.run("plan", NAMESPACE=other)
    assert refused.status == 3
    assert "cannot list" in refused.stderr


def test_labels_that_no_stream_has_are_named(place: Place) -> None:
    place.imported("app")
    done = place.run("plan", "--selector", "app=none", DEPLOYMENT=None)
    assert done.status == 2
    assert f"no stream in {place.namespace} has tags and the labels app=none" in done.stderr


def test_a_plan_warns_of_rules_that_it_cannot_read(place: Place) -> None:
    place.imported("app")
    place.fault("configmaps/import-images-rules$", "GET", status={"code": 403, "message": "not these"})
    done = place.run("plan")
    assert done.status == 0
    assert "not these" in done.stderr and "what they block is shown as if it were not" in done.stderr


def test_all_namespaces_are_those_with_such_tags(place: Place, sandbox: Sandbox) -> None:
    other, empty = Place(sandbox), Place(sandbox)
    tag = f"only-{place.namespace}"
    for each in (place, other):
        each.push("app", "1", tag)
        each.stream("app", {tag: each.source("app", tag)})
    empty.imported("app")
    seen = place.run("plan", "-A", "--output", "json", DEPLOYMENT=tag, TOKEN=sandbox.token).report
    assert seen["run"]["namespaces"] == sorted([place.namespace, other.namespace])
    assert place.run("plan", "-A", DEPLOYMENT="no-such-tag-anywhere", TOKEN=sandbox.token).status == 2
    assert place.run("run", "-A").status == 2
