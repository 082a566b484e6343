"""Who may do what.

Source of behaviour: Kubernetes' RBAC authorizer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.sandbox.calls import Target, User
from tests.sandbox.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from tests.sandbox.status import ApiError, Json, forbidden
from tests.sandbox.store import Store


@dataclass(frozen=True, slots=True)
class Request:
    """What someone wants to do, in the authorizer's words."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def whole_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def request_of(target: Target) -> Request:
    if not target.resource:
        return Request(target.verb, path=target.path)
    return Request(
        target.verb, target.group, target.resource, target.subresource, target.namespace, target.name
    )  # fmt: skip


class Access:
    """Kubernetes' RBAC over the roles and bindings in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._decided: dict[tuple[User, Request], str | None] = {}
        self._decided_at = -1
        self._tables = [store.table(kind) for kind in (ROLES, ROLE_BINDINGS, CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS)]

    def why(self, user: User, request: Request) -> str | None:
        """The reason why a request is allowed; None if it is not."""
        if "system:masters" in user.groups:
            return ""
        newest = max((table.events[-1].revision for table in self._tables if table.events), default=0)
        if newest != self._decided_at or len(self._decided) > 50_000:
            self._decided.clear()
            self._decided_at = newest
        key = (user, request)
        if key not in self._decided:
            self._decided[key] = next(
                (why for why, rule in self.rules(user, request.namespace) if _covers(rule, request)), None
            )
        return self._decided[key]

    def allows(self, user: User, request: Request) -> bool:
        return self.why(user, request) is not None

    def check(self, user: User, request: Request) -> None:
        if self.why(user, request) is None:
            raise refusal(user, request)

    def rules(self, user: User, namespace: str) -> Iterator[tuple[str, Json]]:
        """Every rule that applies to a user, with where it comes from."""
        for binding in self._store.table(CLUSTER_ROLE_BINDINGS).entries():
            subject = _subject_of(binding.object, user, "")
            if subject:
                role = binding.object["roleRef"]["name"]
                why = f'RBAC: allowed by ClusterRoleBinding "{binding.name}" of ClusterRole "{role}" to {subject}'
                yield from ((why, rule) for rule in self._rules_of(binding.object["roleRef"], ""))
        for binding in self._store.table(ROLE_BINDINGS).entries(namespace) if namespace else ():
            subject = _subject_of(binding.object, user, namespace)
            if subject:
                reference = binding.object["roleRef"]
                why = (
                    f'RBAC: allowed by RoleBinding "{binding.name}/{namespace}" of {reference["kind"]}'
                    f' "{reference["name"]}" to {subject}'
                )
                yield from ((why, rule) for rule in self._rules_of(reference, namespace))

    def _rules_of(self, reference: Json, namespace: str) -> Iterable[Json]:
        if reference.get("kind") == "ClusterRole":
            role = self._store.get(CLUSTER_ROLES, "", reference.get("name", ""))
        else:
            role = self._store.get(ROLES, namespace, reference.get("name", ""))
        return (role.object.get("rules") or ()) if role else ()


def _subject_of(binding: Json, user: User, namespace: str) -> str | None:
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name")
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount":
            place = subject.get("namespace") or namespace
            if user.name == f"system:serviceaccount:{place}:{name}":
                return f'ServiceAccount "{name}/{place}"'
    return None


def _covers(rule: Json, request: Request) -> bool:
    verbs = rule.get("verbs") or ()
    if request.verb not in verbs and "*" not in verbs:
        return False
    if not request.resource:
        return any(_path_covers(path, request.path) for path in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if request.group not in groups and "*" not in groups:
        return False
    wanted = {"*", request.whole_resource}
    if request.subresource:
        wanted.add(f"*/{request.subresource}")
    if wanted.isdisjoint(rule.get("resources") or ()):
        return False
    names = rule.get("resourceNames") or ()
    return not names or request.name in names


def _path_covers(pattern: str, path: str) -> bool:
    if pattern.endswith("*"):
        return path.startswith(pattern[:-1])
    return path.rstrip("/") == pattern.rstrip("/")


def refusal(user: User, request: Request) -> ApiError:
    if not request.resource:
        return forbidden("", "", "", f'User "{user.name}" cannot {request.verb} path "{request.path}"')
    why = f'User "{user.name}" cannot {request.verb} resource "{request.whole_resource}" in API group "{request.group}"'
    where = f' in the namespace "{request.namespace}"' if request.namespace else " at the cluster scope"
    return forbidden(request.resource, request.group, request.name, why + where)
