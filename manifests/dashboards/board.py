"""What there is to see. Who opens it after a bad night reads from the top: what failed, since when, what to do."""

from __future__ import annotations

from collections.abc import Mapping

from job.domain.model import Outcome, Result
from manifests.dashboards.expressions import (
    GROUP,
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
)
from manifests.dashboards.model import (
    Board,
    Colour,
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
NONE_IS_GOOD = ((0, Colour.GOOD), (1, Colour.BAD))
GROUP_COLUMNS = (("stream_namespace", "Namespace"), ("deployment", "Deployment"))
TAG_COLUMNS = (*GROUP_COLUMNS, ("stream", "Stream"), ("tag", "Tag"))
NAMED = "{{stream_namespace}} {{deployment}}"
_BAD = f"({over('min', WORKLOAD, selected('rollout_healthy'))} == 0)"


def _pushed(name: str) -> str:
    """One of the Pushgateway's own metrics of our groups; others have no stream_namespace."""
    return over("max", SHARD, f'{name}{{{SELECTION},stream_namespace!=""}}')


_COMMANDS = """\
`import-images status` tells the same in a terminal. `NS` is the namespace, `S:T` stream and tag.

| to | type |
| --- | --- |
| import again, all of it | `oc -n NS create job again-1 --from=cronjob/import-images` |
| import one tag again | `import-images -n NS S:T` |
| see the images a tag has had | `import-images history -n NS S:T --check` |
| go back to the image before | `import-images rollback -n NS S:T --reason '...'` |
| let a held tag go | `import-images resume -n NS S:T` |
| find what is set up wrong | `import-images doctor -n NS` |

`docs/alerts.md` tells of each alert what to do.
"""

_WHAT_HAPPENED = Row(
    "What happened",
    (
        Stat(
            "Last outcome",
            "The worst of the last runs of what is selected.",
            over("max", (), severity(GROUP)),
            words=OUTCOMES,
            empty="no run",
        ),
        Stat(
            "Ended ago",
            "The longest time since a last run ended. Longer than the schedule: look at the CronJob.",
            f"max({since('last_run_timestamp_seconds', SHARD)})",
            Unit.HOURS,
            width=3,
        ),
        Stat(
            "Failed tags",
            "How many tags failed in the last run that took them.",
            or_zero(f"count({greatest('tag_failure', TAG)})"),
            steps=NONE_IS_GOOD,
            width=3,
        ),
        Stat(
            "Failing since",
            "Of the failed tags the longest time since one was last as the registry has it.",
            f"max({since('tag_last_success_timestamp_seconds', TAG)} and on ({', '.join(TAG)}) "
            f"{greatest('tag_failure', TAG)})",
            Unit.HOURS,
            steps=((0, Colour.WARNING), (7 * DAY, Colour.BAD)),
            empty="nothing fails",
        ),
        Stat(
            "Bad rollouts",
            "Workloads that did not become healthy with the images of the last run.",
            or_zero(f"count({_BAD})"),
            steps=NONE_IS_GOOD,
            width=3,
        ),
        Stat(
            "Held tags",
            "Tags that a rollback holds; they get no updates.",
            or_zero(f"count({greatest('tag_held', TAG)})"),
            steps=((0, Colour.GOOD), (1, Colour.WARNING)),
            width=3,
        ),
        Stat(
            "Next run in",
            "Until the next run is due. Negative: overdue. None: suspended, or the last run was not the CronJob's.",
            f"min({over('min', SHARD, selected('next_run_timestamp_seconds'))} - time())",
            Unit.HOURS,
            steps=((-1e9, Colour.BAD), (0, Colour.PLAIN)),
            empty="none is due",
        ),
        Table(
            "Last runs",
            "The last run of each deployment (and shard), how it ended, and what to do.",
            (*GROUP_COLUMNS, ("shard", "Shard"), ("outcome", "Outcome"), ("what_to_do", "What to do")),
            (
                Value("Ended ago", of_run(since("last_run_timestamp_seconds", SHARD)), Unit.HOURS),
                Value("Last success ago", of_run(since("last_success_timestamp_seconds", SHARD)), Unit.HOURS),
                Value("Took", of_run(greatest("run_duration_seconds", SHARD)), Unit.SECONDS),
                Value("Began late", of_run(greatest("start_delay_seconds", SHARD)), Unit.SECONDS),
                Value("Next in", of_run(f"({greatest('next_run_timestamp_seconds', SHARD)} - time())"), Unit.HOURS),
            ),
            colours={outcome: _COLOURS[outcome] for outcome in Outcome},
            height=6,
        ),
        Table(
            "What failed, since when, and what to do",
            "Failed tags keep the image they had; after the cause is mended, run again. Empty: none failed.",
            (*TAG_COLUMNS, ("reason", "Reason"), ("what_to_do", "What to do")),
            (
                Value(
                    "Failed runs", of_failed(f"({greatest('tag_failed_runs', TAG)} or {greatest('tag_failure', TAG)})")
                ),
                Value("Last good ago", of_failed(since("tag_last_success_timestamp_seconds", TAG)), Unit.DAYS),
            ),
            sort="Last good ago",
            descending=True,
        ),
        Table(
            "Workloads that did not come up",
            "Workloads that are not healthy with their new image. Go back: import-images rollback STREAM:TAG.",
            (*GROUP_COLUMNS, ("kind", "Kind"), ("name", "Name")),
            (
                Value(
                    "Watched",
                    f"{greatest('rollout_seconds', WORKLOAD)} and on ({', '.join(WORKLOAD)}) {_BAD} or {_BAD}",
                    Unit.SECONDS,
                ),
            ),
            width=10,
            height=11,
        ),
        Text("What to do", _COMMANDS, width=14, height=11),
    ),
)

_RUNS = Row(
    "Runs",
    (
        Timeline(
            "Outcomes",
            "How runs ended, over time.",
            Line(severity(GROUP), NAMED),
            Line(f"{greatest('run_outcome', (*GROUP, 'outcome'))} == 1", f"{NAMED} {{{{outcome}}}}"),
            OUTCOMES,
        ),
        Graph(
            "Tags by result",
            "How many tags ended with each result.",
            (Line(over("sum", ("result",), greatest("tags", (*SHARD, "result"))), "{{result}}"),),
            stacked=True,
            colours=RESULTS,
        ),
        Graph(
            "Failures by reason",
            "Tags that failed, by reason. The README tells what each means.",
            (Line(over("count", ("reason",), greatest("tag_failure", (*TAG, "reason"))), "{{reason}}"),),
            stacked=True,
        ),
        Graph(
            "Import seconds",
            "How long the requests took that imported a tag: the slowest, and the middle one.",
            (
                Line(over("max", GROUP, selected("tag_import_seconds")), f"slowest, {NAMED}"),
                Line(
                    f"quantile by ({', '.join(GROUP)}) (0.5, {greatest('tag_import_seconds', TAG)})",
                    f"middle, {NAMED}",
                ),
            ),
            Unit.SECONDS,
        ),
        Graph(
            "Delay against the schedule",
            "How late scheduled runs began.",
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
            "Requests of a run to the API by HTTP status, and more tries by the reason of the failure before.",
            (
                Line(over("sum", ("code",), greatest("api_requests", (*SHARD, "code"))), "HTTP {{code}}"),
                Line(over("sum", ("reason",), greatest("retries", (*SHARD, "reason"))), "retried: {{reason}}"),
            ),
        ),
    ),
)

_TAGS = Row(
    "Tags",
    (
        Table(
            "Tags",
            "Every tag: what became of it, the image it has, how old that is, and whether it is held.",
            (
                *TAG_COLUMNS,
                ("result", "Result"),
                ("reason", "Failure"),
                ("image", "Image"),
                ("revision", "Revision"),
            ),
            (
                # The rows: whatever else is not known of a tag, it has a result.
                Value(
                    "Failed runs", of_tag(f"({greatest('tag_failed_runs', TAG)} or 0 * {greatest('tag_result', TAG)})")
                ),
                Value("Image age", of_tag(since("tag_image_created_timestamp_seconds", TAG)), Unit.DAYS),
                Value("Has it for", of_tag(since("tag_updated_timestamp_seconds", TAG)), Unit.DAYS),
                Value("Last good ago", of_tag(since("tag_last_success_timestamp_seconds", TAG)), Unit.DAYS),
                Value("Held for", of_tag(since("tag_hold_start_timestamp_seconds", TAG)), Unit.DAYS),
            ),
            sort="Image age",
            descending=True,
            colours=RESULTS,
            height=12,
        ),
        Table(
            "What rollbacks hold",
            "Held tags get no updates. Let one go: import-images resume STREAM:TAG.",
            TAG_COLUMNS,
            (
                Value(
                    "Held for",
                    f"{since('tag_hold_start_timestamp_seconds', TAG)} or 0 * {greatest('tag_held', TAG)}",
                    Unit.DAYS,
                ),
                Value("Ends in", f"{greatest('tag_hold_end_timestamp_seconds', TAG)} - time()", Unit.DAYS),
            ),
            sort="Held for",
            descending=True,
            width=12,
        ),
        Table(
            "Earlier images left in the registry",
            "How far a rollback can go back; fewest first. Only with CHECK_HORIZON.",
            TAG_COLUMNS,
            (Value("Earlier images", over("min", TAG, selected("tag_rollback_targets"))),),
            sort="Earlier images",
            width=12,
        ),
    ),
)

_ROLLOUTS = Row(
    "Rollouts",
    (
        Table(
            "Rollouts of the last run",
            "Workloads that follow the updated tags, and whether they came up. Only with WATCH_ROLLOUTS.",
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
            "How long rollouts were watched until they were healthy, or given up.",
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
            "When metrics last came in, and when they were last refused. Refused after that: all above is old.",
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

BOARD = Board(
    uid="import-images",
    title="import-images",
    description="What import-images brought in, what it did not, since when, and what to do.",
    variables=(
        Variable("stream_namespace", "Namespace", "last_run_timestamp_seconds"),
        Variable("deployment", "Deployment", "last_run_timestamp_seconds"),
    ),
    rows=(_WHAT_HAPPENED, _RUNS, _TAGS, _ROLLOUTS, _GATEWAY),
)
