"""A report as metrics, in the text exposition format.

A push replaces the whole group of a namespace, so a run that was narrowed, or did not see the namespace's tags, carries
over what an earlier push left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from job import VERSION
from job.domain.model import Command, Outcome, Report, Result, RolloutResult, TriggerKind
from job.publish.metric_families import (
    BAD_ROLLOUT,
    BY_NAME,
    FAMILIES,
    NOTIFICATIONS,
    PREFIX,
    RULE_FAMILIES,
    TAG,
    WORKLOAD,
    Family,
    Past,
    Values,
)
from job.publish.text_format import counter, gauge, histogram

# Of the buckets of `import_seconds`.
_BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


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
        "run_outcome": {(value,): float(value is outcome) for value in Outcome},
        "tags": {(result,): counts[result] for result in Result},
        "api_requests": {(code,): count for code, count in sorted(tally.requests.items())} if tally else {},
        "retries": {(reason,): count for reason, count in sorted(tally.retries.items())} if tally else {},
        "last_success_timestamp_seconds": past.of("last_success_timestamp_seconds"),
        "next_run_timestamp_seconds": _next_run(report, past),
        "start_delay_seconds": {} if report.start_delay is None else {(): report.start_delay},
    }
    values |= _rollout_values(report, namespace, past)
    values |= _rule_values(report, namespace, past)
    if outcome is Outcome.SUCCESS:
        values["last_success_timestamp_seconds"] = {(): finished}
    return values


def _rule_values(report: Report, namespace: str, past: Past) -> dict[str, Values]:
    """The series of the rules; without the right to read them what an earlier push left stays."""
    rules = report.rules.get(namespace)
    if rules is None:
        return {name: past.of(name) for name in RULE_FAMILIES}
    freeze = rules.freeze
    times = (None, None) if freeze is None else (freeze.at or report.finished_at, freeze.until)
    start, end = (None if time is None else time.timestamp() for time in times)
    values = (float(freeze is not None), start, end, float(len(rules.blocked)))
    return {name: {} if value is None else {(): value} for name, value in zip(RULE_FAMILIES, values, strict=True)}


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
        changed = ("last_run_timestamp_seconds", *RULE_FAMILIES) if report.command is Command.RUN else ()
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


def _text(family: Family, values: Values) -> bytes:
    return gauge(PREFIX + family.name, family.help, family.labels, values)


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
    # A counter that first appears with 1 has no increase: rate() and increase() would miss the first failure.
    is_run = report.command is Command.RUN
    runs: Values = {(value,): float(value is report.outcomes[namespace]) for value in Outcome if is_run}
    imports: dict[tuple[str, ...], float] = {}
    seconds = []
    for tag in report.tags:
        if tag.namespace == namespace:
            imports.setdefault((tag.stream, tag.tag, Result.FAILED), 0)
            key = tag.stream, tag.tag, tag.result
            imports[key] = imports.get(key, 0) + 1
            if tag.seconds is not None:
                seconds.append(tag.seconds)
    return (
        counter(PREFIX + "runs_total", "Runs by outcome.", ("outcome",), runs)
        + counter(PREFIX + "tag_imports_total", "Results of the tag over all runs.", (*TAG, "result"), imports)
        + histogram(PREFIX + "import_seconds", "How long the requests that imported a tag took.", _BOUNDS, seconds)
    )


def notifications(results: Mapping[str, int]) -> bytes:
    """How many messages of a run were `sent` and how many `failed`, for a Pushgateway."""
    return _text(BY_NAME[NOTIFICATIONS], {(result,): count for result, count in results.items()})


def notification_increments(results: Mapping[str, int]) -> bytes:
    """The same for a gateway that sums."""
    samples: Values = {(result,): count for result, count in results.items()}
    return counter(f"{PREFIX}{NOTIFICATIONS}_total", "Messages by whether the service took them.", ("result",), samples)
