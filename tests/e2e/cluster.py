"""The cluster of a kubeconfig, by its public API and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from kubernetes import client, config

Json = dict[str, Any]
Found = TypeVar("Found")

MERGE_PATCH = "application/merge-patch+json"
IMAGE = "/apis/image.openshift.io/v1"
ROOTS = {
    "CronJob": "/apis/batch/v1/{}/cronjobs",
    "Job": "/apis/batch/v1/{}/jobs",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/{}/networkpolicies",
    "Role": "/apis/rbac.authorization.k8s.io/v1/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/{}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ServiceAccount": "/api/v1/{}/serviceaccounts",
    "ConfigMap": "/api/v1/{}/configmaps",
    "Event": "/api/v1/{}/events",
    "Pod": "/api/v1/{}/pods",
    "Lease": "/apis/coordination.k8s.io/v1/{}/leases",
    "ImageStream": IMAGE + "/{}/imagestreams",
    "ImageStreamTag": IMAGE + "/{}/imagestreamtags",
    "ImageStreamImport": IMAGE + "/{}/imagestreamimports",
    "Deployment": "/apis/apps/v1/{}/deployments",
    "StatefulSet": "/apis/apps/v1/{}/statefulsets",
}


class Refused(Exception):  # noqa: N818 - the server refused
    """The server answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Cluster:
    """A login of a kubeconfig."""

    def __init__(self, kubeconfig: str | None = None) -> None:
        """Read it.

        Raises:
            kubernetes.config.ConfigException: there is none, or it cannot be read.
        """
        self.configuration = client.Configuration()
        load: Any = config.load_kube_config
        load(config_file=kubeconfig, client_configuration=self.configuration)
        self.server = self.configuration.host.rstrip("/")
        self.ca_file: str | None = self.configuration.ssl_ca_cert
        self.verified: bool = self.configuration.verify_ssl
        self._pool: urllib3.PoolManager = client.ApiClient(self.configuration).rest_client.pool_manager

    def request(
        self, method: str, path: str, body: object = None, *, content_type: str = "application/json", **query: str
    ) -> str:
        """The text of an answer.

        Raises:
            Refused: it was an error.
        """
        authorization = self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        headers = {"Content-Type": content_type, **({"Authorization": authorization} if authorization else {})}
        url = f"{self.server}{path}{'?' + urlencode(query) if query else ''}"
        data = None if body is None else json.dumps(body)
        answer = self._pool.request(method, url, body=data, headers=headers, timeout=60.0)
        text = answer.data.decode(errors="replace")
        if answer.status >= HTTPStatus.BAD_REQUEST:
            try:
                message = str(json.loads(text).get("message"))
            except ValueError:
                message = text[:500]
            raise Refused(answer.status, f"{method} {path}: {message}")
        return text

    def ask(self, method: str, path: str, body: object = None, **more: Any) -> Json:
        found = json.loads(self.request(method, path, body, **more))
        assert isinstance(found, dict)
        return found

    def get(self, kind: str, namespace: str, name: str) -> Json:
        return self.ask("GET", f"{root(kind, namespace)}/{name}")

    def items(self, kind: str, namespace: str, **query: str) -> list[Json]:
        return list(self.ask("GET", root(kind, namespace), **query)["items"])

    def create(self, kind: str, namespace: str, body: Json) -> Json:
        return self.ask("POST", root(kind, namespace), body)

    def patch(self, kind: str, namespace: str, name: str, body: Json) -> Json:
        return self.ask("PATCH", f"{root(kind, namespace)}/{name}", body, content_type=MERGE_PATCH)

    def delete(self, kind: str, namespace: str, name: str, **options: Any) -> None:
        self.request("DELETE", f"{root(kind, namespace)}/{name}", options or None)

    def may(self, verb: str, group: str, resource: str, namespace: str = "", *, account: str = "") -> bool:
        """Whether this login may, or an account of the namespace by a review that only administrators may ask for."""
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        spec: Json = {"resourceAttributes": attributes}
        kind, plural = "SelfSubjectAccessReview", "selfsubjectaccessreviews"
        place = "/apis/authorization.k8s.io/v1"
        if account:
            kind, plural = "LocalSubjectAccessReview", f"namespaces/{namespace}/localsubjectaccessreviews"
            groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
            spec |= {"user": f"system:serviceaccount:{namespace}:{account}", "groups": groups}
            metadata = {"namespace": namespace}
        else:
            metadata = {}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
        return bool(self.ask("POST", f"{place}/{plural}", body)["status"]["allowed"])

    def token(self, namespace: str, account: str) -> str:
        """A token of a service account, as its pods have one."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        path = f"{root('ServiceAccount', namespace)}/{account}/token"
        return str(self.ask("POST", path, body)["status"]["token"])

    def make_namespace(self, name: str) -> None:
        """A namespace, or for those who may not make one a project."""
        if self.may("create", "", "namespaces"):
            self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        else:
            self.ask("POST", "/apis/project.openshift.io/v1/projectrequests", {"metadata": {"name": name}})

    def remove_namespace(self, name: str) -> None:
        if self.may("delete", "", "namespaces"):
            self.request("DELETE", f"/api/v1/namespaces/{name}")
        else:
            self.request("DELETE", f"/apis/project.openshift.io/v1/projects/{name}")


def root(kind: str, namespace: str) -> str:
    """Where the objects of a kind are."""
    return ROOTS[kind].format(f"namespaces/{namespace}")


def until(what: Callable[[], Found | None], seconds: float, message: str) -> Found:
    """Ask until the answer is not empty; longer than so many seconds is a TimeoutError."""
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise TimeoutError(f"{message}: not within {seconds:.0f} s")
        time.sleep(0.1)
    return found
