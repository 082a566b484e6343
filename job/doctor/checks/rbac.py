"""Which rights of an account are missing, for which command, and how to grant them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence

from job.doctor.checks import Finding, not_checked
from job.doctor.facts import Facts
from job.doctor.rights import (
    COMMANDS,
    ESSENTIAL,
    FLEET,
    NAMES,
    PROVEN,
    PROVEN_NAME,
    RULES,
    Component,
    Right,
    account_of,
    wanted,
)
from job.domain.gates import Policy, PolicyError, policy_of
from job.domain.holds import hold_of
from job.domain.model import OnBadRollout, Reason, Skip
from job.domain.records import dataclass
from job.domain.selection import wave_of
from job.domain.shell import DRY_RUN, command, oc, piped
from job.domain.states import Severity

# The longest user name in the name of a binding.
LONGEST_USER = 63


@dataclass(frozen=True, slots=True)
class Use:
    """What an account needs its rights for.

    Attributes:
        user: the API's name of the account; None where it is not known.
        is_job: whether it is the account that imports, for a CronJob or by hand.
        watches: why it watches rollouts, if it does.
        goes_back: why it moves tags, if it does.
        rehearses: why it creates pods, if it does.
    """

    user: str | None
    is_job: bool = True
    watches: str | None = None
    goes_back: str | None = None
    rehearses: str | None = None


def check(facts: Facts) -> list[Finding]:
    """Judge the rights of this login and of the accounts of the CronJobs."""
    if facts.no_namespaces is not None:
        return [fleet(facts.me, facts.no_namespaces)]
    problems: list[Finding] = []
    uses = uses_of(facts)
    for (namespace, user), allowed in facts.rights.items():
        if user and user != facts.me and all(answer is None for answer in allowed.values()):
            problems.append(unasked(user, namespace))
        else:
            problems += missing(uses[namespace, user], namespace, allowed)
    for error in facts.errors:
        message = f"triggers and followers were not checked: {error.message}"
        is_refused = error.reason is Reason.FORBIDDEN
        fix = granted(facts.me, error.namespace, Component.ROLLOUTS) if is_refused else ()
        severity = Severity.NOTE if is_refused else Severity.WARNING
        problems.append(not_checked(error.namespace, "workloads", message, fix=fix, severity=severity))
    return problems


def uses_of(facts: Facts) -> dict[tuple[str, str | None], Use]:
    """What each account needs its rights for, by namespace and account: this login, and those of the CronJobs."""
    waves = {wave_of(stream.stream, tag) for stream in facts.chosen for tag in stream.those(None)}
    in_waves = "there are waves" if len(waves) > 1 else None
    ending, rehearsed = _hold_with_end(facts), _rehearsed_tag(facts)
    users = dict.fromkeys((facts.me, *(job.user for job in facts.cron_jobs)))
    is_job = len(users) == 1 or any(job.user == facts.me for job in facts.cron_jobs)
    uses = {}
    for namespace in facts.namespaces:
        for user in users:
            jobs = [job for job in facts.cron_jobs if job.user == user and job.imports(namespace, facts.deployment)]
            settings = [job.settings for job in jobs] + ([facts.settings] if user == facts.me else [])
            if settings:
                rollback = any(setting.on_bad_rollout is OnBadRollout.ROLLBACK for setting in settings)
                goes_back = "ON_BAD_ROLLOUT is rollback" if rollback else None
                watches = "WATCH_ROLLOUTS is set" if any(setting.watch_rollouts for setting in settings) else None
                rehearses = "REHEARSE is set" if any(setting.gates.rehearse for setting in settings) else None
                rehearses = rehearses or rehearsed
                is_importer = is_job or user != facts.me
                watches = goes_back or watches or in_waves
                uses[namespace, user] = Use(user, is_importer, watches, goes_back or ending, rehearses)
    return uses


def _hold_with_end(facts: Facts) -> str | None:
    for stream in facts.chosen:
        for tag in stream.those(Skip.HELD):
            hold = hold_of(tag)
            if hold and (hold.until or hold.until_newer):
                return f"the hold of {stream.stream.name}:{tag.name} ends by itself"
    return None


def _rehearsed_tag(facts: Facts) -> str | None:
    for stream in facts.chosen:
        for tag in stream.those(None):
            try:
                policy = policy_of(Policy(), stream.stream, tag)
            except PolicyError:
                # A check of its own reports what cannot be read.
                continue
            if policy.rehearse:
                return f"{stream.stream.name}:{tag.name} is to be rehearsed"
    return None


def missing(use: Use, namespace: str, allowed: Mapping[Right, bool | None]) -> list[Finding]:
    """The missing rights in a namespace, by command.

    Args:
        use: the account, and what it needs them for.
        namespace: where.
        allowed: the API's answers; None where it gave none.
    """
    problems = []
    lacking: set[Right] = set()
    where = f"the rights of {account_name(use.user)}"
    for component, rights in RULES.items():
        # Everyone may want to roll back one day. Pods are created only where REHEARSE says so.
        if component is Component.GATES and not use.rehearses:
            continue
        required = {right for source, right in wanted(use.user, namespace) if source is component}
        missing = [
            right for right in rights if right in required and allowed.get(right) is False and right not in lacking
        ]
        if not missing:
            continue
        if component is not Component.ROLLOUTS:
            lacking.update(missing)
        severity, why = _severity(use, component, missing)
        message = f"{COMMANDS[component]}: may not {listed(missing)}{why}"
        check = f"rights-{component}"
        problems.append(Finding(severity, check, namespace, where, message, granted(use.user, namespace, component)))
    if any(answer is None for answer in allowed.values()):
        severity = Severity.WARNING
        problems.append(not_checked(namespace, where, "the API did not say what is allowed", severity=severity))
    return problems


def account_name(user: str | None) -> str:
    """An account as findings name it."""
    namespace, name = account_of(user or "")
    return f"account {namespace}:{name}" if name else user or "this login"


def _severity(use: Use, component: Component, lacking: Collection[Right]) -> tuple[Severity, str]:
    if not use.is_job:
        return Severity.NOTE, ""
    if component is Component.BASE:
        return (Severity.ERROR if any(right in ESSENTIAL for right in lacking) else Severity.WARNING), ""
    why = {Component.ROLLOUTS: use.watches, Component.ROLLBACK: use.goes_back, Component.GATES: use.rehearses}[
        component
    ]
    return (Severity.ERROR, f"; needed because {why}") if why else (Severity.NOTE, "")


def listed(rights: Sequence[Right]) -> str:
    """The rights in a sentence: the verbs of each resource, and resources with the same verbs together."""
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verbs.setdefault(f"{right.resource} {right.name}".strip(), []).append(right.verb)
    resources: dict[str, list[str]] = {}
    for resource, joined in verbs.items():
        resources.setdefault(_and(joined), []).append(resource)
    return "; ".join(f"{joined} {_and(names)}" for joined, names in resources.items())


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def granted(user: str | None, namespace: str, component: Component) -> tuple[str, ...]:
    """The commands that grant a component's rights in a namespace, to that user only. They can be repeated."""
    home, account = account_of(user or "")
    role = NAMES[component]
    is_own = (home, account) == (namespace, "import-images")
    # Jobs of several namespaces may work here, by accounts of the same name.
    who = "-".join(filter(None, (home if home != namespace else "", account or _in_name(user))))
    name = role if is_own else f"{role}-{who}"
    return _bound(user, namespace, role, RULES[component], name)


def granted_where_proven(user: str | None, namespace: str) -> tuple[str, ...]:
    """The commands that let an account read the namespace that PROVEN_IN names. They can be repeated."""
    # Jobs of several namespaces may read it, by accounts of the same name.
    name = f"{PROVEN_NAME}-{account_of(user or '')[0] or _in_name(user)}"
    return _bound(user, namespace, PROVEN_NAME, PROVEN, name)


def _bound(user: str | None, namespace: str, role: str, rights: Sequence[Right], name: str) -> tuple[str, ...]:
    """The commands that make a Role, and a binding of that name for one user."""
    home, account = account_of(user or "")
    who = f"--serviceaccount={home}:{account}" if account else f"--user={user or 'USER'}"
    apply = oc(namespace, "apply", "-f", "-")
    binding = ("create", "rolebinding", name, f"--role={role}", who, *DRY_RUN)
    return (piped(command("echo", _role(role, rights)), apply), piped(oc(namespace, *binding), apply))


def _role(name: str, rights: Sequence[Right]) -> str:
    """A Role with these rights, as JSON on one line."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for right in rights:
        verbs.setdefault((right.group, right.resource, right.name), []).append(right.verb)
    resources: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (group, resource, of_name), joined in verbs.items():
        resources.setdefault((group, of_name, tuple(joined)), []).append(resource)
    rules = [
        {
            "apiGroups": [group],
            "resources": names,
            **({"resourceNames": [of_name]} if of_name else {}),
            "verbs": list(joined),
        }
        for (group, of_name, joined), names in resources.items()
    ]
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
    return json.dumps({**kind, "metadata": {"name": name}, "rules": rules}, separators=(",", ":"))


def _in_name(user: str | None) -> str:
    """A user as part of an object's name: some logins are URLs, which names may not be."""
    return re.sub(r"[^A-Za-z0-9.-]", "-", user or "USER")[:LONGEST_USER]


def fleet(user: str | None, why: str) -> Finding:
    """That the namespaces of NAMESPACE_SELECTOR cannot be listed, so that nothing can be checked."""
    namespace, account = account_of(user or "")
    who = f"--serviceaccount={namespace}:{account}" if account else f"--user={user or 'USER'}"
    name, role = f"import-images-{namespace or _in_name(user)}", "import-images-namespaces"
    create_role = ("create", "clusterrole", role, "--verb=list", "--resource=namespaces", *DRY_RUN)
    bind = ("create", "clusterrolebinding", name, f"--clusterrole={role}", who, *DRY_RUN)
    fix = tuple(piped(command("oc", *words), command("oc", "apply", "-f", "-")) for words in (create_role, bind))
    message = f"run with NAMESPACE_SELECTOR: may not {listed(FLEET)}, so nothing was checked: {why}"
    return Finding(Severity.ERROR, "rights-fleet", "", f"the rights of {account_name(user)}", message, fix)


def unasked(user: str, namespace: str) -> Finding:
    """Finding: this login may not check what the job's account may do."""
    message = "this login may not ask what the account may do (create localsubjectaccessreviews)"
    inspect = oc(namespace, "auth", "can-i", "--list", f"--as={user}")
    return not_checked(namespace, f"the rights of {account_name(user)}", message, inspect)
