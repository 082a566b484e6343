"""What the rules of the namespaces mean for the status: forgotten freezes, and blocked images that run already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from job.domain.rules import NONE, RULES, BlockRule
from job.domain.shell import command, oc, ours
from job.domain.states import Problem
from job.status.model import Attention, Facts, TagStatus
from job.status.tags import FORGOTTEN


def problems_of_rules(facts: Facts, tags: Sequence[TagStatus]) -> Iterator[Attention]:
    """What needs attention because of rules."""
    for namespace, line in facts.bad_rules:
        message = f"no run imports anything here, since a rule cannot be read: {line}"
        fix = oc(namespace, "edit", "configmap", RULES)
        yield Attention(namespace, f"configmap/{RULES}", Problem.BAD_RULE, message, command=fix)
    for namespace, rules in facts.rules.items():
        freeze = rules.freeze
        if freeze and freeze.until is None and freeze.at is not None and facts.now - freeze.at > FORGOTTEN:
            message = f"frozen without an end, so no tag gets updates ({freeze.reason or 'no reason given'})"
            thaw = command("import-images", "thaw", "-n", namespace)
            yield Attention(namespace, f"configmap/{RULES}", Problem.FREEZE_FORGOTTEN, message, freeze.at, thaw)
    for tag in tags:
        if rule := blocking(tag, facts):
            running = [f"{workload.kind}/{workload.name}" for workload in facts.workloads if tag.name in workload.tags]
            where = f"; it runs in {', '.join(running)}" if running else ""
            message = f"has a blocked image: {rule}{where}"
            yield Attention(
                tag.name.namespace, str(tag.name), Problem.BLOCKED, message, rule.at, ours("rollback", tag.name)
            )


def blocking(tag: TagStatus, facts: Facts) -> BlockRule | None:
    """The rule that blocks the image which the tag has."""
    if tag.image is None:
        return None
    return facts.rules.get(tag.name.namespace, NONE).blocking(tag.image.digest, tag.image.revision)
