"""The one invariant: whatever is said of a run is what the cluster holds.

Report, exit status, termination message, metrics, journal and Events are each held against the store of the sandbox
and the registry, and against each other. A channel that could not be written may lack what it ought to say, if that is
told; it never says anything else.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from job.journal.decoding import decode
from job.journal.records import Journal
from tests.faults.scene import FAILED_RUNS, LAST_SUCCESS, TAG_SUCCESS, Done, Held, Scene
from tests.sandbox.client import Json

SUCCESSES = ("updated", "unchanged")
# Refused by the API for one of these, an import tells nothing of its tag.
UNUSABLE = ("unauthorized", "forbidden", "unreachable", "api_error", "rate_limited")
_EVENT = re.compile(r"([^:]+): from (?:nothing|sha256:\w+)(?: \(.*?\))? to (sha256:\w+)(?: \(.*?\))?(?:: .*)?")


@dataclass(frozen=True)
class Allowed:
    """What a fault may lead to.

    Attributes:
        statuses: the exit statuses that tell the truth.
        failing: the tags that it keeps from being imported; a run that was stopped may have come to some of them.
        lacking: channels that may lack what they ought to say: report, journal, metrics, events, termination, lease.
        doubt: nobody could ask afterwards what became of an import, so that `after` may be null.
        internal: the program itself may fail (it ran out of memory).
    """

    statuses: Collection[int]
    failing: Collection[str]
    lacking: frozenset[str] = frozenset()
    doubt: bool = False
    internal: bool = False

    def may_lack(self, channel: str) -> bool:
        return channel in self.lacking


def verify(scene: Scene, done: Done, held: Held, allowed: Allowed) -> None:
    """Hold everything that was said against what there is."""
    _verify_output(scene, done, held, allowed)
    assert done.status in allowed.statuses, (done.status, done.stderr)
    report = done.report
    if report is None:
        assert allowed.may_lack("report"), (done.stdout[-500:], done.stderr)
        report, results = _untold(scene, held)
    else:
        results = _verify_report(scene, done, held, report, allowed)
        _verify_status(scene, done, report, allowed)
    _verify_termination(done, report, allowed)
    _verify_journal(scene, done, held, report, results, allowed)
    _verify_metrics(scene, done, held, report, results, allowed)
    _verify_events(done, held, results, allowed)
    _verify_lease(done, held, allowed)


def _verify_output(scene: Scene, done: Done, held: Held, allowed: Allowed) -> None:
    said = done.stdout + done.stderr + done.termination
    for secret in scene.secrets:
        assert secret not in said + held.everything
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert allowed.internal or "please report it" not in said, said
    for line in done.stderr.splitlines():
        assert line.isprintable()
        assert line.startswith(("import-images: ", "{")), line
        assert line.startswith("import-images: ") or json.loads(line)["level"]


def _digest(image: Json | None) -> str | None:
    return image["digest"] if image else None


def _verify_report(scene: Scene, done: Done, held: Held, report: Json, allowed: Allowed) -> dict[str, Json]:
    results = {f"{tag['stream']}:{tag['tag']}": tag for tag in report["tags"]}
    assert len(results) == len(report["tags"])
    if not report["errors"]:
        assert results.keys() == scene.before.keys(), results.keys()
    for name, tag in results.items():
        there, before, after = held.tags.get(name), scene.before[name], _digest(tag["after"])
        wanted, told = scene.wanted[name], f"{name}: {tag} but {there}: {done.stderr}"
        match tag["result"]:
            case "updated":
                assert there == after and after in wanted and after != before, told
                assert _digest(tag["before"]) == before, told
            case "unchanged":
                assert there == after == before and after in wanted, told
                assert _digest(tag["before"]) == before, told
            case "skipped":
                assert there == after, told
            case "failed":
                # What a read afterwards could not tell is not told.
                assert after == there or (after is None and allowed.doubt), told
                assert there in (before, None) or (after is None and allowed.doubt), told
                assert tag["reason"] and tag["message"], told
            case _:
                raise AssertionError(told)
        assert (tag["reason"] is None) == (tag["result"] in SUCCESSES), told
    failed = {name for name, tag in results.items() if tag["result"] == "failed"}
    assert failed <= set(allowed.failing), (failed, done.stderr)
    broken_off = done.status == 6 or report["errors"]
    assert failed == set(allowed.failing) or not failed or broken_off, (failed, done.stderr)
    return results


def _verify_status(scene: Scene, done: Done, report: Json, allowed: Allowed) -> None:
    run, tags, errors = report["run"], report["tags"], report["errors"]
    # One that was killed had said by then what it would end with.
    status = run["exit_status"] if done.status < 0 else done.status
    assert status == run["exit_status"], (done.status, run)
    taken = [tag for tag in tags if tag["result"] != "skipped"]
    failed = [tag for tag in taken if tag["result"] == "failed"]
    reasons = {*(tag["reason"] for tag in failed), *(error["reason"] for error in errors)}
    if "aborted" in reasons:
        expected = 6, "aborted"
    elif any(error["stage"] == "locked" for error in errors):
        expected = 4, "locked"
    elif errors or (failed and all(tag["by"] == "api" and tag["reason"] in UNUSABLE for tag in taken)):
        expected = 3, "failure"
    elif failed:
        expected = 1, "failure" if len(failed) == len(taken) else "partial"
    else:
        expected = 0, "success"
    assert (status, run["outcome"]) == expected, (report, done.stderr)
    assert run["namespaces"] == [scene.place.namespace]


def _verify_termination(done: Done, report: Json, allowed: Allowed) -> None:
    if not done.termination and allowed.may_lack("termination"):
        return
    first = done.termination.splitlines()[0]
    counts = Counter(tag["result"] for tag in report["tags"])
    assert f": {report['run']['outcome']}: " in first, done.termination
    for result, count in counts.items():
        assert f"{count} {result}" in first, done.termination


def _journal_of(held: Held) -> Journal | None:
    return decode(held.journal) if held.journal else None


def _verify_journal(
    scene: Scene, done: Done, held: Held, report: Json, results: Mapping[str, Json], allowed: Allowed
) -> None:
    if done.status == 4:
        return
    assert "the journal" not in done.stderr or allowed.may_lack("journal"), done.stderr
    # Without the lock the journal is somebody else's; and who is stopped before the list may not have written to it.
    lacking = any(error["stage"] == "lock" or error["reason"] == "aborted" for error in report["errors"])
    try:
        journal = _journal_of(held)
    except ValueError:
        assert allowed.may_lack("journal"), done.stderr
        return
    record = next((run for run in journal.runs if run.id == report["run"]["id"]), None) if journal else None
    if journal is None or record is None or record.outcome == "running":
        assert lacking or allowed.may_lack("journal"), (held.journal, done.stderr)
        if journal is not None:
            _verify_old_journal(scene, journal)
        return
    assert (record.outcome, record.exit_status) == (report["run"]["outcome"], report["run"]["exit_status"])
    assert record.counts == Counter(tag["result"] for tag in results.values())
    assert record.finished_at is not None
    finished = record.finished_at.timestamp()
    moved = scene.remembered and report["run"]["outcome"] == "success"
    if moved:
        assert math.isclose(journal.groups["*"], finished, abs_tol=1.001)
    elif "*" in journal.groups and report["run"]["outcome"] != "success":
        assert journal.groups["*"] == LAST_SUCCESS
    for (stream, tag), remembered in journal.tags.items():
        name = f"{stream}:{tag}"
        if name not in scene.before:
            continue
        result = results.get(name, {"result": None})["result"]
        if result in SUCCESSES:
            assert math.isclose(remembered.last_success or 0, finished, abs_tol=1.001), name
            assert remembered.failed_runs == 0
        else:
            assert remembered.last_success in (TAG_SUCCESS, None), name
            before = FAILED_RUNS.get(name, 0) if remembered.last_success else 0
            expected = (
                before if result is None or not _was_tried(results[name]) else before + 1 if result == "failed" else 0
            )
            assert remembered.failed_runs == expected, name


def _verify_old_journal(scene: Scene, journal: Journal) -> None:
    """It says nothing of this run but, at the most, that it has begun."""
    for (stream, tag), remembered in journal.tags.items():
        if f"{stream}:{tag}" in scene.before:
            assert remembered.last_success in (TAG_SUCCESS, None)
    assert set(journal.groups.values()) <= {LAST_SUCCESS}


def _verify_metrics(
    scene: Scene, done: Done, held: Held, report: Json, results: Mapping[str, Json], allowed: Allowed
) -> None:
    metrics, outcome = held.metrics, report["run"]["outcome"]
    lacking = "not pushed" in done.stderr
    assert not lacking or allowed.may_lack("metrics"), done.stderr
    if done.status in (2, 4) or "last_run_timestamp_seconds" not in metrics:
        assert done.status in (2, 4) or lacking or allowed.may_lack("metrics"), (metrics, done.stderr)
        _verify_old_metrics(held)
        return
    finished = metrics["last_run_timestamp_seconds"][()]
    assert sum(metrics["run_outcome"].values()) == 1
    assert metrics["run_outcome"][(("outcome", outcome),)] == 1, metrics["run_outcome"]
    assert metrics["last_success_timestamp_seconds"][()] == (finished if outcome == "success" else LAST_SUCCESS)
    told = {}
    for labels in metrics.get("tag_result", {}):
        parts = dict(labels)
        told[f"{parts['stream']}:{parts['tag']}"] = parts["result"]
    unseen = bool(report["errors"])
    if done.status == 3 or unseen:
        # Nothing was learnt of the tags.
        assert told == {}
        results = {}
    else:
        assert told == {name: tag["result"] for name, tag in results.items()}
        counts = Counter(told.values())
        assert {dict(labels)["result"]: value for labels, value in metrics["tags"].items() if value} == counts
        failures = {name: tag["reason"] for name, tag in results.items() if tag["result"] == "failed"}
        assert {_tag_of(labels): dict(labels)["reason"] for labels in metrics.get("tag_failure", {})} == failures
        infos = {_tag_of(labels): dict(labels)["digest"] for labels in metrics.get("tag_image_info", {})}
        assert infos == {name: after for name, tag in results.items() if (after := _digest(tag["after"]))}
    may_keep = "may stay" in done.stderr
    for labels, value in metrics["tag_last_success_timestamp_seconds"].items():
        result = results.get(_tag_of(labels), {"result": None})["result"]
        expected = {finished} if result in SUCCESSES else {TAG_SUCCESS}
        assert value in (expected | {TAG_SUCCESS} if may_keep else expected), (labels, value)
    for labels, value in metrics.get("tag_failed_runs", {}).items():
        name = _tag_of(labels)
        result, before = results.get(name, {"result": None})["result"], FAILED_RUNS.get(name, 0)
        failed = result == "failed" and _was_tried(results[name])
        assert value in ({before, before + 1} if may_keep else {before + failed}), (name, value)


def _was_tried(tag: Json) -> bool:
    """Whether a request for the tag was sent; a run that did not get that far says nothing about it."""
    if tag["result"] == "skipped":
        return str(tag["reason"]) != "wave"
    return str(tag["reason"]) != "aborted" or bool(tag["attempts"])


def _tag_of(labels: tuple[tuple[str, str], ...]) -> str:
    parts = dict(labels)
    return f"{parts['stream']}:{parts['tag']}"


def _verify_old_metrics(held: Held) -> None:
    """They are those of the run before."""
    assert set(held.metrics["last_success_timestamp_seconds"].values()) == {LAST_SUCCESS}
    assert set(held.metrics["tag_last_success_timestamp_seconds"].values()) == {TAG_SUCCESS}
    assert "tag_result" not in held.metrics


def _verify_events(done: Done, held: Held, results: Mapping[str, Json], allowed: Allowed) -> None:
    found: set[str] = set()
    for event in held.events:
        stream = event["involvedObject"]["name"]
        if event["reason"] == "ImageImported":
            match = _EVENT.fullmatch(event["message"])
            assert match, event
            name = f"{stream}:{match[1]}"
            assert results[name]["result"] == "updated", event
            assert held.tags[name] == match[2], event
        else:
            assert event["reason"] == "ImportFailed", event
            name = f"{stream}:{event['message'].partition(':')[0]}"
            assert results[name]["result"] == "failed", event
            assert f": {results[name]['reason']}: " in event["message"], event
        assert event["count"] == 1
        found.add(name)
    expected = {name for name, tag in results.items() if tag["result"] in ("updated", "failed")}
    if found != expected:
        assert found < expected
        assert allowed.may_lack("events"), done.stderr
        reasons = "Event in", "no time left", "please report it"
        assert done.status < 0 or any(reason in done.stderr for reason in reasons), done.stderr


def _verify_lease(done: Done, held: Held, allowed: Allowed) -> None:
    if held.lease is None or held.lease["holderIdentity"] in ("", "somebody"):
        return
    assert allowed.may_lack("lease"), (held.lease, done.stderr)
    assert done.status < 0 or "was not released" in done.stderr or "please report it" in done.stderr, done.stderr


def _untold(scene: Scene, held: Held) -> tuple[Json, dict[str, Json]]:
    """What the report that is missing would have said if all went well; of a run that came to its end it did.

    Whatever was told elsewhere has to agree with it. A tag that is not current has a result that nobody tells.
    """
    results = {}
    for name, before in scene.before.items():
        there = held.tags.get(name)
        success = "unchanged" if there == before else "updated"
        result = success if there in scene.wanted[name] else "unfinished"
        results[name] = {"result": result, "reason": None, "before": {"digest": before}, "after": {"digest": there}}
    finished = all(each["result"] in SUCCESSES for each in results.values())
    journal = _journal_of(held) or Journal()
    run = {
        "id": next((run.id for run in journal.runs if not run.id.endswith("-0000")), None),
        "outcome": "success" if finished else "unfinished",
        "exit_status": 0 if finished else None,
    }
    return {"run": run, "tags": list(results.values()), "errors": []}, results
