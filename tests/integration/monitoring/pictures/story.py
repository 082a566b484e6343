"""Two weeks of a team's runs, for pictures: the reports of the job, as samples of the past that Prometheus reads in.

Production is imported once a day, last some hours ago, and that run was a bad one; staging every six hours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from prometheus_client.parser import text_string_to_metric_families

from job.domain.model import (
    By,
    Gate,
    GateVerdict,
    Hold,
    Image,
    Outcome,
    Reason,
    Report,
    Result,
    Rollout,
    RolloutResult,
    Skip,
    TagName,
    TagResult,
    Tally,
    Verdict,
)
from job.publish.metric_families import BY_NAME, PREFIX, Past
from job.publish.metrics import exposition
from tests.unit.reports import report_of

STEP = timedelta(minutes=4)
DAY = timedelta(days=1)
STREAMS = {
    "packit-service": 1.9,
    "packit-worker": 2.3,
    "packit-dashboard": 0.8,
    "tokman": 0.6,
    "hardly": 0.7,
    "sandcastle": 3.1,
    "valkey": 0.5,
}
# How old an image is when it comes in, in days; the others are built between runs.
OLD = {"hardly": 75.0, "sandcastle": 33.0}


@dataclass(frozen=True)
class Group:
    """The runs of one group, and at what hours they are due."""

    namespace: str
    deployment: str
    hours: tuple[int, ...]


def _groups(now: datetime) -> tuple[Group, ...]:
    return (
        Group("packit-prod", "prod", ((now.hour - 7) % 24,)),
        Group("packit-stg", "stg", tuple((now.hour - 4) % 6 + 6 * i for i in range(4))),
    )


def samples(now: datetime, days: int = 14) -> Iterator[str]:
    """Lines of OpenMetrics: every group's series as a Pushgateway showed them, from so many days ago until now."""
    for group in _groups(now):
        dues = list(_dues(group, now - (days + 3) * DAY, now))
        past = Past()
        for i, due in enumerate(dues):
            report = _report(group, due, i, len(dues) - 1 - i)
            text = exposition(report, group.namespace, past, unseen=report.unseen(group.namespace))
            past = _past(text)
            until = dues[i + 1] if i + 1 < len(dues) else now + timedelta(minutes=10)
            yield from _lines(group, text, report.finished_at, until)


def _dues(group: Group, start: datetime, now: datetime) -> Iterator[datetime]:
    day = start.replace(hour=0, minute=0, second=0, microsecond=0)
    while day < now:
        for hour in group.hours:
            due = day + timedelta(hours=hour)
            if due < now - timedelta(minutes=30):
                yield due
        day += DAY


def _lines(group: Group, text: bytes, begin: datetime, end: datetime) -> Iterator[str]:
    key = {"job": "import-images", "stream_namespace": group.namespace, "deployment": group.deployment}
    families = text_string_to_metric_families(text.decode())
    found = [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]
    found.append(("push_time_seconds", {}, begin.timestamp()))
    found.append(("push_failure_time_seconds", {}, 0.0))
    at = begin
    while at < end:
        for name, labels, value in found:
            told = ",".join(f'{label}="{text}"' for label, text in {**labels, **key}.items())
            yield f"{name}{{{told}}} {value} {at.timestamp():.3f}"
        at += STEP


def _past(text: bytes) -> Past:
    families: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            name = sample.name.removeprefix(PREFIX)
            labels = tuple(sample.labels.get(label, "") for label in BY_NAME[name].labels)
            families.setdefault(name, {})[labels] = sample.value
    return Past(families)


def _image(stream: str, due: datetime, build: int, age: float) -> Image:
    digest = sha256(f"{stream} {build}".encode()).hexdigest()
    return Image(f"sha256:{digest}", due - age * DAY, due, digest[-9:], None)


def _tag(group: Group, due: datetime, index: int, left: int, stream: str) -> TagResult:
    """What became of a tag in a run: `left` runs come after it."""
    tag, seconds = group.deployment, STREAMS[stream] * (1 + 0.35 * ((index * 7 + len(stream)) % 5) / 5)
    build = 0 if stream in OLD else index // (2 if stream == "tokman" else 1)
    current = _image(stream, due, build, OLD.get(stream, 0.3 + 0.13 * len(stream) % 1))
    base = TagResult(
        group.namespace,
        stream,
        tag,
        f"quay.io/packit/{stream}:{tag}",
        Result.UNCHANGED if stream in OLD or (left and index % 3 == 1) else Result.UPDATED,
        attempts=1,
        seconds=seconds,
        before=current,
        after=current,
        rollback_targets=1 if stream == "sandcastle" else 3,
    )
    bad = group.deployment == "prod"
    if stream == "valkey":
        return replace(base, result=Result.SKIPPED, reason=Skip.PINNED, seconds=None, after=_image(stream, due, 0, 120))
    if bad and stream == "tokman" and left < 3:
        hold = Hold(due - (3 - left) * DAY, due + (left + 5) * DAY, "jane", "loses tokens", current.digest)
        after = _image(stream, due - (9 - left) * DAY, 3, 2)
        return replace(base, result=Result.SKIPPED, reason=Skip.HELD, seconds=None, after=after, hold=hold)
    if bad and stream == "hardly" and left < 2:
        waits = Verdict(Gate.MIN_AGE, GateVerdict.HELD, _image(stream, due, 1, 0).digest, "waits", reason=Skip.YOUNG)
        return replace(base, result=Result.SKIPPED, reason=Skip.YOUNG, seconds=None, gates=(waits,))
    failures = {"packit-dashboard": (2, Reason.NOT_FOUND), "sandcastle": (0, Reason.RATE_LIMITED)}
    runs, reason = failures.get(stream, (-1, Reason.TIMEOUT))
    if bad and left <= runs:
        after = _image(stream, due - (2 + runs - left) * DAY, index - (runs - left) - 1, 0.4)
        return replace(base, result=Result.FAILED, reason=reason, by=By.REGISTRY, message="refused", after=after)
    if not bad and index % 23 == 7 and stream == "hardly":
        return replace(base, result=Result.FAILED, reason=Reason.UNREACHABLE, by=By.REGISTRY, message="no route")
    return base


def _report(group: Group, due: datetime, index: int, left: int) -> Report:
    late = 4 + index * 13 % 17 + (240 if index % 9 == 5 else 0)
    started = due + timedelta(seconds=late)
    finished = started + timedelta(seconds=11 + index * 5 % 8)
    tags = tuple(_tag(group, due, index, left, stream) for stream in STREAMS)
    is_frozen = group.deployment == "prod" and left == 5
    rollouts: tuple[Rollout, ...] = ()
    outcome = Outcome.PARTIAL if any(tag.result is Result.FAILED for tag in tags) else Outcome.SUCCESS
    if group.deployment == "prod" and not is_frozen:
        healthy = RolloutResult.FAILED if left == 0 else RolloutResult.HEALTHY
        told = (
            ("Deployment", "packit-service", RolloutResult.HEALTHY, 21.0 + index % 5),
            ("StatefulSet", "packit-worker", healthy, 184.0 if left == 0 else 48.0 + index % 7),
            *((("Deployment", "tokman", RolloutResult.HEALTHY, 9.0 + index % 3),) if left > 2 else ()),
        )
        rollouts = tuple(
            Rollout(group.namespace, kind, name, (TagName(group.namespace, name, "prod"),), result, None, seconds)
            for kind, name, result, seconds in told
        )
        outcome = Outcome.UNHEALTHY if left == 0 else outcome
    return report_of(
        *(() if is_frozen else tags),
        outcome=Outcome.FROZEN if is_frozen else outcome,
        trigger="scheduled",
        deployment=group.deployment,
        namespaces=(group.namespace,),
        outcomes={group.namespace: Outcome.FROZEN if is_frozen else outcome},
        tallies={
            group.namespace: Tally(Counter({"200": 9, "201": 7}), Counter({"rate_limited": 4} if not left else {}))
        },
        scheduled_at=due,
        started_at=started,
        finished_at=finished,
        next_run=next(each for each in _dues(group, due, due + 5 * DAY) if each > due),
        rollouts=rollouts,
    )
