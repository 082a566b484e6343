"""What `doctor` reads from the cluster and its registries. Nothing is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from job.cluster import CRON_JOBS, IMAGE_STREAM_IMAGES, IMAGE_STREAMS, Resource
from job.cluster.unstructured import object_in
from job.doctor.checks.image_triggers import built_from
from job.doctor.checks.tags import meant_whole, takes_one
from job.doctor.facts import ChosenStream, EarlierImages, Import, RegistryAnswer
from job.doctor.templates import KnownTags, Shape, shape_of
from job.domain.errors import ClusterError
from job.domain.history import earlier_than_current
from job.domain.holds import hold_of
from job.domain.model import Item, Reason, Skip, Tag, TagName
from job.domain.records import dataclass
from job.domain.selection import choose, skip_reason
from job.domain.sources import alias_path
from job.imagestreams.api_types import facts_from, items_of, stream_from
from job.imagestreams.lookup import WHOLE, Answer, Question, question_of_item
from job.run.context import Context
from job.workloads.cronjob import CronJob, cron_job_from
from job.workloads.discovery import LISTS_AT_ONCE, cron_jobs_in
from job.workloads.image_triggers import Workload
from job.workloads.kinds import KINDS

Json = Mapping[str, Any]
BUILD_CONFIGS = Resource("build.openshift.io/v1", "BuildConfig", "buildconfigs")
# An unpruned history may be long, and rollbacks rarely go further back.
MOST_STEPS = 5


def read_streams(where: Context, namespaces: Sequence[str]) -> tuple[dict[str, list[Json]], dict[str, ClusterError]]:
    """All streams of the namespaces, and the errors of those that cannot be listed.

    Raises:
        ClusterError: the API cannot be used at all.
    """
    answers = where.ask_all({namespace: _list(where, IMAGE_STREAMS, namespace) for namespace in namespaces})
    streams = {name: answer for name, answer in answers.items() if not isinstance(answer, ClusterError)}
    errors = {name: answer for name, answer in answers.items() if isinstance(answer, ClusterError)}
    if not streams:
        # A missing right is a finding; any other error leaves nothing to check.
        for error in errors.values():
            if error.reason is not Reason.FORBIDDEN:
                raise error
    return streams, errors


def _list(where: Context, resource: Resource, namespace: str, selector: str | None = None) -> Callable[[], list[Json]]:
    return lambda: list(where.cluster.list(resource, namespace, selector))


def _get(where: Context, resource: Resource, namespace: str, name: str) -> Callable[[], Json]:
    return lambda: where.cluster.get(resource, namespace, name)


def choose_tags(where: Context, streams: Mapping[str, Sequence[Json]]) -> list[ChosenStream]:
    """The streams with requested tags."""
    settings = where.settings
    selected: dict[str, set[str]] = {}
    if settings.selector:
        lists = {namespace: _list(where, IMAGE_STREAMS, namespace, settings.selector) for namespace in streams}
        for namespace, answer in where.ask_all(lists).items():
            if isinstance(answer, ClusterError):
                raise answer
            selected[namespace] = {_name(data) for data in answer}
    chosen = []
    for namespace, listed in streams.items():
        for data in listed:
            stream = stream_from(data)
            choices = choose(stream, settings.wanted)
            if choices and (not settings.selector or stream.name in selected[namespace]):
                chosen.append(ChosenStream(data, stream, choices))
    return chosen


def _name(data: Json) -> str:
    return str(object_in(data, "metadata").get("name", ""))


def read_shapes(where: Context, namespaces: Sequence[str]) -> tuple[list[Shape], list[CronJob]]:
    """The workloads of the namespaces, with triggers or without, and our CronJobs there and in the login's own.

    What may not be listed is missing; the survey of triggers reports it.
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
    """The templates of single workloads, as far as they may be read."""

    def reading(workload: Workload) -> Callable[[], Shape]:
        return lambda: shape_of(
            workload.resource, where.cluster.get(workload.resource, workload.namespace, workload.name)
        )

    answers = where.ask_all({str(number): reading(workload) for number, workload in enumerate(workloads)})
    return [answer for answer in answers.values() if not isinstance(answer, ClusterError)]


def know_tags(where: Context, streams: Mapping[str, Sequence[Json]], workloads: Collection[Workload]) -> KnownTags:
    """All tags of the streams, and those of other namespaces' streams that workloads follow."""
    followed = {(follow.tag.namespace, follow.tag.stream) for workload in workloads for follow in workload.follows}
    others = sorted(key for key in followed if key[0] not in streams)
    answers = where.ask_all({key: _get(where, IMAGE_STREAMS, *key) for key in others})
    known = {key: answer for key, answer in answers.items() if not isinstance(answer, ClusterError)}
    gone = {key for key, answer in answers.items() if isinstance(answer, ClusterError) and answer.code == 404}
    images: dict[TagName, bool] = {}
    sources: dict[TagName, str] = {}
    imported: dict[TagName, TagName] = {}
    local, insecure = set(), set()
    for data in (*(data for listed in streams.values() for data in listed), *known.values()):
        stream = stream_from(data)
        for tag in stream.tags:
            name = TagName(stream.namespace, stream.name, tag.name)
            images[name] = tag.current is not None or tag.reference
            if tag.source and tag.source.kind == "DockerImage":
                sources[name] = tag.source.name
            end = stream.tag(alias_path(stream, tag).end)
            if end and skip_reason(stream, end) is None:
                imported[name] = TagName(stream.namespace, stream.name, end.name)
            if (tag.import_policy or {}).get("insecure") is True:
                insecure.add(name)
            if (tag.reference_policy or {}).get("type") == "Local" or tag.source is None:
                local.add(name)
    return KnownTags(
        images,
        sources,
        imported,
        frozenset(streams),
        frozenset((*known, *gone)),
        frozenset(local),
        insecure=frozenset(insecure),
    )


def read_builds(where: Context, namespaces: Sequence[str]) -> tuple[set[TagName], bool]:
    """The tags that start builds, and whether some BuildConfigs cannot be read. A cluster need not have builds."""
    answers = where.ask_all({name: _list(where, BUILD_CONFIGS, name) for name in namespaces})
    images: set[TagName] = set()
    unseen = False
    for answer in answers.values():
        if isinstance(answer, ClusterError):
            unseen |= answer.code != 404
        else:
            images.update(*map(built_from, answer))
    return images, unseen


def ask_registries(
    where: Context, chosen: Sequence[ChosenStream]
) -> tuple[tuple[Import, ...], tuple[EarlierImages, ...]]:
    """Look up, through the server, each image that a run would import, the current images and the earlier ones."""
    as_written: dict[TagName, tuple[str, Question, Question | None]] = {}
    held: dict[TagName, tuple[_Items, bool]] = {}
    for stream in chosen:
        for tag in stream.those(None):
            if tag.source:
                name, policy = stream.name(tag), tag.import_policy or {}
                question = Question(name.namespace, name.stream, tag.source.name, policy, tag.name)
                whole = Question(name.namespace, name.stream, tag.source.name, {**policy, **WHOLE, "scheduled": False})
                as_written[name] = tag.source.name, question, whole if takes_one(tag) else None
        for tag in stream.those(None, Skip.HELD, Skip.PINNED):
            if items := _items_of(stream, tag):
                held[stream.name(tag)] = items, tag in stream.those(None)
    questions = [question for _, one, whole in as_written.values() for question in (one, whole) if question]
    for items, is_imported in held.values():
        questions += [question for question in items.questions(with_current=not is_imported) if question]
    answers = where.look_up(questions) if questions else {}
    imports = [
        Import(tag, source, _looked(answers[one]), _looked(answers[whole]) if whole else None)
        for tag, (source, one, whole) in as_written.items()
    ]
    earlier_images = [items.horizon(tag, answers, is_imported=imported) for tag, (items, imported) in held.items()]
    return tuple(imports), tuple(earlier_images)


@dataclass(frozen=True, slots=True)
class _Items:
    """The images of a tag's history: the current one, and the newest of the earlier ones. No question: no pull spec."""

    current: Item
    current_question: Question | None
    earlier: tuple[Item, ...]
    earlier_questions: tuple[Question | None, ...]

    def questions(self, *, with_current: bool) -> tuple[Question | None, ...]:
        return (*([self.current_question] if with_current else []), *self.earlier_questions)

    def horizon(self, tag: TagName, answers: Mapping[Question, Answer], *, is_imported: bool) -> EarlierImages:
        known = [answers[question].is_there if question else None for question in self.earlier_questions]
        newest = next((item.digest for item, there in zip(self.earlier, known, strict=True) if there), None)
        question = self.current_question if not is_imported else None
        return EarlierImages(
            tag=tag,
            current=self.current.pull_spec if "@" in self.current.pull_spec else None,
            earlier=len(self.earlier),
            there=None if None in known else sum(map(bool, known)),
            is_imported=is_imported,
            is_current_there=answers[question].is_there if question else None,
            newest=newest,
        )


def _items_of(chosen: ChosenStream, tag: Tag) -> _Items | None:
    name, items = chosen.name(tag), items_of(chosen.data, tag.name)
    if not items:
        return None

    def question(item: Item) -> Question | None:
        return question_of_item(name.namespace, name.stream, item, tag.import_policy)

    earlier = tuple(earlier_than_current(items, hold_of(tag))[:MOST_STEPS])
    return _Items(items[0], question(items[0]), earlier, tuple(map(question, earlier)))


def _looked(answer: Answer) -> RegistryAnswer:
    image = answer.image
    digest, platforms = (image.digest, image.platforms) if image else (None, ())
    return RegistryAnswer(digest, answer.reason, answer.message, answer.by, platforms)


def why_whole(where: Context, chosen: Sequence[ChosenStream], cut: Collection[TagName]) -> dict[TagName, str]:
    """The tags that take one architecture although something says that they should take all, and what says so.

    A multi-architecture image in the registry is no evidence, since most tags take one platform of it on purpose. One
    in the history of the tag is, and so are its manifest and other tags of the same repository.
    """
    reasons: dict[TagName, str] = {}
    digests: defaultdict[TagName, list[str]] = defaultdict(list)
    for stream in chosen:
        for tag in stream.those(None):
            name = stream.name(tag)
            if name not in cut:
                continue
            if why := meant_whole(stream.data, stream.stream, tag):
                reasons[name] = why
                continue
            digests[name] = list(dict.fromkeys(step.digest for step in items_of(stream.data, name.tag)))[:MOST_STEPS]

    def reading(tag: TagName, digest: str) -> Callable[[], bool]:
        def read() -> bool:
            answer = where.cluster.get(IMAGE_STREAM_IMAGES, tag.namespace, f"{tag.stream}@{digest}")
            return facts_from(object_in(answer, "image")).manifest is not None

        return read

    wanted = {(tag, digest): reading(tag, digest) for tag, of_tag in digests.items() for digest in of_tag}
    for (name, digest), is_whole in where.ask_all(wanted).items():
        if is_whole is True:
            reasons.setdefault(name, f"its history has a whole one ({digest})")
    return reasons
