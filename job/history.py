"""The images that a tag has had, and which of them a rollback goes back to.

After a rollback the history reads old, bad, old: by position one step back would be the bad image. So images count by
when they first came, and what a rollback put there does not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from job.model import Hold, Image, TagName
from job.openshift import Step

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PREFIX = re.compile(r"(sha256:)?[0-9a-f]{6,64}")
_NUMBER = re.compile(r"[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class Moment:
    """An image while the tag had it.

    Attributes:
        step: the history's item.
        until: when the next image came; None for the current one.
        is_current: whether the tag has it now.
        is_return: whether the tag had gone to another image and came back to this one.
        left: whether it was left for an image that the tag had before, as in a rollback.
    """

    step: Step
    until: datetime | None
    is_current: bool
    is_return: bool
    left: bool


def moments_of(steps: Sequence[Step]) -> tuple[Moment, ...]:
    """The history of a tag, newest first, each image with how long it stayed."""
    found: list[Moment] = []
    for index, step in enumerate(steps):
        newer = found[-1] if found else None
        is_return = any(older.digest == step.digest for older in steps[index + 1 :])
        until = newer.step.imported_at if newer else None
        found.append(Moment(step, until, newer is None, is_return, newer is not None and newer.is_return))
    return tuple(found)


def earlier_than_current(steps: Sequence[Step], hold: Hold | None) -> tuple[Step, ...]:
    """The images older than the current one by when they first came, newest first, each once.

    Args:
        steps: the history, newest first.
        hold: the hold that is on the tag, which knows when its image first came although the history was pruned.
    """
    if not steps:
        return ()
    first = {step.digest: index for index, step in enumerate(steps)}
    current = steps[0].digest
    older = [step for index, step in enumerate(steps) if first[step.digest] == index and step.digest != current]
    came = hold.came if hold else None
    if hold is None or first[current] > 0:
        # Where the history was pruned, the hold may know of a time before.
        by_place = tuple(step for step in older if first[step.digest] > first[current])
        return tuple(step for step in by_place if not (came and step.imported_at and step.imported_at > came))
    # All that the history still has of the current image is what the rollback put there.
    if came is None:
        return tuple(step for step in older if step.digest != hold.bad)
    return tuple(step for step in older if step.imported_at is not None and step.imported_at < came)


def came_first(steps: Sequence[Step], digest: str) -> datetime | None:
    """When an image first came into the tag."""
    return next((step.imported_at for step in reversed(steps) if step.digest == digest), None)


@dataclass(frozen=True, slots=True)
class Entry:
    """An image in the history of a tag; `in_registry` is None where nobody asked, or the registry did not tell."""

    moment: Moment
    image: Image
    held: bool
    in_registry: bool | None


@dataclass(frozen=True, slots=True)
class TagHistory:
    """The history of one tag, newest first.

    `problem` is reason, message and time of an import that failed; `checked` says whether the registry was asked.
    """

    name: TagName
    source: str
    hold: Hold | None
    hold_is_over: bool
    problem: tuple[str, str, datetime | None] | None
    entries: tuple[Entry, ...]
    checked: bool


class NoSuchImageError(ValueError):
    """There is no such image to go back to; the message says what there is."""


def image_to_go_to(steps: Sequence[Step], hold: Hold | None, to: str) -> Step | str:
    """The image that `--to` names: an item of the history, or the full digest of one that it no longer has.

    Args:
        steps: the history, newest first.
        hold: the hold that is on the tag.
        to: how many distinct images to go back, or a digest or its beginning.

    Raises:
        NoSuchImageError: there is none, or more than one, or it is the current one.
    """
    if _NUMBER.fullmatch(to):
        older = earlier_than_current(steps, hold)
        if int(to) <= len(older):
            return older[int(to) - 1]
        if not older:
            raise NoSuchImageError("its history has no earlier image; name one that the registry has: --to sha256:...")
        raise NoSuchImageError(f"its history has only {len(older)} earlier; see: import-images history")
    if not _PREFIX.fullmatch(to):
        raise NoSuchImageError(f"--to: {to!r} is neither a number of steps nor a digest or its beginning")
    digest = to if to.startswith("sha256:") else f"sha256:{to}"
    matching = {step.digest: step for step in reversed(steps) if step.digest.startswith(digest)}
    if len(matching) > 1:
        raise NoSuchImageError(f"--to: {to!r} is the beginning of {len(matching)} digests")
    if steps and steps[0].digest in matching:
        raise NoSuchImageError(f"it has {steps[0].digest} already")
    if matching:
        return next(iter(matching.values()))
    if DIGEST.fullmatch(digest):
        return digest
    raise NoSuchImageError(
        f"--to: no digest in its history begins with {to!r}; a full one is looked for in the registry"
    )
