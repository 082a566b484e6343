"""The rules of the namespaces: whether runs can read them, whether they freeze, and blocked images that are there."""

from __future__ import annotations

from collections.abc import Iterator

from job.doctor.checks import Finding, not_checked
from job.doctor.facts import Facts
from job.domain.rules import RULES
from job.domain.shell import command, oc, ours
from job.domain.states import Severity

_WHERE = f"ConfigMap {RULES}"


def check(facts: Facts) -> Iterator[Finding]:
    """Judge the rules."""
    for namespace, line in facts.bad_rules:
        message = f"a rule cannot be read, so that every run stops: {line}"
        fix = oc(namespace, "edit", "configmap", RULES)
        yield Finding(Severity.ERROR, "rule-cannot-be-read", namespace, _WHERE, message, (fix,))
    for namespace, why in facts.unread_rules:
        yield not_checked(namespace, _WHERE, f"what is frozen and blocked is not known: {why}")
    for namespace, rules in facts.rules.items():
        if rules.freeze:
            thaw = command("import-images", "thaw", "-n", namespace)
            yield Finding(
                Severity.NOTE, "rule-freezes", namespace, _WHERE, f"no run imports anything: {rules.freeze}", (thaw,)
            )
    for name, rule in facts.blocked:
        message = f"it has an image that is known to be bad: {rule}"
        fixes = (ours("rollback", name),)
        yield Finding(Severity.WARNING, "blocked-image-runs", name.namespace, str(name), message, fixes)
