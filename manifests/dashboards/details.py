"""The rows below the first screen: runs, tags, rollouts and pushes over time."""

from __future__ import annotations

from manifests.dashboards.columns import (
    GROUP_COLUMNS,
    HEALTHY,
    HELD,
    NAMED,
    RESULTS,
    STALE,
    TAG_COLUMNS,
    TARGETS,
)
from manifests.dashboards.expressions import (
    GROUP,
    SELECTION,
    SHARD,
    TAG,
    WORKLOAD,
    greatest,
    of_tag,
    over,
    selected,
    since,
)
from manifests.dashboards.model import (
    Graph,
    Line,
    Row,
    Table,
    Unit,
    Value,
)


def _pushed(name: str) -> str:
    """One of the Pushgateway's own metrics of our groups; others have no stream_namespace."""
    return over("max", SHARD, f'{name}{{{SELECTION},stream_namespace!=""}}')


RUNS = Row(
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

TAGS = Row(
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
            "Earlier images left in the registry",
            "How many images a rollback can choose from; fewest first. Needs CHECK_HORIZON.",
            TAG_COLUMNS,
            (Value("Earlier images", over("min", TAG, selected("tag_rollback_targets")), steps=TARGETS),),
            sort="Earlier images",
        ),
    ),
)

ROLLOUT_DETAILS = Row(
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

GATEWAY = Row(
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
