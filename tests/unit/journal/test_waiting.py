"""What the journal remembers of images that gates hold back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.model import Gate, GateVerdict, Reason, Result, Skip, TagResult, Verdict
from job.journal.decoding import decode
from job.journal.encoding import MOST_BYTES, encode
from job.journal.records import Journal
from job.journal.waiting import (
    MOST_WAITING,
    Waiting,
    first_seen,
    wait_of,
    waiting_after,
    waiting_from_json,
    waiting_to_json,
)

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
KEY = ("worker", "prod")


def held(digest: str, tag: str = "prod") -> TagResult:
    verdict = Verdict(Gate.MIN_AGE, GateVerdict.HELD, digest, "waits for 1h", reason=Skip.YOUNG)
    return TagResult("ns", "worker", tag, None, Result.SKIPPED, Skip.YOUNG, gates=(verdict,))


def result(outcome: Result, reason: Reason | Skip | None = None, attempts: int = 1) -> TagResult:
    return TagResult("ns", "worker", "prod", None, outcome, reason, attempts=attempts)


def after(before: dict[tuple[str, str], Waiting], at: float, *results: TagResult) -> dict[tuple[str, str], Waiting]:
    return waiting_after(before, results, at, lambda key: True)


def test_an_image_keeps_the_time_when_it_was_first_seen() -> None:
    first = after({}, 100.0, held(A))
    again = after(first, 200.0, held(A))
    assert (again[KEY].seen, again[KEY].held_since) == (100.0, 100.0)
    another = after(again, 300.0, held(B))
    assert (another[KEY].digest, another[KEY].seen, another[KEY].held_since) == (B, 300.0, 100.0)
    # Another tag that is to get the same image: it is as old there.
    assert after(first, 400.0, held(A), held(A, "stg"))["worker", "stg"].seen == 100.0
    assert first_seen(first, A) == datetime.fromtimestamp(100, UTC)
    assert first_seen(first, B) is None


@pytest.mark.parametrize(
    ("became", "waits"),
    [
        (result(Result.UPDATED), False),
        (result(Result.UNCHANGED), False),
        (result(Result.SKIPPED, Skip.HELD), False),
        (result(Result.SKIPPED, Skip.WAVE), True),
        (result(Result.FAILED, Reason.UNREACHABLE), True),
        (result(Result.FAILED, Reason.ABORTED, attempts=0), True),
    ],
)
def test_what_waits_until_the_registry_shows_something_else(became: TagResult, waits: bool) -> None:
    assert (KEY in after(after({}, 100.0, held(A)), 200.0, became)) is waits


def test_an_image_that_gates_let_through_is_not_young_again_after_its_import_failed() -> None:
    passed = Verdict(Gate.MIN_AGE, GateVerdict.PASSED, A)
    failed = replace(result(Result.FAILED, Reason.UNREACHABLE), gates=(passed,))
    before = after({}, 100.0, held(A))
    assert first_seen(after(before, 200.0, failed), A) == datetime.fromtimestamp(100, UTC)
    # The registry has another one by now.
    assert after(before, 200.0, replace(failed, gates=(replace(passed, digest=B),))) == {}
    assert after(before, 200.0, replace(failed, result=Result.UPDATED)) == {}


def test_a_tag_that_is_gone_waits_no_longer() -> None:
    before = after({}, 100.0, held(A))
    assert waiting_after(before, [], 200.0, lambda key: False) == {}
    assert waiting_after(before, [], 200.0, lambda key: True) == before


def test_the_oldest_stay_where_there_are_too_many() -> None:
    before = after({}, 100.0, held(A))
    many = after(before, 200.0, held(A), *(held(B, f"t{number}") for number in range(2 * MOST_WAITING)))
    assert len(many) == MOST_WAITING
    assert KEY in many


WAITING = st.builds(
    Waiting,
    digest=st.sampled_from([A, B]),
    gate=st.sampled_from(Gate),
    verdict=st.sampled_from(GateVerdict),
    seen=st.integers(0, 2**31).map(float),
    held_since=st.integers(0, 2**31).map(float),
    until=st.none() | st.integers(0, 2**31).map(float),
    where=st.none() | st.just("packit-stg/worker:stg"),
    message=st.text(max_size=300),
)


@given(st.dictionaries(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"])), WAITING))
def test_it_is_read_as_it_was_written(waiting: dict[tuple[str, str], Waiting]) -> None:
    assert waiting_from_json(json.loads(json.dumps(waiting_to_json(waiting)))) == waiting


def test_how_long_still_is_counted_from_now() -> None:
    waiting = Waiting(A, Gate.PROVEN, GateVerdict.HELD, 0.0, 0.0, 7200.0, "stg/worker:stg", "waits for 2h")
    assert wait_of(waiting, datetime.fromtimestamp(3600, UTC)) == "waits for 1h in stg/worker:stg"
    assert wait_of(waiting, datetime.fromtimestamp(7200, UTC)) == "the next run judges it again"
    assert wait_of(replace(waiting, until=None), datetime.fromtimestamp(1, UTC)) == "waits for 2h"


def test_a_full_list_fits_into_the_journal() -> None:
    waiting = {
        (f"stream-{number}", "prod"): Waiting(
            f"sha256:{number:064x}", Gate.PROVEN, GateVerdict.HELD, 1.0e9, 1.0e9, 1.1e9, None, f"{number} " * 40
        )
        for number in range(MOST_WAITING)
    }
    written = encode(Journal(waiting=waiting))
    assert decode(written).waiting == waiting
    assert len(json.dumps(written)) <= MOST_BYTES + 100


@pytest.mark.parametrize(
    "bad",
    [
        {"a:b": []},
        {"a:b": [1, "min_age", "held", 0, 0, None, None, ""]},
        {"a:b": [A, "min_age", "held", -1, 0, None, None, ""]},
    ],
)
def test_a_list_that_is_not_ours_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        waiting_from_json(bad)
