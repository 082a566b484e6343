"""CronJobs that make Jobs, and Jobs that make pods until they are complete or have failed.

Only where the sandbox is told an image of pods that really run (`job_image`): most tests make Jobs that nothing is to
run. Source of behaviour: Kubernetes' pkg/controller/cronjob and pkg/controller/job.
"""

from __future__ import annotations

import copy
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter

from tests.sandbox import timestamps
from tests.sandbox.calls import Call
from tests.sandbox.cluster import Cluster
from tests.sandbox.objects import Objects
from tests.sandbox.resources import CRON_JOBS, JOBS, PODS, Kind
from tests.sandbox.status import Json
from tests.sandbox.store import Entry, Event
from tests.sandbox.workloads import pods
from tests.sandbox.workloads.work import Work
from tests.sandbox.workloads.writing import write_status

FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
JOB_NAME = "batch.kubernetes.io/job-name"
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class _Key:
    kind: Kind
    namespace: str
    name: str


class BatchController:
    """Makes Jobs at their minute, and pods of Jobs."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._work: Work[_Key] = Work()

    async def run(self) -> None:
        self.resync()
        await self._work.run(self._cluster.store, (CRON_JOBS, JOBS, PODS), self._see, self._act)

    def resync(self) -> None:
        for kind in (CRON_JOBS, JOBS):
            for entry in self._cluster.store.table(kind).entries():
                self._work.add(_Key(kind, entry.namespace, entry.name))

    def _see(self, event: Event) -> None:
        entry = event.entry
        owner = pods.controller_of(entry.object)
        if entry.kind is not PODS:
            key = _Key(entry.kind, entry.namespace, entry.name)
            if event.type == "DELETED":
                self._work.forget(key)
            else:
                self._work.add(key)
        elif owner and owner["kind"] == "Job":
            self._work.add(_Key(JOBS, entry.namespace, owner["name"]))

    def _act(self, key: _Key) -> None:
        if not self._cluster.settings.job_image:
            return
        entry = self._cluster.store.get(key.kind, key.namespace, key.name)
        if key.kind is JOBS:
            if entry is None:
                _release_orphans(self._cluster, key.namespace, key.name)
            else:
                _reconcile_job(self._cluster, entry)
        elif entry is not None:
            self._work.add_later(key, _make_due_job(self._cluster, entry))


# CronJobs


def _make_due_job(cluster: Cluster, entry: Entry) -> float:
    """Make the Job of the minute that has come, once; gives the seconds until the next one."""
    spec, now = entry.object["spec"], time.time()
    zone = ZoneInfo(spec.get("timeZone") or "Etc/UTC")
    schedule = croniter(spec["schedule"], datetime.fromtimestamp(now, zone))
    due = schedule.get_prev(float)
    known = (entry.object.get("status") or {}).get("lastScheduleTime")
    began = known or entry.object["metadata"]["creationTimestamp"]
    if due > pods.seconds_of(began) and not spec.get("suspend"):
        active = [
            job
            for job in cluster.store.owned_by(entry.object["metadata"]["uid"])
            if job.kind is JOBS and not _is_over(job.object)
        ]
        if not active or spec.get("concurrencyPolicy", "Allow") == "Allow":
            _make_job(cluster, entry, due, zone)
        at = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        write_status(cluster, entry, {**(entry.object.get("status") or {}), "lastScheduleTime": at})
    return max(0.05, float(croniter(spec["schedule"], datetime.fromtimestamp(now, zone)).get_next(float)) - now)


def _make_job(cluster: Cluster, entry: Entry, due: float, zone: ZoneInfo) -> None:
    template = entry.object["spec"]["jobTemplate"]
    head = template.get("metadata") or {}
    annotations = {**(head.get("annotations") or {}), SCHEDULED: datetime.fromtimestamp(due, zone).isoformat()}
    name = f"{entry.name}-{int(due) // 60}"
    if cluster.store.get(JOBS, entry.namespace, name) is None:
        metadata = pods.new_metadata(entry, name, dict(head.get("labels") or {}), annotations)
        spec = with_selector(copy.deepcopy(template["spec"]), metadata["uid"], name)
        cluster.store.put(JOBS, {"metadata": {**metadata, "generation": 1}, "spec": spec, "status": {}})


# Jobs


def with_selector(spec: Json, uid: str, name: str) -> Json:
    """The spec with the labels by which a Job's pods are found, as the server adds them."""
    template = spec.get("template")
    if spec.get("selector") or not isinstance(template, dict):
        return spec
    head = template.get("metadata") or {}
    labels = {"batch.kubernetes.io/controller-uid": uid, "controller-uid": uid, JOB_NAME: name, "job-name": name}
    metadata = {**head, "labels": {**(head.get("labels") or {}), **labels}}
    selector = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    return {**spec, "selector": selector, "template": {**template, "metadata": metadata}}


class Jobs(Objects):
    """Jobs, as they are created."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, JOBS)

    def prepare_create(self, call: Call, item: Json) -> Json:
        item = super().prepare_create(call, item)
        if isinstance(item.get("spec"), dict):
            metadata = item["metadata"]
            item["spec"] = with_selector(item["spec"], metadata["uid"], metadata["name"])
        return item


def _is_over(job: Json) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)


def _reconcile_job(cluster: Cluster, entry: Entry) -> None:
    spec = entry.object["spec"]
    indexed = spec.get("completionMode") == "Indexed"
    wanted = range(spec.get("completions") or 1) if indexed else range(1)
    status: Json = {"succeeded": 0, "failed": 0, **(entry.object.get("status") or {})}
    status.setdefault("startTime", timestamps.now())
    done, lost = _indexes(status, "completedIndexes"), _indexes(status, "failedIndexes")
    active: set[int] = set()
    for pod in _pods_of(cluster, entry):
        if FINALIZER not in pod.object["metadata"].get("finalizers", ()):
            continue
        if pod.object["status"].get("phase") not in _OVER:
            active.add(_index_of(pod.object))
            continue
        _account(spec, pod.object, status, done, lost)
        _release(cluster, pod)
    if not _is_over(entry.object):
        for index in wanted:
            if index not in active | done | lost:
                active.add(index)
                _make_pod(cluster, entry, index, indexed=indexed)
        _conclude(status, len(wanted), done, lost, active)
    status |= {"completedIndexes": _text_of(done), "failedIndexes": _text_of(lost), "active": len(active)}
    write_status(cluster, entry, {name: value for name, value in status.items() if value not in (0, "")})


def _account(spec: Json, pod: Json, status: Json, done: set[int], lost: set[int]) -> None:
    """Count a pod that has ended, by the Job's policy of failures."""
    index = _index_of(pod)
    if pod["status"]["phase"] == "Succeeded":
        status["succeeded"] += 1
        done.add(index)
        return
    action = _action(spec, pod)
    status["failed"] += action != "Ignore"
    most = spec.get("backoffLimitPerIndex", spec.get("backoffLimit", 6))
    if action in ("FailJob", "FailIndex") or (action == "Count" and status["failed"] > most):
        lost.add(index)


def _action(spec: Json, pod: Json) -> str:
    conditions = {each["type"] for each in pod["status"].get("conditions") or () if each["status"] == "True"}
    code = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        if any(each["type"] in conditions for each in rule.get("onPodConditions") or ()):
            return str(rule["action"])
        codes = rule.get("onExitCodes")
        if codes and code and (code in codes["values"]) is (codes["operator"] == "In"):
            return str(rule["action"])
    return "Count"


def _conclude(status: Json, wanted: int, done: set[int], lost: set[int], active: set[int]) -> None:
    if active or len(done | lost) < wanted:
        return
    kind, reason = ("Failed", "PodFailurePolicy") if lost else ("Complete", "CompletionsReached")
    condition = {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": timestamps.now()}
    status["conditions"] = [condition]
    if not lost:
        status["completionTime"] = timestamps.now()


def _pods_of(cluster: Cluster, entry: Entry) -> list[Entry]:
    return [each for each in cluster.store.owned_by(entry.object["metadata"]["uid"]) if each.kind is PODS]


def _make_pod(cluster: Cluster, entry: Entry, index: int, *, indexed: bool) -> None:
    middle = f"{index}-" if indexed else ""
    labels = {INDEX: str(index)} if indexed else {}
    made = pods.new_pod(
        entry, entry.object["spec"]["template"], pods.random_name(f"{entry.name}-{middle}"), labels
    )  # fmt: skip
    made["metadata"] |= {"finalizers": [FINALIZER], "uid": str(uuid.uuid4())}
    cluster.store.put(PODS, made)


def _release_orphans(cluster: Cluster, namespace: str, name: str) -> None:
    """Let the ended pods of a Job go that is no more."""
    for pod in list(cluster.store.table(PODS).entries(namespace)):
        labels = pod.object["metadata"].get("labels") or {}
        if labels.get(JOB_NAME) == name and pod.object["status"].get("phase") in _OVER:
            _release(cluster, pod)


def _release(cluster: Cluster, pod: Entry) -> None:
    metadata = {**pod.object["metadata"]}
    metadata["finalizers"] = [each for each in metadata.get("finalizers", ()) if each != FINALIZER]
    if metadata.get("deletionTimestamp") and not metadata["finalizers"]:
        cluster.store.delete(pod)
    else:
        cluster.store.put(PODS, {**pod.object, "metadata": metadata})


def _index_of(pod: Json) -> int:
    return int((pod["metadata"].get("labels") or {}).get(INDEX, 0))


def _indexes(status: Json, name: str) -> set[int]:
    return {int(text) for text in str(status.get(name, "")).split(",") if text}


def _text_of(indexes: set[int]) -> str:
    return ",".join(map(str, sorted(indexes)))
