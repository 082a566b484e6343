"""What each command needs to be allowed, and what of it is missing.

`RULES` are the rules of the Roles that are shipped, as data; a test holds the two against each other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from job.doctor.checks import Finding, Severity, not_checked
from job.domain.model import JOURNAL
from job.domain.shell import command, oc


class Component(StrEnum):
    """Where the right comes from."""

    BASE = "base"
    ROLLOUTS = "rollouts"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource, as RBAC names it; `name` where it is only for an object of that name."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f" named {self.name}" if self.name else "")


def _rights(group: str, resources: str, verbs: str, name: str = "") -> tuple[Right, ...]:
    return tuple(Right(group, resource, verb, name) for resource in resources.split() for verb in verbs.split())


# Of the job itself, in its own namespace only.
HOME = _rights("batch", "cronjobs jobs", "get")
_WORKLOADS = (
    *_rights("apps", "daemonsets deployments statefulsets", "get list"),
    *_rights("", "pods", "list"),
    *_rights("batch", "cronjobs", "get list"),
    *_rights("apps.openshift.io", "deploymentconfigs", "get list"),
)
IMPORT = Right("image.openshift.io", "imagestreamimports", "create")
# Without these nothing is imported at all.
ESSENTIAL = (
    *_rights("image.openshift.io", "imagestreams", "list"),
    IMPORT,
    *_rights("coordination.k8s.io", "leases", "create get list update"),
)
RULES: Mapping[Component, tuple[Right, ...]] = {
    Component.BASE: (
        *ESSENTIAL,
        *_rights("image.openshift.io", "imagestreams", "get"),
        *_rights("image.openshift.io", "imagestreamimages", "get"),
        *_rights("", "configmaps", "create"),
        *_rights("", "configmaps", "get update", JOURNAL),
        *_rights("", "events", "create get update"),
        *HOME,
    ),
    Component.ROLLOUTS: _WORKLOADS,
    Component.ROLLBACK: (
        *_rights("image.openshift.io", "imagestreamtags", "update"),
        *_rights("", "pods", "delete"),
        *_WORKLOADS,
    ),
}
# Of its name, in that of a binding.
MOST_OF_A_USER = 63
# For NAMESPACE_SELECTOR, in the whole cluster.
FLEET = _rights("", "namespaces", "list")
COMMANDS: Mapping[Component, str] = {
    Component.BASE: "run",
    Component.ROLLOUTS: "run --watch-rollouts",
    Component.ROLLBACK: "rollback, resume, run --on-bad-rollout rollback",
}
FILES: Mapping[Component, str] = {
    Component.BASE: "manifests/base/role.yaml",
    Component.ROLLOUTS: "manifests/components/rollouts/role.yaml",
    Component.ROLLBACK: "manifests/components/rollback/role.yaml",
}
# To the job's own account.
BINDINGS: Mapping[Component, str] = {
    component: f"{file.removesuffix('role.yaml')}role-binding.yaml" for component, file in FILES.items()
}
NAMES: Mapping[Component, str] = {
    Component.BASE: "import-images",
    Component.ROLLOUTS: "import-images-rollouts",
    Component.ROLLBACK: "import-images-rollback",
}


@dataclass(frozen=True, slots=True)
class Use:
    """What the one that runs it makes use of, and why that is known.

    Attributes:
        user: the API's name of it; None where it is not known.
        is_job: whether it is the account that imports, be it for a CronJob or by hand.
        watches: why it has to watch rollouts, if it has.
        goes_back: why it has to move tags, if it has.
    """

    user: str | None
    is_job: bool = True
    watches: str | None = None
    goes_back: str | None = None


def wanted(user: str | None, namespace: str) -> Iterator[tuple[Component, Right]]:
    """All that is to be asked for a namespace. What the job asks of itself is needed only at its home."""
    at_home = account_of(user or "")[0] == namespace
    for component, rights in RULES.items():
        for right in rights:
            if right not in HOME or component is not Component.BASE or at_home:
                yield component, right


def account_of(user: str) -> tuple[str, str]:
    """Namespace and name of a service account, from the API's name of it; empty where it is none."""
    parts = user.split(":")
    return (parts[2], parts[3]) if len(parts) == 4 and user.startswith("system:serviceaccount:") else ("", "")


def missing(use: Use, namespace: str, allowed: Mapping[Right, bool | None]) -> list[Finding]:
    """What of the rights is missing in a namespace, told for each command.

    Args:
        use: who, and what for.
        namespace: where.
        allowed: the answers; None where the API gave none.
    """
    found = []
    lacking: set[Right] = set()
    where = f"the rights of {_told(use.user)}"
    for component, rights in RULES.items():
        asked = {right for each, right in wanted(use.user, namespace) if each is component}
        mine = [right for right in rights if right in asked and allowed.get(right) is False and right not in lacking]
        if not mine:
            continue
        if component is not Component.ROLLOUTS:
            lacking.update(mine)
        severity, why = _severity(use, component, mine)
        told = f"{COMMANDS[component]}: may not {_listed(mine)}{why}"
        check = f"rights-{component}"
        found.append(Finding(severity, check, namespace, where, told, granted(use.user, namespace, component)))
    if any(answer is None for answer in allowed.values()):
        severity = Severity.WARNING
        found.append(not_checked(namespace, where, "the API did not say what is allowed", severity=severity))
    return found


def _told(user: str | None) -> str:
    namespace, name = account_of(user or "")
    return f"account {namespace}:{name}" if name else user or "this login"


def _severity(use: Use, component: Component, lacking: Collection[Right]) -> tuple[Severity, str]:
    if not use.is_job:
        return Severity.NOTE, ""
    if component is Component.BASE:
        return (Severity.ERROR if any(right in ESSENTIAL for right in lacking) else Severity.WARNING), ""
    why = use.watches if component is Component.ROLLOUTS else use.goes_back
    return (Severity.ERROR, f"; needed since {why}") if why else (Severity.NOTE, "")


def _listed(rights: Sequence[Right]) -> str:
    """The rights in a sentence: the verbs of each resource, and resources with the same verbs together."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verbs.setdefault(f"{right.resource} {right.name}".strip(), []).append(right.verb)
    resources: dict[str, list[str]] = {}
    for resource, mine in verbs.items():
        resources.setdefault(_and(mine), []).append(resource)
    return "; ".join(f"{mine} {_and(names)}" for mine, names in resources.items())


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def granted(user: str | None, namespace: str, component: Component) -> tuple[str, ...]:
    """The commands that grant a component's rights in a namespace, to that user only."""
    home, account = account_of(user or "")
    apply = oc(namespace, "apply", "-f", FILES[component])
    if (home, account) == (namespace, "import-images"):
        return (apply, oc(namespace, "apply", "-f", BINDINGS[component]))
    who = f"--serviceaccount={home}:{account}" if account else f"--user={user or 'USER'}"
    name = f"{NAMES[component]}-{account or _in_name(user)}"
    return (apply, oc(namespace, "create", "rolebinding", name, f"--role={NAMES[component]}", who))


def _in_name(user: str | None) -> str:
    """A user as part of an object's name, which a path may not be: some logins are URLs."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", user or "USER")[:MOST_OF_A_USER]


def fleet(user: str | None, why: str) -> Finding:
    """That the namespaces with NAMESPACE_SELECTOR's labels cannot be listed, and so nothing can be looked at."""
    namespace, account = account_of(user or "")
    who = f"--serviceaccount={namespace}:{account}" if account else f"--user={user or 'USER'}"
    name = f"import-images-{namespace or _in_name(user)}"
    mend = command("oc", "create", "clusterrolebinding", name, "--clusterrole=import-images-namespaces", who)
    told = f"run with NAMESPACE_SELECTOR: may not {_listed(FLEET)}, so nothing was looked at: {why}"
    return Finding(Severity.ERROR, "rights-fleet", "", f"the rights of {_told(user)}", told, (mend,))


def unasked(user: str, namespace: str) -> Finding:
    """That nobody could say what the job's account may do."""
    told = "what it may do cannot be asked by this login (create localsubjectaccessreviews)"
    mend = oc(namespace, "auth", "can-i", "--list", f"--as={user}")
    return not_checked(namespace, f"the rights of {_told(user)}", told, mend)
