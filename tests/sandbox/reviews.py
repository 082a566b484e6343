"""Questions about who someone is and what they may do; nothing of them is stored.

Source of behaviour: Kubernetes' authentication.k8s.io and authorization.k8s.io.
"""

from __future__ import annotations

from tests.sandbox.access import Request
from tests.sandbox.calls import Answer, Call, User, answer_json
from tests.sandbox.cluster import Cluster
from tests.sandbox.objects import Objects
from tests.sandbox.resources import Kind
from tests.sandbox.status import Json, bad_request


class Reviews(Objects):
    """All the kinds of reviews."""

    def __init__(self, cluster: Cluster, kind: Kind) -> None:
        super().__init__(cluster, kind)

    def create(self, call: Call) -> Answer:
        item = call.object()
        spec = item.get("spec") or {}
        match self.kind.kind:
            case "SelfSubjectReview":
                status = {"userInfo": call.user.as_json()}
            case "TokenReview":
                status = self._review_token(spec)
            case "SelfSubjectAccessReview":
                status = self._review(call.user, spec)
            case "SelfSubjectRulesReview":
                status = self._rules(call.user, spec.get("namespace", ""))
            case _:
                groups = tuple(spec.get("groups") or ())
                status = self._review(User(spec.get("user", ""), spec.get("uid", ""), groups), spec)
        head = {"kind": self.kind.kind, "apiVersion": self.kind.api_version}
        return answer_json({**head, "metadata": {}, "spec": spec, "status": status}, 201)

    def _review_token(self, spec: Json) -> Json:
        user = self.cluster.tokens.user_of(spec.get("token", ""))
        if user is None:
            return {"user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": user.as_json()}

    def _review(self, user: User, spec: Json) -> Json:
        wanted = spec.get("resourceAttributes")
        if wanted:
            request = Request(
                wanted.get("verb", ""),
                wanted.get("group", ""),
                wanted.get("resource", ""),
                wanted.get("subresource", ""),
                wanted.get("namespace", ""),
                wanted.get("name", ""),
            )
        elif spec.get("nonResourceAttributes"):
            path = spec["nonResourceAttributes"]
            request = Request(path.get("verb", ""), path=path.get("path", ""))
        else:
            raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
        why = self.cluster.access.why(user, request)
        if why is None:
            return {"allowed": False}
        return {"allowed": True, "reason": why} if why else {"allowed": True}

    def _rules(self, user: User, namespace: str) -> Json:
        if "system:masters" in user.groups:
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            paths = {"verbs": ["*"], "nonResourceURLs": ["*"]}
            return {"resourceRules": [everything], "nonResourceRules": [paths], "incomplete": False}
        rules = [rule for _, rule in self.cluster.access.rules(user, namespace)]
        resource_rules = [rule for rule in rules if rule.get("resources")]
        path_rules = [rule for rule in rules if rule.get("nonResourceURLs")]
        return {"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": False}
