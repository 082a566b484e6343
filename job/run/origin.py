"""What started this run: the schedule of a CronJob, a person who made a Job from it, or a shell.

In a pod the downward API names the Job; the Job says whether the CronJob's controller made it
(`batch.kubernetes.io/cronjob-scheduled-timestamp`) or a person did (`cronjob.kubernetes.io/instantiate: manual`, as
`oc create job --from` writes), and its ownerReferences name its CronJob, which knows schedule and time zone. Pods
themselves carry none of these annotations.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from job.cluster import CRON_JOBS, JOBS, Cluster
from job.domain.errors import ClusterError
from job.domain.involved import Involved
from job.domain.model import Reason, TriggerKind
from job.domain.records import dataclass
from job.domain.text import clean
from job.domain.times import parse_time

if TYPE_CHECKING:
    from job.domain.schedule import Schedule

log = logging.getLogger(__name__)

SCHEDULED_ANNOTATION = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MANUAL_ANNOTATION = "cronjob.kubernetes.io/instantiate"


@dataclass(frozen=True, slots=True)
class Trigger:
    """How a run came to be.

    Attributes:
        kind: `scheduled`, `manual` or `local`.
        job: the name of its Job.
        job_id: what a retried pod of the same Job has in common with this one.
        scheduled_at: when it was due.
        owner: the CronJob, else the Job.
        schedule: the CronJob's, unless that is suspended, unknown or unsupported.
        time_zone: the CronJob's.
    """

    kind: TriggerKind = TriggerKind.LOCAL
    job: str | None = None
    job_id: str | None = None
    scheduled_at: datetime | None = None
    owner: Involved | None = None
    schedule: Schedule | None = None
    time_zone: str | None = None


Answer = Mapping[str, Any]
Retrying = Callable[[Callable[[], Answer]], Answer]


def find_trigger(
    cluster: Cluster, environment: Mapping[str, str], patient: Retrying, time_zone: str | None = None
) -> Trigger:
    """Ask the cluster what started this run. What cannot be found out is logged once, and the run goes on.

    Args:
        cluster: the cluster.
        environment: JOB_NAME and POD_NAMESPACE, as the downward API gives them.
        patient: makes a call, and makes it again where that may help.
        time_zone: of the schedule, where it is not to be the CronJob's.
    """
    job, namespace = environment.get("JOB_NAME", "").strip(), environment.get("POD_NAMESPACE", "").strip()
    if not job or not namespace:
        return Trigger()
    try:
        data = patient(lambda: cluster.get(JOBS, namespace, job))
    except ClusterError as error:
        log.warning(
            "whether this run is a scheduled one is not known, so it counts as manual: %s%s",
            error,
            _advice(error, "jobs"),
        )
        # Its name alone distinguishes the pods of one Job from others.
        return Trigger(TriggerKind.MANUAL, job, job_id=f"{namespace}/{job}")
    metadata: Mapping[str, Any] = data.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    scheduled_at = parse_time(annotations.get(SCHEDULED_ANNOTATION))
    uid = metadata.get("uid")
    trigger = Trigger(
        kind=TriggerKind.SCHEDULED if scheduled_at and MANUAL_ANNOTATION not in annotations else TriggerKind.MANUAL,
        job=job,
        job_id=str(uid or f"{namespace}/{job}"),
        scheduled_at=scheduled_at if MANUAL_ANNOTATION not in annotations else None,
        owner=Involved(JOBS.api_version, JOBS.kind, namespace, job, uid),
    )
    owner = next((o for o in metadata.get("ownerReferences") or () if o.get("kind") == CRON_JOBS.kind), None)
    return trigger if owner is None else _of_cron_job(cluster, namespace, trigger, owner, patient, time_zone)


def _advice(error: ClusterError, resource: str) -> str:
    return f" (grant get on {resource})" if error.reason is Reason.FORBIDDEN else ""


def _of_cron_job(
    cluster: Cluster,
    namespace: str,
    trigger: Trigger,
    owner: Mapping[str, Any],
    patient: Retrying,
    time_zone: str | None,
) -> Trigger:
    involved = Involved(CRON_JOBS.api_version, CRON_JOBS.kind, namespace, str(owner.get("name")), owner.get("uid"))
    try:
        spec: Mapping[str, Any] = patient(lambda: cluster.get(CRON_JOBS, namespace, involved.name)).get("spec") or {}
    except ClusterError as error:
        log.warning("when the next run is due is not known: %s%s", error, _advice(error, "cronjobs"))
        return Trigger(trigger.kind, trigger.job, trigger.job_id, trigger.scheduled_at, involved)
    from job.domain.schedule import Schedule, UnsupportedScheduleError

    zone = spec.get("timeZone") or None
    schedule: Schedule | None = None
    try:
        if not spec.get("suspend"):
            schedule = Schedule.parse(str(spec.get("schedule")), time_zone or zone)
    except UnsupportedScheduleError as error:
        log.warning("when the next run is due is not known: %s", clean(str(error)))
    except ValueError as error:
        log.warning("the schedule of CronJob %s cannot be read: %s", involved.name, clean(str(error)))
    return Trigger(trigger.kind, trigger.job, trigger.job_id, trigger.scheduled_at, involved, schedule, zone)
