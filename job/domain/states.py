"""The closed lists of what the commands beside a run find: `status`, `doctor` and `promote`."""

from __future__ import annotations

from enum import StrEnum

from job.domain.enums import Explained


class State(Explained):
    """The state of a tag, compared with its registry."""

    CURRENT = "current", "The registry has no other image."
    BEHIND = "behind", "The registry has another image; the next run imports it."
    GATED = "gated", "The registry has another image, which a gate held back in the last run."
    FAILED = "failed", "The registry or the API refuses the image."
    UNKNOWN = "unknown", "The registry could not be asked."
    HELD = "held", "A rollback holds it."
    SKIPPED = "skipped", "A run would skip it."


class Problem(Explained):
    """Why something needs attention. The list is closed, for scripts."""

    UNREAD = "unread", "A namespace could not be read."
    SCHEDULE = "schedule", "The schedule of the CronJob cannot be parsed."
    SUSPENDED = "suspended", "The CronJob is suspended."
    RUN_MISSED = "run_missed", "A run was due and has not happened."
    RUN_FAILED = "run_failed", "The last complete run failed."
    RUN_HANGS = "run_hangs", "A run started and did not finish: it was killed, or it hangs."
    FAILING = "failing", "A tag fails to import."
    NOT_KNOWN = "not_known", "Whether a tag is current could not be checked."
    NOT_MOVED = "not_moved", "Nothing moves a tag: a copy, a dangling alias, or a tag removed from the spec."
    STALE = "stale", "No run has confirmed a tag for more than two due times (15 days without a schedule)."
    HOLD_EXPIRED = "hold_expired", "A hold has expired, and no run has released it."
    HOLD_FORGOTTEN = "hold_forgotten", "A tag has been held for more than 14 days, without an end."
    GATE_HOLDS = "gate_holds", "Gates have held back every new image of a tag for more than 7 days."
    BAD_RULE = "bad_rule", "A rule of the namespace cannot be read, and stops every run."
    FREEZE_FORGOTTEN = "freeze_forgotten", "A rule has frozen the namespace for more than 14 days, without an end."
    BLOCKED = "blocked", "A tag has an image that is on the list of known-bad ones."
    ROLLOUT = "rollout", "A workload does not run the image of its tag."


class Severity(StrEnum):
    """`error`: it fails, or does nothing. `warning`: it works now and will fail later. `note`: possibly intended."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class MoveResult(StrEnum):
    """The result of `promote move` for one repository.

    `behind`: not tried, since a repository in its `after` is not done. `not_ready`: moved, but its gate did not pass.
    """

    MOVED = "moved"
    WOULD_MOVE = "would_move"
    UP_TO_DATE = "up_to_date"
    LEFT = "left"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_READY = "not_ready"
    BEHIND = "behind"
    STOPPED = "stopped"


class Arrival(StrEnum):
    """The state of an awaited image. `later`: its commit comes after the promoted one, and counts."""

    WAITING = "waiting"
    ARRIVED = "arrived"
    LATER = "later"
