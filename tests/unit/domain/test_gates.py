"""Which gates a tag has, and the verdicts of those that time decides."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.gates import Policy, PolicyError, Proof, Stay, judge_age, judge_stay, policy_of, stays
from job.domain.model import Gate, GateVerdict, Item, Skip, Source, Stream, Tag

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
SETTINGS = Policy(min_age=3600, proven_in=(Proof("packit-stg", "*", "stg"),), proven_for=7200)


def stream_with(of_stream: dict[str, str], of_tag: dict[str, str]) -> tuple[Stream, Tag]:
    prefix = "import-images.dev/"
    tag = Tag(
        "prod",
        Source("DockerImage", "quay.io/packit/worker:prod"),
        False,
        None,
        None,
        {prefix + name: text for name, text in of_tag.items()},
        None,
    )
    return Stream("packit-prod", "worker", "1", {prefix + name: text for name, text in of_stream.items()}, (tag,)), tag


def test_the_tags_annotation_wins_over_the_streams_and_both_over_the_setting() -> None:
    assert policy_of(SETTINGS, *stream_with({}, {})) == SETTINGS
    policy = policy_of(SETTINGS, *stream_with({"min-age": "2h", "rehearse": "true"}, {"min-age": "3h"}))
    assert (policy.min_age, policy.rehearse, policy.proven_in) == (10800, True, SETTINGS.proven_in)
    policy = policy_of(SETTINGS, *stream_with({"proven-in": "a/b:c, d/e:f", "proven-for": "3d"}, {}))
    assert (policy.proven_in, policy.proven_for) == ((Proof("a", "b", "c"), Proof("d", "e", "f")), 259200)


def test_an_annotation_switches_a_gate_off() -> None:
    policy = policy_of(SETTINGS, *stream_with({"min-age": "none"}, {"proven-in": "none"}))
    assert policy.gates == ()
    assert SETTINGS.gates == (Gate.MIN_AGE, Gate.PROVEN)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("min-age", "three days"),
        ("min-age", ""),
        ("min-age", "-1h"),
        ("proven-in", "worker:stg"),
        ("proven-in", "a/b:c,"),
        ("proven-in", ""),
        ("proven-for", "none"),
        ("rehearse", "yes please"),
    ],
)
def test_a_bad_annotation_is_an_error_that_names_it(name: str, text: str) -> None:
    with pytest.raises(PolicyError, match=f"annotation import-images.dev/{name}"):
        policy_of(SETTINGS, *stream_with({}, {name: text}))


def test_every_bad_annotation_is_named() -> None:
    with pytest.raises(PolicyError, match=r"min-age.*; .*rehearse"):
        policy_of(SETTINGS, *stream_with({"min-age": "?"}, {"rehearse": "?"}))


@given(
    st.timedeltas(timedelta(0), timedelta(days=900)),
    st.floats(1, 86400 * 900),
    st.booleans(),
)
def test_an_image_is_young_until_its_age_is_reached(age: timedelta, min_age: float, knows: bool) -> None:
    since = NOW - age
    verdict = judge_age(DIGEST, since if knows else None, NOW if knows else since, min_age, NOW)
    assert verdict.passed == (NOW - since >= timedelta(seconds=min_age))
    assert (verdict.since, verdict.until) == (since, since + timedelta(seconds=min_age))
    assert verdict.reason is (None if verdict.passed else Skip.YOUNG)


def test_the_verdict_says_how_long_still() -> None:
    verdict = judge_age(DIGEST, NOW - timedelta(hours=3), NOW, 86400, NOW)
    assert verdict.message == "built 3h ago; waits for 21h"
    verdict = judge_age(DIGEST, None, NOW, 86400, NOW)
    assert verdict.message == "its build time is not known, first seen; waits for 1d"


@pytest.mark.parametrize("ahead", [timedelta(seconds=20), timedelta(days=3650)])
def test_a_build_time_that_is_yet_to_come_counts_for_nothing(ahead: timedelta) -> None:
    seen = NOW - timedelta(hours=20)
    verdict = judge_age(DIGEST, NOW + ahead, seen, 86400, NOW)
    assert verdict.message == "its build time is in the future, first seen 20h ago; waits for 4h"
    assert (verdict.since, verdict.until) == (seen, seen + timedelta(days=1))


@pytest.mark.parametrize(
    ("text", "own", "stream"),
    [
        ("stg/*:stg", "worker", "worker"),
        ("stg/wor*:stg", "worker", "worker"),
        ("stg/worker-stg:stg", "worker", "worker-stg"),
        ("stg/other-*:stg", "worker", None),
    ],
)
def test_which_stream_a_pattern_means(text: str, own: str, stream: str | None) -> None:
    assert Proof.parse(text).stream_for(own) == stream
    assert str(Proof.parse(text)) == text


def test_which_tags_a_pattern_includes() -> None:
    same = Proof.parse("stg/*:stg*")
    assert same.includes("worker", "stg-2", "worker")
    assert not same.includes("service", "stg", "worker")
    assert not same.includes("worker", "prod", "worker")
    assert Proof.parse("stg/other-*:stg").includes("other-1", "stg", "worker")


@pytest.mark.parametrize(
    "text", ["", "stg", "stg/*", "*/*:stg", "stg/a:b:c", "stg/a:", "Stg/a:b", "stg/a/b:c", "a/b:c\n"]
)
def test_a_bad_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not NAMESPACE/STREAM:TAG"):
        Proof.parse(text)


def history(*entries: tuple[str, float]) -> tuple[Item, ...]:
    """A tag's history, newest first; each image with how many hours ago it came."""
    return tuple(Item(digest, NOW - timedelta(hours=hours)) for digest, hours in entries)


def test_entries_that_follow_one_another_are_one_stay() -> None:
    items = history(("b", 1), ("a", 2), ("a", 5), ("c", 6), ("a", 9))
    found = stays(items, lambda item: item.digest == "a")
    assert [(stay.since, stay.until) for stay in found] == [
        (NOW - timedelta(hours=5), NOW - timedelta(hours=1)),
        (NOW - timedelta(hours=9), NOW - timedelta(hours=6)),
    ]


@given(st.lists(st.sampled_from("abc"), max_size=8), st.sampled_from("abc"))
def test_stays_are_apart_and_within_the_history(digests: list[str], wanted: str) -> None:
    items = history(*((digest, number + 1.0) for number, digest in enumerate(digests)))
    found = stays(items, lambda item: item.digest == wanted)
    assert bool(found) == (wanted in digests)
    assert sum(stay.until is None for stay in found) == int(digests[:1] == [wanted])
    ends = [time for stay in found for time in (stay.until or NOW, stay.since)]
    assert ends == sorted(ends, reverse=True)
    assert all(later.since > (earlier.until or NOW) for later, earlier in itertools.pairwise(found))


def test_an_image_that_waits_says_where_and_how_long_still() -> None:
    verdict = judge_stay(DIGEST, "stg/worker:stg", [Stay(NOW - timedelta(hours=44), None)], 3 * 86400, NOW)
    assert (verdict.verdict, verdict.reason) == (GateVerdict.HELD, Skip.UNPROVEN)
    assert verdict.message == "waits for 1d 4h in stg/worker:stg, which has had it for 1d 20h"
    assert (verdict.since, verdict.until) == (NOW - timedelta(hours=44), NOW + timedelta(hours=28))


def test_an_image_that_has_been_there_long_enough_is_proven_though_the_tag_has_moved_on() -> None:
    past = Stay(NOW - timedelta(days=9), NOW - timedelta(days=5))
    assert judge_stay(DIGEST, "stg/worker:stg", [past], 3 * 86400, NOW).passed
    verdict = judge_stay(DIGEST, "stg/worker:stg", [past], 6 * 86400, NOW)
    assert verdict.message == "stg/worker:stg had it only for 4d, of 6d, and has moved on"
    assert verdict.until is None
    assert judge_stay(DIGEST, "stg/worker:stg", [], 60, NOW).message == "stg/worker:stg has not had it"
