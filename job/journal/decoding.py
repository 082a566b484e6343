"""Reading the journal from its ConfigMap, within bounds.

Anyone who may write ConfigMaps in a namespace may write a journal there, and a run's pod has 80Mi of memory. So what is
read is bounded before it is unpacked and parsed: to what the journal of 10,000 tags needs, and some more.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from job.domain.model import JOURNAL, BadRollout, Command, ImageFacts, TriggerKind, member
from job.domain.news import MOST_PROBLEMS
from job.domain.scope import Shard
from job.domain.times import build_time, parse_time
from job.journal.records import (
    MOST_BAD_ROLLOUTS,
    MOST_MOVES_A_RUN,
    MOST_RUNS,
    Journal,
    Move,
    RunRecord,
    TagRecord,
)
from job.journal.values import bounded, decimal, key_in, seconds, text_in, text_or_none, whole
from job.journal.waiting import waiting_from_json

NAME = JOURNAL
VERSION = 1
PLAIN_KEY, PACKED_KEY = "journal.json", "journal.json.gz"
# 10,000 tags, their images and 50 runs take 1.6 MB of JSON, which is 8 MB as objects.
MOST_UNPACKED_BYTES = 4 * 1024 * 1024
MOST_OBJECT_BYTES = 20 * 1024 * 1024
# What one more object, list or value costs in CPython, with the text or the number in it.
_COSTS = {b"{": 240, b"[": 96, b",": 80, b":": 80}
MOST_TAGS = 50_000
MOST_IMAGES = 20_000
MOST_DIGESTS = 2 * MOST_MOVES_A_RUN * 2 * MOST_RUNS
MOST_GROUPS = 10_000
MOST_SHARDS = 1_000
MOST_WAVES = 1_000_000
MOST_FAILED_RUNS = 1_000_000

# Errors that JSON of another shape causes below.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError, RecursionError, zlib.error)


def decode(config_map: Mapping[str, Any]) -> Journal:
    """The journal in a ConfigMap.

    Raises:
        ValueError: this version cannot read it, or it is beyond the bounds.
    """
    packed = (config_map.get("binaryData") or {}).get(PACKED_KEY)
    text = (config_map.get("data") or {}).get(PLAIN_KEY)
    if packed is None and text is None:
        return Journal()
    try:
        raw = str(text).encode() if packed is None else _unpack(packed)
        if len(raw) > MOST_UNPACKED_BYTES:
            raise ValueError(f"larger than {MOST_UNPACKED_BYTES >> 20} MiB")
        if object_bytes(raw) > MOST_OBJECT_BYTES:
            raise ValueError("it holds more values than a journal of ours can")
        data = json.loads(raw, parse_constant=_refuse_constant)
        if data["version"] != VERSION:
            raise ValueError(f"version {str(data['version'])[:20]}")
        return _from_json(data)
    except _MALFORMED as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{kind}{error}") from error


def _unpack(packed: str) -> bytes:
    """What a packed journal holds, but no more than one byte beyond the bound."""
    return zlib.decompressobj(wbits=31).decompress(base64.b64decode(packed, validate=True), MOST_UNPACKED_BYTES + 1)


def object_bytes(raw: bytes) -> int:
    """An upper estimate of the memory that a JSON text takes as objects; brackets within texts count, too."""
    return len(raw) + sum(cost * raw.count(mark) for mark, cost in _COSTS.items())


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


def _from_json(data: Mapping[str, Any]) -> Journal:
    failed = {key_in(name): whole(count, MOST_FAILED_RUNS) for name, count in data.get("failed_runs", {}).items()}
    succeeded = data.get("succeeded", {})
    if sum(len(names) for names in succeeded.values()) > MOST_TAGS:
        raise ValueError(f"more than {MOST_TAGS} tags")
    images = _images_from_json(data)
    digests = (*images, *map(text_in, bounded(data.get("digests", []), MOST_DIGESTS)))
    return Journal(
        tags={
            key_in(name): TagRecord(decimal(when), failed.get(key_in(name), 0))
            for when, names in succeeded.items()
            for name in names
        },
        groups={text_in(key): seconds(value) for key, value in bounded(data.get("groups", {}), MOST_GROUPS).items()},
        images=images,
        runs=tuple(_run_from_json(run, digests) for run in bounded(data.get("runs", []), 2 * MOST_RUNS)),
        pushed={
            text_in(owner): tuple(
                {text_in(name): text_in(value) for name, value in bounded(group, 10).items()}
                for group in bounded(groups, MOST_GROUPS)
            )
            for owner, groups in bounded(data.get("pushed", {}), MOST_GROUPS).items()
        },
        bad_rollouts=tuple(
            BadRollout(
                text_in(namespace),
                text_in(kind),
                text_in(name),
                {key_in(tag): text_in(digest) for tag, digest in bounded(digests, MOST_BAD_ROLLOUTS).items()},
            )
            for namespace, kind, name, digests in bounded(data.get("bad_rollouts", []), MOST_BAD_ROLLOUTS)
        ),
        waiting=waiting_from_json(data.get("waiting", {})),
        notified=tuple(text_in(problem) for problem in bounded(data.get("notified", []), MOST_PROBLEMS)),
    )


def _images_from_json(data: Mapping[str, Any]) -> dict[str, ImageFacts]:
    from job.domain.repositories import is_page

    # Everyone who may write the journal may have written them, and they become links.
    pages = {
        whole(place, MOST_IMAGES): page if is_page(text_in(page)) else None
        for page, places in bounded(data.get("repositories", {}), MOST_IMAGES).items()
        for place in bounded(places, MOST_IMAGES)
    }
    images = bounded(data.get("images", {}), MOST_IMAGES).items()
    return {
        text_in(digest): ImageFacts(
            build_time(created), text_or_none(revision), text_or_none(version), repository_url=pages.get(place)
        )
        for place, (digest, (created, revision, version)) in enumerate(images)
    }


def _run_from_json(data: Mapping[str, Any], digests: Sequence[str]) -> RunRecord:
    def digest_of(value: object) -> str | None:
        return digests[whole(value, MOST_DIGESTS)] if isinstance(value, int) else text_or_none(value)

    status = data.get("exit_status")
    return RunRecord(
        id=text_in(data["id"]),
        outcome=text_in(data["outcome"]),
        started_at=parse_time(data.get("started_at")),
        finished_at=parse_time(data.get("finished_at")),
        trigger=member(TriggerKind, data.get("trigger"), TriggerKind.LOCAL),
        command=member(Command, data.get("command"), Command.RUN),
        narrowed=data.get("narrowed") is True,
        deployment=text_or_none(data.get("deployment")),
        shard=_shard(data.get("shard")),
        job=text_or_none(data.get("job")),
        scheduled_at=parse_time(data.get("scheduled_at")),
        exit_status=None if status is None else whole(status, 255),
        counts={
            text_in(result): whole(count, MOST_TAGS) for result, count in bounded(data.get("counts", {}), 20).items()
        },
        updated=tuple(
            (text_in(name), text_or_none(before), text_or_none(after))
            for name, before, after in data.get("updated", ())
        ),
        moves=tuple(
            Move(*key_in(name), digest_of(before), text_in(digest_of(after)), whole(wave, MOST_WAVES))
            for name, before, after, wave in bounded(data.get("moves", []), MOST_MOVES_A_RUN)
        ),
    )


def _shard(value: object) -> Shard | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError("a shard is not a list")
    index, count = value
    shard = Shard(whole(index, MOST_SHARDS), whole(count, MOST_SHARDS))
    if shard.index >= shard.count:
        raise ValueError(f"shard {shard.index} of {shard.count}")
    return shard
