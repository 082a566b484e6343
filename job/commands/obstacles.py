"""What the rules say beside a rollback or a release, and what speaks against a release."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from job.commands.rollback_plan import RollbackPlan
from job.domain.errors import ClusterError
from job.domain.holds import hold_of, source_before
from job.domain.model import Image, TagName
from job.domain.records import dataclass, replace
from job.domain.rules import NONE, BlockRule, Rules
from job.domain.text import clean
from job.imagestreams.lookup import Question
from job.journal.rules_store import RulesError
from job.run.blocked import unblock
from job.run.rules import read_rules
from job.run.session import Place
from job.run.targets import SelectedTag

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What a held tag would get once it is released, although that is known to be bad."""

    name: TagName
    image: Image
    text: str
    rules: tuple[BlockRule, ...]


def read_beside_freeze(
    where: Place, namespaces: Sequence[str], what: str, *, lenient: bool = False
) -> dict[str, Rules]:
    """The rules in force, for a command that a freeze does not stop; that there is one is logged.

    Args:
        where: what the command works with.
        namespaces: whose rules.
        what: the command, as in `a rollback`.
        lenient: whether rules that cannot be read are only logged, since nothing is to be written there.

    Raises:
        RulesError: a rule cannot be read.
    """
    now = datetime.now(UTC)
    try:
        answers = read_rules(where, namespaces)
    except RulesError as error:
        if not lenient:
            raise
        log.warning("%s", error)
        return dict.fromkeys(namespaces, NONE)
    by_namespace: dict[str, Rules] = {}
    for name, answer in answers.items():
        if isinstance(answer, ClusterError):
            # What is blocked is not known then; the tag is held or released all the same.
            log.warning("%s", answer)
            by_namespace[name] = NONE
            continue
        by_namespace[name] = answer.in_force(now)
        if freeze := by_namespace[name].freeze:
            log.warning("%s: %s; %s is done all the same", name, freeze, what)
    return by_namespace


def with_rules(plan: RollbackPlan, rules: Mapping[str, Rules]) -> RollbackPlan:
    """The plan with a warning where the image to go back to is blocked."""
    rule = rules.get(plan.name.namespace, NONE).blocking(plan.to.digest, plan.to.revision)
    return replace(plan, warnings=(*plan.warnings, clean(f"this image is known to be bad: {rule}"))) if rule else plan


def obstacle_of(where: Place, selected: SelectedTag, rules: Mapping[str, Rules], *, yes: bool) -> Obstacle | None:
    """Why releasing a held tag is risky: the registry still has a bad image.

    Args:
        where: what the command works with.
        selected: the tag.
        rules: in force, by namespace.
        yes: the user wants it nevertheless; then only blocked images matter, which are to be unblocked.
    """
    name, before, hold = selected.name, source_before(selected.tag), hold_of(selected.tag)
    own = rules.get(name.namespace, NONE)
    if before is None or hold is None or (not own.blocked and (yes or hold.bad is None)):
        return None
    question = Question(name.namespace, name.stream, *before, tag=name.tag)
    answer = where.look_up([question])[question]
    if answer.image is None:
        log.warning("%s: whether the registry still has the bad image is not known: %s", name, answer.message)
        return None
    image = answer.image
    matching = tuple(rule for rule in own.blocked if rule.matches(image.digest, image.revision))
    if image.digest == hold.bad:
        text = f"{before[0]} still is {image.digest}, the image that {name} was rolled back from"
    elif matching:
        text = f"{before[0]} is {image.digest}, and {matching[0]}"
    else:
        return None
    return Obstacle(name, image, text + ("; it is unblocked then" if matching else ""), matching)


def without_obstacles(where: Place, rules: Mapping[str, Rules], obstacles: Sequence[Obstacle]) -> dict[str, Rules]:
    """Unblock what is to be imported nevertheless; returns the rules in force then.

    Raises:
        RulesError: a rule cannot be read.
        ClusterError: the API refuses it; nothing was released yet.
    """
    after = dict(rules)
    for namespace in dict.fromkeys(obstacle.name.namespace for obstacle in obstacles):
        blocked = [rule for obstacle in obstacles if obstacle.name.namespace == namespace for rule in obstacle.rules]
        if blocked:
            after[namespace] = unblock(where.cluster, namespace, blocked).in_force(datetime.now(UTC))
    return after
