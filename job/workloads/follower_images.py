"""Which workloads would get an image that their tag does not have yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from job.domain.model import TagName
from job.domain.records import dataclass, replace
from job.workloads.image_triggers import Workload
from job.workloads.kinds import settle


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image that a tag would get: its pull spec by digest, and whether its workloads would pull it another way."""

    image: str
    is_from_source: bool = False


@dataclass(frozen=True, slots=True)
class FollowerImage:
    """An image that a workload would get.

    Attributes:
        workload: the workload.
        container: the first of its containers that would get it.
        tags: the tags that would bring it.
        image: the pull spec by digest.
        is_from_source: whether the workload would pull another way: through the integrated registry, which serves no
            image that a tag does not have yet. Then only the source can be tried.
    """

    workload: Workload
    container: str
    tags: tuple[TagName, ...]
    image: str
    is_from_source: bool = False

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.partition("@")[2]


def follower_images_of(workloads: Iterable[Workload], images: Mapping[TagName, NewImage]) -> tuple[FollowerImage, ...]:
    """Each workload with each image that one of its triggers would bring, once.

    A trigger that is paused or cannot fire brings nothing.
    """
    candidates: dict[tuple[Workload, str], FollowerImage] = {}
    for workload in workloads:
        # Tags that get their first images together no longer keep each other's triggers from firing.
        for follow in settle(workload, workload.unresolved - images.keys()).follows:
            new = images.get(follow.tag)
            if new is None or follow.paused or follow.problem:
                continue
            key = (workload, new.image)
            if key not in candidates:
                candidates[key] = FollowerImage(workload, follow.container, (), new.image, new.is_from_source)
            tags = candidates[key].tags
            if follow.tag not in tags:
                candidates[key] = replace(candidates[key], tags=(*tags, follow.tag))
    return tuple(candidates.values())
