"""What must hold whatever comes in: properties of several modules, each against a plainer way to say the same."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from job.domain.failures import of_http, of_image
from job.domain.holds import ANNOTATION, Terms, held_reference, hold_of, is_over, released_reference
from job.domain.model import Image, ImageFacts, Item, Outcome, Reason, Result, RetryClass, Skip, Source, Stream, Tag
from job.domain.schedule import Schedule, frozen_at, parse_windows
from job.domain.scope import Scope, Shard
from job.domain.selection import SKIP_ANNOTATION, Pattern, Wanted, choose, in_share
from job.domain.text import clean
from job.imagestreams.api_types import reference_of, stream_from
from job.imagestreams.import_requests import import_of, put_of
from job.journal.decoding import decode
from job.journal.encoding import MOST_BYTES, encode
from job.journal.records import Journal, RunRecord, TagRecord, finish_run, start_run
from job.publish.metric_families import PREFIX, Past
from job.publish.metrics import exposition, increments
from tests.unit.reports import NAMESPACE, report_of, tag_result

# Any text that a JSON string can hold, halves of characters included.
ANY = st.text(st.characters(), max_size=30) | st.text('\\"\n\r\t{},=#\x00\x1b\u2028\u202e\ud800é😀', max_size=12)
NAMES = st.text("abc-.", min_size=1, max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


# Selection

SOURCES = st.none() | st.builds(
    Source,
    st.sampled_from(["DockerImage", "ImageStreamTag", "ImageStreamImage"]),
    st.sampled_from(["quay.io/a/b:prod", "quay.io/a/b@sha256:0", "b:prod", "b@sha256:0"]),
)
ANNOTATIONS = st.dictionaries(st.just(SKIP_ANNOTATION), st.sampled_from(["true", "false", "yes", ""]), max_size=1)
TAGS = st.builds(
    Tag,
    NAMES,
    SOURCES,
    st.booleans(),
    st.none(),
    st.none(),
    ANNOTATIONS,
    st.none() | st.just(Item("sha256:0", None)),
)
GLOBS = st.text("abc*?-", min_size=1, max_size=4)
PATTERNS = st.builds(Pattern, GLOBS, st.none() | GLOBS)
WANTED = st.builds(
    Wanted,
    st.none() | NAMES,
    st.lists(PATTERNS, max_size=3).map(tuple),
    st.lists(PATTERNS, max_size=2).map(tuple),
)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    tags = draw(st.lists(TAGS, max_size=5, unique_by=lambda tag: tag.name))
    return Stream("shop", draw(NAMES), "1", draw(ANNOTATIONS), tuple(tags))


@given(streams(), WANTED)
def test_each_tag_that_is_asked_for_is_either_imported_or_left_alone_for_a_reason(
    stream: Stream, wanted: Wanted
) -> None:
    choices = choose(stream, wanted)
    assert [choice.tag for choice in choices] == [tag for tag in stream.tags if wanted.includes(stream.name, tag.name)]
    for tag, skip in ((choice.tag, choice.skip) for choice in choices):
        source = tag.source
        opted = tag.annotations.get(SKIP_ANNOTATION, stream.annotations.get(SKIP_ANNOTATION)) == "true"
        is_plain = source is not None and source.kind == "DockerImage" and "@" not in source.name
        assert (skip is None) == (is_plain and not opted and not tag.reference)
        # What the server is asked for is never anything but a registry's tag.
        if skip is None:
            (image,) = import_of(stream, [tag], write=True)["spec"]["images"]
            assert source is not None
            assert image["from"] == {"kind": "DockerImage", "name": source.name}
            assert image["to"] == {"name": tag.name}
        else:
            assert not opted or skip is Skip.OPTED_OUT


@given(st.lists(streams(), max_size=6, unique_by=lambda stream: stream.name), WANTED, st.integers(1, 7))
def test_the_shares_of_a_run_are_the_whole_run_and_do_not_overlap(
    found: list[Stream], wanted: Wanted, count: int
) -> None:
    whole = [(stream.name, choice.tag.name) for stream in found for choice in choose(stream, wanted)]
    parts = [
        (stream.name, choice.tag.name)
        for index in range(count)
        for stream in found
        if in_share(stream.namespace, stream.name, Shard(index, count))
        for choice in choose(stream, wanted)
    ]
    assert sorted(parts) == sorted(whole)


@given(NAMES, NAMES, st.integers(2, 20))
def test_a_share_that_goes_away_moves_only_its_own_streams(namespace: str, stream: str, count: int) -> None:
    (before,) = (index for index in range(count) if in_share(namespace, stream, Shard(index, count)))
    (after,) = (index for index in range(count - 1) if in_share(namespace, stream, Shard(index, count - 1)))
    assert after == before or before == count - 1


# Reasons


@given(st.integers(300, 999))
def test_any_answer_that_is_no_success_has_a_reason(code: int) -> None:
    reason = of_http(code)
    assert reason in Reason
    assert reason not in (Reason.ABORTED, Reason.REGISTRY_ERROR)
    # What the server itself got wrong may pass; what it refused does not.
    assert reason.retry_class is RetryClass.BACKOFF or code < 500 or reason is Reason.TIMEOUT


@given(ANY, ANY)
def test_whatever_the_server_says_of_an_image_has_a_reason_and_a_line(status_reason: str, message: str) -> None:
    reason, by = of_image(status_reason, message)
    assert reason in Reason
    assert by
    told = clean(message)
    assert len(told.encode()) <= 4 * 500


@given(st.text(st.characters(), max_size=60) | st.text(st.characters(categories=["Cc", "Cf", "Zl", "Zp"]), max_size=9))
def test_nothing_that_is_shown_steers_whoever_shows_it(text: str) -> None:
    for character in clean(text):
        # Control characters, line and paragraph separators, half characters.
        assert unicodedata.category(character) not in ("Cc", "Zl", "Zp", "Cs")
        # Marks that turn the direction of writing.
        assert unicodedata.bidirectional(character) not in {
            *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        }
        assert character not in "\u200e\u200f\u061c"


# Schedules and freeze windows, against a clock that is looked at minute by minute

ZONES = st.sampled_from(["UTC", "Europe/Prague", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
# Days around changes of the clocks, and ones far from any.
DAYS = st.sampled_from(
    [
        datetime(year, month, day, tzinfo=UTC)
        for year, month, day in [
            (2026, 3, 29),
            (2026, 10, 25),
            (2026, 3, 8),
            (2026, 11, 1),
            (2026, 7, 14),
            (2028, 2, 29),
        ]
    ]
)
TIMES = st.builds(lambda day, minutes: day + timedelta(minutes=minutes), DAYS, st.integers(-300, 1700))
MINUTES = st.sampled_from(["*", "0", "*/15", "30", "5,35", "59"])
HOURS = st.sampled_from(["*", "0", "2", "1-3", "*/6", "23"])
DAYS_OF_WEEK = st.sampled_from(["*", "0", "1-5", "sun", "TUE,thu"])
CRONS = st.builds(
    lambda *fields: " ".join(fields), MINUTES, HOURS, st.sampled_from(["*", "1", "29"]), st.just("*"), DAYS_OF_WEEK
)


def _numbers(text: str, most: int, least: int = 0) -> set[int]:
    names = {"sun": 0, "tue": 2, "thu": 4}
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = least, most
        else:
            low, _, high = span.partition("-")
            first = names.get(low, int(low) if low.isdigit() else -1)
            last = int(high) if high else first
        found |= set(range(first, last + 1, int(step or 1)))
    return found


def _is_due(cron: str, moment: datetime, zone: str) -> bool:
    minute, hour, day, _, weekday = cron.split()
    wall = moment.astimezone(ZoneInfo(zone))
    on_day = wall.day in _numbers(day, 31, 1)
    on_weekday = wall.isoweekday() % 7 in _numbers(weekday, 6)
    both = on_day and on_weekday if "*" in (day, weekday) else on_day or on_weekday
    return wall.minute in _numbers(minute, 59) and wall.hour in _numbers(hour, 23) and both


@settings(max_examples=40)
@given(CRONS, ZONES, TIMES)
def test_the_next_due_time_is_the_first_minute_whose_clock_matches(cron: str, zone: str, time: datetime) -> None:
    found = Schedule.parse(cron, zone).next_after(time)
    assert found is not None and found > time
    first = time.replace(second=0, microsecond=0) + timedelta(minutes=1)
    looked_at = min(int((found - first).total_seconds() // 60), 3 * 24 * 60)
    dues = [m for m in range(looked_at) if _is_due(cron, first + timedelta(minutes=m), zone)]
    assert not dues
    assert _is_due(cron, found, zone)


@settings(max_examples=40)
@given(CRONS, ZONES, TIMES)
def test_before_and_after_are_one_and_the_same_schedule(cron: str, zone: str, time: datetime) -> None:
    schedule = Schedule.parse(cron, zone)
    before, after = schedule.last_before(time), schedule.next_after(time)
    assert before is not None and after is not None and before <= time < after
    assert schedule.next_after(before) == after
    assert schedule.last_before(after) == after


@settings(max_examples=40)
@given(CRONS, ZONES, TIMES, st.integers(1, 2000))
def test_a_time_is_frozen_just_while_a_window_that_has_begun_lasts(
    cron: str, zone: str, time: datetime, minutes: int
) -> None:
    windows = parse_windows(f"{cron} {minutes}m")
    freeze = frozen_at(windows, time, ZoneInfo(zone))
    start = Schedule.parse(cron, zone).last_before(time)
    length = timedelta(minutes=minutes)
    assert start is not None
    assert (freeze is not None) == (start <= time < start + length)
    if freeze is not None:
        assert freeze.end - freeze.start == length
        assert freeze.start <= time < freeze.end


# The journal

HUGE = st.text(st.characters(), min_size=1, max_size=2000)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(HUGE, HUGE), max_size=5),
    st.integers(1, 3000),
    st.integers(0, 60),
    st.lists(HUGE, max_size=3),
)
def test_no_journal_is_larger_than_its_bound_and_each_can_be_read(
    names: list[tuple[str, str]], repeat: int, runs: int, images: list[str]
) -> None:
    tags = {
        (f"{number * 2654435761 % 2**32:x}{stream.replace(':', '')}", f"{tag}{number}"): TagRecord(1e9 + number, 1)
        for number in range(repeat)
        for stream, tag in names
    }
    journal = Journal(
        tags=tags,
        groups={"*": 1e9},
        images={f"{digest}{number}": ImageFacts(None, digest, digest) for digest in images for number in range(50)},
        runs=tuple(
            RunRecord(str(number), None, outcome="success", updated=tuple((name, name, name) for name in images))
            for number in range(runs)
        ),
    )
    encoded = encode(journal)
    size = sum(len(k) + len(v.encode()) for part in encoded.values() for k, v in part.items())
    assert size <= MOST_BYTES
    found = decode(json.loads(json.dumps(encoded)))
    assert len(found.tags) <= len(journal.tags)
    if len(found.tags) < len(journal.tags):
        # One that does not know all tags does not stand in for the gateway.
        assert found.groups == {}


@given(st.lists(st.sampled_from(["prod", "stg", None]), max_size=300))
def test_an_hourly_run_never_pushes_out_the_last_weekly_one(deployments: list[str | None]) -> None:
    journal = Journal()
    for number, deployment in enumerate(deployments):
        record = RunRecord(str(number), None, outcome="success", deployment=deployment)
        journal = start_run(journal, record, Scope(deployment))[0]
    for deployment in set(deployments):
        last = max(number for number, each in enumerate(deployments) if each == deployment)
        assert str(last) in {run.id for run in journal.runs}
    assert len(journal.runs) <= 100


@given(st.lists(st.sampled_from([Result.UPDATED, Result.UNCHANGED, Result.FAILED, Result.SKIPPED]), max_size=12))
def test_the_last_success_of_a_tag_is_that_of_its_last_success(results: list[Result]) -> None:
    journal, expected, in_a_row = Journal(), None, 0
    start = datetime(2026, 11, 24, tzinfo=UTC)
    for number, result in enumerate(results):
        finished = start + timedelta(hours=number)
        reason = Reason.TIMEOUT if result is Result.FAILED else Skip.HELD if result is Result.SKIPPED else None
        report = report_of(
            tag_result("a", result=result, reason=reason), outcome=Outcome.PARTIAL, id=str(number), finished_at=finished
        )
        journal = finish_run(journal, report, NAMESPACE, RunRecord(str(number), finished), narrowed=False)
        if result in (Result.UPDATED, Result.UNCHANGED):
            expected = finished.timestamp()
        in_a_row = in_a_row + 1 if result is Result.FAILED else 0
    record = journal.tags.get(("a", "prod"), TagRecord())
    assert (record.last_success, record.failed_runs) == (expected, in_a_row)


# Metrics


@given(ANY.filter(bool), ANY.filter(bool), ANY, ANY, ANY, st.booleans())
def test_any_label_is_read_back_as_it_was_written(
    stream: str, tag: str, digest: str, revision: str, source: str, narrowed: bool
) -> None:
    image = Image(digest, None, None, revision, None)
    result = tag_result(stream, tag, after=image, source=source)
    report = report_of(result, deployment=None)
    # Half a character is none, and the exposition is UTF-8.
    stream, tag, digest, revision, source = (
        text.encode("utf-8", "replace").decode() for text in (stream, tag, digest, revision, source)
    )
    past = Past({"tag_held": {("\ud800", '"\\\n'): 1.0}})
    for text in (exposition(report, NAMESPACE, past, narrowed=narrowed), increments(report, NAMESPACE)):
        found = {
            sample.name.removeprefix(PREFIX): sample.labels
            for family in text_string_to_metric_families(text.decode())
            for sample in family.samples
        }
        name = "tag_result" if "tag_result" in found else "tag_imports_total"
        assert found[name] == {"stream": stream, "tag": tag, "result": "updated"}
        if "tag_image_info" in found:
            assert found["tag_image_info"] == {
                **{"stream": stream, "tag": tag, "digest": digest},
                **{"revision": revision, "source": source},
            }


# Holds

POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "scheduled": st.booleans(),
        "insecure": st.booleans(),
        "importMode": st.sampled_from(["", "Legacy", "PreserveOriginal"]),
        "later": JSON,
    },
)
REFERENCES = st.fixed_dictionaries(
    {"name": NAMES, "from": st.fixed_dictionaries({"kind": st.just("DockerImage"), "name": st.text(max_size=12)})},
    optional={
        "annotations": st.none() | st.dictionaries(st.text(max_size=8), st.text(max_size=8), min_size=1, max_size=3),
        "importPolicy": POLICIES,
        "referencePolicy": st.fixed_dictionaries({"type": st.sampled_from(["Source", "Local"])}),
        "generation": st.none() | st.integers(0, 2**53),
        "reference": st.booleans(),
        # What a later version of the API may add.
        "later": JSON,
    },
)
HELD_BY = st.sampled_from(
    [
        Source("ImageStreamImage", "worker@sha256:old"),
        Source("ImageStreamImage", "worker@sha256:old", "shop"),
        Source("DockerImage", "quay.io/a/b@sha256:old"),
    ]
)
REASONS = st.none() | ANY


def _held(reference: Mapping[str, Any], source: Source, reason: str | None, *, held: bool = False) -> dict[str, Any]:
    terms = Terms(datetime(2026, 11, 24, tzinfo=UTC), "jane", reason)
    return held_reference(reference, source, "sha256:old", terms, held=held, bad="sha256:bad", first_imported=None)


def _through_the_api(reference: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back: JSON, with whatever the server sets itself."""
    found: dict[str, Any] = json.loads(json.dumps(reference))
    return {**found, "generation": 7}


@given(REFERENCES, HELD_BY, REASONS)
def test_a_tag_comes_back_from_a_hold_word_for_word_but_for_its_generation(
    reference: dict[str, Any], source: Source, reason: str | None
) -> None:
    assume(ANNOTATION not in (reference.get("annotations") or {}))
    held = _through_the_api(_held(reference, source, reason))
    expected = {key: value for key, value in reference.items() if key != "generation"}
    expected.setdefault("annotations", None)
    assert released_reference(held) == expected


@given(REFERENCES, HELD_BY, HELD_BY, REASONS)
def test_a_second_rollback_keeps_what_the_first_one_found(
    reference: dict[str, Any], first: Source, second: Source, reason: str | None
) -> None:
    once = _through_the_api(_held(reference, first, reason))
    twice = _through_the_api(_held(once, second, "again", held=True))
    assert released_reference(twice) == released_reference(once)


@given(REFERENCES, HELD_BY, REASONS)
def test_a_held_tag_is_held_until_somebody_moves_it(
    reference: dict[str, Any], source: Source, reason: str | None
) -> None:
    held = _through_the_api(_held(reference, source, reason))
    items = [{"image": "sha256:old", "created": None}]
    stream = {
        "metadata": {"name": "worker", "namespace": "shop", "resourceVersion": "1"},
        "spec": {"tags": [held]},
        "status": {"tags": [{"tag": held["name"], "items": items}]},
    }
    read = stream_from(stream)
    (tag,) = read.tags
    assert hold_of(tag) is not None
    assert choose(read, Wanted())[0].skip is Skip.HELD
    assert reference_of(stream, tag.name) == held
    assert put_of(read, held)["tag"] == held
    assert "scheduled" not in held["importPolicy"]
    moved = replace(tag, current=Item("sha256:newer", None))
    assert hold_of(moved) is None and is_over(moved)
    back = replace(tag, source=Source("DockerImage", str(reference["from"]["name"])))
    assert hold_of(back) is None or back.source == tag.source
