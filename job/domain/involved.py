"""The object that an Event is about."""

from __future__ import annotations

from job.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Involved:
    """The object that an Event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str | None = None
