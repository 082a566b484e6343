"""The CronJob that runs the program: whether it will run, once, in time and to its end."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from datetime import datetime

from job import VERSION
from job.cluster.unstructured import object_in
from job.doctor.checks import Finding
from job.doctor.facts import Facts
from job.domain.model import OnBadRollout
from job.domain.schedule import Schedule, UnsupportedScheduleError, parse_zone
from job.domain.shell import oc
from job.domain.states import Severity
from job.workloads.cronjob import NAME, CronJob

# To end imports under way, report, push and release the lock.
GRACE_SECONDS = 60.0
# Long enough for a control plane that is being upgraded to come back: a run of the week is not to be missed by minutes.
LEAST_STARTING_SECONDS = 600
# The controller checks every 10 s: with less it may be too late each time.
CONTROLLER_SECONDS = 10


INSTALL = "https://github.com/packit/import-images/blob/main/docs/install.md"


def check(facts: Facts) -> list[Finding]:
    """Examine each CronJob that imports the requested tags; report when there is none."""
    if not facts.namespaces:
        return []
    if not facts.cron_jobs:
        return [missing(facts.namespaces[0], facts.deployment)]
    problems = [finding for job in facts.cron_jobs for finding in findings(job, facts.now)]
    return [*problems, *_shared(facts.cron_jobs)]


def missing(namespace: str, deployment: str | None) -> Finding:
    """That no CronJob imports a deployment (None: every tag). Only its owner can write one, so no command is shown."""
    overlay = f" with DEPLOYMENT={deployment}" if deployment else ""
    message = f"no CronJob that can be seen imports these tags on a schedule; to install one{overlay}: {INSTALL}"
    return Finding(Severity.NOTE, "cron-job-missing", namespace, "CronJob", message)


def findings(job: CronJob, now: datetime) -> list[Finding]:
    """What is wrong with the CronJob."""
    spec = job.spec
    problems = [*_of_schedule(job, now), *_of_start(job), *_of_end(job), *_of_image(job), *_of_shards(job)]
    policy = spec.get("concurrencyPolicy") or "Allow"
    if policy != "Forbid":
        how = "ends a run that is under way" if policy == "Replace" else "starts a run while one is under way"
        message = f"its concurrencyPolicy is {policy}, which {how}"
        problems.append(
            _found(job, Severity.WARNING, "cron-job-overlaps", message, _patch(job, concurrencyPolicy="Forbid"))
        )
    for problem in job.problems:
        message = f"each of its runs ends with 2 at once: {problem}"
        problems.append(_found(job, Severity.ERROR, "cron-job-setting", message))
    if spec.get("suspend") is True:
        message = "it is suspended: nothing is imported on a schedule"
        problems.append(_found(job, Severity.WARNING, "cron-job-suspended", message, _patch(job, suspend=False)))
    return problems


def _shared(jobs: Sequence[CronJob]) -> list[Finding]:
    """CronJobs of one deployment in one namespace: they have one lock, metrics group and journal entry."""
    active = [job for job in jobs if job.spec.get("suspend") is not True]
    findings = []
    for job, other in itertools.combinations(sorted(active, key=lambda job: (job.namespace, job.name)), 2):
        # Which namespaces labels select is not known here.
        shared = sorted({*job.namespaces} & {*other.namespaces})
        known = job.is_deployment_known and other.is_deployment_known
        if shared and known and job.deployment == other.deployment:
            tags = f"DEPLOYMENT={job.deployment}" if job.deployment else "every tag"
            message = (
                f"it and {other} both import {tags} in {', '.join(shared)}: they share one lock and one metrics group: "
                "one that is due while the other runs is locked out; import these tags by one CronJob"
            )
            findings.append(Finding(Severity.WARNING, "cron-jobs-overlap", job.namespace, str(job), message))
    return findings


def _of_schedule(job: CronJob, now: datetime) -> list[Finding]:
    problems = []
    zone, text = job.spec.get("timeZone"), str(job.spec.get("schedule") or "")
    if not zone:
        message = "it has no timeZone: it runs by the time zone of the cluster's controller manager"
        problems.append(
            _found(job, Severity.WARNING, "cron-job-no-time-zone", message, _patch(job, timeZone="Etc/UTC"))
        )
    try:
        parse_zone(str(zone) if zone else None)
    except ValueError as error:
        fix = _patch(job, timeZone="Etc/UTC")
        return [_found(job, Severity.ERROR, "cron-job-never-runs", f"its timeZone: {error}", fix)]
    again = _patch(job, schedule="0 2 * * 2")
    try:
        if Schedule.parse(text, str(zone) if zone else None).next_after(now) is None:
            message = f"its schedule {text!r} never occurs"
            problems.append(_found(job, Severity.ERROR, "cron-job-never-runs", message, again))
    except UnsupportedScheduleError:
        message = (
            f"its schedule {text!r} counts from the last run: no due time is known, so a missed run raises no alert"
        )
        problems.append(_found(job, Severity.WARNING, "cron-job-every", message, again))
    except ValueError as error:
        problems.append(_found(job, Severity.ERROR, "cron-job-never-runs", f"its schedule: {error}", again))
    return problems


def _of_start(job: CronJob) -> list[Finding]:
    seconds = job.spec.get("startingDeadlineSeconds")
    fix = _patch(job, startingDeadlineSeconds=3600)
    if seconds is None:
        message = "it has no startingDeadlineSeconds: a missed run starts however late it is"
        return [_found(job, Severity.WARNING, "cron-job-starting-deadline", message, fix)]
    if not isinstance(seconds, int) or seconds >= LEAST_STARTING_SECONDS:
        return []
    if seconds < CONTROLLER_SECONDS:
        message = (
            f"its startingDeadlineSeconds is {seconds}, and the controller checks only every {CONTROLLER_SECONDS} s"
        )
        return [_found(job, Severity.ERROR, "cron-job-starting-deadline", message, fix)]
    message = f"its startingDeadlineSeconds is {seconds}: a control plane that is down for {seconds} s loses a run"
    return [_found(job, Severity.WARNING, "cron-job-starting-deadline", message, fix)]


def _of_end(job: CronJob) -> list[Finding]:
    limit = object_in(job.spec, "jobTemplate", "spec").get("activeDeadlineSeconds")
    if not isinstance(limit, int):
        return []
    deadline = job.settings.deadline
    back = job.settings.rollout_timeout if job.settings.on_bad_rollout is OnBadRollout.ROLLBACK else 0.0
    needed = deadline + back + GRACE_SECONDS
    if limit >= needed:
        return []
    fix = _patch(job, jobTemplate={"spec": {"activeDeadlineSeconds": round(needed + GRACE_SECONDS)}})
    message = f"its activeDeadlineSeconds is {limit}, and DEADLINE {deadline:g} s"
    if limit <= deadline:
        message += ": Kubernetes ends a long run before the run ends itself"
        return [_found(job, Severity.ERROR, "cron-job-active-deadline", message, fix)]
    message += (
        f"{f', a rollback {back:g} s' if back else ''} and the report {GRACE_SECONDS:g} s: they do not fit into it"
    )
    return [_found(job, Severity.WARNING, "cron-job-active-deadline", message, fix)]


def _of_image(job: CronJob) -> list[Finding]:
    name, _, digest = job.image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest or tag not in ("", "latest"):
        return []
    what = f"its image is {job.image}, without a tag of its own" if job.image else "it has no image"
    message = f"{what}: which version runs depends on what the node has cached"
    repository = (name.removesuffix(":latest") or f"quay.io/packit/{NAME}") + f":{VERSION}"
    fix = oc(job.namespace, "set", "image", f"cronjob/{job.name}", f"{job.container}={repository}")
    return [_found(job, Severity.WARNING, "cron-job-image", message, fix)]


def _of_shards(job: CronJob) -> list[Finding]:
    spec = object_in(job.spec, "jobTemplate", "spec")
    mode, pods = spec.get("completionMode") or "NonIndexed", spec.get("completions")
    if job.shards is None or (mode, pods) == ("Indexed", job.shards):
        return []
    message = f"SHARDS is {job.shards}, its completionMode {mode} and its completions {pods or 1}: "
    if mode != "Indexed":
        message += "each of its runs ends with 2 at once, since no pod has an index"
    elif isinstance(pods, int) and pods > job.shards:
        message += "the pods beyond that end with 2"
    else:
        message += "the streams of the other shards are never imported"
    indexed = {"completionMode": "Indexed", "completions": job.shards, "parallelism": job.shards}
    fix = _patch(job, jobTemplate={"spec": indexed})
    return [_found(job, Severity.ERROR, "cron-job-shards", message, fix)]


def _found(job: CronJob, severity: Severity, check: str, message: str, *fix: str) -> Finding:
    return Finding(severity, check, job.namespace, str(job), message, fix)


def _patch(job: CronJob, **spec: object) -> str:
    patch = json.dumps({"spec": spec}, separators=(",", ":"))
    return oc(job.namespace, "patch", f"cronjob/{job.name}", "--type=merge", "-p", patch)
