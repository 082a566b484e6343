"""Writing the journal into its ConfigMap: its JSON, packed and bounded where it is large."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from job.domain.model import Command
from job.domain.records import replace
from job.domain.text import writable
from job.domain.times import iso
from job.journal.decoding import (
    MOST_OBJECT_BYTES,
    MOST_UNPACKED_BYTES,
    PACKED_KEY,
    PLAIN_KEY,
    VERSION,
    object_bytes,
)
from job.journal.records import MOST_RUNS, Journal, RunRecord
from job.journal.values import LONGEST_TEXT
from job.journal.waiting import waiting_to_json

# Upper bound of `data` and `binaryData` together, when the journal is written.
MOST_BYTES = 256 * 1024
# Up to this size the journal is plain text, for people to read.
PLAIN_BYTES = 96 * 1024
# So many images show what one takes.
_SAMPLE = 500


def encode(journal: Journal) -> dict[str, Any]:
    """`data` and `binaryData` of a ConfigMap, together at most `MOST_BYTES`; packed when it is large."""
    text = _text_of(_to_json(journal))
    if len(text) <= PLAIN_BYTES:
        return {"data": {PLAIN_KEY: text.decode()}, "binaryData": {}}
    for candidate in _smaller(journal):
        text = _text_of(_with_places(candidate))
        if len(text) > MOST_UNPACKED_BYTES or object_bytes(text) > MOST_OBJECT_BYTES:
            continue
        packed = _pack(text)
        if len(packed) + len(PACKED_KEY) <= MOST_BYTES:
            return {"data": {}, "binaryData": {PACKED_KEY: packed}}
    raise AssertionError("an empty journal fits")


def _text_of(data: Mapping[str, Any]) -> bytes:
    return writable(json.dumps(data, separators=(",", ":"), ensure_ascii=False)).encode()


def _pack(text: bytes) -> str:
    import gzip

    # Without a time in its header, the same journal is the same text.
    return base64.b64encode(gzip.compress(text, mtime=0)).decode()


def _smaller(journal: Journal) -> Iterator[Journal]:
    """The journal, then the journal with ever more left out, the least important first."""
    yield journal
    images = list(journal.images.items())
    count = _images_that_fit(journal)
    for most in (count, count // 2, count // 4):
        yield replace(journal, images=dict(images[len(images) - most :]))
    journal = replace(journal, images={})
    for most in (MOST_RUNS, 20, 5, 1):
        journal = replace(
            journal,
            runs=tuple(replace(run, updated=(), moves=()) if most == 1 else run for run in journal.runs[:most]),
        )
        yield journal
    # A reader that misses the groups asks the gateway.
    journal = replace(journal, groups={}, notified=(), waiting={})
    # Failing tags first, since nothing else records how often they failed.
    tags = sorted(journal.tags.items(), key=lambda item: (-item[1].failed_runs, -(item[1].last_success or 0), item[0]))
    while tags:
        tags = tags[: len(tags) * 3 // 4]
        yield replace(journal, tags=dict(tags))
    yield Journal()


def _images_that_fit(journal: Journal) -> int:
    """About how many of the last images fit beside the rest, from what some of them take."""
    images = list(journal.images.items())[-_SAMPLE:]
    if not images:
        return 0
    bare, some = (len(_pack(_text_of(_with_places(replace(journal, images=part))))) for part in ({}, dict(images)))
    # Digests do not compress, so that each image takes about as much as another.
    bytes_of_one = max(1.0, (some - bare) / len(images))
    return min(len(journal.images), max(0, int((MOST_BYTES - bare) * 0.97 / bytes_of_one)))


def _with_places(journal: Journal) -> dict[str, Any]:
    """The JSON of a large journal: each digest is in it once, since digests take most of its room.

    A move names its digests by their place in `images`, followed by `digests`.
    """
    data = _to_json(journal)
    places = {digest: place for place, digest in enumerate(journal.images)}
    for run in data["runs"]:
        for move in run.get("moves", ()):
            _, *digests, _ = move
            move[1:-1] = [digest and places.setdefault(digest, len(places)) for digest in digests]
    return {**data, "digests": list(places)[len(journal.images) :]}


def _to_json(journal: Journal) -> dict[str, Any]:
    # Ten thousand tags mostly share one time of success, so they are listed by it.
    succeeded: dict[str, list[str]] = {}
    for (stream, tag), record in journal.tags.items():
        when = "" if record.last_success is None else repr(round(record.last_success, 3))
        succeeded.setdefault(when, []).append(f"{stream}:{tag}")
    return {
        "version": VERSION,
        "runs": [_run_to_json(run) for run in journal.runs],
        "groups": dict(journal.groups),
        "pushed": {owner: [dict(group) for group in groups] for owner, groups in journal.pushed.items()},
        "notified": list(journal.notified),
        "waiting": waiting_to_json(journal.waiting),
        "succeeded": succeeded,
        "failed_runs": {
            f"{stream}:{tag}": record.failed_runs
            for (stream, tag), record in journal.tags.items()
            if record.failed_runs
        },
        "images": {
            digest: [iso(facts.created), _cut(facts.revision), _cut(facts.version)]
            for digest, facts in journal.images.items()
        },
        "repositories": _repositories(journal),
        "bad_rollouts": [
            [*rollout.key, {f"{stream}:{tag}": digest for (stream, tag), digest in rollout.digests.items()}]
            for rollout in journal.bad_rollouts
        ],
    }


def _repositories(journal: Journal) -> dict[str, list[int]]:
    """By page of a repository, the places of its images in `images`: digests do not compress, and many share a page."""
    places: dict[str, list[int]] = {}
    for place, facts in enumerate(journal.images.values()):
        if facts.repository_url:
            places.setdefault(facts.repository_url, []).append(place)
    return places


def _run_to_json(run: RunRecord) -> dict[str, Any]:
    data = {
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
        "updated": [[name, _cut(before), _cut(after)] for name, before, after in run.updated],
        "moves": [[f"{move.stream}:{move.tag}", move.before, move.after, move.wave] for move in run.moves],
    }
    return {key: value for key, value in data.items() if value not in (None, {}, [])}


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:LONGEST_TEXT]
