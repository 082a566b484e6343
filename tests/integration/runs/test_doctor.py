"""`doctor` on a namespace that is well, and on one in which faults are planted."""

from __future__ import annotations

import base64
import copy
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.client import IMAGE, Json, Sandbox, tag_reference
from tests.sandbox.workload_manifests import path, trigger
from tests.support import servers
from tests.support.kustomize import build
from tests.support.place import HOLD, PROGRAM, Ended, Place
from tests.support.rights import ROLL_BACK, RUN, without
from tests.support.servers import Asked, Sums, guarded_pushgateway, guarded_registry, serving
from tests.support.tiers import representatives, slow

WHOLE_RUN = "the finding is a unit test in tests/unit/doctor; one of its kind gates as a whole run"
TAIL = "the long tail of a matrix, each a whole run or request of its own"


KUBECTL = PROGRAM.with_name("kubectl")
HASHED = "$2b$04$naNV48U7qumMR5TmVMBlzuBYFrF2Vj43Wh4VpNHRNg7qUmc6b0yOu"


def with_history(place: Place, name: str, images: int = 3) -> str:
    """A stream whose tag had so many images; gives the newest digest."""
    digest = ""
    for number in range(images):
        digest = place.push(name, f"{name} {number}")
        if not number:
            place.stream(name)
        place.sandbox.import_tag(place.namespace, name, "prod")
    return digest


def apply_cron_job(place: Place, **environment: str) -> None:
    """The CronJob as the overlay for prod has it, with more settings, written by kubectl."""
    found = copy.deepcopy(build("prod").one("CronJob"))
    (container,) = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    container["env"] += [{"name": name, "value": value} for name, value in environment.items()]
    config = place.sandbox.kubeconfig(place.sandbox.token, place.namespace)
    command = [str(KUBECTL), "--kubeconfig", str(config), "apply", "-f", "-"]
    subprocess.run(command, input=json.dumps(found), text=True, check=True, capture_output=True, timeout=30)


@pytest.fixture
def well(sandbox: Sandbox) -> Iterator[Place]:
    """A namespace without problems."""
    place = Place(sandbox, ROLL_BACK)
    apply_cron_job(place)
    with_history(place, "worker")
    with_history(place, "web")
    place.sandbox.create_workload(place.namespace, "StatefulSet", "worker", tag="worker:prod", replicas=2)
    place.sandbox.create_workload(place.namespace, "Deployment", "web", tag="web:prod")
    yield place
    sandbox.remove_faults()


def change(place: Place, **spec: Any) -> None:
    """Change the CronJob."""
    place.sandbox.patch(f"{path('CronJob', place.namespace)}/import-images", {"spec": spec})


def give(place: Place, name: str, **settings: str) -> None:
    """Set more of a CronJob's environment."""
    found = place.sandbox.workload(place.namespace, "CronJob", name)
    container = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["env"] += [{"name": key, "value": value} for key, value in settings.items()]
    place.sandbox.replace(f"{path('CronJob', place.namespace)}/{name}", found)


def add_cron_job(place: Place, name: str, account: str) -> None:
    """Another CronJob like the one of the overlay for prod, with an account of its own."""
    found = copy.deepcopy(build("prod").one("CronJob"))
    found["metadata"]["name"] = name
    found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["serviceAccountName"] = account
    place.sandbox.create(path("CronJob", place.namespace), found)


def doctor(place: Place, *arguments: str, **environment: str | None) -> Ended:
    return place.run("doctor", "--output", "json", *arguments, **environment)


def told(done: Ended) -> list[tuple[str, str]]:
    """Check and place of each finding."""
    return [(each["check"], each["where"]) for each in done.report["findings"]]


def only(done: Ended, check: str, where: str = "") -> Json:
    """The one finding of a check, at a place if that is named."""
    (found,) = (f for f in done.report["findings"] if f["check"] == check and where in ("", f["where"]))
    assert isinstance(found, dict)
    return found


@pytest.fixture
def fix(sandbox: Sandbox, tmp_path: Path) -> Callable[[Place, Json], None]:
    """Paste the fix of a finding into a shell that has kubectl for oc, in a folder without a checkout."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "oc").symlink_to(KUBECTL)
    (programs / "import-images").symlink_to(PROGRAM)

    def run(place: Place, finding: Json) -> None:
        config = sandbox.kubeconfig(sandbox.token, place.namespace)
        search = f"{programs}:{os.environ['PATH']}"
        environment = {**place.environment(), "KUBECONFIG": str(config), "PATH": search, "HOME": str(tmp_path)}
        for command in finding["fix"]:
            shell = shutil.which("bash")
            assert shell
            done = subprocess.run(
                [shell, "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr

    return run


class TestWell:
    def test_nothing_is_found(self, well: Place) -> None:
        versions = well.versions()
        done = doctor(well)
        assert (done.status, done.report["findings"]) == (0, []), done.stdout
        assert (done.report["kind"], done.report["version"]) == ("Doctor", 2)
        assert done.report["looked_at"] == {"tags": 2, "workloads": 2, "cron_jobs": 1}
        assert well.versions() == versions
        writes = [each for each in well.requests() if each["method"] in ("PUT", "PATCH", "DELETE")]
        posts = {each["path"].rpartition("/")[2] for each in well.requests("POST")}
        assert (writes, posts) == ([], {"imagestreamimports"})

    @slow(WHOLE_RUN)
    def test_the_page_says_so(self, well: Place) -> None:
        done = well.run("doctor", "--output", "table")
        assert done.status == 0
        assert "no problems found; checked 2 tags, 2 workloads, 1 CronJob" in done.stdout
        assert "deleted again" in done.stdout

    @slow(WHOLE_RUN)
    def test_whoever_looks_after_it_sees_nothing_either(self, well: Place) -> None:
        done = doctor(well, TOKEN=well.sandbox.token)
        assert (done.status, done.report["findings"]) == (0, []), done.stdout

    @slow(WHOLE_RUN)
    def test_the_base_alone_gives_notes_only(self, well: Place) -> None:
        well.sandbox.delete(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{well.namespace}/rolebindings")
        well.sandbox.grant(well.namespace, "import-images", RUN)
        done = doctor(well)
        assert done.status == 0, done.stdout
        assert {each["severity"] for each in done.report["findings"]} == {"note"}
        where = f"the rights of account {well.namespace}:import-images"
        assert told(done) == [("not-checked", "workloads"), ("rights-rollback", where), ("rights-rollouts", where)]
        # The CronJob is found by its name, which the base's Role lets it read.
        assert done.report["looked_at"]["cron_jobs"] == 1

    @slow(WHOLE_RUN)
    def test_it_says_what_of_it_matters(self, well: Place) -> None:
        well.sandbox.delete(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{well.namespace}/rolebindings")
        well.sandbox.grant(well.namespace, "import-images", RUN)
        apply_cron_job(well, ON_BAD_ROLLOUT="rollback")
        done = doctor(well)
        assert done.status == 1
        assert "needed because ON_BAD_ROLLOUT is rollback" in only(done, "rights-rollback")["message"]


class TestTriggers:
    @pytest.mark.parametrize(
        ("changed", "message"),
        representatives(
            [
                ({"paused": "false"}, "paused"),
                ({"fieldPath": "spec.template.spec.containers[app].image"}, "fieldPath"),
                ({"fieldPath": 'spec.template.spec.containers[?(@.name=="other")].image'}, 'no container "other"'),
                ({"from": {"kind": "ImageStream", "name": "worker:prod"}}, "from.kind"),
                ("[{", "is not JSON"),
            ],
            TAIL,
        ),
    )
    def test_one_that_never_fires(
        self, well: Place, fix: Callable[[Place, Json], None], changed: Json | str, message: str
    ) -> None:
        triggers = changed if isinstance(changed, str) else [{**trigger("worker:prod"), **changed}]
        image = well.source("worker")
        well.sandbox.create_workload(well.namespace, "Deployment", "bad", image=image, triggers=triggers)
        done = doctor(well)
        assert (done.status, told(done)) == (1, [("trigger-never-fires", "Deployment bad")])
        found = only(done, "trigger-never-fires")
        assert message in found["message"]
        assert found["severity"] == "error"
        fix(well, found)
        assert told(doctor(well)) == []

    @slow(WHOLE_RUN)
    def test_one_on_no_tag(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        well.sandbox.create_workload(well.namespace, "Deployment", "slip", tag="wroker:prod")
        well.sandbox.create_workload(well.namespace, "StatefulSet", "later", tag="web:production-of-2027")
        done = doctor(well)
        assert told(done) == [("trigger-without-tag", "Deployment slip"), ("trigger-without-tag", "StatefulSet later")]
        # The registry has no such image either.
        assert only(done, "trigger-without-tag", "StatefulSet later")["fix"] == []
        well.push("web", "ready", "production-of-2027")
        (command,) = only(doctor(well), "trigger-without-tag", "StatefulSet later")["fix"]
        source = well.source("web", "production-of-2027")
        assert command == f"oc -n {well.namespace} tag --source=docker --insecure {source} web:production-of-2027"
        fix(well, only(done, "trigger-without-tag", "Deployment slip"))
        assert told(doctor(well)) == [("trigger-without-tag", "StatefulSet later")]

    def test_one_on_a_tag_without_image(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        well.push("late", "one")
        alias = {"from": {"kind": "ImageStreamTag", "name": "stg"}}
        well.stream("late", {"stg": well.source("late"), "stable": alias})
        well.stream("pushed", {"stg": {}})
        for name in ("late:stable", "pushed:stg"):
            well.sandbox.create_workload(well.namespace, "Deployment", name.partition(":")[0], tag=name)
        done = doctor(well)
        assert told(done) == [("trigger-without-image", f"Deployment {name}") for name in ("late", "pushed")]
        assert only(done, "trigger-without-image", "Deployment pushed")["fix"] == []
        fix(well, only(done, "trigger-without-image", "Deployment late"))
        assert told(doctor(well)) == [("trigger-without-image", "Deployment pushed")]

    @slow(WHOLE_RUN)
    def test_workloads_that_cannot_be_listed_for_another_reason_need_no_right(self, well: Place) -> None:
        well.fault("deployments$", "GET", status={"code": 500, "message": "etcd is down"})
        found = only(doctor(well, RETRIES="0"), "not-checked", "workloads")
        assert "etcd is down" in found["message"] and found["fix"] == []

    @slow(WHOLE_RUN)
    def test_pause_and_paused(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        triggers = [{**trigger("worker:prod"), "pause": "true"}]
        well.sandbox.create_workload(well.namespace, "Deployment", "old", tag="worker:prod", triggers=triggers)
        done = doctor(well)
        assert told(done) == [("trigger-pause-ignored", "Deployment old")]
        fix(well, only(done, "trigger-pause-ignored"))
        done = doctor(well)
        assert (done.status, told(done)) == (0, [("trigger-paused", "Deployment old")])
        fix(well, only(done, "trigger-paused"))
        assert told(doctor(well)) == []

    @slow(WHOLE_RUN)
    def test_several_of_one_workload_are_fixed_by_one_command(
        self, well: Place, fix: Callable[[Place, Json], None]
    ) -> None:
        containers = [{"name": "app", "image": "app"}, {"name": "web", "image": well.source("web")}]
        template = {"metadata": {"labels": {"app": "two"}}, "spec": {"containers": containers}}
        triggers = [{**trigger("wroker:prod"), "pause": "true"}]
        well.sandbox.create_workload(
            well.namespace, "Deployment", "two", triggers=triggers, spec={"template": template}
        )
        done = doctor(well)
        checks = ["trigger-pause-ignored", "trigger-without-tag", "workload-without-trigger"]
        assert sorted(check for check, _ in told(done)) == checks
        assert len({tuple(each["fix"]) for each in done.report["findings"]}) == 1
        fix(well, done.report["findings"][0])
        assert told(doctor(well)) == [("trigger-paused", "Deployment two")]

    @slow(WHOLE_RUN)
    def test_what_is_no_trigger_at_all(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        text = json.dumps(["x", {**trigger("worker:prod"), "pause": "false"}])
        well.sandbox.create_workload(well.namespace, "Deployment", "odd", triggers=text)
        done = doctor(well)
        assert (done.status, "internal" in done.stderr) == (1, False)
        fix(well, only(done, "trigger-pause-ignored"))
        assert told(doctor(well)) == []

    @slow(WHOLE_RUN)
    def test_of_another_namespace(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        sandbox, far = well.sandbox, well.sandbox.create_namespace()
        well.push("base", "base")
        local = {**tag_reference("prod", well.source("base")), "referencePolicy": {"type": "Local"}}
        sandbox.create_stream(far, "base", {"prod": local})
        sandbox.import_tag(far, "base", "prod")
        sandbox.create_workload(well.namespace, "Deployment", "far", tag=f"{far}/base:prod")
        done = doctor(well)
        assert (done.status, told(done)) == (0, [("not-checked", "Deployment far")])
        done = doctor(well, TOKEN=sandbox.token)
        assert told(done) == [("trigger-cannot-pull", "Deployment far")]
        fix(well, only(done, "trigger-cannot-pull"))
        assert told(doctor(well, TOKEN=sandbox.token)) == []

    @pytest.mark.parametrize("how", representatives(["source", "digest", "lookup", "resolve"], TAIL))
    def test_a_workload_without_one(self, well: Place, how: str) -> None:
        image, more = well.source("worker"), {}
        if how == "digest":
            image = f"{image.rpartition(':')[0]}@{well.current('worker')}"
        if how in ("lookup", "resolve"):
            image = "worker:prod"
        if how == "resolve":
            more["annotations"] = {"alpha.image.policy.openshift.io/resolve-names": "*"}
        if how == "lookup":
            stream = f"{IMAGE}/namespaces/{well.namespace}/imagestreams/worker"
            well.sandbox.patch(stream, {"spec": {"lookupPolicy": {"local": True}}})
        well.sandbox.create_workload(well.namespace, "CronJob", "nightly", image=image, **more)
        done = doctor(well)
        assert (done.status, told(done)) == (1, [("workload-without-trigger", "CronJob nightly")])
        command = f"oc -n {well.namespace} set triggers cronjob/nightly --from-image=worker:prod -c app"
        assert only(done, "workload-without-trigger")["fix"] == [command]

    @slow(WHOLE_RUN)
    def test_a_tag_that_nothing_follows(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        with_history(well, "lonely")
        done = doctor(well)
        assert (done.status, told(done)) == (1, [("tag-not-followed", "lonely:prod")])
        fix(well, only(done, "tag-not-followed"))
        assert told(doctor(well)) == []


@slow(WHOLE_RUN)
def test_shards_without_their_pods(well: Place, fix: Callable[[Place, Json], None]) -> None:
    give(well, "import-images", SHARDS="4")
    done = doctor(well)
    assert (done.status, told(done)) == (1, [("cron-job-shards", "CronJob import-images")])
    fix(well, only(done, "cron-job-shards"))
    assert told(doctor(well)) == []


class TestTags:
    def test_one_that_cannot_be_imported(self, well: Place) -> None:
        well.stream("gone")
        well.sandbox.create_workload(well.namespace, "Deployment", "gone", tag="gone:prod")
        done = doctor(well)
        assert (done.status, told(done)) == (1, [("tag-cannot-be-imported", "gone:prod")])
        assert well.source("gone") in only(done, "tag-cannot-be-imported")["message"]

    def test_a_login_that_has_expired_and_sorts_first(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        well.push("private", "one")
        with guarded_registry(well.sandbox, "user:word") as address:
            config = json.dumps({"auths": {address: {"auth": base64.b64encode(b"user:old").decode()}}})
            data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
            secret = {"metadata": {"name": "aaa"}, "type": "kubernetes.io/dockerconfigjson", "data": data}
            well.sandbox.create(f"/api/v1/namespaces/{well.namespace}/secrets", secret)
            well.stream("private", {"prod": f"{address}/{well.namespace}/private:prod"})
            well.sandbox.create_workload(well.namespace, "Deployment", "private", tag="private:prod")
            found = only(doctor(well), "tag-cannot-be-imported", "private:prod")
            (command,) = found["fix"]
            fix(well, {"fix": [command.replace("=USER", "=user").replace("=PASSWORD", "=word")]})
            assert "tag-cannot-be-imported" not in dict(told(doctor(well)))

    @slow(WHOLE_RUN)
    def test_logins_for_two_registries_of_one_stream(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        well.push("private", "one")
        with (
            guarded_registry(well.sandbox, "user:one") as first,
            guarded_registry(well.sandbox, "user:two") as second,
        ):
            sources = {"prod": (first, "one"), "stg": (second, "two")}
            well.stream("private", {tag: f"{at}/{well.namespace}/private:prod" for tag, (at, _) in sources.items()})
            done = doctor(well, "private", DEPLOYMENT=None)
            for tag, (_, word) in sources.items():
                (command,) = only(done, "tag-cannot-be-imported", f"private:{tag}")["fix"]
                fix(well, {"fix": [command.replace("=USER", "=user").replace("=PASSWORD", f"={word}")]})
            assert "tag-cannot-be-imported" not in dict(told(doctor(well, "private", DEPLOYMENT=None)))

    def test_what_nothing_moves(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        """A copy, a removed tag and a dangling alias: reported by doctor and status, and cured by the commands."""
        sandbox, copy = well.sandbox, {"kind": "ImageStreamTag", "name": "base:prod"}
        with_history(well, "base")
        well.stream("app", {"prod": {"from": copy}, "live": {"from": {"kind": "ImageStreamTag", "name": "later"}}})
        sandbox.create_workload(well.namespace, "Deployment", "app", tag="app:prod")
        stream = f"{IMAGE}/namespaces/{well.namespace}/imagestreams/web"
        keeper = {"op": "replace", "path": "/spec/tags/0/name", "value": "stg"}
        sandbox.patch(stream, [keeper], "application/json-patch+json")
        done = doctor(well, "app:live", "app", "base", "web")
        assert told(done) == [("tag-not-moved", name) for name in ("app:live", "app:prod", "web:prod")]
        assert only(done, "tag-not-moved", "app:live")["fix"] == []
        status = well.run("status", "--output", "json", "app:live", "app", "web")
        problems = {each["subject"]: each for each in status.report["attention"] if each["problem"] == "not_moved"}
        assert (status.status, set(problems)) == (1, {"app:live", "app:prod", "web:prod"})
        assert "base:prod" in problems["app:prod"]["message"]
        for name in ("app:prod", "web:prod"):
            fix(well, only(done, "tag-not-moved", name))
        assert told(doctor(well, "app", "web")) == [("horizon-short", "app:prod")]
        newest = well.push("base", "newest")
        assert well.run("run", "app").status == 0
        assert well.current("app") == newest

    @slow(WHOLE_RUN)
    def test_one_that_was_reset(self, well: Place) -> None:
        policy = {"insecure": True, "importMode": "PreserveOriginal"}
        reference = {"from": {"kind": "DockerImage", "name": well.source("many")}, "importPolicy": policy}
        for number in range(3):
            well.push("many", f"many {number}", platforms=("amd64", "arm64"))
            if not number:
                well.stream("many", {"prod": reference})
            well.sandbox.import_tag(well.namespace, "many", "prod")
        well.sandbox.create_workload(well.namespace, "Deployment", "many", tag="many:prod")
        assert told(doctor(well)) == []
        patch = [{"op": "replace", "path": "/spec/tags/0/importPolicy/importMode", "value": "Legacy"}]
        stream = f"{IMAGE}/namespaces/{well.namespace}/imagestreams/many"
        well.sandbox.patch(stream, patch, "application/json-patch+json")
        done = doctor(well)
        assert (done.status, told(done)) == (1, [("tag-reset-to-legacy", "many:prod")])
        command = f"oc -n {well.namespace} import-image many:prod --import-mode=PreserveOriginal"
        assert only(done, "tag-reset-to-legacy")["fix"] == [command]

    @slow(WHOLE_RUN)
    def test_one_that_was_always_of_one_architecture_is_well(self, well: Place) -> None:
        for number in range(3):
            well.push("one", f"one {number}", platforms=("amd64", "arm64"))
            if not number:
                well.stream("one")
            well.sandbox.import_tag(well.namespace, "one", "prod")
        well.sandbox.create_workload(well.namespace, "Deployment", "one", tag="one:prod")
        assert told(doctor(well)) == []

    @slow(WHOLE_RUN)
    def test_one_that_the_platform_imports(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        patch = [{"op": "add", "path": "/spec/tags/0/importPolicy/scheduled", "value": True}]
        stream = f"{IMAGE}/namespaces/{well.namespace}/imagestreams/web"
        well.sandbox.patch(stream, patch, "application/json-patch+json")
        done = doctor(well)
        assert told(done) == [("tag-scheduled", "web:prod")]
        fix(well, only(done, "tag-scheduled"))
        assert told(doctor(well)) == []

    def test_holds(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        digest = well.history("worker")[1]["image"]
        past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        well.roll_back("worker", digest, until=past)
        done = doctor(well)
        # What was rolled back does not count as an earlier image, so there is one left.
        assert told(done) == [("hold-past-its-end", "worker:prod"), ("horizon-short", "worker:prod")]
        fix(well, only(done, "hold-past-its-end"))
        assert told(doctor(well)) == []

    @slow(WHOLE_RUN)
    def test_a_hold_that_is_over(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        patch = [{"op": "add", "path": "/spec/tags/0/annotations", "value": {HOLD: "{}", "note": "ours"}}]
        stream = f"{IMAGE}/namespaces/{well.namespace}/imagestreams/worker"
        well.sandbox.patch(stream, patch, "application/json-patch+json")
        done = doctor(well)
        assert told(done) == [("hold-over", "worker:prod")]
        fix(well, only(done, "hold-over"))
        assert told(doctor(well)) == []
        assert well.spec("worker")["annotations"] == {"note": "ours"}

    @slow(WHOLE_RUN)
    def test_an_opt_out_that_no_run_reads(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        stream = f"{IMAGE}/namespaces/{well.namespace}/imagestreams/worker"
        well.sandbox.patch(stream, {"metadata": {"annotations": {"import-images.dev/skip": "yes"}}})
        done = doctor(well)
        assert (done.status, told(done)) == (1, [("skip-no-boolean", "ImageStream worker")])
        fix(well, only(done, "skip-no-boolean"))
        assert told(doctor(well)) == []
        assert well.run("plan").results["worker:prod"] == "skipped opted_out"
        well.sandbox.patch(stream, {"metadata": {"annotations": {"import-images.dev/skip": "True"}}})
        assert (told(doctor(well)), well.run("plan").results["worker:prod"]) == ([], "skipped opted_out")

    @slow(WHOLE_RUN)
    def test_waves(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        stream = f"{IMAGE}/namespaces/{well.namespace}/imagestreams/worker"
        well.sandbox.patch(stream, {"metadata": {"annotations": {"import-images.dev/wave": "last"}}})
        done = doctor(well)
        assert told(done) == [("wave-no-number", "ImageStream worker")]
        fix(well, only(done, "wave-no-number"))
        assert told(doctor(well)) == []

    @slow(WHOLE_RUN)
    def test_the_horizon(self, well: Place) -> None:
        older = [item["image"] for item in well.history("worker")[1:]]
        for digest in older:
            well.sandbox.registry.delete(f"{well.namespace}/worker", digest)
        done = doctor(well)
        assert (done.status, told(done)) == (1, [("horizon-short", "worker:prod")])
        found = only(done, "horizon-short")
        assert "of 2 earlier images the registry still has none" in found["message"]
        assert found["fix"] == []


class TestCronJob:
    @pytest.mark.parametrize(
        ("check", "spec"),
        representatives(
            [
                ("cron-job-overlaps", {"concurrencyPolicy": "Allow"}),
                ("cron-job-suspended", {"suspend": True}),
                ("cron-job-no-time-zone", {"timeZone": None}),
                ("cron-job-starting-deadline", {"startingDeadlineSeconds": None}),
                ("cron-job-starting-deadline", {"startingDeadlineSeconds": 60}),
                ("cron-job-active-deadline", {"jobTemplate": {"spec": {"activeDeadlineSeconds": 600}}}),
                ("cron-job-never-runs", {"schedule": "0 2 31 2 *"}),
            ],
            TAIL,
        ),
    )
    def test_what_is_wrong_with_it(
        self, well: Place, fix: Callable[[Place, Json], None], check: str, spec: Json
    ) -> None:
        change(well, **spec)
        done = doctor(well)
        assert (done.status, told(done)) == (1, [(check, "CronJob import-images")])
        fix(well, only(done, check))
        assert told(doctor(well)) == []

    @slow(WHOLE_RUN)
    def test_an_image_of_no_version(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        found = well.sandbox.workload(well.namespace, "CronJob", "import-images")
        found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] = "quay.io/packit/it"
        well.sandbox.replace(f"{path('CronJob', well.namespace)}/import-images", found)
        done = doctor(well)
        assert told(done) == [("cron-job-image", "CronJob import-images")]
        fix(well, only(done, "cron-job-image"))
        assert told(doctor(well)) == []

    @slow(WHOLE_RUN)
    def test_one_that_imports_elsewhere_is_of_no_concern(self, well: Place) -> None:
        give(well, "import-images", SERVICE="shop")
        done = doctor(well)
        assert (done.status, told(done)) == (0, [("cron-job-missing", "CronJob")])

    def test_none(self, well: Place) -> None:
        well.sandbox.delete(f"{path('CronJob', well.namespace)}/import-images")
        done = doctor(well)
        assert (done.status, told(done)) == (0, [("cron-job-missing", "CronJob")])
        assert only(done, "cron-job-missing")["fix"] == []


class TestRights:
    def test_one_that_a_run_needs(self, sandbox: Sandbox, fix: Callable[[Place, Json], None]) -> None:
        place = Place(sandbox, without("leases", "create", ROLL_BACK))
        with_history(place, "worker")
        place.sandbox.create_workload(place.namespace, "StatefulSet", "worker", tag="worker:prod")
        apply_cron_job(place)
        done = doctor(place)
        (found,) = done.report["findings"]
        assert (found["check"], found["severity"], done.status) == ("rights-base", "error", 1)
        assert found["message"] == "run: may not create leases"
        fix(place, found)
        assert told(doctor(place)) == []

    @slow(WHOLE_RUN)
    def test_those_of_a_rehearsal(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        annotation = {"metadata": {"annotations": {"import-images.dev/rehearse": "true"}}}
        well.sandbox.patch(f"{IMAGE}/namespaces/{well.namespace}/imagestreams/worker", annotation)
        found = only(doctor(well), "rights-gates")
        assert found["message"] == "run --rehearse: may not create pods; needed because worker:prod is to be rehearsed"
        fix(well, found)
        assert told(doctor(well)) == []

    @slow(WHOLE_RUN)
    def test_of_the_account_of_the_job(self, sandbox: Sandbox, well: Place) -> None:
        role = well.sandbox.items(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{well.namespace}/roles")[0]
        rules = [rule for rule in role["rules"] if "events" not in rule["resources"]]
        root = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{well.namespace}/roles"
        sandbox.replace(f"{root}/{role['metadata']['name']}", {**role, "rules": rules})
        done = doctor(well, TOKEN=sandbox.token)
        found = only(done, "rights-base")
        assert found["where"] == f"the rights of account {well.namespace}:import-images"
        assert (found["severity"], found["message"]) == ("warning", "run: may not create, get and update events")

    @slow(WHOLE_RUN)
    def test_of_two_jobs_with_one_account(self, sandbox: Sandbox, well: Place) -> None:
        sandbox.delete(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{well.namespace}/rolebindings")
        sandbox.grant(well.namespace, "import-images", RUN)
        give(well, "import-images", ON_BAD_ROLLOUT="rollback")
        add_cron_job(well, "nightly", "import-images")
        where = f"the rights of account {well.namespace}:import-images"
        found = only(doctor(well, TOKEN=sandbox.token), "rights-rollback", where)
        assert found["severity"] == "error"
        assert "needed because ON_BAD_ROLLOUT is rollback" in found["message"]
        # The account itself asks; the account of another job does not make its rights a matter of taste.
        add_cron_job(well, "other", "somebody")
        assert only(doctor(well), "rights-rollback", where)["severity"] == "error"

    @slow(WHOLE_RUN)
    def test_of_a_fleet(self, well: Place) -> None:
        done = doctor(well, NAMESPACE=None, NAMESPACE_SELECTOR="fleet=yes")
        assert (done.status, [check for check, _ in told(done)]) == (1, ["rights-fleet"])
        home = well.namespace
        role, binding = only(done, "rights-fleet")["fix"]
        assert role.startswith("oc create clusterrole import-images-namespaces --verb=list --resource=namespaces ")
        assert binding.startswith(
            f"oc create clusterrolebinding import-images-{home} --clusterrole=import-images-namespaces"
            f" --serviceaccount={home}:import-images "
        )

    @slow(WHOLE_RUN)
    def test_nothing_at_all(self, sandbox: Sandbox, well: Place) -> None:
        token = sandbox.create_account(well.namespace, "stranger")
        done = doctor(well, TOKEN=token)
        assert done.status == 1
        assert "list and get imagestreams" in only(done, "rights-base")["message"]
        assert ("not-checked", "image streams") in told(done)


class TestGateway:
    def test_none(self, well: Place) -> None:
        done = doctor(well, PUSHGATEWAY_ADDRESS=None)
        assert (done.status, told(done)) == (0, [("gateway-not-set", "gateway")])

    @pytest.mark.parametrize(
        ("address", "bare"),
        representatives([("http://user:s3cr3t@gw:9091/", "http://gw:9091"), ("it's:9091", "http://it's:9091")], TAIL),
    )
    def test_the_jobs_is_named_without_its_login(self, well: Place, address: str, bare: str) -> None:
        give(well, "import-images", PUSHGATEWAY_ADDRESS=address)
        done = doctor(well, PUSHGATEWAY_ADDRESS=None)
        assert (done.status, told(done)) == (0, [("not-checked", "gateway")])
        (command,) = only(done, "not-checked")["inspect"]
        asked = ["-n", well.namespace, "--deployment", "prod"]
        assert shlex.split(command) == ["import-images", "doctor", *asked, "--pushgateway", bare]
        page = well.run("doctor", "--output", "table", PUSHGATEWAY_ADDRESS=None)
        assert (page.status, "s3cr3t" in done.stdout + page.stdout) == (0, False)

    def test_the_probe_leaves_nothing(self, well: Place) -> None:
        with serving(well.sandbox.pushgateway) as server:
            assert doctor(well, PUSHGATEWAY_ADDRESS=server.url).report["gateway_probed"]
        assert server.methods() == ["DELETE", "POST", "POST", "GET", "DELETE"]
        (probe,) = {each.path for each in server.asked if each.method != "GET"}
        assert probe.startswith("/metrics/job/import-images-doctor/probe/")
        with serving(well.sandbox.pushgateway) as again:
            assert probe.rpartition("/")[2].encode() not in again.forward(Asked("GET", "/metrics", {}, b"")).body

    def test_one_that_sums(self, well: Place) -> None:
        sums = Sums()
        with serving(instead=sums) as server:
            done = doctor(well, PUSHGATEWAY_ADDRESS=server.url)
            assert (done.status, told(done)) == (1, [("gateway-sums", f"gateway {server.url}")])
            assert only(done, "gateway-sums")["fix"] == [
                f"oc -n {well.namespace} set env cronjob/import-images GATEWAY=aggregation"
            ]
            assert told(doctor(well, PUSHGATEWAY_ADDRESS=server.url, GATEWAY="aggregation")) == []
        assert sums.series == {}

    @slow(WHOLE_RUN)
    def test_one_that_is_taken_for_one_that_sums(self, well: Place) -> None:
        done = doctor(well, GATEWAY="aggregation")
        assert (done.status, told(done)) == (1, [("gateway-replaces", f"gateway {well.sandbox.pushgateway}")])

    @slow(WHOLE_RUN)
    def test_one_that_wants_a_login(self, well: Place, tmp_path: Path) -> None:
        with guarded_pushgateway(tmp_path, f"basic_auth_users:\n  pusher: '{HASHED}'\n") as address:
            done = doctor(well, PUSHGATEWAY_ADDRESS=address)
            assert (done.status, told(done)) == (1, [("gateway-refuses", f"gateway http://{address}")])
            login = {"PUSHGATEWAY_USERNAME": "pusher", "PUSHGATEWAY_PASSWORD": "secret-word"}
            assert told(doctor(well, PUSHGATEWAY_ADDRESS=address, **login)) == []
            done = doctor(well, PUSHGATEWAY_ADDRESS=address, **{**login, "PUSHGATEWAY_PASSWORD": "old-word"})
            assert only(done, "gateway-refuses")["fix"][0].startswith(f"oc -n {well.namespace} set data secret/")

    @slow(WHOLE_RUN)
    def test_one_that_is_not_there(self, well: Place) -> None:
        done = doctor(well, PUSHGATEWAY_ADDRESS="127.0.0.1:1")
        assert (done.status, told(done)) == (1, [("gateway-unreachable", "gateway http://127.0.0.1:1")])


class TestClock:
    @pytest.mark.parametrize(("seconds", "severity"), representatives([(20, "warning"), (-300, "error")], TAIL))
    def test_it_differs(self, well: Place, monkeypatch: pytest.MonkeyPatch, seconds: int, severity: str) -> None:
        def date(*_: object) -> str:
            return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)

        monkeypatch.setattr(servers._Handler, "date_time_string", date)
        with serving(well.sandbox.server) as server:
            done = doctor(well, HOST=server.url)
        assert (done.status, told(done)) == (1, [("clock-skew", "the clock")])
        found = only(done, "clock-skew")
        assert found["severity"] == severity
        assert f"{abs(seconds)} s {'behind' if seconds > 0 else 'ahead'}" in found["message"]


class TestAsEverywhere:
    @slow(WHOLE_RUN)
    def test_nothing_matches(self, well: Place) -> None:
        done = well.run("doctor", DEPLOYMENT="staging")
        assert done.status == 2
        assert "no stream in" in done.stderr and "has the tag staging" in done.stderr

    def test_no_cluster(self, well: Place) -> None:
        assert well.run("doctor", HOST="http://127.0.0.1:1", RETRIES="0").status == 3

    @slow(WHOLE_RUN)
    def test_narrowed_to_a_stream(self, well: Place) -> None:
        well.sandbox.create_workload(well.namespace, "Deployment", "slip", tag="wroker:prod")
        assert told(doctor(well, "web")) == []

    def test_a_list_that_fails_is_told(self, well: Place) -> None:
        well.fault("statefulsets", "GET", status={"code": 500})
        done = doctor(well, RETRIES="0")
        assert ("not-checked", "workloads") in told(done)
        assert done.status == 1

    def test_the_page(self, well: Place) -> None:
        triggers = [trigger("worker:prod", paused="false")]
        well.sandbox.create_workload(well.namespace, "Deployment", "bad", tag="worker:prod", triggers=triggers)
        change(well, suspend=True)
        done = well.run("doctor", "--output", "table")
        lines = done.stdout.splitlines()
        assert lines[0].endswith(f"as system:serviceaccount:{well.namespace}:import-images")
        assert lines[1] == "ERRORS"
        assert "Deployment bad  trigger-never-fires" in lines
        assert "CronJob import-images  cron-job-suspended" in lines[lines.index("WARNINGS") :]
        assert lines[-2] == "1 error, 1 warning; checked 2 tags, 3 workloads, 1 CronJob"
        assert not [line for line in lines if len(line) > 100 and "image.openshift.io/triggers=" not in line]


class TestGates:
    def test_rights_that_gates_need(self, well: Place, fix: Callable[[Place, Json], None]) -> None:
        staging = well.sandbox.create_namespace()
        well.sandbox.create_stream(staging, "worker", {"stg": well.source("worker")})
        apply_cron_job(well, PROVEN_IN=f"{staging}/*:stg", REHEARSE="true")
        # By an administrator, who may ask what the account of the CronJob may do.
        done = doctor(well, TOKEN=well.sandbox.token)
        account = f"the rights of account {well.namespace}:import-images"
        assert sorted(told(done)) == [("gate-cannot-read", account), ("rights-gates", account)], done.stdout
        assert done.status == 1
        assert "may not create pods; needed because REHEARSE is set" in only(done, "rights-gates")["message"]
        found = only(done, "gate-cannot-read")
        assert (found["namespace"], found["severity"]) == (staging, "error")
        fix(well, only(done, "rights-gates"))
        fix(well, found)
        done = doctor(well, TOKEN=well.sandbox.token)
        assert (done.status, told(done)) == (0, []), done.stdout
        # The account itself finds the same.
        assert told(doctor(well, PROVEN_IN=f"{staging}/*:stg", REHEARSE="true")) == []
