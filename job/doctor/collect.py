"""The facts that `doctor` judges, read from the cluster. Nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from job.cluster import CRON_JOBS, IMAGE_STREAM_IMAGES, IMAGE_STREAMS, Resource
from job.cluster.unstructured import object_in
from job.doctor.checks.image_triggers import built_from
from job.doctor.checks.rollback_targets import Horizon
from job.doctor.checks.tags import Import, Looked, meant_whole, takes_one
from job.doctor.checks.templates import KnownTags, Shape, shape_of
from job.domain.errors import ClusterError
from job.domain.history import earlier_than_current
from job.domain.holds import hold_of
from job.domain.model import Reason, Skip, Stream, Tag, TagName
from job.domain.selection import Choice, choose
from job.imagestreams.api_types import facts_from, items_of, stream_from
from job.imagestreams.lookup import WHOLE, Answer, Question, question_of_item
from job.run.context import Context
from job.workloads.cronjob import CronJob, cron_job_from
from job.workloads.discovery import LISTS_AT_ONCE, cron_jobs_in
from job.workloads.image_triggers import KINDS, Workload

Json = Mapping[str, Any]
BUILD_CONFIGS = Resource("build.openshift.io/v1", "BuildConfig", "buildconfigs")
# A history that nobody prunes may be long, and few go further back.
MOST_STEPS = 5


@dataclass(frozen=True, slots=True)
class ChosenStream:
    """A stream with tags that were asked for."""

    data: Json = field(repr=False)
    stream: Stream
    choices: tuple[Choice, ...]

    def name(self, tag: Tag) -> TagName:
        """The tag's name."""
        return TagName(self.stream.namespace, self.stream.name, tag.name)

    def those(self, *skips: Skip | None) -> list[Tag]:
        """The tags that were chosen to be imported (None), or to be left alone for one of the reasons."""
        return [choice.tag for choice in self.choices if choice.skip in skips]


def read_streams(where: Context, namespaces: Sequence[str]) -> tuple[dict[str, list[Json]], dict[str, ClusterError]]:
    """All streams of the namespaces, and why those of some are not known.

    Raises:
        ClusterError: the API could not be asked at all.
    """
    answers = where.ask_all({namespace: _list(where, IMAGE_STREAMS, namespace) for namespace in namespaces})
    streams = {name: answer for name, answer in answers.items() if not isinstance(answer, ClusterError)}
    errors = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if not streams:
        # A right that is missing is something to tell of; the rest leaves nothing to look at.
        for error in errors.values():
            if error.reason is not Reason.FORBIDDEN:
                raise error
    return streams, errors


def _list(where: Context, resource: Resource, namespace: str, selector: str | None = None) -> Callable[[], list[Json]]:
    return lambda: list(where.cluster.list(resource, namespace, selector))


def _get(where: Context, resource: Resource, namespace: str, name: str) -> Callable[[], Json]:
    return lambda: where.cluster.get(resource, namespace, name)


def choose_tags(where: Context, streams: Mapping[str, Sequence[Json]]) -> list[ChosenStream]:
    """The tags that were asked for."""
    settings = where.settings
    selected: dict[str, set[str]] = {}
    if settings.selector:
        lists = {namespace: _list(where, IMAGE_STREAMS, namespace, settings.selector) for namespace in streams}
        for namespace, answer in where.ask_all(lists).items():
            if isinstance(answer, ClusterError):
                raise answer
            selected[namespace] = {_name(data) for data in answer}
    found = []
    for namespace, mine in streams.items():
        for data in mine:
            stream = stream_from(data)
            choices = choose(stream, settings.wanted)
            if choices and (not settings.selector or stream.name in selected[namespace]):
                found.append(ChosenStream(data, stream, choices))
    return found


def _name(data: Json) -> str:
    return str(object_in(data, "metadata").get("name", ""))


def read_shapes(where: Context, namespaces: Sequence[str]) -> tuple[list[Shape], list[CronJob]]:
    """The workloads of the namespaces, with triggers or without, and our CronJobs there and in the login's own.

    What may not be listed is missing; the survey of triggers tells of it.
    """
    home = where.cluster.default_namespace
    homes = dict.fromkeys((*namespaces, *([home] if home else [])))

    def reading(kind: Resource, namespace: str) -> Callable[[], list[tuple[Shape, CronJob | None]]]:
        def read() -> list[tuple[Shape, CronJob | None]]:
            if kind == CRON_JOBS:
                return [(shape_of(kind, data), cron_job_from(data)) for data in cron_jobs_in(where.cluster, namespace)]
            return [(shape_of(kind, data), None) for data in where.cluster.list(kind, namespace)]

        return read

    wanted = {(kind, name) for kind in KINDS for name in namespaces} | {(CRON_JOBS, name) for name in homes}
    answers = where.ask_all({key: reading(*key) for key in sorted(wanted, key=str)}, LISTS_AT_ONCE)
    shapes, jobs = [], []
    for (_, namespace), answer in answers.items():
        if not isinstance(answer, ClusterError):
            shapes += [shape for shape, _ in answer if namespace in namespaces]
            jobs += [job for _, job in answer if job]
    return shapes, jobs


def read_more_shapes(where: Context, workloads: Collection[Workload]) -> list[Shape]:
    """The shapes of single workloads, as far as they may be read."""

    def reading(workload: Workload) -> Callable[[], Shape]:
        return lambda: shape_of(
            workload.resource, where.cluster.get(workload.resource, workload.namespace, workload.name)
        )

    answers = where.ask_all({str(number): reading(each) for number, each in enumerate(workloads)})
    return [answer for answer in answers.values() if not isinstance(answer, ClusterError)]


def know_tags(where: Context, streams: Mapping[str, Sequence[Json]], workloads: Collection[Workload]) -> KnownTags:
    """All tags of the streams, and those of other namespaces' streams that workloads follow."""
    followed = {(each.tag.namespace, each.tag.stream) for workload in workloads for each in workload.follows}
    others = sorted(key for key in followed if key[0] not in streams)
    answers = where.ask_all({key: _get(where, IMAGE_STREAMS, *key) for key in others})
    found = {key: answer for key, answer in answers.items() if not isinstance(answer, ClusterError)}
    gone = {key for key, answer in answers.items() if isinstance(answer, ClusterError) and answer.code == 404}
    images: dict[TagName, bool] = {}
    sources: dict[TagName, str] = {}
    local = set()
    for data in (*(data for mine in streams.values() for data in mine), *found.values()):
        stream = stream_from(data)
        for tag in stream.tags:
            name = TagName(stream.namespace, stream.name, tag.name)
            images[name] = tag.current is not None or tag.reference
            if tag.source and tag.source.kind == "DockerImage":
                sources[name] = tag.source.name
            if (tag.reference_policy or {}).get("type") == "Local" or tag.source is None:
                local.add(name)
    return KnownTags(images, sources, frozenset(streams), frozenset((*found, *gone)), frozenset(local))


def read_builds(where: Context, namespaces: Sequence[str]) -> tuple[set[TagName], str]:
    """The tags that builds start from, and what could not be looked at. A cluster need not have builds at all."""
    answers = where.ask_all({name: _list(where, BUILD_CONFIGS, name) for name in namespaces})
    found: set[TagName] = set()
    unseen = False
    for answer in answers.values():
        if isinstance(answer, ClusterError):
            unseen |= answer.code != 404
        else:
            found.update(*map(built_from, answer))
    return found, "BuildConfigs" if unseen else ""


@dataclass(frozen=True, slots=True)
class Answers:
    """What the registries said, of what runs import and of what they had before."""

    imports: tuple[Import, ...]
    horizons: tuple[Horizon, ...]


def ask_registries(where: Context, chosen: Sequence[ChosenStream]) -> Answers:
    """Ask through the server for every image that a run would import, and for those that a rollback could go to."""
    as_told: dict[TagName, tuple[str, Question, Question | None]] = {}
    earlier: dict[TagName, tuple[str | None, int, list[Question | None]]] = {}
    for each in chosen:
        for tag in each.those(None):
            if tag.source:
                mine, policy = each.name(tag), tag.import_policy or {}
                question = Question(mine.namespace, mine.stream, tag.source.name, policy, tag.name)
                whole = Question(mine.namespace, mine.stream, tag.source.name, {**policy, **WHOLE, "scheduled": False})
                as_told[mine] = tag.source.name, question, whole if takes_one(tag) else None
        for tag in each.those(None, Skip.HELD, Skip.PINNED):
            steps = items_of(each.data, tag.name)
            if steps:
                mine = each.name(tag)
                older = earlier_than_current(steps, hold_of(tag))[:MOST_STEPS]
                asked = [question_of_item(mine.namespace, mine.stream, step, tag.import_policy) for step in older]
                current = steps[0].pull_spec if "@" in steps[0].pull_spec else None
                earlier[mine] = current, len(older), asked
    questions = [question for _, one, whole in as_told.values() for question in (one, whole) if question]
    questions += [question for _, _, asked in earlier.values() for question in asked if question]
    answers = where.look_up(questions) if questions else {}
    imports = [
        Import(tag, source, _looked(answers[one]), _looked(answers[whole]) if whole else None)
        for tag, (source, one, whole) in as_told.items()
    ]
    horizons = [
        Horizon(tag, current, count, _there([answers[question] if question else None for question in asked]))
        for tag, (current, count, asked) in earlier.items()
    ]
    return Answers(tuple(imports), tuple(horizons))


def _looked(answer: Answer) -> Looked:
    return Looked(answer.image.digest if answer.image else None, answer.reason, answer.message, answer.by)


def _there(answers: Sequence[Answer | None]) -> int | None:
    known = [answer.is_there if answer else None for answer in answers]
    return None if None in known else sum(map(bool, known))


def why_whole(where: Context, chosen: Sequence[ChosenStream], cut: Collection[TagName]) -> dict[TagName, str]:
    """Why some of the tags that take one architecture's image were meant to take the whole of it.

    That a registry has an image for several architectures says nothing: most tags are meant to take one. It counts
    where the tag's own history has the whole of one, where its manifest asks for it, or a tag beside it does.
    """
    found: dict[TagName, str] = {}
    digests: defaultdict[TagName, list[str]] = defaultdict(list)
    for each in chosen:
        for tag in each.those(None):
            name = each.name(tag)
            if name not in cut:
                continue
            if why := meant_whole(each.data, each.stream, tag):
                found[name] = why
                continue
            digests[name] = list(dict.fromkeys(step.digest for step in items_of(each.data, name.tag)))[:MOST_STEPS]

    def reading(tag: TagName, digest: str) -> Callable[[], bool]:
        def read() -> bool:
            answer = where.cluster.get(IMAGE_STREAM_IMAGES, tag.namespace, f"{tag.stream}@{digest}")
            return facts_from(object_in(answer, "image")).manifest is not None

        return read

    wanted = {(tag, digest): reading(tag, digest) for tag, mine in digests.items() for digest in mine}
    for (name, digest), is_whole in where.ask_all(wanted).items():
        if is_whole is True:
            found.setdefault(name, f"its history has the whole of one ({digest})")
    return found
