"""The cluster as the rest of the program sees it: one small protocol, which `api` and `oc` implement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from job.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object.

    Attributes:
        api_version: its API group and version, as in `apiVersion`.
        kind: its kind.
        plural: its name in paths.
        is_large: whether it has a pod template or a pod's status, so that a page holds fewer of them.
    """

    api_version: str
    kind: str
    plural: str
    is_large: bool = False


IMAGE_STREAMS = Resource("image.openshift.io/v1", "ImageStream", "imagestreams")
IMAGE_STREAM_IMPORTS = Resource("image.openshift.io/v1", "ImageStreamImport", "imagestreamimports")
IMAGE_STREAM_IMAGES = Resource("image.openshift.io/v1", "ImageStreamImage", "imagestreamimages")
IMAGE_STREAM_TAGS = Resource("image.openshift.io/v1", "ImageStreamTag", "imagestreamtags")
LEASES = Resource("coordination.k8s.io/v1", "Lease", "leases")
CONFIG_MAPS = Resource("v1", "ConfigMap", "configmaps")
EVENTS = Resource("v1", "Event", "events")
NAMESPACES = Resource("v1", "Namespace", "namespaces")
JOBS = Resource("batch/v1", "Job", "jobs")
CRON_JOBS = Resource("batch/v1", "CronJob", "cronjobs", is_large=True)
DEPLOYMENTS = Resource("apps/v1", "Deployment", "deployments", is_large=True)
STATEFUL_SETS = Resource("apps/v1", "StatefulSet", "statefulsets", is_large=True)
DAEMON_SETS = Resource("apps/v1", "DaemonSet", "daemonsets", is_large=True)
DEPLOYMENT_CONFIGS = Resource("apps.openshift.io/v1", "DeploymentConfig", "deploymentconfigs", is_large=True)
PODS = Resource("v1", "Pod", "pods", is_large=True)
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
