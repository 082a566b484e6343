"""CronJobs."""

from __future__ import annotations

from job.cluster import CRON_JOBS
from job.cluster.unstructured import object_in
from job.workloads.kinds.kind import Jobs, Json


class CronJob(Jobs):
    """batch/v1 CronJob: the pods of its next job run what its template has."""

    resource = CRON_JOBS
    pod_spec_path = ("spec", "jobTemplate", "spec", "template", "spec")
    has_rollout_status = False

    def suspension(self, data: Json) -> str | None:
        """`spec.suspend` in words."""
        is_suspended = object_in(data, "spec").get("suspend") is True
        return "suspended; the next job runs the image" if is_suspended else None
