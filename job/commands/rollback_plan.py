"""What a rollback is about to do, found out before anything is done, for the confirmation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from job.domain.errors import UsageError
from job.domain.history import NoSuchImageError, first_imported_at, image_to_go_to, tenures_of
from job.domain.holds import hold_of
from job.domain.model import Hold, Image, Item, Skip, TagName
from job.domain.records import dataclass, replace
from job.domain.schedule import parse_moment, parse_zone
from job.domain.selection import aliases_of
from job.domain.sources import copied_from, explain_skip
from job.domain.text import clean
from job.imagestreams.api_types import applied_by, image_of, items_of, reference_of
from job.imagestreams.descriptions import Describer
from job.imagestreams.lookup import Answer, question_of_item
from job.imagestreams.retag import source_in_registry
from job.run.context import Context
from job.run.targets import SelectedTag
from job.workloads.discovery import Survey
from job.workloads.followers import Followed, Moved, followed_by


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """A rollback that is about to be done.

    Attributes:
        name: of the tag.
        now: the image that it has.
        to: the image that it is to have.
        was_current_until: when the tag last had that one; None where it never did.
        aliases: tags of the stream that move along.
        followers: the workloads that follow it, or an alias.
        in_registry: whether the registry has the image; None where it did not answer.
        warnings: what else one should know.
        hold: that is on the tag already.
        reason: why.
        until: when the hold ends.
        until_newer: whether it ends with something newer in the registry.
        blocks: whether the image that it has is kept out of every tag from then on.
    """

    name: TagName
    now: Image
    to: Image
    was_current_until: datetime | None
    aliases: tuple[str, ...]
    followers: tuple[Followed, ...]
    in_registry: bool | None
    warnings: tuple[str, ...]
    hold: Hold | None
    reason: str | None
    until: datetime | None
    until_newer: bool
    blocks: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What `rollback` was asked for, as it was written."""

    to: str
    reason: str | None
    until: str | None
    until_newer: bool
    yes: bool
    # None: whether the image is blocked depends on how much is rolled back.
    block: bool | None = None


def end_of_hold(text: str | None, zone: str | None) -> datetime | None:
    """The end of a hold: a time (of the setting's zone where it names none), or a duration from now.

    Raises:
        UsageError: it is neither, or past.
    """
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        moment = parse_moment(text, parse_zone(zone))
    except ValueError as error:
        raise UsageError([f"--until: {error}"]) from None
    end = now + moment if isinstance(moment, timedelta) else moment
    if end <= now:
        raise UsageError([f"--until: {text} is past"])
    return end


def target_of(selected: SelectedTag, to: str) -> Item | str:
    """The image that the tag is to go back to: an entry of its history, or a digest that only the registry may have.

    Raises:
        UsageError: there is no such image, or the tag cannot be moved.
    """
    name, tag = selected.name, selected.tag
    what = f"{name} in {name.namespace}"
    if tag.source is None:
        advice = explain_skip(selected.stream, tag, Skip.REMOVED) if tag.origin else None
        pushed = "has no source to come back to: its images are pushed; push the older one again"
        raise UsageError([f"{what}: {advice}" if advice else f"{what} {pushed}"])
    if copied_from(selected.stream, tag):
        raise UsageError([f"{what} cannot be rolled back: {explain_skip(selected.stream, tag, Skip.COPY)}"])
    if tag.source.kind == "ImageStreamTag":
        fault = explain_skip(selected.stream, tag, Skip.ALIAS)
        raise UsageError([f"{what} follows {tag.source.name}: {fault or 'roll that one back'}"])
    if tag.reference:
        raise UsageError([f"{what} is a reference that imports nothing: there is nothing to roll back"])
    if tag.current is None:
        raise UsageError([f"{what} has no image yet"])
    try:
        return image_to_go_to(items_of(selected.data, name.tag), hold_of(tag), to)
    except NoSuchImageError as error:
        raise UsageError([f"{what}: {error}"]) from error


def plan_of(
    where: Context, selected: SelectedTag, target: Item | str, request: Request, until: datetime | None, survey: Survey
) -> RollbackPlan:
    """Everything there is to know before it is done.

    Raises:
        UsageError: the image is nowhere.
    """
    name, current = selected.name, selected.tag.current
    assert current is not None
    items = items_of(selected.data, name.tag)
    describer = Describer(where.cluster, where.stopping)
    digests = [current.digest, *([target.digest] if isinstance(target, Item) else [])]
    describer.describe_all([(name.namespace, name.stream, digest) for digest in digests], 2)
    answer = _in_registry(where, selected, target)
    if isinstance(target, Item):
        image = image_of(Item(target.digest, first_imported_at(items, target.digest)), describer.facts(target.digest))
    elif answer is not None and answer.image is not None:
        image = answer.image
    else:
        why = answer.message if answer else "it does not come from a registry"
        raise UsageError([f"{name}: {target} is not in its history, and the registry does not give it: {why}"])
    names = with_aliases(selected)
    followers = followed_by(survey.workloads, {tag_name: Moved(image.digest) for tag_name in names})
    warnings = [error.message for error in survey.errors]
    if survey.left_out:
        shown = ", ".join(survey.left_out[:5]) + (" and others" if len(survey.left_out) > 5 else "")
        warnings.append(f"what follows it in {shown} is not known: no right to look")
    if manager := applied_by(selected.data):
        warnings.append(f"the stream is kept from a manifest ({manager}): the next apply ends the hold")
    earlier = [tenure for tenure in tenures_of(items) if tenure.item.digest == image.digest]
    if any(tenure.rolled_back_from for tenure in earlier):
        warnings.append("this image was itself rolled back from before")
    if answer is not None and answer.image is None and isinstance(target, Item):
        gone = "the registry no longer has it: new pods can only start where it is cached or pulled through"
        warnings.append(gone if answer.is_gone else f"the registry was asked for it: {answer.message}")
    return RollbackPlan(
        name=name,
        now=image_of(current, describer.facts(current.digest)),
        to=image,
        was_current_until=max((tenure.until for tenure in earlier if tenure.until), default=None),
        aliases=tuple(sorted(tag_name.tag for tag_name in names if tag_name != name)),
        followers=followers,
        in_registry=answer.is_there if answer else None,
        warnings=tuple(clean(warning) for warning in warnings),
        hold=hold_of(selected.tag),
        reason=clean(request.reason, 1000) if request.reason else None,
        until=until,
        until_newer=request.until_newer,
    )


def _in_registry(where: Context, selected: SelectedTag, target: Item | str) -> Answer | None:
    """What the registry says of the image, asked through the server."""
    name = selected.name
    if isinstance(target, Item):
        question = question_of_item(name.namespace, name.stream, target, selected.tag.import_policy)
    else:
        source = source_in_registry(reference_of(selected.data, name.tag) or {}, selected.tag, target)
        item = Item(target, None, source.name if source else "")
        question = question_of_item(name.namespace, name.stream, item, selected.tag.import_policy)
    return where.look_up([question])[question] if question else None


def with_aliases(selected: SelectedTag) -> list[TagName]:
    """The tag, and those of its stream that move along."""
    tags = (selected.name.tag, *sorted(aliases_of(selected.stream, selected.name.tag)))
    return [replace(selected.name, tag=tag) for tag in tags]
