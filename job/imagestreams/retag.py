"""Rolling a tag back to an earlier image and holding it there, and releasing it again.

Each is one write of the ImageStreamTag at the version that was read, so that another client's change is never
overwritten. An image that is in the stream's history is restored at once and without the registry; another one is
imported from the tag's own source.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from job.cluster import IMAGE_STREAM_IMPORTS, Cluster
from job.domain.errors import ClusterError
from job.domain.history import first_imported_at
from job.domain.holds import (
    ANNOTATION,
    Terms,
    held_reference,
    hold_of,
    is_over,
    original_of,
    released_reference,
    without_annotation,
)
from job.domain.model import Item, Source, Stream, Tag, TagName
from job.domain.records import replace
from job.domain.retries import Attempts
from job.domain.shell import oc, ours
from job.domain.text import clean
from job.imagestreams.api_types import items_of, reference_of, spelt_repository, stream_from
from job.imagestreams.import_requests import answer_from, import_of
from job.imagestreams.rewrite import (
    Json,
    MovedError,
    NoHoldError,
    NotThereError,
    UncertainError,
    read_stream,
    rewrite,
    to_the_end,
)
from job.runtime.retry import Retrier

log = logging.getLogger(__name__)


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
        UncertainError: whether the tag was changed, or an image of the registry was imported, is not known.
        ClusterError: the API refused, and nothing was done.
    """
    before: Json = {}
    written: str | None = None

    def change(data: Json, stream: Stream, tag: Tag) -> Json:
        nonlocal before, written
        if tag.current is None or tag.current.digest != bad:
            raise _moved(name, f"another client moved it to {tag.current.digest if tag.current else 'no image'} first")
        held = _held(data, stream, tag, target, terms, bad)
        before, written = reference_of(data, name.tag) or {}, held["annotations"][ANNOTATION]
        return held

    def is_ours(stream: Stream, tag: Tag) -> bool:
        return tag.annotations.get(ANNOTATION) == written

    stream = rewrite(cluster, name, change, is_ours, retrier)
    if isinstance(target, str):
        try:
            stream = _import(cluster, name, stream, target, retrier, timeout)
        except ClusterError as error:
            check = f"check it: {ours('history', name)}"
            doubt = f"{name} is held and follows {target}, but whether that was imported is not known"
            raise UncertainError(f"{doubt}: {error}; {check}", error.reason) from error
    tag = stream.tag(name.tag)
    if tag is not None and is_ours(stream, tag) and hold_of(tag) is not None:
        return tag
    if tag is None or not is_ours(stream, tag) or isinstance(target, Item):
        raise _changed(name)
    _restore(cluster, name, before, is_ours, target, retrier)
    raise NotThereError(f"{name} was restored to what it was before: the registry did not give {target}")


def _moved(name: TagName, why: str) -> MovedError:
    return MovedError(f"{name}: nothing was done, since {why}; check it: {ours('history', name)}")


def _changed(name: TagName) -> MovedError:
    check = ours("history", name)
    return MovedError(f"{name} was changed by another client while it was rolled back; check it: {check}")


def _restore(
    cluster: Cluster,
    name: TagName,
    before: Json,
    is_ours: Callable[[Stream, Tag], bool],
    target: str,
    retrier: Retrier,
) -> None:
    """Undo a rollback to an image that the registry did not give, whatever signal comes.

    Raises:
        MovedError: another client changed the tag at the same time.
        UncertainError: it could not be undone, or that is not known.
    """

    def undo(data: Json, stream: Stream, tag: Tag) -> Json:
        if not is_ours(stream, tag):
            raise _changed(name)
        return before

    try:
        rewrite(cluster, name, undo, lambda stream, tag: not is_ours(stream, tag), to_the_end(retrier))
    except (ClusterError, UncertainError) as error:
        raise UncertainError(
            f"{name} in {name.namespace} points to {target}, which the registry did not give, and restoring it failed: "
            f"{error}; repair it: {_repair(name, before)}",
            error.reason,
        ) from error


def _repair(name: TagName, reference: Json) -> str:
    """The command that makes a tag follow a registry again as a spec tag says; it also ends the hold."""
    policy = reference.get("importPolicy") or {}
    options = [
        *(["--scheduled"] if policy.get("scheduled") is True else []),
        *(["--insecure"] if policy.get("insecure") is True else []),
        *([f"--import-mode={policy['importMode']}"] if policy.get("importMode") not in (None, "", "Legacy") else []),
        *(["--reference-policy=local"] if (reference.get("referencePolicy") or {}).get("type") == "Local" else []),
    ]
    source = str((reference.get("from") or {}).get("name"))
    return oc(name.namespace, "tag", "--source=docker", *options, source, str(name))


def _held(data: Json, stream: Stream, tag: Tag, target: Item | str, terms: Terms, bad: str) -> Json:
    reference = reference_of(data, tag.name)
    if reference is None or tag.source is None:
        raise NotThereError(f"{stream.name}:{tag.name} has no source to return to later: its images are pushed")
    hold = hold_of(tag)
    if isinstance(target, Item):
        source = Source("ImageStreamImage", f"{stream.name}@{target.digest}")
        if tag.source == source:
            # The server looks only at what changed, here the spelling.
            source = Source("ImageStreamImage", target.digest)
        digest, first_imported = target.digest, first_imported_at(items_of(data, tag.name), target.digest)
        if hold and hold.image == digest and hold.first_imported:
            first_imported = hold.first_imported
    else:
        pullable = source_in_registry(reference, tag, target)
        if pullable is None:
            raise NotThereError(
                f"{stream.name}:{tag.name} does not come from a registry, and its history has no {target}"
            )
        source, digest, first_imported = pullable, target, None
    # What the registry's tag has is still the image that the first of several rollbacks came from.
    first = (hold.bad if hold else None) or bad
    return held_reference(
        reference, source, digest, terms, held=hold is not None, bad=first, first_imported=first_imported
    )


def source_in_registry(reference: Json, tag: Tag, digest: str) -> Source | None:
    """Where an image that the history does not have would come from; None where the tag follows no registry."""
    kept = original_of(reference) if hold_of(tag) else None
    origin = (kept or reference).get("from") or {}
    if origin.get("kind") != "DockerImage":
        return None
    return Source("DockerImage", f"{spelt_repository(str(origin.get('name')))}@{digest}")


def release_hold(cluster: Cluster, name: TagName, retrier: Retrier) -> Stream:
    """Restore what a held tag was before its hold, except `generation`, which only the server sets.

    The server then begins an import of its own, so that a conflict soon after is normal.

    Returns:
        The stream as it is then, but with the images that its tags had before: what is imported then counts as new,
        even if the server was quicker than an import of ours.

    Raises:
        NoHoldError: there is no hold on the tag.
        UncertainError: whether the tag was changed is not known.
        ClusterError: the API refused.
    """
    before: list[Stream] = []

    def change(data: Json, stream: Stream, tag: Tag) -> Json:
        before[:] = [stream]
        if hold_of(tag) is None:
            over = "; its hold ended when the tag was moved" if is_over(tag) else ""
            raise NoHoldError(f"{name} in {name.namespace} is not held{over}: nothing was done")
        reference = reference_of(data, name.tag)
        freed = released_reference(reference) if reference else None
        if freed is None:
            advice = f"set its source again: oc tag --source=docker REPOSITORY:TAG {name} -n {name.namespace}"
            raise NoHoldError(f"the hold on {name} does not say what the tag was before; {advice}")
        return freed

    after = rewrite(cluster, name, change, lambda stream, tag: hold_of(tag) is None, retrier)
    return with_images_of(before[0], after)


def with_images_of(before: Stream, after: Stream) -> Stream:
    """A stream as it is now, but with the images that its tags had before; the server may have imported since."""
    had = {tag.name: tag.current for tag in before.tags}
    return replace(after, tags=tuple(replace(tag, current=had.get(tag.name, tag.current)) for tag in after.tags))


def remove_stale_hold(cluster: Cluster, name: TagName, retrier: Retrier) -> Stream:
    """Remove the annotation of a hold that is over, and nothing else."""

    def change(data: Json, stream: Stream, tag: Tag) -> Json:
        reference = reference_of(data, name.tag)
        if reference is None or not is_over(tag):
            raise NoHoldError(f"{name}: the annotation of its hold has gone already")
        return without_annotation(reference)

    return rewrite(cluster, name, change, lambda stream, tag: not is_over(tag), retrier)


def _import(
    cluster: Cluster,
    name: TagName,
    stream: Stream,
    digest: str,
    retrier: Retrier,
    timeout: float,
) -> Stream:
    """Import the image that the tag's source names by digest; the server may do so by itself at the same time."""
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
