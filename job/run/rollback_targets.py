"""How far one could go back: which earlier images of a tag the registry still has."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from job.cluster import IMAGE_STREAMS
from job.domain.errors import ClusterError
from job.domain.history import earlier_than_current
from job.domain.holds import hold_of
from job.domain.model import TagResult
from job.imagestreams.api_types import items_of, reference_of, stream_from
from job.imagestreams.lookup import Question, question_of_item
from job.run.context import Run
from job.runtime.pool import Pool, persist

log = logging.getLogger(__name__)

# A history that nobody prunes may be long, and few go further back.
MOST = 5


class _Reading:
    """The earlier images of the tags of one stream."""

    def __init__(self, run: Run, namespace: str, stream: str, tags: Sequence[str]) -> None:
        self.questions: dict[str, list[Question]] = {}
        self._run = run
        self._namespace = namespace
        self._stream = stream
        self._tags = tags

    def step(self) -> float | None:
        """Read the stream; see `pacing.Task`."""
        run = self._run
        try:
            data = persist(
                lambda: run.cluster.get(IMAGE_STREAMS, self._namespace, self._stream),
                run.settings.retries,
                run.stopping,
            )
        except ClusterError as error:
            log.warning("%s/%s: its earlier images are not known: %s", self._namespace, self._stream, error)
            return None
        stream = stream_from(data)
        for name in self._tags:
            if tag := stream.tag(name):
                policy = (reference_of(data, name) or {}).get("importPolicy")
                earlier = earlier_than_current(items_of(data, name), hold_of(tag))[:MOST]
                asked = (question_of_item(self._namespace, self._stream, item, policy) for item in earlier)
                self.questions[name] = [question for question in asked if question]
        return None


def count_targets(run: Run, tags: Sequence[TagResult]) -> list[TagResult]:
    """The results, with how many earlier images the registry still has; unknown where it does not answer."""
    by_stream: dict[tuple[str, str], list[str]] = {}
    for tag in tags:
        by_stream.setdefault((tag.namespace, tag.stream), []).append(tag.tag)
    readings = {key: _Reading(run, *key, names) for key, names in by_stream.items()}
    left = Pool(run.settings.concurrency).run(list(readings.values()), run.stopping, grace=0)
    known = {key: reading.questions for key, reading in readings.items() if reading not in left}
    answers = run.look_up(
        [question for questions in known.values() for mine in questions.values() for question in mine]
    )
    counted = []
    for tag in tags:
        mine = known.get((tag.namespace, tag.stream), {}).get(tag.tag)
        found = [answers[question] for question in mine] if mine is not None else []
        sure = mine is not None and all(a.image or a.is_gone for a in found)
        counted.append(replace(tag, rollback_targets=sum(a.image is not None for a in found)) if sure else tag)
    return counted
