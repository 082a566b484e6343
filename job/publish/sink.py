"""What a sink of reports is, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from job.domain.model import Report
from job.domain.records import dataclass, field
from job.run.admission import JournalEntry
from job.run.context import Run
from job.runtime.background import Background


@dataclass(frozen=True, slots=True)
class Publication:
    """A report on its way to the sinks.

    Attributes:
        run: the run that ended.
        report: the one report that every sink is written from.
        entries: by namespace, the run's entry in the journals that are its own to write.
        environment: of the process: where the termination message goes, and the pod's namespace.
        overtaken: the namespaces in whose journal a later run has taken over. What that run publishes is newer.
        released_at: the monotonic time at which the locks were released; None while they are held.
        shown: shows the report on stdout, and gives the exit status.
    """

    run: Run
    report: Report
    entries: Mapping[str, JournalEntry] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    overtaken: frozenset[str] = frozenset()
    released_at: float | None = None
    shown: Background[int] | None = None


class Sink(Protocol):
    """Where reports go.

    A sink logs the failures that it knows and never changes how the run ends. Any other exception is
    logged, and the next sink has its turn.
    """

    @property
    def name(self) -> str:
        """What it writes, for a log line: `the termination message`."""

    @property
    def needs_lock(self) -> bool:
        """Whether it is to be done before another run may begin."""

    def publish(self, publication: Publication) -> Publication:
        """Write the report; returns what later sinks are given."""
