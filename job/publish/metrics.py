"""A report as metrics: the one place that knows their names, labels and meanings.

A Pushgateway keeps what it was last given, so a push replaces the whole group of a namespace; what a run did not learn
(the last success of a tag that failed now, tags it did not check) is carried over from the `Past`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client import Counter as CounterMetric
from prometheus_client.core import GaugeMetricFamily, Metric

from job import VERSION
from job.domain.model import Command, Outcome, Report, Result, RolloutResult, TagResult, TriggerKind
from job.domain.secrets import SECRETS
from job.domain.text import writable

PREFIX = "import_images_"
TAG = ("stream", "tag")
WORKLOAD = ("kind", "name")
BAD_ROLLOUT = "rollout_bad_timestamp_seconds"
Values = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Past:
    """What an earlier push left: values by family (without prefix) and by label values in the family's order."""

    families: Mapping[str, Values] = field(default_factory=dict)
    # Workloads (kind, name) whose rollout is still bad after this run; None where the journal is not known.
    bad_rollouts: frozenset[tuple[str, ...]] | None = None

    def of(self, name: str) -> Values:
        """The values of one family."""
        return self.families.get(name, {})

    def over(self, other: Past) -> Past:
        """This past, and what only the other one knows."""
        names = {*self.families, *other.families}
        return Past({name: {**other.of(name), **self.of(name)} for name in names}, self.bad_rollouts)


# A tag's samples in one family: label values after stream and tag, and the value.
Samples = Iterable[tuple[tuple[str, ...], float]]


NOTIFICATIONS = "notifications"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family: its name without the prefix, its HELP text and its labels.

    `of_tag` makes its samples of one tag, from the tag's result, the time (Unix seconds) the run ended, and the past;
    None where the family belongs to the run.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    of_tag: Callable[[TagResult, float, Past], Samples] | None = None


def _one(value: float | None) -> Samples:
    return () if value is None else (((), value),)


def _unix(time: datetime | None) -> Samples:
    return () if time is None else (((), time.timestamp()),)


def _failure(tag: TagResult) -> Samples:
    return (((str(tag.reason),), 1),) if tag.result is Result.FAILED else ()


def _failed_runs(tag: TagResult, past: Past) -> Samples:
    before = past.of("tag_failed_runs").get((tag.stream, tag.tag), 0)
    if not tag.was_tried:
        return _one(before or None)
    return _one(before + 1 if tag.result is Result.FAILED else None)


def _image(tag: TagResult) -> Samples:
    return () if tag.after is None else (((tag.after.digest, tag.after.revision or "", tag.source or ""), 1),)


def _last_success(tag: TagResult, finished: float, past: Past) -> Samples:
    if tag.result in (Result.UPDATED, Result.UNCHANGED):
        return _one(finished)
    return _one(past.of("tag_last_success_timestamp_seconds").get((tag.stream, tag.tag)))


FAMILIES: tuple[Family, ...] = (
    Family("build_info", "1; the version of import-images that ran last.", ("version",)),
    Family("last_run_timestamp_seconds", "When the last run ended. Older than the schedule: check the CronJob."),
    Family(
        "last_success_timestamp_seconds",
        "When a run last ended with outcome success. Older than the last run: see run_outcome and tag_failure.",
    ),
    Family("run_duration_seconds", "How long the last run took."),
    Family("run_outcome", "1 for the outcome of the last run, 0 for the others.", ("outcome",)),
    Family("tags", "How many tags ended with each result in the last run.", ("result",)),
    Family("api_requests", "Requests of the last run to the API by HTTP status; none: no answer.", ("code",)),
    Family("retries", "Retries of the last run, by the reason of the failure before.", ("reason",)),
    Family(
        "next_run_timestamp_seconds",
        "When the CronJob is due next. Absent: suspended, or its schedule is not known.",
    ),
    Family(
        "start_delay_seconds",
        "How late the last scheduled run started. Absent: the last run was not a scheduled one.",
    ),
    Family(
        "tag_result",
        "1; the result of the tag in the last run that selected it.",
        (*TAG, "result"),
        lambda tag, finished, past: (((tag.result,), 1),),
    ),
    Family(
        "tag_failure",
        "1; why the tag failed in the last run. Absent: it did not.",
        (*TAG, "reason"),
        lambda tag, finished, past: _failure(tag),
    ),
    Family(
        "tag_failed_runs",
        "How many consecutive runs the tag has failed. Absent: the last one did not.",
        TAG,
        lambda tag, finished, past: _failed_runs(tag, past),
    ),
    Family(
        "tag_import_seconds",
        "How long the requests that imported the tag took.",
        TAG,
        lambda tag, finished, past: _one(tag.seconds),
    ),
    Family(
        "tag_image_info",
        "1; the image of the tag: digest, revision (from the image's labels), and the source that it follows.",
        (*TAG, "digest", "revision", "source"),
        lambda tag, finished, past: _image(tag),
    ),
    Family(
        "tag_image_created_timestamp_seconds",
        "When the tag's image was built.",
        TAG,
        lambda tag, finished, past: _unix(tag.after.created if tag.after else None),
    ),
    Family(
        "tag_updated_timestamp_seconds",
        "When the tag got its image.",
        TAG,
        lambda tag, finished, past: _unix(tag.after.imported_at if tag.after else None),
    ),
    Family(
        "tag_last_success_timestamp_seconds",
        "When the tag was last seen to be as the registry has it. Survives failures: old means stale.",
        TAG,
        _last_success,
    ),
    Family(
        "tag_held",
        "1 while a rollback holds the tag; import-images resume releases it.",
        TAG,
        lambda tag, finished, past: _one(None if tag.hold is None else 1),
    ),
    Family(
        "tag_hold_start_timestamp_seconds",
        "Since when the tag is held.",
        TAG,
        lambda tag, finished, past: _unix(tag.hold.at if tag.hold else None),
    ),
    Family(
        "tag_hold_end_timestamp_seconds",
        "Until when the tag is held. Absent: until import-images resume.",
        TAG,
        lambda tag, finished, past: _unix(tag.hold.until if tag.hold else None),
    ),
    Family(
        "tag_rollback_targets",
        "Earlier images of the tag that the registry still has (CHECK_HORIZON). Below 2: soon nothing to roll back to.",
        TAG,
        lambda tag, finished, past: _one(tag.rollback_targets),
    ),
    Family(
        "rollout_healthy",
        "1 if the workload became healthy with what a run imported, else 0; see the report, or import-images status.",
        WORKLOAD,
    ),
    Family("rollout_seconds", "How long the workload's rollout was watched in the last run.", WORKLOAD),
    Family(
        NOTIFICATIONS, "Messages of the last run, by whether the service took them. Absent: it sent none.", ("result",)
    ),
    Family(
        BAD_ROLLOUT,
        "When the workload was first seen not to be healthy with the image of the tag; result says why. Absent: it is.",
        (*WORKLOAD, *TAG, "result"),
    ),
)
BY_NAME = {family.name: family for family in FAMILIES}
# What a run that changed nothing else may still say.
RUN_FAMILIES = ("last_run_timestamp_seconds", "run_duration_seconds", "run_outcome")
# What a full run has to know of the past; a narrowed one has to know all of it.
CARRIED_FAMILIES = frozenset(
    {
        "last_success_timestamp_seconds",
        "next_run_timestamp_seconds",
        "tag_last_success_timestamp_seconds",
        "tag_failed_runs",
    }
)


def _run_values(report: Report, namespace: str, past: Past) -> dict[str, Values]:
    """The series of the run itself."""
    finished = report.finished_at.timestamp()
    outcome = report.outcomes[namespace]
    tally = report.tallies.get(namespace)
    counts = Counter(tag.result for tag in report.tags if tag.namespace == namespace)
    values: dict[str, Values] = {
        "build_info": {(VERSION,): 1},
        "last_run_timestamp_seconds": {(): finished},
        "run_duration_seconds": {(): (report.finished_at - report.started_at).total_seconds()},
        "run_outcome": {(each,): float(each is outcome) for each in Outcome},
        "tags": {(result,): counts[result] for result in Result},
        "api_requests": {(code,): count for code, count in sorted(tally.requests.items())} if tally else {},
        "retries": {(reason,): count for reason, count in sorted(tally.retries.items())} if tally else {},
        "last_success_timestamp_seconds": past.of("last_success_timestamp_seconds"),
        "next_run_timestamp_seconds": _next_run(report, past),
        "start_delay_seconds": {} if report.start_delay is None else {(): report.start_delay},
    }
    values |= _rollout_values(report, namespace, past)
    if outcome is Outcome.SUCCESS:
        values["last_success_timestamp_seconds"] = {(): finished}
    return values


def _next_run(report: Report, past: Past) -> Values:
    """When the CronJob is due next: a run on a workstation knows of none, but does not change when it is."""
    if report.next_run is None:
        return past.of("next_run_timestamp_seconds") if report.trigger is TriggerKind.LOCAL else {}
    return {(): report.next_run.timestamp()}


def _rollout_values(report: Report, namespace: str, past: Past) -> dict[str, Values]:
    """The series of the workloads; of one that was rolled back, what the import made of it counts."""
    healthy = dict[tuple[str, ...], float]()
    seconds = dict[tuple[str, ...], float]()
    bad = dict[tuple[str, ...], float]()
    # By workload and tag: with another result it is still the same bad rollout.
    first_seen = {key[:-1]: value for key, value in past.of(BAD_ROLLOUT).items()}
    for rollout in report.rollouts:
        if any(name.namespace == namespace for name in rollout.tags) and rollout.result is not RolloutResult.PAUSED:
            key = rollout.kind, rollout.name
            healthy[key] = min(healthy.get(key, 1), 0 if rollout.is_bad else 1)
            if rollout.seconds is not None:
                seconds[key] = seconds.get(key, 0) + rollout.seconds
            for name in rollout.tags if rollout.is_bad else ():
                if name.namespace == namespace:
                    what = (*key, name.stream, name.tag)
                    bad[(*what, rollout.result)] = first_seen.get(what, report.finished_at.timestamp())
    return {"rollout_healthy": healthy, "rollout_seconds": seconds, BAD_ROLLOUT: bad}


def _carried_rollouts(family: str, past: Past, *, carries: bool) -> Values:
    """Series of workloads that this run did not watch: bad ones stay until the journal has them no longer."""
    carried = past.of("rollout_healthy") if carries else {}
    if past.bad_rollouts is not None:
        carried = {key: value for key, value in carried.items() if value} | dict.fromkeys(past.bad_rollouts, 0.0)
    if family == "rollout_healthy":
        return carried
    # The first labels are those of the workload.
    bad_only = family == BAD_ROLLOUT
    return {
        key: value
        for key, value in past.of(family).items()
        if key[: len(WORKLOAD)] in carried and not (bad_only and carried[key[: len(WORKLOAD)]])
    }


def _values(
    report: Report, namespace: str, past: Past, *, narrowed: bool, unseen: bool
) -> Iterator[tuple[Family, Values]]:
    """Every family of the namespace's group with its values, one family at a time.

    Args:
        report: of the run.
        namespace: whose group it is.
        past: what an earlier push left.
        narrowed: only the run's own tags change, and when it ended; all else is carried.
        unseen: the run did not get to see the namespace's tags, so they are carried.
    """
    finished = report.finished_at.timestamp()
    tags = [tag for tag in report.tags if tag.namespace == namespace and report.deployment in (None, tag.tag)]
    own = {(tag.stream, tag.tag) for tag in tags}
    of_run = _run_values(report, namespace, past)
    watched = of_run["rollout_healthy"]
    of_workloads = {
        name: {
            **{
                key: value
                for key, value in _carried_rollouts(name, past, carries=narrowed or unseen).items()
                if key[: len(WORKLOAD)] not in watched
            },
            **of_run[name],
        }
        for name in ("rollout_healthy", "rollout_seconds", BAD_ROLLOUT)
    }
    if narrowed:
        changed = ("last_run_timestamp_seconds",) if report.command is Command.RUN else ()
        of_run = {**past.families, **{name: of_run[name] for name in changed}}
    of_run = {**of_run, **of_workloads}
    for family in FAMILIES:
        if family.of_tag is None:
            yield family, of_run.get(family.name, {})
            continue
        values = dict[tuple[str, ...], float]()
        if narrowed or unseen:
            # Without a value: what the journal knows not to have failed, whatever a gateway still holds.
            kept = [(key, value) for key, value in past.of(family.name).items() if key[:2] not in own]
            values.update((key, value) for key, value in kept if value or family.name != "tag_failed_runs")
        for tag in tags:
            for labels, value in family.of_tag(tag, finished, past):
                values[(tag.stream, tag.tag, *labels)] = value
        yield family, values


class _Collected:
    """Metrics that are there already, as a collector."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def _text(family: Family, values: Values) -> bytes:
    metric = GaugeMetricFamily(PREFIX + family.name, family.help, labels=family.labels)
    for labels, value in values.items():
        metric.add_metric([SECRETS.redact(writable(label)) for label in labels], value)
    return generate_latest(_Collected(metric))


def exposition(
    report: Report,
    namespace: str,
    past: Past,
    *,
    narrowed: bool = False,
    unseen: bool = False,
    keep: Callable[[Family, Values], bool] = lambda family, values: True,
) -> bytes:
    """The namespace's group in the text exposition format; families without a series are left out.

    Args:
        report: of the run.
        namespace: whose group it is.
        past: what an earlier push left.
        narrowed: see `_values`.
        unseen: see `_values`.
        keep: which families to say at all.
    """
    # One family at a time: ten thousand tags make ten megabytes of text, and several times that as objects.
    text = bytearray()
    for family, values in _values(report, namespace, past, narrowed=narrowed, unseen=unseen):
        if values and keep(family, values):
            text += _text(family, values)
    # Readers can use it like bytes; a copy would be another ten megabytes.
    return cast(bytes, text)


def increments(report: Report, namespace: str) -> bytes:
    """What a gateway that sums is sent for a run: counters and a histogram, each with this run's share."""
    registry = CollectorRegistry()
    runs = CounterMetric(PREFIX + "runs", "Runs by outcome.", ["outcome"], registry=registry)
    imports = CounterMetric(
        PREFIX + "tag_imports", "Results of the tag over all runs.", [*TAG, "result"], registry=registry
    )
    seconds = Histogram(
        PREFIX + "import_seconds",
        "How long the requests that imported a tag took.",
        buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
        registry=registry,
    )
    # A counter that first appears with 1 has no increase: rate() and increase() would miss the first failure.
    if report.command is Command.RUN:
        for outcome in Outcome:
            runs.labels(outcome).inc(outcome is report.outcomes[namespace])
    for tag in report.tags:
        if tag.namespace == namespace:
            imports.labels(writable(tag.stream), writable(tag.tag), Result.FAILED).inc(0)
            imports.labels(writable(tag.stream), writable(tag.tag), tag.result).inc()
            if tag.seconds is not None:
                seconds.observe(tag.seconds)
    return b"".join(_without_created(metric) for metric in registry.collect())


def notifications(results: Mapping[str, int]) -> bytes:
    """How many messages of a run were `sent` and how many `failed`, for a Pushgateway."""
    return _text(BY_NAME[NOTIFICATIONS], {(result,): count for result, count in results.items()})


def notification_increments(results: Mapping[str, int]) -> bytes:
    """The same for a gateway that sums."""
    registry = CollectorRegistry()
    counter = CounterMetric(
        PREFIX + NOTIFICATIONS, "Messages by whether the service took them.", ["result"], registry=registry
    )
    for result, count in results.items():
        counter.labels(result).inc(count)
    return b"".join(_without_created(metric) for metric in registry.collect())


def _without_created(metric: Metric) -> bytes:
    # A gateway that sums would add up the moments at which counters were created.
    metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
    return generate_latest(_Collected(metric))
