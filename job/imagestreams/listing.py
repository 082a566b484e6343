"""The streams of a namespace, and the tags chosen in them."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Sequence

from job.cluster import IMAGE_STREAMS, Cluster
from job.domain.errors import ClusterError
from job.domain.failures import PASSING
from job.domain.model import Reason, RunError, Stage, Stream
from job.domain.selection import Choice, Wanted, choose, in_share
from job.domain.text import clean
from job.imagestreams.api_types import stream_from
from job.runtime.pool import wait_before

Chosen = tuple[Stream, tuple[Choice, ...]]


class Listing:
    """The streams of one namespace: all of them, or an error. A list that breaks is begun once more."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        wanted: Wanted,
        selector: str | None,
        retried: Callable[[str, str], None],
    ) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._wanted = wanted
        self._selector = selector
        self._retried = retried
        self._looked_at = 0
        self._matched = False
        self._tags: set[str] = set()
        self._chosen: list[Chosen] | None = None
        self._problem: ClusterError | None = None

    def step(self) -> float | None:
        """List the streams, all pages; see `pacing.Task`."""
        chosen: list[Chosen] = []
        self._looked_at, self._matched = 0, False
        try:
            for item in self._cluster.list(IMAGE_STREAMS, self.namespace, self._selector):
                stream = stream_from(item)
                self._looked_at += 1
                self._tags.update(tag.name for tag in stream.tags)
                if choices := choose(stream, self._wanted):
                    self._matched = True
                    if in_share(stream.namespace, stream.name, self._wanted.shard):
                        chosen.append((stream, choices))
        except ClusterError as error:
            again = self._problem is None and (error.reason in PASSING or error.reason is Reason.TIMEOUT)
            self._problem = error
            if not again:
                return None
            self._retried(self.namespace, error.reason)
            return wait_before(1, error.reason, error.retry_after, random.random)
        self._chosen, self._problem = chosen, None
        return None

    @property
    def matched(self) -> bool:
        """Whether any tag was asked for here, be it in another shard's share."""
        return self._matched

    def chosen(self) -> Sequence[Chosen]:
        """The streams of which tags were chosen; none where the list broke."""
        return self._chosen or ()

    def error(self) -> RunError | None:
        """Why there is no list, if there is none."""
        if self._chosen is not None:
            return None
        if self._problem is None:
            return self.stopped(self.namespace)
        message = f"cannot list image streams in {self.namespace}: {self._problem}"
        return RunError(self.namespace, Stage.LIST, self._problem.reason, message)

    @staticmethod
    def stopped(namespace: str) -> RunError:
        """That the run was told to stop before there was a list."""
        return RunError(
            namespace, Stage.LIST, Reason.ABORTED, f"stopped before the image streams of {namespace} were listed"
        )

    def nothing_matched(self) -> RunError:
        """That nothing was asked for here, with a hint at what there is."""
        wanted = self._wanted
        asked = ", ".join(f"{p.stream}:{p.tag or wanted.deployment or '*'}" for p in wanted.patterns) or (
            f"tag {wanted.deployment}" if wanted.deployment else "any tag"
        )
        message = f"nothing in {self.namespace} matches {asked}: {self._looked_at} image streams were looked at"
        if wanted.deployment and wanted.deployment not in self._tags:
            names = sorted(self._tags)
            near = difflib.get_close_matches(wanted.deployment, names, n=3) or names[:5]
            if near:
                message += f"; tags there: {', '.join(near)}"
        return RunError(self.namespace, Stage.SELECT, Reason.NOT_FOUND, clean(message))
