"""What the cluster remembers of runs, one journal for each namespace.

Per tag it keeps the time of the last success and the failures in a row, per metrics group the last success, facts of
images, and the last runs. So a wiped Pushgateway loses nothing, and the next run reports a run that was killed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from job.domain.model import BadRollout, Command, ImageFacts, Outcome, Report, Result, TagResult, TriggerKind
from job.domain.records import dataclass, field, replace
from job.domain.scope import Scope, Shard
from job.domain.selection import in_share
from job.journal.waiting import TagKey, Waiting, waiting_after

MOST_RUNS = 50
LEAST_RUNS_OF_A_KIND = 3
MOST_UPDATED_A_RUN = 200
MOST_BAD_ROLLOUTS = 100
# Digests do not compress: 500 moves take 32 KB of the ConfigMap.
MOST_MOVES_A_RUN = 500
# Only the newest runs keep their moves.
MOST_RUNS_WITH_MOVES = 10
RUNNING = "running"


@dataclass(frozen=True, slots=True)
class TagRecord:
    """What is remembered of a tag: when a run last found it up to date (Unix seconds), failures in a row."""

    last_success: float | None = None
    failed_runs: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """A tag that a run moved.

    Attributes:
        stream: of the tag.
        tag: its name.
        before: the digest that it had; None where it had no image.
        after: the digest that it got.
        wave: of the run, from 0.
    """

    stream: str
    tag: str
    before: str | None
    after: str
    wave: int = 0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run, or the change that another command made.

    Attributes:
        outcome: of the run; `running` until it has ended.
        narrowed: it took only some tags because its arguments or flags said so, so it says nothing about the others.
        counts: how many tags ended with each result.
        updated: STREAM:TAG, and the revisions before and after.
        moves: what it takes to undo the run; at most `MOST_MOVES_A_RUN` of them, and only of the last runs.
    """

    id: str
    started_at: datetime | None
    outcome: str = RUNNING
    finished_at: datetime | None = None
    trigger: TriggerKind = TriggerKind.LOCAL
    deployment: str | None = None
    shard: Shard | None = None
    job: str | None = None
    scheduled_at: datetime | None = None
    command: Command = Command.RUN
    narrowed: bool = False
    exit_status: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    updated: tuple[tuple[str, str | None, str | None], ...] = ()
    moves: tuple[Move, ...] = ()

    @property
    def cron_job(self) -> str | None:
        """The CronJob that started it by its schedule; None where a person did, or that is not known."""
        # The controller appends the due time in minutes.
        name = self.job.rpartition("-")[0] if self.job and self.trigger is TriggerKind.SCHEDULED else ""
        return name or None


@dataclass(frozen=True, slots=True)
class Journal:
    """All that is remembered in one namespace.

    Attributes:
        tags: by stream and tag.
        groups: the last success of each metrics group of which the journal knows every tag's last success.
        images: facts by digest, oldest first.
        runs: newest first.
        pushed: the metrics groups that each CronJob pushed last, by the CronJob's name.
        notified: the problems that a message reported and that are not over.
        waiting: by stream and tag, the images that gates hold back.
    """

    tags: Mapping[TagKey, TagRecord] = field(default_factory=dict)
    groups: Mapping[str, float] = field(default_factory=dict)
    images: Mapping[str, ImageFacts] = field(default_factory=dict)
    runs: tuple[RunRecord, ...] = ()
    pushed: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    bad_rollouts: tuple[BadRollout, ...] = ()
    notified: tuple[str, ...] = ()
    waiting: Mapping[TagKey, Waiting] = field(default_factory=dict)


def group_key(deployment: str | None, shard: Shard | None) -> str:
    """The key in `Journal.groups` of the metrics group that a run belongs to."""
    return (deployment or "*") + (f" {shard.index}/{shard.count}" if shard else "")


def start_run(journal: Journal, run: RunRecord, scope: Scope) -> tuple[Journal, tuple[RunRecord, ...]]:
    """The journal with a run that begins now, and the runs that never ended.

    The caller holds the lock of `scope`, so a run that overlaps it and is still `running` was killed.
    """
    killed = tuple(
        earlier
        for earlier in journal.runs
        if earlier.outcome == RUNNING
        and earlier.id != run.id
        and Scope(earlier.deployment, earlier.shard).overlaps(scope)
    )
    journal = abort_runs(journal, {earlier.id for earlier in killed})
    runs = tuple(earlier for earlier in journal.runs if earlier.id != run.id)
    return replace(journal, runs=_bounded((run, *runs))), killed


def abort_runs(journal: Journal, ids: Collection[str]) -> Journal:
    """The journal with those runs as aborted that have not ended."""
    return replace(
        journal,
        runs=tuple(
            replace(run, outcome=str(Outcome.ABORTED), exit_status=None)
            if run.id in ids and run.outcome == RUNNING
            else run
            for run in journal.runs
        ),
    )


def finish_run(journal: Journal, report: Report, namespace: str, run: RunRecord, *, narrowed: bool) -> Journal:
    """The journal after a run, by the run's report.

    It is idempotent, since a write whose answer was lost is sent again.

    Args:
        journal: as it was.
        report: of the run.
        namespace: whose journal it is.
        run: the record that the run started with.
        narrowed: the run took only some tags, so the others stay as they are; otherwise those of its kind that it did
            not find are gone.
    """
    if any(earlier.id == report.id and earlier.outcome != RUNNING for earlier in journal.runs):
        return journal
    results = [tag for tag in report.tags if tag.namespace == namespace]
    outcome = report.outcomes[namespace]
    record = _finished(run, report, namespace, results)
    runs = tuple(record if earlier.id == run.id else earlier for earlier in journal.runs)
    if record not in runs:
        runs = (record, *runs)
    groups = dict(journal.groups)
    finished = report.finished_at.timestamp()
    if outcome is Outcome.SUCCESS and not narrowed:
        groups[group_key(report.deployment, report.shard)] = finished
    is_gone = gone_after(journal, report, namespace, run, narrowed=narrowed)

    def is_kept(key: TagKey) -> bool:
        return not is_gone(key)

    others = {key: tag for key, tag in journal.tags.items() if is_kept(key)}
    return replace(
        journal,
        tags=others | _tags_after(journal, results, finished),
        groups=groups,
        images=_images_after(journal.images, results),
        runs=_bounded(runs),
        bad_rollouts=bad_rollouts_after(journal.bad_rollouts, report, namespace),
        waiting=waiting_after(journal.waiting, results, finished, is_kept),
    )


def gone_after(
    journal: Journal, report: Report, namespace: str, run: RunRecord, *, narrowed: bool
) -> Callable[[TagKey], bool]:
    """Whether a tag of which a run has no result does not exist any more; see `finish_run`."""
    saw_all = not (narrowed or report.unseen(namespace) or shares_group(journal, run))
    return lambda key: saw_all and belongs_to(namespace, key, report.deployment, report.shard)


def bad_rollouts_after(before: Iterable[BadRollout], report: Report, namespace: str) -> tuple[BadRollout, ...]:
    """The workloads whose last rollout was bad, after a run, as far as they follow tags of the namespace."""
    own_tags = [tag for tag in report.tags if tag.namespace == namespace]
    digests = {
        (tag.stream, name): tag.after.digest if tag.after else ""
        for tag in own_tags
        for name in (tag.tag, *tag.moved_with)
    }
    # The tag that an alias follows is recorded beside it: it is the one that runs have a result of.
    owners = {(tag.stream, alias): (tag.stream, tag.tag) for tag in own_tags for alias in tag.moved_with}
    bad = {}
    for earlier in before:
        # A tag that has moved on, as by a rollback, says nothing of that image any more.
        still = {key: digest for key, digest in earlier.digests.items() if digests.get(key, digest) in ("", digest)}
        if still and earlier.key not in report.gone_workloads:
            bad[earlier.key] = replace(earlier, digests=still)
    for rollout in report.rollouts:
        key = rollout.namespace, rollout.kind, rollout.name
        tags = [(name.stream, name.tag) for name in rollout.tags if name.namespace == namespace]
        previous = bad.pop(key, None)
        if rollout.is_bad and tags:
            known = previous.digests if previous else {}
            names = (*tags, *(owners[tag] for tag in tags if tag in owners))
            bad[key] = BadRollout(*key, {**known, **{name: digests.get(name) or known.get(name, "") for name in names}})
    return tuple(bad.values())[-MOST_BAD_ROLLOUTS:]


def _finished(run: RunRecord, report: Report, namespace: str, results: Sequence[TagResult]) -> RunRecord:
    """The record of a run that has ended."""
    updated = [
        (
            f"{tag.stream}:{tag.tag}",
            tag.before.revision if tag.before else None,
            tag.after.revision if tag.after else None,
        )
        for tag in results
        if tag.result is Result.UPDATED
    ]
    counts = Counter(tag.result for tag in results)
    return replace(
        run,
        outcome=str(report.outcomes[namespace]),
        finished_at=report.finished_at,
        exit_status=report.exit_status,
        counts={str(result): counts[result] for result in Result if counts[result]},
        updated=tuple(updated[:MOST_UPDATED_A_RUN]),
        moves=_moves_of(report, results)[:MOST_MOVES_A_RUN],
    )


def _moves_of(report: Report, results: Sequence[TagResult]) -> tuple[Move, ...]:
    """The tags that the run left on another image than they had before."""
    moved = Result.ROLLED_BACK if report.command is Command.ROLLBACK else Result.UPDATED
    return tuple(
        Move(tag.stream, tag.tag, tag.before.digest if tag.before else None, tag.after.digest, tag.wave)
        for tag in results
        if tag.result is moved and tag.after
    )


def _tags_after(journal: Journal, results: Iterable[TagResult], finished: float) -> dict[TagKey, TagRecord]:
    """The records of the tags that a run took, which ended at `finished` (Unix seconds)."""
    records = {}
    for tag in results:
        key = tag.stream, tag.tag
        before = journal.tags.get(key, TagRecord())
        if tag.result in (Result.UPDATED, Result.UNCHANGED):
            records[key] = TagRecord(finished)
        elif not tag.was_tried:
            records[key] = before
        elif tag.result is Result.FAILED:
            records[key] = TagRecord(before.last_success, before.failed_runs + 1)
        elif before.last_success is not None:
            records[key] = TagRecord(before.last_success)
    return records


def _images_after(images: Mapping[str, ImageFacts], results: Iterable[TagResult]) -> dict[str, ImageFacts]:
    """Facts of images with those that a run learned last."""
    known = dict(images)
    for tag in results:
        for image in (tag.before, tag.after):
            if image and (image.created or image.revision or image.version):
                known.pop(image.digest, None)
                known[image.digest] = ImageFacts(
                    image.created, image.revision, image.version, repository_url=image.repository_url
                )
    return known


def is_overtaken(journal: Journal, run_id: str) -> bool:
    """Whether a later run counted this one as killed, although it was only suspended; see `start_run`."""
    return any(run.id == run_id and run.outcome == Outcome.ABORTED and not run.finished_at for run in journal.runs)


def is_superseded(journal: Journal, run: RunRecord) -> bool:
    """Whether a run began after this one that publishes all of the same metrics group."""
    ids = [past.id for past in journal.runs]
    later = journal.runs[: ids.index(run.id)] if run.id in ids else ()
    return any(
        (past.deployment, past.shard, past.command) == (run.deployment, run.shard, Command.RUN)
        and not past.narrowed
        and past.outcome != Outcome.FROZEN
        for past in later
    )


def shares_group(journal: Journal, run: RunRecord) -> bool:
    """Whether another CronJob's runs are of the same metrics group, as of two that split a deployment by SELECTOR.

    Such a run does not see the other's tags, and must not count them as gone.
    """
    kind = run.deployment, run.shard, Command.RUN, False
    owners = {
        past.cron_job
        for past in (run, *journal.runs)
        if past.cron_job and (past.deployment, past.shard, past.command, past.narrowed) == kind
    }
    return len(owners) > 1


def _bounded(runs: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
    """The last runs, and of each kind at least its last few: an hourly job must not push out a weekly one's."""
    kept, of_kind = [], Counter[tuple[str | None, Shard | None, str, bool]]()
    with_moves = 0
    for number, run in enumerate(runs):
        kind = run.deployment, run.shard, run.command, run.narrowed
        of_kind[kind] += 1
        with_moves += bool(run.moves)
        if with_moves > MOST_RUNS_WITH_MOVES:
            run = replace(run, moves=())
        if number < MOST_RUNS or of_kind[kind] <= LEAST_RUNS_OF_A_KIND:
            kept.append(run)
    return tuple(kept[: 2 * MOST_RUNS])


def belongs_to(namespace: str, key: TagKey, deployment: str | None, shard: Shard | None) -> bool:
    """Whether a run of that deployment and shard would have found the tag if it still existed."""
    stream, tag = key
    return deployment in (None, tag) and in_share(namespace, stream, shard)
