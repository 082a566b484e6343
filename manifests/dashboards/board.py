"""The panels of the dashboard, in the order of use after a bad night: what failed, since when, what to do."""

from __future__ import annotations

from collections.abc import Mapping

from job.domain.model import Outcome, Result, RolloutResult
from manifests.dashboards.expressions import (
    BAD_ROLLOUT,
    GROUP,
    ROW,
    SELECTION,
    SEVERITIES,
    SHARD,
    TAG,
    WORKLOAD,
    greatest,
    of_failed,
    of_run,
    of_tag,
    or_zero,
    over,
    selected,
    severity,
    since,
    with_command,
)
from manifests.dashboards.model import (
    Board,
    Colour,
    Event,
    Graph,
    Line,
    Row,
    Stat,
    Table,
    Text,
    Timeline,
    Unit,
    Value,
    Variable,
    Word,
)

DAY = 86400
_COLOURS = {
    Outcome.SUCCESS: Colour.GOOD,
    Outcome.FROZEN: Colour.NOTICE,
    Outcome.LOCKED: Colour.NOTICE,
    Outcome.PARTIAL: Colour.WARNING,
    Outcome.ABORTED: Colour.WARNING,
    Outcome.UNHEALTHY: Colour.BAD,
    Outcome.FAILURE: Colour.BAD,
}
OUTCOMES = {number: Word(outcome, _COLOURS[outcome]) for outcome, number in SEVERITIES.items()}
RESULTS: Mapping[str, Colour] = {
    Result.UPDATED: Colour.GOOD,
    Result.UNCHANGED: Colour.NOTICE,
    Result.SKIPPED: Colour.PLAIN,
    Result.FAILED: Colour.BAD,
    Result.ROLLED_BACK: Colour.WARNING,
}
HEALTHY = {1: Word("yes", Colour.GOOD), 0: Word("no", Colour.BAD)}
ROLLOUTS: Mapping[str, Colour] = {
    RolloutResult.HEALTHY: Colour.GOOD,
    RolloutResult.PAUSED: Colour.PLAIN,
    RolloutResult.WAITING: Colour.WARNING,
    RolloutResult.ABORTED: Colour.WARNING,
    RolloutResult.WILL_NOT_REDEPLOY: Colour.WARNING,
    RolloutResult.FAILED: Colour.BAD,
    RolloutResult.TIMED_OUT: Colour.BAD,
}
# As the alerts judge: a second failure, 15 days without success, a hold of 14 days, fewer than two images.
FAILED_RUNS = ((0, Colour.PLAIN), (1, Colour.WARNING), (2, Colour.BAD))
STALE = ((0, Colour.PLAIN), (7 * DAY, Colour.WARNING), (15 * DAY, Colour.BAD))
HELD = ((0, Colour.PLAIN), (14 * DAY, Colour.WARNING))
TARGETS = ((0, Colour.BAD), (1, Colour.WARNING), (2, Colour.PLAIN))
NONE_IS_GOOD = ((0, Colour.GOOD), (1, Colour.BAD))
GROUP_COLUMNS = (("stream_namespace", "Namespace"), ("deployment", "Deployment"))
COMMAND = ("command", "Command")
REASON = ("result", "Why")
RESUME = "import-images resume -n $1 $2:$3"
TAG_COLUMNS = (*GROUP_COLUMNS, ("stream", "Stream"), ("tag", "Tag"))
NAMED = "{{stream_namespace}} {{deployment}}"
_BAD = f"({over('min', WORKLOAD, selected('rollout_healthy'))} == 0)"


def _pushed(name: str) -> str:
    """One of the Pushgateway's own metrics of our groups; others have no stream_namespace."""
    return over("max", SHARD, f'{name}{{{SELECTION},stream_namespace!=""}}')


_COMMANDS = """\
Each row above has its own command. For everything else, with the namespace for `NS`, and stream and tag for `S:T`:

| To | Run |
| --- | --- |
| see the same in a terminal | `import-images status -n NS` |
| list the images that a tag has had | `import-images history -n NS S:T --check` |
| find what is wrong with the set-up | `import-images doctor -n NS` |

[The runbook](https://packit.github.io/import-images/alerts.html) explains what to do about each alert.
"""

_WHAT_HAPPENED = Row(
    "What happened",
    (
        Stat(
            "Last outcome",
            "How the last run of each deployment ended; of several shards the worst.",
            severity(GROUP),
            words=OUTCOMES,
            empty="no run",
        ),
        Stat(
            "Ended ago",
            "Time since the last run ended. If it is longer than the schedule, check the CronJob.",
            over("max", GROUP, since("last_run_timestamp_seconds", SHARD)),
            Unit.HOURS,
            width=3,
        ),
        Stat(
            "Failed tags",
            "How many tags failed in the last run that selected them.",
            or_zero(over("count", GROUP, greatest("tag_failure", TAG)), GROUP),
            steps=NONE_IS_GOOD,
            combine="sum",
            width=3,
        ),
        Stat(
            "Failing since",
            "The longest time since a failed tag was last as the registry has it.",
            over(
                "max",
                GROUP,
                f"{since('tag_last_success_timestamp_seconds', TAG)} and on ({', '.join(TAG)}) "
                f"{greatest('tag_failure', TAG)}",
            ),
            Unit.HOURS,
            steps=((0, Colour.WARNING), (7 * DAY, Colour.BAD)),
            empty="nothing fails",
        ),
        Stat(
            "Bad rollouts",
            "Workloads that did not become healthy with the images of the last run.",
            or_zero(over("count", GROUP, _BAD), GROUP),
            steps=NONE_IS_GOOD,
            combine="sum",
            width=3,
        ),
        Stat(
            "Held tags",
            "Tags that a rollback holds; they get no updates.",
            or_zero(over("count", GROUP, greatest("tag_held", TAG)), GROUP),
            steps=((0, Colour.GOOD), (1, Colour.WARNING)),
            combine="sum",
            width=3,
        ),
        Stat(
            "Next run in",
            "Until the next run is due. Negative: overdue. None: suspended, or the last run was not the CronJob's.",
            over("min", GROUP, f"{over('min', SHARD, selected('next_run_timestamp_seconds'))} - time()"),
            Unit.HOURS,
            combine="min",
            steps=((-1e9, Colour.BAD), (0, Colour.PLAIN)),
            empty="none is due",
        ),
        Table(
            "Last runs",
            "The last run of each deployment (and shard), how it ended, and what to do.",
            (*GROUP_COLUMNS, ("shard", "Shard"), ("outcome", "Outcome"), ("what_to_do", "What to do"), COMMAND),
            (
                Value("Ended ago", of_run(since("last_run_timestamp_seconds", SHARD)), Unit.HOURS),
                Value("Last success", of_run(since("last_success_timestamp_seconds", SHARD)), Unit.DAYS),
                Value("Duration", of_run(greatest("run_duration_seconds", SHARD)), Unit.SECONDS),
                Value("Start delay", of_run(greatest("start_delay_seconds", SHARD)), Unit.SECONDS),
                Value("Next run in", of_run(f"({greatest('next_run_timestamp_seconds', SHARD)} - time())"), Unit.HOURS),
            ),
            colours={outcome: _COLOURS[outcome] for outcome in Outcome},
            height=5,
        ),
        Timeline(
            "Outcomes",
            "How runs ended, over time.",
            Line(severity(GROUP), NAMED),
            Line(f"{greatest('run_outcome', (*GROUP, 'outcome'))} == 1", f"{NAMED} {{{{outcome}}}}"),
            OUTCOMES,
            height=5,
        ),
        Table(
            "What failed, since when, and what to do",
            "Failed tags keep the image they had. Fix the cause, then run again. Empty: none failed.",
            (*TAG_COLUMNS, ("reason", "Reason"), ("what_to_do", "What to do"), COMMAND),
            (
                Value(
                    "Failed runs",
                    of_failed(f"({greatest('tag_failed_runs', TAG)} or {greatest('tag_failure', TAG)})"),
                    steps=FAILED_RUNS,
                ),
                Value(
                    "Last success", of_failed(since("tag_last_success_timestamp_seconds", TAG)), Unit.DAYS, steps=STALE
                ),
            ),
            sort="Last success",
            descending=True,
            height=6,
        ),
        Table(
            "Workloads that are not healthy",
            "Workloads that are not healthy with the new image of a tag: why, and since when. Empty: all are.",
            (*GROUP_COLUMNS, ("kind", "Kind"), ("name", "Name"), ("stream", "Stream"), ("tag", "Tag"), REASON, COMMAND),
            (
                Value(
                    "Since",
                    with_command(
                        over("max", BAD_ROLLOUT, f"time() - {selected('rollout_bad_timestamp_seconds')}"),
                        ROW,
                        "import-images rollback -n $1 $2:$3",
                    ),
                    Unit.DAYS,
                    steps=((0, Colour.BAD),),
                ),
            ),
            colours=ROLLOUTS,
            height=5,
        ),
    ),
)

_RUNS = Row(
    "Runs",
    (
        Graph(
            "Tags by result",
            "How many tags ended with each result.",
            (Line(over("sum", ("result",), greatest("tags", (*SHARD, "result"))), "{{result}}"),),
            stacked=True,
            colours=RESULTS,
        ),
        Graph(
            "Failures by reason",
            "Tags that failed, by reason. docs/results.md explains each.",
            (Line(over("count", ("reason",), greatest("tag_failure", (*TAG, "reason"))), "{{reason}}"),),
            stacked=True,
        ),
        Graph(
            "Import seconds",
            "How long the requests that imported a tag took: slowest and median.",
            (
                Line(over("max", GROUP, selected("tag_import_seconds")), f"slowest, {NAMED}"),
                Line(
                    f"quantile by ({', '.join(GROUP)}) (0.5, {greatest('tag_import_seconds', TAG)})",
                    f"median, {NAMED}",
                ),
            ),
            Unit.SECONDS,
        ),
        Graph(
            "Delay against the schedule",
            "How late scheduled runs started.",
            (Line(greatest("start_delay_seconds", GROUP), NAMED),),
            Unit.SECONDS,
        ),
        Graph(
            "Duration of runs",
            "How long runs took.",
            (Line(greatest("run_duration_seconds", GROUP), NAMED),),
            Unit.SECONDS,
        ),
        Graph(
            "Requests and retries",
            "Requests of a run to the API by HTTP status, and retries by the reason of the failure before.",
            (
                Line(over("sum", ("code",), greatest("api_requests", (*SHARD, "code"))), "HTTP {{code}}"),
                Line(over("sum", ("reason",), greatest("retries", (*SHARD, "reason"))), "retried: {{reason}}"),
            ),
        ),
        Graph(
            "Messages",
            "Messages that runs sent, by whether the service took them. Needs NOTIFY.",
            (Line(over("sum", ("result",), greatest("notifications", (*SHARD, "result"))), "{{result}}"),),
        ),
    ),
)

_TAGS = Row(
    "Tags",
    (
        Table(
            "Tags",
            "Every tag: its result, its image, the image's age, and whether it is held.",
            (
                *TAG_COLUMNS,
                ("result", "Result"),
                ("reason", "Failure"),
                ("image", "Image"),
                ("revision", "Revision"),
            ),
            (
                # These are the rows: every tag has a result, whatever else is unknown.
                Value(
                    "Failed runs", of_tag(f"({greatest('tag_failed_runs', TAG)} or 0 * {greatest('tag_result', TAG)})")
                ),
                Value("Image age", of_tag(since("tag_image_created_timestamp_seconds", TAG)), Unit.DAYS),
                Value("Current for", of_tag(since("tag_updated_timestamp_seconds", TAG)), Unit.DAYS),
                Value("Last success", of_tag(since("tag_last_success_timestamp_seconds", TAG)), Unit.DAYS, steps=STALE),
                Value("Held for", of_tag(since("tag_hold_start_timestamp_seconds", TAG)), Unit.DAYS, steps=HELD),
            ),
            sort="Image age",
            descending=True,
            colours=RESULTS,
            height=12,
        ),
        Table(
            "Tags held by rollbacks",
            "Held tags get no updates. The command releases one.",
            (*TAG_COLUMNS, COMMAND),
            (
                Value(
                    "Held for",
                    with_command(
                        f"({since('tag_hold_start_timestamp_seconds', TAG)} or 0 * {greatest('tag_held', TAG)})",
                        ROW,
                        RESUME,
                    ),
                    Unit.DAYS,
                    steps=HELD,
                ),
                Value(
                    "Ends in",
                    with_command(f"({greatest('tag_hold_end_timestamp_seconds', TAG)} - time())", ROW, RESUME),
                    Unit.DAYS,
                ),
            ),
            sort="Held for",
            descending=True,
            width=14,
        ),
        Table(
            "Earlier images left in the registry",
            "How many images a rollback can choose from; fewest first. Needs CHECK_HORIZON.",
            TAG_COLUMNS,
            (Value("Earlier images", over("min", TAG, selected("tag_rollback_targets")), steps=TARGETS),),
            sort="Earlier images",
            width=10,
        ),
    ),
)

_ROLLOUTS = Row(
    "Rollouts",
    (
        Table(
            "Rollouts of the last run",
            "Workloads that follow the updated tags, and whether they became healthy. Needs WATCH_ROLLOUTS.",
            (*GROUP_COLUMNS, ("kind", "Kind"), ("name", "Name")),
            (
                Value("Healthy", over("min", WORKLOAD, selected("rollout_healthy")), words=HEALTHY),
                Value("Watched", greatest("rollout_seconds", WORKLOAD), Unit.SECONDS),
            ),
            sort="Healthy",
            width=12,
        ),
        Graph(
            "Rollout seconds",
            "How long rollouts were watched, until they were healthy or given up.",
            (Line(greatest("rollout_seconds", WORKLOAD), "{{kind}}/{{name}} {{stream_namespace}}"),),
            Unit.SECONDS,
        ),
    ),
)

_GATEWAY = Row(
    "Pushgateway and version",
    (
        Table(
            "Pushes",
            "When metrics were last pushed and last refused. If they were refused later, everything above is outdated.",
            (*GROUP_COLUMNS, ("shard", "Shard")),
            (
                Value("Pushed ago", f"time() - {_pushed('push_time_seconds')}", Unit.HOURS),
                Value("Refused ago", f"time() - ({_pushed('push_failure_time_seconds')} > 0)", Unit.HOURS),
            ),
            width=12,
            height=6,
        ),
        Table(
            "Versions",
            "The version of import-images that ran last.",
            (*GROUP_COLUMNS, ("version", "Version")),
            (Value("Shards", over("count", (*GROUP, "version"), greatest("build_info", (*SHARD, "version")))),),
            width=12,
            height=6,
        ),
    ),
)

_HELP = Row("What to do", (Text("Commands", _COMMANDS, width=24, height=8),))

BOARD = Board(
    uid="import-images",
    title="import-images",
    description="What import-images imported, what failed, since when, and what to do.",
    variables=(
        Variable("stream_namespace", "Namespace", "last_run_timestamp_seconds"),
        Variable("deployment", "Deployment", "last_run_timestamp_seconds"),
    ),
    rows=(_WHAT_HAPPENED, _RUNS, _TAGS, _ROLLOUTS, _GATEWAY, _HELP),
    events=(
        Event(
            "Run of import-images",
            "{{stream_namespace}} {{deployment}}",
            f"1000 * {greatest('last_run_timestamp_seconds', GROUP)}",
            Colour.NOTICE,
        ),
        Event(
            "Rollback",
            "{{stream}}:{{tag}} in {{stream_namespace}}",
            f"1000 * {greatest('tag_hold_start_timestamp_seconds', TAG)}",
            Colour.WARNING,
        ),
    ),
)
