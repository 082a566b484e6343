"""What the imports of all streams share: the cluster, how to import, and whom to report to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from job.cluster import Cluster
from job.domain.records import dataclass, field
from job.domain.retries import RetryPolicy
from job.domain.rules import Rules
from job.imagestreams.descriptions import Describer
from job.runtime.clock import SYSTEM, Clock
from job.runtime.pool import Throttle

GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to import.

    Attributes:
        write: False asks only what would be imported.
        policy: when an import is tried again.
        timeout: seconds of one request, sent to the server too.
        deadline: the monotonic time at which no further request is begun.
        chosen_here: the tags are those of the stream, so that reading it again shows what became of them.
    """

    write: bool
    policy: RetryPolicy
    timeout: float
    deadline: float
    chosen_here: bool = True


@dataclass(frozen=True, slots=True)
class ImportContext:
    """What all streams of a run share."""

    cluster: Cluster
    options: Options
    describer: Describer
    throttle: Throttle
    retried: Callable[[str, str], None]
    settled: Callable[[], None]
    under_way: Callable[[str, str | None], None] = lambda stream, doing: None
    clock: Clock = SYSTEM
    grace: Callable[[], float] = lambda: GRACE_SECONDS
    # By namespace, which images are kept out.
    rules: Mapping[str, Rules] = field(default_factory=dict)
