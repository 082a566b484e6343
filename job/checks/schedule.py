"""The CronJob that runs the program: whether it will run, once, in time and to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from job import VERSION
from job.checks import Finding, Severity, oc
from job.durations import duration
from job.schedule import Schedule, UnsupportedScheduleError
from job.workloads import object_in, objects_in

NAME = "import-images"
LABEL = "app.kubernetes.io/name"
DEADLINE_SECONDS = 1800.0
ROLLOUT_SECONDS = 600.0
# To end imports under way, report, push and release the lock.
GRACE_SECONDS = 60.0
# Long enough for a control plane that is being upgraded to come back: a run of the week is not to be missed by minutes.
LEAST_STARTING_SECONDS = 600
# The controller looks every 10 s: with less it may find that it is too late every time.
CONTROLLER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Job:
    """A CronJob of ours.

    Attributes:
        spec: its spec, as the API writes it.
        container: the name of the container that runs the program.
        image: that container's.
        settings: its environment, as far as it is written there.
        account: the service account of its pods.
    """

    namespace: str
    name: str
    spec: Mapping[str, Any] = field(repr=False)
    container: str
    image: str
    settings: Mapping[str, str]
    account: str

    def __str__(self) -> str:
        return f"CronJob {self.name}"

    @property
    def user(self) -> str:
        """The API's name of its account."""
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    def imports(self, namespace: str, deployment: str | None) -> bool:
        """Whether it imports that deployment's tags (None: any) in that namespace."""
        mine = self.settings.get("DEPLOYMENT", "").strip()
        names = [each.strip() for each in self.settings.get("NAMESPACE", "").split(",") if each.strip()]
        return (not mine or deployment in (None, mine)) and (
            namespace in names if names else namespace == self.namespace or "NAMESPACE_SELECTOR" in self.settings
        )

    def seconds(self, name: str, otherwise: float) -> float:
        """A setting that is a duration; the program itself tells of one that is wrong."""
        try:
            return duration(self.settings.get(name, ""))
        except ValueError:
            return otherwise

    def is_true(self, name: str) -> bool:
        """Whether a setting is switched on."""
        return self.settings.get(name, "").strip().lower() in ("true", "yes", "1", "on")

    @property
    def goes_back(self) -> bool:
        """Whether it rolls back by itself."""
        return self.settings.get("ON_BAD_ROLLOUT", "").strip() == "rollback"


def job_from(data: Mapping[str, Any], *, known: bool = False) -> Job | None:
    """A CronJob of ours, by its label, its name or its container's; None for another one.

    Args:
        data: its JSON.
        known: that it is ours is known.
    """
    metadata, spec = object_in(data, "metadata"), object_in(data, "spec")
    pod = object_in(spec, "jobTemplate", "spec", "template", "spec")
    containers = objects_in(pod, "containers")
    mine = next((each for each in containers if each.get("name") == NAME), None)
    labelled = object_in(metadata, "labels").get(LABEL) == NAME
    if not (known or mine or labelled or metadata.get("name") == NAME):
        return None
    container = mine or (containers[0] if containers else {})
    settings = {str(each["name"]): str(each["value"]) for each in objects_in(container, "env") if "value" in each}
    return Job(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        spec=spec,
        container=str(container.get("name", "")),
        image=str(container.get("image") or ""),
        settings=settings,
        account=str(pod.get("serviceAccountName") or "default"),
    )


def findings(job: Job, now: datetime) -> list[Finding]:
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


def _of_schedule(job: Job, now: datetime) -> list[Finding]:
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


def _of_start(job: Job) -> list[Finding]:
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


def _of_end(job: Job) -> list[Finding]:
    limit = object_in(job.spec, "jobTemplate", "spec").get("activeDeadlineSeconds")
    if not isinstance(limit, int):
        return []
    deadline = job.seconds("DEADLINE", DEADLINE_SECONDS)
    back = job.seconds("ROLLOUT_TIMEOUT", ROLLOUT_SECONDS) if job.goes_back else 0.0
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


def _of_image(job: Job) -> list[Finding]:
    name, _, digest = job.image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest or tag not in ("", "latest"):
        return []
    what = f"its image is {job.image}, without a tag of its own" if job.image else "it has no image"
    told = f"{what}: which version runs is up to the node"
    repository = (name.removesuffix(":latest") or f"quay.io/packit/{NAME}") + f":{VERSION}"
    mend = oc(job.namespace, "set", "image", f"cronjob/{job.name}", f"{job.container}={repository}")
    return [_found(job, Severity.WARNING, "cron-job-image", told, mend)]


def _found(job: Job, severity: Severity, check: str, told: str, *mend: str) -> Finding:
    return Finding(severity, check, job.namespace, str(job), told, mend)


def _patch(job: Job, **spec: object) -> str:
    patch = json.dumps({"spec": spec}, separators=(",", ":"))
    return oc(job.namespace, "patch", f"cronjob/{job.name}", "--type=merge", "-p", patch)
