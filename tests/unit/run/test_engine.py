"""A run from settings to report: what it takes, what it says of each namespace, and how it ends."""

from __future__ import annotations

import re
import threading
from collections import Counter, deque
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.config.settings import Settings
from job.domain.model import By, Command, Outcome, Reason, Report, Result, RunError, Skip, Stage, TagResult
from job.domain.outcome import exit_status, outcome_of, overall
from job.domain.selection import Pattern, Wanted
from job.run.context import Counts, Run
from job.run.engine import perform
from job.runtime.pool import gather
from job.runtime.progress import Silent
from job.runtime.shutdown import Stop
from tests.unit.reports import failed, held, tag_result
from tests.unit.scripted import (
    JSON,
    NAMESPACE,
    NOT_FOUND,
    ScriptedCluster,
    Turn,
    Usual,
    alias,
    api_error,
    connection_lost,
    digest,
    refuse,
    spec_tag,
    stream_json,
)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.domain.retries.backoff", lambda *args: 0.0)


def perform_on(
    cluster: ScriptedCluster,
    *namespaces: str,
    command: Command = Command.RUN,
    stop: Stop | None = None,
    counts: Counts | None = None,
    **options: Any,
) -> Report:
    namespaces = namespaces or (NAMESPACE,)
    told = Settings(namespaces=namespaces, **options)
    return perform(
        Run(
            told,
            cluster,
            counts or Counts(),
            Stop() if stop is None else stop,
            namespaces,
            command,
            dry_run=command is Command.PLAN,
        )
    )


def deque_of(*turns: Turn) -> deque[Turn | None]:
    return deque(turns)


def results_of(report: Report) -> dict[str, str]:
    return {f"{tag.stream}:{tag.tag}": str(tag.reason or tag.result) for tag in report.tags}


class TestRuns:
    def test_a_run_takes_the_deployments_tag_of_every_stream(self) -> None:
        cluster = ScriptedCluster(
            stream_json(spec_tag("prod"), spec_tag("stg"), name="api"),
            stream_json(spec_tag("prod"), name="worker"),
            stream_json(spec_tag("stg"), name="other"),
        )
        report = perform_on(cluster, wanted=Wanted("prod"))
        assert results_of(report) == {"api:prod": "updated", "worker:prod": "updated"}
        assert (report.outcome, report.exit_status) == (Outcome.SUCCESS, 0)
        assert (report.deployment, report.namespaces, report.errors) == ("prod", (NAMESPACE,), ())

    def test_skipped_tags_are_told_and_are_no_failure(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod", alias("stg"))))
        report = perform_on(cluster, wanted=Wanted("prod"))
        assert results_of(report) == {"worker:prod": "alias"}
        assert (report.outcome, report.exit_status) == (Outcome.SUCCESS, 0)

    def test_some_failures_are_partial_and_all_are_a_failure(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("a"), spec_tag("b")))
        cluster.registry["quay.io/packit/a:a"] = NOT_FOUND
        report = perform_on(cluster)
        assert (report.outcome, report.exit_status) == (Outcome.PARTIAL, 1)
        cluster.registry["quay.io/packit/b:b"] = NOT_FOUND
        report = perform_on(cluster)
        assert (report.outcome, report.exit_status) == (Outcome.FAILURE, 1)

    def test_a_plan_writes_nothing_and_ends_with_0_whatever_would_change(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        report = perform_on(cluster, command=Command.PLAN)
        assert results_of(report) == {"worker:prod": "updated"}
        assert (report.command, report.exit_status) == ("plan", 0)
        assert [request.body["spec"]["import"] for request in cluster.imports] == [False]

    def test_a_plan_whose_look_up_failed_ends_with_1(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        cluster.registry["quay.io/packit/prod:prod"] = NOT_FOUND
        assert perform_on(cluster, command=Command.PLAN).exit_status == 1

    def test_its_id_is_its_time_and_a_little_chance(self) -> None:
        reports = [perform_on(ScriptedCluster(stream_json(spec_tag("prod")))) for _ in range(2)]
        assert all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{4}", report.id) for report in reports)
        assert all(report.id.startswith(f"{report.started_at:%Y%m%dT%H%M%SZ}") for report in reports)

    def test_ids_of_one_second_sort_by_time(self) -> None:
        second = datetime(2026, 11, 24, 2, tzinfo=UTC)
        times = [second + timedelta(milliseconds=4 * number) for number in range(251)]
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        ids = [
            Run(Settings(), cluster, Counts(), Stop(), namespaces=("a",), command=Command.RUN, started=time).id
            for time in times
        ]
        assert ids == sorted(ids) and len(set(ids)) == len(ids)

    def test_the_selector_goes_to_the_server(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        perform_on(cluster, selector="app=worker")
        assert cluster.requests[0].selector == "app=worker"

    def test_results_of_several_namespaces_are_one_report(self) -> None:
        cluster = ScriptedCluster(*(stream_json(spec_tag("prod"), namespace=name) for name in "abc"))
        report = perform_on(cluster, "a", "b", "c")
        assert [tag.namespace for tag in report.tags] == ["a", "b", "c"]
        assert report.outcomes == dict.fromkeys("abc", Outcome.SUCCESS)

    def test_progress_ends_where_all_have_a_result(self) -> None:
        cluster = ScriptedCluster(stream_json(*(spec_tag(name) for name in "abcde"), spec_tag("f", alias("a"))))
        told = Settings(namespaces=(NAMESPACE,))
        seen: list[tuple[int, int]] = []

        class Shown(Silent):
            def show(self, done: int, total: int, what: str) -> None:
                seen.append((done, total))

        perform(
            Run(
                told,
                cluster,
                Counts(),
                Stop(),
                (NAMESPACE,),
                Command.RUN,
                progress=Shown(),
            )
        )
        assert seen == [(number, 6) for number in range(7)]


class TestLists:
    def test_a_list_that_breaks_is_begun_anew_once(self) -> None:
        cluster = ScriptedCluster(*(stream_json(spec_tag("prod"), name=name) for name in ("a", "b")))

        def breaks_between_pages(usual: Usual) -> Any:
            return {"items": usual()["items"][:1], "then": api_error(410)}

        cluster.on_list[NAMESPACE] = deque_of(breaks_between_pages)
        counts = Counts()
        report = perform_on(cluster, counts=counts)
        assert results_of(report) == {"a:prod": "updated", "b:prod": "updated"}
        assert counts.tallies[NAMESPACE].retries == Counter({"api_error": 1})

    def test_one_that_breaks_twice_imports_nothing_and_is_an_error(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        cluster.on_list[NAMESPACE] = deque_of(refuse(api_error(503)), refuse(connection_lost()))
        report = perform_on(cluster)
        (error,) = report.errors
        assert (error.namespace, error.stage, error.reason) == (NAMESPACE, "list", Reason.UNREACHABLE)
        assert (report.outcome, report.exit_status, report.tags) == (Outcome.FAILURE, 3, ())
        assert cluster.imports == []

    @pytest.mark.parametrize("code", [401, 403])
    def test_one_that_is_refused_is_not_begun_anew(self, code: int) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        cluster.on_list[NAMESPACE] = deque_of(refuse(api_error(code)))
        assert perform_on(cluster).exit_status == 3
        assert len(cluster.requests) == 1

    def test_another_namespace_is_imported_all_the_same(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")), stream_json(spec_tag("prod"), namespace="other"))
        cluster.on_list["other"] = deque_of(refuse(api_error(403)))
        report = perform_on(cluster, NAMESPACE, "other")
        assert results_of(report) == {"worker:prod": "updated"}
        assert (report.outcome, report.exit_status) == (Outcome.PARTIAL, 1)
        assert report.outcomes == {NAMESPACE: Outcome.SUCCESS, "other": Outcome.FAILURE}


class TestNothingMatched:
    @pytest.mark.parametrize(
        ("wanted", "told"),
        [
            (Wanted("prdo"), ["tag prdo", "prod"]),
            (Wanted("prod", (Pattern("nobody"),)), ["nobody:prod"]),
            (Wanted(None, (Pattern("nobody"),)), ["nobody:*"]),
        ],
    )
    def test_it_says_what_was_asked_for_and_what_there_is(self, wanted: Wanted, told: list[str]) -> None:
        report = perform_on(ScriptedCluster(stream_json(spec_tag("prod"), spec_tag("stg"))), wanted=wanted)
        (error,) = report.errors
        assert (error.stage, report.exit_status, report.tags) == ("select", 2, ())
        assert all(text in error.message for text in [NAMESPACE, "it has 1 image stream", *told])

    def test_an_empty_namespace_matches_nothing(self) -> None:
        assert perform_on(ScriptedCluster()).exit_status == 2

    def test_where_one_namespace_could_not_be_read_that_counts(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        cluster.on_list["other"] = deque_of(refuse(api_error(403)))
        assert perform_on(cluster, NAMESPACE, "other", wanted=Wanted("stg")).exit_status == 1


class TestStops:
    def test_told_to_stop_at_once_nothing_is_asked(self) -> None:
        stop = Stop()
        stop.request("SIGTERM")
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        report = perform_on(cluster, stop=stop)
        assert (report.outcome, report.exit_status) == (Outcome.ABORTED, 6)
        assert cluster.imports == []

    def test_past_the_deadline_nothing_is_imported(self) -> None:
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))
        report = perform_on(cluster, deadline=0.0)
        assert (report.outcome, report.exit_status) == (Outcome.ABORTED, 6)
        assert cluster.imports == []

    def test_told_to_stop_while_listing_nothing_is_imported(self) -> None:
        stop = Stop()
        cluster = ScriptedCluster(stream_json(spec_tag("prod")))

        def told_to_stop_meanwhile(usual: Usual) -> Any:
            stop.request("SIGTERM")
            return usual()

        cluster.on_list[NAMESPACE] = deque_of(told_to_stop_meanwhile)
        report = perform_on(cluster, stop=stop)
        assert (report.outcome, report.exit_status) == (Outcome.ABORTED, 6)
        assert cluster.imports == []

    def test_told_to_stop_when_all_is_done_all_is_done(self) -> None:
        stop = Stop()
        cluster = ScriptedCluster(stream_json(spec_tag("prod"), images={"prod": digest("new")}))

        def told_to_stop_meanwhile(usual: Usual) -> Any:
            stop.request("SIGTERM")
            return usual()

        cluster.on_create.append(told_to_stop_meanwhile)
        report = perform_on(cluster, stop=stop)
        assert results_of(report) == {"worker:prod": "unchanged"}
        assert (report.outcome, report.exit_status) == (Outcome.SUCCESS, 0)


class TestCounts:
    def test_requests_and_retries_are_counted_by_namespace(self) -> None:
        counts = Counts()
        counts.requested("a", "200")
        counts.requested("a", "200")
        counts.requested("b", "none")
        counts.retried("b", "conflict")
        assert counts.tallies["a"].requests == Counter({"200": 2})
        assert counts.tallies["b"].retries == Counter({"conflict": 1})

    def test_none_is_lost_when_many_count_at_once(self) -> None:
        counts = Counts()

        def count() -> None:
            for number in range(200):
                counts.requested(f"namespace-{number}", "200")

        gather(dict.fromkeys(range(8), count), 8, lambda: False)
        assert {tally.requests["200"] for tally in counts.tallies.values()} == {8}

    def test_what_comes_later_does_not_change_the_report(self) -> None:
        counts = Counts()
        counts.requested(NAMESPACE, "200")
        report = perform_on(ScriptedCluster(stream_json(spec_tag("prod"))), counts=counts)
        counts.requested(NAMESPACE, "200")
        assert report.requests == 1


SKIPPED = tag_result(result=Result.SKIPPED, reason=Skip.ALIAS)
UNCHANGED = tag_result(result=Result.UNCHANGED)
UPDATED = tag_result()
ABORTED = failed(reason=Reason.ABORTED, by=None)
UNLISTED = RunError(NAMESPACE, Stage.LIST, Reason.FORBIDDEN, "")
STOPPED = RunError(NAMESPACE, Stage.LIST, Reason.ABORTED, "")


class TestOutcomes:
    @pytest.mark.parametrize(
        ("tags", "errors", "outcome"),
        [
            ([UPDATED, UNCHANGED], [], Outcome.SUCCESS),
            ([SKIPPED, held()], [], Outcome.SUCCESS),
            ([UPDATED, failed()], [], Outcome.PARTIAL),
            ([failed()], [], Outcome.FAILURE),
            ([failed(), SKIPPED], [], Outcome.FAILURE),
            ([], [UNLISTED], Outcome.FAILURE),
            ([UPDATED, ABORTED], [], Outcome.ABORTED),
            ([failed(), ABORTED], [], Outcome.ABORTED),
            ([], [STOPPED], Outcome.ABORTED),
            ([tag_result(namespace="other"), failed()], [], Outcome.FAILURE),
            ([UPDATED, failed(namespace="other")], [], Outcome.SUCCESS),
            ([UPDATED], [RunError("other", Stage.LIST, Reason.FORBIDDEN, "")], Outcome.SUCCESS),
        ],
    )
    def test_of_a_namespace(self, tags: list[TagResult], errors: list[RunError], outcome: Outcome) -> None:
        assert outcome_of(NAMESPACE, tags, errors) is outcome

    @pytest.mark.parametrize(
        ("outcomes", "outcome"),
        [
            ([Outcome.SUCCESS] * 2, Outcome.SUCCESS),
            ([Outcome.FAILURE] * 2, Outcome.FAILURE),
            ([Outcome.SUCCESS, Outcome.FAILURE], Outcome.PARTIAL),
            ([Outcome.SUCCESS, Outcome.PARTIAL], Outcome.PARTIAL),
            ([Outcome.SUCCESS, Outcome.ABORTED], Outcome.ABORTED),
            ([Outcome.FAILURE, Outcome.ABORTED], Outcome.ABORTED),
        ],
    )
    def test_over_all(self, outcomes: list[Outcome], outcome: Outcome) -> None:
        assert overall(outcomes) is outcome


def by_api(reason: Reason) -> TagResult:
    return failed(reason=reason, by=By.API)


class TestExitStatuses:
    @pytest.mark.parametrize(
        ("tags", "errors", "status"),
        [
            ([UPDATED, UNCHANGED, SKIPPED], [], 0),
            ([SKIPPED], [], 0),
            ([UPDATED, failed()], [], 1),
            ([failed()], [], 1),
            ([by_api(Reason.NOT_FOUND)], [], 1),
            ([by_api(Reason.INVALID)], [], 1),
            ([by_api(Reason.CONFLICT)], [], 1),
            ([], [], 2),
            ([], [UNLISTED], 3),
            ([by_api(Reason.FORBIDDEN), SKIPPED], [], 3),
            ([by_api(Reason.UNAUTHORIZED), by_api(Reason.UNREACHABLE)], [], 3),
            ([by_api(Reason.FORBIDDEN), UPDATED], [], 1),
            ([by_api(Reason.FORBIDDEN), failed()], [], 1),
            ([failed(reason=Reason.UNAUTHORIZED)], [], 1),
            ([UPDATED, ABORTED], [], 6),
            ([by_api(Reason.FORBIDDEN), ABORTED], [], 6),
            ([], [STOPPED], 6),
        ],
    )
    def test_of_one_namespace(self, tags: list[TagResult], errors: list[RunError], status: int) -> None:
        outcome = outcome_of(NAMESPACE, tags, errors)
        assert exit_status(tags, errors, 1, matched=bool(tags), outcome=outcome) == status

    @pytest.mark.parametrize(
        ("tags", "errors", "status"),
        [
            ([UPDATED], [RunError("other", Stage.LIST, Reason.FORBIDDEN, "")], 1),
            ([], [RunError("other", Stage.LIST, Reason.FORBIDDEN, "")], 1),
            ([], [UNLISTED, RunError("other", Stage.LIST, Reason.UNREACHABLE, "")], 3),
            ([], [RunError(name, Stage.SELECT, Reason.NOT_FOUND, "") for name in (NAMESPACE, "other")], 2),
        ],
    )
    def test_of_two_namespaces(self, tags: list[TagResult], errors: list[RunError], status: int) -> None:
        outcome = overall([outcome_of(name, tags, errors) for name in (NAMESPACE, "other")])
        assert exit_status(tags, errors, 2, matched=bool(tags), outcome=outcome) == status

    @settings(max_examples=50)
    @given(st.lists(st.sampled_from([SKIPPED, UNCHANGED, UPDATED, ABORTED, failed(), by_api(Reason.FORBIDDEN)])))
    def test_0_means_that_all_are_as_the_registry_has_them(self, tags: list[TagResult]) -> None:
        outcome = outcome_of(NAMESPACE, tags, [])
        status = exit_status(tags, [], 1, matched=bool(tags), outcome=outcome)
        assert (status == 0) == (bool(tags) and outcome is Outcome.SUCCESS)
        if status in (2, 3):
            assert not any(tag.result is Result.UPDATED for tag in tags)

    def test_many_streams_are_imported_side_by_side(self) -> None:
        barrier = threading.Barrier(4, timeout=10)

        def together(usual: Usual) -> JSON:
            barrier.wait()
            return dict(usual())

        cluster = ScriptedCluster(*(stream_json(spec_tag("prod"), name=name) for name in "abcd"))
        cluster.on_create.extend([together] * 4)
        assert perform_on(cluster, concurrency=4).exit_status == 0
