"""The metrics of a run on their way to a gateway: what is remembered of them, the push, and what must go.

Loaded only where a gateway is set, since it brings the Prometheus client along.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

from job.cluster import CRON_JOBS
from job.config.settings import GatewaySettings
from job.domain.model import Report, Shard, TriggerKind
from job.journal.records import Journal, belongs_to, group_key
from job.journal.store import JournalStore
from job.publish.metrics import Past
from job.publish.pushgateway import Gateway, GatewayError, Group, group_of, push
from job.run.context import Run

log = logging.getLogger(__name__)


def push_metrics(
    run: Run, report: Report, settings: GatewaySettings, home: str, overtaken: Collection[str] = ()
) -> None:
    """Push a run's metrics, and remove those of what the job no longer pushes.

    Args:
        run: the run.
        report: what became of it.
        settings: the gateway's.
        home: the namespace of the pod, if there is one.
        overtaken: namespaces of which a later run has told, or will.
    """
    pasts = {
        namespace: past_of(journal, namespace, report.deployment, report.shard)
        for namespace, journal in run.journals.items()
    }
    gateway = Gateway(settings)
    try:
        push(report, gateway, pasts, narrowed=run.settings.narrowed, overtaken=overtaken)
        if not settings.aggregation and not run.settings.narrowed:
            _remove_stale(run, report, gateway, home)
    finally:
        gateway.close()


def past_of(journal: Journal, namespace: str, deployment: str | None, shard: Shard | None) -> Past:
    """What the journal of a namespace knows of the metrics of a group."""
    last_success = journal.groups.get(group_key(deployment, shard))
    tags = {key: record for key, record in journal.tags.items() if belongs_to(namespace, key, deployment, shard)}
    return Past(
        {
            "last_success_timestamp_seconds": {} if last_success is None else {(): last_success},
            "tag_last_success_timestamp_seconds": {
                key: record.last_success for key, record in tags.items() if record.last_success is not None
            },
            "tag_failed_runs": {key: record.failed_runs for key, record in tags.items() if record.failed_runs},
        }
    )


def _remove_stale(run: Run, report: Report, gateway: Gateway, home: str) -> None:
    """Delete the groups that this CronJob has pushed and no longer does: of namespaces, deployments, shards gone.

    The journal of the pod's own namespace lists them. Of several shards the first one does it for all.
    """
    owner = run.trigger.owner
    if run.trigger.kind is not TriggerKind.SCHEDULED:
        # A Job made by hand may have been given another deployment, once.
        return
    if owner is None or owner.kind != CRON_JOBS.kind or not home or (report.shard and report.shard.index):
        return
    shards: Sequence[Shard | None] = [None]
    if report.shard:
        shards = [Shard(index, report.shard.count) for index in range(report.shard.count)]
    now = [group_of(namespace, report.deployment, shard) for namespace in report.namespaces for shard in shards]
    memory = run.memories.get(home) or JournalStore(run.cluster, home)
    journal = memory.read()
    if journal is None:
        return
    before: Sequence[Group] = journal.pushed.get(owner.name, ())
    left = list(now)
    for group in before:
        if group in now:
            continue
        try:
            gateway.delete(group)
            log.info("the metrics of %s were removed: this job no longer pushes them", ", ".join(group.values()))
        except GatewayError as error:
            left.append(group)
            log.error("the metrics of %s were not removed: %s", ", ".join(group.values()), error)
    if left != list(before):
        memory.update(lambda journal: replace(journal, pushed={**journal.pushed, owner.name: tuple(left)}))
