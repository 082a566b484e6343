"""Which workloads follow the tags that moved, and what one read of such a workload shows about all its triggers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from job.domain.model import Blame, RolloutResult, TagName
from job.domain.records import dataclass
from job.domain.text import clean
from job.workloads.health import Health, Lasted, health, lasts_for_good, runs
from job.workloads.image_triggers import Follows, Workload, digest_in
from job.workloads.kinds import settle, template_image
from job.workloads.pods import Pod


@dataclass(frozen=True, slots=True)
class Moved:
    """The digest that a tag has now; `bad` is the one that it was rolled back from."""

    digest: str
    bad: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A trigger of a workload, and where its tag has moved."""

    follows: Follows
    moved: Moved


@dataclass(frozen=True, slots=True)
class Followed:
    """A workload that follows tags which moved, with those of its triggers that are on them."""

    workload: Workload
    parts: tuple[Part, ...]

    @property
    def tags(self) -> tuple[TagName, ...]:
        """The tags, each once."""
        return tuple(dict.fromkeys(part.follows.tag for part in self.parts))

    def tags_of(self, containers: Collection[str]) -> tuple[TagName, ...]:
        """The tags that some of its containers follow, each once."""
        return tuple(dict.fromkeys(part.follows.tag for part in self.parts if part.follows.container in containers))


def followed_by(workloads: Iterable[Workload], moved: Mapping[TagName, Moved]) -> tuple[Followed, ...]:
    """The workloads that follow one of the tags, with what their containers are to run."""
    followed = []
    for workload in workloads:
        if not any(follows.tag in moved for follows in workload.follows):
            continue
        # A tag that moved has an image by now, whatever it had when the workloads were listed.
        settled = settle(workload, workload.unresolved - moved.keys())
        parts = tuple(Part(follows, moved[follows.tag]) for follows in settled.follows if follows.tag in moved)
        followed.append(Followed(settled, parts))
    return tuple(followed)


def verdict(
    followed: Followed, data: Mapping[str, Any], pods: Sequence[Pod], lasted: Lasted = lasts_for_good
) -> Health:
    """What one read of a workload and its pods shows about all its triggers on tags that moved.

    A trigger that cannot fire, or is switched off, is not a fault where the workload runs the image anyway.
    """
    resource, wanted = followed.workload.resource, wanted_digests(followed, data)
    result = health(resource, data, pods, wanted, lasted) if wanted else Health(RolloutResult.HEALTHY)
    if result.result is not RolloutResult.HEALTHY:
        return result
    idle = [
        part.follows
        for part in followed.parts
        if part.follows.container not in wanted
        and not runs(resource, data, pods, {part.follows.container: part.moved.digest})
    ]
    if not idle:
        return result
    # Of several, the one that is a mistake.
    follows = next((follows for follows in idle if not follows.paused), idle[0])
    tag = follows.tag.seen_from(followed.workload.namespace)
    if follows.paused:
        image = clean(template_image(resource, data, follows.container) or "its image")
        message = f"its trigger on {tag} is paused: container {follows.container} keeps {image}"
        return Health(RolloutResult.PAUSED, message)
    message = f"its trigger on {tag} does not fire: {follows.problem}"
    return Health(RolloutResult.WILL_NOT_REDEPLOY, message, Blame.CONFIGURATION)


def wanted_digests(followed: Followed, data: Mapping[str, Any]) -> dict[str, str]:
    """By container the digest that it will run: where the trigger fires, or the template has the image already."""
    wanted = {}
    for part in followed.parts:
        follows, digest = part.follows, part.moved.digest
        there = digest_in(template_image(followed.workload.resource, data, follows.container)) == digest
        if there or not (follows.problem or follows.paused):
            wanted[follows.container] = digest
    return wanted
