"""The gates of a run: which tags they guard, and what each says of the images that would be imported.

A gate is a function in `GATES`. It gets all images that it has to judge at once, so that it can ask for what it needs
in parallel, and returns a verdict for each; one that it leaves out counts as inconclusive, which is never a pass.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from job.domain.errors import ClusterError
from job.domain.gates import Policy, PolicyError, has_gate_annotations, policy_of
from job.domain.model import Command, Gate, GateVerdict, Image, Reason, Skip, TagName, Verdict
from job.domain.planned import Planned
from job.domain.records import dataclass, field
from job.domain.text import clean
from job.imagestreams.listing import Chosen
from job.journal.records import Journal
from job.run.context import Run

if TYPE_CHECKING:
    from job.workloads.discovery import Survey

log = logging.getLogger(__name__)

# How the message of a tag begins that differs from the plan of the run.
LEFT_ALONE = "left alone: "


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image that a tag would get.

    Attributes:
        name: of the tag.
        source: the pull spec that the tag follows.
        image: what the registry has there.
        policy: the tag's gates.
        before: what the tag has now; None where it has nothing, or that is not known.
    """

    name: TagName
    source: str
    image: Image
    policy: Policy
    before: Image | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """What guards the tags of a run.

    Attributes:
        run: the run.
        policies: the gates of each tag that has some.
        errors: why the gates of a tag are not known, so that it must not move.
        journals: by namespace, what runs remember; a plan reads them where a gate needs them.
        planned: by tag, what a reviewed plan says; None where the run follows no plan.
        chosen: the streams with the tags chosen in them.
        survey: the workloads that may follow the tags; None where the run has not listed them.
    """

    run: Run
    policies: Mapping[TagName, Policy]
    errors: Mapping[TagName, str] = field(default_factory=dict)
    journals: Mapping[str, Journal] = field(default_factory=dict)
    planned: Mapping[TagName, Planned] | None = None
    chosen: Sequence[Chosen] = ()
    survey: Survey | None = None

    def guards(self, name: TagName) -> bool:
        """Whether the tag's image is asked for and judged before it is imported."""
        return name in self.policies or name in self.errors or self.planned is not None


Judge = Callable[[Guard, Sequence[Candidate]], Mapping[TagName, Verdict]]


def _min_age(guard: Guard, candidates: Sequence[Candidate]) -> Mapping[TagName, Verdict]:
    from job.run.min_age import judge

    return judge(guard, candidates)


def _proven(guard: Guard, candidates: Sequence[Candidate]) -> Mapping[TagName, Verdict]:
    from job.run.proven import judge

    return judge(guard, candidates)


def _rehearse(guard: Guard, candidates: Sequence[Candidate]) -> Mapping[TagName, Verdict]:
    from job.run.rehearsals import judge

    return judge(guard, candidates)


@dataclass(frozen=True, slots=True)
class GateRecord:
    """One gate.

    Attributes:
        gate: its name.
        judge: what it does.
        reason: what becomes of a tag whose image it could not judge.
        is_costly: it judges only what the gates before it let through.
    """

    gate: Gate
    judge: Judge
    reason: Reason | Skip
    is_costly: bool = False


# In the order of `Gate`. What a gate needs is imported where it is used, since most runs have none.
GATES: tuple[GateRecord, ...] = (
    GateRecord(Gate.MIN_AGE, _min_age, Skip.YOUNG),
    GateRecord(Gate.PROVEN, _proven, Skip.UNPROVEN),
    GateRecord(Gate.REHEARSE, _rehearse, Skip.UNREHEARSED, is_costly=True),
)


def guard_of(
    run: Run,
    chosen: Sequence[Chosen],
    journals: Mapping[str, Journal],
    survey: Survey | None = None,
) -> Guard | None:
    """What guards the chosen tags, and held ones that may be released; None without gates and without a plan.

    A person who releases a tag has decided, so that only runs and plans have gates.
    """
    if run.command not in (Command.RUN, Command.PLAN):
        return None
    policies: dict[TagName, Policy] = {}
    errors: dict[TagName, str] = {}
    for stream, choices in chosen:
        for choice in choices:
            name = TagName(stream.namespace, stream.name, choice.tag.name)
            if choice.skip not in (None, Skip.HELD) or not (
                run.settings.gates.gates or has_gate_annotations(stream, choice.tag)
            ):
                continue
            try:
                policy = policy_of(run.settings.gates, stream, choice.tag)
            except PolicyError as error:
                errors[name] = clean(str(error), 1000)
                continue
            if policy.gates:
                policies[name] = policy
    if not policies and not errors and run.planned is None:
        return None
    return Guard(run, policies, errors, journals, run.planned, chosen, survey)


def judge_all(guard: Guard, candidates: Sequence[Candidate]) -> dict[TagName, tuple[Verdict, ...]]:
    """The verdicts of every gate on every candidate that it guards, in the order of the gates."""
    verdicts: dict[TagName, list[Verdict]] = {candidate.name: [] for candidate in candidates}
    for record in GATES:
        own = [candidate for candidate in candidates if record.gate in candidate.policy.gates]
        if record.is_costly:
            own = [candidate for candidate in own if all(verdict.passed for verdict in verdicts[candidate.name])]
        if own:
            for name, verdict in _judged(record, guard, own).items():
                verdicts[name].append(verdict)
    return {name: tuple(of_tag) for name, of_tag in verdicts.items()}


def _judged(record: GateRecord, guard: Guard, candidates: Sequence[Candidate]) -> dict[TagName, Verdict]:
    guard.run.progress.begin(f"judging new images: {record.gate}")
    answers: Mapping[TagName, Verdict] = {}
    message = "it was not judged"
    try:
        answers = record.judge(guard, candidates)
    except ClusterError as error:
        message = str(error)
        log.warning("gate %s: %s", record.gate, error)
    reason = record.reason
    if guard.run.stopping():
        message, reason = "the run was stopped before it was judged", Reason.ABORTED
    return {
        candidate.name: answers.get(candidate.name)
        or Verdict(record.gate, GateVerdict.INCONCLUSIVE, candidate.image.digest, message, reason=reason)
        for candidate in candidates
    }
