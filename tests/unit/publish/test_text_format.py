"""The text format is what the Prometheus client writes, and what it reads back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from job.publish.text_format import Samples, counter, gauge, histogram

LABELS = ("one", "two")
# A lone surrogate is no text that could be read back.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SAMPLES = st.dictionaries(st.tuples(TEXT, TEXT), st.floats(allow_nan=False), max_size=5)


def read(text: bytes) -> list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]:
    """Name, type, help and samples of each family; moments of creation are not ours."""
    return [
        (
            family.name,
            family.type,
            family.documentation,
            [(sample.name, sample.labels, sample.value) for sample in family.samples],
        )
        for family in text_string_to_metric_families(text.decode())
        if not family.name.endswith("_created")
    ]


@given(SAMPLES)
def test_gauges_are_as_the_client_writes_them(samples: Samples) -> None:
    registry = CollectorRegistry()
    theirs = Gauge("a_gauge", 'A "help"\\ text\nof two lines.', LABELS, registry=registry)
    for labels, value in samples.items():
        theirs.labels(*labels).set(value)
    assert read(gauge("a_gauge", 'A "help"\\ text\nof two lines.', LABELS, samples)) == read(generate_latest(registry))


def test_a_value_that_is_no_number_stays_one() -> None:
    ((_, _, _, samples),) = read(gauge("a_gauge", "Help.", (), {(): math.nan}))
    assert math.isnan(samples[0][2])


@given(st.dictionaries(st.tuples(TEXT, TEXT), st.integers(0, 10**9).map(float), max_size=5))
def test_counters_are_as_the_client_writes_them(samples: Samples) -> None:
    registry = CollectorRegistry()
    theirs = Counter("a_counter", "Help.", LABELS, registry=registry)
    for labels, value in samples.items():
        theirs.labels(*labels).inc(value)
    assert read(counter("a_counter_total", "Help.", LABELS, samples)) == read(generate_latest(registry))


@pytest.mark.parametrize("values", [(), (0.1,), (0.05, 0.1, 0.11, 1.0, 7.5, 61.0)])
def test_a_histogram_is_as_the_client_writes_it(values: tuple[float, ...]) -> None:
    bounds = (0.1, 1, 60)
    registry = CollectorRegistry()
    theirs = Histogram("seconds", "Help.", buckets=bounds, registry=registry)
    for value in values:
        theirs.observe(value)
    assert read(histogram("seconds", "Help.", bounds, values)) == read(generate_latest(registry))
