"""The checks of `doctor`, one record each. A new check is one module and one entry here.

A record names the problems that its check may report, which is the reference for users and scripts; a test compares it
with what the checks report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from job.doctor.checks import (
    Finding,
    clock,
    cronjob,
    gates,
    gateway,
    image_triggers,
    rbac,
    rollback_targets,
    rules,
    tags,
)
from job.doctor.facts import Facts, Part
from job.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: its subject.
        needs: the parts of the facts that it judges.
        findings: what it finds in the facts; pure.
        problems: what its findings are called (`Finding.check`), and when each is reported.
    """

    name: str
    needs: frozenset[Part]
    findings: Callable[[Facts], Iterable[Finding]]
    problems: Mapping[str, str]


CHECKS: tuple[Check, ...] = (
    Check(
        "Image triggers",
        frozenset({Part.STREAMS, Part.CRON_JOBS, Part.TRIGGERS, Part.BUILDS}),
        image_triggers.check,
        {
            "trigger-never-fires": "A trigger cannot fire: a mistake in the annotation disables all triggers of the "
            "workload",
            "trigger-pause-ignored": "`pause` is set, which OpenShift ignores: the field is `paused`",
            "trigger-paused": "A trigger is paused",
            "trigger-without-tag": "It follows a tag that does not exist",
            "trigger-without-image": "It follows a tag that has no image yet",
            "trigger-cannot-pull": "It follows a tag of another namespace that the workload's account may not pull",
            "workload-without-trigger": "A workload uses an image of a stream without a trigger",
            "tag-not-followed": "No workload follows the tag",
        },
    ),
    Check(
        "Tags",
        frozenset({Part.STREAMS, Part.CRON_JOBS, Part.RIGHTS, Part.REGISTRIES, Part.TRIGGERS}),
        tags.check,
        {
            "tag-cannot-be-imported": "The registry or the API refuses it",
            "tag-not-moved": "Nothing moves it: it was copied once, follows a tag that does not exist, or is gone from "
            "`spec.tags`",
            "tag-scheduled": "OpenShift imports it by itself (`scheduled: true`)",
            "tag-reset-to-legacy": "It takes one architecture of an image that was meant to be imported whole",
            "skip-no-boolean": "The annotation that would keep it from being imported is neither `true` nor `false`",
            "wave-no-number": "The annotation of its wave is not a whole number",
            "annotation-unknown": "An annotation has the prefix of this program and a name that it does not read",
            "gate-cannot-be-read": "An annotation of a gate cannot be read, so that the tag fails in every run",
            "hold-over": "The annotation of a hold is there, but the tag has moved on",
            "hold-past-its-end": "The hold has expired and no run has released it",
        },
    ),
    Check(
        "Earlier images",
        frozenset({Part.STREAMS, Part.RIGHTS, Part.REGISTRIES}),
        rollback_targets.check,
        {
            "horizon-short": "Fewer than two earlier images to roll back to are left",
            "image-gone": "The registry no longer has the current image of a held or pinned tag",
        },
    ),
    Check(
        "Rights",
        frozenset({Part.STREAMS, Part.CRON_JOBS, Part.RIGHTS, Part.TRIGGERS}),
        rbac.check,
        {
            "rights-base": "A right that `run` needs is missing, yours or that of the job's account",
            "rights-rollouts": "The same for watching rollouts",
            "rights-rollback": "The same for `rollback` and `resume`",
            "rights-gates": "The same for `REHEARSE`, where it is set: to create and delete pods",
            "rights-fleet": "The namespaces of `NAMESPACE_SELECTOR` cannot be listed",
        },
    ),
    Check(
        "CronJob",
        frozenset({Part.STREAMS, Part.CRON_JOBS}),
        cronjob.check,
        {
            "cron-job-missing": "No CronJob imports these tags",
            "cron-job-suspended": "It is suspended",
            "cron-job-never-runs": "Its schedule never occurs, or cannot be read",
            "cron-job-every": "Its schedule has no due times (`@every`)",
            "cron-job-no-time-zone": "It has no time zone",
            "cron-job-overlaps": "Its runs may overlap",
            "cron-jobs-overlap": "Two CronJobs import the same deployment, and share its lock and metrics",
            "cron-job-starting-deadline": "Runs may be missed, or start late",
            "cron-job-active-deadline": "Runs may be killed before they can report",
            "cron-job-setting": "A setting in its environment cannot be read, so that its runs end at once",
            "cron-job-shards": "Its completions are not its `SHARDS`, so that streams are left out or pods fail",
            "cron-job-image": "Its image has no tag of its own",
        },
    ),
    Check(
        "Rules",
        frozenset({Part.RULES}),
        rules.check,
        {
            "rule-cannot-be-read": "A rule of the namespace cannot be read, and stops every run",
            "rule-freezes": "A rule freezes the namespace",
            "blocked-image-runs": "A tag has an image that a rule blocks",
        },
    ),
    Check(
        "Gates",
        frozenset({Part.STREAMS, Part.CRON_JOBS, Part.GATES}),
        gates.check,
        {
            "gate-cannot-read": "An account may not read the namespace that `PROVEN_IN` names, so that nothing is "
            "proven there",
            "gate-prometheus-unreachable": "The Prometheus of `VERIFY` cannot be asked",
            "gate-prometheus-refuses": "It requires a login, or another one",
            "gate-query-invalid": "A query of `VERIFY` is not PromQL, or returns neither a scalar nor a vector",
            "gate-query-no-answer": "A query is neither true nor false: no data, or a value that is not a number",
            "gate-query-false": "A query is false before anything was imported",
        },
    ),
    Check(
        "Pushgateway",
        frozenset({Part.CRON_JOBS, Part.GATEWAY}),
        gateway.check,
        {
            "gateway-not-set": "None is set",
            "gateway-unreachable": "It cannot be pushed to",
            "gateway-refuses": "It requires a login, or another one",
            "gateway-sums": "It sums what it gets although `GATEWAY` is `pushgateway`",
            "gateway-replaces": "It is a Pushgateway although `GATEWAY` is `aggregation`",
            "gateway-probe-left": "The probe could not be deleted",
        },
    ),
    Check(
        "Clock",
        frozenset({Part.CLOCK}),
        clock.check,
        {"clock-skew": "This machine's clock differs from the server's"},
    ),
)
# Any check may report that it could not be made.
NOT_CHECKED = {"not-checked": "A check could not be made, usually because a right is missing"}
