"""VERIFY: queries that must stay true after rollouts, and what their answers mean. Pure.

A query is asked again and again. Each answer is true (every sample is another number than 0), false (one is 0), or
neither: no sample, one that is not a number, or no answer at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from job.domain.durations import describe
from job.domain.enums import Explained
from job.domain.records import dataclass, field
from job.domain.text import clean

# How many series of one answer are kept for the report; all of them are judged.
MOST_SERIES = 5
MOST_QUERIES = 50
_MOST_LABELS = 10
# A query without data at the beginning, as of pods that have not been scraped yet, may become true later.
PATIENCE = 2.0
_MOST_INTERVAL_SECONDS = 15.0
_ANSWERS = 40
_NAME = r"(?a)\w[\w .-]{0,62}"
_STRING = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`"


class QueryResult(Explained):
    """What became of a query."""

    PASSED = "passed", "It was true for `VERIFY_FOR`."
    FAILED = "failed", "It was false: the rollouts before it count as bad."
    INCONCLUSIVE = (
        "inconclusive",
        "It was not true for `VERIFY_FOR`, and never false: no data, no answer, or no time left.",
    )


@dataclass(frozen=True, slots=True)
class Query:
    """A query and its name."""

    name: str
    expression: str


def parse_queries(text: str) -> tuple[Query, ...]:
    """The queries of `NAME: PROMQL; NAME: PROMQL`; a semicolon in a string of PromQL does not separate.

    Raises:
        ValueError: one has no name, no query, or the name of another one.
    """
    queries: dict[str, Query] = {}
    for part in filter(str.strip, _parts(text)):
        name, colon, expression = (piece.strip() for piece in part.partition(":"))
        if not colon or not expression or not re.fullmatch(_NAME, name):
            raise ValueError(
                f"{clean(part.strip(), 80)!r} is not NAME: PROMQL, such as errors: job:errors:rate5m < bool 1"
            )
        if name in queries:
            raise ValueError(f"two queries have the name {name!r}")
        queries[name] = Query(name, expression)
    if text and not queries:
        raise ValueError(f"{text!r} names no query")
    if len(queries) > MOST_QUERIES:
        raise ValueError(f"{len(queries)} queries are more than {MOST_QUERIES}")
    return tuple(queries.values())


def _parts(text: str) -> Iterator[str]:
    """The text between the semicolons that are not in a string."""
    begin = position = 0
    while position < len(text):
        if text[position] == ";":
            yield text[begin:position]
            begin = position + 1
        elif text[position] in "\"'`" and (string := re.compile(_STRING, re.DOTALL).match(text, position)):
            position = string.end()
            continue
        position += 1
    yield text[begin:]


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of one series; `series` are its labels as PromQL writes them."""

    series: str
    value: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer to a query.

    Attributes:
        at: when.
        samples: the first series; of a false answer those that are 0 come first.
        series: how many there were.
        is_true: None where it is neither true nor false.
        problem: why it is neither.
        is_final: whether asking again cannot help, such as after an error in the query.
        status: of the HTTP answer; 0 where there was none.
    """

    at: datetime
    samples: tuple[Sample, ...] = ()
    series: int = 0
    is_true: bool | None = None
    problem: str | None = None
    is_final: bool = field(default=False, compare=False)
    status: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CheckedQuery:
    """What became of one query after one wave, and how many seconds it was asked.

    `wave` counts from 0; it is None where an earlier run moved the tags.
    """

    query: Query
    wave: int | None
    result: QueryResult
    message: str
    readings: tuple[Reading, ...] = ()
    seconds: float = 0.0


def read_answer(data: Mapping[str, Any], at: datetime) -> Reading:
    """The reading of an answer of the HTTP API (`/api/v1/query`).

    Source: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
    """
    content = data.get("data")
    kind, result = (content.get("resultType"), content.get("result")) if isinstance(content, dict) else (None, None)
    if kind == "scalar":
        result = [{"metric": {}, "value": result}]
    elif kind != "vector":
        problem = f"the query returns a {clean(str(kind or 'nothing'), 20)}, not a scalar or a vector"
        return Reading(at, problem=problem, is_final=kind in ("matrix", "string"))
    samples = [_sample_of(entry) for entry in result] if isinstance(result, list) else []
    if not samples:
        return Reading(at, problem="no data")
    samples.sort(key=lambda sample: sample.value != 0)
    shown = tuple(samples[:MOST_SERIES])
    if samples[0].value == 0:
        return Reading(at, shown, len(samples), False)
    if any(math.isnan(sample.value) for sample in samples):
        return Reading(at, shown, len(samples), None, "a value is not a number")
    return Reading(at, shown, len(samples), True)


def _sample_of(entry: object) -> Sample:
    """A series and its value: not a number where it has another kind of value, such as a histogram."""
    try:
        metric, (_, value) = entry["metric"], entry["value"]  # type: ignore[index]
        labels = [
            f'{clean(str(name), 100)}="{clean(str(text), 100)}"' for name, text in metric.items() if name != "__name__"
        ]
        name = clean(str(metric.get("__name__", "")), 100)
        return Sample(f"{name}{{{','.join(labels[:_MOST_LABELS])}}}" if labels else name, float(value))
    except (KeyError, TypeError, ValueError, AttributeError):
        return Sample("", math.nan)


def interval(seconds: float) -> float:
    """Seconds between two readings, where a query has to be true for so many."""
    return max(min(_MOST_INTERVAL_SECONDS, seconds / 4), seconds / _ANSWERS)


class Course:
    """The answers to one query so far, and what they come to.

    Args:
        query: the query.
        seconds: for how long it has to be true.
        begun: when it was first asked, on the clock of `add`.
    """

    def __init__(self, query: Query, seconds: float, begun: float) -> None:
        self.query = query
        self.readings: list[Reading] = []
        self._seconds = seconds
        self._begun = begun
        self._true_since: float | None = None

    def add(self, reading: Reading, now: float) -> QueryResult | None:
        """Take one more answer; returns the result once there is one."""
        self.readings.append(reading)
        if reading.is_true is False:
            return QueryResult.FAILED
        if reading.is_true is None:
            self._true_since = None
        elif self._true_since is None:
            self._true_since = now
        if reading.is_final:
            return QueryResult.INCONCLUSIVE
        if self._true_since is not None and now - self._true_since >= self._seconds:
            return QueryResult.PASSED
        return QueryResult.INCONCLUSIVE if now - self._begun >= PATIENCE * self._seconds else None

    def finish(self, result: QueryResult, wave: int | None, now: float, why: str = "") -> CheckedQuery:
        """What became of the query; `why` is what ended it before it had a result."""
        last = self.readings[-1] if self.readings else None
        values = describe_samples(last) if last else ""
        if result is QueryResult.PASSED:
            message = f"true for {describe(self._seconds)}: {values}"
        elif result is QueryResult.FAILED:
            message = f"false after {describe(now - self._begun)}: {values}"
        else:
            cause = why or (last.problem if last else None) or self._earlier_problem()
            message = f"not true for {describe(self._seconds)}, and not false: {cause}"
        return CheckedQuery(self.query, wave, result, message, tuple(self.readings), now - self._begun)

    def _earlier_problem(self) -> str:
        problems: Sequence[str] = [reading.problem for reading in self.readings if reading.problem]
        return f"it was interrupted by: {problems[-1]}" if problems else "no answer"


def describe_samples(reading: Reading) -> str:
    """The samples of a reading, in words."""
    more = reading.series - len(reading.samples)
    shown = ", ".join(f"{sample.series} {sample.value:g}".strip() for sample in reading.samples)
    return shown + (f" and {more} more series" if more > 0 else "")
