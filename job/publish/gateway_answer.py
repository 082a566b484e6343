"""What a Pushgateway holds of one group, from its answer to `GET /api/v1/metrics`.

A gateway is not trusted, since every client that may push there can put anything into its answer, and a run's pod
has 80Mi of memory. So the answer is read as a stream, and time, bytes, texts, depth and samples are bounded.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Collection, Iterator, Mapping

import ijson

from job.domain.records import dataclass, field
from job.publish.metric_families import BY_NAME, PREFIX, Past
from job.runtime.http import Answer, HttpError

# Upper bound of an answer; a gateway may hold the metrics of many other jobs.
MOST_BYTES = 256 * 1024 * 1024
# Upper bound of a text, a number or a blank between two quotation marks.
MOST_TOKEN_BYTES = 64 * 1024
LONGEST_LABEL = 4_000
MOST_LABELS = 50
# The samples of a family are at depth 6, their labels at 7.
MOST_DEPTH = 12
# Upper bounds of the samples that are kept, as objects: for a small group, and for each tag of a large one.
MOST_KEPT_BYTES = 6 * 1024 * 1024
MOST_KEPT_BYTES_PER_TAG = 4 * 1024
# Estimates for CPython: a text beyond its own size, a tuple of texts, and an entry of a dictionary with its number.
_TEXT_BYTES, _KEY_BYTES, _SAMPLE_BYTES = 100, 150, 120
_BARE_QUOTE = re.compile(rb'(?<!\\)"')
# As Go writes floats (strconv.FormatFloat).
_NUMBER = re.compile(r"[+-]?(?:Inf|NaN|[0-9]{1,310}(?:\.[0-9]{1,30})?(?:e[+-]?[0-9]{1,3})?)")

Labels = dict[str, str]


class AnswerError(Exception):
    """The answer cannot be read, or is beyond the bounds."""


def past_from(response: Answer, until: float, group: Mapping[str, str], wanted: Collection[str], tags: int) -> Past:
    """The samples of a group.

    Args:
        response: the answer; its content must not be decoded on the way.
        until: the monotonic time at which reading stops.
        group: all labels of the group.
        wanted: names of families, without prefix.
        tags: how many tags the group is known to have.

    Raises:
        AnswerError: it cannot be read, or is beyond the bounds.
    """
    if (encoding := response.headers.get("Content-Encoding", "identity")) != "identity":
        raise AnswerError(f"it is encoded ({encoding}), which was not asked for")
    kept = _Kept(MOST_KEPT_BYTES + tags * MOST_KEPT_BYTES_PER_TAG)
    try:
        for name, labels, value in _samples(_Body(response, until)):
            family = BY_NAME.get(name)
            if family is None or name not in wanted:
                continue
            rest = {label: text for label, text in labels.items() if label not in family.labels and text}
            if rest == group:
                kept.add(name, tuple(labels.get(label, "") for label in family.labels), value)
    except (ijson.JSONError, HttpError, OSError, ValueError, RecursionError) as error:
        raise AnswerError(f"its answer cannot be read: {error}") from error
    return Past(kept.families)


class _Body:
    """The body as a file for ijson: piece by piece as it arrives, within the bounds of time and size."""

    def __init__(self, response: Answer, until: float) -> None:
        self._response = response
        self._until = until
        self._read = 0
        # How far back the last quotation mark is that begins or ends a text.
        self._token = 0
        self._last = b""

    def read(self, amount: int) -> bytes:
        """The next piece; empty at the end."""
        if not amount:
            return b""
        if time.monotonic() > self._until:
            raise TimeoutError("it took too long")
        part = self._response.read(min(amount, MOST_TOKEN_BYTES))
        self._read += len(part)
        if self._read > MOST_BYTES:
            raise ValueError(f"it is longer than {MOST_BYTES >> 20} MiB")
        self._check_tokens(part)
        return part

    def _check_tokens(self, part: bytes) -> None:
        # A backslash at the end of the last piece belongs to the quotation mark at the beginning of this one.
        window = self._last + part
        first = _BARE_QUOTE.search(window, len(self._last))
        self._token += first.start() - len(self._last) if first else len(part)
        if self._token > MOST_TOKEN_BYTES:
            raise ValueError(f"a text in it is longer than {MOST_TOKEN_BYTES >> 10} KiB")
        if first:
            last = window.rfind(b'"')
            while last and window[last - 1 : last] == b"\\":
                last = window.rfind(b'"', 0, last)
            self._token = len(window) - last - 1
        self._last = part[-1:]


@dataclass(slots=True)
class _Kept:
    """Samples by family and labels, with each text and each key held once; `remaining` bytes may still be used."""

    remaining: int
    families: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    keys: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def add(self, name: str, key: tuple[str, ...], value: float) -> None:
        """Keep a sample.

        Raises:
            ValueError: there is no memory left for it.
        """
        if key not in self.keys:
            for text in key:
                if text not in self.texts:
                    self.texts[text] = text
                    self.remaining -= sys.getsizeof(text) + _TEXT_BYTES
            shared = tuple(self.texts[text] for text in key)
            self.keys[shared] = shared
            self.remaining -= _KEY_BYTES
        self.remaining -= _SAMPLE_BYTES
        if self.remaining < 0:
            raise ValueError("it has far more series of this job than the job has tags; delete the group there")
        self.families.setdefault(name, {})[self.keys[key]] = value


def _samples(body: _Body) -> Iterator[tuple[str, Labels, float]]:
    """Name (without prefix), labels and value of each of our samples.

    The answer is `{"data": [{FAMILY: {"metrics": [{"labels": {...}, "value": "1"}]}}]}`, where a sample repeats the
    labels of its group. It is read event by event, since 10,000 tags are too large to hold as one document.

    Raises:
        ValueError: it is beyond the bounds.
    """
    # The key within each container that is open; of a list the empty text.
    path: list[str] = []
    labels: Labels = {}
    value, texts = "", 0
    for event, data in ijson.basic_parse(body):
        if event == "map_key":
            path[-1] = data
        elif event in ("start_map", "start_array"):
            path.append("")
            if len(path) > MOST_DEPTH:
                raise ValueError("it is nested too deeply")
        elif event in ("end_map", "end_array"):
            path.pop()
            if len(path) == 5 and event == "end_map" and _is_sample(path):
                if not _NUMBER.fullmatch(value):
                    raise ValueError(f"a value is not a number: {value[:40]!r}")
                yield path[2].removeprefix(PREFIX), labels, float(value)
                labels, value, texts = {}, "", 0
        elif event == "string" and len(path) in (6, 7) and _is_sample(path):
            texts += 1
            if len(data) > LONGEST_LABEL or texts > MOST_LABELS:
                raise ValueError("a sample has more than a sample of ours")
            if len(path) == 7 and path[5] == "labels":
                labels[path[6]] = data
            elif len(path) == 6 and path[5] == "value":
                value = data


def _is_sample(path: list[str]) -> bool:
    return path[0] == "data" and path[3] == "metrics" and path[2].startswith(PREFIX)
