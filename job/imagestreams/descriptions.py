"""What is known of images: their build time and labels, learned from answers or asked for."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterable, Sequence

from job.cluster import IMAGE_STREAM_IMAGES, Cluster
from job.domain.errors import ClusterError
from job.domain.model import ImageFacts, Reason, Result
from job.domain.records import replace
from job.imagestreams.api_types import facts_from
from job.imagestreams.pending import Settled
from job.runtime.pool import gather
from job.runtime.retry import retrier

log = logging.getLogger(__name__)


class Describer:
    """Facts of images by digest; they are the same in whichever stream an image is."""

    def __init__(self, cluster: Cluster, stopping: Callable[[], bool] = lambda: False) -> None:
        self._cluster = cluster
        self._stopping = stopping
        self._facts: dict[str, ImageFacts] = {}
        self._refused: set[str] = set()
        self._lock = threading.Lock()

    def learn(self, digest: str, facts: ImageFacts) -> None:
        """Keep what an answer said of an image."""
        self._facts[digest] = facts

    def facts(self, digest: str) -> ImageFacts | None:
        """What is known of an image."""
        return self._facts.get(digest)

    def is_refused(self, namespace: str) -> bool:
        """Whether images of a namespace may not be read."""
        return namespace in self._refused

    def unknown(self, digests: Iterable[str]) -> list[str]:
        """Those that are not described yet, each once."""
        return [digest for digest in dict.fromkeys(digests) if not self._is_described(digest)]

    def _is_described(self, digest: str) -> bool:
        facts = self._facts.get(digest)
        return facts is not None and facts.manifest is None

    def without_architecture(self, digests: Iterable[str]) -> list[str]:
        """Those of which all is known but the architecture, which a journal does not keep."""
        return [
            digest for digest in dict.fromkeys(digests) if (f := self._facts.get(digest)) and f.architecture is None
        ]

    def describe(self, namespace: str, stream: str, digest: str, *, again: bool = False) -> None:
        """Ask for an image that is in a stream's history. One that was pruned stays undescribed.

        An index costs a second request, since its labels and build time are those of one of its manifests.
        """
        if namespace in self._refused or (self._is_described(digest) and not again):
            return
        try:
            known = None if again else self._facts.get(digest)
            facts = known or self._ask(namespace, stream, digest)
            if facts.manifest:
                facts = replace(self._ask(namespace, stream, facts.manifest), platforms=facts.platforms)
            self._facts[digest] = facts
        except ClusterError as error:
            if error.reason is Reason.FORBIDDEN:
                self._refused_in(namespace, error)
            elif error.reason is not Reason.NOT_FOUND:
                log.warning("%s/%s@%s cannot be described: %s", namespace, stream, digest, error)

    def describe_all(self, wanted: Iterable[tuple[str, str, str]], concurrency: int) -> None:
        """Ask for images, each given as namespace, stream and digest, several at a time."""
        calls = {image: functools.partial(self.describe, *image) for image in wanted}
        gather(calls, concurrency, self._stopping)

    def _refused_in(self, namespace: str, error: ClusterError) -> None:
        with self._lock:
            if namespace in self._refused:
                return
            self._refused.add(namespace)
        advice = f"grant get on imagestreamimages in {namespace}"
        log.warning("earlier images are shown without build time and revision: %s (%s)", error, advice)

    def _ask(self, namespace: str, stream: str, digest: str) -> ImageFacts:
        answer = retrier(1, self._stopping).call(
            lambda: self._cluster.get(IMAGE_STREAM_IMAGES, namespace, f"{stream}@{digest}")
        )
        image = answer.get("image")
        return facts_from(image if isinstance(image, dict) else {})


def to_describe(settled: Sequence[Settled], describer: Describer) -> list[tuple[str, bool]]:
    """The images to ask for, each with whether it is asked for again because its architecture matters."""
    changed = [attempt for attempt in settled if attempt.result is not Result.UNCHANGED]
    digests = [item.digest for attempt in changed for item in (attempt.before, attempt.after) if item]
    # Most images are for amd64; the one before counts only where this one is not.
    unusual = [
        attempt.before.digest
        for attempt in changed
        if attempt.result is Result.UPDATED
        and attempt.before
        and attempt.after
        and _is_unusual(attempt.after.digest, describer)
    ]
    return [
        *((digest, False) for digest in describer.unknown(digests)),
        *((digest, True) for digest in describer.without_architecture(unusual)),
    ]


def _is_unusual(digest: str, describer: Describer) -> bool:
    facts = describer.facts(digest)
    return facts is not None and facts.architecture not in (None, "amd64")
