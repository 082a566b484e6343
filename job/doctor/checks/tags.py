"""Tags that a run cannot import, or that will not stay what they were meant to be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from job.cluster.unstructured import object_in, objects_in
from job.doctor.checks import Finding, Severity, not_checked
from job.domain.errors import ClusterError
from job.domain.holds import ANNOTATION, hold_of, is_over
from job.domain.model import By, Reason, Source, Stream, Tag, TagName
from job.domain.selection import SKIP_ANNOTATION, WAVE_ANNOTATION, wave_of
from job.domain.shell import command, oc, ours, resuming
from job.domain.times import iso
from job.imagestreams.api_types import login_secret, reference_of, repository_of

WHOLE, ONE = "PreserveOriginal", "Legacy"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# What the registry has said for sure; the rest may be over with the next try.
_LASTING = (Reason.NOT_FOUND, Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.INVALID)


@dataclass(frozen=True, slots=True)
class Looked:
    """What the registry answered for a tag: a digest, or why there is none, and who said so."""

    digest: str | None
    reason: Reason | None = None
    message: str | None = None
    by: By | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """A tag that a run imports, as asked for with `spec.import: false`.

    Attributes:
        policy: with the tag's own importPolicy.
        whole: the same image with PreserveOriginal; None where that was not asked.
    """

    tag: TagName
    source: str
    policy: Looked
    whole: Looked | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the registry has an image for several architectures, and the tag takes one of them.

        The two modes then give different digests: that of one manifest, and that of the index.
        """
        return bool(self.whole and self.whole.digest and self.policy.digest not in (None, self.whole.digest))


def of_import(found: Import) -> Finding | None:
    """Why a run cannot import the tag."""
    answer, tag = found.policy, found.tag
    if answer.digest is not None:
        return None
    told = f"{found.source} cannot be imported ({answer.reason}): {answer.message}"
    if answer.reason in (Reason.ABORTED, Reason.API_ERROR, Reason.CONFLICT):
        told = f"whether {found.source} can be imported is not known: {answer.message}"
        return not_checked(tag.namespace, str(tag), told, ours("plan", tag), severity=Severity.WARNING)
    severity = Severity.ERROR if answer.reason in _LASTING else Severity.WARNING
    return Finding(severity, "tag-cannot-be-imported", tag.namespace, str(tag), told, _import_mended(found))


def _import_mended(found: Import) -> tuple[str, ...]:
    tag, reason, by = found.tag, found.policy.reason, found.policy.by
    if reason is Reason.NOT_FOUND:
        # What it was to be only a person knows.
        repository = repository_of(Source("DockerImage", found.source))
        edit = oc(tag.namespace, "edit", f"imagestream/{tag.stream}")
        return (command("skopeo", "list-tags", f"docker://{repository}"), edit)
    if reason in (Reason.UNAUTHORIZED, Reason.FORBIDDEN) and by is By.REGISTRY:
        return (login_secret(tag, found.source),)
    if reason is Reason.FORBIDDEN:
        return ("oc edit image.config.openshift.io/cluster",)
    if reason is Reason.INVALID:
        return (oc(tag.namespace, "edit", f"imagestream/{tag.stream}"),)
    return (ours("plan", tag),)


def unlisted(errors: Mapping[str, ClusterError]) -> list[Finding]:
    """That the streams of namespaces are not known."""
    return [
        not_checked(
            namespace,
            "image streams",
            f"they cannot be listed, so nothing is known of them: {error}",
            oc(namespace, "get", "imagestreams"),
            severity=Severity.NOTE if error.reason is Reason.FORBIDDEN else Severity.WARNING,
        )
        for namespace, error in errors.items()
    ]


def of_mode(tag: TagName, why: str) -> Finding:
    """A tag that was reset to one architecture's image. Plain `oc import-image` does that to it in silence."""
    told = f"it takes one architecture of an image that the registry has for several, although {why}"
    mend = oc(tag.namespace, "import-image", str(tag), f"--import-mode={WHOLE}")
    return Finding(Severity.WARNING, "tag-reset-to-legacy", tag.namespace, str(tag), told, (mend,))


def meant_whole(data: Mapping[str, Any], stream: Stream, tag: Tag) -> str | None:
    """What beside the tag says that it was meant to take the whole of a multi-arch image; None where nothing does."""
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
    """What the stream itself shows of some of its tags.

    Args:
        data: the stream's JSON.
        stream: the stream.
        tags: those that were asked for.
        now: the time.
        cron_job: the CronJob that imports them at its times, if there is one.
    """
    findings: list[Finding] = []
    for tag in tags:
        name = TagName(stream.namespace, stream.name, tag.name)
        if cron_job and (tag.import_policy or {}).get("scheduled") is True:
            told = f"OpenShift imports it by itself every 15 minutes (scheduled), and not at the times of {cron_job}"
            mend = _patched(data, name, "replace", "importPolicy/scheduled", value=False)
            findings.append(Finding(Severity.WARNING, "tag-scheduled", name.namespace, str(name), told, mend))
        findings += _of_hold(data, name, tag, now)
        if wave_of(stream, tag) is None:
            findings.append(_of_wave(data, name, stream, tag))
    return findings


def _of_hold(data: Mapping[str, Any], name: TagName, tag: Tag, now: datetime) -> list[Finding]:
    hold = hold_of(tag)
    if is_over(tag):
        told = "the annotation of a hold is on it, and the hold is over: it was moved since, and runs import it"
        mend = _patched(data, name, "remove", f"annotations/{ANNOTATION.replace('/', '~1')}")
        return [Finding(Severity.WARNING, "hold-over", name.namespace, str(name), told, mend)]
    if hold and hold.until and hold.until <= now:
        told = f"it is held, and the hold was to end at {iso(hold.until)}: no run has let it go"
        mend = (resuming(name),)
        return [Finding(Severity.WARNING, "hold-past-its-end", name.namespace, str(name), told, mend)]
    return []


def _of_wave(data: Mapping[str, Any], name: TagName, stream: Stream, tag: Tag) -> Finding:
    where, text = str(name), tag.annotations.get(WAVE_ANNOTATION)
    if text is not None:
        mend = _patched(data, name, "replace", f"annotations/{WAVE_ANNOTATION.replace('/', '~1')}", value="1")
    else:
        where, text = f"ImageStream {name.stream}", stream.annotations[WAVE_ANNOTATION]
        words = ("annotate", "--overwrite", f"imagestream/{name.stream}", f"{WAVE_ANNOTATION}=1")
        mend = (oc(name.namespace, *words),)
    told = f"its annotation {WAVE_ANNOTATION} is {json.dumps(text)}, which is no whole number, so it comes last"
    return Finding(Severity.WARNING, "wave-no-number", name.namespace, where, told, mend)


def opt_out(data: Mapping[str, Any], name: TagName) -> tuple[str, ...]:
    """The command that makes runs leave the tag alone, and not the others of its stream."""
    before = object_in(reference_of(data, name.tag) or {}, "annotations")
    return _patched(data, name, "add", "annotations", value={**before, SKIP_ANNOTATION: "true"})


def _patched(data: Mapping[str, Any], name: TagName, what: str, path: str, **value: object) -> tuple[str, ...]:
    """A patch of one spec tag; refused by the API where the tags were put in another order meanwhile."""
    entries = objects_in(object_in(data, "spec"), "tags")
    index = next((number for number, entry in enumerate(entries) if entry.get("name") == name.tag), 0)
    root = f"/spec/tags/{index}"
    steps = [{"op": "test", "path": f"{root}/name", "value": name.tag}, {"op": what, "path": f"{root}/{path}", **value}]
    patch = json.dumps(steps, separators=(",", ":"))
    return (oc(name.namespace, "patch", f"imagestream/{name.stream}", "--type=json", "-p", patch),)
