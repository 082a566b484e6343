"""How far one could go back: which earlier images of a tag the registry still has."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

from job.cluster import IMAGE_STREAMS
from job.domain.errors import ClusterError
from job.domain.history import earlier_than_current
from job.domain.holds import hold_of
from job.domain.model import TagResult
from job.domain.records import replace
from job.imagestreams.api_types import items_of, reference_of, stream_from
from job.imagestreams.lookup import Question, question_of_item
from job.run.context import Run
from job.runtime.pool import gather

log = logging.getLogger(__name__)

# A history that is not pruned may be long, and few go further back.
MOST = 5


Questions = dict[str, list[Question]]


def _questions(run: Run, namespace: str, stream_name: str, tags: Sequence[str]) -> Questions:
    """The questions whether the registry still has the earlier images, by tag of one stream."""
    data = run.retrier.call(lambda: run.cluster.get(IMAGE_STREAMS, namespace, stream_name))
    stream = stream_from(data)
    questions: Questions = {}
    for name in tags:
        if tag := stream.tag(name):
            policy = (reference_of(data, name) or {}).get("importPolicy")
            earlier = earlier_than_current(items_of(data, name), hold_of(tag))[:MOST]
            lookups = (question_of_item(namespace, stream_name, item, policy) for item in earlier)
            questions[name] = [question for question in lookups if question]
    return questions


def count_targets(run: Run, tags: Sequence[TagResult]) -> list[TagResult]:
    """The results, with how many earlier images the registry still has; unknown where it does not answer."""
    by_stream: dict[tuple[str, str], list[str]] = {}
    for tag in tags:
        by_stream.setdefault((tag.namespace, tag.stream), []).append(tag.tag)
    calls = {key: functools.partial(_questions, run, *key, names) for key, names in by_stream.items()}
    known: dict[tuple[str, str], Questions] = {}
    for key, answer in gather(calls, run.settings.concurrency, run.stopping).items():
        if isinstance(answer, ClusterError):
            log.warning("%s/%s: its earlier images are not known: %s", *key, answer)
        else:
            known[key] = answer
    answers = run.look_up(
        [question for questions in known.values() for of_tag in questions.values() for question in of_tag]
    )
    counted = []
    for tag in tags:
        of_tag = known.get((tag.namespace, tag.stream), {}).get(tag.tag)
        images = [answers[question] for question in of_tag] if of_tag is not None else []
        sure = of_tag is not None and all(a.image or a.is_gone for a in images)
        counted.append(replace(tag, rollback_targets=sum(a.image is not None for a in images)) if sure else tag)
    return counted
