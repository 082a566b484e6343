"""What is known of images: their build time and labels, learned from answers or asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from job.clusters import IMAGE_STREAM_IMAGES, Cluster
from job.errors import ClusterError
from job.model import ImageFacts, Reason
from job.openshift import facts_from

log = logging.getLogger(__name__)


class Describer:
    """Facts of images by digest; they are the same in whichever stream an image is."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._facts: dict[str, ImageFacts] = {}
        self._refused: set[str] = set()

    def learn(self, digest: str, facts: ImageFacts) -> None:
        """An answer told of an image."""
        self._facts[digest] = facts

    def facts(self, digest: str) -> ImageFacts | None:
        """What is known of an image."""
        return self._facts.get(digest)

    def unknown(self, digests: Iterable[str]) -> list[str]:
        """Those of which nothing is known, each once."""
        return [digest for digest in dict.fromkeys(digests) if digest not in self._facts]

    def describe(self, namespace: str, stream: str, digest: str) -> None:
        """Ask for an image that is in a stream's history. One that was pruned stays undescribed.

        An index costs a second request, since its labels and build time are those of one of its manifests.
        """
        if namespace in self._refused:
            return
        try:
            facts = self._ask(namespace, stream, digest)
            if facts.manifest:
                facts = self._ask(namespace, stream, facts.manifest)
        except ClusterError as error:
            facts = ImageFacts()
            if error.reason is Reason.FORBIDDEN:
                self._refused.add(namespace)
                log.warning(
                    "earlier images are shown without build time and revision: %s "
                    "(grant get on imagestreamimages in %s)",
                    error,
                    namespace,
                )
            elif error.reason is not Reason.NOT_FOUND:
                log.warning("%s/%s@%s cannot be described: %s", namespace, stream, digest, error)
        self._facts[digest] = facts

    def _ask(self, namespace: str, stream: str, digest: str) -> ImageFacts:
        answer = self._cluster.get(IMAGE_STREAM_IMAGES, namespace, f"{stream}@{digest}")
        image = answer.get("image")
        return facts_from(image if isinstance(image, dict) else {})
