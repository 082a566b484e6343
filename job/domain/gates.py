"""Which gates a new image of a tag has to pass, and the verdicts of those that time decides."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TypeVar

from job.domain.durations import describe, duration
from job.domain.model import ANNOTATION_PREFIX, Gate, GateVerdict, Item, Skip, Stream, Tag, Verdict
from job.domain.records import dataclass, replace
from job.domain.selection import Choice

T = TypeVar("T")

MIN_AGE_ANNOTATION = f"{ANNOTATION_PREFIX}min-age"
PROVEN_IN_ANNOTATION = f"{ANNOTATION_PREFIX}proven-in"
PROVEN_FOR_ANNOTATION = f"{ANNOTATION_PREFIX}proven-for"
REHEARSE_ANNOTATION = f"{ANNOTATION_PREFIX}rehearse"
# Asked of every tag of a run.
ANNOTATIONS = frozenset({MIN_AGE_ANNOTATION, PROVEN_IN_ANNOTATION, PROVEN_FOR_ANNOTATION, REHEARSE_ANNOTATION})
# In an annotation: the gate is off for this tag, whatever the setting says.
OFF = "none"
DAY = 86400.0

_PROOF = r"(?a)(?P<namespace>[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)/(?P<stream>[\w.*?\[\]!-]+):(?P<tag>[\w.*?\[\]!-]+)"
_GLOB = r"[*?\[]"


@dataclass(frozen=True, slots=True)
class Proof:
    """`NAMESPACE/STREAM:TAG`: where an image has to prove itself; stream and tag are shell-style globs.

    A glob that matches the name of the tag's own stream means the stream of that name.
    """

    namespace: str
    stream: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Read `NAMESPACE/STREAM:TAG`.

        Raises:
            ValueError: it is not of that form.
        """
        match = re.fullmatch(_PROOF, text)
        if match is None:
            raise ValueError(f"{text!r} is not NAMESPACE/STREAM:TAG, such as packit-stg/*:stg")
        return cls(match["namespace"], match["stream"], match["tag"])

    def stream_for(self, own: str) -> str | None:
        """The stream that is meant for a tag of the stream `own`; None where all that match the glob are."""
        if fnmatchcase(own, self.stream):
            return own
        return None if re.search(_GLOB, self.stream) else self.stream

    def includes(self, stream: str, tag: str, own: str) -> bool:
        """Whether a tag is one of those in which an image for a tag of the stream `own` may prove itself."""
        meant = self.stream_for(own)
        return (fnmatchcase(stream, self.stream) if meant is None else stream == meant) and fnmatchcase(tag, self.tag)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.stream}:{self.tag}"


@dataclass(frozen=True, slots=True)
class Policy:
    """Which gates a tag has.

    Attributes:
        min_age: seconds; 0 where there is no such gate.
        proven_in: where the image has to prove itself: in all of them.
        proven_for: for how many seconds.
        rehearse: whether nodes have to make a container of it first.
    """

    min_age: float = 0.0
    proven_in: tuple[Proof, ...] = ()
    proven_for: float = DAY
    rehearse: bool = False

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The gates that judge an image before it is imported, in their order."""
        on = {Gate.MIN_AGE: self.min_age > 0, Gate.PROVEN: bool(self.proven_in), Gate.REHEARSE: self.rehearse}
        return tuple(gate for gate, is_on in on.items() if is_on)


class PolicyError(ValueError):
    """Annotations of a tag that cannot be read; the message names each."""


def policy_of(default: Policy, stream: Stream, tag: Tag) -> Policy:
    """The gates of a tag: by its annotations, else those of its stream, else the settings.

    Raises:
        PolicyError: an annotation cannot be read, so that the tag must not move.
    """
    annotations = {**stream.annotations, **tag.annotations}
    errors: list[str] = []
    policy = replace(
        default,
        min_age=_read(annotations, MIN_AGE_ANNOTATION, _age, default.min_age, errors),
        proven_in=_read(annotations, PROVEN_IN_ANNOTATION, _proofs, default.proven_in, errors),
        proven_for=_read(annotations, PROVEN_FOR_ANNOTATION, duration, default.proven_for, errors),
        rehearse=_read(annotations, REHEARSE_ANNOTATION, _boolean, default.rehearse, errors),
    )
    if errors:
        raise PolicyError("; ".join(errors))
    return policy


def has_gate_annotations(stream: Stream, tag: Tag) -> bool:
    """Whether annotations say anything of gates."""
    return not (ANNOTATIONS.isdisjoint(stream.annotations) and ANNOTATIONS.isdisjoint(tag.annotations))


def is_gated(default: Policy, chosen: Iterable[tuple[Stream, Sequence[Choice]]]) -> bool:
    """Whether any of the chosen tags may have a gate."""
    return bool(default.gates) or any(
        has_gate_annotations(stream, choice.tag) for stream, choices in chosen for choice in choices
    )


def _read(annotations: Mapping[str, str], name: str, parse: Callable[[str], T], default: T, errors: list[str]) -> T:
    text = annotations.get(name)
    if text is None:
        return default
    try:
        return parse(text.strip())
    except ValueError as error:
        errors.append(f"annotation {name}: {error}")
        return default


def _age(text: str) -> float:
    return 0.0 if text in (OFF, "0") else duration(text)


def _proofs(text: str) -> tuple[Proof, ...]:
    if text == OFF:
        return ()
    parts = [part.strip() for part in text.split(",")]
    return tuple(dict.fromkeys(Proof.parse(part) for part in parts))


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def is_believable(created: datetime | None, now: datetime) -> bool:
    """Whether an image's build time is known; one that is yet to come is that of a wrong clock."""
    return created is not None and created <= now


def judge_age(digest: str, created: datetime | None, seen: datetime, min_age: float, now: datetime) -> Verdict:
    """The verdict of MIN_AGE.

    Args:
        digest: of the image.
        created: when it was built, as far as it says; see `is_believable`.
        seen: when a run first saw it; now, where none has.
        min_age: seconds.
        now: the time of the judgement.
    """
    built = created if is_believable(created, now) else None
    since = built or seen
    until = since + timedelta(seconds=min_age)
    age = (now - since).total_seconds()
    known = "is not known" if created is None else "is in the future"
    what = "built" if built else f"its build time {known}, first seen"
    ago = f"{what} {describe(age)} ago" if age > 0 else what
    if until <= now:
        return Verdict(Gate.MIN_AGE, GateVerdict.PASSED, digest, ago, since, until)
    message = f"{ago}; waits for {describe((until - now).total_seconds())}"
    return Verdict(Gate.MIN_AGE, GateVerdict.HELD, digest, message, since, until, reason=Skip.YOUNG)


@dataclass(frozen=True, slots=True)
class Stay:
    """A period in which a tag had an image, or images of one revision; `until` is None while it has it."""

    since: datetime
    until: datetime | None

    def lasted(self, now: datetime) -> float:
        """Seconds that it has lasted."""
        return ((self.until or now) - self.since).total_seconds()


def stays(items: Sequence[Item], is_same: Callable[[Item], bool]) -> tuple[Stay, ...]:
    """The periods in which a tag had the image, newest first.

    Args:
        items: the tag's history, newest first; an entry without a time counts for nothing.
        is_same: whether an entry is the image, or one of the same revision.
    """
    periods: list[Stay] = []
    until: datetime | None = None
    follows_on = False
    for item in items:
        if item.imported_at is not None and is_same(item):
            if follows_on:
                periods[-1] = replace(periods[-1], since=item.imported_at)
            else:
                periods.append(Stay(item.imported_at, until))
            follows_on = True
        else:
            follows_on = False
        until = item.imported_at or until
    return tuple(periods)


def judge_stay(digest: str, where: str, periods: Sequence[Stay], proven_for: float, now: datetime) -> Verdict:
    """The verdict of PROVEN_IN on how long a tag has had the image, before the health of its followers is known.

    Args:
        digest: of the image.
        where: the tag, as NAMESPACE/STREAM:TAG.
        periods: in which the tag had it, newest first.
        proven_for: seconds.
        now: the time of the judgement.
    """
    held = Verdict(Gate.PROVEN, GateVerdict.HELD, digest, where=where, reason=Skip.UNPROVEN)
    if not periods:
        return replace(held, message=f"{where} has not had it")
    longest = max(periods, key=lambda stay: stay.lasted(now))
    if longest.lasted(now) >= proven_for:
        had = "has had it" if longest.until is None else "had it"
        message = f"{where} {had} for {describe(longest.lasted(now))}"
        return Verdict(Gate.PROVEN, GateVerdict.PASSED, digest, message, longest.since, where=where)
    current = periods[0]
    if current.until is not None:
        message = (
            f"{where} had it only for {describe(longest.lasted(now))}, of {describe(proven_for)}, and has moved on"
        )
        return replace(held, message=message, since=longest.since)
    until = current.since + timedelta(seconds=proven_for)
    lasted = describe(current.lasted(now))
    message = f"waits for {describe((until - now).total_seconds())} in {where}, which has had it for {lasted}"
    return replace(held, message=message, since=current.since, until=until)
