"""The metric families: their names, labels and meanings, and the samples that one tag has in each.

A Pushgateway keeps what it was last given, so what a run did not learn (the last success of a tag that failed now) is
carried over from the `Past`. The reference table of the metrics is generated from `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from job.domain.model import Result, Skip, TagResult
from job.domain.records import dataclass, field
from job.domain.verdicts import first_refusal
from job.journal.waiting import says_nothing

PREFIX = "import_images_"
TAG = ("stream", "tag")
WORKLOAD = ("kind", "name")
BAD_ROLLOUT = "rollout_bad_timestamp_seconds"
GATE_START = "tag_gate_start_timestamp_seconds"
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


def _gate_start(tag: TagResult, finished: float, past: Past) -> Samples:
    before = past.of(GATE_START).get((tag.stream, tag.tag))
    if first_refusal(tag.gates) is not None:
        return _one(finished if before is None else before)
    return _one(before if says_nothing(tag) else None)


FAMILIES: tuple[Family, ...] = (
    Family("build_info", "1; the version of import-images that ran last.", ("version",)),
    Family("last_run_timestamp_seconds", "When the last run ended. Older than the schedule: check the CronJob."),
    Family(
        "last_success_timestamp_seconds",
        "When a run last ended with outcome success. Older than the last run: see run_outcome and tag_failure.",
    ),
    Family("run_duration_seconds", "How long the last run took, from the start of its process."),
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
    Family("frozen", "1 while the rules of the namespace freeze it, else 0; import-images thaw ends that."),
    Family("freeze_start_timestamp_seconds", "Since when the rules freeze the namespace."),
    Family("freeze_end_timestamp_seconds", "Until when they freeze it. Absent: until import-images thaw."),
    Family("blocked_images", "How many known-bad images the rules of the namespace keep out."),
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
        "tag_blocked",
        "1 while the registry has a blocked image for the tag, which keeps the one it has.",
        TAG,
        lambda tag, finished, past: _one(1 if tag.reason is Skip.BLOCKED else None),
    ),
    Family(
        "tag_gate",
        "1; what a gate said of the registry's image in the last run. Absent: there was nothing to judge.",
        (*TAG, "gate", "verdict"),
        lambda tag, finished, past: (((verdict.gate, verdict.verdict), 1) for verdict in tag.gates),
    ),
    Family(
        GATE_START,
        "Since when gates have held back whatever the registry has for the tag. Absent: they do not.",
        TAG,
        lambda tag, finished, past: _gate_start(tag, finished, past),
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
# What the rules of the namespace said when the run began.
RULE_FAMILIES = ("frozen", "freeze_start_timestamp_seconds", "freeze_end_timestamp_seconds", "blocked_images")
# The families that are pushed even by a run that ends with 3.
RUN_FAMILIES = ("last_run_timestamp_seconds", "run_duration_seconds", "run_outcome")
# What a full run has to know of the past; a narrowed one has to know all of it.
CARRIED_FAMILIES = frozenset(
    {
        "last_success_timestamp_seconds",
        "next_run_timestamp_seconds",
        "tag_last_success_timestamp_seconds",
        "tag_failed_runs",
        GATE_START,
        BAD_ROLLOUT,
    }
)
