"""Moving a tag back to an earlier image and holding it there, and letting it go again.

Each is one write of the ImageStreamTag at the version that was read, so that nothing which somebody else did meanwhile
is overwritten. An image that is in the stream's history comes back at once and without the registry; another one is
imported from where the tag takes its images from.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from job.cluster import IMAGE_STREAM_IMPORTS, IMAGE_STREAM_TAGS, IMAGE_STREAMS, SELF_SUBJECT_REVIEWS, Cluster
from job.domain.errors import ClusterError, ImportImagesError
from job.domain.history import came_first
from job.domain.holds import (
    ANNOTATION,
    Terms,
    freed_reference,
    held_reference,
    hold_of,
    is_over,
    original_of,
    without_annotation,
)
from job.domain.model import Item, Reason, Source, Stream, Tag, TagName
from job.domain.retries import Attempts
from job.domain.text import clean
from job.imagestreams.api_types import (
    answer_from,
    as_written,
    import_of,
    items_of,
    put_of,
    reference_of,
    spelt_repository,
    stream_from,
)
from job.runtime.retry import Retrier

log = logging.getLogger(__name__)

Json = Mapping[str, Any]
# What it takes to change a tag, for whoever was refused.
RIGHT = "grant update on imagestreamtags, or add the rollback component"


class MovedError(ImportImagesError):
    """Somebody else changed the tag meanwhile; nothing was written."""


class NoHoldError(ImportImagesError):
    """There is no hold to let go of; nothing was touched."""

    exit_status = 2


class NotThereError(ImportImagesError):
    """The tag cannot be moved; nothing was touched, or all was put back."""


class UncertainError(ImportImagesError):
    """A write to the tag was sent, and no read afterwards could tell what came of it.

    Attributes:
        reason: why nothing more could be read.
    """

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


def current_user(cluster: Cluster) -> str | None:
    """The user name that the API knows this program by; None where it does not tell."""
    body = {
        "apiVersion": SELF_SUBJECT_REVIEWS.api_version,
        "kind": SELF_SUBJECT_REVIEWS.kind,
        "metadata": {"name": "me"},
    }
    try:
        answer = cluster.create(SELF_SUBJECT_REVIEWS, "", body)
    except ClusterError as error:
        log.debug("who this is, the API does not tell: %s", error)
        return None
    status = answer.get("status")
    user = status.get("userInfo") if isinstance(status, dict) else None
    name = user.get("username") if isinstance(user, dict) else None
    return clean(str(name), 200) if name else None


def read_stream(cluster: Cluster, name: TagName, retrier: Retrier) -> Json:
    """The JSON of the tag's stream."""
    return retrier.call(lambda: cluster.get(IMAGE_STREAMS, name.namespace, name.stream))


def roll_back(
    cluster: Cluster,
    name: TagName,
    target: Item | str,
    terms: Terms,
    *,
    bad: str,
    retrier: Retrier,
    timeout: float,
) -> Tag:
    """Move a tag to an image and hold it there.

    Args:
        cluster: where.
        name: of the tag.
        target: an item of the tag's history, or the digest of an image that only the registry has.
        terms: who, when, why, until when.
        bad: the image that the tag must still have; a tag that has moved on is left alone.
        retrier: sends a request again where that may help.
        timeout: seconds of one import request, where one is needed.

    Returns:
        The tag as it is then, and held.

    Raises:
        MovedError: the tag has another image than `bad`.
        NotThereError: the registry does not have the image.
        UncertainError: whether the tag was changed, or an image of the registry came in, is not known.
        ClusterError: the API refused, and nothing was done.
    """
    before: Json = {}
    ours: str | None = None
    moved = MovedError(f"{name} was changed by somebody else while it was moved back: look again")

    def change(data: Json, stream: Stream, tag: Tag) -> Json:
        nonlocal before, ours
        if tag.current is None or tag.current.digest != bad:
            now = tag.current.digest if tag.current else "no image"
            raise MovedError(f"{name} was moved meanwhile, to {now}: nothing was done; look again and decide again")
        held = _held(data, stream, tag, target, terms, bad)
        before, ours = reference_of(data, name.tag) or {}, held["annotations"][ANNOTATION]
        return held

    def is_ours(stream: Stream, tag: Tag) -> bool:
        return tag.annotations.get(ANNOTATION) == ours

    def undo(data: Json, stream: Stream, tag: Tag) -> Json:
        if not is_ours(stream, tag):
            raise moved
        return before

    stream = _rewrite(cluster, name, change, is_ours, retrier)
    if isinstance(target, str):
        try:
            stream = _import(cluster, name, stream, target, retrier, timeout)
        except ClusterError as error:
            look = f"look: import-images history {name} -n {name.namespace}"
            told = f"{name} follows {target} and is held, but whether that came in is not known: {error}; {look}"
            raise UncertainError(told, error.reason) from error
    tag = stream.tag(name.tag)
    if tag is None or not is_ours(stream, tag):
        raise moved
    if hold_of(tag) is not None:
        return tag
    if isinstance(target, Item):
        raise moved
    _rewrite(cluster, name, undo, lambda stream, tag: not is_ours(stream, tag), _to_the_end(retrier))
    raise NotThereError(f"{name} was put as it was before: {target} did not come in from the registry")


def _held(data: Json, stream: Stream, tag: Tag, target: Item | str, terms: Terms, bad: str) -> Json:
    reference = reference_of(data, tag.name)
    if reference is None or tag.source is None:
        raise NotThereError(f"{stream.name}:{tag.name} has no source to come back to later: its images are pushed")
    hold = hold_of(tag)
    if isinstance(target, Item):
        source = Source("ImageStreamImage", f"{stream.name}@{target.digest}")
        if tag.source == source:
            # The server looks only at what changed, here the spelling.
            source = Source("ImageStreamImage", target.digest)
        digest, came = target.digest, came_first(items_of(data, tag.name), target.digest)
        if hold and hold.image == digest and hold.came:
            came = hold.came
    else:
        found = source_in_registry(reference, tag, target)
        if found is None:
            raise NotThereError(
                f"{stream.name}:{tag.name} does not come from a registry, and its history has no {target}"
            )
        source, digest, came = found, target, None
    # What the registry's tag has is still the image that the first of several rollbacks came from.
    first = (hold.bad if hold else None) or bad
    return held_reference(reference, source, digest, terms, held=hold is not None, bad=first, came=came)


def source_in_registry(reference: Json, tag: Tag, digest: str) -> Source | None:
    """Where an image that the history does not have would come from; None where the tag follows no registry."""
    kept = original_of(reference) if hold_of(tag) else None
    origin = (kept or reference).get("from") or {}
    if origin.get("kind") != "DockerImage":
        return None
    return Source("DockerImage", f"{spelt_repository(str(origin.get('name')))}@{digest}")


def release_hold(cluster: Cluster, name: TagName, retrier: Retrier) -> Stream:
    """Put back what a held tag was before its hold, all but `generation`, which only the server sets.

    The server then begins an import of its own, so that a conflict soon after is normal.

    Returns:
        The stream as it is then, but with the images that its tags had before: what comes in counts as new, also where
        the server was quicker than an import of ours.

    Raises:
        NoHoldError: there is no hold on the tag.
        UncertainError: whether the tag was changed is not known.
        ClusterError: the API refused.
    """
    before: list[Stream] = []

    def change(data: Json, stream: Stream, tag: Tag) -> Json:
        before[:] = [stream]
        if hold_of(tag) is None:
            over = "; the hold that was on it is over, since the tag was moved" if is_over(tag) else ""
            raise NoHoldError(f"{name} in {name.namespace} is not held{over}: nothing was done")
        reference = reference_of(data, name.tag)
        freed = freed_reference(reference) if reference else None
        if freed is None:
            advice = f"set its source again: oc tag --source=docker REPOSITORY:TAG {name} -n {name.namespace}"
            raise NoHoldError(f"the hold on {name} does not tell what was there before; {advice}")
        return freed

    after = _rewrite(cluster, name, change, lambda stream, tag: hold_of(tag) is None, retrier)
    had = {tag.name: tag.current for tag in before[0].tags}
    return replace(after, tags=tuple(replace(tag, current=had.get(tag.name, tag.current)) for tag in after.tags))


def remove_stale_hold(cluster: Cluster, name: TagName, retrier: Retrier) -> Stream:
    """Remove the annotation of a hold that is over, and nothing else."""

    def change(data: Json, stream: Stream, tag: Tag) -> Json:
        reference = reference_of(data, name.tag)
        if reference is None or not is_over(tag):
            raise NoHoldError(f"{name}: the annotation of its hold has gone already")
        return without_annotation(reference)

    return _rewrite(cluster, name, change, lambda stream, tag: not is_over(tag), retrier)


def _rewrite(
    cluster: Cluster,
    name: TagName,
    change: Callable[[Json, Stream, Tag], Json],
    is_done: Callable[[Stream, Tag], bool],
    retrier: Retrier,
) -> Stream:
    """Write a spec tag at the version that was read; after a lost answer a read tells whether it took effect.

    A write that was answered stays written where nobody can read the stream afterwards: it is then told as far as it
    is known.

    Raises:
        UncertainError: a write was not answered, and no read afterwards told whether it took effect.
        ClusterError: the API refused, and nothing was written.
    """
    doubtful = False
    attempts = Attempts()
    while True:
        data = _read(cluster, name, retrier, doubtful=doubtful)
        stream = stream_from(data)
        tag = stream.tag(name.tag)
        if tag is None:
            raise NotThereError(f"{name} is no longer in {name.namespace}")
        if doubtful and is_done(stream, tag):
            return stream
        try:
            reference = change(data, stream, tag)
            answer = cluster.replace(IMAGE_STREAM_TAGS, name.namespace, put_of(stream, reference))
        except ClusterError as error:
            lost = error.may_have_taken_effect
            if error.code == 403:
                raise ClusterError(Reason.FORBIDDEN, f"{error} ({RIGHT})", code=403) from error
            try:
                attempts = retrier.wait(error, attempts)
            except ClusterError:
                found = stream_from(_read(cluster, name, retrier, doubtful=True)) if lost else None
                left = found.tag(name.tag) if found else None
                if found and left and is_done(found, left):
                    return found
                raise
            doubtful |= lost
            continue
        try:
            return stream_from(read_stream(cluster, name, _to_the_end(retrier)))
        except ClusterError as error:
            log.warning("%s/%s was changed, but cannot be read any more: %s", name.namespace, name, error)
            return as_written(data, reference, answer)


def _read(cluster: Cluster, name: TagName, retrier: Retrier, *, doubtful: bool) -> Json:
    """The stream; where a write to it is in doubt, a read that fails leaves it so."""
    try:
        return read_stream(cluster, name, retrier)
    except ClusterError as error:
        if not doubtful:
            raise
        check = f"check it: import-images history {name} -n {name.namespace}"
        raise UncertainError(f"whether {name} was changed is not known: {error}; {check}", error.reason) from error


def _import(
    cluster: Cluster,
    name: TagName,
    stream: Stream,
    digest: str,
    retrier: Retrier,
    timeout: float,
) -> Stream:
    """Bring in the image that the tag's source names by digest; the server may do so by itself at the same time."""
    attempts = Attempts()
    while True:
        tag = stream.tag(name.tag)
        if tag is None or tag.source is None or digest not in tag.source.name:
            return stream
        if tag.current and tag.current.digest == digest:
            return stream
        try:
            data = cluster.create(
                IMAGE_STREAM_IMPORTS, name.namespace, import_of(stream, [tag], write=True), timeout=timeout
            )
            answer = answer_from(data, 1)
            if answer and answer.stream and answer.images[0].digest:
                return answer.stream
            if answer and not answer.images[0].digest:
                log.error("%s: %s", name, clean(answer.images[0].message))
                return stream_from(read_stream(cluster, name, retrier))
        except ClusterError as error:
            try:
                attempts = retrier.wait(error, attempts)
            except ClusterError:
                log.error("%s: %s", name, error)
                return stream_from(read_stream(cluster, name, retrier))
        stream = stream_from(read_stream(cluster, name, retrier))


def _to_the_end(retrier: Retrier) -> Retrier:
    """The same, whatever signal comes: what was begun is not left half done."""
    return replace(retrier, stopping=lambda: False)
