"""The panels of the dashboard, in the order of use after a bad night: what failed, since when, what to do."""

from __future__ import annotations

from job.domain.model import Outcome
from manifests.dashboards.columns import (
    BAD,
    COMMAND,
    DAY,
    FAILED_RUNS,
    GATED,
    GROUP_COLUMNS,
    HELD,
    NAMED,
    NONE_IS_GOOD,
    OUTCOME_COLOURS,
    OUTCOMES,
    PLAN,
    REASON,
    ROLLOUTS,
    STALE,
    TAG_COLUMNS,
    THAW,
)
from manifests.dashboards.details import GATEWAY, ROLLOUT_DETAILS, RUNS, TAGS
from manifests.dashboards.expressions import (
    BAD_ROLLOUT,
    GATE_HOLDS,
    GATE_START,
    GROUP,
    ROW,
    SHARD,
    TAG,
    greatest,
    joined,
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
            or_zero(over("count", GROUP, BAD), GROUP),
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
            "Frozen namespaces",
            "The rules of the namespace freeze it: no run imports anything. The command ends that. Empty: none is.",
            (*GROUP_COLUMNS, COMMAND),
            (
                Value(
                    "Frozen for",
                    with_command(
                        f"({since('freeze_start_timestamp_seconds', GROUP)} and on ({', '.join(GROUP)}) "
                        f"{greatest('frozen', GROUP)} == 1)",
                        GROUP[:1],
                        THAW,
                    ),
                    Unit.DAYS,
                    steps=HELD,
                ),
                Value(
                    "Ends in",
                    with_command(f"({greatest('freeze_end_timestamp_seconds', GROUP)} - time())", GROUP[:1], THAW),
                    Unit.DAYS,
                ),
            ),
            sort="Frozen for",
            descending=True,
            width=12,
            height=5,
        ),
        Table(
            "Tags kept back from a blocked image",
            "The registry has an image for them that is on the list of known-bad ones. Empty: none.",
            (*TAG_COLUMNS, COMMAND),
            (
                Value(
                    "Last success",
                    with_command(
                        f"({since('tag_last_success_timestamp_seconds', TAG)} and on ({', '.join(TAG)}) "
                        f"{greatest('tag_blocked', TAG)})",
                        ROW,
                        PLAN,
                    ),
                    Unit.DAYS,
                    steps=STALE,
                ),
                Value(
                    "Blocked images",
                    with_command(
                        f"{greatest('tag_blocked', TAG)} * on (stream_namespace, deployment) "
                        f"group_left {greatest('blocked_images', GROUP)}",
                        ROW,
                        PLAN,
                    ),
                ),
            ),
            width=12,
            height=5,
        ),
        Table(
            "Tags held back by gates",
            "The registry has a new image for them that a gate does not let through. Empty: none.",
            (*TAG_COLUMNS, ("gate", "Gate"), ("verdict", "Verdict"), COMMAND),
            (
                Value(
                    "Since",
                    with_command(
                        joined(GATE_HOLDS, TAG, (), since(GATE_START, TAG)),
                        ROW,
                        PLAN,
                    ),
                    Unit.DAYS,
                    steps=GATED,
                ),
            ),
            height=5,
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
