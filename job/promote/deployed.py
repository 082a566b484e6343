"""The cluster as a promotion sees it: the tags that repositories feed, and of which commit their images are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from job.config.settings import Settings
from job.domain.errors import UsageError
from job.domain.selection import Pattern, Wanted
from job.imagestreams.descriptions import Describer
from job.promote.config import Feed, Repository
from job.run.context import Context
from job.run.targets import Found, find


@dataclass(frozen=True, slots=True)
class Fed:
    """A tag in the cluster, and the repository whose images come into it."""

    repository: Repository
    found: Found


def named(feed: Feed, deployment: str | None) -> str:
    """A feed's STREAM:TAG."""
    return ":".join(filter(None, (feed.stream, feed.tag or deployment)))


def asking_for(settings: Settings, repositories: Sequence[Repository]) -> Settings:
    """The settings of a command about just the tags that these repositories feed.

    Raises:
        UsageError: they feed none, or it is not known which tags.
    """
    feeds = [feed for repository in repositories for feed in repository.feeds]
    if not feeds:
        names = ", ".join(repository.name for repository in repositories)
        raise UsageError([f"streams: {names} feed none, so there is no image to look for"])
    deployment = settings.wanted.deployment
    if deployment is None and (without := [feed.stream for feed in feeds if feed.tag is None]):
        raise UsageError([f"DEPLOYMENT: not set, so the tag of {', '.join(without)} is not known; set --deployment"])
    patterns = tuple(Pattern(feed.stream, feed.tag or deployment) for feed in feeds)
    return replace(settings, wanted=Wanted(deployment, patterns))


def import_of(settings: Settings, repositories: Sequence[Repository]) -> Settings:
    """The settings of a run that imports what has arrived.

    That is the usual run of the deployment; beside it the tags that repositories feed and DEPLOYMENT does not name.
    """
    wanted = settings.wanted
    others = tuple(
        Pattern(feed.stream, feed.tag)
        for repository in repositories
        for feed in repository.feeds
        if feed.tag not in (None, wanted.deployment)
    )
    if not others:
        return settings
    patterns = (Pattern("*"), *others) if wanted.deployment else others
    return replace(settings, wanted=replace(wanted, patterns=patterns), narrowed=True)


def fed_by(place: Context, repositories: Sequence[Repository]) -> tuple[list[Fed], list[str]]:
    """The tags that repositories feed, and those by name that are in none of the namespaces.

    Raises:
        UsageError: there are none at all.
        ClusterError: the cluster cannot be read.
    """
    deployment = place.settings.wanted.deployment
    found = find(place)
    fed, missing = [], []
    for repository in repositories:
        for feed in repository.feeds:
            name = named(feed, deployment)
            mine = [Fed(repository, each) for each in found if str(each.name) == name]
            fed += mine
            missing += [] if mine else [name]
    return fed, missing


def revisions(place: Context, fed: Sequence[Fed]) -> Mapping[str, str | None]:
    """The revisions that the current images of tags name, by digest."""
    describer = Describer(place.cluster, place.stopping)
    asked = {
        each.found.tag.current.digest: (each.found.name.namespace, each.found.name.stream)
        for each in fed
        if each.found.tag.current
    }
    describer.describe_all([(*where, digest) for digest, where in asked.items()], place.settings.concurrency)
    return {digest: facts.revision if (facts := describer.facts(digest)) else None for digest in asked}
