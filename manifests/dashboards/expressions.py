"""The queries of the dashboard.

Every selector is inside a max, min or sum by our own labels, so the labels that a scrape adds (`instance`, `pod`,
`exported_job`) do not matter, and none uses `job` or `namespace`, which OpenShift overrides. SELECTION is a placeholder
for the user's selection, which each renderer writes in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from job.domain.model import Outcome, Reason
from job.publish.metric_families import PREFIX

SELECTION = "@selection@"
GROUP = ("stream_namespace", "deployment")
SHARD = (*GROUP, "shard")
TAG = (*GROUP, "stream", "tag")
WORKLOAD = (*GROUP, "kind", "name")
BAD_ROLLOUT = (*WORKLOAD, "stream", "tag", "result")
# What a command about one tag names.
ROW = ("stream_namespace", "stream", "tag")

# Higher is worse. Of several shards the worst counts.
SEVERITIES = {
    Outcome.SUCCESS: 0,
    Outcome.FROZEN: 1,
    Outcome.LOCKED: 2,
    Outcome.PARTIAL: 3,
    Outcome.ABORTED: 4,
    Outcome.UNHEALTHY: 5,
    Outcome.FAILURE: 6,
}
ON_REASON: Mapping[str, str] = {
    Reason.NOT_FOUND: "push the image again, or correct the tag's from",
    Reason.UNAUTHORIZED: "fix the pull secret of the namespace (by api: the token)",
    Reason.FORBIDDEN: "give the pull secret (by api: the account) access",
    Reason.RATE_LIMITED: "run again later, or lower CONCURRENCY",
    Reason.REGISTRY_ERROR: "the registry failed; run again when it has recovered",
    Reason.UNREACHABLE: "check address, DNS and certificate of the registry",
    Reason.TIMEOUT: "run again; raise IMPORT_TIMEOUT if it stays slow",
    Reason.CONFLICT: "find what keeps changing the stream or the image; run again",
    Reason.INVALID: "correct the reference or annotation, or allow its registry",
    Reason.API_ERROR: "the API failed; run again when it has recovered",
    Reason.UNUSABLE: "see why the node refused the image, and push one that it can run",
    Reason.ABORTED: "run again; raise DEADLINE if the time was too short",
}
ON_OUTCOME: Mapping[str, str] = {
    Outcome.SUCCESS: "nothing",
    Outcome.FROZEN: "nothing: a freeze window",
    Outcome.LOCKED: "nothing: another run was in progress",
    Outcome.PARTIAL: "see what failed below",
    Outcome.ABORTED: "run again; raise DEADLINE if the time was too short",
    Outcome.UNHEALTHY: "see the bad rollouts below, and roll back",
    Outcome.FAILURE: "see what failed below; if nothing did: import-images doctor",
}


def selected(name: str, **labels: str) -> str:
    """A selector for one of our metrics: what the user selected, with these label values."""
    more = "".join(f',{label}="{value}"' for label, value in labels.items())
    return f"{PREFIX}{name}{{{SELECTION}{more}}}"


def over(function: str, by: Sequence[str], inner: str) -> str:
    """An aggregation."""
    return f"{function} by ({', '.join(by)}) ({inner})" if by else f"{function}({inner})"


def greatest(name: str, by: Sequence[str], **labels: str) -> str:
    """The metric by those labels; of several series the greatest."""
    return over("max", by, selected(name, **labels))


def since(name: str, by: Sequence[str]) -> str:
    """Seconds since the time that the metric holds."""
    return f"(time() - {greatest(name, by)})"


def with_text(base: str, label: str, by: str, texts: Mapping[str, str]) -> str:
    """The base with an added label: the text for the value of another label."""

    def add(inner: str, pair: tuple[str, str]) -> str:
        value, text = pair
        return f'label_replace({inner}, "{label}", "{text}", "{by}", "{value}")'

    return reduce(add, texts.items(), base)


def joined(value: str, on: Sequence[str], labels: Sequence[str], base: str) -> str:
    """A value with the labels of the base, whose values are all 1."""
    return f"{value} * on ({', '.join(on)}) group_left ({', '.join(labels)}) {base}"


def or_zero(counted: str, by: Sequence[str]) -> str:
    """A count by labels, or 0 if there are runs and nothing to count. Without any run it has no value."""
    return f"{counted} or on ({', '.join(by)}) 0 * {greatest('last_run_timestamp_seconds', by)}"


def with_command(base: str, labels: Sequence[str], command: str) -> str:
    """The base with a label `command`, made of others: `$1` in it is the first of `labels`, and so on.

    None of the labels may be empty or contain a space, as no name in Kubernetes does.
    """
    joined_labels = ", ".join(f'"{label}"' for label in labels)
    pattern = " ".join(["([^ ]+)"] * len(labels))
    joined_base = f'label_join({base}, "command", " ", {joined_labels})'
    return f'label_replace({joined_base}, "command", "{command}", "command", "{pattern}")'


def severity(by: Sequence[str]) -> str:
    """How bad the last run was, as a number from SEVERITIES."""
    worst_first = sorted(SEVERITIES, key=lambda outcome: -SEVERITIES[outcome])
    return " or ".join(
        f"{SEVERITIES[outcome]} * ({greatest('run_outcome', by, outcome=outcome)} == 1)" for outcome in worst_first
    )


# 1 for each failed tag, with its reason.
FAILED = greatest("tag_failure", (*TAG, "reason"))
GATE_START = "tag_gate_start_timestamp_seconds"
# 1 for each gate that holds an image back from a tag.
GATE_HOLDS = over("max", (*TAG, "gate", "verdict"), f'{PREFIX}tag_gate{{{SELECTION},verdict!="passed"}}')
# 1 for each run, with its outcome.
ENDED = f"({greatest('run_outcome', (*SHARD, 'outcome'))} == 1)"

# 1 for each tag, with its result, its image and its reason; the last two may be missing.
_RESULT = greatest("tag_result", (*TAG, "result"))
_IMAGE = over(
    "max",
    (*TAG, "image", "revision"),
    f'label_replace({selected("tag_image_info")}, "image", "$1", "digest", "sha256:(.{{12}}).*")',
)


def _with(base: str, labels: Sequence[str], more: str) -> str:
    on = ", ".join(TAG)
    return f"({base} * on ({on}) group_left ({', '.join(labels)}) {more} or on ({on}) {base})"


KNOWN = _with(_with(_RESULT, ("image", "revision"), _IMAGE), ("reason",), FAILED)
KNOWN_LABELS = ("result", "image", "revision", "reason")


def of_run(value: str) -> str:
    """A value of a run, as a column next to its outcome and what to do about it."""
    base = with_text(joined(value, SHARD, ("outcome",), ENDED), "what_to_do", "outcome", ON_OUTCOME)
    return with_command(base, ("stream_namespace",), "import-images status -n $1")


def of_failed(value: str) -> str:
    """A value of a tag, as a column next to its reason and what to do about it."""
    base = with_text(joined(value, TAG, ("reason",), FAILED), "what_to_do", "reason", ON_REASON)
    return with_command(base, ROW, "import-images run -n $1 $2:$3")


def of_tag(value: str) -> str:
    """A value of a tag, as a column next to its result, image and reason."""
    return joined(value, TAG, KNOWN_LABELS, KNOWN)


# What is held back, by what makes up a row: the tags of a namespace, or a namespace that is frozen.
_HELD, _BLOCKED = greatest("tag_held", TAG), greatest("tag_blocked", TAG)
_FROZEN = f"({greatest('frozen', GROUP)} == 1)"
HELD_BACK = f"({_HELD} or {_BLOCKED} or {over('max', TAG, GATE_HOLDS)} or {_FROZEN})"
_RESUME = "import-images resume -n $1 $2:$3"
_PLAN = "import-images plan -n $1 $2:$3"
_THAW = "import-images thaw -n $1"


def _because(base: str, why: str) -> str:
    return f'label_replace({base}, "why", "{why}", "stream_namespace", ".*")'


def _of_freeze(value: str) -> str:
    base = f"({value} and on ({', '.join(GROUP)}) {_FROZEN})"
    return with_command(_because(base, "frozen by a rule"), GROUP[:1], _THAW)


def _of_hold(value: str) -> str:
    return with_command(_because(value, "held by a rollback"), ROW, _RESUME)


def _of_block() -> str:
    """Since the tag was last as the registry has it: no metric has when the blocked image was first seen."""
    last_success = f"({since('tag_last_success_timestamp_seconds', TAG)} and on ({', '.join(TAG)}) {_BLOCKED})"
    return with_command(_because(last_success, "blocked image"), ROW, _PLAN)


def _of_gate() -> str:
    base = f'label_join({joined(GATE_HOLDS, TAG, (), since(GATE_START, TAG))}, "why", ": ", "gate", "verdict")'
    why = f'label_replace({base}, "why", "gate $1", "why", "(.*)")'
    return with_command(over("max", (*TAG, "why"), why), ROW, _PLAN)


HELD_BACK_SINCE = " or ".join(
    (
        _of_freeze(since("freeze_start_timestamp_seconds", GROUP)),
        _of_hold(f"({since('tag_hold_start_timestamp_seconds', TAG)} or 0 * {_HELD})"),
        _of_block(),
        _of_gate(),
    )
)
HELD_BACK_UNTIL = " or ".join(
    (
        _of_freeze(f"({greatest('freeze_end_timestamp_seconds', GROUP)} - time())"),
        _of_hold(f"({greatest('tag_hold_end_timestamp_seconds', TAG)} - time())"),
    )
)
