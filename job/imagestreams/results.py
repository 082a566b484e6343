"""From what the server answered to the result of a tag, as the report has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from job.domain.holds import hold_of
from job.domain.model import ImageFacts, Item, Result, Skip, Stream, TagResult
from job.domain.selection import aliases_of
from job.domain.times import iso
from job.imagestreams.api_types import image_of
from job.imagestreams.pending import Settled

Facts = Callable[[str], ImageFacts | None]


def result_of(settled: Settled, stream: Stream, first: Mapping[str, Item | None], facts: Facts) -> TagResult:
    """The result of a tag.

    Args:
        settled: what became of it.
        stream: the tag's stream as it is now, as far as that is known.
        first: by tag, the images that the stream had when the tags were chosen.
        facts: what is known of an image, by digest.
    """
    name, before, after = settled.tag.name, settled.before, settled.after
    if settled.result is Result.SKIPPED:
        # An alias may have moved along with the tag that it follows.
        after = _current(stream, name) or after
    is_updated = settled.result is Result.UPDATED
    surprise = _surprise(settled, stream, facts) if is_updated else None
    return TagResult(
        namespace=stream.namespace,
        stream=stream.name,
        tag=name,
        source=settled.tag.source.name if settled.tag.source else None,
        result=settled.result,
        reason=settled.reason,
        by=settled.by,
        message="; ".join(filter(None, (settled.message, surprise))) or None,
        attempts=settled.attempts,
        seconds=settled.seconds,
        moved_with=_moved_with(stream, name, after.digest, first) if after and is_updated else (),
        before=image_of(before, facts(before.digest)) if before else None,
        after=image_of(after, facts(after.digest)) if after else None,
        hold=hold_of(settled.tag) if settled.reason is Skip.HELD else None,
    )


def _current(stream: Stream, name: str) -> Item | None:
    tag = stream.tag(name)
    return tag.current if tag else None


def _moved_with(stream: Stream, name: str, digest: str, first: Mapping[str, Item | None]) -> tuple[str, ...]:
    """The aliases of the tag that have its image now and did not before."""
    moved = []
    for alias in sorted(aliases_of(stream, name)):
        before, after = first.get(alias), _current(stream, alias)
        if after and after.digest == digest and (before is None or before.digest != digest):
            moved.append(alias)
    return tuple(moved)


def _surprise(settled: Settled, stream: Stream, facts: Facts) -> str | None:
    """What an update changed unasked: another architecture, or an image older than the one before."""
    if settled.before is None or settled.after is None:
        return None
    known = facts(settled.before.digest) or ImageFacts(), facts(settled.after.digest) or ImageFacts()
    tag = stream.tag(settled.tag.name) or settled.tag
    surprises = (_other_architecture(*known), _older(settled.before, settled.after, known, tag.past))
    return "; ".join(filter(None, surprises)) or None


def _other_architecture(before: ImageFacts, after: ImageFacts) -> str | None:
    if before.architecture and after.architecture and before.architecture != after.architecture:
        return f"the architecture changed from {before.architecture} to {after.architecture}"
    return None


def _older(before: Item, after: Item, known: tuple[ImageFacts, ImageFacts], past: tuple[str, ...]) -> str | None:
    """Why the new image counts as older, by the build times of both or by the tag's history; None if it does not."""
    reasons = []
    built_before, built_after = known[0].created, known[1].created
    if built_before and built_after and built_after < built_before:
        reasons.append(f"built {iso(built_after)}, the one before {iso(built_before)}")
    # The last place of an image in a history that begins with the newest is where the tag first had it.
    first_places = {digest: place for place, digest in enumerate(past)}
    if before.digest in first_places and first_places.get(after.digest, -1) > first_places[before.digest]:
        reasons.append("the tag had it before that one")
    return f"this image is older than the one before: {'; '.join(reasons)}" if reasons else None
