"""The rules of a command's namespaces: read before anything is locked or asked, and what a freeze means for a run."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from job.domain.errors import ClusterError, UsageError
from job.domain.model import Outcome, Reason, Report, RunError, Stage, TriggerKind
from job.domain.records import dataclass, replace
from job.domain.rules import RULES, Rules
from job.domain.shell import command, oc
from job.domain.times import iso
from job.journal.rules_store import RulesError, RulesStore
from job.run.context import Context, Run, report_of
from job.runtime.pool import gather

if TYPE_CHECKING:
    from job.domain.schedule import Freeze

log = logging.getLogger(__name__)

INSIST = "to run nevertheless: --ignore-freeze, or IGNORE_FREEZE=true in the Job"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What rules say of a run before it begins.

    Attributes:
        run: the run, with the rules that are in force.
        refused: an error for each namespace whose rules the API refuses: nothing is imported there.
        frozen: why nothing is imported, by namespace.
    """

    run: Run
    refused: tuple[RunError, ...] = ()
    frozen: Mapping[str, str] | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether nothing is imported anywhere because of a freeze."""
        return bool(self.frozen) and len(self.frozen or ()) == len(self.run.namespaces)


def read_rules(where: Context, namespaces: Sequence[str]) -> dict[str, Rules | ClusterError]:
    """The rules of namespaces, one request each; the error where the API refuses them.

    Raises:
        RulesError: some cannot be read, with the lines of all namespaces.
    """
    return _readable(where.ask_all({name: functools.partial(_read, where, name) for name in namespaces}))


def _readable(answers: Mapping[str, Rules | RulesError | ClusterError]) -> dict[str, Rules | ClusterError]:
    refused = {name: answer for name, answer in answers.items() if isinstance(answer, RulesError)}
    if refused:
        fixes = [f"nothing was done; correct it: {oc(name, 'edit', 'configmap', RULES)}" for name in refused]
        raise RulesError([*(line for error in refused.values() for line in error.errors), *fixes])
    return {name: answer for name, answer in answers.items() if not isinstance(answer, RulesError)}


def _read(where: Context, namespace: str) -> Rules | RulesError:
    try:
        return RulesStore(where.cluster, namespace).read()
    except RulesError as error:
        return error


def rule(run: Run) -> Ruling:
    """What the rules of its namespaces, and FREEZE, say of a run or plan. A plan only reports it.

    Raises:
        UsageError: a rule cannot be read, or a run by hand is inside a freeze, so that its user can decide.
    """
    answers = _readable(_answers(run))
    rules = {name: answer.in_force(run.started) for name, answer in answers.items() if isinstance(answer, Rules)}
    run = replace(run, rules=rules)
    errors = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if run.dry_run:
        run = replace(run, unread_rules={name: str(error) for name, error in errors.items()})
        for name, why in _frozen_by_rules(run).items():
            log.warning("%s: %s; a run imports nothing", name, why)
        return Ruling(run)
    refused = tuple(
        RunError(name, Stage.RULES, error.reason, f"the rules of {name} cannot be read: {error}")
        for name, error in errors.items()
    )
    return Ruling(run, refused, _frozen(run))


def _answers(run: Run) -> dict[str, Rules | RulesError | ClusterError]:
    """The rules of each namespace; where the run was stopped before, the error that says so."""
    calls = {name: functools.partial(run.retrier.call, functools.partial(_read, run, name)) for name in run.namespaces}
    late = ClusterError(Reason.ABORTED, "stopped before they were read")
    answers = gather(calls, run.settings.concurrency, run.stopping)
    return {name: answers.get(name, late) for name in run.namespaces}


def _frozen(run: Run) -> Mapping[str, str]:
    """Why nothing is imported, by namespace.

    Raises:
        UsageError: the run was started by hand.
    """
    by_rules = _frozen_by_rules(run)
    if run.settings.ignore_freeze:
        for name, why in by_rules.items():
            log.warning("%s: %s; it is ignored, as IGNORE_FREEZE says", name, why)
        return {}
    window = _window(run)
    if run.trigger.kind is TriggerKind.SCHEDULED:
        return dict.fromkeys(run.namespaces, _described(window)) if window else by_rules
    lines = [f"{_described(window)}; {INSIST}"] if window else []
    lines += [
        f"{name}: {why}; to end it: {command('import-images', 'thaw', '-n', name)}" for name, why in by_rules.items()
    ]
    if lines:
        raise UsageError(lines if window else [*lines, INSIST])
    return {}


def _frozen_by_rules(run: Run) -> dict[str, str]:
    return {name: str(rules.freeze) for name, rules in run.rules.items() if rules.freeze}


def _window(run: Run) -> Freeze | None:
    """The window of FREEZE in which the run began.

    Raises:
        UsageError: the CronJob's time zone is not known here.
    """
    settings = run.settings
    if not settings.freeze:
        return None
    from job.domain.schedule import frozen_at, parse_zone

    try:
        zone = parse_zone(settings.time_zone or run.trigger.time_zone)
    except ValueError as error:
        raise UsageError([f"the CronJob's timeZone: {error}; correct it, or set TIME_ZONE for FREEZE"]) from error
    return frozen_at(settings.freeze, run.started, zone)


def _described(freeze: Freeze) -> str:
    return f"frozen from {iso(freeze.start)} until {iso(freeze.end)} by the window {freeze.text!r}"


def frozen_report(ruling: Ruling) -> Report:
    """The report of a run that imports nothing because of a freeze."""
    run = ruling.run
    warn_of_freeze(ruling)
    return report_of(run, [], [], dict.fromkeys(run.namespaces, Outcome.FROZEN), 0)


def warn_of_freeze(ruling: Ruling) -> None:
    """Log where nothing is imported because of a freeze."""
    for why in dict.fromkeys((ruling.frozen or {}).values()):
        names = ", ".join(name for name, freeze in (ruling.frozen or {}).items() if freeze == why)
        log.warning("%s: %s: nothing is imported", names, why)
