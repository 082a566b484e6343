"""Everything that `status` goes by, asked of the cluster. Nothing is written."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from job.clusters import CONFIG_MAPS, CRON_JOBS, IMAGE_STREAMS, PODS, Cluster
from job.errors import ClusterError, StoppedError, UsageError
from job.journal import NAME as JOURNAL
from job.journal import Journal, decode
from job.listing import Chosen
from job.model import Item, Reason, RunError, Skip, TagName
from job.openshift import import_problem, stream_from
from job.pacing import Pool, persist
from job.pods import pod_from
from job.reasons import clean
from job.releasing import release
from job.remedies import remedy
from job.rollouts import LOOKS_AT_ONCE, Followed, Moved, followed_by, selector_of, verdict
from job.rounds import Rounds
from job.runs import Run, scope_of
from job.selection import aliases_of, choose, in_share
from job.standing import Findings, Look, Seen, Unknown
from job.timetable import NAME as CRON_JOB
from job.timetable import Timetable, timetable_from

T = TypeVar("T")
_NOT_ANSWERED = "no answer before the deadline"


class _Question(Generic[T]):
    """One thing to find out, with its answer or why there is none; see `pacing.Task`."""

    def __init__(self, run: Run, namespace: str, ask: Callable[[], T]) -> None:
        self.namespace = namespace
        self.answer: T | None = None
        self.error: ClusterError | None = ClusterError(Reason.ABORTED, _NOT_ANSWERED)
        self._run = run
        self._ask = ask

    def step(self) -> float | None:
        """Ask, and ask again where that may help."""
        run = self._run
        try:
            self.answer = persist(self._ask, run.settings.retries, run.stopping)
            self.error = None
        except ClusterError as error:
            self.error = error
        return None


def _ask(run: Run, questions: Sequence[_Question[T]], at_once: int | None = None) -> Sequence[_Question[T]]:
    limit = run.settings.concurrency
    Pool(min(limit, at_once or limit)).run(questions, run.stopping, grace=0)
    if run.stop:
        raise StoppedError("stopped before everything was looked at")
    return questions


@dataclass(slots=True)
class _Streams:
    """What a list of streams says of the tags that are asked for."""

    chosen: list[Chosen] = field(default_factory=list)
    problems: dict[TagName, tuple[str, str, datetime | None]] = field(default_factory=dict)


def take_stock(run: Run) -> Findings:
    """Look at everything.

    Args:
        run: as `job.running.start` makes it for a plan.

    Raises:
        UsageError: no tag is there that was asked for.
        ClusterError: no namespace can be read.
        StoppedError: the command was told to stop.
    """
    streams, errors = _streams(run)
    journals, of_journals = _journals(run)
    # Images that a run has met need not be asked for again.
    run.journals.update(journals)
    released = release(run, streams.chosen)
    results = Rounds(run, None).take(released.chosen, released.notes)
    if run.stop:
        raise StoppedError("stopped before every registry had answered")
    named = [(TagName(result.namespace, result.stream, result.tag), result) for result in results]
    timetables, of_timetables = _timetables(run)
    looks, of_looks = _looks(run, streams.chosen)
    return Findings(
        now=datetime.now(UTC),
        deployment=scope_of(run.settings.wanted).deployment,
        namespaces=run.namespaces,
        tags=[Seen(result, streams.problems.get(name)) for name, result in named],
        journals=journals,
        timetables=timetables,
        looks=looks,
        unknown=[*of_journals, *of_timetables, *of_looks],
        errors=errors,
        rollout_timeout=timedelta(seconds=run.settings.rollout_timeout),
    )


def _streams(run: Run) -> tuple[_Streams, list[RunError]]:
    wanted, cluster = run.settings.wanted, run.cluster

    def listed(namespace: str) -> _Streams:
        found = _Streams()
        for data in cluster.list(IMAGE_STREAMS, namespace, run.settings.selector):
            stream = stream_from(data)
            choices = choose(stream, wanted)
            if not choices or not in_share(namespace, stream.name, wanted.shard):
                continue
            found.chosen.append((stream, choices))
            for choice in choices:
                if problem := import_problem(data, choice.tag.name):
                    found.problems[TagName(namespace, stream.name, choice.tag.name)] = problem
        return found

    questions = _ask(run, [_Question(run, name, functools.partial(listed, name)) for name in run.namespaces])
    refused = [(each.namespace, each.error) for each in questions if each.error]
    if len(refused) == len(questions):
        raise refused[0][1]
    whole = _Streams()
    for each in questions:
        if each.answer is not None:
            whole.chosen += each.answer.chosen
            whole.problems |= each.answer.problems
    if not whole.chosen and not refused:
        asked = ", ".join(f"{p.stream}:{p.tag or wanted.deployment or '*'}" for p in wanted.patterns)
        asked = asked or (f"tag {wanted.deployment}" if wanted.deployment else "any tag")
        raise UsageError([f"nothing in {', '.join(run.namespaces)} matches {asked}; see: import-images plan"])
    return whole, [
        RunError(name, "list", error.reason, f"its image streams cannot be listed: {error}") for name, error in refused
    ]


def _journals(run: Run) -> tuple[dict[str, Journal], list[Unknown]]:
    def read(namespace: str) -> Journal:
        try:
            return decode(run.cluster.get(CONFIG_MAPS, namespace, JOURNAL))
        except ValueError as error:
            raise ClusterError(Reason.INVALID, f"it is none that this version can read: {clean(str(error))}") from error
        except ClusterError as error:
            if error.code == 404:
                return Journal()
            raise

    questions = _ask(run, [_Question(run, name, functools.partial(read, name)) for name in run.namespaces])
    unknown = [
        Unknown(
            each.namespace, "journal", f"what earlier runs did is not known: {_why(each.error, 'get', JOURNAL_RIGHT)}"
        )
        for each in questions
        if each.error
    ]
    return {each.namespace: each.answer for each in questions if each.answer is not None}, unknown


JOURNAL_RIGHT = f"the ConfigMap {JOURNAL}"


def _why(error: ClusterError, verb: str, what: str) -> str:
    return f"grant {verb} on {what}" if error.reason is Reason.FORBIDDEN else str(error)


def _timetables(run: Run) -> tuple[list[Timetable], list[Unknown]]:
    cluster = run.cluster

    def listed(namespace: str) -> list[Mapping[str, Any]]:
        try:
            return list(cluster.list(CRON_JOBS, namespace))
        except ClusterError as error:
            if error.reason is not Reason.FORBIDDEN:
                raise
            refused = error
        # The account of a run may read its own CronJob, and no other.
        try:
            return [cluster.get(CRON_JOBS, namespace, CRON_JOB)]
        except ClusterError as error:
            if error.code == 404:
                return []
            raise refused from error

    questions = _ask(run, [_Question(run, name, functools.partial(listed, name)) for name in run.namespaces])
    found = [
        timetable
        for each in questions
        for data in each.answer or ()
        if (timetable := timetable_from(data, run.settings.time_zone))
    ]
    return found, [
        Unknown(each.namespace, "schedule", f"when runs are due is not known: {_why(each.error, 'list', 'cronjobs')}")
        for each in questions
        if each.error
    ]


@dataclass(frozen=True, slots=True)
class _Held:
    """What the tags have that a workload may follow."""

    current: Mapping[TagName, Item]
    held: frozenset[TagName]


def _tags_of(chosen: Sequence[Chosen]) -> _Held:
    """The images of the tags and of those that follow them in the same stream."""
    current: dict[TagName, Item] = {}
    held: set[TagName] = set()
    for stream, choices in chosen:
        for choice in choices:
            names = (choice.tag.name, *aliases_of(stream, choice.tag.name))
            for tag in filter(None, map(stream.tag, names)):
                name = TagName(stream.namespace, stream.name, tag.name)
                if tag.current:
                    current[name] = tag.current
                if choice.skip is Skip.HELD:
                    held.add(name)
    return _Held(current, frozenset(held))


def _looks(run: Run, chosen: Sequence[Chosen]) -> tuple[list[Look], list[Unknown]]:
    tags = _tags_of(chosen)
    around = run.survey(run.namespaces)
    if run.stop:
        raise StoppedError("stopped before the workloads were looked at")
    unknown = [Unknown(error.namespace, "workloads", f"not all are known: {error.message}") for error in around.errors]
    if around.left_out:
        shown = ", ".join(around.left_out[:3]) + (" and others" if len(around.left_out) > 3 else "")
        unknown.append(Unknown("", "workloads", f"what follows the tags in {shown} is not known: no right to look"))
    followed = followed_by(around.workloads, {name: Moved(item.digest) for name, item in tags.current.items()})
    questions = _ask(
        run,
        [
            _Question(run, each.workload.namespace, functools.partial(_look, run.cluster, each, tags))
            for each in followed
        ],
        LOOKS_AT_ONCE,
    )
    refused: dict[tuple[str, str], Unknown] = {}
    for question in questions:
        error = question.error
        if error and error.code != 404:
            why = _why(error, "get on workloads, and list", "pods")
            told = Unknown(
                question.namespace, "workloads", f"whether they run the image of their tag is not known: {why}"
            )
            refused.setdefault((question.namespace, error.reason), told)
    return [each.answer for each in questions if each.answer], [*unknown, *refused.values()]


def _look(cluster: Cluster, followed: Followed, tags: _Held) -> Look:
    workload = followed.workload
    data = cluster.get(workload.resource, workload.namespace, workload.name)
    pods = [] if workload.resource == CRON_JOBS else list(_pods(cluster, followed, data))
    found = verdict(followed, data, pods)
    wanted = {part.follows.container: part.moved.digest for part in followed.parts}
    # The last one to move is the likeliest to blame.
    moved = {name: item.imported_at for name in followed.tags if (item := tags.current.get(name))}
    last = max(moved, key=lambda name: moved[name] or datetime.min.replace(tzinfo=UTC), default=followed.tags[0])
    return Look(
        namespace=workload.namespace,
        kind=workload.resource.kind,
        name=workload.name,
        tags=followed.tags,
        result=found.result,
        message=found.message,
        moved_at=moved.get(last),
        command=remedy(workload.resource, data, pods, found.result, wanted, last, held=last in tags.held),
    )


def _pods(cluster: Cluster, followed: Followed, data: Mapping[str, Any]) -> Iterator[Any]:
    workload = followed.workload
    selector = selector_of(workload.resource, data) or None
    return map(pod_from, cluster.list(PODS, workload.namespace, selector))
