"""A namespace of the suite's own with the job installed as it is shipped, and what scenes do there."""

from __future__ import annotations

import copy
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from job.journal.decoding import decode
from job.journal.records import Journal
from tests.e2e import documents
from tests.e2e.cluster import Cluster, Json, Refused, until
from tests.e2e.images import Behaviour, Images
from tests.e2e.settings import Settings
from tests.e2e.workloads import security, workload
from tests.support.kustomize import build
from tests.support.place import PROGRAM, Ended, Series, ended, metrics_of, started, told, with_output

JOB = "import-images"
JOURNAL = "import-images-journal"
LEASE = "import-images-prod"


class Place:
    """A namespace; the rights in it are those of the shipped Roles."""

    def __init__(self, cluster: Cluster, settings: Settings, *components: str) -> None:
        self.cluster = cluster
        self.settings = settings
        self.namespace = f"{settings.prefix}-{uuid.uuid4().hex[:8]}"
        cluster.make_namespace(self.namespace)
        self.images = Images(settings, self.namespace)
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="e2e-")))
        self._install(components)
        self._runs = 0

    def close(self) -> None:
        """Remove the namespace with all that is in it."""
        self._stack.close()
        self.images.close()
        self.cluster.remove_namespace(self.namespace)

    def _install(self, components: tuple[str, ...]) -> None:
        for found in build("prod", *components).objects:
            if found["kind"] != "ClusterRole":
                self.cluster.create(found["kind"], self.namespace, self._adapted(found))
        cron_job = self.cluster.get("CronJob", self.namespace, JOB)
        self.template: Json = cron_job["spec"]["jobTemplate"]["spec"]
        uid = cron_job["metadata"]["uid"]
        # Like kubectl without blockOwnerDeletion, which takes a right of its own.
        self.owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": JOB, "uid": uid, "controller": True}

    def _adapted(self, found: Json) -> Json:
        """The object with what differs between clusters."""
        if found["kind"] != "CronJob":
            return found
        adapted = copy.deepcopy(found)
        pod = adapted["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        pod["securityContext"] = security(self.settings.run_as_user)
        container = pod["containers"][0]
        if self.settings.image:
            container["image"] = self.settings.image
        more = {"RETRIES": "1", "ROLLOUT_STABLE": self.settings.stable, "ROLLOUT_TIMEOUT": "3m"}
        if self.settings.pushgateway:
            more["PUSHGATEWAY_ADDRESS"] = self.settings.pushgateway
        container["env"] = [
            *(variable for variable in container["env"] if variable["name"] not in more),
            *({"name": name, "value": value} for name, value in more.items()),
        ]
        return adapted

    # The job

    def run(self, *arguments: str, **environment: str) -> Ended:
        """Run the job with its own service account to its end: in a pod, where there are pods."""
        if self.settings.pods:
            name = self.start_pod(*arguments, **environment)
            return self.pod_ended(name)
        with self.running(*arguments, **environment) as process:
            return ended(process, self.settings.patience)

    @contextmanager
    def running(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """The job under way on this machine, with its own service account."""
        container = self.template["template"]["spec"]["containers"][0]
        given = {
            **{each["name"]: each["value"] for each in container["env"] if "value" in each},
            "PATH": os.environ["PATH"],
            "POD_NAMESPACE": self.namespace,
            "HOST": self.cluster.server,
            "TOKEN": self.cluster.token(self.namespace, JOB),
            "TERMINATION_LOG": str(self.termination_log),
            **({"CA_FILE": self.cluster.ca_file} if self.cluster.ca_file else {}),
            **({} if self.cluster.verified else {"INSECURE_SKIP_TLS_VERIFY": "true"}),
            **({"PUSHGATEWAY_ADDRESS": self.settings.pushgateway_local} if self.settings.pushgateway_local else {}),
            **environment,
        }
        self.termination_log.touch()
        with started([PROGRAM, *with_output(arguments)], given) as process:
            yield process

    @property
    def termination_log(self) -> Path:
        """Where a run on this machine writes what the kubelet would read."""
        return self._folder / "termination-log"

    def person(self, *arguments: str, **environment: str) -> Ended:
        """A command as a person gives it, with the kubeconfig of the suite."""
        given = {name: os.environ[name] for name in ("PATH", "HOME", "KUBECONFIG") if name in os.environ}
        if self.settings.kubeconfig:
            given["KUBECONFIG"] = self.settings.kubeconfig
        given |= {"NAMESPACE": self.namespace, "DEPLOYMENT": "prod", "ROLLOUT_STABLE": self.settings.stable}
        with started([PROGRAM, *with_output(arguments)], {**given, **environment}) as process:
            return ended(process, self.settings.patience)

    # The job in pods

    def start_pod(self, *arguments: str, **environment: str) -> str:
        """Make a Job of the CronJob, as `oc create job --from` does, with other arguments; gives its name."""
        self._runs += 1
        name = f"run-{self._runs}"
        wanted = copy.deepcopy(self.template)
        container = wanted["template"]["spec"]["containers"][0]
        if arguments:
            container["args"] = list(arguments)
        container["env"] = [
            *(variable for variable in container["env"] if variable["name"] not in environment),
            *({"name": variable, "value": value} for variable, value in environment.items()),
        ]
        annotations = {"cronjob.kubernetes.io/instantiate": "manual"}
        metadata = {"name": name, "annotations": annotations, "ownerReferences": [self.owner]}
        self.cluster.create("Job", self.namespace, {"metadata": metadata, "spec": wanted})
        return name

    def pods_of(self, job: str) -> list[Json]:
        found = self.cluster.items("Pod", self.namespace, labelSelector=f"batch.kubernetes.io/job-name={job}")
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def wait_for_pod(self, job: str, phases: tuple[str, ...] = ("Succeeded", "Failed")) -> Json:
        """The newest pod of a Job, once it is in one of these phases."""

        def reached() -> Json | None:
            pods = self.pods_of(job)
            return pods[-1] if pods and pods[-1]["status"].get("phase") in phases else None

        return until(reached, self.settings.patience, f"a pod of {job} that is {' or '.join(phases)}")

    def wait_for_job(self, job: str) -> None:
        """Wait until a Job is complete or has failed."""

        def over() -> bool:
            conditions = self.cluster.get("Job", self.namespace, job)["status"].get("conditions") or ()
            return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)

        until(over, self.settings.patience, f"the end of {job}")

    def pod_ended(self, job: str) -> Ended:
        return self.pod_output(self.wait_for_pod(job))

    def pod_output(self, pod: Json) -> Ended:
        """What the container of a pod left behind: its log has the report, and other lines beside it."""
        terminated = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}/log"
        report, rest = documents.split(self.cluster.request("GET", path))
        return told(int(terminated["exitCode"]), report, rest)

    # What is in the namespace

    def stream(self, name: str, **fields: Any) -> Json:
        """A stream whose tag prod is the image of the repository of the same name; fields are more of the tag."""
        tag = {
            "name": "prod",
            "from": {"kind": "DockerImage", "name": self.images.source(name)},
            "importPolicy": {"insecure": self.settings.insecure},
            "referencePolicy": {"type": "Source"},
            **fields,
        }
        body = {"metadata": {"name": name}, "spec": {"tags": [tag]}}
        return self.cluster.create("ImageStream", self.namespace, body)

    def imported(self, name: str, content: str = "first", **fields: Any) -> str:
        """A stream that has an image already; gives its digest."""
        digest = self.images.push(name, content)
        stream = self.stream(name, **fields)
        tag = stream["spec"]["tags"][0]
        wanted = {field: tag[field] for field in ("from", "importPolicy", "referencePolicy")}
        spec = {"import": True, "images": [{**wanted, "to": {"name": "prod"}}]}
        kind = {"kind": "ImageStreamImport", "apiVersion": "image.openshift.io/v1"}
        body = {**kind, "metadata": {"name": name, "namespace": self.namespace}, "spec": spec}
        self.cluster.create("ImageStreamImport", self.namespace, body)
        until(lambda: self.current(name) == digest, self.settings.patience, f"{name} has its first image")
        return digest

    def follow(self, name: str, kind: str = "Deployment", replicas: int = 1, **fields: Any) -> str:
        """A stream with an image and a workload that runs it; gives its digest."""
        digest = self.imported(name, **fields)
        image = f"{self.images.source(name).rpartition(':')[0]}@{digest}"
        user = self.settings.run_as_user
        body = workload(kind, name, f"{name}:prod", image, replicas=replicas, run_as_user=user)
        self.cluster.create(kind, self.namespace, body)
        self.wait_until_runs(name, digest, replicas)
        return digest

    def wait_until_runs(self, name: str, digest: str, replicas: int = 1) -> None:
        """Wait until all pods of a workload run an image and are ready."""
        wanted = [(digest, True)] * replicas
        until(lambda: self.runs(name) == wanted, self.settings.patience, f"the pods of {name} run {digest}")

    def runs(self, name: str) -> list[tuple[str, bool]]:
        """The digests of the pods of a workload, and whether each is ready."""
        pods = self.cluster.items("Pod", self.namespace, labelSelector=f"app={name}")
        return sorted(
            (pod["spec"]["containers"][0]["image"].rpartition("@")[2], is_ready(pod))
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"]
        )

    def push_bad(self, name: str, behaviour: Behaviour) -> str:
        return self.images.push(name, f"bad: {behaviour}", behaviour)

    def spec(self, name: str) -> Json:
        """The tag prod of a stream as its spec has it, without the generation, which only the server sets."""
        tags = self.cluster.get("ImageStream", self.namespace, name)["spec"]["tags"]
        found = next(tag for tag in tags if tag["name"] == "prod")
        return {field: value for field, value in found.items() if field != "generation"}

    def current(self, name: str) -> str | None:
        """The digest that the tag prod has."""
        for tag in self.cluster.get("ImageStream", self.namespace, name)["status"].get("tags") or ():
            if tag["tag"] == "prod" and tag.get("items"):
                return str(tag["items"][0]["image"])
        return None

    def versions(self) -> dict[tuple[str, str], str]:
        """The resourceVersion of everything that a run may write."""
        objects = [(kind, item) for kind in ("ImageStream", "ConfigMap", "Lease")
                   for item in self.cluster.items(kind, self.namespace)]  # fmt: skip
        # A cluster has events of its own.
        objects += [("Event", event) for event in self.events()]
        return {(kind, item["metadata"]["name"]): item["metadata"]["resourceVersion"] for kind, item in objects}

    def journal(self) -> Journal:
        try:
            return decode(self.cluster.get("ConfigMap", self.namespace, JOURNAL))
        except Refused:
            return Journal()

    def events(self) -> list[Json]:
        """The Events that the job wrote."""
        found = self.cluster.items("Event", self.namespace)
        return [each for each in found if JOB in str(each.get("reportingComponent") or each.get("source"))]

    def metrics(self) -> Mapping[str, Series]:
        return metrics_of(self.settings.pushgateway_local, stream_namespace=self.namespace, deployment="prod")


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
