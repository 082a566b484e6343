"""`freeze`, `thaw`, `block` and `unblock`: the rules that every run in a namespace obeys."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from job.cluster.whoami import current_user
from job.commands.rollback_plan import end_of_hold
from job.config.settings import Settings
from job.domain.errors import ClusterError, ImportImagesError, StoppedError, UsageError
from job.domain.history import DIGEST
from job.domain.model import Identity
from job.domain.records import dataclass, replace
from job.domain.rules import REVISION, BlockRule, FreezeRule, Rules, with_blocked, with_freeze
from job.domain.text import clean
from job.journal.rules_store import Changed, RulesError, RulesStore
from job.run.blocked import Running, running_blocked
from job.run.context import IDENTITY_SECONDS, namespaces_of
from job.run.rules import read_rules
from job.run.session import Place, place
from job.runtime.shutdown import Stop
from job.views.output import document, write
from job.views.rules_document import rules_document

log = logging.getLogger(__name__)

# The shortest form of a digest in `unblock`: it names one of few.
_SHORTEST_DIGEST = len("sha256:") + 6


@dataclass(frozen=True, slots=True)
class RulesNow:
    """The rules of a namespace after a command.

    Attributes:
        namespace: whose rules.
        rules: those that are in force.
        changed: whether the command changed them.
        running: tags that have a blocked image; None where that is not known.
    """

    namespace: str
    rules: Rules
    changed: bool
    running: tuple[Running, ...] | None


# From the rules that are there to those that are to be there.
Change = Callable[[Rules], Rules]


def freeze(settings: Settings, stop: Stop, *, reason: str | None, until: str | None, as_table: bool) -> int:
    """Freeze the namespaces: no run imports anything until the end, or `thaw`; returns the exit status."""
    why = _reason(reason, "freeze")
    end = end_of_hold(until, settings.time_zone)

    def change(where: Place) -> Change:
        rule = FreezeRule(why, current_user(where.cluster), _now(), end)
        return lambda rules: with_freeze(rules, rule)

    return _change(settings, stop, change, as_table=as_table)


def thaw(settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """End every freeze of the namespaces; returns the exit status."""

    def check(current: Mapping[str, Rules]) -> None:
        if not any(rules.freezes for rules in current.values()):
            raise UsageError([f"{', '.join(current)}: not frozen by a rule; nothing was changed"])

    return _change(settings, stop, lambda where: lambda rules: replace(rules, freezes=()), check, as_table=as_table)


def block(
    settings: Settings, stop: Stop, images: Sequence[str], *, reason: str | None, until: str | None, as_table: bool
) -> int:
    """Keep images out of every tag of the namespaces; returns the exit status.

    Args:
        settings: the settings.
        stop: whether to stop.
        images: full digests, or commits of at least 7 digits.
        reason: why.
        until: when they are no longer blocked; None: not before `unblock`.
        as_table: show a table instead of JSON.
    """
    why = _reason(reason, "block")
    end = end_of_hold(until, settings.time_zone)
    if errors := [error for image in images if (error := _problem(image))]:
        raise UsageError(errors)

    def change(where: Place) -> Change:
        by, at = current_user(where.cluster), _now()
        new = [replace(_rule_for(image), reason=why, by=by, at=at, until=end) for image in images]
        return lambda rules: with_blocked(rules, new)

    return _change(settings, stop, change, as_table=as_table)


def unblock(settings: Settings, stop: Stop, images: Sequence[str], *, as_table: bool) -> int:
    """Take images off the list of blocked ones; returns the exit status. A digest may be shortened."""

    def check(current: Mapping[str, Rules]) -> None:
        known = [rule for rules in current.values() for rule in rules.blocked]
        errors = []
        for image in images:
            meant = {rule.what for rule in known if _is_meant(rule, image)}
            if not meant:
                errors.append(f"{image} is not blocked in {', '.join(current)}; nothing was changed")
            elif len(meant) > 1:
                errors.append(f"{image} is the beginning of {len(meant)} blocked images; nothing was changed")
        if errors:
            raise UsageError(errors)

    def change(rules: Rules) -> Rules:
        return replace(rules, blocked=tuple(b for b in rules.blocked if not any(_is_meant(b, i) for i in images)))

    return _change(settings, stop, lambda where: change, check, as_table=as_table)


def _reason(text: str | None, command: str) -> str:
    if reason := clean(text or "", 1000):
        return reason
    raise UsageError([f"{command}: say why, for everyone whose run it stops: --reason TEXT"])


def _now() -> datetime:
    # To the second, as it is written, so that what is read again is the same.
    return datetime.now(UTC).replace(microsecond=0)


def _problem(image: str) -> str | None:
    if re.fullmatch(DIGEST, image) or re.fullmatch(REVISION, image.lower()):
        return None
    return f"{image!r} is neither a full digest (sha256: and 64 digits) nor a commit of 7 to 64 hexadecimal digits"


def _rule_for(image: str) -> BlockRule:
    return BlockRule(digest=image) if image.startswith("sha256:") else BlockRule(revision=image.lower())


def _is_meant(rule: BlockRule, image: str) -> bool:
    if image.lower() == rule.what:
        return True
    return len(image) >= _SHORTEST_DIGEST and image.startswith("sha256:") and rule.what.startswith(image)


def _change(
    settings: Settings,
    stop: Stop,
    change_for: Callable[[Place], Change],
    check: Callable[[Mapping[str, Rules]], None] = lambda current: None,
    *,
    as_table: bool,
) -> int:
    """Change the rules of every namespace, and show what they are then.

    Args:
        settings: the settings.
        stop: whether to stop.
        change_for: gives the change.
        check: raises where the change makes no sense. Before it nothing is written.
        as_table: show a table instead of JSON.
    """
    with place(settings, stop) as where:
        namespaces = namespaces_of(where)
        current = _readable(read_rules(where, namespaces))
        check(current)
        identity = where.identify(IDENTITY_SECONDS)
        change = change_for(where)
        if stop:
            raise StoppedError("stopped; nothing was changed")
        results = {name: _written(RulesStore(where.cluster, name), change) for name in namespaces}
        errors = {name: answer for name, answer in results.items() if isinstance(answer, ImportImagesError)}
        if len(errors) == len(results):
            raise next(iter(errors.values()))
        now = _now()
        shown = [
            RulesNow(name, changed.after.in_force(now), changed.before != changed.after, _running(where, name, changed))
            for name, changed in results.items()
            if isinstance(changed, Changed)
        ]
    _show(shown, identity, as_table=as_table)
    for name, error in errors.items():
        log.error("%s: %s", name, error)
    return 1 if errors else 0


def _readable(answers: Mapping[str, Rules | ClusterError]) -> dict[str, Rules]:
    """The rules of all namespaces.

    Raises:
        ClusterError: the API refuses those of one, so that nothing is changed anywhere.
    """
    for answer in answers.values():
        if isinstance(answer, ClusterError):
            raise answer
    return {name: answer for name, answer in answers.items() if isinstance(answer, Rules)}


def _written(store: RulesStore, change: Change) -> Changed | ImportImagesError:
    try:
        changed = store.update(change)
    except (ClusterError, RulesError) as error:
        return error
    if changed.manager and changed.before != changed.after:
        log.warning("%s: the rules are kept from a manifest (%s): the next apply undoes this; change it there, too",
                    store.namespace, changed.manager)  # fmt: skip
    return changed


def _running(where: Place, namespace: str, changed: Changed) -> tuple[Running, ...] | None:
    """The tags that have a blocked image already, which a rule does not take away from them."""
    try:
        return running_blocked(where, namespace, changed.after.in_force(_now()))
    except ImportImagesError as error:
        log.warning("which tags of %s have a blocked image is not known: %s", namespace, error)
        return None


def _show(shown: Sequence[RulesNow], identity: Identity | None, *, as_table: bool) -> None:
    if as_table:
        from job.commands.rules_view import print_rules

        write(functools.partial(print_rules, shown, identity))
        return
    document("Rules", {"namespaces": [_document(now) for now in shown]})


def _document(now: RulesNow) -> dict[str, Any]:
    def tags_with(rule: BlockRule) -> list[str] | None:
        return None if now.running is None else [str(r.name) for r in now.running if r.rule == rule]

    return {"changed": now.changed, **rules_document(now.namespace, now.rules, tags_with)}
