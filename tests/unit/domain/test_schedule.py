from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from job.domain.schedule import (
    Freeze,
    Schedule,
    UnsupportedScheduleError,
    frozen_at,
    parse_windows,
    parse_zone,
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
@pytest.mark.parametrize(
    ("text", "zone", "start", "expected"),
    [
        ("30 2 * * *", PRAGUE, "2026-03-28T02:30+01:00", ["2026-03-30T02:30+02:00", "2026-03-31T02:30+02:00"]),
        ("0 2 * * *", PRAGUE, "2026-03-28T02:00+01:00", ["2026-03-30T02:00+02:00"]),
        ("0 3 * * *", PRAGUE, "2026-03-28T03:00+01:00", ["2026-03-29T03:00+02:00"]),
        ("0 2 * * 0", PRAGUE, "2026-03-22T02:00+01:00", ["2026-04-05T02:00+02:00"]),
        ("0 0 * * *", PRAGUE, "2026-03-28T12:00+01:00", ["2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"]),
        (
            "0 * * * *",
            PRAGUE,
            "2026-03-29T00:30+01:00",
            ["2026-03-29T01:00+01:00", "2026-03-29T03:00+02:00", "2026-03-29T04:00+02:00"],
        ),
        (
            "*/15 * * * *",
            PRAGUE,
            "2026-03-29T01:30+01:00",
            ["2026-03-29T01:45+01:00", "2026-03-29T03:00+02:00", "2026-03-29T03:15+02:00"],
        ),
        (
            "30 2 * * *",
            PRAGUE,
            "2026-10-24T02:30+02:00",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-26T02:30+01:00"],
        ),
        (
            "0 2 * * *",
            PRAGUE,
            "2026-10-25T01:00+02:00",
            ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-26T02:00+01:00"],
        ),
        ("0 3 * * *", PRAGUE, "2026-10-24T03:00+02:00", ["2026-10-25T03:00+01:00", "2026-10-26T03:00+01:00"]),
        (
            "0 * * * *",
            PRAGUE,
            "2026-10-25T01:00+02:00",
            ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"],
        ),
        (
            "*/15 * * * *",
            PRAGUE,
            "2026-10-25T02:30+02:00",
            [
                "2026-10-25T02:45+02:00",
                "2026-10-25T02:00+01:00",
                "2026-10-25T02:15+01:00",
                "2026-10-25T02:30+01:00",
                "2026-10-25T02:45+01:00",
                "2026-10-25T03:00+01:00",
            ],
        ),
        ("30 2 * * *", NEW_YORK, "2026-03-07T02:30-05:00", ["2026-03-09T02:30-04:00"]),
        ("0 2 8 3 *", NEW_YORK, "2026-01-01T00:00-05:00", ["2027-03-08T02:00-05:00"]),
        ("0 * * * *", NEW_YORK, "2026-03-08T00:59-05:00", ["2026-03-08T01:00-05:00", "2026-03-08T03:00-04:00"]),
        (
            "*/15 1-3 * * *",
            NEW_YORK,
            "2026-03-08T01:30-05:00",
            ["2026-03-08T01:45-05:00", "2026-03-08T03:00-04:00"],
        ),
        ("30 2 * * *", NEW_YORK, "2026-10-31T02:30-04:00", ["2026-11-01T02:30-05:00", "2026-11-02T02:30-05:00"]),
        (
            "30 1 * * *",
            NEW_YORK,
            "2026-10-31T01:30-04:00",
            ["2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00", "2026-11-02T01:30-05:00"],
        ),
        ("30 1 1 11 *", NEW_YORK, "2026-11-01T01:45-04:00", ["2026-11-01T01:30-05:00", "2027-11-01T01:30-04:00"]),
        (
            "0 * * * *",
            NEW_YORK,
            "2026-11-01T00:00-04:00",
            ["2026-11-01T01:00-04:00", "2026-11-01T01:00-05:00", "2026-11-01T02:00-05:00"],
        ),
        (
            "*/15 * * * *",
            NEW_YORK,
            "2026-11-01T01:45-04:00",
            ["2026-11-01T01:00-05:00", "2026-11-01T01:15-05:00"],
        ),
    ],
)
def test_due_times_around_a_change_of_the_clocks(text: str, zone: str, start: str, expected: list[str]) -> None:
    schedule = Schedule.parse(text, zone)
    assert dues(schedule, start, len(expected)) == expected
    times = [at(start), *map(at, expected)]
    for earlier, later in pairwise(times[1:]):
        assert schedule.last_before(later) == later
        assert schedule.last_before(later - timedelta(microseconds=1)) == earlier


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("0 0 13 * *", [13]),
        ("0 0 13 * 5", [3, 10, 13, 17, 24, 31]),
        ("0 0 * * 1", [6, 13, 20, 27]),
        ("0 0 ? * 1", [6, 13, 20, 27]),
        ("0 0 */1 * 1", [6, 13, 20, 27]),
        ("0 0 *,5 * 1", [6, 13, 20, 27]),
        # A longer step restricts, and so does a full range: the days then count as well as the weekdays.
        ("0 0 */10 * 1", [1, 6, 11, 13, 20, 21, 27, 31]),
        ("0 0 ?/10 * 1", [1, 6, 11, 13, 20, 21, 27, 31]),
        ("0 0 1-31 * 1", [*range(1, 32)]),
        ("0 0 13 * 0-6", [*range(1, 32)]),
        ("0 0 13 * */7", [5, 12, 13, 19, 26]),
        ("0 0 13 * */1", [13]),
        ("0 0 * JUL SAT,sun", [4, 5, 11, 12, 18, 19, 25, 26]),
        ("0 0 * jun-Aug Wed-FRI/2", [1, 3, 8, 10, 15, 17, 22, 24, 29, 31]),
        ("0 0 25/3 * ?", [25, 28, 31]),
        ("0 0 +5,,07-9/99, * *", [5, 7]),
        ("  0\t0 31 * *  ", [31]),
    ],
)
def test_days(text: str, days: list[int]) -> None:
    # July 2026 begins on a Wednesday.
    schedule = Schedule.parse(text)
    assert dues(schedule, "2026-06-30T23:59Z", len(days)) == [f"2026-07-{day:02}T00:00+00:00" for day in days]
    following = schedule.next_after(at(f"2026-07-{days[-1]:02}T00:00Z"))
    assert following is not None
    assert following >= at("2026-08-01T00:00Z")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@yearly", "2027-01-01T00:00+00:00"),
        ("@annually", "2027-01-01T00:00+00:00"),
        ("@monthly", "2026-08-01T00:00+00:00"),
        ("@weekly", "2026-07-05T00:00+00:00"),
        ("@daily", "2026-07-02T00:00+00:00"),
        ("@midnight", "2026-07-02T00:00+00:00"),
        ("@hourly", "2026-07-01T11:00+00:00"),
        ("5/20 * * * *", "2026-07-01T10:25+00:00"),
        ("59 23 * * *", "2026-07-01T23:59+00:00"),
        ("* * * * *", "2026-07-01T10:08+00:00"),
    ],
)
def test_next_after(text: str, expected: str) -> None:
    assert dues(Schedule.parse(text), "2026-07-01T10:07:30.5Z", 1) == [expected]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0 2 * * 7", "day of the week: '7' is not within 0-6"),
        ("0 2 * * 5-7", "day of the week: '5-7' is not within 0-6"),
        ("0 2 L * *", "day of the month: 'L' is not a number"),
        ("0 2 * * 5L", "'5L'"),
        ("0 2 * * L5", "'L5'"),
        ("0 2 * * 5#2", "'5#2'"),
        ("0 2 15W * *", "'15W'"),
        ("0 0 2 * * *", "6 fields, not 5"),
        ("0 0 2 * * * 2026", "7 fields"),
        ("0 2 * *", "4 fields"),
        ("", "0 fields"),
        ("TZ=UTC 0 2 * * *", "time zone"),
        ("CRON_TZ=Europe/Prague 0 2 * * *", "time zone"),
        ("TZ=UTC @daily", "time zone"),
        ("R R * * *", "'R'"),
        ("H H * * *", "'H'"),
        ("H(0-29) 2 * * *", "'H(0'"),
        ("60 * * * *", "minute: '60' is not within 0-59"),
        ("* 24 * * *", "hour: '24'"),
        ("* * 0 * *", "'0' is not within 1-31"),
        ("* * * 13 *", "month: '13'"),
        ("* * * foo *", "month: 'foo' is not a number or a name"),
        ("* * * January *", "'January'"),
        ("MON * * * *", "minute: 'MON'"),
        ("0 22-2 * * *", "hour: '22-2' ends before it begins"),
        ("0 2 * * FRI-SUN", "ends before it begins"),
        ("*/0 * * * *", "step of 0"),
        ("*/-5 * * * *", "'-5'"),
        ("*/5/5 * * * *", "more than one step"),
        ("1-2-3 * * * *", "more than one hyphen"),
        ("-5 * * * *", "'' is not a number"),
        ("5- * * * *", "'' is not a number"),
        ("* * , * *", "holds no value"),
        ("** * * * *", "'**'"),
        ("1.5 * * * *", "'1.5'"),
        ("٣ * * * *", "minute: "),
        ("9" * 5000 + " * * * *", "minute: "),
        ("@Daily", "known are @yearly"),
        ("@reboot", "@hourly"),
        (" @daily", "1 fields"),
        ("@daily ", "known are"),
        ("@every", "known are"),
        ("0 2\n* * 7", r"'0 2\n* * 7'"),
    ],
)
def test_what_a_cron_job_refuses(text: str, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        Schedule.parse(text, PRAGUE)
    assert not isinstance(caught.value, UnsupportedScheduleError)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    if text == text.strip():
        with pytest.raises(ValueError, match="is not a schedule of a CronJob"):
            parse_windows(f"{text} 2h")


def test_every_is_told_apart() -> None:
    with pytest.raises(UnsupportedScheduleError, match="'@every 1h' is not supported"):
        Schedule.parse("@every 1h", PRAGUE)


def test_zones() -> None:
    assert parse_zone(None) is UTC
    assert Schedule.parse("@daily").zone is UTC
    assert Schedule.parse("@daily", PRAGUE).zone == ZoneInfo(PRAGUE)


@pytest.mark.parametrize(
    "name", ["", "Local", "Europe", "Europe/Pariss", "../UTC", "/etc/hostname", "a" * 300, "Europe/Prague ", "\0", "é"]
)
def test_zones_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="is not a time zone such as Europe/Prague") as caught:
        Schedule.parse("@daily", name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "time", "last", "following"),
    [
        # Older releases of croniter lose their way at the end of February.
        ("0 0 29 * *", "2028-03-14T00:00Z", "2028-02-29T00:00Z", "2028-03-29T00:00Z"),
        ("0 0 29-31 * *", "2028-03-03T00:00Z", "2028-02-29T00:00Z", "2028-03-29T00:00Z"),
        ("0 0 */5 * *", "2026-02-26T00:00Z", "2026-02-26T00:00Z", "2026-03-01T00:00Z"),
        ("0 0 1,31 * *", "2027-02-10T00:00Z", "2027-02-01T00:00Z", "2027-03-01T00:00Z"),
        ("0 0 31 1 3", "2027-02-01T00:00Z", "2027-01-31T00:00Z", "2028-01-05T00:00Z"),
    ],
)
def test_the_end_of_february(text: str, time: str, last: str, following: str) -> None:
    schedule = Schedule.parse(text)
    assert (schedule.last_before(at(time)), schedule.next_after(at(time))) == (at(last), at(following))


@pytest.mark.parametrize("text", ["0 0 30 2 *", "0 0 31 4,6,9,11 ?", "59 23 31 Feb *"])
@pytest.mark.parametrize("zone", [None, PRAGUE])
def test_never_due(text: str, zone: str | None) -> None:
    schedule = Schedule.parse(text, zone)
    schedule.next_after(at("2026-01-01T00:00Z"))
    begun = perf_counter()
    assert schedule.next_after(at("2026-07-01T00:00Z")) is None
    assert schedule.last_before(at("2026-07-01T00:00Z")) is None
    assert perf_counter() - begun < 1


def test_kubernetes_looks_ahead_to_the_end_of_the_fifth_year() -> None:
    leap_day = Schedule.parse("0 0 29 2 *")
    # 2100 has no 29 February.
    assert leap_day.next_after(at("2098-12-31T23:59Z")) is None
    assert leap_day.next_after(at("2099-01-01T00:00Z")) == at("2104-02-29T00:00Z")


def test_a_time_without_a_zone_is_refused() -> None:
    schedule = Schedule.parse("@daily")
    for ask in (schedule.next_after, schedule.last_before):
        with pytest.raises(ValueError, match="has no time zone"):
            ask(datetime(2026, 7, 1))
    with pytest.raises(ValueError, match="has no time zone"):
        frozen_at((), datetime(2026, 7, 1), UTC)


CHRISTMAS, WEEKENDS = "0 0 20 12 * 14d", "0 16 * * 5 60h"


def test_windows_are_read() -> None:
    windows = parse_windows(f" {CHRISTMAS};{WEEKENDS} ;; @weekly  1h30m;")
    assert [window.text for window in windows] == [CHRISTMAS, WEEKENDS, "@weekly  1h30m"]
    assert [window.length for window in windows] == [timedelta(days=14), timedelta(hours=60), timedelta(minutes=90)]
    assert parse_windows("") == parse_windows(" ; ") == ()


def test_all_wrong_windows_are_told() -> None:
    with pytest.raises(ValueError) as caught:
        parse_windows(f"0 16 * * 7 60h; {CHRISTMAS}; 0 16 * * 5; 2h; @every 1h 5m; @daily 0s; @daily\n9y")
    told = str(caught.value)
    assert "'2h' is not a schedule of a CronJob and a duration" in told
    for window in ("0 16 * * 7 60h", "0 16 * * 5", "@every 1h 5m", "@daily 0s", r"@daily\n9y"):
        assert f"'{window}': " in told
    assert "0 20 12" not in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-12-18T14:59:59.999Z", None),
        # Friday 16:00 until Monday 04:00; Christmas begins on Sunday.
        ("2026-12-18T15:00Z", (WEEKENDS, "2026-12-18T15:00Z", "2026-12-21T03:00Z")),
        ("2026-12-19T22:59Z", (WEEKENDS, "2026-12-18T15:00Z", "2026-12-21T03:00Z")),
        ("2026-12-19T23:00Z", (CHRISTMAS, "2026-12-19T23:00Z", "2027-01-02T23:00Z")),
        ("2026-12-26T00:00Z", (CHRISTMAS, "2026-12-19T23:00Z", "2027-01-02T23:00Z")),
        ("2027-01-01T14:59Z", (CHRISTMAS, "2026-12-19T23:00Z", "2027-01-02T23:00Z")),
        ("2027-01-01T15:00Z", (WEEKENDS, "2027-01-01T15:00Z", "2027-01-04T03:00Z")),
        ("2027-01-04T02:59:59.999Z", (WEEKENDS, "2027-01-01T15:00Z", "2027-01-04T03:00Z")),
        ("2027-01-04T03:00Z", None),
        # The clocks change on Sunday, and 60 hours stay 60 hours: until Monday 05:00 in spring, 03:00 in autumn.
        ("2026-03-30T02:59Z", (WEEKENDS, "2026-03-27T15:00Z", "2026-03-30T03:00Z")),
        ("2026-03-30T03:00Z", None),
        ("2026-10-26T01:59Z", (WEEKENDS, "2026-10-23T14:00Z", "2026-10-26T02:00Z")),
        ("2026-10-26T02:00Z", None),
    ],
)
def test_frozen_at(time: str, expected: tuple[str, str, str] | None) -> None:
    freeze = frozen_at(parse_windows(f"{CHRISTMAS}; {WEEKENDS}"), at(time), ZoneInfo(PRAGUE))
    assert freeze == (expected and Freeze(expected[0], at(expected[1]), at(expected[2])))


def test_a_window_longer_than_its_period() -> None:
    windows = parse_windows("0 6 * * * 36h")
    assert frozen_at(windows, at("2026-07-01T05:59Z"), UTC) == Freeze(
        "0 6 * * * 36h", at("2026-06-30T06:00Z"), at("2026-07-01T18:00Z")
    )
    assert frozen_at(windows, at("2026-07-01T06:00Z"), UTC) == Freeze(
        "0 6 * * * 36h", at("2026-07-01T06:00Z"), at("2026-07-02T18:00Z")
    )
    # Nobody freezes for ten years each 29 February, but nothing stops them.
    freeze = frozen_at(parse_windows("0 0 29 2 * 3650d"), at("2027-07-01T06:00Z"), UTC)
    assert freeze is not None
    assert freeze.start == at("2024-02-29T00:00Z")


def test_a_window_that_would_begin_in_the_gap_does_not_begin() -> None:
    windows = parse_windows("30 2 * * * 1h")
    assert frozen_at(windows, at("2026-03-29T01:15Z"), ZoneInfo(PRAGUE)) is None
    # In autumn it begins twice.
    for start in ("2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"):
        freeze = frozen_at(windows, at(start) + timedelta(minutes=59), ZoneInfo(PRAGUE))
        assert freeze == Freeze("30 2 * * * 1h", at(start), at(start) + timedelta(hours=1))


def test_no_schedule_needs_the_calendar_before_it_is_asked() -> None:
    code = (
        "import sys; from job.domain.schedule import *; Schedule.parse('@daily', None); parse_windows('@weekly 2h');"
        "sys.exit('croniter' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Properties, against a look at each single minute. The zones change their clocks by an hour, by half an hour, at
# midnight, and (Samoa in December 2011) by a whole day that is left out.
CHANGES = {
    PRAGUE: ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    NEW_YORK: ("2026-03-08T07:00Z", "2026-11-01T06:00Z"),
    "Australia/Lord_Howe": ("2026-04-04T15:00Z", "2026-10-03T15:30Z"),
    "Asia/Beirut": ("2026-03-28T22:00Z", "2026-10-24T21:00Z"),
    "Pacific/Apia": ("2011-12-30T10:00Z", "2026-07-01T00:00Z"),
    "UTC": ("2028-02-29T12:00Z", "2026-12-31T23:59Z"),
}
NAMES = {
    3: ("JAN", "feb", "Mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "NOV", "dec"),
    4: ("sun", "MON", "tue", "Wed", "thu", "fri", "sat"),
}
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@dataclass(frozen=True)
class Expected:
    """A schedule, and what its fields allow."""

    text: str
    allowed: tuple[frozenset[int], ...]
    either_day: bool

    def matches(self, wall: datetime) -> bool:
        minutes, hours, days, months, weekdays = self.allowed
        if wall.minute not in minutes or wall.hour not in hours or wall.month not in months:
            return False
        by_day, by_weekday = wall.day in days, wall.isoweekday() % 7 in weekdays
        return by_day or by_weekday if self.either_day else by_day and by_weekday


@st.composite
def fields(draw: st.DrawFn, index: int) -> tuple[str, frozenset[int], bool]:
    least, most = BOUNDS[index]
    numbers = st.integers(least, most)
    texts, values, unrestricted = [], set[int](), False

    def written(number: int) -> str:
        return draw(
            st.sampled_from([str(number), *(names[number - least] for names in [NAMES.get(index, ())] if names)])
        )

    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        step = draw(st.sampled_from([None, None, 1, 2, 5, 11, 70]))
        suffix = "" if step is None else f"/{step}"
        kind = draw(st.sampled_from("*?nnnr"))
        if kind in "*?":
            texts.append(kind + suffix)
            first, last = least, most
            unrestricted |= step in (None, 1)
        elif kind == "n":
            first = draw(numbers)
            last = first if step is None else most
            texts.append(written(first) + suffix)
        else:
            first, last = sorted((draw(numbers), draw(numbers)))
            texts.append(f"{written(first)}-{written(last)}{suffix}")
        values.update(range(first, last + 1, step or 1))
    return ",".join(texts), frozenset(values), unrestricted


@st.composite
def schedules(draw: st.DrawFn) -> Expected:
    drawn = [draw(fields(index)) for index in range(5)]
    if draw(st.booleans()):
        # What matters most happens in the first hours of a day.
        hour = draw(st.integers(0, 3))
        drawn[1] = str(hour), frozenset([hour]), False
    if draw(st.booleans()):
        drawn[3] = "*", frozenset(range(1, 13)), True
    return Expected(
        " ".join(text for text, _, _ in drawn),
        tuple(values for _, values, _ in drawn),
        not (drawn[2][2] or drawn[4][2]),
    )


@st.composite
def moments(draw: st.DrawFn) -> tuple[datetime, str]:
    zone = draw(st.sampled_from(list(CHANGES)))
    change = at(draw(st.sampled_from(CHANGES[zone])))
    near = st.integers(-7200, 7200) | st.integers(-3 * 86400, 3 * 86400) | st.integers(-(10**7), 10**7)
    return change + timedelta(seconds=draw(near), microseconds=draw(st.sampled_from([0, 0, 1, 999_999]))), zone


def minutes_between(after: datetime, until: datetime) -> Iterator[datetime]:
    """Each whole minute later than `after` and not later than `until`."""
    minute = after.replace(second=0, microsecond=0) + MINUTE
    while minute <= until:
        yield minute
        minute += MINUTE


@settings(max_examples=50)
@given(expected=schedules(), moment=moments())
def test_the_next_due_time_matches_and_no_earlier_one_does(expected: Expected, moment: tuple[datetime, str]) -> None:
    time, zone_name = moment
    schedule = Schedule.parse(expected.text, zone_name)
    due = schedule.next_after(time)
    limit = time + timedelta(days=3)
    for minute in minutes_between(time, limit if due is None else min(limit, due - MINUTE)):
        assert not expected.matches(minute.astimezone(schedule.zone))
    if due is None:
        return
    assert due > time
    assert due.second == due.microsecond == 0
    assert expected.matches(due.astimezone(schedule.zone))
    assert schedule.last_before(due) == due
    last = schedule.last_before(due - timedelta(microseconds=1))
    assert last is None or last <= time
    assert last == schedule.last_before(time)


@settings(max_examples=50)
@given(expected=schedules(), moment=moments())
def test_the_last_due_time_matches_and_no_later_one_does(expected: Expected, moment: tuple[datetime, str]) -> None:
    time, zone_name = moment
    schedule = Schedule.parse(expected.text, zone_name)
    due = schedule.last_before(time)
    limit = time - timedelta(days=3)
    for minute in minutes_between(limit if due is None else max(limit, due), time):
        assert not expected.matches(minute.astimezone(schedule.zone))
    if due is None:
        return
    assert due <= time
    assert expected.matches(due.astimezone(schedule.zone))
    following = schedule.next_after(due)
    assert following is None or following > time
    assert following == schedule.next_after(time)


@settings(max_examples=40)
@given(
    drawn=st.lists(st.tuples(schedules(), st.integers(1, 2 * 1440)), max_size=3),
    moment=moments(),
)
def test_freezes_agree_with_a_look_at_each_minute(
    drawn: list[tuple[Expected, int]], moment: tuple[datetime, str]
) -> None:
    time, zone_name = moment
    zone = ZoneInfo(zone_name)
    freeze = frozen_at(parse_windows(";".join(f"{each.text} {length}m" for each, length in drawn)), time, zone)
    ends = [
        minute + timedelta(minutes=length)
        for each, length in drawn
        for minute in minutes_between(time - timedelta(minutes=length), time)
        if each.matches(minute.astimezone(zone))
    ]
    assert (freeze and freeze.end) == max(ends, default=None)
    if freeze is not None:
        assert freeze.start <= time < freeze.end
        assert any(
            freeze.text == f"{each.text} {length}m"
            and freeze.end - freeze.start == timedelta(minutes=length)
            and each.matches(freeze.start.astimezone(zone))
            for each, length in drawn
        )


CRON_LIKE = st.text("0123456789 */-,?;@LW#HRTZ=hmsdaily", max_size=24)


@settings(max_examples=200)
@given(text=st.text(max_size=24) | CRON_LIKE | st.lists(CRON_LIKE, min_size=5, max_size=6).map(" ".join))
@example("@weekly 2h")
@example("* * * * * 1d")
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (
        lambda: Schedule.parse(text).next_after(at("2026-07-01T00:00Z")),
        lambda: frozen_at(parse_windows(text), at("2026-07-01T00:00Z"), UTC),
        lambda: parse_zone(text),
    ):
        try:
            read()
        except ValueError as error:
            assert len(str(error).splitlines()) == 1
