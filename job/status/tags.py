"""The status of each tag, and what is wrong with it.

What is unusual need not be a problem: the next run imports a tag that is behind, a hold was set on purpose, an old
image may be a finished one. The problems here are those that the alerts report too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from job.domain.model import By, Command, Outcome, Reason, Result, Skip, TagName, TagResult, TriggerKind
from job.domain.records import dataclass
from job.domain.shell import command, ours, resuming
from job.domain.states import Problem, State
from job.domain.text import clean
from job.domain.times import from_unix
from job.imagestreams.api_types import login_secret
from job.journal.records import Journal, TagRecord, belongs_to
from job.status.model import OLD, Attention, Facts, TagFacts, TagStatus, Unknown
from job.status.punctuality import two_due_times_ago

# For tags without a known schedule: two weekly runs and a day.
STALE = timedelta(days=15)
FORGOTTEN = timedelta(days=14)
HELD_BACK = timedelta(days=7)
# Of the API's own answers these are about the tag; one about the login says nothing of it.
_ABOUT_THE_TAG = frozenset(reason for reason in Reason if reason.is_lasting) - {Reason.UNAUTHORIZED}
# Skipped on purpose, unless the look-up explains why nothing moves the tag.
_MAY_BE_UNMOVED = frozenset({Skip.ALIAS, Skip.COPY, Skip.REMOVED})


@dataclass(frozen=True, slots=True)
class TagProblem:
    """One problem that a tag may have.

    Attributes:
        problem: its name.
        applies: whether the tag has it.
        message: the sentence for a person.
        since: since when the tag has it, as far as is known.
        remedy: the command that fixes it, or shows more of it.
    """

    problem: Problem
    applies: Callable[[TagStatus, Facts], bool]
    message: Callable[[TagStatus], str]
    since: Callable[[TagStatus], datetime | None]
    remedy: Callable[[TagStatus], str]


def problems_of(tag: TagStatus, facts: Facts) -> list[Attention]:
    """The first problem that the tag has."""
    first = next((row for row in TAG_PROBLEMS if row.applies(tag, facts)), None)
    if first is None:
        return []
    name = tag.name
    message, since, remedy = first.message(tag), first.since(tag), first.remedy(tag)
    return [Attention(name.namespace, str(name), first.problem, message, since, remedy)]


def _lacks_right(result: TagResult) -> bool:
    """Whether this login may not look images up; a registry that the cluster blocks is forbidden to all."""
    message = result.message or ""
    return (result.by, result.reason) == (By.API, Reason.FORBIDDEN) and 'resource "imagestreamimports"' in message


def without_right(tags: Iterable[TagFacts]) -> list[Unknown]:
    """The namespaces whose registries this login may not ask."""
    namespaces = dict.fromkeys(seen.result.namespace for seen in tags if _lacks_right(seen.result))
    message = "the registries could not be asked: grant create on imagestreamimports"
    return [Unknown(namespace, "registry", message) for namespace in namespaces]


def _state(result: TagResult) -> State:
    if result.result is Result.FAILED:
        was_asked = result.by is By.REGISTRY or (result.reason in _ABOUT_THE_TAG and not _lacks_right(result))
        return State.FAILED if was_asked and result.by else State.UNKNOWN
    if result.result is Result.SKIPPED:
        return State.HELD if result.reason is Skip.HELD else State.SKIPPED
    return State.CURRENT if result.result is Result.UNCHANGED else State.BEHIND


def tag_status(seen: TagFacts, facts: Facts) -> TagStatus:
    """The status of a tag, from the look-up, its stream and the journal."""
    result, name = seen.result, seen.name
    journal = facts.journals.get(name.namespace)
    record = (journal.tags.get((name.stream, name.tag)) if journal else None) or TagRecord()
    state, image = _state(result), result.before
    waiting = journal.waiting.get((name.stream, name.tag)) if journal and state is State.BEHIND else None
    if waiting and result.after and waiting.digest == result.after.digest:
        state = State.GATED
    else:
        waiting = None
    message = None if _lacks_right(result) else result.message
    if message is None and seen.problem and image is None:
        message = f"its import failed: {seen.problem[1] or seen.problem[0]}"
    is_asked = state in (State.CURRENT, State.BEHIND, State.GATED)
    return TagStatus(
        name=name,
        source=result.source,
        state=state,
        reason=None if _lacks_right(result) else result.reason,
        by=result.by if result.result is Result.FAILED else None,
        image=image,
        registry=result.after if is_asked else None,
        message=clean(message) if message else None,
        hold=result.hold,
        last_success=None if record.last_success is None else from_unix(record.last_success),
        failed_runs=record.failed_runs,
        failing_since=_failing_since(seen, state, journal, record),
        is_old=bool(image and image.created and facts.now - image.created > OLD),
        waiting=waiting,
    )


def _failing_since(seen: TagFacts, state: State, journal: Journal | None, record: TagRecord) -> datetime | None:
    """The earliest known failure of the runs in a row that failed."""
    times = [seen.problem[2]] if seen.problem and (state is State.FAILED or record.failed_runs) else []
    name = seen.name
    if journal and record.failed_runs:
        runs = [
            run
            for run in journal.runs
            if run.command is Command.RUN
            and run.finished_at
            and belongs_to(name.namespace, (name.stream, name.tag), run.deployment, run.shard)
        ]
        times += [run.finished_at for run in runs[: record.failed_runs] if run.counts.get(Result.FAILED)]
    return min((time for time in times if time), default=None)


# Which problem a tag has


def _is_expired(tag: TagStatus, facts: Facts) -> bool:
    until = tag.hold.until if tag.state is State.HELD and tag.hold else None
    return until is not None and until <= facts.now


def _is_forgotten(tag: TagStatus, facts: Facts) -> bool:
    hold = tag.hold if tag.state is State.HELD else None
    return bool(hold and hold.until is None and hold.at is not None and facts.now - hold.at > FORGOTTEN)


def _is_held_back(tag: TagStatus, facts: Facts) -> bool:
    since = from_unix(tag.waiting.held_since) if tag.waiting else None
    return since is not None and facts.now - since > HELD_BACK


def _is_unmoved(tag: TagStatus, facts: Facts) -> bool:
    return tag.state is State.SKIPPED and tag.reason in _MAY_BE_UNMOVED and bool(tag.message)


def _fails_in_a_row(tag: TagStatus, facts: Facts) -> bool:
    return tag.state in (State.CURRENT, State.BEHIND, State.UNKNOWN) and tag.failed_runs > 1


def _is_stale(tag: TagStatus, facts: Facts) -> bool:
    if tag.state not in (State.BEHIND, State.UNKNOWN) or tag.last_success is None:
        return False
    limit = _stale_before(tag.name, facts)
    return limit is not None and tag.last_success < limit


def _hold_reason(tag: TagStatus) -> str:
    return (tag.hold.reason if tag.hold else None) or "no reason given"


def _failure(tag: TagStatus) -> str:
    # The server's own message buries the image's name.
    is_gone = (tag.reason, tag.by) == (Reason.NOT_FOUND, By.REGISTRY) and tag.source
    why = f"the registry does not have {tag.source}" if is_gone else f"{tag.reason}: {tag.message}"
    return f"{why}; {_in_a_row(tag)}" if tag.failed_runs > 1 else why


def _in_a_row(tag: TagStatus) -> str:
    return f"{tag.failed_runs} runs in a row have failed to import it"


def _failure_remedy(tag: TagStatus) -> str:
    name = tag.name
    if tag.reason is Reason.NOT_FOUND and tag.image:
        # The revisions of earlier images show what to build again.
        return ours("history", name, "--check")
    if tag.reason in (Reason.UNAUTHORIZED, Reason.FORBIDDEN) and tag.by is By.REGISTRY and tag.source:
        return login_secret(name, tag.source)
    if tag.by is By.API:
        return command("oc", "describe", f"imagestream/{name.stream}", "-n", name.namespace)
    return ours("plan", name)


def _stale_before(name: TagName, facts: Facts) -> datetime | None:
    """The time before which a last success is too old; None while the runs are frozen."""
    journal = facts.journals.get(name.namespace)
    runs = journal.runs if journal else ()
    whole = (
        run for run in runs if run.command is Command.RUN and (run.trigger is TriggerKind.SCHEDULED or not run.narrowed)
    )
    last = next((run for run in whole if run.deployment in (None, name.tag)), None)
    if last is not None and last.outcome == Outcome.FROZEN:
        return None
    due: dict[bool, list[datetime]] = {}
    for timetable in facts.timetables:
        settings = timetable.cron_job.settings
        is_its_own = timetable.cron_job.imports(name.namespace) and settings.wanted.includes(name.stream, name.tag)
        if is_its_own and (time := two_due_times_ago(timetable, facts.now)):
            due.setdefault(settings.selector is None, []).append(time)
    # Of CronJobs with a SELECTOR, which may choose other streams, the one that runs least often counts.
    return max(due.get(True, ()), default=None) or min(due.get(False, ()), default=facts.now - STALE)


# The first that applies is reported.
TAG_PROBLEMS: tuple[TagProblem, ...] = (
    TagProblem(
        Problem.HOLD_EXPIRED,
        _is_expired,
        lambda tag: f"its hold has ended, and it is still held ({_hold_reason(tag)})",
        lambda tag: tag.hold.until if tag.hold else None,
        lambda tag: resuming(tag.name),
    ),
    TagProblem(
        Problem.HOLD_FORGOTTEN,
        _is_forgotten,
        lambda tag: f"held without an end, so it gets no updates ({_hold_reason(tag)})",
        lambda tag: tag.hold.at if tag.hold else None,
        lambda tag: resuming(tag.name),
    ),
    TagProblem(
        Problem.GATE_HOLDS,
        _is_held_back,
        lambda tag: (
            f"gates hold back every new image ({tag.waiting.gate}: {tag.waiting.message})" if tag.waiting else ""
        ),
        lambda tag: from_unix(tag.waiting.held_since) if tag.waiting else None,
        lambda tag: ours("plan", tag.name),
    ),
    TagProblem(
        Problem.NOT_MOVED,
        _is_unmoved,
        lambda tag: tag.message or "",
        lambda tag: None,
        lambda tag: ours("doctor", tag.name),
    ),
    TagProblem(
        Problem.FAILING,
        lambda tag, facts: tag.state is State.FAILED,
        _failure,
        lambda tag: tag.failing_since,
        _failure_remedy,
    ),
    TagProblem(
        Problem.FAILING,
        _fails_in_a_row,
        lambda tag: _in_a_row(tag) + ("; the registry has it now" if tag.registry else ""),
        lambda tag: tag.failing_since,
        lambda tag: ours("run", tag.name),
    ),
    TagProblem(
        Problem.STALE,
        _is_stale,
        lambda tag: "no run has confirmed its image for more than two due times",
        lambda tag: tag.last_success,
        lambda tag: ours("run", tag.name),
    ),
    TagProblem(
        Problem.NOT_KNOWN,
        lambda tag, facts: tag.state is State.UNKNOWN and bool(tag.message),
        lambda tag: f"the registry could not be asked: {tag.message}",
        lambda tag: None,
        lambda tag: ours("plan", tag.name),
    ),
)
