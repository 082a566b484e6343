"""What is known before a tag is moved back: shown to whoever has to say yes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from job.domain.model import Hold, Image, TagName
from job.workloads.rollouts import Followed


@dataclass(frozen=True, slots=True)
class Undoing:
    """A rollback that is about to be done.

    Attributes:
        name: of the tag.
        now: the image that it has.
        to: the image that it is to have.
        aliases: tags of the stream that move along.
        followers: the workloads that follow it, or an alias.
        in_registry: whether the registry has the image; None where it did not tell.
        warnings: what else one should know.
        hold: that is on the tag already.
        reason: why.
        until: when the hold ends.
        until_newer: whether it ends with something newer in the registry.
    """

    name: TagName
    now: Image
    to: Image
    aliases: tuple[str, ...]
    followers: tuple[Followed, ...]
    in_registry: bool | None
    warnings: tuple[str, ...]
    hold: Hold | None
    reason: str | None
    until: datetime | None
    until_newer: bool
