"""The command `status`: what it tells of a cluster, from the healthy day to the bad one, and that it only looks."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.sandbox.client import Json, Sandbox, until
from tests.support.place import Ended, Place
from tests.support.pods import CRON_JOB, JOURNAL, TEMPLATE, make_cron_job, scheduled
from tests.support.rights import ROLL_BACK, RUN, without
from tests.support.servers import Answered, Asked, serving
from tests.support.tiers import representatives, slow

WHOLE_RUN = "a whole run of seconds; one of its kind gates"
TAIL = "the long tail of a matrix, each a whole run or request of its own"


@pytest.fixture
def place(sandbox: Sandbox) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def ago(**parts: float) -> str:
    return f"{datetime.now(UTC) - timedelta(**parts):%Y-%m-%dT%H:%M:%SZ}"


def cron_job(place: Place, **settings: str) -> Json:
    """The CronJob, for the deployment prod."""
    container = {
        **TEMPLATE["spec"]["template"]["spec"]["containers"][0],
        "env": [{"name": name, "value": value} for name, value in {"DEPLOYMENT": "prod", **settings}.items()],
    }
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}
    return make_cron_job(place, jobTemplate=template)


def change_cron_job(place: Place, change: Json) -> None:
    place.sandbox.patch(f"/apis/batch/v1/namespaces/{place.namespace}/cronjobs/{CRON_JOB}", change)


def healthy(place: Place, *, workload: bool = False) -> Json:
    """Two tags that a scheduled run brought in, if asked for with a workload that runs one of them."""
    made = cron_job(place)
    for name in ("web", "worker"):
        place.push(name, f"{name} 1", labels={"vcs-ref": "0123456789abcdef"}, created=ago(days=3))
        place.stream(name)
    watch = {}
    if workload:
        place.sandbox.create_workload(place.namespace, "StatefulSet", "worker", tag="worker:prod", replicas=2)
        watch = {"WATCH_ROLLOUTS": "true", "ROLLOUT_TIMEOUT": "30s"}
    assert place.run(**watch, **scheduled(place, made, late=5)).status == 0
    return made


def problems(done: Ended) -> list[str]:
    return [f"{each['subject']} {each['problem']}" for each in done.report["attention"]]


def states(done: Ended) -> dict[str, str]:
    return {f"{tag['stream']}:{tag['tag']}": tag["state"] for tag in done.report["tags"]}


def test_a_healthy_day(place: Place) -> None:
    healthy(place, workload=True)
    done = place.run("status")
    assert (done.status, done.stderr) == (0, "")
    found = done.report
    assert (found["kind"], found["version"], found["well"]) == ("Status", 1, True)
    assert (found["attention"], found["unknown"]) == ([], [])
    assert states(done) == {"web:prod": "current", "worker:prod": "current"}
    web = found["tags"][0]
    assert web["image"]["digest"] == web["registry"]["digest"] == place.current("web")
    assert (web["image"]["revision"], web["failed_runs"], web["hold"]) == ("0123456789abcdef", 0, None)
    assert web["image"]["imported_at"] and web["last_success"]
    (run,) = found["runs"]
    assert (run["outcome"], run["trigger"], run["tags"]) == ("success", "scheduled", {"updated": 2})
    assert 5 <= run["delay"] < 60
    (schedule,) = found["schedules"]
    assert (schedule["cronjob"], schedule["deployment"], schedule["missed"]) == (CRON_JOB, "prod", None)
    assert schedule["next_due"] > found["at"] and schedule["last_run"] == run["id"]
    (worker,) = found["workloads"]
    assert (worker["kind"], worker["name"], worker["result"]) == ("StatefulSet", "worker", "healthy")


def test_the_screen(place: Place) -> None:
    healthy(place, workload=True)
    done = place.run("status", "--output", "table")
    lines = done.stdout.splitlines()
    assert (done.status, lines[1]) == (0, "All is well: 2 current.")
    assert max(map(len, lines)) <= 100
    row = next(line for line in lines if line.startswith("web:prod"))
    assert row.split()[:4] == ["web:prod", "current", (place.current("web") or "")[7:19], "3d"]
    assert any(line.startswith("Next run: Tue ") for line in lines)
    assert "1 of 1 workloads that follow these tags run their images." in lines


def test_it_only_looks(place: Place) -> None:
    healthy(place)
    before = place.versions()
    events = len(place.objects("events"))
    with serving(place.sandbox.server) as server:
        assert place.run("status", HOST=server.url).status == 0
    asked = [each for each in server.asked if each.method != "GET"]
    assert {each.path.partition("?")[0].rpartition("/")[2] for each in asked} == {
        "imagestreamimports",
        "selfsubjectreviews",
    }
    imports = [each for each in asked if "imagestreamimports" in each.path]
    assert {each.json["spec"]["import"] for each in imports} == {False}
    assert (place.versions(), len(place.objects("events"))) == (before, events)


@slow(WHOLE_RUN)
def test_something_newer_comes_with_the_next_run(place: Place) -> None:
    healthy(place)
    new = place.push("web", "web 2")
    done = place.run("status")
    assert done.status == 0
    assert states(done) == {"web:prod": "behind", "worker:prod": "current"}
    assert done.report["tags"][0]["registry"]["digest"] == new


@slow(WHOLE_RUN)
def test_a_tag_that_no_run_has_seen_current_for_long_is_stale(place: Place) -> None:
    healthy(place)
    place.push("web", "web 2")
    # As if its last run had been a month ago.
    path = f"/api/v1/namespaces/{place.namespace}/configmaps/{JOURNAL}"
    text = place.sandbox.get(path)["data"]["journal.json"]
    stamp = text.partition('"succeeded":{"')[2].partition('"')[0]
    old = repr(float(stamp) - 30 * 86400)
    place.sandbox.patch(path, {"data": {"journal.json": text.replace(stamp, old)}})
    done = place.run("status")
    assert (done.status, problems(done)) == (1, ["web:prod stale"])
    assert done.report["attention"][0]["command"] == f"import-images run web:prod -n {place.namespace}"
    assert place.run("run", "web:prod").status == 0
    assert place.run("status").status == 0


def test_a_tag_that_fails(place: Place) -> None:
    made = healthy(place)
    place.sandbox.registry.delete(f"{place.namespace}/web", place.current("web") or "")
    assert problems(place.run("status")) == ["web:prod failing"]
    # The times of runs are whole seconds.
    second = int(time.time())
    until(lambda: int(time.time()) > second)
    for number in (2, 3):
        place.run(**scheduled(place, made, f"import-images-{number}"))
    done = place.run("status")
    assert (done.status, problems(done)) == (1, ["web:prod failing"])
    (told,) = done.report["attention"]
    assert "2 runs in a row" in told["message"] and told["since"]
    tag = done.report["tags"][0]
    assert (tag["state"], tag["reason"], tag["failed_runs"]) == ("failed", "not_found", 2)
    assert tag["failing_since"] and tag["last_success"] < tag["failing_since"]
    assert place.run("status", "worker").status == 0
    table = place.run("status", "--output", "table").stdout
    assert table.partition("\n")[2].startswith("1 thing needs attention:\n! web:prod (for ")
    assert told["command"] in table


@slow(WHOLE_RUN)
def test_a_run_that_failed_is_told_until_another_one_of_all_tags(place: Place) -> None:
    made = healthy(place)
    place.fault("imagestreamimports", "POST", status={"code": 500, "message": "broken"})
    assert place.run(RETRIES="0", **scheduled(place, made, "import-images-2")).status == 3
    place.sandbox.remove_faults()
    assert place.run("run", "web:prod").status == 0
    done = place.run("status")
    assert [each["message"] for each in done.report["attention"]] == ["the last run failed, with 2 failed"]
    assert place.run().status == 0
    assert place.run("status").status == 0


def test_a_held_tag(place: Place) -> None:
    old = place.imported("app", "old")
    bad = place.push("app", "bad")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    place.roll_back("app", old, bad=bad, at=ago(days=2))
    done = place.run("status")
    assert (done.status, states(done)) == (0, {"app:prod": "held"})
    (tag,) = done.report["tags"]
    assert (tag["hold"]["reason"], tag["hold"]["rolled_back_from"]) == ("bad release", bad)
    assert "still has the image that it was rolled back from" in tag["message"]
    fix = place.push("app", "fix")
    text = " ".join(place.run("status", "--output", "table").stdout.split())
    assert "app:prod held for 2d by somebody: bad release; the registry has something newer:" in text
    assert fix[7:19] in text


@pytest.mark.parametrize(
    ("hold", "problem"), representatives([({"until": ago(hours=1)}, "hold_expired"), ({}, "hold_forgotten")], TAIL)
)
def test_a_hold_whose_time_is_over(place: Place, hold: Json, problem: str) -> None:
    old = place.imported("app", "old")
    place.push("app", "bad")
    place.sandbox.import_tag(place.namespace, "app", "prod")
    place.roll_back("app", old, at=ago(days=20), **hold)
    done = place.run("status")
    assert (done.status, problems(done)) == (1, [f"app:prod {problem}"])
    command = done.report["attention"][0]["command"]
    assert command == f"import-images resume app:prod -n {place.namespace}"
    assert place.run(*command.split()[1:]).status == 0
    assert place.run("status").status == 0


@slow(WHOLE_RUN)
def test_a_workload_that_stays_on_another_image(place: Place) -> None:
    healthy(place)
    paused = {"paused": True}
    place.sandbox.create_workload(place.namespace, "Deployment", "web", tag="web:prod", replicas=2)
    until(lambda: place.run("status", "web").report["workloads"][0]["result"] == "healthy")
    place.sandbox.patch(f"/apis/apps/v1/namespaces/{place.namespace}/deployments/web", {"spec": paused})
    place.push("web", "web 2")
    assert place.run().status == 0
    done = until(lambda: found if (found := place.run("status")).status == 1 else None)
    assert problems(done) == ["Deployment/web rollout"]
    (told,) = done.report["attention"]
    assert "paused" in told["message"]
    assert told["command"] == f"oc rollout resume deployment/web -n {place.namespace}"
    assert [each["result"] for each in done.report["workloads"]] == ["waiting"]


def test_an_image_that_crashes(place: Place) -> None:
    healthy(place, workload=True)
    bad = place.push("worker", "worker 2")
    place.sandbox.image_behaves(bad, "crash")
    assert place.run(WATCH_ROLLOUTS="true", ROLLOUT_TIMEOUT="30s").status == 5
    # Between two crashes the container runs for a moment.
    done = until(lambda: found if (found := place.run("status")).status == 1 else None)
    assert problems(done) == ["StatefulSet/worker rollout"]
    (told,) = done.report["attention"]
    assert "CrashLoopBackOff" in told["message"]
    assert told["command"] == f"import-images rollback worker:prod -n {place.namespace}"
    assert place.run(*told["command"].split()[1:], "--yes").status == 0
    assert place.run("status").status == 0


@slow(WHOLE_RUN)
def test_the_first_image_crashes(place: Place) -> None:
    # By its digest, in every namespace of the sandbox.
    bad = place.push("worker", "never started")
    place.sandbox.image_behaves(bad, "crash")
    place.stream("worker")
    place.sandbox.import_tag(place.namespace, "worker", "prod")
    place.sandbox.create_workload(place.namespace, "StatefulSet", "worker", tag="worker:prod", replicas=1)
    done = until(lambda: found if (found := place.run("status")).status == 1 else None)
    assert problems(done) == ["StatefulSet/worker rollout"]
    # There is nothing to go back to.
    command = done.report["attention"][0]["command"]
    assert command == f"oc logs pod/worker-0 -c app --previous -n {place.namespace}"
    assert "rollback" not in done.stdout
    assert place.run("rollback", "worker:prod", "--yes").status == 2


@slow(WHOLE_RUN)
def test_an_image_that_crashes_where_an_alias_is_followed(place: Place) -> None:
    place.push("worker", "worker 1")
    alias = {"from": {"kind": "ImageStreamTag", "name": "prod"}}
    place.stream("worker", {"live": alias, "prod": place.source("worker")})
    place.sandbox.import_tag(place.namespace, "worker", "prod")
    place.sandbox.create_workload(place.namespace, "StatefulSet", "worker", tag="worker:live", replicas=1)
    bad = place.push("worker", "worker 2")
    place.sandbox.image_behaves(bad, "crash")
    place.sandbox.import_tag(place.namespace, "worker", "prod")
    # Also where it is asked for by the name that is followed.
    for tag in ("prod", "live"):

        def is_told(tag: str = tag) -> Ended | None:
            return found if (found := place.run("status", DEPLOYMENT=tag)).status == 1 else None

        done = until(is_told)
        assert problems(done) == ["StatefulSet/worker rollout"]
        command = done.report["attention"][0]["command"]
        assert command == f"import-images rollback worker:prod -n {place.namespace}"
    assert place.run(*command.split()[1:], "--yes").status == 0
    # What is rolled back already is not rolled back once more.
    assert "rollback" not in str([each["command"] for each in place.run("status").report["workloads"]])


@slow(WHOLE_RUN)
def test_a_cron_job_that_is_suspended(place: Place) -> None:
    healthy(place)
    change_cron_job(place, {"spec": {"suspend": True}})
    done = place.run("status")
    assert (done.status, problems(done)) == (1, ["CronJob import-images suspended"])
    assert done.report["schedules"][0]["next_due"] is None


def test_the_gates_of_the_cron_job_are_named_with_the_plan_that_asks_them(place: Place) -> None:
    cron_job(place, MIN_AGE="1000d")
    place.imported("web", "old")
    place.push("web", "new", created=ago(days=3))
    assert place.run("status").report["schedules"][0]["gates"] == ["min_age"]
    lines = place.run("status", "--output", "table").stdout.splitlines()
    at = lines.index("It has gates: min_age. What they say of the next run:")
    assert place.run("plan").results == {"web:prod": "updated"}
    words = shlex.split(lines[at + 1])
    assert words[0] == "import-images"
    assert place.run(*words[1:]).results == {"web:prod": "skipped young"}


def test_a_run_that_did_not_come(place: Place) -> None:
    healthy(place)
    # Due in the past of a CronJob that was there already, and later than the only run.
    due = datetime.now(UTC) - timedelta(minutes=30)
    path = f"/api/v1/namespaces/{place.namespace}/configmaps/{JOURNAL}"
    text = place.sandbox.get(path)["data"]["journal.json"]
    for moment in ("started_at", "finished_at", "scheduled_at"):
        stamp = text.partition(f'"{moment}":"')[2].partition('"')[0]
        text = text.replace(f'"{moment}":"{stamp}"', f'"{moment}":"{ago(days=3)}"')
    place.sandbox.patch(path, {"data": {"journal.json": text}})
    schedule = f"{due.minute} {due.hour} * * *"
    change_cron_job(place, {"spec": {"schedule": schedule, "timeZone": "Etc/UTC"}})
    young = place.run("status")
    # It was made only just now.
    assert young.status == 0, young.stdout
    listed = f"/apis/batch/v1/namespaces/{place.namespace}/cronjobs"
    found = place.sandbox.get(f"{listed}/{CRON_JOB}")
    found["metadata"]["creationTimestamp"] = ago(days=30)
    answer = json.dumps({"kind": "CronJobList", "apiVersion": "batch/v1", "metadata": {}, "items": [found]}).encode()

    def instead(asked: Asked) -> Answered | None:
        is_list = asked.path.partition("?")[0] == listed
        return Answered(200, answer, {"Content-Type": "application/json"}) if is_list else None

    with serving(place.sandbox.server, instead) as server:
        done = place.run("status", HOST=server.url)
    assert (done.status, problems(done)) == (1, ["CronJob import-images run_missed"])
    told = done.report["attention"][0]
    assert told["since"] == f"{due.replace(second=0):%Y-%m-%dT%H:%M:%SZ}"
    assert told["command"].startswith("oc create job import-images-now-")


def test_of_two_cron_jobs_that_split_a_deployment_each_has_its_own_runs(place: Place) -> None:
    made = healthy(place)
    # As long as the name of a CronJob may be.
    other = "import-images-" + "b" * 38
    due = datetime.now(UTC) - timedelta(minutes=30)
    spec = {**made["spec"], "schedule": f"{due.minute} {due.hour} * * *", "timeZone": "Etc/UTC"}
    metadata = {
        **made["metadata"],
        "labels": {"app.kubernetes.io/name": "import-images"},
        "creationTimestamp": ago(days=30),
    }
    both = [{**made, "metadata": {**metadata, "name": name}, "spec": spec} for name in (CRON_JOB, other)]
    content = {"kind": "CronJobList", "apiVersion": "batch/v1", "metadata": {}, "items": both}
    listed = f"/apis/batch/v1/namespaces/{place.namespace}/cronjobs"

    def instead(asked: Asked) -> Answered | None:
        is_list = asked.path.partition("?")[0] == listed
        return Answered(200, json.dumps(content).encode(), {"Content-Type": "application/json"}) if is_list else None

    with serving(place.sandbox.server, instead) as server:
        done = place.run("status", HOST=server.url)
    assert (done.status, problems(done)) == (1, [f"CronJob {other} run_missed"])
    command = shlex.split(done.report["attention"][0]["command"])
    assert command[:3] == ["oc", "create", "job"] and f"--from=cronjob/{other}" in command
    # The name of a Job is a label of its pods.
    assert command[3].startswith("import-images-bb") and len(command[3]) == 63


def test_the_log_of_a_job_that_is_elsewhere_is_not_named(place: Place) -> None:
    # One CronJob for many namespaces is in a namespace of its own.
    other = place.sandbox.create_namespace()
    place.sandbox.grant(other, "import-images", ROLL_BACK, of=place.namespace)
    place.sandbox.create_stream(other, "web", {"prod": place.source("away")})
    pod = scheduled(place, cron_job(place, NAMESPACE=other), name="import-images-29395320")
    assert place.run(NAMESPACE=other, **pod).status == 1
    done = place.run("status", NAMESPACE=other)
    commands = {attention["problem"]: attention["command"] for attention in done.report["attention"]}
    assert commands["run_failed"] == f"import-images plan --deployment prod -n {other}"
    here = place.run("status", NAMESPACE=f"{place.namespace},{other}")
    commands = {attention["problem"]: attention["command"] for attention in here.report["attention"]}
    assert commands["run_failed"] == f"oc logs job/import-images-29395320 -n {place.namespace}"


@pytest.mark.parametrize(
    ("resource", "verb", "part", "right"),
    representatives(
        [
            ("imagestreamimports", "create", "registry", "grant create on imagestreamimports"),
            ("configmaps", "get", "journal", "grant get on the ConfigMap import-images-journal"),
            ("statefulsets", "list", "workloads", "grant list on statefulsets"),
            ("pods", "list", "workloads", "grant get on workloads, and list on pods"),
        ],
        TAIL,
    ),
)
def test_a_right_that_is_missing_leaves_its_part_unknown(
    sandbox: Sandbox, resource: str, verb: str, part: str, right: str
) -> None:
    place = Place(sandbox, ROLL_BACK)
    healthy(place, workload=True)
    token = sandbox.create_account(place.namespace, "poor", without(resource, verb, ROLL_BACK))
    done = place.run("status", TOKEN=token)
    assert (done.status, problems(done)) == (0, []), done.stderr
    assert part in {each["part"] for each in done.report["unknown"]}
    assert any(right in each["message"] for each in done.report["unknown"])
    table = place.run("status", "--output", "table", TOKEN=token).stdout
    assert table.partition("\n")[2].startswith("As far as could be checked, all is well")
    assert right in " ".join(table.split())


@slow(WHOLE_RUN)
def test_the_rights_of_a_run_are_enough_for_its_own_schedule(sandbox: Sandbox) -> None:
    place = Place(sandbox, ROLL_BACK)
    healthy(place)
    token = sandbox.create_account(place.namespace, "run", RUN)
    done = place.run("status", TOKEN=token)
    assert done.status == 0
    assert [each["cronjob"] for each in done.report["schedules"]] == [CRON_JOB]
    assert {each["part"] for each in done.report["unknown"]} == {"workloads"}
    nothing = [rule for rule in without("cronjobs", "get") if rule["resources"] != ["cronjobs"]]
    poor = sandbox.create_account(place.namespace, "poor", nothing)
    told = place.run("status", TOKEN=poor).report["unknown"]
    assert any("grant list on cronjobs" in each["message"] for each in told)


@slow(WHOLE_RUN)
def test_a_journal_that_nobody_can_read_is_told(place: Place) -> None:
    healthy(place)
    path = f"/api/v1/namespaces/{place.namespace}/configmaps/{JOURNAL}"
    place.sandbox.patch(path, {"data": {"journal.json": "{"}})
    done = place.run("status")
    assert done.status == 0
    assert [each["part"] for each in done.report["unknown"]] == ["journal"]
    assert done.report["runs"] == []


@slow(WHOLE_RUN)
def test_without_anything_in_the_cluster_but_streams(place: Place) -> None:
    place.push("app", "one")
    place.stream("app")
    done = place.run("status")
    assert (done.status, states(done)) == (0, {"app:prod": "behind"})
    assert (done.report["runs"], done.report["schedules"], done.report["workloads"]) == ([], [], [])
    text = place.run("status", "--output", "table").stdout
    assert "there is no CronJob of import-images" in text and "The journal has no runs." in text


@slow(WHOLE_RUN)
def test_a_share_without_streams_is_well(place: Place) -> None:
    place.imported("app")
    shares = [place.run("status", SHARDS="2", JOB_COMPLETION_INDEX=index) for index in ("0", "1")]
    assert [done.status for done in shares] == [0, 0]
    assert sorted(len(done.report["tags"]) for done in shares) == [0, 1]
    assert place.run("status", "none", SHARDS="2", JOB_COMPLETION_INDEX="0").status == 2


def test_nothing_that_matches_is_status_2_and_a_cluster_that_refuses_status_3(place: Place) -> None:
    place.imported("app")
    assert place.run("status", "none").status == 2
    place.fault("imagestreams$", "GET", status={"code": 403, "message": "no"})
    assert place.run("status").status == 3


@slow(WHOLE_RUN)
def test_one_of_several_namespaces_that_cannot_be_read_needs_attention(place: Place) -> None:
    place.imported("app")
    other = place.sandbox.create_namespace()
    done = place.run("status", NAMESPACE=f"{place.namespace},{other}")
    assert (done.status, problems(done)) == (1, [f"namespace {other} unread"])
    assert states(done) == {"app:prod": "current"}
