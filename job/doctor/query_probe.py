"""Asking the queries of VERIFY once, before a run has to rely on them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from job.config.settings import VerifySettings
from job.domain.verification import Query, Reading
from job.run.prometheus import Prometheus

# For all queries together, however slow the Prometheus is.
MOST_SECONDS = 30.0
_ANSWERED = (200, 400, 422)


def ask(settings: VerifySettings, stopping: Callable[[], bool]) -> tuple[tuple[Query, Reading], ...]:
    """Each query with its answer, in order; none after the first that the Prometheus itself keeps from an answer.

    Args:
        settings: the queries, and whom to ask.
        stopping: whether the command is to stop.
    """
    prometheus = Prometheus(settings, lambda: datetime.now(UTC))
    until = time.monotonic() + MOST_SECONDS
    answers: list[tuple[Query, Reading]] = []
    try:
        for query in settings.queries:
            if stopping() or time.monotonic() > until:
                break
            reading = prometheus.ask(query)
            answers.append((query, reading))
            if reading.status not in _ANSWERED:
                break
    finally:
        prometheus.close()
    return tuple(answers)
