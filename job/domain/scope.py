"""What part of a namespace a run imports, and whether two runs may import the same tag."""

from __future__ import annotations

from job.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """The share of a run that is one of several: `index` counts from 0."""

    index: int
    count: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run imports in a namespace: one deployment's tags or any (None), all streams (None) or a share."""

    deployment: str | None = None
    shard: Shard | None = None

    def overlaps(self, other: Scope) -> bool:
        """Whether both may import the same tag."""
        if None not in (self.deployment, other.deployment) and self.deployment != other.deployment:
            return False
        if self.shard is None or other.shard is None or self.shard.count != other.shard.count:
            return True
        return self.shard.index == other.shard.index
