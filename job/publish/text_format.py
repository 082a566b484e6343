"""Metrics as text: the exposition format of Prometheus, written by its client library.

The client brings an HTTP server along, whose loading takes a tenth of a short run. So it is loaded when there is
something to push, which is after the last request for an import.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from job.domain.secrets import SECRETS
from job.domain.text import writable

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Samples = Mapping[tuple[str, ...], float]


class _Collected:
    """Metrics that are there already, as a collector."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def gauge(name: str, help_text: str, labels: Sequence[str], samples: Samples) -> bytes:
    """A family of gauges.

    Args:
        name: of the family.
        help_text: what it means.
        labels: their names.
        samples: values by the values of the labels, which may be any text.
    """
    from prometheus_client.core import GaugeMetricFamily

    metric = GaugeMetricFamily(name, help_text, labels=labels)
    for values, number in samples.items():
        metric.add_metric([_shown(value) for value in values], number)
    return _text(metric)


def counter(name: str, help_text: str, labels: Sequence[str], samples: Samples) -> bytes:
    """A family of counters; `name` ends in `_total`, the rest as for `gauge`."""
    from prometheus_client.core import CounterMetricFamily

    metric = CounterMetricFamily(name, help_text, labels=labels)
    for values, number in samples.items():
        metric.add_metric([_shown(value) for value in values], number)
    return _text(metric)


def histogram(name: str, help_text: str, bounds: Sequence[float], values: Sequence[float]) -> bytes:
    """A histogram of values, in buckets that end at `bounds` (ascending) and at infinity."""
    from prometheus_client.core import HistogramMetricFamily

    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    ends = [*(str(float(bound)) for bound in bounds), "+Inf"]
    buckets = [(end, float(sum(counts[: place + 1]))) for place, end in enumerate(ends)]
    metric = HistogramMetricFamily(name, help_text)
    metric.add_metric([], buckets, math.fsum(values))
    return _text(metric)


def _shown(value: str) -> str:
    return SECRETS.redact(writable(value))


def _text(metric: Metric) -> bytes:
    from prometheus_client import generate_latest

    return generate_latest(_Collected(metric))
