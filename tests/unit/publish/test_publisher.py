"""What is done with a report, in which order, and what it leaves alone."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from job.cluster import CONFIG_MAPS, EVENTS, LEASES
from job.config.settings import Settings
from job.domain.involved import Involved
from job.domain.model import Command, Outcome, Reason, Report, RunError, Stage, TriggerKind
from job.domain.scope import Scope, Shard
from job.domain.selection import Pattern, Wanted
from job.journal.decoding import NAME, decode
from job.journal.records import Journal, RunRecord, TagRecord, group_key, is_superseded
from job.publish.publisher import SINKS, publish
from job.publish.push import past_of
from job.publish.sink import Publication
from job.run.admission import locked
from job.run.context import Counts, Run, scope_of
from job.run.lease import Holder, Lock, _seen
from job.run.origin import Trigger
from job.runtime.shutdown import Stop
from job.views.documents import summary, termination_message
from tests.unit.objects import NAMESPACE, Asked, ManualClock, Objects, failed, report, updated

HOME = "ops"


def run_of(objects: Objects, wanted: Wanted | None = None, namespaces: tuple[str, ...] = (NAMESPACE,)) -> Run:
    settings = Settings(namespaces=namespaces, wanted=wanted or Wanted("prod"), retries=0)
    owner = Involved("batch/v1", "CronJob", HOME if len(namespaces) > 1 else NAMESPACE, "import-images")
    trigger = Trigger(TriggerKind.SCHEDULED, "import-images-1", "uid", owner=owner)
    return Run(settings, objects, Counts(), Stop(), namespaces, Command.RUN, trigger=trigger)


def told(objects: Objects, found: Report, run: Run | None = None, **environment: str) -> None:
    run = run or run_of(objects, namespaces=found.namespaces)
    with locked(run) as admission:
        publish(Publication(run, found, admission.entries, environment), admission.release)


# The termination message


@pytest.mark.parametrize("message", ["no such image", "ž" * 600, "👩‍🚀" * 300])
@pytest.mark.parametrize("count", [0, 1, 30, 1000])
def test_the_termination_message_has_the_summary_and_never_more_than_it_may(count: int, message: str) -> None:
    tags = [failed(f"stream-{number}", message=message) for number in range(count)]
    found = report(*tags, outcome=Outcome.FAILURE if count else Outcome.SUCCESS)
    text = termination_message(found)
    assert len(text.encode()) <= 4096
    assert text.startswith(summary(found))
    shown = sum(line.startswith(f"{NAMESPACE}/") for line in text.splitlines())
    assert shown == count or f"and {count - shown} more" in text
    assert shown >= min(count, 1)


def test_the_message_of_many_namespaces_and_errors_is_bounded() -> None:
    namespaces = [f"ž-{'x' * 60}-{number}" for number in range(1000)]
    errors = [RunError(each, Stage.LIST, Reason.FORBIDDEN, "ř" * 500) for each in namespaces]
    text = termination_message(report(namespaces=namespaces, errors=errors, outcome=Outcome.FAILURE))
    assert len(text.encode()) <= 4096


def test_the_termination_file_is_written_but_never_made(tmp_path: Path) -> None:
    objects, file = Objects(), tmp_path / "termination-log"
    told(objects, report(updated("a")), TERMINATION_LOG=str(file))
    assert not file.exists()
    file.write_text("old " * 1000)
    told(objects, report(updated("a")), TERMINATION_LOG=str(file))
    assert file.read_text() == termination_message(report(updated("a")))


# Journal, Events


def test_journal_and_events_are_written() -> None:
    objects = Objects()
    found = report(updated("a"), failed("b"), outcome=Outcome.PARTIAL)
    told(objects, found)
    journal = decode(objects.there(CONFIG_MAPS, NAME))
    assert set(journal.tags) == {("a", "prod"), ("b", "prod")}
    assert [each["involvedObject"]["kind"] for each in objects.all(EVENTS)] == ["ImageStream", "ImageStream", "CronJob"]


def test_a_locked_run_leaves_the_journal_to_the_other_but_is_told_on_the_cron_job() -> None:
    objects = Objects()
    run = run_of(objects)
    publish(Publication(run, report(outcome=Outcome.LOCKED, status=4)))
    assert objects.all(CONFIG_MAPS) == []
    assert [each["reason"] for each in objects.all(EVENTS)] == ["ImportLocked"]


def test_a_cron_job_outside_the_namespaces_it_works_in_is_told_too() -> None:
    objects = Objects()
    told(objects, report(updated("a", namespace="x"), namespaces=("x", "y")))
    kinds = Counter(each["involvedObject"]["kind"] for each in objects.all(EVENTS))
    assert kinds == {"ImageStream": 1, "CronJob": 1}


# The sinks


class Pushing:
    """A sink that notes which locks are held, and what is written, when its turn comes."""

    name, needs_lock = "a trial", False

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.seen: list[tuple[str, int, str]] = []

    def publish(self, publication: Publication) -> Publication:
        holder = self.objects.all(LEASES)[0]["spec"]["holderIdentity"]
        runs = decode(self.objects.there(CONFIG_MAPS, NAME)).runs
        self.seen.append((holder, len(self.objects.all(EVENTS)), runs[0].outcome if runs else ""))
        return publication


class Broken:
    """A sink with a defect."""

    name, needs_lock = "a broken one", True

    def publish(self, publication: Publication) -> Publication:
        raise ValueError("what nobody foresaw")


def test_what_needs_the_lock_comes_before_metrics() -> None:
    needs = [sink.needs_lock for sink in SINKS]
    assert needs == sorted(needs, reverse=True)
    assert not next(sink for sink in SINKS if sink.name == "metrics").needs_lock


def test_a_sink_that_needs_no_lock_has_its_turn_when_all_others_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects()
    last = Pushing(objects)
    monkeypatch.setattr("job.publish.publisher.SINKS", (*SINKS, last))
    told(objects, report(updated("a")))
    assert last.seen == [("", 2, "success")]


def test_where_a_later_run_could_not_be_noticed_the_lock_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects()
    objects.put(CONFIG_MAPS, NAMESPACE, {"metadata": {"name": NAME}})
    objects.refused[("update", "configmaps")] = 403
    last = Pushing(objects)
    monkeypatch.setattr("job.publish.publisher.SINKS", (last,))
    told(objects, report(updated("a")))
    assert [holder != "" for holder, _, _ in last.seen] == [True]


def test_a_broken_sink_costs_no_other(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    objects = Objects()
    monkeypatch.setattr("job.publish.publisher.SINKS", (Broken(), *SINKS))
    with caplog.at_level("ERROR", "job.publish.publisher"):
        told(objects, report(updated("a")))
    assert decode(objects.there(CONFIG_MAPS, NAME)).runs[0].outcome == "success"
    assert len(objects.all(EVENTS)) == 2
    assert ["what nobody foresaw" in each.message for each in caplog.records] == [True]


def test_without_a_thread_to_spare_the_report_is_published_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects()
    run = run_of(objects)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with locked(run) as admission:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        publish(Publication(run, report(updated("a")), admission.entries), admission.release)
    assert decode(objects.there(CONFIG_MAPS, NAME)).runs[0].outcome == "success"
    assert len(objects.all(EVENTS)) == 2
    assert objects.all(LEASES)[0]["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize(
    ("later", "superseded"),
    [
        ({}, True),
        ({"outcome": "success"}, True),
        ({"deployment": "stg"}, False),
        ({"shard": Shard(0, 2)}, False),
        ({"narrowed": True}, False),
        ({"command": Command.ROLLBACK}, False),
        ({"outcome": "frozen"}, False),
    ],
)
def test_a_run_is_superseded_by_a_later_one_that_publishes_all_of_its_group(
    later: dict[str, Any], superseded: bool
) -> None:
    run = RunRecord("1", None, deployment="prod")
    other = replace(RunRecord("2", None, deployment="prod"), **later)
    assert is_superseded(Journal(runs=(other, run)), run) == superseded
    assert not is_superseded(Journal(runs=(run, other)), run)


# The time that is left


@pytest.mark.parametrize("stopped_before", [True, False])
def test_after_a_stop_telling_takes_no_longer_than_there_is_time_for(
    stopped_before: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("job.publish.publisher.SECONDS_AFTER_A_STOP", 0.3)
    objects, hanging, let_go = Objects(), threading.Event(), threading.Event()
    run = run_of(objects)

    def hang(asked: Asked) -> None:
        hanging.set()
        if not stopped_before:
            run.stop.request("SIGTERM")
        let_go.wait(20)

    objects.before = hang
    if stopped_before:
        run.stop.request("SIGTERM")
    begun = time.monotonic()
    try:
        with caplog.at_level("ERROR", "job.publish.publisher"):
            publish(Publication(run, report(updated("a"), outcome=Outcome.ABORTED)))
        assert hanging.is_set()
        assert 0.3 <= time.monotonic() - begun < 3
        assert len(caplog.records) == 1
    finally:
        let_go.set()


def test_what_is_told_after_a_stop_has_its_time_whenever_the_stop_came() -> None:
    """Imports under way may have taken all of the time since the signal."""
    objects = Objects()
    run = run_of(objects)
    with locked(run) as admission:
        run.stop.request("SIGTERM")
        run.stop.since = time.monotonic() - 30
        publish(Publication(run, report(updated("a"), outcome=Outcome.ABORTED), admission.entries))
    assert decode(objects.there(CONFIG_MAPS, NAME)).runs[0].outcome == "aborted"
    assert len(objects.all(EVENTS)) == 2


def test_without_a_stop_telling_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("job.publish.publisher.SECONDS_AFTER_A_STOP", 0.0)
    objects = Objects()
    objects.before = lambda asked: time.sleep(0.1)
    publish(Publication(run_of(objects), report(updated("a"))))
    assert len(objects.all(EVENTS)) == 2


# The past


def test_a_journal_that_does_not_know_the_group_does_not_stand_in_for_the_gateway() -> None:
    name = "last_success_timestamp_seconds"
    assert not past_of(Journal(), NAMESPACE, "prod", None).of(name)
    assert not past_of(Journal(groups={"stg": 1.0}), NAMESPACE, "prod", None).of(name)
    assert not past_of(Journal(groups={"prod": 1.0}), NAMESPACE, "prod", Shard(0, 2)).of(name)


def test_a_journal_tells_a_groups_own_tags_and_no_others() -> None:
    tags = {(f"s{number}", tag): TagRecord(5.0, 1) for number in range(20) for tag in ("prod", "stg")}
    found = [
        past_of(Journal(tags), NAMESPACE, "prod", Shard(index, 2)).of("tag_last_success_timestamp_seconds")
        for index in range(2)
    ]
    assert {tag for each in found for _, tag in each} == {"prod"}
    assert sum(map(len, found)) == 20
    assert not set(found[0]) & set(found[1])


def test_a_journal_tells_the_past() -> None:
    tags = {("a", "prod"): TagRecord(5.0, 2), ("b", "prod"): TagRecord(None, 1)}
    past = past_of(Journal(tags, {group_key("prod", None): 7.0}), NAMESPACE, "prod", None)
    assert past.of("last_success_timestamp_seconds") == {(): 7.0}
    assert past.of("tag_last_success_timestamp_seconds") == {("a", "prod"): 5.0}
    assert past.of("tag_failed_runs") == {("a", "prod"): 2, ("b", "prod"): 1}


# The lock of a run


@pytest.mark.parametrize(
    ("patterns", "deployment"),
    [((), "prod"), (("worker",), "prod"), (("worker", "w*"), "prod"), (("worker:prod",), None), (("a", "b:*"), None)],
)
@pytest.mark.parametrize("shard", [None, Shard(1, 4)])
def test_the_scope_is_the_deployment_unless_an_argument_names_a_tag(
    patterns: tuple[str, ...], deployment: str | None, shard: Shard | None
) -> None:
    wanted = Wanted("prod", tuple(map(Pattern.parse, patterns)), shard=shard)
    assert scope_of(wanted) == Scope(deployment, shard)


@pytest.mark.parametrize("pattern", ["worker:stg", "worker:*", "*:s*"])
def test_a_run_for_another_deployments_tags_overlaps_that_deployment(pattern: str) -> None:
    """STREAM:TAG beats DEPLOYMENT, so that the lock of DEPLOYMENT alone would not keep the other's run out."""
    objects = Objects()
    with locked(run_of(objects, Wanted("prod", (Pattern.parse(pattern),)))) as admission:
        assert not admission.refused
        leases = [each for each in objects.all(LEASES) if each["spec"]["holderIdentity"]]
        other = Lock(objects, NAMESPACE, Scope("stg"), Holder("other"), stopping=lambda: False)
        assert any(other._conflicts_with(each) for each in map(_seen, leases))


def test_a_lock_is_renewed_while_another_namespaces_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LEASE_SECONDS", 1.0), ("RENEW_SECONDS", 0.05), ("WATCH_SECONDS", 0.02)):
        monkeypatch.setattr(f"job.run.lease{'_keeper' if name == 'RENEW_SECONDS' else ''}.{name}", seconds)
    objects, clock = Objects(), ManualClock()
    dead = Lock(objects, "b", Scope("prod"), Holder("dead"), stopping=lambda: False, clock=clock.clock)
    dead.acquire()
    before, threads = len(objects.asked), threading.active_count()
    with locked(run_of(objects, namespaces=("a", "b"))) as admission:
        assert not admission.refused
        taken = objects.asked[before:]
        until = next(n for n, asked in enumerate(taken) if (asked.verb, asked.namespace) == ("update", "b"))
        renewals = [each for each in taken[:until] if (each.verb, each.namespace) == ("update", "a")]
        assert len(renewals) >= 2, "the lock in a stood still"
    # Others' threads may still be there: other tests leave some that hang.
    assert threading.active_count() < threads + 20
