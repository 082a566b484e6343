"""The resources the server knows: groups, versions, names and what each is like."""

from __future__ import annotations

from dataclasses import dataclass, field

CRUD = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Kind:
    """One resource."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = CRUD
    # The main endpoint ignores status, and /status ignores the rest.
    has_status: bool = False
    # metadata.generation grows when spec changes.
    has_generation: bool = False
    # An update without resourceVersion is refused.
    needs_version: bool = False
    # Subresources besides status: name, kind and verbs.
    subresources: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    categories: tuple[str, ...] = ()
    selectable: tuple[str, ...] = field(default=())

    @property
    def group_resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        return self.kind + "List"

    def typed(self, bare: bytes) -> bytes:
        """Put apiVersion and kind in front of an encoded object that has none."""
        return b'{"kind":"%s","apiVersion":"%s",%s' % (self.kind.encode(), self.api_version.encode(), bare[1:])

    def can_select(self, path: str) -> bool:
        return path in ("metadata.name", "metadata.namespace") or path in self.selectable


def _workload(plural: str, kind: str, short: str) -> Kind:
    return Kind(
        "apps", "v1", plural, kind, short_names=(short,), has_status=True, has_generation=True, categories=("all",)
    )


IMAGE_GROUP = "image.openshift.io"
RBAC_GROUP = "rbac.authorization.k8s.io"

NAMESPACES = Kind("", "v1", "namespaces", "Namespace", namespaced=False, short_names=("ns",), has_status=True)
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap", short_names=("cm",))
SECRETS = Kind("", "v1", "secrets", "Secret", selectable=("type",))
EVENTS = Kind(
    "", "v1", "events", "Event", short_names=("ev",),
    selectable=(
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "reason", "type", "source", "reportingComponent",
    ),
)  # fmt: skip
PODS = Kind(
    "", "v1", "pods", "Pod", short_names=("po",), has_status=True, categories=("all",),
    selectable=("spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"),
    subresources=(("eviction", "Eviction", ("create",)), ("log", "Pod", ("get",))),
)  # fmt: skip
SERVICE_ACCOUNTS = Kind(
    "", "v1", "serviceaccounts", "ServiceAccount", short_names=("sa",),
    subresources=(("token", "TokenRequest", ("create",)),),
)  # fmt: skip
SERVICES = Kind("", "v1", "services", "Service", short_names=("svc",), has_status=True, categories=("all",))
CLAIMS = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", short_names=("pvc",), has_status=True)
NETWORK_POLICIES = Kind(
    "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", short_names=("netpol",), has_generation=True
)

DEPLOYMENTS = _workload("deployments", "Deployment", "deploy")
STATEFUL_SETS = _workload("statefulsets", "StatefulSet", "sts")
DAEMON_SETS = _workload("daemonsets", "DaemonSet", "ds")
REPLICA_SETS = _workload("replicasets", "ReplicaSet", "rs")
REPLICATION_CONTROLLERS = Kind(
    "", "v1", "replicationcontrollers", "ReplicationController", short_names=("rc",), has_status=True,
    has_generation=True, categories=("all",),
)  # fmt: skip
DEPLOYMENT_CONFIGS = Kind(
    "apps.openshift.io", "v1", "deploymentconfigs", "DeploymentConfig", short_names=("dc",), has_status=True,
    has_generation=True, categories=("all",),
)  # fmt: skip
CONTROLLER_REVISIONS = Kind("apps", "v1", "controllerrevisions", "ControllerRevision")

JOBS = Kind(
    "batch", "v1", "jobs", "Job", has_status=True, has_generation=True, categories=("all",),
    selectable=("status.successful",),
)  # fmt: skip
CRON_JOBS = Kind(
    "batch", "v1", "cronjobs", "CronJob", short_names=("cj",), has_status=True, has_generation=True, categories=("all",)
)

LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease", needs_version=True)

ROLES = Kind(RBAC_GROUP, "v1", "roles", "Role")
ROLE_BINDINGS = Kind(RBAC_GROUP, "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLES = Kind(RBAC_GROUP, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS = Kind(RBAC_GROUP, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)

IMAGE_STREAMS = Kind(
    IMAGE_GROUP, "v1", "imagestreams", "ImageStream", short_names=("is",), has_status=True, has_generation=True,
    needs_version=True, categories=("all",), selectable=("spec.dockerImageRepository", "status.dockerImageRepository"),
    subresources=(("layers", "ImageStreamLayers", ("get",)),),
)  # fmt: skip
IMAGES = Kind(IMAGE_GROUP, "v1", "images", "Image", namespaced=False)
IMAGE_STREAM_IMPORTS = Kind(IMAGE_GROUP, "v1", "imagestreamimports", "ImageStreamImport", verbs=("create",))
IMAGE_STREAM_TAGS = Kind(
    IMAGE_GROUP, "v1", "imagestreamtags", "ImageStreamTag", short_names=("istag",),
    verbs=("create", "delete", "get", "list", "patch", "update"),
)  # fmt: skip
IMAGE_STREAM_IMAGES = Kind(
    IMAGE_GROUP, "v1", "imagestreamimages", "ImageStreamImage", short_names=("isimage",), verbs=("get",)
)
IMAGE_STREAM_MAPPINGS = Kind(IMAGE_GROUP, "v1", "imagestreammappings", "ImageStreamMapping", verbs=("create",))

BUILD_CONFIGS = Kind(
    "build.openshift.io", "v1", "buildconfigs", "BuildConfig", short_names=("bc",), has_status=True, categories=("all",)
)
PROJECTS = Kind(
    "project.openshift.io", "v1", "projects", "Project", namespaced=False, verbs=("delete", "get", "list"),
    has_status=True,
)  # fmt: skip
PROJECT_REQUESTS = Kind(
    "project.openshift.io", "v1", "projectrequests", "ProjectRequest", namespaced=False, verbs=("create",)
)


def _review(group: str, plural: str, kind: str, *, namespaced: bool = False) -> Kind:
    return Kind(group, "v1", plural, kind, namespaced=namespaced, verbs=("create",))


REVIEWS = (
    _review("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview"),
    _review("authentication.k8s.io", "tokenreviews", "TokenReview"),
    _review("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
    _review("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview"),
    _review("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
    _review("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True),
)

# Kinds whose objects are simply stored.
PLAIN = (
    NAMESPACES, CONFIG_MAPS, SECRETS, EVENTS, PODS, SERVICE_ACCOUNTS, SERVICES,
    DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, REPLICA_SETS, CONTROLLER_REVISIONS, REPLICATION_CONTROLLERS,
    DEPLOYMENT_CONFIGS,
    JOBS, CRON_JOBS, LEASES, ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, IMAGES,
    CLAIMS, NETWORK_POLICIES, BUILD_CONFIGS,
)  # fmt: skip

ALL = (
    *PLAIN, IMAGE_STREAMS, IMAGE_STREAM_IMPORTS, IMAGE_STREAM_TAGS, IMAGE_STREAM_IMAGES, IMAGE_STREAM_MAPPINGS,
    PROJECTS, PROJECT_REQUESTS, *REVIEWS,
)  # fmt: skip

BY_PATH = {(kind.group, kind.version, kind.plural): kind for kind in ALL}
