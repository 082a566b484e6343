"""Which tags a run takes, and why it leaves the others."""

from __future__ import annotations

import json
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.model import Item, Skip, Source, Stream, Tag
from job.domain.selection import Pattern, Wanted, aliases_of, choose, skip_reason

NAMES = st.text("abc-.", min_size=1, max_size=6)
GLOBS = st.text("abc*?[]!-", min_size=1, max_size=6)
PATTERNS = st.builds(Pattern, GLOBS, st.none() | GLOBS)
WANTED = st.builds(
    Wanted,
    deployment=st.none() | NAMES,
    patterns=st.lists(PATTERNS, max_size=3).map(tuple),
    exclude=st.lists(PATTERNS, max_size=3).map(tuple),
)
IMAGE = Source("DockerImage", "quay.io/packit/worker:prod")
ITEM = Item("sha256:1", None)
SKIP = "import-images.dev/skip"


def make_tag(
    name: str = "prod",
    source: Source | None = IMAGE,
    reference: bool = False,
    annotations: dict[str, str] | None = None,
    current: Item | None = ITEM,
) -> Tag:
    return Tag(name, source, reference, None, None, annotations or {}, current)


def make_stream(*tags: Tag, annotations: dict[str, str] | None = None) -> Stream:
    return Stream("packit-prod", "worker", "1", annotations or {}, tags)


def hold(source: Source, image: str = "sha256:1") -> dict[str, str]:
    value = {"version": 1, "from": {"kind": source.kind, "name": source.name}, "image": image}
    return {"import-images.dev/hold": json.dumps(value)}


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("worker", Pattern("worker", None)),
        ("worker:prod", Pattern("worker", "prod")),
        ("packit-*", Pattern("packit-*", None)),
        ("*:prod*", Pattern("*", "prod*")),
    ],
)
def test_a_pattern_is_a_stream_and_perhaps_a_tag(text: str, pattern: Pattern) -> None:
    assert Pattern.parse(text) == pattern


@pytest.mark.parametrize("text", ["", ":", ":prod", "worker:", "a:b:c"])
def test_a_pattern_with_an_empty_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="STREAM"):
        Pattern.parse(text)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Wanted(), {"api:prod", "api:stg", "worker:prod", "worker:stg"}),
        (Wanted("prod"), {"api:prod", "worker:prod"}),
        (Wanted("prod", (Pattern("worker"),)), {"worker:prod"}),
        (Wanted("prod", (Pattern("worker", "stg"),)), {"worker:stg"}),
        (Wanted("prod", (Pattern("worker", "*"),)), {"worker:prod", "worker:stg"}),
        (Wanted("prod", (Pattern("w*"), Pattern("api", "stg"))), {"worker:prod", "api:stg"}),
        (Wanted(None, (Pattern("worker"),)), {"worker:prod", "worker:stg"}),
        (Wanted("pro*"), set()),
        (Wanted("[p]rod", (Pattern("*"),)), set()),
        (Wanted("prod", exclude=(Pattern("api"),)), {"worker:prod"}),
        (Wanted("prod", exclude=(Pattern("api", "stg"),)), {"api:prod", "worker:prod"}),
        (Wanted(exclude=(Pattern("*", "stg"),)), {"api:prod", "worker:prod"}),
        (Wanted("prod", (Pattern("worker", "prod"),), (Pattern("worker"),)), set()),
        (Wanted("prod", (Pattern("WORKER"),)), set()),
    ],
)
def test_what_is_wanted_is_taken(wanted: Wanted, taken: set[str]) -> None:
    places = [(stream, tag) for stream in ("api", "worker") for tag in ("prod", "stg")]
    assert {f"{stream}:{tag}" for stream, tag in places if wanted.includes(stream, tag)} == taken


@given(WANTED, NAMES, NAMES)
def test_what_is_excluded_is_never_taken(wanted: Wanted, stream: str, tag: str) -> None:
    excluded = Wanted(wanted.deployment, wanted.patterns, (*wanted.exclude, Pattern(stream, tag)))
    assert not excluded.includes(stream, tag)


@given(WANTED, PATTERNS, NAMES, NAMES)
def test_an_exclusion_only_takes_away(wanted: Wanted, more: Pattern, stream: str, tag: str) -> None:
    excluded = Wanted(wanted.deployment, wanted.patterns, (*wanted.exclude, more))
    assert wanted.includes(stream, tag) or not excluded.includes(stream, tag)


@given(st.none() | NAMES, NAMES, NAMES)
def test_an_argument_with_a_tag_beats_the_deployment(deployment: str | None, stream: str, tag: str) -> None:
    wanted = Wanted(deployment, (Pattern(stream, tag),))
    assert wanted.includes(stream, tag)
    assert not wanted.includes(stream, tag + "-other")


@given(NAMES, GLOBS, NAMES, NAMES)
def test_an_argument_without_a_tag_means_the_deployments(deployment: str, glob: str, stream: str, tag: str) -> None:
    wanted = Wanted(deployment, (Pattern(glob),))
    assert wanted.includes(stream, tag) == (fnmatchcase(stream, glob) and tag == deployment)


@given(NAMES, NAMES)
def test_with_nothing_asked_for_every_tag_is_taken(stream: str, tag: str) -> None:
    assert Wanted().includes(stream, tag)


@given(st.lists(NAMES, unique=True, max_size=6), WANTED)
def test_choices_keep_the_streams_order_and_each_was_asked_for(names: list[str], wanted: Wanted) -> None:
    stream = make_stream(*map(make_tag, names))
    chosen = [choice.tag.name for choice in choose(stream, wanted)]
    assert chosen == [name for name in names if wanted.includes("worker", name)]


def test_a_tag_that_is_left_alone_is_matched_all_the_same() -> None:
    (choice,) = choose(make_stream(make_tag(reference=True)), Wanted("prod"))
    assert choice.skip is Skip.REFERENCE


def test_a_stream_without_the_tag_has_no_choice() -> None:
    assert choose(make_stream(make_tag("stg")), Wanted("prod")) == ()


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        (make_tag(), None),
        (make_tag(current=None), None),
        (make_tag(annotations=hold(IMAGE)), Skip.HELD),
        (make_tag(annotations={SKIP: "true"}), Skip.OPTED_OUT),
        (make_tag(annotations={SKIP: "True"}), Skip.OPTED_OUT),
        (make_tag(annotations={SKIP: "false"}), None),
        (make_tag(annotations={SKIP: "yes"}), None),
        (make_tag(reference=True), Skip.REFERENCE),
        (make_tag(source=Source("ImageStreamTag", "stg")), Skip.ALIAS),
        (make_tag(source=Source("ImageStreamTag", "worker:stg", "packit-prod")), Skip.ALIAS),
        (make_tag(source=Source("ImageStreamTag", "other:stg", "elsewhere")), Skip.COPY),
        (make_tag(source=Source("ImageStreamTag", "other:stg")), Skip.COPY),
        (make_tag(source=Source("ImageStreamTag", "stg", "elsewhere")), Skip.COPY),
        (make_tag(source=Source("ImageStreamImage", "worker@sha256:1")), Skip.PINNED),
        (make_tag(source=Source("DockerImage", "quay.io/x@sha256:1")), Skip.PINNED),
        (make_tag(source=Source("DockerImage", "quay.io/x:prod@sha256:1")), Skip.PINNED),
        (make_tag(source=None), Skip.NO_SOURCE),
        (replace(make_tag(source=None), origin="quay.io/packit/worker"), Skip.REMOVED),
        (make_tag(source=Source("DockerImage", "localhost:5000/x")), None),
    ],
)
def test_why_a_tag_is_left_alone(tag: Tag, reason: Skip | None) -> None:
    assert skip_reason(make_stream(tag), tag) is reason


def test_the_first_reason_that_applies_is_told() -> None:
    alias = Source("ImageStreamTag", "stg")
    all_of_them = {**hold(alias), SKIP: "true"}
    assert skip_reason(make_stream(), make_tag(source=alias, reference=True, annotations=all_of_them)) is Skip.HELD
    opted_out = make_tag(source=alias, reference=True, annotations={SKIP: "true"})
    assert skip_reason(make_stream(), opted_out) is Skip.OPTED_OUT
    assert skip_reason(make_stream(), make_tag(source=alias, reference=True)) is Skip.REFERENCE
    assert skip_reason(make_stream(), make_tag(source=None, reference=True)) is Skip.REFERENCE


@pytest.mark.parametrize(
    ("of_stream", "of_tag", "skipped"),
    [
        ({SKIP: "true"}, {}, True),
        ({SKIP: "true"}, {SKIP: "false"}, False),
        ({SKIP: "false"}, {SKIP: "true"}, True),
        ({}, {}, False),
    ],
)
def test_the_tags_annotation_wins_over_the_streams(
    of_stream: dict[str, str], of_tag: dict[str, str], skipped: bool
) -> None:
    tag = make_tag(annotations=of_tag)
    assert (skip_reason(make_stream(tag, annotations=of_stream), tag) is Skip.OPTED_OUT) == skipped


def alias_to(name: str, target: str, namespace: str | None = None) -> Tag:
    return make_tag(name, Source("ImageStreamTag", target, namespace))


@pytest.mark.parametrize(
    ("tags", "aliases"),
    [
        ([alias_to("live", "prod")], {"live"}),
        ([alias_to("live", "worker:prod")], {"live"}),
        ([alias_to("live", "prod", "packit-prod")], {"live"}),
        ([alias_to("live", "prod"), alias_to("newest", "live"), alias_to("top", "newest")], {"live", "newest", "top"}),
        ([alias_to("live", "other:prod")], set()),
        ([alias_to("live", "prod", "elsewhere")], set()),
        ([alias_to("live", "stg")], set()),
        ([alias_to("prod", "prod")], set()),
        ([alias_to("a", "b"), alias_to("b", "a")], set()),
        ([alias_to("a", "prod"), alias_to("prod", "a")], {"a"}),
        ([make_tag("live", Source("DockerImage", "prod"))], set()),
        ([], set()),
    ],
)
def test_aliases_are_followed_through_one_another_within_the_stream(tags: list[Tag], aliases: set[str]) -> None:
    assert aliases_of(make_stream(*tags), "prod") == aliases


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=12), st.integers(0, 7))
def test_aliases_come_to_an_end_whatever_follows_what(follows: list[tuple[int, int]], start: int) -> None:
    names = dict(follows)
    stream = make_stream(*(alias_to(f"t{name}", f"t{target}") for name, target in names.items()))
    expected = set[int]()
    while fresh := {n for n, target in names.items() if target in {start, *expected}} - expected - {start}:
        expected |= fresh
    assert aliases_of(stream, f"t{start}") == {f"t{name}" for name in expected}
