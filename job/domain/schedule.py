"""When a run is due, how late it began, when the next one is due, and whether a freeze covers a time.

A schedule is what a CronJob accepts and means what Kubernetes makes of it (ParseStandard of github.com/robfig/cron/v3,
and the API's own rule that it has no time zone): due is every minute whose wall clock in the zone matches. A time
inside the gap of spring therefore never comes, and one in the hour that autumn repeats comes twice. (Where clocks
change at midnight or by half an hour, Kubernetes' own search can miss or add a due time on that one day. That is not
followed here.)

croniter only walks the calendar, by wall-clock times without a zone and with fields already read into plain numbers:
its own reading takes more than a CronJob does, and in a zone it moves what falls into the gap. It takes long to load,
so it is not loaded before it is needed. Times go in with any zone, never without one; they come out in UTC, since
Python compares and subtracts times of one zone by their wall clocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from job.domain.durations import duration
from job.domain.records import dataclass

_MINUTE = timedelta(minutes=1)
# Kubernetes looks no further ahead, counted in calendar years, and treats what is not found by then as never due.
_YEARS = 5
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_NUMBER = r"\+?[0-9]{1,18}"


class UnsupportedScheduleError(ValueError):
    """`@every`: valid for a CronJob, but counted from its last run, so that the text alone gives no due time."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    def read(self, text: str) -> tuple[frozenset[int], bool]:
        """The values that a field allows, and whether it counts as unrestricted.

        `*` and `?` do, also beside others in a list, also with a step of 1; with a longer step they do not.
        """
        values: set[int] = set()
        unrestricted = False
        for part in filter(None, text.split(",")):
            span, *steps = part.split("/")
            low, *high = span.split("-")
            step = 1
            if len(steps) > 1:
                raise ValueError(f"{self.name}: {part!r} has more than one step")
            if steps and (step := self._integer(steps[0])) == 0:
                raise ValueError(f"{self.name}: {part!r} has a step of 0")
            if low in ("*", "?"):
                first, last = self.least, self.most
                unrestricted |= step == 1
            elif len(high) > 1:
                raise ValueError(f"{self.name}: {part!r} has more than one hyphen")
            else:
                first = last = self._value(low)
                if high:
                    last = self._value(high[0])
                elif steps:
                    last = self.most
            if first < self.least or last > self.most:
                raise ValueError(f"{self.name}: {part!r} is not within {self.least}-{self.most}")
            if first > last:
                raise ValueError(f"{self.name}: {part!r} ends before it begins")
            values.update(range(first, last + 1, step))
        if not values:
            raise ValueError(f"{self.name}: {text!r} holds no value")
        return frozenset(values), unrestricted

    def _value(self, text: str) -> int:
        lower = text.lower()
        return self.names.index(lower) + self.least if lower in self.names else self._integer(text)

    def _integer(self, text: str) -> int:
        if not re.fullmatch(_NUMBER, text):
            raise ValueError(f"{self.name}: {text!r} is not a number{' or a name' if self.names else ''}")
        return int(text)


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    _Field("day of the week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)


def _read_fields(text: str) -> str:
    """A schedule as five fields of `*` or ascending numbers, each of which croniter reads just as a CronJob does.

    Raises:
        UnsupportedScheduleError: it is an `@every`.
        ValueError: a CronJob would refuse it. One line that repeats the text.
    """
    if text.startswith("@every "):
        raise UnsupportedScheduleError(f"{text!r} is not supported: it has no due times of its own; use five fields")
    if "TZ" in text:
        raise ValueError(f"{text!r} is not a schedule of a CronJob: it has a time zone in it")
    if text.startswith("@") and text not in _DESCRIPTORS:
        raise ValueError(f"{text!r} is not a schedule of a CronJob: known are {', '.join(_DESCRIPTORS)}")
    parts = _DESCRIPTORS.get(text, text).split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"{text!r} is not a schedule of a CronJob: it has {len(parts)} fields, not {len(_FIELDS)}")
    try:
        read = [field.read(part) for field, part in zip(_FIELDS, parts, strict=True)]
    except ValueError as error:
        raise ValueError(f"{text!r} is not a schedule of a CronJob: {error}") from None
    # `*` must stay one: a day has to match both the day of the month and the day of the week where one of them is
    # unrestricted, and either where both are restricted, if only to all values (`1-31`).
    return " ".join("*" if unrestricted else ",".join(map(str, sorted(values))) for values, unrestricted in read)


def parse_zone(name: str | None) -> tzinfo:
    """The time zone of that IANA name, such as `Europe/Prague`; UTC for None, as for a CronJob without `timeZone`.

    Raises:
        ValueError: no zone has that name.
    """
    # The shipped CronJob has this one, and zones take time to load.
    if name in (None, "Etc/UTC"):
        return UTC
    from zoneinfo import ZoneInfo

    try:
        # An empty name, a folder of the database or a file that is not a zone: each fails in its own way.
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise ValueError(f"{name!r} is not a time zone such as Europe/Prague") from None


def _utc(time: datetime) -> datetime:
    if time.utcoffset() is None:
        raise ValueError(f"{time} has no time zone")
    return time.astimezone(UTC)


def parse_moment(text: str, zone: tzinfo) -> datetime | timedelta:
    """A time, in UTC (of `zone` where it names none), or a duration, as people write them.

    Raises:
        ValueError: it is neither.
    """
    try:
        return timedelta(seconds=duration(text))
    except ValueError:
        pass
    try:
        time = datetime.fromisoformat(text)
        return _utc(time if time.tzinfo else time.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is neither a time such as 2026-12-01T02:00 nor a duration such as 3d") from None


def _instants(wall: datetime, zone: tzinfo) -> list[datetime]:
    """The instants in UTC at which a clock of the zone shows that time: none in a gap, two in a repeated hour."""
    instants = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(instant for instant in instants if instant.astimezone(zone).replace(tzinfo=None) == wall)


def _walk(fields: str, start: datetime, *, forward: bool) -> Iterator[datetime]:
    """The wall-clock times that match after `start`, or before it the latest first; `start` itself is not one."""
    from croniter import CroniterBadDateError, croniter

    calendar = croniter(fields, start, datetime, max_years_between_matches=_YEARS + 1)
    while True:
        try:
            wall: datetime = calendar.get_next() if forward else calendar.get_prev()
        except CroniterBadDateError:
            return
        if abs(wall.year - start.year) > _YEARS:
            return
        yield wall


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a CronJob is due: its text, its time zone and its fields as plain numbers. Made by `parse`."""

    text: str
    zone: tzinfo
    fields: str

    @classmethod
    def parse(cls, text: str, zone_name: str | None = None) -> Schedule:
        """Read a CronJob's `schedule` and `timeZone` (None: UTC).

        Raises:
            UnsupportedScheduleError: the schedule is an `@every`.
            ValueError: a CronJob would refuse the schedule, or there is no such zone. One line.
        """
        return cls(text, parse_zone(zone_name), _read_fields(text))

    def next_after(self, time: datetime) -> datetime | None:
        """The first due time after `time`, in UTC; None if it never comes."""
        time = _utc(time)
        wall, repeated = self._clock(time)
        # Within a repeated hour the clock will go back, or has gone back, to times before the one it shows.
        candidates = (self._first_after(wall - back, time) for back in {timedelta(0), repeated})
        return min((due for due in candidates if due is not None), default=None)

    def last_before(self, time: datetime) -> datetime | None:
        """The last due time that is not after `time` (it may be `time` itself), in UTC; None if it never came."""
        time = _utc(time)
        wall, repeated = self._clock(time)
        candidates = (self._last_until(wall + ahead + _MINUTE, time) for ahead in {timedelta(0), repeated})
        return max((due for due in candidates if due is not None), default=None)

    def _clock(self, time: datetime) -> tuple[datetime, timedelta]:
        """What the zone's clock shows, in whole minutes, and how far it is set back if it shows that time twice."""
        local = time.astimezone(self.zone)
        offsets = [local.replace(fold=fold).utcoffset() or timedelta(0) for fold in (0, 1)]
        return local.replace(tzinfo=None, fold=0, second=0, microsecond=0), offsets[0] - offsets[1]

    def _first_after(self, wall: datetime, time: datetime) -> datetime | None:
        for due in _walk(self.fields, wall, forward=True):
            for instant in _instants(due, self.zone):
                if instant > time:
                    return instant
        return None

    def _last_until(self, wall: datetime, time: datetime) -> datetime | None:
        for due in _walk(self.fields, wall, forward=False):
            for instant in reversed(_instants(due, self.zone)):
                if instant <= time:
                    return instant
        return None


@dataclass(frozen=True, slots=True)
class Window:
    """A freeze that comes again and again: its text, the fields of its beginnings, and how long it lasts each time.

    It lasts that much elapsed time: 60h are 60 hours also across a change of the clocks.
    """

    text: str
    fields: str
    length: timedelta


@dataclass(frozen=True, slots=True)
class Freeze:
    """One occurrence of a window, from `start` to just before `end`, both in UTC."""

    text: str
    start: datetime
    end: datetime


def parse_windows(text: str) -> tuple[Window, ...]:
    """Freeze windows `CRON DURATION`, `;` between them; CRON is what a CronJob accepts but `@every`.

    Raises:
        ValueError: some are wrong. One line that names each of them.
    """
    windows, errors = [], []
    for window in filter(None, (part.strip() for part in text.split(";"))):
        *cron, length = window.rsplit(maxsplit=1)
        if not cron:
            errors.append(f"{window!r} is not a schedule of a CronJob and a duration, such as 0 16 * * 5 60h")
            continue
        try:
            seconds = duration(length)
            windows.append(Window(window, _read_fields("".join(cron)), timedelta(seconds=seconds)))
        except ValueError as error:
            errors.append(f"{window!r}: {error}")
    if errors:
        raise ValueError("; ".join(errors))
    return tuple(windows)


def frozen_at(windows: Iterable[Window], time: datetime, zone: tzinfo) -> Freeze | None:
    """The freeze that covers `time`, with the windows' beginnings in `zone`; of several the one that ends last."""
    time = _utc(time)
    freezes = []
    for window in windows:
        # All occurrences of a window last equally long, so the latest that has begun is the one that ends last.
        start = Schedule(window.text, zone, window.fields).last_before(time)
        if start is not None and time < start + window.length:
            freezes.append(Freeze(window.text, start, start + window.length))
    return max(freezes, key=lambda freeze: freeze.end, default=None)
