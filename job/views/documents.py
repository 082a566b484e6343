"""A report as JSON and as a line; all outputs about a run derive from one Report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from job.domain.model import Command, Hold, Image, Report, Result, Rollout, RolloutResult, TagResult, Verdict
from job.domain.text import clean, humanize
from job.domain.times import iso


def image_document(image: Image | None) -> dict[str, Any] | None:
    """An image as JSON."""
    if image is None:
        return None
    return {
        "digest": image.digest,
        "created": iso(image.created),
        "imported_at": iso(image.imported_at),
        "revision": image.revision,
        "version": image.version,
        "repository_url": image.repository_url,
    }


def gate_document(verdict: Verdict) -> dict[str, Any]:
    """A gate's verdict as JSON."""
    return {
        "gate": verdict.gate,
        "verdict": verdict.verdict,
        "digest": verdict.digest,
        "reason": verdict.reason,
        "by": verdict.by,
        "message": verdict.message,
        "where": verdict.where,
        "since": iso(verdict.since),
        "until": iso(verdict.until),
    }


def hold_document(hold: Hold | None) -> dict[str, Any] | None:
    """A hold as JSON."""
    if hold is None:
        return None
    return {
        "at": iso(hold.at),
        "by": hold.by,
        "reason": hold.reason,
        "until": iso(hold.until),
        "until_newer": hold.until_newer,
        "image": hold.image,
        "rolled_back_from": hold.bad,
    }


def _tag(tag: TagResult) -> dict[str, Any]:
    return {
        "namespace": tag.namespace,
        "stream": tag.stream,
        "tag": tag.tag,
        "source": tag.source,
        "result": tag.result,
        "reason": tag.reason,
        "by": tag.by,
        "message": tag.message,
        "attempts": tag.attempts,
        "seconds": None if tag.seconds is None else round(tag.seconds, 3),
        "moved_with": list(tag.moved_with),
        "before": image_document(tag.before),
        "after": image_document(tag.after),
        "gates": [gate_document(verdict) for verdict in tag.gates],
        "candidate": image_document(tag.candidate),
    }


def _rollout(rollout: Rollout) -> dict[str, Any]:
    return {
        "namespace": rollout.namespace,
        "kind": rollout.kind,
        "name": rollout.name,
        "tags": [name.seen_from(rollout.namespace) for name in rollout.tags],
        "result": rollout.result,
        "message": rollout.message,
        "seconds": None if rollout.seconds is None else round(rollout.seconds, 1),
    }


def _run(report: Report) -> dict[str, Any]:
    return {
        "id": report.id,
        "command": report.command,
        "trigger": report.trigger,
        "job": report.job,
        "scheduled_at": iso(report.scheduled_at),
        "started_at": iso(report.started_at),
        "finished_at": iso(report.finished_at),
        "startup_seconds": round(report.startup, 2),
        "outcome": report.outcome,
        "exit_status": report.exit_status,
        "deployment": report.deployment,
        "namespaces": list(report.namespaces),
        "shard": {"index": report.shard.index, "count": report.shard.count} if report.shard else None,
        "server": report.identity.server if report.identity else None,
        "user": report.identity.user if report.identity else None,
        "requests": report.requests,
        "retries": report.retries,
    }


def _queries(report: Report) -> list[dict[str, Any]]:
    if not report.queries:
        return []
    from job.views.queries_document import query_document

    return [query_document(query) for query in report.queries]


def _errors(report: Report) -> list[dict[str, Any]]:
    return [
        {"namespace": e.namespace, "stage": e.stage, "reason": e.reason, "message": e.message} for e in report.errors
    ]


def as_document(report: Report) -> dict[str, Any]:
    """What a document about one tag says: the run, the tag and its rollouts."""
    return {
        "run": _run(report),
        "tags": [_tag(tag) for tag in report.tags],
        "rollouts": [_rollout(rollout) for rollout in report.rollouts],
        "queries": _queries(report),
        "errors": _errors(report),
    }


def json_lines(report: Report) -> Iterator[str]:
    """The report as one JSON document, a line for each tag: ten thousand of them are never held as one text."""
    yield f'{{"kind": "Report", "version": 1,\n "run": {json.dumps(_run(report))},\n "tags": ['
    for number, tag in enumerate(report.tags):
        yield f"{',' if number else ''}\n  {json.dumps(_tag(tag))}"
    rollouts = json.dumps([_rollout(rollout) for rollout in report.rollouts])
    queries, errors = json.dumps(_queries(report)), json.dumps(_errors(report))
    yield f'],\n "rollouts": {rollouts},\n "queries": {queries},\n "errors": {errors}}}\n'


def summary(report: Report) -> str:
    """One line that says what became of the run."""
    counts = Counter(tag.result for tag in report.tags)
    words = {Result.UPDATED: "would be updated"} if report.command is Command.PLAN else {}
    parts = [f"{counts[result]} {words.get(result, humanize(result))}" for result in Result if counts[result]]
    seconds = (report.finished_at - report.started_at).total_seconds()
    names = report.namespaces
    shown = ", ".join(names) if len(names) < 4 else f"{', '.join(names[:3])} and {len(names) - 3} more namespaces"
    where = shown + (f", deployment {report.deployment}" if report.deployment else "")
    if report.rollouts:
        ends = Counter(rollout.result for rollout in report.rollouts)
        parts.append(
            "rollouts: "
            + ", ".join(
                f"{ends[rollout_result]} {humanize(rollout_result)}"
                for rollout_result in RolloutResult
                if ends[rollout_result]
            )
        )
    text = f"{where}: {report.outcome}: {', '.join(parts) or 'no tags'} in {seconds:.1f} s"
    return clean(text, 1000)


MOST_MESSAGE_BYTES = 4096


def _of_tag(tag: TagResult) -> str:
    parts = (humanize(tag.result), str(tag.reason) if tag.reason else "", clean(tag.message or "", 200))
    return f"{tag.namespace}/{tag.stream}:{tag.tag} " + ": ".join(filter(None, parts))


def termination_message(report: Report) -> str:
    """The summary, the failures, and what else there is to say of tags, as much as fits.

    Kubernetes keeps 4096 bytes of a message.
    """
    lines = [summary(report)]
    lines += [f"{error.namespace}: {error.message}" for error in report.errors]
    lines += [_of_tag(tag) for tag in report.tags if tag.result in (Result.FAILED, Result.ROLLED_BACK)]
    lines += [
        f"{rollout.namespace}/{rollout.kind}/{rollout.name} {humanize(rollout.result)}: "
        + clean(rollout.message or "", 200)
        for rollout in report.rollouts
        if rollout.is_bad
    ]
    # What was left undone: a hold not released, a bad image not rolled back.
    lines += [_of_tag(tag) for tag in report.tags if tag.message and tag.result in (Result.UPDATED, Result.SKIPPED)]
    text, omitted = "", len(lines)
    # Names are untrusted, too.
    for line in (clean(text_line, 1000) for text_line in lines):
        more = f"and {omitted} more\n"
        if len((text + line + "\n" + more).encode()) > MOST_MESSAGE_BYTES:
            return text + more
        text, omitted = text + line + "\n", omitted - 1
    return text
