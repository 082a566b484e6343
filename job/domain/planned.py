"""What a reviewed plan says of a tag, and how the tag differs from that by now."""

from __future__ import annotations

from job.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Planned:
    """What a plan says of a tag: the image that it had, the one that it is to have, and where that comes from."""

    before: str | None
    after: str
    source: str | None


def departure(planned: Planned, before: str | None, source: str | None, after: str | None) -> str | None:
    """How a tag differs from its plan; None where it does not.

    Args:
        planned: what the plan says.
        before: the digest that the tag has.
        source: where its images come from now.
        after: what the registry has; None where that is not known yet.
    """
    if before not in (planned.before, planned.after):
        return f"the tag has {before or 'no image'} now, and had {planned.before or 'none'} when it was planned"
    if source != planned.source:
        return f"the tag follows {source} now, and followed {planned.source} when it was planned"
    if after is not None and after != planned.after:
        return f"the registry has {after} now, and had {planned.after} when it was planned"
    return None
