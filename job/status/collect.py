"""Collect the facts that `status` judges. Nothing is written."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from job.cluster import CONFIG_MAPS, CRON_JOBS, IMAGE_STREAMS, PODS, Cluster
from job.domain.errors import ClusterError, StoppedError
from job.domain.history import earlier_than_current
from job.domain.holds import hold_of
from job.domain.model import Item, Reason, RunError, Stage, Stream, Tag, TagName
from job.domain.records import dataclass, field, replace
from job.domain.rules import RULES, Rules
from job.domain.selection import aliases_of, choose, in_share
from job.domain.text import clean
from job.imagestreams.api_types import import_problem, items_of, stream_from
from job.imagestreams.listing import Chosen
from job.journal.decoding import NAME as JOURNAL
from job.journal.decoding import decode
from job.journal.records import Journal
from job.journal.rules_store import RulesError
from job.run.context import Run, nothing_matches, scope_of
from job.run.expired_holds import release
from job.run.rules import read_rules
from job.run.waves import import_waves
from job.status.model import Facts, TagFacts, Unknown, WorkloadStatus
from job.status.punctuality import Timetable, timetable_from
from job.status.remedies import remedy
from job.workloads.discovery import cron_jobs_in
from job.workloads.followers import Followed, Moved, followed_by, verdict
from job.workloads.kinds import kind_of
from job.workloads.pods import pod_from
from job.workloads.rollouts import LOOKS_AT_ONCE


@dataclass(slots=True)
class _Streams:
    """The requested tags in a list of streams.

    Attributes:
        matched: whether there are any, in any shard's share.
        back: the tags of their streams that a rollback would move, since they have an earlier image.
    """

    matched: bool = False
    chosen: list[Chosen] = field(default_factory=list)
    back: set[TagName] = field(default_factory=set)
    problems: dict[TagName, tuple[str, str, datetime | None]] = field(default_factory=dict)


def collect(run: Run) -> Facts:
    """Collect the facts that `status` judges.

    Args:
        run: as `job.run.engine.start` makes it for a plan.

    Raises:
        UsageError: no tag matches.
        ClusterError: no namespace can be read.
        StoppedError: the command is to stop.
    """
    streams, errors = _streams(run)
    journals, of_journals = _journals(run)
    rules, bad_rules, of_rules = _rules(run)
    run = replace(run, rules=rules)
    released = release(run, streams.chosen)
    # The journals spare asking again for images that a run has met.
    results = import_waves(run, released.chosen, journals=journals.values(), notes=released.notes).tags
    if run.stop:
        raise StoppedError("stopped before every registry had answered")
    named = [(result.name, result) for result in results]
    timetables, of_timetables = _timetables(run)
    workloads, of_workloads = _workloads(run, streams)
    return Facts(
        now=datetime.now(UTC),
        deployment=scope_of(run.settings.wanted).deployment,
        namespaces=run.namespaces,
        tags=[TagFacts(result, streams.problems.get(name)) for name, result in named],
        journals=journals,
        timetables=timetables,
        workloads=workloads,
        unknown=[*of_journals, *of_rules, *of_timetables, *of_workloads],
        errors=errors,
        rollout_timeout=timedelta(seconds=run.settings.rollout_timeout),
        rules=rules,
        bad_rules=bad_rules,
    )


def _streams(run: Run) -> tuple[_Streams, list[RunError]]:
    wanted, cluster = run.settings.wanted, run.cluster

    def listed(namespace: str) -> _Streams:
        streams = _Streams()
        for data in cluster.list(IMAGE_STREAMS, namespace, run.settings.selector):
            stream = stream_from(data)
            choices = choose(stream, wanted)
            streams.matched |= bool(choices)
            if not choices or not in_share(namespace, stream.name, wanted.shard):
                continue
            streams.chosen.append((stream, choices))
            streams.back.update(_name(stream, tag.name) for tag in stream.tags if _can_go_back(data, tag))
            for choice in choices:
                if problem := import_problem(data, choice.tag.name):
                    streams.problems[TagName(namespace, stream.name, choice.tag.name)] = problem
        return streams

    answers = run.ask_all({name: functools.partial(listed, name) for name in run.namespaces})
    refused = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if len(refused) == len(answers):
        raise next(iter(refused.values()))
    whole = _Streams()
    for answer in answers.values():
        if isinstance(answer, _Streams):
            whole.matched |= answer.matched
            whole.chosen += answer.chosen
            whole.back |= answer.back
            whole.problems |= answer.problems
    if not whole.matched and not refused:
        raise nothing_matches(run.namespaces, wanted)
    return whole, [
        RunError(name, Stage.LIST, error.reason, f"its image streams cannot be listed: {error}")
        for name, error in refused.items()
    ]


def _journals(run: Run) -> tuple[dict[str, Journal], list[Unknown]]:
    def read(namespace: str) -> Journal:
        try:
            return decode(run.cluster.get(CONFIG_MAPS, namespace, JOURNAL))
        except ValueError as error:
            raise ClusterError(Reason.INVALID, f"this version cannot read it: {clean(str(error))}") from error
        except ClusterError as error:
            if error.code == 404:
                return Journal()
            raise

    answers = run.ask_all({name: functools.partial(read, name) for name in run.namespaces})
    what = f"the ConfigMap {JOURNAL}"
    unknown = [
        Unknown(name, "journal", f"earlier runs are not known: {_why(answer, 'get', what)}")
        for name, answer in answers.items()
        if isinstance(answer, ClusterError)
    ]
    return {name: answer for name, answer in answers.items() if isinstance(answer, Journal)}, unknown


def _rules(run: Run) -> tuple[dict[str, Rules], list[tuple[str, str]], list[Unknown]]:
    """The rules in force, the lines of those that cannot be read, and where they are not known."""
    by_namespace: dict[str, Rules] = {}
    bad: list[tuple[str, str]] = []
    unknown: list[Unknown] = []
    for name in run.namespaces:
        try:
            answer = read_rules(run, [name])[name]
        except RulesError as error:
            bad += [(name, clean(line)) for line in error.errors[:-1]]
            continue
        if isinstance(answer, ClusterError):
            why = _why(answer, "get", f"the ConfigMap {RULES}")
            unknown.append(Unknown(name, "rules", f"what is frozen and blocked is not known: {why}"))
        else:
            by_namespace[name] = answer.in_force(run.started)
    return by_namespace, bad, unknown


def _why(error: ClusterError, verb: str, what: str) -> str:
    return f"grant {verb} on {what}" if error.reason is Reason.FORBIDDEN else str(error)


def _timetables(run: Run) -> tuple[list[Timetable], list[Unknown]]:
    answers = run.ask_all({name: functools.partial(cron_jobs_in, run.cluster, name) for name in run.namespaces})
    existing: list[Timetable] = []
    unknown: list[Unknown] = []
    for name, answer in answers.items():
        if isinstance(answer, ClusterError):
            message = f"due times are not known: {_why(answer, 'list', 'cronjobs')}"
            unknown.append(Unknown(name, "schedule", message))
        else:
            timetables = (timetable_from(data, run.settings.time_zone) for data in answer)
            existing += [timetable for timetable in timetables if timetable]
    return existing, unknown


@dataclass(frozen=True, slots=True)
class _Tags:
    """What a workload may follow.

    Attributes:
        current: the image of each tag.
        back: the tag that a rollback would move to give it an earlier one; not of held tags, or of those without one.
    """

    current: Mapping[TagName, Item]
    back: Mapping[TagName, TagName]


def _tags_of(streams: _Streams) -> _Tags:
    """The tags, and those that follow them in the same stream."""
    current: dict[TagName, Item] = {}
    back: dict[TagName, TagName] = {}
    for stream, choices in streams.chosen:
        for choice in choices:
            names = (choice.tag.name, *aliases_of(stream, choice.tag.name))
            for tag in filter(None, map(stream.tag, names)):
                if tag.current:
                    current[_name(stream, tag.name)] = tag.current
        for name in (_name(stream, tag.name) for tag in stream.tags):
            if name in streams.back:
                back |= {_name(stream, alias): name for alias in (name.tag, *aliases_of(stream, name.tag))}
    return _Tags(current, back)


def _can_go_back(data: Mapping[str, Any], tag: Tag) -> bool:
    """Whether a rollback can move the tag to an earlier image; an alias moves with the tag that it follows."""
    source = tag.source
    if source is None or source.kind == "ImageStreamTag" or tag.reference or hold_of(tag) is not None:
        return False
    return bool(earlier_than_current(items_of(data, tag.name), None))


def _name(stream: Stream, tag: str) -> TagName:
    return TagName(stream.namespace, stream.name, tag)


def _workloads(run: Run, streams: _Streams) -> tuple[list[WorkloadStatus], list[Unknown]]:
    tags = _tags_of(streams)
    survey = run.survey(run.namespaces)
    if run.stop:
        raise StoppedError("stopped before the workloads were read")
    unknown = [
        Unknown(error.namespace, "workloads", f"not all could be read: {error.message}") for error in survey.errors
    ]
    if survey.left_out:
        shown = ", ".join(survey.left_out[:3]) + (" and others" if len(survey.left_out) > 3 else "")
        unknown.append(
            Unknown("", "workloads", f"what follows the tags in {shown} is not known: no right to list workloads there")
        )
    followed = followed_by(survey.workloads, {name: Moved(item.digest) for name, item in tags.current.items()})
    answers = run.ask_all(
        {follower: functools.partial(_workload, run.cluster, follower, tags) for follower in followed}, LOOKS_AT_ONCE
    )
    refused: dict[tuple[str, str], Unknown] = {}
    for follower, answer in answers.items():
        if isinstance(answer, ClusterError) and answer.code != 404:
            namespace, why = follower.workload.namespace, _why(answer, "get on workloads, and list", "pods")
            message = f"whether they run the image of their tag is not known: {why}"
            refused.setdefault((namespace, answer.reason), Unknown(namespace, "workloads", message))
    return [row for row in answers.values() if isinstance(row, WorkloadStatus)], [*unknown, *refused.values()]


def _workload(cluster: Cluster, followed: Followed, tags: _Tags) -> WorkloadStatus:
    workload = followed.workload
    data = cluster.get(workload.resource, workload.namespace, workload.name)
    pods = [] if workload.resource == CRON_JOBS else list(_pods(cluster, followed, data))
    health = verdict(followed, data, pods)
    wanted = {part.follows.container: part.moved.digest for part in followed.parts}
    # The tag that moved last is the most likely cause.
    moved = {name: item.imported_at for name in followed.tags if (item := tags.current.get(name))}
    last = max(moved, key=lambda name: moved[name] or datetime.min.replace(tzinfo=UTC), default=followed.tags[0])
    return WorkloadStatus(
        namespace=workload.namespace,
        kind=workload.resource.kind,
        name=workload.name,
        tags=followed.tags,
        result=health.result,
        message=health.message,
        moved_at=moved.get(last),
        command=remedy(workload.resource, data, pods, health.result, wanted, last, tags.back.get(last)),
    )


def _pods(cluster: Cluster, followed: Followed, data: Mapping[str, Any]) -> Iterator[Any]:
    workload = followed.workload
    selector = kind_of(workload.resource).selector(data) or None
    return map(pod_from, cluster.list(PODS, workload.namespace, selector))
