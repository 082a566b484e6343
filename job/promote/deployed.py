"""The cluster as a promotion sees it: the tags that repositories feed, and the commits of their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from job.config.settings import Settings
from job.domain.errors import UsageError
from job.domain.records import dataclass, replace
from job.domain.selection import Pattern, Wanted
from job.imagestreams.descriptions import Describer
from job.promote.config import Feed, Repository
from job.run.context import Context
from job.run.targets import SelectedTag, find, find_existing


@dataclass(frozen=True, slots=True)
class FedTag:
    """A tag in the cluster, and the repository whose images it gets."""

    repository: Repository
    selected: SelectedTag


def feed_name(feed: Feed, deployment: str | None) -> str:
    """A feed's STREAM:TAG."""
    return ":".join(filter(None, (feed.stream, feed.tag or deployment)))


def settings_for_feeds(settings: Settings, repositories: Sequence[Repository]) -> Settings:
    """The settings of a command about only the tags that these repositories feed.

    Raises:
        UsageError: they feed none, or DEPLOYMENT is missing, so the tags are unknown.
    """
    feeds = [feed for repository in repositories for feed in repository.feeds]
    if not feeds:
        names = ", ".join(repository.name for repository in repositories)
        raise UsageError([f"streams: {names} feed none, so there is no image to wait for"])
    deployment = settings.wanted.deployment
    if deployment is None and (untagged := [feed.stream for feed in feeds if feed.tag is None]):
        raise UsageError([f"DEPLOYMENT: not set, so the tag of {', '.join(untagged)} is unknown; set --deployment"])
    patterns = tuple(Pattern(feed.stream, feed.tag or deployment) for feed in feeds)
    return replace(settings, wanted=Wanted(deployment, patterns))


def run_settings(settings: Settings, repositories: Sequence[Repository]) -> Settings:
    """The settings of the run that imports the arrived images.

    It is the deployment's usual run, plus the tags that repositories feed and DEPLOYMENT does not name.
    """
    wanted = settings.wanted
    extra = tuple(
        Pattern(feed.stream, feed.tag)
        for repository in repositories
        for feed in repository.feeds
        if feed.tag not in (None, wanted.deployment)
    )
    if not extra:
        return settings
    patterns = (Pattern("*"), *extra) if wanted.deployment else extra
    return replace(settings, wanted=replace(wanted, patterns=patterns), narrowed=True)


def find_fed_tags(
    place: Context, repositories: Sequence[Repository], *, strict: bool
) -> tuple[list[FedTag], list[str]]:
    """The tags that repositories feed, and the names of those that no namespace has.

    Raises:
        UsageError: a tag does not exist, and `strict` is given.
        ClusterError: the cluster cannot be read.
    """
    deployment = place.settings.wanted.deployment
    tags = find(place) if strict else find_existing(place)
    fed, missing = [], []
    for repository in repositories:
        for feed in repository.feeds:
            name = feed_name(feed, deployment)
            matches = [FedTag(repository, tag) for tag in tags if str(tag.name) == name]
            fed += matches
            missing += [] if matches else [name]
    return fed, missing


def revisions(place: Context, fed: Sequence[FedTag]) -> Mapping[str, str | None]:
    """The revision labels of the tags' current images, by digest; None for an image without one."""
    describer = Describer(place.cluster, place.stopping)
    images = {
        fed_tag.selected.tag.current.digest: (fed_tag.selected.name.namespace, fed_tag.selected.name.stream)
        for fed_tag in fed
        if fed_tag.selected.tag.current
    }
    describer.describe_all([(*stream, digest) for digest, stream in images.items()], place.settings.concurrency)
    return {digest: facts.revision if (facts := describer.facts(digest)) else None for digest in images}
