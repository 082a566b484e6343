"""The exit statuses: what a script, a CronJob or an alert may rely on."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class ExitStatus(IntEnum):
    """How the program ends.

    Attributes:
        meaning: one sentence for `explain`, the help and the documentation; a command may put it more exactly.
    """

    meaning: str

    def __new__(cls, value: int, meaning: str = "") -> Self:
        """A member: its value, and what it means. The default is for a look-up by value."""
        member = int.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member

    SUCCESS = 0, "All selected tags match the registry, or a scheduled run was frozen."
    ATTENTION = 1, "Some tag failed, a namespace could not be read, or (status, doctor) something needs attention."
    USAGE = 2, "Bad usage or settings, nothing matched, or a run by hand was frozen; nothing was changed."
    CLUSTER_UNUSABLE = 3, "The cluster could not be used: unreachable, not allowed, or it refused every import."
    LOCKED = 4, "Another run holds the lock; nothing was changed."
    UNHEALTHY = 5, "Images were imported, and a rollout did not become healthy, whether or not it was rolled back."
    ABORTED = 6, "Stopped by a signal, by the deadline or by the loss of the lock."
