"""What the cluster remembers of runs: a ConfigMap in each namespace, of bounded size.

It keeps per tag the time of the last success and the failures in a row, per metrics group the last success, what is
known of images, and the last runs. So a wiped Pushgateway loses nothing, and a run that was killed is told by the next.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from job.domain.model import JOURNAL, Command, ImageFacts, Outcome, Report, Result, Scope, Shard, TriggerKind, member
from job.domain.selection import in_share
from job.domain.text import writable
from job.domain.times import iso, parse_time

NAME = JOURNAL
VERSION = 1
MOST_BYTES = 256 * 1024
# Up to this size the journal is plain text, for people to read.
PLAIN_BYTES = 96 * 1024
MOST_RUNS = 50
LEAST_RUNS_OF_A_KIND = 3
MOST_UPDATED_A_RUN = 200
PLAIN_KEY, PACKED_KEY = "journal.json", "journal.json.gz"
RUNNING = "running"

TagKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class TagRecord:
    """What is remembered of a tag: when it was last as the registry has it (Unix seconds), failures in a row."""

    last_success: float | None = None
    failed_runs: int = 0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run, or what another command did; `outcome` is `running` until it has ended.

    `narrowed`: it was told by its own words to take only some tags, so that it says nothing of the others.
    """

    id: str
    started_at: datetime | None
    outcome: str = RUNNING
    finished_at: datetime | None = None
    trigger: TriggerKind = TriggerKind.LOCAL
    deployment: str | None = None
    shard: Shard | None = None
    job: str | None = None
    scheduled_at: datetime | None = None
    command: Command = Command.RUN
    narrowed: bool = False
    exit_status: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    # STREAM:TAG, and the revisions before and after.
    updated: tuple[tuple[str, str | None, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Journal:
    """All that is remembered in one namespace."""

    tags: Mapping[TagKey, TagRecord] = field(default_factory=dict)
    # The last success of each metrics group, where the journal knows the last success of all its tags.
    groups: Mapping[str, float] = field(default_factory=dict)
    images: Mapping[str, ImageFacts] = field(default_factory=dict)
    runs: tuple[RunRecord, ...] = ()
    pushed: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)


def group_key(deployment: str | None, shard: Shard | None) -> str:
    """The metrics group of a namespace that a run belongs to."""
    return (deployment or "*") + (f" {shard.index}/{shard.count}" if shard else "")


def start_run(journal: Journal, run: RunRecord, scope: Scope) -> tuple[Journal, tuple[RunRecord, ...]]:
    """The journal with a run that begins now, and the runs that never ended.

    Called by whoever holds the lock of that scope, so a run that overlaps it and is still `running` there was killed.
    """
    killed = tuple(
        each
        for each in journal.runs
        if each.outcome == RUNNING and each.id != run.id and Scope(each.deployment, each.shard).overlaps(scope)
    )
    ended = {each.id: replace(each, outcome=str(Outcome.ABORTED), exit_status=None) for each in killed}
    runs = tuple(ended.get(each.id, each) for each in journal.runs if each.id != run.id)
    return replace(journal, runs=_bounded((run, *runs))), killed


def finish_run(journal: Journal, report: Report, namespace: str, run: RunRecord, *, narrowed: bool) -> Journal:
    """The journal with what a report says of a namespace.

    Args:
        journal: as it was.
        report: of the run.
        namespace: whose journal it is.
        run: the record that the run began with.
        narrowed: the run took only some tags, so others stay as they are; else those of its kind that it did not
            meet are gone.

    Made twice it changes nothing more: a write whose answer was lost is made again.
    """
    if any(each.id == report.id and each.outcome != RUNNING for each in journal.runs):
        return journal
    finished = report.finished_at.timestamp()
    results = [tag for tag in report.tags if tag.namespace == namespace]
    own = {(tag.stream, tag.tag): tag for tag in results}
    unseen = report.unseen(namespace)
    tags = {
        key: record
        for key, record in journal.tags.items()
        if narrowed or unseen or not belongs_to(namespace, key, report.deployment, report.shard)
    }
    images = dict(journal.images)
    for key, tag in own.items():
        before = journal.tags.get(key, TagRecord())
        if tag.result in (Result.UPDATED, Result.UNCHANGED):
            tags[key] = TagRecord(finished)
        elif tag.result is Result.FAILED:
            tags[key] = TagRecord(before.last_success, before.failed_runs + 1)
        elif before.last_success is not None:
            tags[key] = TagRecord(before.last_success)
        for image in (tag.before, tag.after):
            if image and (image.created or image.revision or image.version):
                images.pop(image.digest, None)
                images[image.digest] = ImageFacts(image.created, image.revision, image.version)
    counts = {str(result): sum(tag.result is result for tag in results) for result in Result}
    outcome = report.outcomes[namespace]
    record = replace(
        run,
        outcome=str(outcome),
        finished_at=report.finished_at,
        exit_status=report.exit_status,
        counts={result: count for result, count in counts.items() if count},
        updated=tuple(
            (
                f"{tag.stream}:{tag.tag}",
                tag.before.revision if tag.before else None,
                tag.after.revision if tag.after else None,
            )
            for tag in results
            if tag.result is Result.UPDATED
        )[:MOST_UPDATED_A_RUN],
    )
    groups = dict(journal.groups)
    if outcome is Outcome.SUCCESS and not narrowed:
        groups[group_key(report.deployment, report.shard)] = finished
    runs = tuple(record if each.id == run.id else each for each in journal.runs)
    if record not in runs:
        runs = (record, *runs)
    return replace(journal, tags=tags, groups=groups, images=images, runs=_bounded(runs))


def is_overtaken(journal: Journal, run_id: str) -> bool:
    """Whether a run began that found this one to be dead, though it was only suspended; see `start_run`."""
    return any(run.id == run_id and run.outcome == Outcome.ABORTED and not run.finished_at for run in journal.runs)


def _bounded(runs: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """The last runs, and of each kind at least its last few: an hourly job must not push out a weekly one's."""
    kept, of_kind = [], Counter[tuple[str | None, Shard | None, str, bool]]()
    for number, run in enumerate(runs):
        kind = run.deployment, run.shard, run.command, run.narrowed
        of_kind[kind] += 1
        if number < MOST_RUNS or of_kind[kind] <= LEAST_RUNS_OF_A_KIND:
            kept.append(run)
    return tuple(kept[: 2 * MOST_RUNS])


def belongs_to(namespace: str, key: TagKey, deployment: str | None, shard: Shard | None) -> bool:
    """Whether a run of that deployment and share would have met the tag if it were still there."""
    stream, tag = key
    return deployment in (None, tag) and in_share(namespace, stream, shard)


def _run_out(run: RunRecord) -> dict[str, Any]:
    out = {
        "id": run.id,
        "outcome": run.outcome,
        "started_at": iso(run.started_at),
        "finished_at": iso(run.finished_at),
        "trigger": run.trigger,
        "command": None if run.command is Command.RUN else run.command,
        "narrowed": run.narrowed or None,
        "deployment": run.deployment,
        "shard": [run.shard.index, run.shard.count] if run.shard else None,
        "job": run.job,
        "scheduled_at": iso(run.scheduled_at),
        "exit_status": run.exit_status,
        "counts": dict(run.counts),
        "updated": [list(each) for each in run.updated],
    }
    return {key: value for key, value in out.items() if value not in (None, {}, [])}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _run_in(data: Mapping[str, Any]) -> RunRecord:
    shard = data.get("shard")
    return RunRecord(
        id=str(data["id"]),
        outcome=str(data["outcome"]),
        started_at=parse_time(data.get("started_at")),
        finished_at=parse_time(data.get("finished_at")),
        trigger=member(TriggerKind, data.get("trigger"), TriggerKind.LOCAL),
        command=member(Command, data.get("command"), Command.RUN),
        narrowed=data.get("narrowed") is True,
        deployment=_text(data.get("deployment")),
        shard=Shard(int(shard[0]), int(shard[1])) if shard else None,
        job=_text(data.get("job")),
        scheduled_at=parse_time(data.get("scheduled_at")),
        exit_status=None if data.get("exit_status") is None else int(data["exit_status"]),
        counts={str(result): int(count) for result, count in (data.get("counts") or {}).items()},
        updated=tuple((str(name), _text(before), _text(after)) for name, before, after in data.get("updated") or ()),
    )


def _out(journal: Journal) -> dict[str, Any]:
    # Ten thousand tags mostly share one time of success, so they are listed by it.
    succeeded: dict[str, list[str]] = {}
    for (stream, tag), record in journal.tags.items():
        when = "" if record.last_success is None else repr(round(record.last_success, 3))
        succeeded.setdefault(when, []).append(f"{stream}:{tag}")
    return {
        "version": VERSION,
        "runs": [_run_out(run) for run in journal.runs],
        "groups": dict(journal.groups),
        "pushed": {owner: [dict(group) for group in groups] for owner, groups in journal.pushed.items()},
        "succeeded": succeeded,
        "failed_runs": {
            f"{s}:{t}": record.failed_runs for (s, t), record in journal.tags.items() if record.failed_runs
        },
        "images": {
            digest: [iso(facts.created), facts.revision, facts.version] for digest, facts in journal.images.items()
        },
    }


def _key(text: str) -> TagKey:
    stream, _, tag = text.partition(":")
    return stream, tag


def _in(data: Mapping[str, Any]) -> Journal:
    failed = {_key(name): int(count) for name, count in data.get("failed_runs", {}).items()}
    tags = {
        _key(name): TagRecord(float(when) if when else None, failed.get(_key(name), 0))
        for when, names in data.get("succeeded", {}).items()
        for name in names
    }
    return Journal(
        tags=tags,
        groups={str(key): float(value) for key, value in data.get("groups", {}).items()},
        images={
            str(digest): ImageFacts(parse_time(created), _text(revision), _text(version))
            for digest, (created, revision, version) in data.get("images", {}).items()
        },
        runs=tuple(_run_in(run) for run in data.get("runs", ())),
        pushed={
            str(owner): tuple({str(name): str(value) for name, value in group.items()} for group in groups)
            for owner, groups in data.get("pushed", {}).items()
        },
    )


def _smaller(journal: Journal) -> Iterator[Journal]:
    """The journal, and what may be left out of it when it is too large, the least missed first."""
    yield journal
    images = list(journal.images.items())
    for share in (2, 4):
        yield replace(journal, images=dict(images[len(images) - len(images) // share :]))
    journal = replace(journal, images={})
    for most in (MOST_RUNS, 20, 5, 1):
        journal = replace(
            journal, runs=tuple(replace(run, updated=()) if most == 1 else run for run in journal.runs[:most])
        )
        yield journal
    # Whoever asks for the groups then asks the gateway.
    journal = replace(journal, groups={})
    # Failing tags first, since theirs is the history that nothing else tells.
    tags = sorted(journal.tags.items(), key=lambda item: (-item[1].failed_runs, -(item[1].last_success or 0), item[0]))
    while tags:
        tags = tags[: len(tags) * 3 // 4]
        yield replace(journal, tags=dict(tags))
    yield Journal()


# What the shapes of other people's text make of the code above.
_GARBAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    OSError,
    RecursionError,
    zlib.error,
)


def encode(journal: Journal) -> dict[str, Any]:
    """`data` and `binaryData` of a ConfigMap, together at most `MOST_BYTES`; packed when it is large."""
    for candidate in _smaller(journal):
        text = writable(json.dumps(_out(candidate), separators=(",", ":"), ensure_ascii=False))
        if len(text.encode()) <= PLAIN_BYTES:
            return {"data": {PLAIN_KEY: text}, "binaryData": {}}
        # No time in the header: the same journal is the same text.
        packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
        if len(packed) + len(PACKED_KEY) <= MOST_BYTES:
            return {"data": {}, "binaryData": {PACKED_KEY: packed}}
    raise AssertionError("an empty journal fits")


def decode(config_map: Mapping[str, Any]) -> Journal:
    """The journal in a ConfigMap.

    Raises:
        ValueError: it is not one that this version can read.
    """
    packed = (config_map.get("binaryData") or {}).get(PACKED_KEY)
    text = (config_map.get("data") or {}).get(PLAIN_KEY)
    if packed is None and text is None:
        return Journal()
    try:
        raw = _unpack(packed) if packed is not None else str(text)
        data = json.loads(raw)
        if data["version"] != VERSION:
            raise ValueError(f"version {data['version']!r}")
        return _in(data)
    except _GARBAGE as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _unpack(packed: str) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(packed, validate=True))) as file:
        # Never more than our own journal could be, whoever wrote it.
        return file.read(64 * MOST_BYTES)
