"""What became of the queries of VERIFY: as JSON, and the schema of that."""

from __future__ import annotations

import math
from typing import Any

from job.domain.times import iso
from job.domain.verification import CheckedQuery, QueryResult
from job.views.schema_parts import COUNT, NUMBER, TEXT, TEXT_OR_NULL, TIME, Schema, list_of, object_of, one_of, or_null

SAMPLE = object_of(
    series=TEXT,
    value={"anyOf": [NUMBER, {"type": "string", "enum": ["NaN", "+Inf", "-Inf"]}]},
)
READING = object_of(
    at=TIME,
    true=or_null({"type": "boolean"}),
    series=COUNT,
    samples=list_of(SAMPLE),
    problem=TEXT_OR_NULL,
)
QUERY: Schema = object_of(
    name=TEXT,
    query=TEXT,
    wave=or_null(COUNT),
    result=one_of(QueryResult),
    message=TEXT,
    seconds=NUMBER,
    readings=list_of(READING),
)


def query_document(checked: CheckedQuery) -> dict[str, Any]:
    """One query as JSON, with every answer that it got."""
    return {
        "name": checked.query.name,
        "query": checked.query.expression,
        "wave": checked.wave,
        "result": checked.result,
        "message": checked.message,
        "seconds": round(checked.seconds, 1),
        "readings": [
            {
                "at": iso(reading.at),
                "true": reading.is_true,
                "series": reading.series,
                "samples": [{"series": sample.series, "value": _number(sample.value)} for sample in reading.samples],
                "problem": reading.problem,
            }
            for reading in checked.readings
        ],
    }


def _number(value: float) -> float | str:
    """The value, or the word for it where JSON has no number."""
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else f"{'+' if value > 0 else '-'}Inf"
