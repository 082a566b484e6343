"""The CronJob that runs the program: whether it will run, once, in time and to its end."""

from __future__ import annotations

import json
from datetime import datetime

from job import VERSION
from job.cluster.unstructured import object_in
from job.doctor.checks import Finding, Severity
from job.domain.model import OnBadRollout
from job.domain.schedule import Schedule, UnsupportedScheduleError
from job.domain.shell import oc
from job.workloads.cronjob import NAME, CronJob

# The deployments that an overlay is shipped for.
OVERLAYS = ("prod", "stg")
# To end imports under way, report, push and release the lock.
GRACE_SECONDS = 60.0
# Long enough for a control plane that is being upgraded to come back: a run of the week is not to be missed by minutes.
LEAST_STARTING_SECONDS = 600
# The controller looks every 10 s: with less it may find that it is too late every time.
CONTROLLER_SECONDS = 10


def missing(namespace: str, deployment: str | None) -> Finding:
    """That there is no CronJob for a deployment (None: for every tag)."""
    told, overlay = "there is none that can be seen: nothing is imported on a schedule", "deploy"
    if deployment in OVERLAYS:
        overlay = f"manifests/overlays/{deployment}"
    else:
        what = f"DEPLOYMENT={deployment}" if deployment else "the DEPLOYMENT that you mean"
        told += f"; first make an overlay of your own with {what} (docs/install.md, Your own overlay)"
    mend = oc(namespace, "apply", "-k", overlay)
    return Finding(Severity.NOTE, "cron-job-missing", namespace, "CronJob", told, (mend,))


def findings(job: CronJob, now: datetime) -> list[Finding]:
    """What is wrong with the CronJob."""
    spec = job.spec
    found = [*_of_schedule(job, now), *_of_start(job), *_of_end(job), *_of_image(job)]
    policy = spec.get("concurrencyPolicy") or "Allow"
    if policy != "Forbid":
        how = "ends a run that is under way" if policy == "Replace" else "starts a run while one is under way"
        told = f"its concurrencyPolicy is {policy}, which {how}"
        found.append(_found(job, Severity.WARNING, "cron-job-overlaps", told, _patch(job, concurrencyPolicy="Forbid")))
    if spec.get("suspend") is True:
        told = "it is suspended: nothing is imported until somebody resumes it"
        found.append(_found(job, Severity.WARNING, "cron-job-suspended", told, _patch(job, suspend=False)))
    return found


def _of_schedule(job: CronJob, now: datetime) -> list[Finding]:
    found = []
    zone, text = job.spec.get("timeZone"), str(job.spec.get("schedule") or "")
    if not zone:
        told = "it has no timeZone: when it runs is for the clock of the controller to say"
        found.append(_found(job, Severity.WARNING, "cron-job-no-time-zone", told, _patch(job, timeZone="Etc/UTC")))
    again = _patch(job, schedule="0 2 * * 2")
    try:
        if Schedule.parse(text, str(zone) if zone else None).next_after(now) is None:
            told = f"its schedule {text!r} never comes"
            found.append(_found(job, Severity.ERROR, "cron-job-never-runs", told, again))
    except UnsupportedScheduleError:
        told = f"its schedule {text!r} counts from the last run: when the next is due cannot be told or alerted on"
        found.append(_found(job, Severity.WARNING, "cron-job-every", told, again))
    except ValueError as error:
        found.append(_found(job, Severity.ERROR, "cron-job-never-runs", f"its schedule: {error}", again))
    return found


def _of_start(job: CronJob) -> list[Finding]:
    seconds = job.spec.get("startingDeadlineSeconds")
    mend = _patch(job, startingDeadlineSeconds=3600)
    if seconds is None:
        told = "it has no startingDeadlineSeconds: a missed run starts however late, and after 100 missed ones none may"
        return [_found(job, Severity.WARNING, "cron-job-starting-deadline", told, mend)]
    if not isinstance(seconds, int) or seconds >= LEAST_STARTING_SECONDS:
        return []
    if seconds < CONTROLLER_SECONDS:
        told = f"its startingDeadlineSeconds is {seconds}, and the controller looks only every {CONTROLLER_SECONDS} s"
        return [_found(job, Severity.ERROR, "cron-job-starting-deadline", told, mend)]
    told = f"its startingDeadlineSeconds is {seconds}: a control plane that is away for {seconds} s costs a run"
    return [_found(job, Severity.WARNING, "cron-job-starting-deadline", told, mend)]


def _of_end(job: CronJob) -> list[Finding]:
    limit = object_in(job.spec, "jobTemplate", "spec").get("activeDeadlineSeconds")
    if not isinstance(limit, int):
        return []
    deadline = job.settings.deadline
    back = job.settings.rollout_timeout if job.settings.on_bad_rollout is OnBadRollout.ROLLBACK else 0.0
    needed = deadline + back + GRACE_SECONDS
    if limit >= needed:
        return []
    mend = _patch(job, jobTemplate={"spec": {"activeDeadlineSeconds": round(needed + GRACE_SECONDS)}})
    told = f"its activeDeadlineSeconds is {limit}, and DEADLINE {deadline:g} s"
    if limit <= deadline:
        told += ": Kubernetes ends a long run before the run ends itself"
        return [_found(job, Severity.ERROR, "cron-job-active-deadline", told, mend)]
    told += f"{f', a rollback {back:g} s' if back else ''} and the report {GRACE_SECONDS:g} s: they do not fit in"
    return [_found(job, Severity.WARNING, "cron-job-active-deadline", told, mend)]


def _of_image(job: CronJob) -> list[Finding]:
    name, _, digest = job.image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest or tag not in ("", "latest"):
        return []
    what = f"its image is {job.image}, without a tag of its own" if job.image else "it has no image"
    told = f"{what}: which version runs is up to the node"
    repository = (name.removesuffix(":latest") or f"quay.io/packit/{NAME}") + f":{VERSION}"
    mend = oc(job.namespace, "set", "image", f"cronjob/{job.name}", f"{job.container}={repository}")
    return [_found(job, Severity.WARNING, "cron-job-image", told, mend)]


def _found(job: CronJob, severity: Severity, check: str, told: str, *mend: str) -> Finding:
    return Finding(severity, check, job.namespace, str(job), told, mend)


def _patch(job: CronJob, **spec: object) -> str:
    patch = json.dumps({"spec": spec}, separators=(",", ":"))
    return oc(job.namespace, "patch", f"cronjob/{job.name}", "--type=merge", "-p", patch)
