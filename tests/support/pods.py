"""The job in a pod: Job and CronJob objects as Kubernetes makes them, and what a run leaves in its namespace."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from job.journal.decoding import decode
from job.journal.records import Journal
from tests.sandbox.client import Json, Refused
from tests.support.place import Place

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MANUAL = "cronjob.kubernetes.io/instantiate"
JOURNAL = "import-images-journal"
CRON_JOB = "import-images"
TEMPLATE: Json = {
    "spec": {
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "job", "image": "import-images"}]}}
    }
}


def make_cron_job(place: Place, **spec: Any) -> Json:
    """The CronJob; a schedule far away unless another is given."""
    wanted = {"schedule": "0 2 * * 2", "timeZone": "Europe/Prague", "jobTemplate": TEMPLATE, **spec}
    path = f"/apis/batch/v1/namespaces/{place.namespace}/cronjobs"
    found = place.sandbox.create(path, {"metadata": {"name": CRON_JOB}, "spec": wanted})
    assert isinstance(found, dict)
    return found


def make_job(place: Place, cron_job: Json | None, name: str = "import-images-1", **annotations: str) -> dict[str, str]:
    """A Job, owned by the CronJob; gives what the downward API then tells the pod."""
    metadata: Json = {"name": name, "annotations": annotations}
    if cron_job:
        owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": CRON_JOB, "uid": cron_job["metadata"]["uid"]}
        metadata["ownerReferences"] = [{**owner, "controller": True, "blockOwnerDeletion": True}]
    path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    place.sandbox.create(path, {"metadata": metadata, "spec": TEMPLATE["spec"]})
    return {"JOB_NAME": name, "POD_NAMESPACE": place.namespace}


def scheduled(place: Place, cron_job: Json, name: str = "import-images-1", late: float = 30.0) -> dict[str, str]:
    """A Job as the CronJob's controller makes it, that was due so many seconds ago."""
    due = (datetime.now(UTC) - timedelta(seconds=late)).astimezone().replace(microsecond=0)
    return make_job(place, cron_job, name, **{SCHEDULED: due.isoformat()})


def manual(place: Place, cron_job: Json, name: str = "import-images-by-hand") -> dict[str, str]:
    """A Job as `kubectl create job --from` makes it."""
    return make_job(place, cron_job, name, **{MANUAL: "manual"})


def journal(place: Place, namespace: str = "") -> Journal:
    """What the journal says; an empty one if there is none."""
    with suppress(Refused):
        return decode(place.sandbox.get(f"/api/v1/namespaces/{namespace or place.namespace}/configmaps/{JOURNAL}"))
    return Journal()


def lease(place: Place, name: str = "import-images-prod") -> Json:
    """The spec of a Lease."""
    found = place.sandbox.get(f"/apis/coordination.k8s.io/v1/namespaces/{place.namespace}/leases/{name}")["spec"]
    assert isinstance(found, dict)
    return found


def write_lease(place: Place, name: str = "import-images-prod", **spec: Any) -> None:
    """Somebody else writes a Lease."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{place.namespace}/leases"
    labels = {"app.kubernetes.io/name": "import-images"}
    place.sandbox.patch(f"{path}/{name}", {"metadata": {"labels": labels}, "spec": spec})


def make_lease(place: Place, name: str, **spec: Any) -> None:
    """Somebody else makes a Lease."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{place.namespace}/leases"
    labels = {"app.kubernetes.io/name": "import-images"}
    place.sandbox.create(path, {"metadata": {"name": name, "labels": labels}, "spec": spec})


def events(place: Place, namespace: str = "") -> list[Json]:
    """The Events of a namespace."""
    return place.sandbox.items(f"/api/v1/namespaces/{namespace or place.namespace}/events")
