"""The cluster as the rest of the program sees it: one small protocol, which `api` and `oc` implement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from job.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object: its API group and version as in `apiVersion`, its kind and its plural."""

    api_version: str
    kind: str
    plural: str


IMAGE_STREAMS = Resource("image.openshift.io/v1", "ImageStream", "imagestreams")
IMAGE_STREAM_IMPORTS = Resource("image.openshift.io/v1", "ImageStreamImport", "imagestreamimports")
IMAGE_STREAM_IMAGES = Resource("image.openshift.io/v1", "ImageStreamImage", "imagestreamimages")
IMAGE_STREAM_TAGS = Resource("image.openshift.io/v1", "ImageStreamTag", "imagestreamtags")
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
EVENTS = Resource("v1", "Event", "events")
NAMESPACES = Resource("v1", "Namespace", "namespaces")
JOBS = Resource("batch/v1", "Job", "jobs")
CRON_JOBS = Resource("batch/v1", "CronJob", "cronjobs")
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments")
STATEFUL_SETS = Resource("apps/v1", "StatefulSet", "statefulsets")
DAEMON_SETS = Resource("apps/v1", "DaemonSet", "daemonsets")
DEPLOYMENT_CONFIGS = Resource("apps.openshift.io/v1", "DeploymentConfig", "deploymentconfigs")
PODS = Resource("v1", "Pod", "pods")
PROJECTS = Resource("project.openshift.io/v1", "Project", "projects")
SELF_SUBJECT_REVIEWS = Resource("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews")
SELF_SUBJECT_ACCESS_REVIEWS = Resource("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")


class Cluster(Protocol):
    """The requests that the program sends to a cluster. Every method raises `ClusterError`; objects are the API's JSON.

    Methods may be called from several threads at the same time.
    """

    @property
    def default_namespace(self) -> str | None:
        """The namespace of the pod or of the context, if there is one."""

    @property
    def server(self) -> str:
        """The address of the API, without a login."""

    @property
    def context(self) -> str | None:
        """The name of the kubeconfig's context that is used, if any."""

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the server's clock is ahead of this one; None where that is unknown."""

    def list(self, resource: Resource, namespace: str, selector: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Every object of a namespace (of the cluster where `namespace` is empty), page by page.

        An error may be raised after some objects were returned.
        """

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        """One object."""

    def create(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Create an object; `timeout` (seconds) is sent to the server as its own limit."""

    def replace(
        self, resource: Resource, namespace: str, body: Mapping[str, Any], timeout: float | None = None
    ) -> Mapping[str, Any]:
        """Replace an object; with a resourceVersion only if it still has that version. `timeout` as for `create`."""

    def delete(self, resource: Resource, namespace: str, name: str, uid: str | None = None) -> None:
        """Delete an object; with `uid` only if it is still the same object."""

    def close(self) -> None:
        """Close all connections."""


def reference(resource: Resource, name: str) -> str:
    """An object as kubectl names it: `deployment/web`."""
    return f"{resource.kind.lower()}/{name}"
