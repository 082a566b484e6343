"""A report as JSON and as a line; everything said about a run is said from the one report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from job.model import Image, Report, Result, TagResult
from job.reasons import clean


def iso(time: datetime | None) -> str | None:
    """A time as RFC 3339 in UTC, to the second."""
    return None if time is None else time.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def _image(image: Image | None) -> dict[str, Any] | None:
    if image is None:
        return None
    return {
        "digest": image.digest,
        "created": iso(image.created),
        "imported_at": iso(image.imported_at),
        "revision": image.revision,
        "version": image.version,
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
        "before": _image(tag.before),
        "after": _image(tag.after),
    }


def _run(report: Report) -> dict[str, Any]:
    return {
        "id": report.id,
        "trigger": report.trigger,
        "job": report.job,
        "scheduled_at": iso(report.scheduled_at),
        "started_at": iso(report.started_at),
        "finished_at": iso(report.finished_at),
        "outcome": report.outcome,
        "exit_status": report.exit_status,
        "deployment": report.deployment,
        "namespaces": list(report.namespaces),
        "shard": {"index": report.shard.index, "count": report.shard.count} if report.shard else None,
        "requests": report.requests,
        "retries": report.retries,
    }


def json_lines(report: Report) -> Iterator[str]:
    """The report as one JSON document, a line for each tag: ten thousand of them are never held as one text."""
    yield f'{{"kind": "Report", "version": 1,\n "run": {json.dumps(_run(report))},\n "tags": ['
    for number, tag in enumerate(report.tags):
        yield f"{',' if number else ''}\n  {json.dumps(_tag(tag))}"
    errors = [
        {"namespace": e.namespace, "stage": e.stage, "reason": e.reason, "message": e.message} for e in report.errors
    ]
    yield f'],\n "rollouts": [],\n "errors": {json.dumps(errors)}}}\n'


def summary(report: Report) -> str:
    """One line that says what became of the run."""
    counts = Counter(tag.result for tag in report.tags)
    words = {Result.UPDATED: "would be updated"} if report.command == "plan" else {}
    parts = [f"{counts[result]} {words.get(result, result)}" for result in Result if counts[result]]
    seconds = (report.finished_at - report.started_at).total_seconds()
    names = report.namespaces
    told = ", ".join(names) if len(names) < 4 else f"{', '.join(names[:3])} and {len(names) - 3} more namespaces"
    where = told + (f", deployment {report.deployment}" if report.deployment else "")
    text = f"{where}: {report.outcome}: {', '.join(parts) or 'no tags'} in {seconds:.1f} s"
    return clean(text, 1000)


MOST_MESSAGE_BYTES = 4096


def termination_message(report: Report) -> str:
    """The summary and then the failures, as many as fit into the 4096 bytes that Kubernetes keeps of a message."""
    lines = [summary(report)]
    lines += [f"{error.namespace}: {error.message}" for error in report.errors]
    lines += [
        f"{tag.namespace}/{tag.stream}:{tag.tag} {tag.result}: {tag.reason}: {clean(tag.message or '', 200)}"
        for tag in report.tags
        if tag.result is Result.FAILED
    ]
    text, left = "", len(lines)
    for line in lines:
        more = f"and {left} more\n"
        if len((text + line + "\n" + more).encode()) > MOST_MESSAGE_BYTES:
            return text + more
        text, left = text + line + "\n", left - 1
    return text
