"""What the result of a tag says beyond what it was asked: an older image, another architecture."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pytest

from job.domain.model import ImageFacts, Item, Result, Source, Stream, Tag
from job.imagestreams.pending import Settled
from job.imagestreams.results import result_of
from tests.unit.objects import NOW

EARLIER, LATER = datetime(2026, 11, 1, tzinfo=NOW.tzinfo), datetime(2026, 11, 20, tzinfo=NOW.tzinfo)


def message(before: str, after: str, past: tuple[str, ...], **facts: ImageFacts) -> str | None:
    tag = Tag("prod", Source("DockerImage", "quay.io/x:prod"), False, None, None, {}, Item(after, None), past=past)
    stream = Stream("packit-prod", "worker", "1", {}, (tag,))
    settled = Settled(tag, Result.UPDATED, Item(before, None), Item(after, None))
    known: Mapping[str, ImageFacts] = facts
    return result_of(settled, stream, {}, known.get).message


@pytest.mark.parametrize(
    ("past", "told"),
    [
        # The newest first; in a plan the new image is not in it yet.
        (("b", "a"), False),
        (("a",), False),
        ((), False),
        (("b", "a", "b"), True),
        (("a", "b"), True),
        (("b", "a", "x", "b", "c"), True),
        # A fix that a rollback had left comes back: it first came after the image before.
        (("b", "a", "b", "a"), False),
        (("a", "b", "a"), False),
    ],
)
def test_an_image_that_the_tag_had_before_is_older(past: tuple[str, ...], told: bool) -> None:
    said = message("a", "b", past)
    expected = "this image is older than the one before: the tag had it before that one"
    assert said == (expected if told else None)


def test_an_image_that_was_built_earlier_is_older() -> None:
    said = message("a", "b", (), a=ImageFacts(created=LATER), b=ImageFacts(created=EARLIER))
    built = "built 2026-11-01T00:00:00Z, the one before 2026-11-20T00:00:00Z"
    assert said == f"this image is older than the one before: {built}"
    assert message("a", "b", (), a=ImageFacts(created=EARLIER), b=ImageFacts(created=LATER)) is None
    assert message("a", "b", (), a=ImageFacts(created=EARLIER), b=ImageFacts(created=EARLIER)) is None
    assert message("a", "b", (), a=ImageFacts(created=EARLIER), b=ImageFacts()) is None


def test_another_architecture_is_reported() -> None:
    amd, arm = ImageFacts(architecture="amd64"), ImageFacts(architecture="arm64")
    assert message("a", "b", (), a=amd, b=arm) == "the architecture changed from amd64 to arm64"
    assert message("a", "b", (), a=amd, b=amd) is None
    assert message("a", "b", (), b=arm) is None
