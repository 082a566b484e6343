"""The journal's text: what goes in comes out, it never grows past its bound, and garbage is told as such."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from job.domain.model import (
    BadRollout,
    ImageFacts,
    Outcome,
    Reason,
    Report,
    Rollout,
    RolloutResult,
    RunError,
    Skip,
    Stage,
    TagName,
    TagResult,
)
from job.domain.scope import Scope, Shard
from job.journal.decoding import PACKED_KEY, PLAIN_KEY, decode
from job.journal.encoding import MOST_BYTES, encode
from job.journal.records import MOST_RUNS, RUNNING, Journal, Move, RunRecord, TagRecord, finish_run, start_run
from job.publish.push import past_of
from tests.unit.objects import JSON, NAMESPACE, NOW, as_json, digest, failed, report, skipped, unchanged, updated

PROD = Scope("prod")
streams = st.text(st.characters(codec="utf-8", exclude_characters=":"), min_size=1, max_size=40)
names = st.text(min_size=1, max_size=40)
moments_of_success = st.floats(0, 4e9).map(lambda value: round(value, 3))
times = st.none() | moments_of_success
records = st.builds(TagRecord, times, st.integers(0, 10_000))
moments = st.none() | st.datetimes().map(lambda time: time.replace(tzinfo=NOW.tzinfo, microsecond=0, year=2028))
runs = st.builds(
    RunRecord,
    id=names,
    started_at=moments,
    outcome=st.sampled_from([RUNNING, *map(str, Outcome)]),
    finished_at=moments,
    trigger=st.sampled_from(["local", "manual", "scheduled"]),
    deployment=st.none() | names,
    shard=st.none() | st.builds(Shard, st.integers(0, 3), st.just(4)),
    job=st.none() | names,
    scheduled_at=moments,
    narrowed=st.booleans(),
    exit_status=st.none() | st.integers(0, 6),
    counts=st.dictionaries(st.sampled_from(["updated", "failed"]), st.integers(1, 9)),
    updated=st.lists(st.tuples(names, st.none() | names, st.none() | names), max_size=3).map(tuple),
)
facts = st.builds(ImageFacts, moments, st.none() | names, st.none() | names)
journals = st.builds(
    Journal,
    tags=st.dictionaries(st.tuples(streams, names), records, max_size=8),
    groups=st.dictionaries(names, moments_of_success, max_size=4),
    images=st.dictionaries(names, facts, max_size=6),
    runs=st.lists(runs, max_size=5, unique_by=lambda run: run.id).map(tuple),
    pushed=st.dictionaries(names, st.lists(st.dictionaries(names, names, max_size=3), max_size=3).map(tuple)),
    bad_rollouts=st.lists(
        st.builds(BadRollout, names, names, names, st.dictionaries(st.tuples(streams, names), names, max_size=3)),
        max_size=3,
    ).map(tuple),
)


def size(encoded: JSON) -> int:
    return sum(
        len(key) + len(value.encode()) for part in ("data", "binaryData") for key, value in encoded[part].items()
    )


def record(run_id: str = "a", deployment: str | None = "prod", **more: object) -> RunRecord:
    return replace(RunRecord(run_id, NOW, deployment=deployment), **more)  # type: ignore[arg-type]


def scope_of(run: RunRecord) -> Scope:
    return Scope(run.deployment, run.shard)


def journal_of(count: int, name: str = "stream-{}", **more: object) -> Journal:
    tags = {(name.format(number), "prod"): TagRecord(1e9 + number % 7, number % 5) for number in range(count)}
    return Journal(tags=tags, **more)  # type: ignore[arg-type]


# There and back


@given(journals)
def test_what_goes_in_comes_out(journal: Journal) -> None:
    assert decode(json.loads(as_json(encode(journal)))) == journal


def test_no_journal_is_an_empty_one() -> None:
    assert decode({"metadata": {}}) == Journal()


def test_only_a_run_that_was_narrowed_says_so() -> None:
    runs = (record("b", narrowed=True), record("a"))
    text = encode(Journal(runs=runs))["data"][PLAIN_KEY]
    assert [run.get("narrowed") for run in json.loads(text)["runs"]] == [True, None]
    # Whatever else somebody wrote there.
    garbled = decode({"data": {PLAIN_KEY: text.replace('"narrowed":true', '"narrowed":"no"')}})
    assert [run.narrowed for run in garbled.runs] == [False, False]


def test_a_small_journal_is_plain_text_and_a_large_one_packed() -> None:
    assert set(encode(journal_of(10))["data"]) == {PLAIN_KEY}
    assert set(encode(journal_of(10_000))["binaryData"]) == {PACKED_KEY}


# The bound


def test_two_hundred_tags_that_move_at_each_run_keep_their_images() -> None:
    """Without the facts of the current images the next run asks the API for each of them."""
    chance = random.Random(5)

    def drawn(length: int) -> str:
        return chance.randbytes(length).hex()

    history = [[f"sha256:{drawn(32)}" for _ in range(200)] for _ in range(11)]
    runs = tuple(
        record(
            f"{number:02}",
            moves=tuple(
                Move(f"worker-{place}", "prod", *pair, 0) for place, pair in enumerate(zip(old, new, strict=True))
            ),
        )
        for number, (old, new) in reversed([*enumerate(itertools.pairwise(history))])
    )
    images = {image: ImageFacts(NOW, drawn(20), "1.0") for generation in history for image in generation}
    encoded = encode(Journal(images=images, runs=runs))
    assert size(encoded) <= MOST_BYTES
    journal = decode(encoded)
    assert journal.runs == runs
    assert set(history[-1]) <= set(journal.images)
    assert journal.images.items() <= images.items()


def test_as_many_images_are_kept_as_fit() -> None:
    chance = random.Random(6)
    images = {
        f"sha256:{chance.randbytes(32).hex()}": ImageFacts(NOW, chance.randbytes(20).hex()) for _ in range(10_000)
    }
    encoded = encode(Journal(images=images))
    assert 0.9 * MOST_BYTES < size(encoded) <= MOST_BYTES
    kept = decode(encoded).images
    assert list(kept.items()) == list(images.items())[-len(kept) :]


def test_ten_thousand_usual_tags_fit_whole() -> None:
    journal = decode(encode(journal_of(10_000, "packit-worker-{}", groups={"prod": 1.0})))
    assert len(journal.tags) == 10_000
    assert past_of(journal, NAMESPACE, "prod", None).of("last_success_timestamp_seconds")


@pytest.mark.parametrize(
    ("count", "length", "letters"),
    [
        (10_000, 30, [*map(chr, range(0x20, 0x7F))]),
        (600, 250, [*map(chr, (*range(0x20, 0x300), *range(0x4E00, 0x9F00)))]),
    ],
    ids=["ascii", "any"],
)
def test_tags_of_any_names_stay_within_the_bound(count: int, length: int, letters: list[str]) -> None:
    chance = random.Random(3)

    def name(length: int) -> str:
        return "".join(chance.choices(letters, k=length)).replace(":", "_")

    tags = {
        (f"{name(length)}{number}", name(10)): TagRecord(chance.random() * 2e9, number % 3) for number in range(count)
    }
    images = {digest(name(64)): ImageFacts(NOW, name(40), name(10)) for _ in range(count // 4)}
    changes = tuple((name(30), name(40), name(40)) for _ in range(200))
    encoded = encode(
        Journal(tags, {"prod": 1.0}, images, tuple(record(str(number), updated=changes) for number in range(20)))
    )
    assert size(encoded) <= MOST_BYTES
    found = decode(encoded)
    assert (
        found.tags.items()
        <= {key: replace(tag, last_success=round(tag.last_success or 0, 3)) for key, tag in tags.items()}.items()
    )
    # A journal that lost tags does not stand in for the gateway.
    assert 0 < len(found.tags) < len(tags)
    assert not past_of(found, NAMESPACE, "prod", None).of("last_success_timestamp_seconds")


def test_images_go_before_runs_and_runs_before_tags() -> None:
    chance = random.Random(1)
    images = {
        digest(f"{chance.getrandbits(256):x}"): ImageFacts(NOW, f"{chance.getrandbits(160):x}") for _ in range(9000)
    }
    whole = replace(journal_of(10_000), groups={"prod": 1.0}, images=images, runs=(record("a"), record("b")))
    journal = decode(encode(whole))
    assert (len(journal.tags), len(journal.runs)) == (10_000, 2)
    assert past_of(journal, NAMESPACE, "prod", None).of("last_success_timestamp_seconds")
    assert len(journal.images) < 9000


def test_of_tags_that_do_not_fit_the_failing_ones_stay() -> None:
    chance = random.Random(2)
    tags = {(f"{chance.getrandbits(800):x}", "prod"): TagRecord(1.0, int(number % 40 == 0)) for number in range(4000)}
    found = decode(encode(Journal(tags, {"prod": 1.0})))
    assert not past_of(found, NAMESPACE, "prod", None).of("last_success_timestamp_seconds")
    assert sum(tag.failed_runs for tag in found.tags.values()) == 100


# Garbage

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
journal_json = st.fixed_dictionaries(
    {"version": st.just(1)},
    optional={
        "groups": json_values | st.dictionaries(names, json_values, max_size=2),
        "pushed": json_values | st.dictionaries(names, json_values, max_size=2),
        "succeeded": json_values | st.dictionaries(st.just("") | st.just("1.5") | names, json_values, max_size=2),
        "failed_runs": json_values | st.dictionaries(names, json_values, max_size=2),
        "images": json_values | st.dictionaries(names, json_values | st.tuples(*[json_values] * 3), max_size=2),
        "runs": json_values
        | st.lists(
            st.fixed_dictionaries(
                {"id": json_values, "outcome": json_values},
                optional=dict.fromkeys(
                    ("shard", "deployment", "counts", "updated", "started_at", "job", "exit_status", "trigger"),
                    json_values,
                ),
            ),
            max_size=2,
        ),
    },
)


def takes(config_map: JSON) -> None:
    """Either it is told as unreadable, or all that a run does with a journal can be done with it."""
    try:
        journal = decode(config_map)
    except ValueError as error:
        assert str(error)
        return
    mine = record("mine")
    journal = start_run(journal, mine, scope_of(mine))[0]
    journal = finish_run(journal, report(updated("a"), failed("b"), run_id="mine"), NAMESPACE, mine, narrowed=False)
    assert size(encode(journal)) <= MOST_BYTES


@given(st.text())
def test_any_text_is_a_journal_or_told_as_none(text: str) -> None:
    takes({"data": {PLAIN_KEY: text}})


@settings(max_examples=100)
@given(journal_json)
def test_any_json_is_a_journal_or_told_as_none(value: JSON) -> None:
    takes({"data": {PLAIN_KEY: json.dumps(value)}})


@given(st.binary(max_size=60))
def test_any_bytes_are_a_journal_or_told_as_none(data: bytes) -> None:
    takes({"binaryData": {PACKED_KEY: base64.b64encode(data).decode()}})


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_damaged_packed_journal_is_told_as_none(place: int, change: int) -> None:
    packed = bytearray(gzip.compress(json.dumps({"version": 1, "failed_runs": {"a:b": 1}}).encode() * 3, mtime=0))
    packed[place % len(packed)] ^= change
    takes({"binaryData": {PACKED_KEY: base64.b64encode(bytes(packed)).decode()}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        "[" * 100_000,
        '{"version": 2}',
        '{"version": 1, "failed_runs": {"a:b": 1e999}}',
        '{"version": 1, "runs": [{"id": "a", "outcome": "x", "shard": [1]}]}',
    ],
)
def test_garbage_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode({"data": {PLAIN_KEY: text}})


def test_a_bomb_is_not_unpacked_whole() -> None:
    bomb = gzip.compress(b" " * (80 * MOST_BYTES) + b"{}")
    with pytest.raises(ValueError, match=r"\w"):
        decode({"binaryData": {PACKED_KEY: base64.b64encode(bomb).decode()}})


# A run begins


def test_a_run_begins_as_running() -> None:
    journal, killed = start_run(Journal(), record("a"), PROD)
    assert [(run.id, run.outcome) for run in journal.runs] == [("a", RUNNING)]
    assert killed == ()


def test_a_run_of_its_kind_that_never_ended_was_killed() -> None:
    journal, killed = start_run(Journal(runs=(record("old"),)), record("new"), PROD)
    assert [run.id for run in killed] == ["old"]
    assert [(run.id, run.outcome) for run in journal.runs] == [("new", RUNNING), ("old", "aborted")]


def test_a_run_of_another_kind_may_be_alive() -> None:
    journal, killed = start_run(Journal(runs=(record("old", "stg"),)), record("new"), PROD)
    assert killed == ()
    assert journal.runs[1].outcome == RUNNING


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (record("old"), record("new", None)),
        (record("old", None), record("new")),
        (record("old", shard=Shard(1, 4)), record("new")),
        (record("old", shard=Shard(3, 4)), record("new", shard=Shard(1, 2))),
    ],
)
def test_whoever_holds_the_lock_knows_that_a_run_it_overlaps_was_killed(old: RunRecord, new: RunRecord) -> None:
    journal, killed = start_run(Journal(runs=(old,)), new, scope_of(new))
    assert [run.id for run in killed] == ["old"]
    assert journal.runs[1].outcome == "aborted"


def test_what_a_run_may_import_counts_and_not_only_its_deployment() -> None:
    """An argument that names a tag widens the scope beyond DEPLOYMENT, and so the lock that is held."""
    old, new = record("old", "stg"), record("new", "prod")
    assert [run.id for run in start_run(Journal(runs=(old,)), new, Scope())[1]] == ["old"]


def test_a_run_that_has_ended_is_not_killed() -> None:
    journal, killed = start_run(Journal(runs=(record("old", outcome="partial"),)), record("new"), PROD)
    assert (killed, journal.runs[1].outcome) == ((), "partial")


def test_beginning_twice_is_beginning_once() -> None:
    once = start_run(Journal(runs=(record("old"),)), record("new"), PROD)[0]
    assert start_run(once, record("new"), PROD)[0] == once


@pytest.mark.parametrize("more", [{"deployment": "stg"}, {"command": "rollback"}, {"narrowed": True}])
def test_what_comes_often_does_not_push_out_a_weekly_run(more: dict[str, object]) -> None:
    journal = Journal(runs=(record("weekly", "prod", outcome="success"),))
    for number in range(3 * MOST_RUNS):
        often = replace(record(f"often-{number}", outcome="success"), **more)  # type: ignore[arg-type]
        journal = start_run(journal, often, Scope(often.deployment))[0]
    assert len(journal.runs) <= MOST_RUNS + 3
    assert any(run.id == "weekly" for run in journal.runs)


# A run ends


numbers = itertools.count()


def after(journal: Journal, *tags: object, narrowed: bool = False, **more: object) -> Journal:
    found = report(*tags, run_id=f"run-{next(numbers)}", **more)  # type: ignore[arg-type]
    return finish_run(
        journal, found, NAMESPACE, record(found.id, found.deployment, shard=found.shard), narrowed=narrowed
    )


def test_success_is_remembered_and_survives_failures() -> None:
    journal = after(Journal(), updated("a"), unchanged("b"))
    for number in (1, 2):
        journal = after(journal, failed("a"), failed("b"), outcome=Outcome.FAILURE, at=NOW + timedelta(hours=number))
    assert journal.tags == {(name, "prod"): TagRecord(NOW.timestamp(), 2) for name in "ab"}
    assert journal.groups == {"prod": NOW.timestamp()}


def test_a_success_ends_the_failures() -> None:
    journal = after(after(Journal(), failed("a"), outcome=Outcome.FAILURE), unchanged("a"))
    assert journal.tags == {("a", "prod"): TagRecord(NOW.timestamp(), 0)}


def test_a_skipped_tag_keeps_its_last_success() -> None:
    journal = after(after(Journal(), updated("a")), skipped("a", reason=Skip.HELD), at=NOW + timedelta(1))
    assert journal.tags == {("a", "prod"): TagRecord(NOW.timestamp())}


def test_a_tag_that_is_gone_is_forgotten_but_not_by_a_narrowed_run() -> None:
    journal = after(Journal(), updated("a"), updated("b"))
    assert set(after(journal, updated("a"), narrowed=True).tags) == {("a", "prod"), ("b", "prod")}
    assert set(after(journal, updated("a")).tags) == {("a", "prod")}


def test_other_deployments_tags_stay() -> None:
    journal = after(after(Journal(), updated("a", "stg"), deployment="stg"), updated("a"))
    assert set(journal.tags) == {("a", "stg"), ("a", "prod")}


def test_a_shard_forgets_only_its_own_share() -> None:
    journal = Journal({(f"s{number}", "prod"): TagRecord(1.0) for number in range(100)})
    left = after(after(journal, shard=Shard(0, 2)), shard=Shard(1, 2))
    assert 0 < len(after(journal, shard=Shard(0, 2)).tags) < 100
    assert not left.tags


def test_a_frozen_run_and_one_that_could_not_list_change_no_tag() -> None:
    journal = after(Journal(), updated("a"))
    error = RunError(NAMESPACE, Stage.LIST, Reason.FORBIDDEN, "no")
    for more in ({"outcome": Outcome.FROZEN}, {"outcome": Outcome.FAILURE, "errors": [error]}):
        found = after(journal, at=NOW + timedelta(1), **more)
        assert (found.tags, found.groups) == (journal.tags, journal.groups)
        assert found.runs[0].outcome == more["outcome"]


def test_the_run_is_told_with_what_it_did() -> None:
    mine = record("mine")
    journal = start_run(Journal(), mine, PROD)[0]
    found = report(updated("a"), failed("b"), outcome=Outcome.PARTIAL, status=1, run_id="mine")
    (run,) = finish_run(journal, found, NAMESPACE, mine, narrowed=False).runs
    assert (run.outcome, run.exit_status, run.counts) == ("partial", 1, {"updated": 1, "failed": 1})
    assert run.updated == (("a:prod", "1a2b3c", "4d5e6f"),)
    assert run.finished_at == NOW


def test_ending_twice_is_ending_once() -> None:
    """A write whose answer was lost is made again on what it left."""
    mine = record("mine")
    found = report(failed("a"), run_id="mine")
    once = finish_run(start_run(Journal(), mine, PROD)[0], found, NAMESPACE, mine, narrowed=False)
    assert finish_run(once, found, NAMESPACE, mine, narrowed=False) == once


def test_ending_is_written_where_the_beginning_could_not_be() -> None:
    (run,) = after(Journal(), updated("a")).runs
    assert run.outcome == "success"


@pytest.mark.parametrize("narrowed", [False, True])
@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_whole_success_makes_the_group_known(outcome: Outcome, narrowed: bool) -> None:
    groups = after(Journal(), updated("a"), outcome=outcome, narrowed=narrowed).groups
    assert groups == ({"prod": NOW.timestamp()} if outcome is Outcome.SUCCESS and not narrowed else {})


def test_images_are_remembered() -> None:
    images = after(Journal(), updated("a")).images
    assert images[digest("a-new")].revision == "4d5e6f"


@pytest.mark.parametrize(
    "result", [skipped("a", reason=Skip.WAVE), replace(failed("a", reason=Reason.ABORTED), attempts=0)]
)
def test_a_tag_that_was_never_tried_keeps_its_record(result: TagResult) -> None:
    before = Journal(tags={("a", "prod"): TagRecord(5.0, 7)})
    found = report(result, outcome=Outcome.ABORTED)
    assert finish_run(before, found, NAMESPACE, record(), narrowed=False).tags == before.tags


def rollout(result: RolloutResult, name: str = "web", tag: str = "a") -> Rollout:
    return Rollout(NAMESPACE, "Deployment", name, (TagName(NAMESPACE, tag, "prod"),), result)


def bad_after(before: Journal, found: Report) -> tuple[BadRollout, ...]:
    return finish_run(before, found, NAMESPACE, record(), narrowed=False).bad_rollouts


def test_a_bad_rollout_is_kept_until_it_is_over() -> None:
    changed = updated("a")
    assert changed.after
    bad = bad_after(Journal(), replace(report(changed), rollouts=(rollout(RolloutResult.FAILED),)))
    assert bad == (BadRollout(NAMESPACE, "Deployment", "web", {("a", "prod"): changed.after.digest}),)
    left = Journal(bad_rollouts=bad)
    same = replace(unchanged("a"), after=changed.after)
    assert bad_after(left, report(same)) == bad
    assert bad_after(left, report(skipped("b"))) == bad
    assert bad_after(left, replace(report(same), rollouts=(rollout(RolloutResult.HEALTHY),))) == ()
    assert bad_after(left, replace(report(same), gone_workloads=((NAMESPACE, "Deployment", "web"),))) == ()
    # The tag has another image, as after a rollback from elsewhere.
    assert bad_after(left, report(unchanged("a"))) == ()
