"""The images that a tag has had, and which of them a rollback selects.

After a rollback the history reads old, bad, old, and the item before the current one is the bad image. So images are
ordered by when the tag first had them, and what a rollback added to the history does not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from job.domain.model import Hold, Image, Item, TagName
from job.domain.records import dataclass

DIGEST = r"sha256:[0-9a-f]{64}"
_PREFIX = r"(sha256:)?[0-9a-f]{6,64}"
_NUMBER = r"[1-9][0-9]{0,2}"


@dataclass(frozen=True, slots=True)
class Tenure:
    """A period in which the tag had an image.

    Attributes:
        item: the history's entry.
        until: when the tag got the next image; None for the current one.
        is_current: whether the tag has it now.
        restored: whether it followed an image that the tag first had later, as after a rollback.
        rolled_back_from: whether the tag was rolled back from it to such an older image.
    """

    item: Item
    until: datetime | None
    is_current: bool
    restored: bool
    rolled_back_from: bool


def tenures_of(items: Sequence[Item]) -> tuple[Tenure, ...]:
    """The history of a tag, newest first, each image with how long the tag had it."""
    first = _first(items)
    tenures: list[Tenure] = []
    for index, item in enumerate(items):
        newer = tenures[-1] if tenures else None
        older = items[index + 1] if index + 1 < len(items) else None
        restored = older is not None and first[item.digest] > first[older.digest]
        until = newer.item.imported_at if newer else None
        tenures.append(Tenure(item, until, newer is None, restored, newer is not None and newer.restored))
    return tuple(tenures)


def bad_images(items: Sequence[Item], hold: Hold | None) -> frozenset[str]:
    """The digests of images that the tag was rolled back from, unless it was moved to them again since.

    Args:
        items: the history, newest first.
        hold: the hold on the tag, which names such an image also where the one it holds was not in the history before.
    """
    newest: dict[str, Tenure] = {}
    for tenure in tenures_of(items):
        newest.setdefault(tenure.item.digest, tenure)
    left = {hold.bad} - {items[0].digest} if hold and hold.bad and items else set[str]()
    return frozenset(digest for digest, tenure in newest.items() if tenure.rolled_back_from or digest in left)


def _first(items: Sequence[Item]) -> dict[str, int]:
    """The index at which each image first appeared; a larger index is earlier, since the newest item comes first."""
    return {item.digest: index for index, item in enumerate(items)}


def earlier_than_current(items: Sequence[Item], hold: Hold | None) -> tuple[Item, ...]:
    """The images that the tag first had before the current one, newest first, each once, without bad ones.

    Args:
        items: the history, newest first.
        hold: the hold on the tag, which records when the tag first had its image, also where the history was pruned.
    """
    if not items:
        return ()
    first = _first(items)
    current, bad = items[0].digest, bad_images(items, hold)
    older = [
        item
        for index, item in enumerate(items)
        if first[item.digest] == index and item.digest != current and item.digest not in bad
    ]
    first_imported = hold.first_imported if hold else None
    if hold is None or first[current] > 0:
        # Where the history was pruned, the hold may record an earlier time.
        by_place = tuple(item for item in older if first[item.digest] > first[current])
        return tuple(
            item for item in by_place if not (first_imported and item.imported_at and item.imported_at > first_imported)
        )
    # Only the item that the rollback added is left of the current image.
    if first_imported is None:
        return tuple(item for item in older if item.digest != hold.bad)
    return tuple(item for item in older if item.imported_at is not None and item.imported_at < first_imported)


def first_imported_at(items: Sequence[Item], digest: str) -> datetime | None:
    """When the tag first had an image."""
    return next((item.imported_at for item in reversed(items) if item.digest == digest), None)


@dataclass(frozen=True, slots=True)
class Entry:
    """An image in the history of a tag; `in_registry` is None where the registry was not asked or did not answer."""

    tenure: Tenure
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
    """There is no such image to roll back to; the message says which there are."""


def image_to_go_to(items: Sequence[Item], hold: Hold | None, to: str) -> Item | str:
    """The image that `--to` names: an item of the history, or the full digest of an image that is not in it.

    Args:
        items: the history, newest first.
        hold: the hold on the tag.
        to: how many distinct images to go back, or a digest or its beginning.

    Raises:
        NoSuchImageError: no image matches, several do, or it is the current one.
    """
    if re.fullmatch(_NUMBER, to):
        older = earlier_than_current(items, hold)
        if int(to) <= len(older):
            return older[int(to) - 1]
        if not older:
            raise NoSuchImageError("its history has no earlier image; name one that the registry has: --to sha256:...")
        raise NoSuchImageError(f"its history has only {len(older)} earlier; see: import-images history")
    if not re.fullmatch(_PREFIX, to):
        raise NoSuchImageError(f"--to: {to!r} is neither a number of steps nor a digest or its beginning")
    digest = to if to.startswith("sha256:") else f"sha256:{to}"
    matching = {item.digest: item for item in reversed(items) if item.digest.startswith(digest)}
    if len(matching) > 1:
        raise NoSuchImageError(f"--to: {to!r} is the beginning of {len(matching)} digests")
    if items and items[0].digest in matching:
        raise NoSuchImageError(f"it is already at {items[0].digest}")
    if matching:
        return next(iter(matching.values()))
    if re.fullmatch(DIGEST, digest):
        return digest
    raise NoSuchImageError(
        f"--to: no digest in its history begins with {to!r}; only a full digest is looked up in the registry"
    )
