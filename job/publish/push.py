"""The metrics of a run on their way to a gateway: what is remembered of them, the push, and what must go.

Loaded only where a gateway is set.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Mapping, Sequence

from job.cluster import CRON_JOBS
from job.config.settings import GatewaySettings
from job.domain.model import BadRollout, TriggerKind
from job.domain.records import replace
from job.domain.scope import Shard
from job.journal.records import Journal, bad_rollouts_after, belongs_to, group_key, is_superseded, shares_group
from job.journal.store import JournalStore
from job.publish.metric_families import GATE_START, Past
from job.publish.pushgateway import Gateway, GatewayError, Group, group_of, is_group, push
from job.publish.sink import Publication

log = logging.getLogger(__name__)


# A later run that takes the lock needs longer than this until it pushes.
UNDISTURBED_SECONDS = 2.0


def push_metrics(publication: Publication, settings: GatewaySettings) -> None:
    """Push a run's metrics, and remove those of what the job no longer pushes."""
    run, report = publication.run, publication.report
    pasts = {
        namespace: past_of(
            entry.before,
            namespace,
            report.deployment,
            report.shard,
            bad_rollouts_after(entry.before.bad_rollouts, report, namespace),
        )
        for namespace, entry in publication.entries.items()
        if entry.before is not None
    }
    gateway = Gateway(settings)
    try:
        overtaken = functools.partial(_is_overtaken, publication)
        shared = functools.partial(_is_shared, publication)
        push(report, gateway, pasts, narrowed=run.settings.narrowed, overtaken=overtaken, shared=shared)
        if not settings.aggregation and not run.settings.narrowed:
            _remove_stale(publication, gateway)
    finally:
        gateway.close()


def push_notifications(publication: Publication, settings: GatewaySettings, results: Mapping[str, int]) -> None:
    """Push how many messages of a run were sent and how many failed, into the group of its first namespace."""
    gateway = Gateway(settings)
    try:
        gateway.count_notifications(publication.report, publication.report.namespaces[0], results)
    except GatewayError as error:
        log.error("what became of the messages was not pushed: %s", error)
    finally:
        gateway.close()


def _is_shared(publication: Publication, namespace: str) -> bool:
    entry = publication.entries.get(namespace)
    return entry is not None and entry.before is not None and shares_group(entry.before, entry.record)


def _is_overtaken(publication: Publication, namespace: str) -> bool:
    """Whether a later run publishes the namespace's metrics, so that this run's would overwrite newer ones."""
    if namespace in publication.overtaken:
        return True
    entry, released_at = publication.entries.get(namespace), publication.released_at
    if entry is None or released_at is None or time.monotonic() - released_at < UNDISTURBED_SECONDS:
        return False
    journal = entry.store.read()
    if journal is None or not is_superseded(journal, entry.record):
        return False
    log.warning("metrics of %s are left to the run that has begun since", namespace)
    return True


def past_of(
    journal: Journal,
    namespace: str,
    deployment: str | None,
    shard: Shard | None,
    bad_rollouts: Sequence[BadRollout] = (),
) -> Past:
    """What the journal of a namespace knows of the metrics of a group; `bad_rollouts` are those after the run."""
    last_success = journal.groups.get(group_key(deployment, shard))
    tags = {key: record for key, record in journal.tags.items() if belongs_to(namespace, key, deployment, shard)}
    return Past(
        {
            "last_success_timestamp_seconds": {} if last_success is None else {(): last_success},
            "tag_last_success_timestamp_seconds": {
                key: record.last_success for key, record in tags.items() if record.last_success is not None
            },
            "tag_failed_runs": {key: record.failed_runs for key, record in tags.items()},
            GATE_START: {
                key: image.held_since
                for key, image in journal.waiting.items()
                if belongs_to(namespace, key, deployment, shard)
            },
        },
        frozenset(
            (rollout.kind, rollout.name)
            for rollout in bad_rollouts
            if any(belongs_to(namespace, key, deployment, shard) for key in rollout.digests)
        ),
    )


def _remove_stale(publication: Publication, gateway: Gateway) -> None:
    """Delete the groups that this CronJob has pushed and no longer does: of namespaces, deployments, shards gone.

    The journal of the pod's own namespace lists them. Of several shards the first one does it for all.
    """
    run, report = publication.run, publication.report
    owner, home = run.trigger.owner, publication.environment.get("POD_NAMESPACE", "").strip()
    if run.trigger.kind is not TriggerKind.SCHEDULED:
        # A Job made by hand may have been given another deployment, once.
        return
    if owner is None or owner.kind != CRON_JOBS.kind or not home or (report.shard and report.shard.index):
        return
    shards: Sequence[Shard | None] = [None]
    if report.shard:
        shards = [Shard(index, report.shard.count) for index in range(report.shard.count)]
    now = [group_of(namespace, report.deployment, shard) for namespace in report.namespaces for shard in shards]
    entry = publication.entries.get(home)
    store = entry.store if entry else JournalStore(run.cluster, home)
    journal = store.read()
    if journal is None:
        return
    before: Sequence[Group] = journal.pushed.get(owner.name, ())
    remaining = list(now)
    for group in before:
        if group in now:
            continue
        if not is_group(group):
            log.warning("the journal names a metrics group of another job; it is left alone")
            continue
        try:
            gateway.delete(group)
            log.info("the metrics of %s were removed: this job no longer pushes them", ", ".join(group.values()))
        except GatewayError as error:
            remaining.append(group)
            log.error("the metrics of %s were not removed: %s", ", ".join(group.values()), error)
    if remaining != list(before):
        store.update(lambda journal: replace(journal, pushed={**journal.pushed, owner.name: tuple(remaining)}))
