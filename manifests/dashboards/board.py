"""The panels of the dashboard, in the order of use after a bad night: what failed, since when, what to do."""

from __future__ import annotations

from job.domain.model import Outcome
from manifests.dashboards.columns import (
    BAD,
    COMMAND,
    DAY,
    FAILED_RUNS,
    GROUP_COLUMNS,
    HELD,
    NAMED,
    NONE_IS_GOOD,
    OUTCOME_COLOURS,
    OUTCOMES,
    REASON,
    ROLLOUTS,
    STALE,
    TAG_COLUMNS,
    WHY,
)
from manifests.dashboards.details import GATEWAY, ROLLOUT_DETAILS, RUNS, TAGS
from manifests.dashboards.expressions import (
    BAD_ROLLOUT,
    GROUP,
    HELD_BACK,
    HELD_BACK_SINCE,
    HELD_BACK_UNTIL,
    ROW,
    SHARD,
    TAG,
    greatest,
    of_failed,
    of_run,
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
    Line,
    Row,
    Stat,
    Table,
    Text,
    Timeline,
    Unit,
    Value,
    Variable,
)

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
            "Failed tags",
            "How many tags failed in the last run that selected them.",
            or_zero(over("count", GROUP, greatest("tag_failure", TAG)), GROUP),
            steps=NONE_IS_GOOD,
            combine="sum",
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
            or_zero(over("count", GROUP, BAD), GROUP),
            steps=NONE_IS_GOOD,
            combine="sum",
        ),
        Stat(
            "Held back",
            "Tags that a rollback, a blocked image or a gate keeps as they are, and frozen namespaces. Below is why.",
            or_zero(over("count", GROUP, HELD_BACK), GROUP),
            steps=((0, Colour.GOOD), (1, Colour.WARNING)),
            combine="sum",
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
                Value("Next run in", of_run(f"({greatest('next_run_timestamp_seconds', SHARD)} - time())"), Unit.HOURS),
                Value("Blocked images", of_run(greatest("blocked_images", SHARD))),
            ),
            colours={outcome: OUTCOME_COLOURS[outcome] for outcome in Outcome},
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
        Table(
            "Held back, and why",
            "Not imported on purpose; the command ends that, or says more. Empty: nothing is held back.",
            (*TAG_COLUMNS, WHY, COMMAND),
            (
                Value("Since", HELD_BACK_SINCE, Unit.DAYS, steps=HELD),
                Value("Ends in", HELD_BACK_UNTIL, Unit.DAYS),
            ),
            sort="Since",
            descending=True,
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
    rows=(_WHAT_HAPPENED, RUNS, TAGS, ROLLOUT_DETAILS, GATEWAY, _HELP),
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
