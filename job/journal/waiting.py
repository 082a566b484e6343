"""The images that gates hold back from tags, as the journal remembers them.

So an image without a build time ages from when a run first saw it, and `status` knows what each tag waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from job.domain.durations import describe
from job.domain.model import Gate, GateVerdict, Result, TagResult, member
from job.domain.records import dataclass
from job.domain.text import clean
from job.domain.times import from_unix
from job.domain.verdicts import first_refusal
from job.journal.values import bounded, key_in, seconds, text_in, text_or_none

# Of one namespace. Those that came first stay, so that in the end every image gets its turn.
MOST_WAITING = 1_000
LONGEST_MESSAGE = 300

TagKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An image that gates hold back from a tag.

    Attributes:
        digest: of the image.
        gate: the first gate that does not let it through.
        verdict: what that gate said last.
        seen: when a run first saw the image, in seconds since 1970.
        held_since: since when gates have held back whatever the registry had for the tag.
        until: when the gate will let it through, as far as that is known.
        where: in which tag it proves itself, as NAMESPACE/STREAM:TAG.
        message: why it is held back, for a person.
    """

    digest: str
    gate: Gate
    verdict: GateVerdict
    seen: float
    held_since: float
    until: float | None = None
    where: str | None = None
    message: str = ""


def wait_of(image: Waiting, now: datetime) -> str:
    """What an image waits for, and how long still: `waits for 1d 4h in packit-stg/packit-worker:stg`."""
    until = None if image.until is None else from_unix(image.until)
    if until is None:
        return image.message
    if until <= now:
        return "the next run judges it again"
    where = f" in {image.where}" if image.where else ""
    return f"waits for {describe((until - now).total_seconds())}{where}"


def first_seen(waiting: Mapping[TagKey, Waiting], digest: str) -> datetime | None:
    """When a run first saw an image, whichever tag of the namespace it was for; None where none has."""
    times = [image.seen for image in waiting.values() if image.digest == digest]
    return from_unix(min(times)) if times else None


def waiting_after(
    before: Mapping[TagKey, Waiting], results: Iterable[TagResult], finished: float, is_kept: Callable[[TagKey], bool]
) -> dict[TagKey, Waiting]:
    """What waits after a run.

    Args:
        before: what waited before it.
        results: of the tags that it took.
        finished: when it ended, in seconds since 1970.
        is_kept: whether a tag that it did not take may still exist.
    """
    taken = {(tag.stream, tag.tag): tag for tag in results}
    after: dict[TagKey, Waiting] = {}
    for key, image in before.items():
        tag = taken.get(key)
        if is_kept(key) if tag is None else says_nothing(tag) or _failed_to_import(tag, image):
            after[key] = image
    times = {image.digest: image.seen for image in sorted(before.values(), key=lambda image: -image.seen)}
    for key, tag in taken.items():
        refusal = first_refusal(tag.gates)
        if refusal is None:
            continue
        earlier = before.get(key)
        after[key] = Waiting(
            digest=refusal.digest,
            gate=refusal.gate,
            verdict=refusal.verdict,
            seen=times.get(refusal.digest, finished),
            held_since=earlier.held_since if earlier else finished,
            until=refusal.until.timestamp() if refusal.until else None,
            where=refusal.where,
            message=clean(refusal.message or "", LONGEST_MESSAGE),
        )
    oldest = sorted(after.items(), key=lambda item: (item[1].held_since, item[0]))
    return dict(oldest[:MOST_WAITING])


def says_nothing(tag: TagResult) -> bool:
    """Whether the registry's image did not become known, so that the one before may still wait."""
    return not tag.was_tried or (tag.result is Result.FAILED and not tag.gates)


def _failed_to_import(tag: TagResult, image: Waiting) -> bool:
    """Whether gates let the image through and its import failed: it must not become young again for the next run."""
    return tag.result is Result.FAILED and any(verdict.digest == image.digest for verdict in tag.gates)


def waiting_to_json(waiting: Mapping[TagKey, Waiting]) -> dict[str, Any]:
    """What waits, as JSON of the journal."""
    return {
        f"{stream}:{tag}": [
            image.digest,
            image.gate,
            image.verdict,
            round(image.seen, 3),
            round(image.held_since, 3),
            None if image.until is None else round(image.until, 3),
            image.where,
            image.message,
        ]
        for (stream, tag), image in waiting.items()
    }


def waiting_from_json(data: Mapping[str, Any]) -> dict[TagKey, Waiting]:
    """What waits, from the JSON of a journal.

    Raises:
        ValueError: it is not that.
        TypeError: likewise.
    """
    return {
        key_in(name): Waiting(
            text_in(digest),
            member(Gate, gate, Gate.MIN_AGE),
            member(GateVerdict, verdict, GateVerdict.HELD),
            seconds(seen),
            seconds(held_since),
            None if until is None else seconds(until),
            text_or_none(where),
            text_in(message),
        )
        for name, (digest, gate, verdict, seen, held_since, until, where, message) in bounded(
            data, MOST_WAITING
        ).items()
    }
