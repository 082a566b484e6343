"""A report as metrics: what is said, what is carried over, and that any label can be read back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from job import VERSION
from job.domain.model import (
    Command,
    Outcome,
    Reason,
    Report,
    Result,
    Rollout,
    RolloutResult,
    Skip,
    TagName,
    TagResult,
    Tally,
)
from job.publish.metric_families import CARRIED_FAMILIES, FAMILIES, PREFIX, RUN_FAMILIES, TAG, Past, Values
from job.publish.metrics import exposition, increments
from tests.unit.reports import (
    FINISHED,
    NAMESPACE,
    NEW,
    OLD,
    STARTED,
    TEXT,
    failed,
    held,
    report_of,
    reports,
    tag_result,
    unlisted,
)

DOCUMENTED = {
    *("notifications", "frozen", "freeze_start_timestamp_seconds", "freeze_end_timestamp_seconds", "blocked_images"),
    *("tag_blocked", "tag_gate", "tag_gate_start_timestamp_seconds"),
    *("build_info", "last_run_timestamp_seconds", "last_success_timestamp_seconds", "run_duration_seconds"),
    *("run_outcome", "tags", "api_requests", "retries", "next_run_timestamp_seconds", "start_delay_seconds"),
    *("tag_result", "tag_failure", "tag_failed_runs", "tag_import_seconds", "tag_image_info"),
    *("tag_image_created_timestamp_seconds", "tag_updated_timestamp_seconds", "tag_last_success_timestamp_seconds"),
    *("tag_held", "tag_hold_start_timestamp_seconds", "tag_hold_end_timestamp_seconds", "tag_rollback_targets"),
    *("rollout_healthy", "rollout_seconds", "rollout_bad_timestamp_seconds"),
}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: bytes) -> Samples:
    """The samples of an exposition: name without prefix and sorted labels, to value."""
    found: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def said(report: Report, past: Past | None = None, **options: Any) -> Samples:
    return read(exposition(report, NAMESPACE, past or Past(), **options))


def of_family(samples: Samples, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one family by their label values in the family's order."""
    order = next(family.labels for family in FAMILIES if family.name == name)
    return {tuple(dict(labels)[label] for label in order): v for (found, labels), v in samples.items() if found == name}


WORKER = ("packit-worker", "prod")
SERVICE = ("packit-service", "prod")


class TestRun:
    def test_a_successful_run(self) -> None:
        samples = said(report_of(tag_result()))
        assert samples["build_info", (("version", VERSION),)] == 1
        assert samples["last_run_timestamp_seconds", ()] == FINISHED.timestamp()
        assert samples["last_success_timestamp_seconds", ()] == FINISHED.timestamp()
        assert samples["run_duration_seconds", ()] == 12.5

    def test_its_outcome_is_1_and_all_others_are_0(self) -> None:
        outcomes = of_family(said(report_of(outcome=Outcome.PARTIAL)), "run_outcome")
        assert outcomes == {(outcome,): float(outcome is Outcome.PARTIAL) for outcome in Outcome}

    def test_its_tags_are_counted_by_result_with_zeros(self) -> None:
        counts = of_family(said(report_of(tag_result(), tag_result("b"), failed())), "tags")
        assert counts == {("updated",): 2, ("unchanged",): 0, ("failed",): 1, ("skipped",): 0, ("rolled_back",): 0}

    def test_its_requests_and_retries_are_counted(self) -> None:
        samples = said(report_of())
        assert of_family(samples, "api_requests") == {("201",): 3, ("200",): 1}
        assert of_family(samples, "retries") == {("conflict",): 1}

    @pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.SUCCESS])
    def test_the_last_success_survives_a_run_that_was_none(self, outcome: Outcome) -> None:
        past = Past({"last_success_timestamp_seconds": {(): 5.0}})
        assert said(report_of(outcome=outcome), past)["last_success_timestamp_seconds", ()] == 5.0

    def test_without_a_success_ever_there_is_none(self) -> None:
        assert ("last_success_timestamp_seconds", ()) not in said(report_of(outcome=Outcome.FAILURE))

    def test_each_namespace_has_its_own(self) -> None:
        report = unlisted()
        assert of_family(said(report), "run_outcome")["failure",] == 1
        other = read(exposition(report, "other", Past()))
        assert of_family(other, "run_outcome")["success",] == 1
        assert "api_requests" not in {name for name, _ in other}


class TestTags:
    def test_an_updated_tag(self) -> None:
        samples = said(report_of(tag_result()))
        assert of_family(samples, "tag_result") == {(*WORKER, "updated"): 1}
        assert of_family(samples, "tag_import_seconds") == {WORKER: 0.41}
        assert of_family(samples, "tag_image_info") == {
            (*WORKER, NEW.digest, "4d5e6f", "quay.io/packit/packit-worker:prod"): 1
        }
        assert NEW.created and NEW.imported_at
        assert of_family(samples, "tag_image_created_timestamp_seconds") == {WORKER: NEW.created.timestamp()}
        assert of_family(samples, "tag_updated_timestamp_seconds") == {WORKER: NEW.imported_at.timestamp()}
        assert of_family(samples, "tag_last_success_timestamp_seconds") == {WORKER: FINISHED.timestamp()}
        assert not {"tag_failure", "tag_failed_runs", "tag_held"} & {name for name, _ in samples}

    def test_an_unchanged_tag_is_a_success_too(self) -> None:
        samples = said(report_of(tag_result(result=Result.UNCHANGED, after=OLD)))
        assert of_family(samples, "tag_last_success_timestamp_seconds") == {WORKER: FINISHED.timestamp()}

    def test_a_failed_tag_keeps_its_last_success_and_counts_its_failures(self) -> None:
        past = Past({"tag_last_success_timestamp_seconds": {SERVICE: 7.0}, "tag_failed_runs": {SERVICE: 2.0}})
        samples = said(report_of(failed(), outcome=Outcome.FAILURE), past)
        assert of_family(samples, "tag_failure") == {(*SERVICE, "not_found"): 1}
        assert of_family(samples, "tag_failed_runs") == {SERVICE: 3}
        assert of_family(samples, "tag_last_success_timestamp_seconds") == {SERVICE: 7.0}
        assert of_family(samples, "tag_image_info") == {
            (*SERVICE, OLD.digest, "1a2b3c", "quay.io/packit/packit-service:prod"): 1
        }

    def test_a_success_ends_the_count_of_failures(self) -> None:
        past = Past({"tag_failed_runs": {WORKER: 2.0}})
        assert of_family(said(report_of(tag_result()), past), "tag_failed_runs") == {}

    def test_a_skipped_tag_keeps_its_last_success(self) -> None:
        skipped = tag_result(result=Result.SKIPPED, reason=Skip.OPTED_OUT, seconds=None)
        samples = said(report_of(skipped), Past({"tag_last_success_timestamp_seconds": {WORKER: 7.0}}))
        assert of_family(samples, "tag_last_success_timestamp_seconds") == {WORKER: 7.0}
        assert of_family(samples, "tag_import_seconds") == {}

    def test_a_held_tag(self) -> None:
        until = STARTED + timedelta(days=3)
        samples = said(report_of(held(until=until)))
        key = ("packit-held", "prod")
        assert of_family(samples, "tag_held") == {key: 1}
        assert of_family(samples, "tag_hold_start_timestamp_seconds") == {
            key: (STARTED - timedelta(days=2)).timestamp()
        }
        assert of_family(samples, "tag_hold_end_timestamp_seconds") == {key: until.timestamp()}

    def test_a_tag_held_until_somebody_lets_it_go_has_no_end(self) -> None:
        assert of_family(said(report_of(held())), "tag_hold_end_timestamp_seconds") == {}

    def test_a_tag_without_an_image_has_no_image_series(self) -> None:
        samples = said(report_of(failed(after=None)))
        assert not any(name.startswith(("tag_image", "tag_updated")) for name, _ in samples)

    def test_an_image_of_which_nothing_is_known_has_empty_labels(self) -> None:
        unknown = replace(NEW, revision=None, created=None, imported_at=None)
        samples = said(report_of(tag_result(after=unknown, source=None)))
        assert of_family(samples, "tag_image_info") == {(*WORKER, NEW.digest, "", ""): 1}
        assert of_family(samples, "tag_image_created_timestamp_seconds") == {}

    def test_tags_of_another_deployment_have_no_place_in_the_group(self) -> None:
        samples = said(report_of(tag_result(tag="stg"), tag_result()))
        assert of_family(samples, "tag_result") == {(*WORKER, "updated"): 1}

    def test_a_run_of_every_tag_has_them_all(self) -> None:
        samples = said(report_of(tag_result(tag="stg"), tag_result(), deployment=None))
        assert len(of_family(samples, "tag_result")) == 2

    def test_tags_of_another_namespace_have_no_place_in_the_group(self) -> None:
        assert of_family(said(report_of(tag_result(namespace="other"))), "tag_result") == {}


PAST = Past(
    {
        "build_info": {("0.0.1",): 1},
        "last_run_timestamp_seconds": {(): 3.0},
        "last_success_timestamp_seconds": {(): 2.0},
        "run_outcome": {("success",): 1.0, ("failure",): 0.0},
        "tags": {("updated",): 9.0},
        "tag_result": {(*WORKER, "failed"): 1.0, ("gone", "prod", "updated"): 1.0},
        "tag_failure": {(*WORKER, "timeout"): 1.0},
        "tag_failed_runs": {WORKER: 4.0, ("gone", "prod"): 1.0},
        "tag_last_success_timestamp_seconds": {WORKER: 1.0, ("gone", "prod"): 1.0},
    }
)


class TestCarrying:
    def test_a_full_run_forgets_tags_that_are_gone(self) -> None:
        samples = said(report_of(tag_result()), PAST)
        assert "gone" not in {dict(labels).get("stream") for _, labels in samples}

    def test_a_narrowed_run_changes_its_own_tags_and_when_it_ended(self) -> None:
        samples = said(report_of(tag_result()), PAST, narrowed=True)
        assert of_family(samples, "tag_result") == {(*WORKER, "updated"): 1, ("gone", "prod", "updated"): 1}
        assert of_family(samples, "tag_failure") == {}
        assert of_family(samples, "tag_failed_runs") == {("gone", "prod"): 1}
        assert samples["last_run_timestamp_seconds", ()] == FINISHED.timestamp()

    def test_a_narrowed_run_leaves_all_else_of_the_run_before(self) -> None:
        samples = said(report_of(tag_result()), PAST, narrowed=True)
        assert samples["last_success_timestamp_seconds", ()] == 2.0
        assert of_family(samples, "tags") == {("updated",): 9.0}
        assert of_family(samples, "build_info") == {("0.0.1",): 1.0}
        assert of_family(samples, "run_outcome") == {("success",): 1.0, ("failure",): 0.0}
        assert of_family(samples, "api_requests") == {}

    def test_a_narrowed_run_counts_its_failures_onwards(self) -> None:
        samples = said(report_of(failed("packit-worker")), PAST, narrowed=True)
        assert of_family(samples, "tag_failed_runs") == {WORKER: 5, ("gone", "prod"): 1}
        assert of_family(samples, "tag_last_success_timestamp_seconds")[WORKER] == 1.0

    def test_a_run_that_did_not_see_the_tags_keeps_them_and_tells_of_itself(self) -> None:
        samples = said(unlisted(), PAST, unseen=True)
        assert of_family(samples, "tag_result") == {(*WORKER, "failed"): 1, ("gone", "prod", "updated"): 1}
        assert of_family(samples, "tag_failed_runs") == {WORKER: 4, ("gone", "prod"): 1}
        assert samples["last_success_timestamp_seconds", ()] == 2.0
        assert of_family(samples, "run_outcome")["failure",] == 1
        assert samples["last_run_timestamp_seconds", ()] == FINISHED.timestamp()

    def test_what_a_full_run_needs_of_the_past_is_all_that_it_takes_from_it(self) -> None:
        report = report_of(tag_result(), failed(), held(), outcome=Outcome.PARTIAL)
        wanted = {name: values for name, values in PAST.families.items() if name in CARRIED_FAMILIES}
        assert exposition(report, NAMESPACE, PAST) == exposition(report, NAMESPACE, Past(wanted))

    def test_only_what_is_to_be_kept_is_said(self) -> None:
        samples = said(report_of(tag_result()), keep=lambda family, _: family.name in RUN_FAMILIES)
        assert {name for name, _ in samples} == set(RUN_FAMILIES)

    @settings(max_examples=25)
    @given(reports())
    def test_pushing_the_same_again_changes_no_tag_but_its_count_of_failures(self, report: Report) -> None:
        past = past_of(exposition(report, NAMESPACE, Past()))
        first, second = said(report), said(report, past)
        for name, labels in first:
            if name != "tag_failed_runs":
                assert second[name, labels] == first[name, labels]
        assert first.keys() == second.keys()

    @settings(max_examples=25)
    @given(reports())
    def test_a_run_narrowed_to_nothing_changes_only_when_it_ended(self, report: Report) -> None:
        past = past_of(exposition(report, NAMESPACE, Past()))
        nothing = report_of(tallies={}, deployment=report.deployment)
        before, now = said(report), said(nothing, past, narrowed=True)
        assert {key: v for key, v in now.items() if key[0] != "last_run_timestamp_seconds"} == {
            key: v for key, v in before.items() if key[0] != "last_run_timestamp_seconds"
        }


def past_of(text: bytes) -> Past:
    samples = read(text)
    return Past({family.name: of_family(samples, family.name) for family in FAMILIES})


class TestExposition:
    @settings(max_examples=25)
    @given(reports(names=TEXT.filter(bool)), st.booleans(), st.booleans())
    def test_any_labels_can_be_read_back(self, report: Report, narrowed: bool, unseen: bool) -> None:
        samples = said(report, narrowed=narrowed, unseen=unseen)
        own = [t for t in report.tags if t.namespace == NAMESPACE and report.deployment in (None, t.tag)]
        assert of_family(samples, "tag_result") == {(t.stream, t.tag, str(t.result)): 1 for t in own}
        assert of_family(samples, "tag_image_info") == {
            (t.stream, t.tag, t.after.digest, t.after.revision or "", t.source or ""): 1 for t in own if t.after
        }
        assert of_family(samples, "tag_import_seconds") == {
            (t.stream, t.tag): t.seconds for t in own if t.seconds is not None
        }
        assert of_family(samples, "tag_failure") == {
            (t.stream, t.tag, str(t.reason)): 1 for t in own if t.result is Result.FAILED
        }
        # Of a narrowed run nothing but its tags is told.
        counts = Counter(t.result for t in report.tags if t.namespace == NAMESPACE)
        assert of_family(samples, "tags") == ({} if narrowed else {(str(result),): counts[result] for result in Result})
        tally = report.tallies.get(NAMESPACE, Tally())
        for name, asked in (("api_requests", tally.requests), ("retries", tally.retries)):
            assert of_family(samples, name) == ({} if narrowed else {(label,): n for label, n in asked.items()})

    @settings(max_examples=25)
    @given(reports())
    def test_every_family_is_documented_and_has_its_labels(self, report: Report) -> None:
        labels = {family.name: set(family.labels) for family in FAMILIES}
        for name, found in said(report):
            assert name in DOCUMENTED
            assert {label for label, _ in found} == labels[name]

    @settings(max_examples=25)
    @given(reports())
    def test_nothing_tells_when_a_series_was_created(self, report: Report) -> None:
        assert b"_created" not in exposition(report, NAMESPACE, Past()).replace(b"image_created", b"")
        assert b"_created" not in increments(report, NAMESPACE)

    def test_every_family_is_documented(self) -> None:
        assert {family.name for family in FAMILIES} <= DOCUMENTED

    def test_no_label_is_one_of_the_group_or_of_the_monitoring(self) -> None:
        taken = {"job", "namespace", "instance", "stream_namespace", "deployment", "shard"}
        assert not any(taken & set(family.labels) for family in FAMILIES)

    def test_families_are_explained_and_are_gauges(self) -> None:
        for family in text_string_to_metric_families(exposition(report_of(tag_result()), NAMESPACE, Past()).decode()):
            assert family.documentation
            assert family.type == "gauge"

    def test_a_family_without_a_series_is_left_out(self) -> None:
        assert b"tag_failure" not in exposition(report_of(tag_result()), NAMESPACE, Past()).replace(
            b"and tag_failure", b""
        )

    def test_half_a_character_in_a_label_does_no_harm(self) -> None:
        # JSON can spell one half of a surrogate pair, and UTF-8 cannot.
        image = replace(NEW, revision="a\ud800b")
        samples = said(report_of(tag_result(after=image)))
        assert len(of_family(samples, "tag_image_info")) == 1


class TestIncrements:
    def test_they_are_this_runs_share(self) -> None:
        report = report_of(tag_result(), tag_result("b"), failed(), outcome=Outcome.PARTIAL)
        samples = read(increments(report, NAMESPACE))
        assert samples["runs_total", (("outcome", "partial"),)] == 1
        key = (("result", "failed"), ("stream", "packit-service"), ("tag", "prod"))
        assert samples["tag_imports_total", key] == 1
        # From the first run on, so that the first failure is an increase.
        assert {samples["runs_total", (("outcome", str(outcome)),)] for outcome in Outcome} == {0, 1}
        key = (("result", "failed"), ("stream", "b"), ("tag", "prod"))
        assert samples["tag_imports_total", key] == 0
        assert samples["import_seconds_count", ()] == 3
        assert samples["import_seconds_sum", ()] == pytest.approx(3 * 0.41)

    @settings(max_examples=25)
    @given(reports(names=TEXT.filter(bool)))
    def test_there_are_no_gauges_and_all_can_be_read_back(self, report: Report) -> None:
        families = list(text_string_to_metric_families(increments(report, NAMESPACE).decode()))
        assert {(family.name.removeprefix(PREFIX), family.type) for family in families} <= {
            ("runs", "counter"),
            ("tag_imports", "counter"),
            ("import_seconds", "histogram"),
        }
        imports = Counter((t.stream, t.tag, str(t.result)) for t in report.tags if t.namespace == NAMESPACE)
        found = {
            (sample.labels["stream"], sample.labels["tag"], sample.labels["result"]): sample.value
            for family in families
            if family.name == PREFIX + "tag_imports"
            for sample in family.samples
        }
        assert {key: value for key, value in found.items() if value} == imports
        assert {key[2] for key, value in found.items() if not value} <= {"failed"}

    def test_a_tag_that_was_never_tried_has_no_time(self) -> None:
        skipped = tag_result(result=Result.SKIPPED, reason=Skip.ALIAS, seconds=None)
        assert read(increments(report_of(skipped), NAMESPACE))["import_seconds_count", ()] == 0


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_the_families_of_tags_begin_with_stream_and_tag(family: Any) -> None:
    assert (family.labels[:2] == TAG) == family.name.startswith("tag_")


@pytest.mark.parametrize(
    "tag", [tag_result(), failed(), failed(reason=Reason.ABORTED, by=None), held()], ids=lambda tag: str(tag.reason)
)
def test_a_tag_has_exactly_one_result(tag: TagResult) -> None:
    report = report_of(tag, tallies={NAMESPACE: Tally()})
    assert len(of_family(said(report), "tag_result")) == 1


NAMES = (TagName(NAMESPACE, "packit-worker", "prod"),)


def came(result: RolloutResult, name: str = "worker", seconds: float | None = 2.0) -> Rollout:
    return Rollout(NAMESPACE, "StatefulSet", name, NAMES, result, None, seconds)


def test_a_workload_that_was_put_back_counts_as_what_the_import_made_of_it() -> None:
    rollouts = (
        came(RolloutResult.FAILED),
        came(RolloutResult.HEALTHY),
        came(RolloutResult.HEALTHY, "fine"),
        came(RolloutResult.PAUSED, "off"),
        replace(came(RolloutResult.FAILED, "far"), tags=(TagName("elsewhere", "a", "prod"),)),
    )
    found = read(exposition(report_of(tag_result(), rollouts=rollouts), NAMESPACE, Past()))
    healthy = {dict(labels)["name"]: value for (name, labels), value in found.items() if name == "rollout_healthy"}
    assert healthy == {"worker": 0, "fine": 1}
    assert found["rollout_seconds", (("kind", "StatefulSet"), ("name", "worker"))] == 4


def test_a_bad_rollout_names_its_tag_and_reason_since_it_was_first_seen() -> None:
    name = "rollout_bad_timestamp_seconds"
    key = ("StatefulSet", "worker", "packit-worker", "prod")
    bad = report_of(tag_result(), rollouts=(came(RolloutResult.FAILED),))
    assert of_family(said(bad), name) == {(*key, "failed"): bad.finished_at.timestamp()}
    # The next run that watches it finds it bad for another reason, and since the same time.
    later = replace(bad, rollouts=(came(RolloutResult.TIMED_OUT),))
    known: dict[str, Values] = {"rollout_healthy": {key[:2]: 0.0}, name: {(*key, "failed"): 1.0}}
    assert of_family(said(later, Past(known)), name) == {(*key, "timed_out"): 1.0}
    # A run that does not watch it carries it while the journal has it as bad, and no longer.
    quiet = report_of(tag_result())
    assert of_family(said(quiet, Past(known, frozenset({key[:2]}))), name) == {(*key, "failed"): 1.0}
    assert of_family(said(quiet, Past(known, frozenset())), name) == {}
    healthy = report_of(tag_result(), rollouts=(came(RolloutResult.HEALTHY),))
    assert of_family(said(healthy, Past(known, frozenset())), name) == {}
    assert of_family(said(healthy, Past(known), narrowed=True), name) == {}


def test_a_command_about_one_tag_changes_only_that() -> None:
    run = report_of(tag_result(), tag_result("other"), outcome=Outcome.SUCCESS)
    past = Past(
        {
            "last_run_timestamp_seconds": {(): 1.0},
            "last_success_timestamp_seconds": {(): 1.0},
            "run_outcome": {("success",): 1.0},
            "tag_result": {("packit-worker", "prod", "updated"): 1.0, ("other", "prod", "updated"): 1.0},
            "tag_last_success_timestamp_seconds": {("packit-worker", "prod"): 1.0},
            "rollout_healthy": {("Deployment", "web"): 1.0},
        }
    )
    back = tag_result(result=Result.ROLLED_BACK, hold=held().hold)
    told = replace(run, command=Command.ROLLBACK, tags=(back,), rollouts=(came(RolloutResult.HEALTHY),))
    found = read(exposition(told, NAMESPACE, past, narrowed=True))
    assert found["last_run_timestamp_seconds", ()] == found["last_success_timestamp_seconds", ()] == 1.0
    results = {dict(labels)["stream"]: dict(labels)["result"] for name, labels in found if name == "tag_result"}
    assert results == {"packit-worker": "rolled_back", "other": "updated"}
    names = {name for name, _ in found}
    assert {"tag_held", "tag_hold_start_timestamp_seconds"} <= names
    assert not {"tags", "run_duration_seconds", "api_requests", "build_info"} & names
    assert {dict(labels)["name"] for name, labels in found if name == "rollout_healthy"} == {"web", "worker"}


def test_a_command_about_one_tag_is_no_run_to_a_gateway_that_sums() -> None:
    told = increments(report_of(tag_result(result=Result.ROLLED_BACK), command=Command.ROLLBACK), NAMESPACE).decode()
    assert "import_images_runs_total{" not in told
    assert 'result="rolled_back"' in told
