"""Metrics as text: the exposition format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/).

It is a few lines. The library that writes it brings an HTTP server along, and loading it took a tenth of a short run.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from job.domain.secrets import SECRETS
from job.domain.text import writable

Samples = Mapping[tuple[str, ...], float]


def gauge(name: str, help_text: str, labels: Sequence[str], samples: Samples) -> bytes:
    """A family of gauges.

    Args:
        name: of the family.
        help_text: what it means.
        labels: their names.
        samples: values by the values of the labels, which may be any text.
    """
    return _family(name, "gauge", help_text, _lines(name, labels, samples))


def counter(name: str, help_text: str, labels: Sequence[str], samples: Samples) -> bytes:
    """A family of counters; `name` ends in `_total`, the rest as for `gauge`."""
    return _family(name, "counter", help_text, _lines(name, labels, samples))


def histogram(name: str, help_text: str, bounds: Sequence[float], values: Sequence[float]) -> bytes:
    """A histogram of values, in buckets that end at `bounds` (ascending) and at infinity."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    buckets: Samples = {(_number(bound),): sum(counts[: place + 1]) for place, bound in enumerate((*bounds, math.inf))}
    lines = [
        *_lines(f"{name}_bucket", ("le",), buckets),
        *_lines(f"{name}_count", (), {(): len(values)}),
        *_lines(f"{name}_sum", (), {(): math.fsum(values)}),
    ]
    return _family(name, "histogram", help_text, lines)


def _family(name: str, kind: str, help_text: str, lines: Iterator[str] | Sequence[str]) -> bytes:
    escaped = help_text.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {escaped}\n# TYPE {name} {kind}\n{''.join(lines)}".encode()


def _lines(name: str, labels: Sequence[str], samples: Samples) -> Iterator[str]:
    for values, number in samples.items():
        pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True))
        yield f"{name}{{{pairs}}} {_number(number)}\n" if pairs else f"{name} {_number(number)}\n"


def _escaped(value: str) -> str:
    shown = SECRETS.redact(writable(value))
    return shown.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
