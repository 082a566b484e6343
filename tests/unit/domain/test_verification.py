"""What the answers to the queries of VERIFY mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.domain.verification import (
    MOST_SERIES,
    Course,
    Query,
    QueryResult,
    Reading,
    interval,
    parse_queries,
    read_answer,
)

AT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
QUERY = Query("errors", "errors < bool 1")


def test_queries_have_names() -> None:
    text = "errors: job:errors:rate5m < bool 1; up : min(up{job=\"a;b\", note='c;d'}) ;; "
    assert parse_queries(text) == (
        Query("errors", "job:errors:rate5m < bool 1"),
        Query("up", "min(up{job=\"a;b\", note='c;d'})"),
    )
    assert parse_queries("") == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("up", "is not NAME: PROMQL"),
        ("up:", "is not NAME: PROMQL"),
        (': up{a="b"}', "is not NAME: PROMQL"),
        ('up{a="b:c"}', "is not NAME: PROMQL"),
        ("a: up; a: down", "two queries have the name 'a'"),
        (";", "names no query"),
        (";".join(f"q{number}: up" for number in range(51)), "more than 50"),
    ],
)
def test_what_is_no_list_of_queries(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_queries(text)


@given(st.text())
def test_any_text_is_queries_or_an_error(text: str) -> None:
    try:
        assert all(query.name and query.expression for query in parse_queries(text))
    except ValueError:
        return


def vector(*values: object) -> dict[str, Any]:
    entries = [
        {"metric": {"__name__": "up", "pod": f"p{number}"}, "value": [1.5, str(value)]}
        for number, value in enumerate(values)
    ]
    return {"status": "success", "data": {"resultType": "vector", "result": entries}}


HISTOGRAM = {"metric": {"__name__": "latency"}, "histogram": [1.5, {"count": "3", "sum": "0", "buckets": []}]}


@pytest.mark.parametrize(
    ("data", "is_true", "problem"),
    [
        (vector(1), True, None),
        (vector(1, -0.5, "+Inf"), True, None),
        (vector(1, 0, "NaN"), False, None),
        (vector(1, "NaN"), None, "a value is not a number"),
        (vector(), None, "no data"),
        (
            {"data": {"resultType": "vector", "result": [*vector(1)["data"]["result"], HISTOGRAM]}},
            None,
            "a value is not a number",
        ),
        ({"data": {"resultType": "scalar", "result": [1, "3"]}}, True, None),
        ({"data": {"resultType": "scalar", "result": [1, "0"]}}, False, None),
        (
            {"data": {"resultType": "matrix", "result": []}},
            None,
            "the query returns a matrix, not a scalar or a vector",
        ),
        ({"data": {"resultType": "string", "result": [1, "x"]}}, None, "the query returns a string, not a scalar or"),
        (
            {"data": {"resultType": "vector", "result": [{"metric": 3}, None, {"metric": {}, "value": []}]}},
            None,
            "a value is not a number",
        ),
        ({"data": []}, None, "the query returns a nothing"),
        ({}, None, "the query returns a nothing"),
    ],
)
def test_answers(data: dict[str, Any], is_true: bool | None, problem: str | None) -> None:
    reading = read_answer(data, AT)
    assert reading.is_true is is_true
    assert (problem or "") in (reading.problem or "") and bool(problem) == bool(reading.problem)


def test_a_false_sample_is_among_those_that_are_shown() -> None:
    reading = read_answer(vector(*[1] * 20, 0), AT)
    assert reading.series == 21 and len(reading.samples) == MOST_SERIES
    assert (reading.samples[0].series, reading.samples[0].value) == ('up{pod="p20"}', 0.0)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(["vector", "scalar", "matrix"]), JSON_VALUES)
def test_no_answer_breaks_it(kind: str, result: object) -> None:
    reading = read_answer({"data": {"resultType": kind, "result": result}}, AT)
    assert (reading.is_true is None) == (reading.problem is not None)


TRUE, FALSE = Reading(AT, series=1, is_true=True), Reading(AT, series=1, is_true=False)
NOTHING = Reading(AT, problem="no data")
WRONG = Reading(AT, problem="HTTP 400", is_final=True)


@pytest.mark.parametrize(
    ("readings", "result", "second"),
    [
        # One reading each 10 s, and 60 s to be true for.
        ([TRUE] * 20, QueryResult.PASSED, 60),
        ([TRUE, TRUE, FALSE], QueryResult.FAILED, 20),
        ([FALSE], QueryResult.FAILED, 0),
        ([NOTHING] * 3 + [TRUE] * 20, QueryResult.PASSED, 90),
        # What is interrupted begins anew.
        ([TRUE] * 5 + [NOTHING] + [TRUE] * 20, QueryResult.PASSED, 120),
        ([TRUE] * 6 + [NOTHING] + [TRUE] * 5 + [NOTHING], QueryResult.INCONCLUSIVE, 120),
        ([NOTHING] * 20, QueryResult.INCONCLUSIVE, 120),
        ([TRUE, WRONG], QueryResult.INCONCLUSIVE, 10),
    ],
)
def test_courses(readings: Sequence[Reading], result: QueryResult, second: int) -> None:
    course = Course(QUERY, 60.0, 0.0)
    for number, reading in enumerate(readings):
        found = course.add(reading, number * 10.0)
        if found:
            assert (found, number * 10) == (result, second)
            checked = course.finish(found, 0, number * 10.0)
            assert checked.readings == tuple(readings[: number + 1]) and checked.seconds == second
            return
    pytest.fail("no result")


@given(st.lists(st.sampled_from([TRUE, FALSE, NOTHING, WRONG])))
def test_good_is_only_what_was_true_all_the_time(readings: list[Reading]) -> None:
    course = Course(QUERY, 60.0, 0.0)
    for number, reading in enumerate(readings):
        found = course.add(reading, number * 10.0)
        if found:
            assert (found is QueryResult.FAILED) == (reading is FALSE)
            assert found is not QueryResult.PASSED or set(readings[number - 6 : number + 1]) == {TRUE}
            return


@given(st.floats(min_value=0.5, max_value=86400))
def test_it_is_asked_often_enough_and_not_too_often(seconds: float) -> None:
    assert seconds / interval(seconds) + 1e-9 >= 4 and math.ceil(seconds / interval(seconds)) <= 41
