from __future__ import annotations

from datetime import UTC, datetime, timedelta

from job.schedule import (
    Schedule,
)

PRAGUE, NEW_YORK = "Europe/Prague", "America/New_York"
MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def dues(schedule: Schedule, start: str, count: int) -> list[str]:
    """The next due times as the zone's clock shows them, with the offset that it has then."""
    found, time = [], at(start)
    for _ in range(count):
        due = schedule.next_after(time)
        assert due is not None
        assert due.tzinfo is UTC
        time = due
        found.append(due.astimezone(schedule.zone).isoformat(timespec="minutes"))
    return found


# In Prague clocks go from 02:00+01:00 to 03:00+02:00 on 2026-03-29, and from 03:00+02:00 back to 02:00+01:00 on
# 2026-10-25; in New York from 02:00-05:00 to 03:00-04:00 on 2026-03-08, and from 02:00-04:00 back to 01:00-05:00 on
# 2026-11-01.
