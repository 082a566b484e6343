"""When a tag is held: only while all that a rollback set is still there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.holds import (
    ANNOTATION,
    LONGEST,
    Terms,
    held_reference,
    hold_of,
    is_over,
    released_reference,
    source_before,
)
from job.domain.model import Hold, Item, Source, Tag

PINNED = Source("ImageStreamImage", "worker@sha256:old")
VALUE: dict[str, Any] = {
    "version": 1,
    "by": "jane",
    "at": "2026-11-20T10:00:00Z",
    "reason": "crashes",
    "until": "2026-12-01T00:00:00+01:00",
    "from": {"kind": PINNED.kind, "name": PINNED.name},
    "image": "sha256:old",
    "original": {"name": "prod", "from": {"kind": "DockerImage", "name": "quay.io/packit/worker:prod"}},
}


def tag_with(value: object, source: Source | None = PINNED, current: str | None = "sha256:old") -> Tag:
    text = value if isinstance(value, str) else json.dumps(value)
    return Tag("prod", source, False, None, None, {ANNOTATION: text}, Item(current, None) if current else None)


def test_a_hold_is_read_as_it_was_left() -> None:
    assert hold_of(tag_with(VALUE)) == Hold(
        at=datetime(2026, 11, 20, 10, tzinfo=UTC),
        until=datetime(2026, 11, 30, 23, tzinfo=UTC),
        by="jane",
        reason="crashes",
        image="sha256:old",
    )


def test_what_anybody_may_have_written_is_fit_to_be_shown() -> None:
    reason = "\x1b[1mlook\nat https://jane:secret@example.org " + "x" * 1_000_000
    hold = hold_of(tag_with({**VALUE, "reason": reason, "by": "\x00"}))
    assert hold and hold.reason
    assert hold.reason.startswith("[1mlook at https://***@example.org x")
    assert len(hold.reason) <= LONGEST
    assert hold.by is None


def test_only_what_makes_it_a_hold_is_needed() -> None:
    value = {"from": VALUE["from"], "image": VALUE["image"]}
    assert hold_of(tag_with(value)) == Hold(None, None, None, None, "sha256:old")


def test_a_tag_without_the_annotation_is_neither_held_nor_was() -> None:
    tag = Tag("prod", PINNED, False, None, None, {}, Item("sha256:old", None))
    assert hold_of(tag) is None
    assert not is_over(tag)


@pytest.mark.parametrize(
    "tag",
    [
        pytest.param(tag_with(VALUE, source=Source("DockerImage", "quay.io/packit/worker:prod")), id="from put back"),
        pytest.param(tag_with(VALUE, source=Source("ImageStreamImage", "worker@sha256:other")), id="held anew by hand"),
        pytest.param(tag_with(VALUE, source=Source("DockerImage", PINNED.name)), id="another kind"),
        pytest.param(tag_with(VALUE, source=Source(PINNED.kind, PINNED.name, "other")), id="another namespace"),
        pytest.param(tag_with(VALUE, source=None), id="no source"),
        pytest.param(tag_with(VALUE, current="sha256:new"), id="a newer image came in"),
        pytest.param(tag_with(VALUE, current=None), id="no image"),
        pytest.param(tag_with({**VALUE, "image": None}), id="no image in the hold"),
        pytest.param(tag_with({**VALUE, "from": "worker"}), id="from is no object"),
        pytest.param(tag_with({k: v for k, v in VALUE.items() if k != "from"}), id="no from"),
        pytest.param(tag_with([VALUE]), id="a list"),
        pytest.param(tag_with("null"), id="null"),
        pytest.param(tag_with(""), id="empty"),
        pytest.param(tag_with("{"), id="no JSON"),
        pytest.param(tag_with("1" * 10_000), id="a long number"),
        pytest.param(tag_with("[" * 100_000), id="JSON too deep to read"),
    ],
)
def test_a_hold_whose_marks_are_not_all_there_is_over(tag: Tag) -> None:
    assert hold_of(tag) is None
    assert is_over(tag)


def test_a_hold_names_the_namespace_of_its_source_too() -> None:
    value = {**VALUE, "from": {"kind": "ImageStreamImage", "name": "worker@sha256:old", "namespace": "packit-prod"}}
    assert hold_of(tag_with(value, source=Source("ImageStreamImage", "worker@sha256:old", "packit-prod")))
    assert hold_of(tag_with(value)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(VALUE, JSON)))
def test_an_annotation_that_anybody_may_have_written_is_read_without_fear(changes: dict[str, Any]) -> None:
    tag = tag_with({**VALUE, **changes})
    hold = hold_of(tag)
    assert is_over(tag) == (hold is None)
    if hold is not None:
        assert hold.image == "sha256:old"
        assert hold.reason is None or isinstance(hold.reason, str)


@given(st.text())
def test_any_text_at_all_is_read_without_fear(text: str) -> None:
    assert hold_of(tag_with(text or "{}")) is None


NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
REFERENCE: dict[str, Any] = {
    "name": "prod",
    "annotations": {"note": "ours"},
    "from": {"kind": "DockerImage", "name": "quay.io/packit/worker:prod"},
    "generation": 7,
    "importPolicy": {"scheduled": True, "insecure": True, "importMode": "Legacy"},
    "referencePolicy": {"type": "Local"},
}


def held(reference: dict[str, Any], source: Source, image: str, **more: Any) -> dict[str, Any]:
    told = {"held": False, "bad": "sha256:bad", "first_imported": None, **more}
    return held_reference(reference, source, image, Terms(NOW, "jane", "crashes"), **told)


def read(reference: dict[str, Any], current: str) -> Tag:
    source = Source(reference["from"]["kind"], reference["from"]["name"])
    annotations = reference["annotations"]
    return Tag("prod", source, False, reference["importPolicy"], None, annotations, Item(current, None))


def test_there_and_back_all_is_as_it_was_but_the_generation() -> None:
    there = held(REFERENCE, PINNED, "sha256:old")
    assert there["from"] == {"kind": PINNED.kind, "name": PINNED.name}
    assert there["importPolicy"] == {"insecure": True, "importMode": "Legacy"}
    assert there["referencePolicy"] == {"type": "Local"}
    assert there["annotations"]["note"] == "ours"
    hold = hold_of(read(there, "sha256:old"))
    assert hold and (hold.at, hold.by, hold.reason, hold.bad) == (NOW, "jane", "crashes", "sha256:bad")
    assert released_reference(there) == {key: value for key, value in REFERENCE.items() if key != "generation"}
    assert source_before(read(there, "sha256:old")) == (REFERENCE["from"]["name"], REFERENCE["importPolicy"])


def test_a_second_hold_keeps_what_was_there_before_the_first() -> None:
    first = held(REFERENCE, PINNED, "sha256:old")
    older = Source("ImageStreamImage", "worker@sha256:older")
    second = held(first, older, "sha256:older", held=True)
    assert released_reference(second) == released_reference(first)
    # Of a hold that was over nothing is kept but the tag as it is.
    anew = held({**first, "from": REFERENCE["from"]}, older, "sha256:older")
    original = released_reference(anew)
    assert original and original["annotations"] == {"note": "ours"}
    assert original["from"] == REFERENCE["from"]


def test_an_index_that_only_the_registry_has_comes_in_whole() -> None:
    source = Source("DockerImage", "quay.io/packit/worker@sha256:index")
    assert held(REFERENCE, source, "sha256:index")["importPolicy"]["importMode"] == "PreserveOriginal"


UNFIT: dict[str, list[object]] = {
    "from": [None, "x", {}, {"kind": "DockerImage"}, {"name": "x"}],
    "name": [None, "stg", {}],
    "annotations": ["x", ["x"], {"x": 1}, {"x": None}],
    "importPolicy": ["x"],
    "referencePolicy": [["x"]],
}


@pytest.mark.parametrize(
    "original",
    [
        None,
        1,
        [],
        {},
        *({**VALUE["original"], key: each} for key, values in UNFIT.items() for each in values),
    ],
)
def test_a_hold_that_does_not_tell_what_was_there_before_frees_nothing(original: object) -> None:
    annotations = {ANNOTATION: json.dumps({**VALUE, "original": original})}
    assert released_reference({"name": "prod", "annotations": annotations}) is None
    assert source_before(tag_with({**VALUE, "original": original})) is None


def test_a_hold_tells_what_was_there_before() -> None:
    annotations = {ANNOTATION: json.dumps(VALUE)}
    assert released_reference({"name": "prod", "annotations": annotations}) == VALUE["original"]
