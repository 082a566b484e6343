"""How many earlier images a rollback could still use."""

from __future__ import annotations

from job.doctor.checks import Finding, not_checked
from job.doctor.facts import EarlierImages, Facts
from job.domain.shell import ours
from job.domain.states import Severity

ENOUGH = 2


def check(facts: Facts) -> list[Finding]:
    """Judge how far each tag can be rolled back."""
    results = (result for horizon in facts.earlier_images for result in (finding(horizon), gone(horizon)))
    return [result for result in results if result]


def finding(earlier_images: EarlierImages) -> Finding | None:
    """Whether a tag has too few. A history that is only young is a note, as long as there is one earlier image."""
    tag = earlier_images.tag
    if earlier_images.there is None:
        message = "the registry does not answer which of the earlier images it still has"
        return not_checked(tag.namespace, str(tag), message, ours("history", tag, "--check"), severity=Severity.WARNING)
    if earlier_images.there >= ENOUGH:
        return None
    if not earlier_images.earlier:
        message = "its history has no earlier image: there is nothing to roll back to"
    elif earlier_images.there == earlier_images.earlier:
        message = f"its history has {_images(earlier_images.earlier)}: one rollback is possible, and no second"
    else:
        message = f"of {_images(earlier_images.earlier)} the registry still has {earlier_images.there or 'none'}"
    young = earlier_images.there == earlier_images.earlier and earlier_images.there > 0
    severity = Severity.NOTE if young else Severity.WARNING
    # Nothing brings images back that a registry has deleted; only the build can give each image a tag of its own.
    message += "; a unique tag for each image keeps it in the registry"
    return Finding(severity, "horizon-short", tag.namespace, str(tag), message)


def gone(earlier_images: EarlierImages) -> Finding | None:
    """Whether the registry lacks the current image of a tag that no run imports: nodes without it cannot start pods."""
    tag = earlier_images.tag
    if earlier_images.is_imported or earlier_images.is_current_there is not False or earlier_images.current is None:
        return None
    message = f"{earlier_images.current} is no longer in the registry: a node that does not have it cannot start a pod"
    fix = (ours("rollback", tag, "--to", earlier_images.newest, "--yes"),) if earlier_images.newest else ()
    return Finding(Severity.ERROR, "image-gone", tag.namespace, str(tag), message, fix)


def _images(count: int) -> str:
    return f"{count} earlier image{'' if count == 1 else 's'}"
