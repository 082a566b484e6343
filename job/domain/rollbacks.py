"""Which rollback by hand undoes what an import has broken."""

from __future__ import annotations

from job.domain.model import Report, Result, Rollout, TagName
from job.domain.records import replace


def rollbacks_of(report: Report, rollout: Rollout) -> tuple[TagName, ...]:
    """The tags whose rollback undoes a broken rollout of this run.

    The run gave them another image, and the workload follows them or an alias of theirs. A tag that was rolled back
    already, or had no image before, is left out: there `rollback` would go back too far, or be refused.
    """
    if not rollout.is_broken:
        return ()
    updated = (tag for tag in report.tags if tag.result is Result.UPDATED and tag.before is not None)
    return tuple(
        tag.name
        for tag in updated
        if any(replace(tag.name, tag=name) in rollout.tags for name in (tag.tag, *tag.moved_with))
    )
