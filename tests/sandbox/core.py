"""Core kinds with a little life of their own: namespaces, service accounts, secrets; and projects.

Source of behaviour: Kubernetes' namespace, service account and token controllers; openshift-apiserver's project API.
"""

from __future__ import annotations

import base64
import uuid

from tests.sandbox import timestamps
from tests.sandbox.access import Request, refusal
from tests.sandbox.calls import Answer, Call, User, answer_json
from tests.sandbox.cluster import Cluster
from tests.sandbox.objects import Objects
from tests.sandbox.resources import (
    NAMESPACES,
    PROJECT_REQUESTS,
    PROJECTS,
    RBAC_GROUP,
    ROLE_BINDINGS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from tests.sandbox.status import Json, already_exists, invalid, no_such_path, not_found, required_value
from tests.sandbox.store import Entry, encode
from tests.sandbox.tokens import token_lifetime

_DEFAULT_ACCOUNTS = ("builder", "default", "deployer")


def new_namespace(cluster: Cluster, item: Json) -> Entry:
    """Store a namespace, and what every namespace begins with."""
    name = item["metadata"]["name"]
    item["metadata"] = {**item["metadata"], "labels": {**(item["metadata"].get("labels") or {})}}
    item["metadata"]["labels"]["kubernetes.io/metadata.name"] = name
    entry = cluster.store.put(
        NAMESPACES, {**item, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    )
    for account in _DEFAULT_ACCOUNTS:
        metadata = {"uid": str(uuid.uuid4()), "creationTimestamp": timestamps.now()}
        cluster.store.put(SERVICE_ACCOUNTS, {"metadata": {"name": account, "namespace": name, **metadata}})
    return entry


class Namespaces(Objects):
    """Namespaces; deleting one deletes what is in it, at once."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, NAMESPACES)

    def _store_new(self, call: Call, item: Json) -> Entry:
        known = self.cluster.store.get(NAMESPACES, "", item["metadata"]["name"])
        if known or call.dry_run:
            return super()._store_new(call, item)
        return new_namespace(self.cluster, item)

    def remove(self, entry: Entry, *, orphan: bool) -> Entry:
        for table in self.cluster.store.tables():
            for inside in list(table.by_namespace.get(entry.name, {}).values()):
                # Deleting an owner may have taken some of the others along.
                if table.get(inside.namespace, inside.name) is inside:
                    self.cluster.store.delete(inside)
        last = self.cluster.store.delete(entry)
        marked = {**last.object["metadata"], "deletionTimestamp": timestamps.now()}
        shown = {**last.object, "metadata": marked, "status": {"phase": "Terminating"}}
        return Entry(NAMESPACES, "", entry.name, shown, last.revision)


class ServiceAccounts(Objects):
    """Service accounts, which give tokens out."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, SERVICE_ACCOUNTS)

    async def subresource(self, call: Call) -> Answer:
        target = call.target
        if target.subresource != "token" or target.verb != "create":
            raise no_such_path()
        account = self.find(target.namespace, target.name)
        request = call.data() if call.body else {}
        spec = request.get("spec") or {}
        lifetime = token_lifetime(spec)
        uid = account.object["metadata"]["uid"]
        token, expires = self.cluster.tokens.give(target.namespace, target.name, uid, lifetime)
        result: Json = {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": target.name, "namespace": target.namespace, "creationTimestamp": timestamps.now()},
            "spec": {"audiences": ["https://kubernetes.default.svc"], "boundObjectRef": None, **spec},
            "status": {"token": token, "expirationTimestamp": expires},
        }
        result["spec"]["expirationSeconds"] = spec.get("expirationSeconds") or int(lifetime)
        return answer_json(result, 201)


class Secrets(Objects):
    """Secrets; one of a service account's token type gets a token."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, SECRETS)

    def prepare_create(self, call: Call, item: Json) -> Json:
        self._encode(item)
        item.setdefault("type", "Opaque")
        if item["type"] == "kubernetes.io/service-account-token":
            metadata = item["metadata"]
            name = (metadata.get("annotations") or {}).get("kubernetes.io/service-account.name", "")
            account = self.cluster.store.get(SERVICE_ACCOUNTS, metadata["namespace"], name)
            if account:
                uid = account.object["metadata"]["uid"]
                token, _ = self.cluster.tokens.give(metadata["namespace"], name, uid, None)
                parts = {"token": token, "namespace": metadata["namespace"]}
                item["data"] = {key: base64.b64encode(value.encode()).decode() for key, value in parts.items()}
        return item

    def prepare_update(self, call: Call, item: Json, old: Entry) -> Json:
        self._encode(item)
        item["type"] = old.object["type"]
        return item

    @staticmethod
    def _encode(item: Json) -> None:
        given = item.pop("stringData", None)
        if given:
            encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in given.items()}
            item["data"] = {**(item.get("data") or {}), **encoded}


class Projects(Objects):
    """Namespaces as those see them who may."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, PROJECTS)

    async def handle(self, call: Call) -> Answer:
        target = call.target
        if target.verb == "get":
            return self._get(call)
        if target.verb == "delete":
            # A project is its namespace, and the rights in that count.
            self.cluster.access.check(
                call.user, Request("delete", PROJECTS.group, "projects", "", target.name, target.name)
            )
            return Namespaces(self.cluster).delete(call)
        if target.verb != "list":
            answer = await super().handle(call)
            assert isinstance(answer, Answer)
            return answer
        matches = self.selected(call)
        shown = [
            entry.bare()
            for entry in self.cluster.store.table(NAMESPACES).entries()
            if self.sees(call.user, entry.name) and (matches is None or matches(entry.object))
        ]
        metadata = {"resourceVersion": str(self.cluster.store.revision)}
        head = encode({"kind": "ProjectList", "apiVersion": PROJECTS.api_version, "metadata": metadata})
        return Answer(200, b'%s,"items":[%s]}' % (head[:-1], b",".join(shown)))

    def _get(self, call: Call) -> Answer:
        name = call.target.name
        entry = self.cluster.store.get(NAMESPACES, "", name)
        if not self.sees(call.user, name):
            raise refusal(call.user, Request("get", PROJECTS.group, PROJECTS.plural, "", name, name))
        if entry is None:
            raise not_found(PROJECTS.plural, PROJECTS.group, name)
        return answer_json({"kind": "Project", "apiVersion": PROJECTS.api_version, **entry.object})

    def sees(self, user: User, namespace: str) -> bool:
        if f"system:serviceaccounts:{namespace}" in user.groups:
            return True
        return self.cluster.access.allows(user, Request("get", "", "namespaces", "", namespace, namespace))


class ProjectRequests(Objects):
    """Namespaces for those who may not make one themselves, and then are its administrators."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster, PROJECT_REQUESTS)

    def create(self, call: Call) -> Answer:
        metadata = call.object()["metadata"]
        name = str(metadata.get("name", ""))
        if not name:
            problem = required_value("metadata.name", "name or generateName is required")
            raise invalid(self.kind.kind, self.kind.group, "", [problem])
        if self.cluster.store.get(NAMESPACES, "", name):
            raise already_exists(PROJECTS.plural, PROJECTS.group, name)
        annotations = {"openshift.io/requester": call.user.name}
        entry = new_namespace(self.cluster, {"metadata": {"name": name, **_identity(), "annotations": annotations}})
        subject = {"apiGroup": RBAC_GROUP, "kind": "User", "name": call.user.name}
        if call.user.name.startswith("system:serviceaccount:"):
            namespace, account = call.user.name.split(":")[2:4]
            subject = {"kind": "ServiceAccount", "namespace": namespace, "name": account}
        binding = {
            "metadata": {"name": "admin", "namespace": name, **_identity()},
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": "admin"},
            "subjects": [subject],
        }
        self.cluster.store.put(ROLE_BINDINGS, binding)
        return answer_json({"kind": "Project", "apiVersion": PROJECTS.api_version, **entry.object}, 201)


def _identity() -> Json:
    return {"uid": str(uuid.uuid4()), "creationTimestamp": timestamps.now()}
