"""Waves: how what was chosen falls apart into them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from job.domain.model import Skip, Source, Stream, Tag
from job.domain.selection import WAVE_ANNOTATION, Choice
from job.imagestreams.listing import Chosen
from job.run.waves import unreadable_waves, waves_of


def tag_of(name: str, wave: str | None = None) -> Tag:
    annotations = {} if wave is None else {WAVE_ANNOTATION: wave}
    return Tag(name, Source("DockerImage", f"quay.io/packit/app:{name}"), False, None, None, annotations, None)


def chosen_of(name: str, *tags: Tag, wave: str | None = None, skip: Skip | None = None) -> Chosen:
    annotations = {} if wave is None else {WAVE_ANNOTATION: wave}
    stream = Stream("packit-prod", name, "1", annotations, tags)
    return stream, tuple(Choice(tag, skip) for tag in tags)


def names_of(waves: tuple[tuple[Chosen, ...], ...]) -> list[list[str]]:
    return [[f"{s.name}:{c.tag.name}" for s, choices in wave for c in choices] for wave in waves]


def test_without_annotations_all_come_at_once() -> None:
    chosen = [chosen_of("a", tag_of("prod")), chosen_of("b", tag_of("prod"))]
    assert names_of(waves_of(chosen)) == [["a:prod", "b:prod"]]
    assert waves_of([]) == ((),)


def test_a_tags_own_wave_beats_its_streams() -> None:
    chosen = [
        chosen_of("late", tag_of("prod"), wave="2"),
        chosen_of("both", tag_of("prod", "1"), tag_of("stg", " -1 "), tag_of("dev"), wave="2"),
        chosen_of("first", tag_of("prod")),
    ]
    assert names_of(waves_of(chosen)) == [["both:stg"], ["first:prod"], ["both:prod"], ["late:prod", "both:dev"]]


def test_what_is_left_alone_comes_with_the_first() -> None:
    chosen = [chosen_of("pinned", tag_of("prod", "9"), skip=Skip.PINNED), chosen_of("a", tag_of("prod", "1"))]
    assert names_of(waves_of(chosen)) == [["pinned:prod", "a:prod"]]


def test_what_is_no_number_comes_last_and_is_told() -> None:
    chosen = [
        chosen_of("soon", tag_of("prod", "soon")),
        chosen_of("empty", tag_of("prod", "")),
        chosen_of("far", tag_of("prod", "999999")),
    ]
    assert names_of(waves_of(chosen)) == [["far:prod"], ["soon:prod", "empty:prod"]]
    assert [told.partition(": ")[0] for told in unreadable_waves(chosen)] == [
        "packit-prod/soon:prod",
        "packit-prod/empty:prod",
    ]


@given(st.lists(st.lists(st.tuples(st.none() | st.text(max_size=3), st.booleans()), max_size=3), max_size=4))
def test_each_tag_comes_exactly_once(streams: list[list[tuple[str | None, bool]]]) -> None:
    chosen = []
    for number, tags in enumerate(streams):
        made = tuple(tag_of(f"t{each}", wave) for each, (wave, _) in enumerate(tags))
        stream = Stream("packit-prod", f"s{number}", "1", {}, made)
        skips = (Skip.HELD if skipped else None for _, skipped in tags)
        chosen.append((stream, tuple(Choice(tag, skip) for tag, skip in zip(made, skips, strict=True))))
    found = sorted(name for wave in names_of(waves_of(chosen)) for name in wave)
    assert found == sorted(f"{stream.name}:{choice.tag.name}" for stream, choices in chosen for choice in choices)
