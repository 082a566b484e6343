"""Tokens, and who they belong to.

Source of behaviour: Kubernetes' service account tokens (TokenRequest and Secrets).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid

from tests.sandbox import resources, timestamps
from tests.sandbox.calls import User
from tests.sandbox.status import Json
from tests.sandbox.store import Store

ADMIN = User("system:admin", groups=("system:masters", "system:authenticated"))


_DEFAULT_LIFETIME = 3600


class Tokens:
    """Gives tokens out and knows whose they are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key = secrets.token_bytes(32)
        self.admin = "sha256~" + secrets.token_urlsafe(32)
        self._verified: dict[str, tuple[str, str, str, float]] = {}

    def give(self, namespace: str, name: str, uid: str, lifetime: float | None) -> tuple[str, str]:
        """A token of a service account, and when it expires; no lifetime means for ever."""
        claims: Json = {
            "iss": "https://kubernetes.default.svc",
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}},
            "iat": int(time.time()),
            "jti": str(uuid.uuid4()),
        }
        if lifetime is not None:
            claims["exp"] = time.time() + lifetime
        head = _base64(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
        signed = f"{head}.{_base64(json.dumps(claims).encode())}"
        return f"{signed}.{self._signature(signed)}", timestamps.now(lifetime or 0.0)

    def user_of(self, token: str) -> User | None:
        if hmac.compare_digest(token.encode(), self.admin.encode()):
            return ADMIN
        known = self._verified.get(token) or self._verify(token)
        if known is None or known[3] <= time.time():
            return None
        namespace, name, uid, _ = known
        account = self._store.get(resources.SERVICE_ACCOUNTS, namespace, name)
        if account is None or account.object["metadata"]["uid"] != uid:
            return None
        return service_account(namespace, name, uid)

    def _verify(self, token: str) -> tuple[str, str, str, float] | None:
        signed, _, signature = token.rpartition(".")
        if not signed or not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        body = signed.partition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        bound = claims["kubernetes.io"]
        account = bound["serviceaccount"]
        known = (bound["namespace"], account["name"], account["uid"], claims.get("exp", float("inf")))
        self._verified[token] = known
        return known

    def _signature(self, signed: str) -> str:
        return _base64(hmac.new(self._key, signed.encode(), hashlib.sha256).digest())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def service_account(namespace: str, name: str, uid: str = "") -> User:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(f"system:serviceaccount:{namespace}:{name}", uid, groups)


def token_lifetime(spec: Json) -> float:
    return float(spec.get("expirationSeconds") or _DEFAULT_LIFETIME)
