"""Restoring a tag that got an image which no gate has let through: the registry moved before the import."""

from __future__ import annotations

import logging
from datetime import timedelta

from job.cluster.whoami import current_user
from job.domain.errors import ClusterError, ImportImagesError
from job.domain.holds import Terms, hold_of
from job.domain.model import By, Item, Reason, Result, TagResult
from job.domain.records import replace
from job.domain.shell import ours
from job.domain.text import clean
from job.domain.verdicts import first_refusal
from job.imagestreams.retag import roll_back
from job.imagestreams.rewrite import UncertainError
from job.run.context import Run
from job.run.gates import LEFT_ALONE, Guard
from job.runtime.retry import retrier

log = logging.getLogger(__name__)

# Where no gate says until when: after so long a run may release the tag, and judges what the registry has then.
HOLD = timedelta(hours=1)


def restore(guard: Guard, imported: TagResult, refused: TagResult, judged: TagResult) -> TagResult:
    """Roll a tag back to the image that it had before the run, and hold it until its gate may let the new one through.

    Args:
        guard: what guards the tag.
        imported: the result of the import.
        refused: the same, as the gates judged it.
        judged: the result of the look-up before the import.
    """
    run, name = guard.run, imported.name
    actual, expected = (result.after.digest if result.after else "no image" for result in (imported, judged))
    what = f"the registry moved from {expected} to {actual} before the import, and no gate has passed that image"
    why = clean(f"{what}: {(refused.message or '').removeprefix(LEFT_ALONE)}", 1000)
    conflict = replace(
        refused,
        result=Result.FAILED,
        reason=Reason.CONFLICT,
        by=By.REGISTRY,
        candidate=imported.after,
        after=imported.after,
    )
    if imported.before is None or imported.after is None:
        return replace(conflict, message=f"{why}; the tag keeps it, since there is no earlier image")
    help_ = f"to roll it back: {ours('rollback', name)}"
    try:
        tag = roll_back(
            run.cluster,
            name,
            Item(imported.before.digest, imported.before.imported_at),
            _terms(run, refused, why),
            bad=imported.after.digest,
            # No gate has let it through, so only a signal keeps the run from undoing that.
            retrier=retrier(run.settings.retries, lambda: bool(run.stop)),
            timeout=run.settings.import_timeout,
        )
    except UncertainError as error:
        log.error("%s/%s: %s", name.namespace, name, error)
        return replace(conflict, message=f"{why}; {error}", after=None)
    except ImportImagesError as error:
        lacks = isinstance(error, ClusterError) and error.lacks_right
        right = " (grant get and update on imagestreamtags, as the component rollback does)" if lacks else ""
        log.error("%s/%s was not rolled back: %s", name.namespace, name, error)
        return replace(conflict, message=f"{why}; not rolled back: {error}{right}; {help_}")
    log.error("%s/%s: %s; rolled back", name.namespace, name, why)
    hold = hold_of(tag)
    until = f", held until {hold.until:%Y-%m-%d %H:%M} UTC" if hold and hold.until else ""
    after = replace(imported.before, imported_at=tag.current.imported_at if tag.current else None)
    return replace(conflict, message=f"{why}; rolled back to {after.digest}{until}", after=after, hold=hold)


def _terms(run: Run, refused: TagResult, why: str) -> Terms:
    refusal = first_refusal(refused.gates)
    now = run.now()
    until = refusal.until if refusal and refusal.until and refusal.until > now else now + HOLD
    return Terms(at=now, by=current_user(run.cluster), reason=why, until=until)
