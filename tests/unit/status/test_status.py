"""The status: what needs attention and what does not, and the screen that shows it."""

from __future__ import annotations

import io
import json
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from job.cluster import CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, STATEFUL_SETS
from job.domain.model import (
    By,
    Hold,
    Reason,
    Result,
    RolloutResult,
    RunError,
    Skip,
    Stage,
    TagName,
    TagResult,
    TriggerKind,
)
from job.domain.states import Problem, State
from job.journal.records import Journal, RunRecord, TagRecord
from job.status.assess import assess
from job.status.command import status_document
from job.status.model import Facts, StatusReport, TagFacts, Unknown, WorkloadStatus, verdict
from job.status.punctuality import Timetable, punctuality, timetable_from, two_due_times_ago
from job.status.remedies import remedy
from job.status.table import MOST_TAGS, print_status
from job.workloads.pods import pod_from
from tests.unit.objects import JSON
from tests.unit.reports import NAMESPACE, OLD, failed, tag_result, tag_results
from tests.unit.workload_objects import BAD, CRASH_LOOP, NEW, deployment, pod, stateful_set, workload
from tests.unit.workload_objects import OLD as OLD_DIGEST
from tests.unit.workload_objects import waiting as waiting_for

# A Tuesday morning, ten hours after the run of 02:00.
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
DUE = datetime(2026, 11, 24, 2, 0, 0, tzinfo=UTC)
ENDED = {"failure": "failed", "aborted": "was aborted"}
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
NO_RIGHT = 'imagestreamimports is forbidden: User "me" cannot create resource "imagestreamimports" in API group "x"'


def current(stream: str = "web", **values: Any) -> TagResult:
    return tag_result(stream, **{"result": Result.UNCHANGED, "after": OLD, **values})


def held(**values: Any) -> TagResult:
    hold = Hold(**{"at": NOW - timedelta(days=2), "until": None, "by": "jane", "reason": "bad", "image": "x", **values})
    return current(result=Result.SKIPPED, reason=Skip.HELD, hold=hold)


def journal(*runs: RunRecord, stream: str = "web", **record: Any) -> Journal:
    return Journal(tags={(stream, "prod"): TagRecord(**record)} if record else {}, runs=runs)


def a_run(outcome: str = "success", at: datetime = DUE, **values: Any) -> RunRecord:
    told = {
        "trigger": TriggerKind.SCHEDULED,
        "deployment": "prod",
        "scheduled_at": at,
        "job": "import-images-1",
        **values,
    }
    return RunRecord("r1", at + timedelta(seconds=5), outcome, at + timedelta(seconds=20), **told)


def cron_job(
    name: str = "import-images", env: dict[str, str] | None = None, labels: dict[str, str] | None = None, **spec: Any
) -> JSON:
    environment = [
        {"name": key, "value": value} for key, value in ({"DEPLOYMENT": "prod"} if env is None else env).items()
    ]
    template = {"spec": {"template": {"spec": {"containers": [{"name": "job", "env": environment}]}}}}
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": labels or {},
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"schedule": "0 2 * * 2", "jobTemplate": template, **spec},
    }


def table(**spec: Any) -> Timetable:
    found = timetable_from(cron_job(**spec))
    assert found is not None
    return found


def stand(*tags: TagResult, of: Journal | None = None, **values: Any) -> StatusReport:
    told = {"journals": {NAMESPACE: of} if of else {}, "tags": [TagFacts(tag) for tag in tags], **values}
    return assess(Facts(NOW, "prod", (NAMESPACE,), **told))


def problems(report: StatusReport) -> list[Problem]:
    return [each.problem for each in report.attention]


def look(
    result: RolloutResult | None, message: str | None = "why", minutes: float = 60, **values: Any
) -> WorkloadStatus:
    told = {"namespace": NAMESPACE, "kind": "Deployment", "name": "web", "tags": (TagName(NAMESPACE, "web", "prod"),)}
    return WorkloadStatus(
        **{**told, "result": result, "message": message, "moved_at": NOW - timedelta(minutes=minutes), **values}
    )


class TestTags:
    def test_all_is_well_where_the_tags_are_as_the_registry_has_them(self) -> None:
        report = stand(current(), current("api"))
        assert report.is_well
        assert verdict(report) == "All is well: 2 current."

    @pytest.mark.parametrize(
        ("result", "state", "needed"),
        [
            (current(), State.CURRENT, []),
            # The next run brings it.
            (tag_result("web"), State.BEHIND, []),
            (failed("web"), State.FAILED, [Problem.FAILING]),
            (failed("web", Reason.INVALID, by=By.API), State.FAILED, [Problem.FAILING]),
            (failed("web", Reason.TIMEOUT, by=By.API), State.UNKNOWN, [Problem.NOT_KNOWN]),
            (failed("web", Reason.ABORTED, by=None), State.UNKNOWN, [Problem.NOT_KNOWN]),
            (failed("web", Reason.FORBIDDEN, by=By.API, message=NO_RIGHT), State.UNKNOWN, []),
            (held(), State.HELD, []),
            (current(result=Result.SKIPPED, reason=Skip.PINNED), State.SKIPPED, []),
        ],
    )
    def test_a_tag_by_what_its_registry_says(self, result: TagResult, state: State, needed: list[Problem]) -> None:
        report = stand(result)
        assert [tag.state for tag in report.tags] == [state]
        assert problems(report) == needed

    def test_a_registry_that_cannot_be_asked_for_want_of_a_right_is_told_once(self) -> None:
        refused = [failed(name, Reason.FORBIDDEN, by=By.API, message=NO_RIGHT) for name in ("a", "b")]
        report = stand(*refused)
        assert [(each.part, "grant create on imagestreamimports" in each.message) for each in report.unknown] == [
            ("registry", True)
        ]
        assert report.is_well
        assert verdict(report).startswith("As far as could be checked, all is well")

    def test_two_failed_runs_need_attention_although_the_registry_has_it_now(self) -> None:
        report = stand(current(), of=journal(a_run(), failed_runs=2))
        assert problems(report) == [Problem.FAILING]
        assert "2 runs in a row" in report.attention[0].message
        assert report.attention[0].command == f"import-images run web:prod -n {NAMESPACE}"
        assert stand(current(), of=journal(a_run(), failed_runs=1)).is_well

    def test_a_failure_says_since_when(self) -> None:
        # Every failed run writes the condition anew; the journal knows of the first.
        runs = [a_run("partial", DUE - timedelta(days=days), counts={"failed": 1}) for days in (0, 7, 14)]
        seen = TagFacts(failed("web"), ("NotFound", "gone", DUE))
        report = stand(tags=[seen], of=journal(*runs, failed_runs=2))
        assert report.attention[0].since == DUE - timedelta(days=7) + timedelta(seconds=20)
        assert stand(tags=[seen]).attention[0].since == DUE

    @pytest.mark.parametrize(
        ("reason", "by", "words"),
        [
            (Reason.NOT_FOUND, By.REGISTRY, "import-images history web:prod"),
            (
                Reason.UNAUTHORIZED,
                By.REGISTRY,
                f"oc -n {NAMESPACE} create secret docker-registry 0-login-quay.io-packit-web "
                "--docker-server=quay.io/packit/web ",
            ),
            (Reason.UNREACHABLE, By.REGISTRY, "import-images plan web:prod"),
            (Reason.INVALID, By.API, "oc describe imagestream/web"),
        ],
    )
    def test_each_failure_has_a_command(self, reason: Reason, by: By, words: str) -> None:
        command = stand(failed("web", reason, by=by)).attention[0].command
        assert command and command.startswith(words) and f"-n {NAMESPACE}" in command

    @pytest.mark.parametrize(
        ("source", "server"), [("nginx:1.25", "docker.io"), ("localhost:5000/web:prod", "localhost:5000/web")]
    )
    def test_a_login_is_for_the_registry_of_the_source(self, source: str, server: str) -> None:
        refused = failed("web", Reason.FORBIDDEN, by=By.REGISTRY, source=source)
        command = stand(refused).attention[0].command
        assert command and f" --docker-server={server} " in command

    @pytest.mark.parametrize(
        ("source", "secret"),
        [
            ("localhost:5000/a__b/my_web:prod", "0-login-localhost-5000-a--b-my-web"),
            ("Registry.Example.com/web", "0-login-registry.example.com-web"),
            (f"quay.io/{'a' * 236}.b.c:prod", f"0-login-quay.io-{'a' * 236}"),
            ("nginx", "0-login-docker.io"),
        ],
    )
    def test_a_login_has_a_name_that_a_secret_may_have(self, source: str, secret: str) -> None:
        command = stand(failed("web", Reason.UNAUTHORIZED, by=By.REGISTRY, source=source)).attention[0].command
        assert command and command.split()[6] == secret
        label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
        assert re.fullmatch(rf"{label}(\.{label})*", secret) and len(secret) <= 253

    @pytest.mark.parametrize(
        ("days", "result", "needed"),
        [
            (20, tag_result("web"), [Problem.STALE]),
            (20, failed("web", Reason.TIMEOUT, by=By.API), [Problem.STALE]),
            (6, tag_result("web"), []),
            # TagFacts just now.
            (20, current(), []),
        ],
    )
    def test_a_tag_is_stale_after_two_due_times(self, days: int, result: TagResult, needed: list[Problem]) -> None:
        then = (NOW - timedelta(days=days)).timestamp()
        assert problems(stand(result, of=journal(a_run(), last_success=then), timetables=[table()])) == needed

    @pytest.mark.parametrize(
        ("weekly", "hourly"),
        [
            ({"SELECTOR": "team=a"}, {"SELECTOR": "team=b"}),
            ({}, {"SELECTOR": "team=b"}),
            ({}, {"EXCLUDE": "web"}),
        ],
    )
    @pytest.mark.parametrize(("days", "is_stale"), [(6, False), (20, True)])
    def test_a_cron_job_for_other_streams_makes_no_tag_stale(
        self, weekly: dict[str, str], hourly: dict[str, str], days: int, is_stale: bool
    ) -> None:
        then = (NOW - timedelta(days=days)).timestamp()
        timetables = [
            table(env={"DEPLOYMENT": "prod", **weekly}),
            table(
                name="hourly",
                labels={"app.kubernetes.io/name": "import-images"},
                schedule="0 * * * *",
                env={"DEPLOYMENT": "prod", **hourly},
            ),
        ]
        found = stand(tag_result("web"), of=journal(a_run(), last_success=then), timetables=timetables)
        assert (Problem.STALE in problems(found)) is is_stale

    def test_without_a_schedule_a_tag_is_stale_after_fifteen_days(self) -> None:
        def report(days: int) -> StatusReport:
            return stand(tag_result("web"), of=journal(last_success=(NOW - timedelta(days=days)).timestamp()))

        assert problems(report(16)) == [Problem.STALE]
        assert problems(report(14)) == []

    def test_a_frozen_deployment_is_meant_to_be_old(self) -> None:
        then = (NOW - timedelta(days=60)).timestamp()
        assert stand(tag_result("web"), of=journal(a_run("frozen"), last_success=then), timetables=[table()]).is_well
        # Somebody imported one tag all the same.
        other = a_run("success", NOW, trigger=TriggerKind.LOCAL, narrowed=True)
        runs = journal(other, a_run("frozen"), last_success=then)
        assert stand(tag_result("web"), of=runs, timetables=[table()]).is_well

    @pytest.mark.parametrize(
        ("hold", "needed"),
        [
            ({"until": NOW - timedelta(minutes=1)}, [Problem.HOLD_EXPIRED]),
            ({"until": NOW + timedelta(days=30), "at": NOW - timedelta(days=30)}, []),
            ({"at": NOW - timedelta(days=15)}, [Problem.HOLD_FORGOTTEN]),
            ({"at": None}, []),
        ],
    )
    def test_a_hold_needs_attention_once_its_time_is_over(self, hold: JSON, needed: list[Problem]) -> None:
        report = stand(held(**hold))
        assert problems(report) == needed
        for each in report.attention:
            assert each.command == f"import-images resume web:prod -n {NAMESPACE}"

    def test_an_old_image_is_no_fault(self) -> None:
        built = replace(OLD, created=NOW - timedelta(days=91))
        report = stand(current(before=built, after=built), current("api"))
        assert [tag.is_old for tag in report.tags] == [True, False]
        assert verdict(report) == "All is well: 2 current, 1 built more than 90 days ago."

    def test_a_namespace_that_cannot_be_read_needs_attention(self) -> None:
        error = RunError("other", Stage.LIST, Reason.FORBIDDEN, "no")
        report = stand(current(), errors=[error])
        assert problems(report) == [Problem.UNREAD]
        assert report.attention[0].command == "oc get imagestreams -n other"


class TestRuns:
    @pytest.mark.parametrize(
        ("outcome", "tags", "needed"),
        [
            ("success", [tag_result("web")], []),
            ("frozen", [tag_result("web")], []),
            ("failure", [current()], [Problem.RUN_FAILED]),
            ("aborted", [current()], [Problem.RUN_FAILED]),
            ("partial", [tag_result("web")], [Problem.RUN_FAILED]),
            # All of it is right again, or the tag that failed is told of by itself.
            ("partial", [current()], []),
            ("partial", [failed("web"), tag_result("api")], [Problem.FAILING]),
            ("something else", [tag_result("web")], []),
        ],
    )
    def test_the_last_run_by_its_outcome(self, outcome: str, tags: list[TagResult], needed: list[Problem]) -> None:
        assert problems(stand(*tags, of=journal(a_run(outcome)))) == needed

    def test_only_the_last_counts(self) -> None:
        assert stand(current(), of=journal(a_run(), a_run("failure", DUE - timedelta(days=7)))).is_well

    @pytest.mark.parametrize("bad", ["failure", "aborted"])
    @pytest.mark.parametrize(
        "after",
        [
            {"command": "rollback", "narrowed": True, "trigger": "local"},
            {"command": "resume", "narrowed": True, "trigger": "local"},
            {"narrowed": True, "trigger": "local"},
            {"narrowed": True, "trigger": "manual"},
        ],
    )
    def test_what_was_done_to_one_tag_since_hides_no_run_that_failed(self, bad: str, after: dict[str, Any]) -> None:
        later = a_run("success", NOW, job=None, scheduled_at=None, **after)
        report = stand(current(), of=journal(later, a_run(bad)))
        assert [each.message for each in report.attention] == [
            f"the last run {'failed' if bad == 'failure' else 'was aborted'}"
        ]
        # One that was well is not made worse, and a whole run by hand is the last word.
        assert stand(current(), of=journal(later, a_run(), a_run(bad))).is_well
        by_hand = a_run("success", NOW, trigger=TriggerKind.LOCAL, job=None, scheduled_at=None)
        assert stand(current(), of=journal(by_hand, a_run(bad))).is_well

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"command": "rollback"}, "the last rollback failed"),
            ({}, "the last partial run failed"),
        ],
    )
    def test_what_was_done_to_one_tag_is_judged_by_itself(self, values: dict[str, Any], message: str) -> None:
        told = {"narrowed": True, "trigger": "local", **values}
        report = stand(current(), of=journal(a_run("failure", NOW, **told), a_run()))
        assert [each.message for each in report.attention] == [message]
        # It was tried again, or a whole run came since.
        assert stand(current(), of=journal(a_run("success", NOW, **told), a_run("failure", **told), a_run())).is_well
        assert stand(current(), of=journal(a_run(), a_run("failure", DUE - timedelta(days=1), **told))).is_well

    def test_of_a_schedule_that_names_tags_the_last_run_counts(self) -> None:
        some = [a_run(outcome, narrowed=True) for outcome in ("success", "failure")]
        assert stand(current(), of=journal(*some)).is_well
        assert problems(stand(current(), of=journal(*reversed(some)))) == [Problem.RUN_FAILED]
        # Somebody's run of one tag is not of the same.
        by_hand = a_run("success", NOW, narrowed=True, trigger=TriggerKind.LOCAL)
        assert problems(stand(current(), of=journal(by_hand, some[1]))) == [Problem.RUN_FAILED]

    def test_runs_of_other_deployments_do_not_count(self) -> None:
        assert stand(current(), of=journal(a_run("failure", deployment="stg"))).is_well

    def test_an_unhealthy_run_is_past_once_its_workloads_run(self) -> None:
        past = journal(a_run("unhealthy"))
        assert stand(current(), of=past, workloads=[look(RolloutResult.HEALTHY, None)]).is_well
        unseen = [Unknown(NAMESPACE, "workloads", "no right")]
        assert problems(stand(current(), of=past, unknown=unseen)) == [Problem.RUN_FAILED]
        assert problems(stand(current(), of=past, workloads=[look(RolloutResult.FAILED)])) == [Problem.ROLLOUT]

    def test_of_an_unhealthy_run_whose_workloads_run_the_failed_tags_count(self) -> None:
        past = journal(a_run("unhealthy", counts={"failed": 2}))
        # The registry has an image that the run did not import.
        behind = current(result=Result.UPDATED)
        report = stand(behind, of=past)
        assert [each.message for each in report.attention] == ["the last run failed for some tags, with 2 failed"]
        assert stand(current(), of=past).is_well

    @pytest.mark.parametrize(("minutes", "needed"), [(5, []), (90, [Problem.RUN_HANGS])])
    def test_a_run_that_never_ends(self, minutes: int, needed: list[Problem]) -> None:
        run = RunRecord("r2", NOW - timedelta(minutes=minutes), deployment="prod", job="import-images-2")
        report = stand(current(), of=journal(run, a_run()), timetables=[table()])
        assert problems(report) == needed
        for each in report.attention:
            assert each.command == f"oc logs job/import-images-2 -n {NAMESPACE}"

    def test_a_bad_run_before_the_one_under_way_still_counts(self) -> None:
        run = RunRecord("r2", NOW - timedelta(minutes=1), deployment="prod")
        assert problems(stand(current(), of=journal(run, a_run("failure")))) == [Problem.RUN_FAILED]


class TestSchedule:
    def test_a_cron_job_is_known_by_its_name_or_its_label(self) -> None:
        assert timetable_from(cron_job("something-else")) is None
        labelled = cron_job("nightly")
        labelled["metadata"]["labels"] = {"app.kubernetes.io/name": "import-images"}
        assert timetable_from(labelled) is not None
        by_container = cron_job("nightly")
        containers = by_container["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        containers.insert(0, {"name": "proxy", "env": [{"name": "DEPLOYMENT", "value": "other"}]})
        containers[1]["name"] = "import-images"
        found = timetable_from(by_container)
        assert found is not None and found.cron_job.deployment == "prod"

    def test_where_it_imports(self) -> None:
        def namespaces(**env: str) -> tuple[str, ...]:
            found = timetable_from(cron_job(env=env))
            assert found
            return found.cron_job.namespaces

        assert namespaces() == (NAMESPACE,)
        assert namespaces(NAMESPACE="a, b") == ("a", "b")
        assert namespaces(SERVICE="shop", DEPLOYMENT="stg") == ("shop-stg",)
        # It may be any: what labels choose is not asked.
        assert namespaces(NAMESPACE_SELECTOR="a=b") == ()

    @pytest.mark.parametrize(
        ("env", "missed"),
        [({"NAMESPACE_SELECTOR": "a=b"}, False), ({"NAMESPACE": "other"}, False), ({"NAMESPACE": "third"}, True)],
    )
    def test_its_runs_are_looked_for_where_it_imports(self, env: dict[str, str], missed: bool) -> None:
        timetable = table(env={"DEPLOYMENT": "prod", **env})
        journals = {"third": journal(), "other": journal(a_run())}
        found = Facts(NOW, "prod", ("third", "other"), journals=journals, timetables=[timetable])
        assert (problems(assess(found)) == [Problem.RUN_MISSED]) is missed

    def test_on_time(self) -> None:
        found = punctuality(table(), [a_run()], NOW)
        assert (found.missed, found.next_due) == (None, DUE + timedelta(days=7))
        assert found.run == a_run()

    @pytest.mark.parametrize(
        ("runs", "missed"),
        [
            ([], True),
            ([a_run(at=DUE - timedelta(days=7))], True),
            ([a_run()], False),
            ([a_run("frozen")], False),
            # By hand from the CronJob, some time later; or one that kept the scheduled one out.
            ([a_run(at=DUE + timedelta(hours=3), trigger=TriggerKind.MANUAL, scheduled_at=None)], False),
            ([replace(a_run(at=DUE - timedelta(minutes=5)), finished_at=DUE + timedelta(minutes=1))], False),
            # From a shell, perhaps of one tag; of another deployment; no run at all.
            ([a_run(at=DUE + timedelta(hours=3), trigger=TriggerKind.LOCAL, scheduled_at=None)], True),
            ([a_run(at=DUE + timedelta(hours=3), trigger=TriggerKind.MANUAL, scheduled_at=None, narrowed=True)], True),
            # Its own arguments name tags.
            ([a_run(narrowed=True)], False),
            ([a_run(deployment="stg")], True),
            ([a_run(command="rollback")], True),
        ],
    )
    def test_a_due_time_without_a_run_is_missed(self, runs: list[RunRecord], missed: bool) -> None:
        assert punctuality(table(), runs, NOW).missed == (DUE if missed else None)

    def test_a_run_may_be_as_late_as_its_cron_job_allows(self) -> None:
        def missed(after: timedelta, **spec: Any) -> datetime | None:
            return punctuality(table(**spec), [a_run(at=DUE - timedelta(days=7))], DUE + after).missed

        assert missed(timedelta(minutes=9)) is None
        assert missed(timedelta(minutes=11)) == DUE
        assert missed(timedelta(minutes=59), startingDeadlineSeconds=3600) is None
        assert missed(timedelta(minutes=61), startingDeadlineSeconds=3600) == DUE
        # Starting a pod takes its time.
        assert missed(timedelta(minutes=9), startingDeadlineSeconds=10) is None

    def test_what_was_due_before_it_was_made_is_not_missed(self) -> None:
        young = replace(table(), since=DUE + timedelta(hours=1))
        assert punctuality(young, [], NOW).missed is None
        assert two_due_times_ago(young, NOW) is None

    def test_without_a_journal_its_jobs_tell(self) -> None:
        assert punctuality(table(), None, NOW).missed == DUE
        made = replace(table(), last_made=DUE)
        assert punctuality(made, None, NOW).missed is None
        found = punctuality(made, [], NOW)
        assert (found.missed, found.made) == (DUE, True)

    def test_missed_suspended_and_unreadable_need_attention(self) -> None:
        def needed(**spec: Any) -> list[Problem]:
            return problems(stand(current(), of=journal(), timetables=[table(**spec)]))

        assert needed() == [Problem.RUN_MISSED]
        assert needed(suspend=True) == [Problem.SUSPENDED]
        assert needed(schedule="now and then") == [Problem.SCHEDULE]
        # Valid, and counted from the last run.
        assert needed(schedule="@every 1h") == []

    def test_the_cron_job_of_another_deployment_is_nobodys_business(self) -> None:
        assert stand(current(), timetables=[table(env={"DEPLOYMENT": "stg"}, suspend=True)]).schedules == ()

    @pytest.mark.parametrize(
        "data", [{}, {"metadata": None}, cron_job(env={}, startingDeadlineSeconds="x", timeZone=3)]
    )
    def test_whatever_it_says_it_is_read(self, data: JSON) -> None:
        found = timetable_from(data)
        assert found is None or found.cron_job.deployment is None

    def test_two_due_times_ago(self) -> None:
        assert two_due_times_ago(table(), NOW) == DUE - timedelta(days=7)


class TestWorkloads:
    @pytest.mark.parametrize(
        ("found", "needed"),
        [
            (look(RolloutResult.HEALTHY, None), []),
            (look(RolloutResult.PAUSED), []),
            (look(RolloutResult.FAILED), [Problem.ROLLOUT]),
            (look(RolloutResult.WAITING), [Problem.ROLLOUT]),
            (look(RolloutResult.WILL_NOT_REDEPLOY), [Problem.ROLLOUT]),
            (look(None, minutes=1), []),
            (look(None, minutes=11), [Problem.ROLLOUT]),
        ],
    )
    def test_a_workload_by_the_verdict_on_it(self, found: WorkloadStatus, needed: list[Problem]) -> None:
        assert problems(stand(current(), workloads=[found])) == needed

    def test_each_has_a_command(self) -> None:
        tag = TagName(NAMESPACE, "web", "prod")
        old = [pod_from(pod(STATEFUL_SETS, "web-0", OLD_DIGEST, status=CRASH_LOOP))]

        def told(
            resource: Any, data: JSON, result: RolloutResult | None, pods: Any = (), held: bool = False
        ) -> str | None:
            return remedy(resource, data, pods, result, {"web": NEW}, tag, None if held else tag)

        waiting, where = RolloutResult.WAITING, f"-n {NAMESPACE}"
        assert told(DEPLOYMENTS, deployment(), RolloutResult.HEALTHY) is None
        assert told(DEPLOYMENTS, deployment(paused=True), waiting) == f"oc rollout resume deployment/web {where}"
        on_delete = stateful_set(updateStrategy={"type": "OnDelete"})
        assert told(STATEFUL_SETS, on_delete, waiting, old) == f"oc delete pod web-0 {where}"
        partition = told(STATEFUL_SETS, stateful_set(), waiting)
        assert partition and partition.startswith("oc patch statefulset/web --type=merge -p '") and where in partition
        assert told(STATEFUL_SETS, stateful_set(), None, old) == f"oc delete pod web-0 {where}"
        assert told(DEPLOYMENTS, deployment(), None) == f"oc rollout status deployment/web {where}"
        never = RolloutResult.WILL_NOT_REDEPLOY
        assert told(DEPLOYMENTS, deployment(), never) == f"import-images doctor web:prod {where}"
        crashing = [pod_from(pod(DAEMON_SETS, "web-x", NEW, status=CRASH_LOOP))]
        data = workload(DAEMON_SETS)
        assert told(DAEMON_SETS, data, RolloutResult.FAILED, crashing) == f"import-images rollback web:prod {where}"
        # Where nothing is to go back to, what the container said.
        logs = f"oc logs pod/web-x -c web --previous {where}"
        assert told(DAEMON_SETS, data, RolloutResult.FAILED, crashing, True) == logs
        unpulled = [pod_from(pod(DAEMON_SETS, "web-x", NEW, status=waiting_for("ImagePullBackOff")))]
        described = f"oc describe pod/web-x {where}"
        assert told(DAEMON_SETS, data, RolloutResult.FAILED, unpulled, True) == described
        assert told(DAEMON_SETS, data, RolloutResult.FAILED, (), True) == f"oc describe daemonset/web {where}"
        alias = remedy(DAEMON_SETS, data, crashing, RolloutResult.FAILED, {"web": NEW}, replace(tag, tag="live"), tag)
        assert alias == f"import-images rollback web:prod {where}"
        assert told(CRON_JOBS, workload(CRON_JOBS, digest=BAD), None) == f"oc describe cronjob/web {where}"


@pytest.mark.parametrize("reason", [Skip.ALIAS, Skip.COPY, Skip.REMOVED])
def test_a_tag_that_nothing_moves_needs_attention_only_where_that_is_explained(reason: Skip) -> None:
    skipped = current(result=Result.SKIPPED, reason=reason)
    assert stand(skipped).is_well
    (problem,) = stand(replace(skipped, message="copied once")).attention
    assert (problem.problem, problem.message) == (Problem.NOT_MOVED, "copied once")
    assert problem.command == f"import-images doctor web:prod -n {NAMESPACE}"


def shown(report: StatusReport) -> str:
    file = io.StringIO()
    print_status(report, file)
    return file.getvalue()


class TestScreen:
    def test_the_first_line_is_the_verdict(self) -> None:
        assert shown(stand(current())).splitlines()[0] == "All is well: 1 current."
        bad = shown(stand(failed("web"), current("api"))).splitlines()
        assert bad[0] == "1 thing needs attention:"
        assert "web:prod" in bad[1]
        two = shown(stand(failed("web"), failed("api")))
        assert two.startswith("2 things need attention:")

    def test_a_tag_is_a_line_of_what_it_has(self) -> None:
        line = next(line for line in shown(stand(tag_result("web"))).splitlines() if line.startswith("web:prod"))
        assert line.split() == ["web:prod", "behind", "a" * 12, "9d", "7d", "1a2b3c", "new:", "b" * 12]

    def test_a_held_tag_says_why_and_what_the_registry_has(self) -> None:
        text = shown(stand(replace(held(), message=f"the registry has something newer: sha256:{'c' * 64}")))
        assert "web:prod held for 2d by jane: bad; the registry has something newer: cccccccccccc" in text
        assert f"    import-images resume web:prod -n {NAMESPACE}\n" in text

    def test_when_the_next_run_is_and_whether_the_last_was_on_time(self) -> None:
        def told(run: RunRecord) -> str:
            report = stand(current(), of=journal(run), timetables=[table(timeZone="Europe/Prague")])
            return " ".join(shown(report).split())

        due = DUE - timedelta(hours=1)
        first = told(a_run(at=due))
        assert "Next run: Tue 2026-12-01 02:00 Europe/Prague, in 6d" in first
        assert "The last one was on time." in first
        late = told(replace(a_run(at=due), started_at=due + timedelta(minutes=7)))
        assert "The last one was 7m late." in late
        assert "scheduled prod success 10h ago 7m" in late

    def test_workloads_that_run_their_image_are_counted_and_others_shown(self) -> None:
        workloads = [look(RolloutResult.HEALTHY, None, name="fine"), look(RolloutResult.FAILED, "it crashes")]
        text = shown(stand(current(), workloads=workloads))
        assert "1 of 2 workloads that follow these tags run their images." in text
        assert "Deployment/fine" not in text
        assert "it crashes" in text

    def test_what_cannot_be_told_comes_last(self) -> None:
        text = shown(stand(current(), unknown=[Unknown(NAMESPACE, "journal", "grant get on it")]))
        assert text.splitlines()[-1] == f"? {NAMESPACE}: grant get on it"

    def test_of_very_many_tags_only_those_that_are_not_as_usual_are_shown(self) -> None:
        many = [current(f"s{number}") for number in range(MOST_TAGS)]
        text = shown(stand(*many, tag_result("web")))
        assert "web:prod" in text and "s1:prod" not in text
        assert f"{MOST_TAGS} more; all of them: --all" in text

    def test_several_namespaces_are_told_apart(self) -> None:
        tags = [TagFacts(failed("web")), TagFacts(failed("web", namespace="other"))]
        text = shown(assess(Facts(NOW, "prod", (NAMESPACE, "other"), tags)))
        assert f"! {NAMESPACE}/web:prod" in text and "! other/web:prod" in text

    def test_a_namespace_that_is_called_like_a_part_of_a_tag_is_told_as_well(self) -> None:
        tags = [TagFacts(failed("web")), TagFacts(failed("web", namespace="prod"))]
        error = RunError("web", Stage.LIST, Reason.FORBIDDEN, "no")
        text = shown(assess(Facts(NOW, "prod", (NAMESPACE, "prod", "web"), tags, errors=[error])))
        assert "! prod/web:prod" in text and "! namespace web: no" in text

    def test_a_command_is_shown_as_it_is_to_be_pasted(self) -> None:
        refused = failed("web", Reason.UNAUTHORIZED, by=By.REGISTRY)
        report = stand(refused)
        lines = [line for line in shown(report).splitlines() if line.startswith("    ")]
        assert len(lines) > 1 and max(map(len, lines)) <= 100
        assert any("--docker-password=PASSWORD" in line for line in lines)
        assert shlex.split("\n".join(lines).replace("\\\n", "")) == shlex.split(report.attention[0].command or "")

    @settings(max_examples=40)
    @given(
        st.lists(tag_results(st.text("ab-.", min_size=1, max_size=60)), max_size=4),
        st.sampled_from([None, *RolloutResult]),
        st.text(max_size=200),
    )
    def test_no_line_is_wider_than_100_columns_or_steers_the_terminal(
        self, tags: list[TagResult], result: RolloutResult | None, text: str
    ) -> None:
        hostile = "x\x1b[2J\u202e" + text
        told = [TagFacts(replace(tag, message=hostile), ("Reason", hostile, NOW)) for tag in tags]
        run = a_run("partial", counts={hostile[:20]: 3}, job=hostile)
        report = stand(
            tags=told,
            of=journal(run, last_success=1.0),
            timetables=[table(schedule=hostile), table()],
            workloads=[look(result, hostile, name="w" * 60, command=hostile)],
            unknown=[Unknown(NAMESPACE, "journal", hostile)],
        )
        lines = shown(report).splitlines()
        assert not any(CONTROL.search(line) for line in lines)
        # A command is there to be copied, and stays in one piece.
        assert all(cell_len(line) <= 100 for line in lines if not line.startswith("    "))
        json.dumps(status_document(report))


def test_the_document_is_json() -> None:
    report = stand(
        current(),
        held(),
        of=journal(a_run(), failed_runs=2),
        timetables=[table()],
        workloads=[look(RolloutResult.FAILED)],
    )
    found = json.loads(json.dumps(status_document(report)))
    assert (found["well"], found["deployment"], found["namespaces"]) == (False, "prod", [NAMESPACE])
    assert {each["problem"] for each in found["attention"]} == {"failing", "rollout"}
    assert [tag["state"] for tag in found["tags"]] == ["current", "held"]
    assert found["tags"][0]["registry"]["digest"] == OLD.digest
    assert found["schedules"][0]["next_due"] == "2026-12-01T02:00:00Z"
    assert (found["runs"][0]["outcome"], found["runs"][0]["delay"]) == ("success", 5.0)
    assert found["workloads"][0]["result"] == "failed"
