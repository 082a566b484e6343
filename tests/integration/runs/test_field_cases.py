"""What people who do this job have met, each as they would meet it: a process, and what it then leaves behind."""

from __future__ import annotations

import copy
import json
import re
import urllib.request
from pathlib import Path

import pytest

from job.journal.encoding import encode
from job.journal.records import Journal
from tests.sandbox.client import IMAGE, Json
from tests.sandbox.workload_manifests import path
from tests.support.conversation import conversation
from tests.support.kustomize import build
from tests.support.place import PROGRAM, Place, of
from tests.support.pods import JOURNAL, SCHEDULED, TEMPLATE, journal
from tests.support.rights import ROLL_BACK
from tests.support.tiers import slow

KIND = "one kind of name gates"
WAVE = "import-images.dev/wave"
# Of the streams that OpenShift's samples operator brings.
LONG = ("jboss-eap-xp1-openjdk11-openshift", "jboss-eap-xp1-openjdk11-runtime-openshift", "java-runtime")


@pytest.mark.parametrize("command", ["doctor", pytest.param("plan", marks=slow("one command gates")), "status"])
def test_a_name_that_the_program_makes_up_for_itself_may_be_a_real_one(place: Place, command: str) -> None:
    """The first names that come to a programmer's mind for the columns of a question, as tags."""
    place.push("app", "one", "q1")
    tags = {name: place.source("app", "q1") for name in ("q1", "q0", "t0", "0")}
    place.stream("app", {**tags, "latest": {"from": {"kind": "ImageStreamTag", "name": "q1"}}})
    for name in tags:
        place.sandbox.import_tag(place.namespace, "app", name)
    done = place.run(command, DEPLOYMENT=None)
    assert done.status in (0, 1), done.stderr
    if command == "doctor":
        assert not [each for each in done.report["findings"] if each["severity"] == "error"]
    else:
        assert {tag["tag"] for tag in done.report["tags"]} == {*tags, "latest"}


# Two CronJobs of one deployment


def _cron_job(place: Place, name: str, selector: str) -> Json:
    found = copy.deepcopy(build("prod").one("CronJob"))
    found["metadata"]["name"] = name
    container = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["env"] += [{"name": "SELECTOR", "value": selector}]
    made = place.sandbox.create(path("CronJob", place.namespace), found)
    assert isinstance(made, dict)
    return made


def _job_of(place: Place, cron_job: Json, number: int) -> dict[str, str]:
    """A Job as the controller makes it."""
    name = f"{cron_job['metadata']['name']}-{29_000_000 + number}"
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": cron_job["metadata"]["name"], "controller": True}
    metadata = {
        "name": name,
        "annotations": {SCHEDULED: "2026-11-24T02:00:00Z"},
        "ownerReferences": [{**owner, "uid": cron_job["metadata"]["uid"]}],
    }
    jobs = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    place.sandbox.create(jobs, {"metadata": metadata, "spec": TEMPLATE["spec"]})
    return {"JOB_NAME": name, "POD_NAMESPACE": place.namespace}


def test_two_cron_jobs_that_split_a_deployment_drop_nothing_of_each_other(place: Place) -> None:
    jobs = {tier: _cron_job(place, f"import-{tier}", f"tier={tier}") for tier in ("web", "db")}
    for tier in jobs:
        place.imported(tier)
        labels = {"metadata": {"labels": {"tier": tier}}}
        place.sandbox.patch(f"{IMAGE}/namespaces/{place.namespace}/imagestreams/{tier}", labels)
    place.import_fault("db", status={"code": 400})
    failing = {"RETRIES": "0"}
    for number, tier in enumerate(("web", "db", "web", "db", "web")):
        done = place.run(**_job_of(place, jobs[tier], number), SELECTOR=f"tier={tier}", **failing)
        assert done.status == int(tier == "db"), done.stderr
    remembered = journal(place).tags
    assert remembered.keys() == {("web", "prod"), ("db", "prod")}
    assert remembered["db", "prod"].failed_runs == 2
    held = place.metrics()
    assert held["tag_result"] == {of("web", result="unchanged"): 1, of("db", result="failed"): 1}
    assert held["tag_failed_runs"] == {of("db"): 2}
    found = place.run("doctor", TOKEN=place.sandbox.token).report["findings"]
    (overlap,) = (each for each in found if each["check"] == "cron-jobs-overlap")
    assert overlap["severity"] == "warning"
    assert "import these tags by one CronJob" in overlap["message"]


def test_one_cron_job_alone_still_drops_what_is_gone(place: Place) -> None:
    cron_job = _cron_job(place, "import-all", "")
    for name in ("stays", "goes"):
        place.imported(name)
    assert place.run(**_job_of(place, cron_job, 1)).status == 0
    place.sandbox.delete(f"{IMAGE}/namespaces/{place.namespace}/imagestreams/goes")
    assert place.run(**_job_of(place, cron_job, 2)).status == 0
    assert journal(place).tags.keys() == {("stays", "prod")}
    assert {dict(labels)["stream"] for labels in place.metrics()["tag_result"]} == {"stays"}


# A group's name in the journal


@pytest.mark.parametrize(
    "group",
    [
        {"../../job/other/of": "NAMESPACE"},
        pytest.param({"stream_namespace": "x", "../../../../job/other/of": "NAMESPACE"}, marks=slow(KIND)),
        pytest.param({"stream_namespace": "NAMESPACE", "../../../job": "other/of/NAMESPACE"}, marks=slow(KIND)),
        pytest.param({"": ""}, marks=slow(KIND)),
        pytest.param({"stream_namespace": "../../../../job/other"}, marks=slow(KIND)),
        pytest.param({"stream_namespace": ".."}, marks=slow(KIND)),
        pytest.param({"job": "other"}, marks=slow(KIND)),
    ],
    ids=str,
)
def test_a_group_in_the_journal_reaches_no_group_of_others(place: Place, group: dict[str, str]) -> None:
    place.imported("app")
    cron_job = _cron_job(place, "import-images", "")
    others = f"{place.sandbox.pushgateway}/metrics/job/other/of/{place.namespace}"
    whole = f"{place.sandbox.pushgateway}/metrics/job/other"
    for url in (others, whole):
        push = urllib.request.Request(url, b"somebody_elses 1\n", method="PUT")
        urllib.request.urlopen(push, timeout=20).close()
    group = {name: value.replace("NAMESPACE", place.namespace) for name, value in group.items()}
    remembered = Journal(pushed={"import-images": (group, {"stream_namespace": "gone-namespace"})})
    body = {"metadata": {"name": JOURNAL}, **encode(remembered)}
    place.sandbox.create(f"/api/v1/namespaces/{place.namespace}/configmaps", body)
    done = place.run(**_job_of(place, cron_job, 1))
    assert done.status == 0, done.stderr
    with urllib.request.urlopen(f"{place.sandbox.pushgateway}/metrics", timeout=20) as answer:
        held = answer.read().decode()
    series = [line for line in held.splitlines() if line.startswith("somebody_elses{")]
    assert len([line for line in series if f'of="{place.namespace}"' in line]) == 1
    assert len([line for line in series if 'of="' not in line]) == 1
    # A name that cannot be one of ours is not kept, either.
    assert all(
        {*each} <= {"stream_namespace", "deployment", "shard"} for each in journal(place).pushed["import-images"]
    )


# Schedules


def test_no_number_of_missed_runs_is_said_to_stop_a_cron_job(place: Place) -> None:
    """Since Kubernetes 1.21 none does."""
    cron_job = _cron_job(place, "import-images", "")
    spec = {"startingDeadlineSeconds": None}
    place.sandbox.patch(f"{path('CronJob', place.namespace)}/{cron_job['metadata']['name']}", {"spec": spec})
    place.imported("app")
    done = place.run("doctor", TOKEN=place.sandbox.token)
    (found,) = (each for each in done.report["findings"] if each["check"] == "cron-job-starting-deadline")
    assert found["message"] == "it has no startingDeadlineSeconds: a missed run starts however late it is"
    assert "100" not in json.dumps([each for each in done.report["findings"] if "CronJob" in each["where"]])


# What was never tried


@pytest.mark.parametrize("failures", [2, pytest.param(7, marks=slow("two failures show the same; each is a run"))])
def test_a_wave_that_is_skipped_forgets_no_failures(place: Place, failures: int) -> None:
    place = Place(place.sandbox, ROLL_BACK)
    for name, wave in (("first", "1"), ("later", "2")):
        place.push(name, f"{place.namespace} {name}")
        source = {"kind": "DockerImage", "name": place.source(name)}
        place.stream(name, {"prod": {"from": source, "importPolicy": {"insecure": True}, "annotations": {WAVE: wave}}})
        place.sandbox.import_tag(place.namespace, name, "prod")
    image = f"{place.source('first').rpartition(':')[0]}@{place.current('first')}"
    place.sandbox.create_workload(place.namespace, "Deployment", "first", tag="first:prod", image=image)
    fault = place.import_fault("later", status={"code": 400})
    for _ in range(failures):
        assert place.run(RETRIES="0").status == 1
    place.sandbox.remove_faults(fault)
    assert place.metrics()["tag_failed_runs"] == {of("later"): failures}
    place.sandbox.image_behaves(place.push("first", f"{place.namespace} bad"), "crash")
    skipping = place.run(WATCH_ROLLOUTS="true", ROLLOUT_TIMEOUT="40s")
    assert (skipping.status, skipping.results["later:prod"]) == (5, "skipped wave"), skipping.stderr
    # Neither counted up nor forgotten.
    assert journal(place).tags["later", "prod"].failed_runs == failures
    assert place.metrics()["tag_failed_runs"] == {of("later"): failures}


# Long names


@pytest.mark.parametrize("columns", [100, *(pytest.param(each, marks=slow("one width gates")) for each in (60, 40))])
@pytest.mark.parametrize("command", ["plan", pytest.param("status", marks=slow("one table gates"))])
def test_long_names_lose_their_middle_and_keep_their_tag(place: Place, command: str, columns: int) -> None:
    tags = ("7.3-openjdk11-el8", "7.3-openjdk11-el9", "7.3")
    place.push("eap", "one")
    for name in LONG:
        place.stream(name, dict.fromkeys(tags, place.source("eap")))
    environment = place.environment(PUSHGATEWAY_ADDRESS=None, DEPLOYMENT=None)
    with conversation([PROGRAM, command], environment, Path.cwd(), columns) as shown:
        _, text = shown.end()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    # What shows the progress is drawn over.
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]
    assert max(len(line) for line in lines) <= columns, lines
    rows = [line.split()[0] for line in lines if re.match(r"j\S*…\S*\s|java-runtime:|jboss-eap", line)]
    assert len(rows) == len(LONG) * len(tags), lines
    # However narrow, the end of the tag is there; at a usual width no two rows look alike.
    assert {row[-4:] for row in rows} == {tag[-4:] if len(tag) > 3 else f":{tag}" for tag in tags}
    if columns == 100:
        assert len(set(rows)) == len(rows), rows
        assert all(row.endswith(tags) for row in rows), rows


def test_the_page_of_doctor_is_bounded(place: Place) -> None:
    """As many tags as the samples operator brings, each with the same two problems."""
    place.push("app", "one")
    tag = {"from": {"kind": "DockerImage", "name": place.source("app")}, "importPolicy": {"scheduled": True}}
    for name in LONG[:2]:
        place.stream(name, {f"7.{number}-openjdk11-el8": tag for number in range(146)})
    done = place.run("doctor", "--output", "table", DEPLOYMENT=None)
    assert "checked 292 tags" in done.stdout
    assert len(done.stdout.splitlines()) < 80


# What refuses a write although the right to it is there


@pytest.mark.parametrize(
    "message",
    [
        "unable to create new content in namespace {} because it is being terminated",
        pytest.param("exceeded quota: objects in {}, requested: count/leases=1", marks=slow("one admission gates")),
    ],
)
def test_a_refusal_by_admission_is_no_missing_right(place: Place, message: str) -> None:
    place.imported("app")
    said = f'leases "import-images-prod" is forbidden: {message.format(place.namespace)}'
    place.fault("leases", "POST", status={"code": 403, "reason": "Forbidden", "message": said})
    done = place.run()
    assert (done.status, done.report["run"]["outcome"]) == (3, "failure"), done.stderr
    assert said in done.report["errors"][0]["message"]
    assert "grant" not in done.stderr
