"""The automatic rollback: tags whose new image did not come up return to the image they had before the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from job.cluster.whoami import current_user
from job.domain.errors import ClusterError, ImportImagesError
from job.domain.holds import Terms, hold_of
from job.domain.model import Blame, By, Item, Result, Rollout, RolloutResult, Tag, TagName, TagResult
from job.domain.records import replace
from job.domain.rules import BlockRule
from job.domain.text import clean, humanize
from job.imagestreams.api_types import stream_from
from job.imagestreams.retag import roll_back
from job.imagestreams.rewrite import UncertainError, read_stream
from job.run.blocked import block_left, rule_of_rollback
from job.run.context import Run
from job.run.rollout_watch import watch_rollouts
from job.runtime.retry import retrier
from job.workloads.followers import Moved
from job.workloads.image_triggers import Workload

log = logging.getLogger(__name__)

READ_RETRIES = 3


def roll_back_bad(
    run: Run, workloads: Sequence[Workload], results: Sequence[TagResult], rollouts: Sequence[Rollout]
) -> tuple[list[TagResult], tuple[Rollout, ...]]:
    """Roll back exactly the tags whose rollouts are broken, and watch their workloads again.

    Returns:
        The results as they are then, and the rollouts that followed.
    """
    reasons, others = _reasons(rollouts), _other_causes(rollouts)
    by = current_user(run.cluster) if reasons else None
    after: list[TagResult] = []
    moved: dict[TagName, Moved] = {}
    for result in results:
        names = [TagName(result.namespace, result.stream, tag) for tag in (result.tag, *result.moved_with)]
        why = list(dict.fromkeys(reason for name in names for reason in reasons.get(name, ())))
        bad = result.after
        if result.result is Result.UPDATED and why:
            result = _roll_back(run, result, names[0], clean("; ".join(why), 1000), by)
            if result.result is Result.ROLLED_BACK and result.after and bad:
                moved |= dict.fromkeys(names, Moved(result.after.digest, bad.digest))
        elif result.result is Result.UPDATED and (
            apart := [follower for name in names for follower in others.get(name, ())]
        ):
            message = "not rolled back: " + "; ".join(dict.fromkeys(apart))
            log.warning("%s/%s: %s", names[0].namespace, names[0], message)
            result = replace(result, message=clean(message, 1000))
        after.append(result)
    _block(run, results, after)
    affected = [workload for workload in workloads if any(follows.tag in moved for follows in workload.follows)]
    # Neither the deadline nor an earlier failure cuts it short, only a signal does.
    again = watch_rollouts(run, affected, {**_kept(after), **moved}, lambda: bool(run.stop))
    if not run.stop and any(rollout.is_broken for rollout in again):
        # An image that had only waited for the one that was rolled back may be bad, too.
        after, more = roll_back_bad(run, workloads, after, again)
        again = (*again, *more)
    return after, again


def _kept(results: Sequence[TagResult]) -> dict[TagName, Moved]:
    """The tags that keep their new images, which workloads of a tag that was rolled back may run, too."""
    return {
        TagName(result.namespace, result.stream, tag): Moved(result.after.digest)
        for result in results
        if result.result is Result.UPDATED and result.after
        for tag in (result.tag, *result.moved_with)
    }


def _block(run: Run, before: Sequence[TagResult], after: Sequence[TagResult]) -> None:
    """Keep the images that tags were rolled back from out of every tag."""
    blocked: dict[str, list[BlockRule]] = {}
    for bad, result in zip(before, after, strict=True):
        if result.result is Result.ROLLED_BACK and bad.after and result.hold:
            hold = result.hold
            terms = Terms(hold.at or run.now(), hold.by, hold.reason, hold.until)
            blocked.setdefault(result.namespace, []).append(rule_of_rollback(bad.after.digest, terms))
    for namespace, rules in blocked.items():
        block_left(run.cluster, namespace, rules)


def _reasons(rollouts: Sequence[Rollout]) -> Mapping[TagName, list[str]]:
    """Why tags are to be rolled back: what the broken rollouts among their followers say."""
    reasons: dict[TagName, list[str]] = {}
    for rollout in rollouts:
        if rollout.is_broken:
            reason = f"rollout of {rollout.kind} {rollout.name} {rollout.result}: {rollout.message}"
            for name in rollout.culprits or rollout.tags:
                reasons.setdefault(name, []).append(reason)
    return reasons


def _other_causes(rollouts: Sequence[Rollout]) -> Mapping[TagName, list[str]]:
    """The actual causes of failed rollouts, by tag whose image is not to blame."""
    causes: dict[TagName, list[str]] = {}
    for rollout in rollouts:
        if rollout.result in (RolloutResult.FAILED, RolloutResult.TIMED_OUT):
            others = ", ".join(map(str, rollout.culprits))
            blame = f"that of {others} is" if rollout.is_broken else str(rollout.blame or Blame.UNKNOWN)
            cause = f"{rollout.kind} {rollout.name} {humanize(rollout.result)}, and its image is not to blame ({blame})"
            guilty = (rollout.culprits or rollout.tags) if rollout.is_broken else ()
            for name in rollout.tags:
                if name not in guilty:
                    causes.setdefault(name, []).append(cause)
    return causes


def _roll_back(run: Run, result: TagResult, name: TagName, why: str, by: str | None) -> TagResult:
    if result.before is None or result.after is None:
        log.error("%s/%s: %s; there is no earlier image to roll back to", name.namespace, name, why)
        return replace(result, message=f"{why}; not rolled back: there is no earlier image")
    target = Item(result.before.digest, result.before.imported_at)
    terms = Terms(at=run.now(), by=by, reason=why)
    settings = run.settings
    log.error("%s/%s: %s; rolling back to %s", name.namespace, name, why, target.digest)
    try:
        tag = roll_back(
            run.cluster,
            name,
            target,
            terms,
            bad=result.after.digest,
            # The deadline does not cut it short, only a signal does.
            retrier=retrier(settings.retries, lambda: bool(run.stop)),
            timeout=settings.import_timeout,
        )
    except UncertainError as error:
        log.error("%s/%s: %s", name.namespace, name, error)
        return _by_read(run, result, name, why, error)
    except ImportImagesError as error:
        log.error("%s/%s was not rolled back: %s", name.namespace, name, error)
        gone = isinstance(error, ClusterError) and error.code == 404
        after = None if gone else result.after
        return replace(result, after=after, message=f"{why}; not rolled back: {error}")
    return _rolled_back(result, tag, why)


def _rolled_back(result: TagResult, tag: Tag, why: str) -> TagResult:
    assert result.before is not None
    return replace(
        result,
        result=Result.ROLLED_BACK,
        after=replace(result.before, imported_at=tag.current.imported_at if tag.current else None),
        message=f"rolled back from {result.after.digest if result.after else 'an unknown image'}: {why}",
        hold=hold_of(tag),
    )


def _by_read(run: Run, result: TagResult, name: TagName, why: str, error: UncertainError) -> TagResult:
    """The result of a rollback whose answer was lost: what a later read shows, which must not give up soon."""
    patient = retrier(max(run.settings.retries, READ_RETRIES), lambda: bool(run.stop))
    try:
        tag = stream_from(read_stream(run.cluster, name, patient)).tag(name.tag)
    except ClusterError:
        # Which image the tag has now, and whether it is held, is not known.
        message = f"{why}; {error}"
        return replace(result, result=Result.FAILED, reason=error.reason, by=By.API, message=message, after=None)
    if tag is None or tag.current is None:
        return replace(result, after=None, message=f"{why}; the tag was removed meanwhile")
    if result.before and tag.current.digest == result.before.digest and hold_of(tag):
        return _rolled_back(result, tag, why)
    return replace(result, message=f"{why}; not rolled back: {error}")
