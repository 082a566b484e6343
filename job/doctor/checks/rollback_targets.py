"""How far back it goes: earlier images that a rollback could still bring."""

from __future__ import annotations

from dataclasses import dataclass

from job.doctor.checks import Finding, Severity, not_checked
from job.domain.model import TagName
from job.domain.shell import command, ours

ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Horizon:
    """The earlier images of a tag.

    Attributes:
        current: where its current image is pulled from, by digest; None where that is not known.
        earlier: how many its history has.
        there: how many of these the registry still has; None where it did not say of each.
    """

    tag: TagName
    current: str | None
    earlier: int
    there: int | None


def finding(found: Horizon) -> Finding | None:
    """Whether it is short. A history that is only young is a note, as long as there is a way back at all."""
    tag = found.tag
    if found.there is None:
        told = "which of its earlier images are still in the registry, the registry does not say"
        return not_checked(tag.namespace, str(tag), told, ours("history", tag, "--check"), severity=Severity.WARNING)
    if found.there >= ENOUGH:
        return None
    if not found.earlier:
        told = "its history has no earlier image: there is nothing to roll back to"
    elif found.there == found.earlier:
        told = f"its history has {_images(found.earlier)}: there is one step back, and no second"
    else:
        told = f"of {_images(found.earlier)} the registry still has {found.there or 'none'}"
    young = found.there == found.earlier and found.there > 0
    severity = Severity.NOTE if young else Severity.WARNING
    return Finding(severity, "horizon-short", tag.namespace, str(tag), told, _kept(found))


def _images(count: int) -> str:
    return f"{count} earlier image{'' if count == 1 else 's'}"


def _kept(found: Horizon) -> tuple[str, ...]:
    """Nothing brings back what is gone, but a tag of its own keeps today's image for the next time."""
    if found.current is None:
        return ()
    repository, _, digest = found.current.partition("@")
    kept = f"{repository}:{found.tag.tag}-{digest.partition(':')[2][:12]}"
    return (command("skopeo", "copy", "--all", f"docker://{found.current}", f"docker://{kept}"),)
