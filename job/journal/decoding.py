"""Reading the journal from its ConfigMap, within bounds.

Anyone who may write ConfigMaps in a namespace may write a journal there, and a run's pod has 80Mi of memory. So what is
read is bounded before it is unpacked and parsed: to what the journal of 10,000 tags needs, and some more.
"""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence, Sized
from typing import Any, NoReturn, TypeVar

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
    TagKey,
    TagRecord,
)

S = TypeVar("S", bound=Sized)

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
# Characters of a text: a stream and a tag have at most 382, a label of an image 500.
LONGEST_TEXT = 1_000
MOST_FAILED_RUNS = 1_000_000
_DECIMAL = r"[0-9]{1,12}(?:\.[0-9]{1,6})?"
# The year 5138: a greater number is not a time.
_LAST_SECOND = 1e11

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
    failed = {_key(name): _whole(count, MOST_FAILED_RUNS) for name, count in data.get("failed_runs", {}).items()}
    succeeded = data.get("succeeded", {})
    if sum(len(names) for names in succeeded.values()) > MOST_TAGS:
        raise ValueError(f"more than {MOST_TAGS} tags")
    images = _images_from_json(data)
    digests = (*images, *map(_text, _bounded(data.get("digests", []), MOST_DIGESTS)))
    return Journal(
        tags={
            _key(name): TagRecord(_decimal(when), failed.get(_key(name), 0))
            for when, names in succeeded.items()
            for name in names
        },
        groups={_text(key): _seconds(value) for key, value in _bounded(data.get("groups", {}), MOST_GROUPS).items()},
        images=images,
        runs=tuple(_run_from_json(run, digests) for run in _bounded(data.get("runs", []), 2 * MOST_RUNS)),
        pushed={
            _text(owner): tuple(
                {_text(name): _text(value) for name, value in _bounded(group, 10).items()}
                for group in _bounded(groups, MOST_GROUPS)
            )
            for owner, groups in _bounded(data.get("pushed", {}), MOST_GROUPS).items()
        },
        bad_rollouts=tuple(
            BadRollout(
                _text(namespace),
                _text(kind),
                _text(name),
                {_key(tag): _text(digest) for tag, digest in _bounded(digests, MOST_BAD_ROLLOUTS).items()},
            )
            for namespace, kind, name, digests in _bounded(data.get("bad_rollouts", []), MOST_BAD_ROLLOUTS)
        ),
        notified=tuple(_text(problem) for problem in _bounded(data.get("notified", []), MOST_PROBLEMS)),
    )


def _images_from_json(data: Mapping[str, Any]) -> dict[str, ImageFacts]:
    from job.domain.repositories import is_page

    # Everyone who may write the journal may have written them, and they become links.
    pages = {
        _whole(place, MOST_IMAGES): page if is_page(_text(page)) else None
        for page, places in _bounded(data.get("repositories", {}), MOST_IMAGES).items()
        for place in _bounded(places, MOST_IMAGES)
    }
    images = _bounded(data.get("images", {}), MOST_IMAGES).items()
    return {
        _text(digest): ImageFacts(
            build_time(created), _text_or_none(revision), _text_or_none(version), repository_url=pages.get(place)
        )
        for place, (digest, (created, revision, version)) in enumerate(images)
    }


def _run_from_json(data: Mapping[str, Any], digests: Sequence[str]) -> RunRecord:
    def digest_of(value: object) -> str | None:
        return digests[_whole(value, MOST_DIGESTS)] if isinstance(value, int) else _text_or_none(value)

    status = data.get("exit_status")
    return RunRecord(
        id=_text(data["id"]),
        outcome=_text(data["outcome"]),
        started_at=parse_time(data.get("started_at")),
        finished_at=parse_time(data.get("finished_at")),
        trigger=member(TriggerKind, data.get("trigger"), TriggerKind.LOCAL),
        command=member(Command, data.get("command"), Command.RUN),
        narrowed=data.get("narrowed") is True,
        deployment=_text_or_none(data.get("deployment")),
        shard=_shard(data.get("shard")),
        job=_text_or_none(data.get("job")),
        scheduled_at=parse_time(data.get("scheduled_at")),
        exit_status=None if status is None else _whole(status, 255),
        counts={
            _text(result): _whole(count, MOST_TAGS) for result, count in _bounded(data.get("counts", {}), 20).items()
        },
        updated=tuple(
            (_text(name), _text_or_none(before), _text_or_none(after))
            for name, before, after in data.get("updated", ())
        ),
        moves=tuple(
            Move(*_key(name), digest_of(before), _text(digest_of(after)), _whole(wave, MOST_WAVES))
            for name, before, after, wave in _bounded(data.get("moves", []), MOST_MOVES_A_RUN)
        ),
    )


def _shard(value: object) -> Shard | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError("a shard is not a list")
    index, count = value
    shard = Shard(_whole(index, MOST_SHARDS), _whole(count, MOST_SHARDS))
    if shard.index >= shard.count:
        raise ValueError(f"shard {shard.index} of {shard.count}")
    return shard


def _key(text: str) -> TagKey:
    stream, _, tag = _text(text).partition(":")
    return stream, tag


def _bounded(values: S, most: int) -> S:
    """The list or object, if it has at most so many items."""
    if len(values) > most:
        raise ValueError(f"more than {most} items in a list")
    return values


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is a {type(value).__name__}")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"a text is longer than {LONGEST_TEXT} characters")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _decimal(text: str) -> float | None:
    """The time in a key of `succeeded`, where the empty text means that there is none."""
    if not text:
        return None
    if not re.fullmatch(_DECIMAL, text):
        raise ValueError("a time is not a number")
    return _seconds(float(text))


def _whole(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"not a whole number from 0 to {most}")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError("a time is not a number")
    if not 0 <= value <= _LAST_SECOND:
        raise ValueError("a time is not within the years 1970 to 5138")
    return float(value)
