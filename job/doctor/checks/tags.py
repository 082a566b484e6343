"""Tags that a run cannot import, that nothing moves, or that will not stay what they were meant to be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from job.cluster.unstructured import object_in, objects_in
from job.doctor.checks import Finding, not_checked
from job.doctor.checks.rbac import granted
from job.doctor.facts import ChosenStream, Facts, Import
from job.doctor.rights import Component
from job.doctor.templates import Available
from job.domain.errors import ClusterError
from job.domain.gates import ANNOTATIONS as GATE_ANNOTATIONS
from job.domain.gates import Policy, PolicyError, policy_of
from job.domain.holds import ANNOTATION, hold_of, is_over
from job.domain.model import ANNOTATION_PREFIX, By, Reason, Source, Stream, Tag, TagName
from job.domain.selection import SKIP_ANNOTATION, WAVE_ANNOTATION, Choice, is_opted_out, wave_of
from job.domain.shell import command, oc, ours, resuming
from job.domain.sources import copied_from, explain_skip
from job.domain.states import Severity
from job.domain.suggestions import did_you_mean
from job.domain.text import clean
from job.domain.times import iso
from job.imagestreams.api_types import login_secret, reference_of, repository_of

WHOLE = "PreserveOriginal"
KNOWN_ANNOTATIONS = frozenset({ANNOTATION, SKIP_ANNOTATION, WAVE_ANNOTATION, *GATE_ANNOTATIONS})
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def check(facts: Facts) -> list[Finding]:
    """Judge the requested tags: what can be read, the spec of each, and what its registry answers."""
    problems = unlisted(facts.unlisted)
    for stream in facts.chosen:
        namespace = stream.stream.namespace
        job = next((str(job) for job in facts.cron_jobs if job.imports(namespace, facts.deployment)), None)
        tags = [choice.tag for choice in stream.choices]
        problems += of_spec(stream.data, stream.stream, tags, facts.now, job)
        problems += [problem for choice in stream.choices if (problem := of_skip(stream, choice, facts))]
    for namespace in facts.namespaces:
        if namespace not in facts.may_import:
            message = "the registries were not asked: that needs create on imagestreamimports"
            problems.append(not_checked(namespace, "images", message, fix=granted(facts.me, namespace, Component.BASE)))
    problems += [finding for answer in facts.imports if (finding := of_import(answer))]
    problems += [of_mode(tag, why) for tag, why in facts.whole.items()]
    return problems


def of_skip(chosen: ChosenStream, choice: Choice, facts: Facts) -> Finding | None:
    """A tag that nothing moves, although its spec or its history suggests otherwise."""
    stream, tag = chosen.stream, choice.tag
    message = explain_skip(stream, tag, choice.skip) if choice.skip else None
    if message is None:
        return None
    name = chosen.name(tag)
    fix: tuple[str, ...] = ()
    origin = copied_from(stream, tag)
    if origin and origin in facts.known.sources:
        fix = _follow_registry(chosen, name, facts.known.sources[origin], insecure=origin in facts.known.insecure)
    elif name in facts.restorable:
        fix = _restored(name, facts.restorable[name])
    return Finding(Severity.WARNING, "tag-not-moved", name.namespace, str(name), message, fix)


def _follow_registry(chosen: ChosenStream, name: TagName, source: str, *, insecure: bool) -> tuple[str, ...]:
    """The command that lets a copy follow the registry itself, as its origin does."""
    (fix,) = _patched(chosen.data, name, "replace", "from", value={"kind": "DockerImage", "name": source})
    if not insecure:
        return (fix,)
    return (fix, *_patched(chosen.data, name, "add", "importPolicy/insecure", value=True))


def _restored(name: TagName, image: Available) -> tuple[str, ...]:
    """The command that puts a tag into the spec again."""
    policy = {"importPolicy": {"insecure": True}} if image.insecure else {}
    tag = {"name": name.tag, "from": {"kind": "DockerImage", "name": image.source}, **policy}
    patch = json.dumps([{"op": "add", "path": "/spec/tags/-", "value": tag}], separators=(",", ":"))
    return (oc(name.namespace, "patch", f"imagestream/{name.stream}", "--type=json", "-p", patch),)


def of_import(import_: Import) -> Finding | None:
    """Why a run cannot import the tag."""
    answer, tag = import_.policy, import_.tag
    if answer.digest is not None:
        return None
    namespace, where = tag.namespace, str(tag)
    if answer.reason in (Reason.ABORTED, Reason.API_ERROR, Reason.CONFLICT):
        message = f"whether {import_.source} can be imported is not known: {answer.message}"
        return not_checked(namespace, where, message, ours("plan", tag), severity=Severity.WARNING)
    message = f"{import_.source} cannot be imported ({answer.reason}): {answer.message}"
    severity = Severity.ERROR if answer.reason and answer.reason.is_lasting else Severity.WARNING
    fix, inspect = _import_fix(import_)
    cause = f"{answer.reason} by {answer.by}, registry {_registry(import_.source)}"
    return Finding(severity, "tag-cannot-be-imported", namespace, where, message, fix, inspect, cause)


def _registry(source: str) -> str:
    return repository_of(Source("DockerImage", source)).partition("/")[0]


def _import_fix(answer: Import) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The commands that fix it, and those that show more: which image a tag should have only its owner knows."""
    tag, reason, by = answer.tag, answer.policy.reason, answer.policy.by
    if reason is Reason.NOT_FOUND:
        repository = repository_of(Source("DockerImage", answer.source))
        return (), (command("skopeo", "list-tags", f"docker://{repository}"), ours("history", tag, "--check"))
    if reason in (Reason.UNAUTHORIZED, Reason.FORBIDDEN) and by is By.REGISTRY:
        return (login_secret(tag, answer.source),), ()
    if reason is Reason.FORBIDDEN:
        return (), (command("oc", "get", "image.config.openshift.io/cluster", "-o", "yaml"),)
    if reason is Reason.INVALID:
        return (), (oc(tag.namespace, "describe", f"imagestream/{tag.stream}"),)
    return (), (ours("plan", tag),)


def unlisted(errors: Mapping[str, ClusterError]) -> list[Finding]:
    """The namespaces whose image streams cannot be listed."""
    return [
        not_checked(
            namespace,
            "image streams",
            f"they cannot be listed: {error}",
            oc(namespace, "get", "imagestreams"),
            severity=Severity.NOTE if error.reason is Reason.FORBIDDEN else Severity.WARNING,
        )
        for namespace, error in errors.items()
    ]


def of_mode(tag: TagName, why: str) -> Finding:
    """A tag that was reset to one architecture's image, as plain `oc import-image` does silently."""
    message = f"it takes one architecture of an image that the registry has for several, although {why}"
    fix = oc(tag.namespace, "import-image", str(tag), f"--import-mode={WHOLE}")
    return Finding(Severity.WARNING, "tag-reset-to-legacy", tag.namespace, str(tag), message, (fix,))


def meant_whole(data: Mapping[str, Any], stream: Stream, tag: Tag) -> str | None:
    """What says that the tag should take all of a multi-architecture image; None where nothing does."""
    text = object_in(data, "metadata", "annotations").get(LAST_APPLIED)
    try:
        applied = json.loads(text) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        applied = {}
    wanted = reference_of(applied, tag.name) if isinstance(applied, dict) else None
    if object_in(wanted or {}, "importPolicy").get("importMode") == WHOLE:
        return f"its manifest says importMode {WHOLE}"
    for other in stream.tags:
        if (other.import_policy or {}).get("importMode") == WHOLE and _repository(other) == _repository(tag):
            return f"{stream.name}:{other.name}, of the same repository, has importMode {WHOLE}"
    return None


def _repository(tag: Tag) -> str | None:
    return repository_of(tag.source) if tag.source and tag.source.kind == "DockerImage" else None


def takes_one(tag: Tag) -> bool:
    """Whether the tag takes one architecture's image of an index."""
    return (tag.import_policy or {}).get("importMode") != WHOLE


def of_spec(
    data: Mapping[str, Any], stream: Stream, tags: Sequence[Tag], now: datetime, cron_job: str | None
) -> list[Finding]:
    """What is wrong with the spec of some tags of a stream.

    Args:
        data: the stream's JSON.
        stream: the stream.
        tags: those to judge.
        now: the time.
        cron_job: the CronJob that imports them, if there is one.
    """
    findings: list[Finding] = []
    for tag in tags:
        name = TagName(stream.namespace, stream.name, tag.name)
        if cron_job and (tag.import_policy or {}).get("scheduled") is True:
            message = f"OpenShift imports it every 15 minutes (scheduled: true), besides the schedule of {cron_job}"
            fix = _patched(data, name, "replace", "importPolicy/scheduled", value=False)
            findings.append(Finding(Severity.WARNING, "tag-scheduled", name.namespace, str(name), message, fix))
        findings += _of_hold(data, name, tag, now)
        if is_opted_out(stream, tag) is None:
            message = "neither true nor false, so the tag is imported"
            findings.append(_unread(data, name, stream, tag, "skip-no-boolean", SKIP_ANNOTATION, message, "true"))
        if wave_of(stream, tag) is None:
            message = "not a whole number, so the tag is imported last"
            findings.append(_unread(data, name, stream, tag, "wave-no-number", WAVE_ANNOTATION, message, "1"))
        findings += _of_gates(name, stream, tag)
        findings += _of_annotations(name, stream, tag)
    return findings


def unknown_annotations(stream: Stream, tag: Tag) -> tuple[str, ...]:
    """The annotations of a tag and its stream that look like ours, and which nothing reads."""
    names = {name for name in (*stream.annotations, *tag.annotations) if name.startswith(ANNOTATION_PREFIX)}
    return tuple(sorted(names - KNOWN_ANNOTATIONS))


def _of_annotations(name: TagName, stream: Stream, tag: Tag) -> Iterator[Finding]:
    for unknown in unknown_annotations(stream, tag):
        message = f"annotation {clean(unknown, 100)} does nothing{did_you_mean(unknown, KNOWN_ANNOTATIONS)}"
        where = f"ImageStream {name.stream}" if unknown in stream.annotations else str(name)
        # Only its author knows which one was meant.
        yield Finding(Severity.WARNING, "annotation-unknown", name.namespace, where, message)


def _of_gates(name: TagName, stream: Stream, tag: Tag) -> list[Finding]:
    try:
        policy_of(Policy(), stream, tag)
    except PolicyError as error:
        message = f"runs do not import it, since its gates cannot be read: {clean(str(error))}"
        return [Finding(Severity.ERROR, "gate-cannot-be-read", name.namespace, str(name), message)]
    return []


def _of_hold(data: Mapping[str, Any], name: TagName, tag: Tag, now: datetime) -> list[Finding]:
    hold = hold_of(tag)
    if is_over(tag):
        message = "it has the annotation of a hold that is over: the tag was moved since, and runs import it"
        fix = _patched(data, name, "remove", f"annotations/{ANNOTATION.replace('/', '~1')}")
        return [Finding(Severity.WARNING, "hold-over", name.namespace, str(name), message, fix)]
    if hold and hold.until and hold.until <= now:
        message = f"its hold ended at {iso(hold.until)}, and no run has released it"
        fix = (resuming(name),)
        return [Finding(Severity.WARNING, "hold-past-its-end", name.namespace, str(name), message, fix)]
    return []


def _unread(
    data: Mapping[str, Any],
    name: TagName,
    stream: Stream,
    tag: Tag,
    check: str,
    annotation: str,
    problem: str,
    example: str,
) -> Finding:
    """An annotation of a tag, else of its stream, whose value cannot be read."""
    where, text = str(name), tag.annotations.get(annotation)
    if text is not None:
        fix = _patched(data, name, "replace", f"annotations/{annotation.replace('/', '~1')}", value=example)
    else:
        where, text = f"ImageStream {name.stream}", stream.annotations[annotation]
        words = ("annotate", "--overwrite", f"imagestream/{name.stream}", f"{annotation}={example}")
        fix = (oc(name.namespace, *words),)
    message = f"its annotation {annotation} is {json.dumps(text)}, {problem}"
    return Finding(Severity.WARNING, check, name.namespace, where, message, fix)


def opt_out(data: Mapping[str, Any], name: TagName) -> tuple[str, ...]:
    """The command that makes runs skip the tag, but not the others of its stream."""
    before = object_in(reference_of(data, name.tag) or {}, "annotations")
    return _patched(data, name, "add", "annotations", value={**before, SKIP_ANNOTATION: "true"})


def _patched(data: Mapping[str, Any], name: TagName, what: str, path: str, **value: object) -> tuple[str, ...]:
    """A patch of one spec tag; the API refuses it if the tags' order has changed meanwhile."""
    entries = objects_in(object_in(data, "spec"), "tags")
    index = next((number for number, entry in enumerate(entries) if entry.get("name") == name.tag), 0)
    root = f"/spec/tags/{index}"
    steps = [{"op": "test", "path": f"{root}/name", "value": name.tag}, {"op": what, "path": f"{root}/{path}", **value}]
    patch = json.dumps(steps, separators=(",", ":"))
    return (oc(name.namespace, "patch", f"imagestream/{name.stream}", "--type=json", "-p", patch),)
