"""A report as Kubernetes Events: one for each updated or failed tag, failures first, then a summary of the run.

At most `MOST` tags of a run get one, since Events are a shared and bounded store. An Event that says the same as one
that is there already is counted on it, as Kubernetes' own components do.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from job.cluster import CRON_JOBS, DEPLOYMENT_CONFIGS, EVENTS, Cluster
from job.domain.errors import ClusterError
from job.domain.model import JOURNAL, Image, Involved, Outcome, Reason, Report, Result, Rollout, TagResult
from job.domain.text import clean, humanize
from job.domain.times import iso
from job.views.documents import summary

log = logging.getLogger(__name__)

MOST = 50
LONGEST_MESSAGE = 1000
TRIES = 4
SOURCE = "import-images"


@dataclass(frozen=True, slots=True)
class Event:
    """One Event: `reason` is its CamelCase word, `warning` its type."""

    involved: Involved
    reason: str
    message: str
    warning: bool = False


def events_of(report: Report, run: Involved | None) -> tuple[Event, ...]:
    """The Events of a report; `run` is the CronJob or Job that a summary is about, if any is."""
    failed = [tag for tag in report.tags if tag.result is Result.FAILED]
    broken = [rollout for rollout in report.rollouts if rollout.is_bad and rollout.namespace in report.namespaces]
    moved = sorted(
        (tag for tag in report.tags if tag.result in (Result.UPDATED, Result.ROLLED_BACK)),
        key=lambda tag: tag.result is not Result.ROLLED_BACK,
    )
    each = [*map(_of_tag, failed), *map(_of_rollout, broken), *map(_of_tag, moved)]
    told = each[:MOST]
    left_out = len(each) - len(told)
    if run is None and left_out:
        # There is neither CronJob nor Job, but something has to tell of those that are left out.
        run = Involved("v1", "ConfigMap", each[MOST].involved.namespace, JOURNAL)
    if run is not None:
        well = report.outcome in (Outcome.SUCCESS, Outcome.FROZEN)
        message = summary(report) + (f"; {left_out} more tags changed or failed" if left_out else "")
        told.append(Event(run, f"Import{report.outcome.capitalize()}", message, warning=not well))
    return tuple(told)


def _of_rollout(rollout: Rollout) -> Event:
    workload = Involved(_API_VERSIONS.get(rollout.kind, "apps/v1"), rollout.kind, rollout.namespace, rollout.name)
    tags = ", ".join(name.seen_from(rollout.namespace) for name in rollout.tags)
    message = f"{humanize(rollout.result)} after the import of {tags}: {rollout.message or ''}"
    return Event(workload, "RolloutNotHealthy", message, warning=True)


_API_VERSIONS = {each.kind: each.api_version for each in (DEPLOYMENT_CONFIGS, CRON_JOBS)}


def _of_tag(tag: TagResult) -> Event:
    stream = Involved("image.openshift.io/v1", "ImageStream", tag.namespace, tag.stream)
    if tag.result is Result.FAILED:
        return Event(stream, "ImportFailed", f"{tag.tag}: {tag.reason}: {tag.message}", warning=True)
    if tag.result is Result.ROLLED_BACK:
        told = f"{tag.tag}: back on {_named(tag.after)}: {tag.message or 'rolled back'}"
        return Event(stream, "ImageRolledBack", told, warning=True)
    more = f": {tag.message}" if tag.message else ""
    return Event(stream, "ImageImported", f"{tag.tag}: from {_named(tag.before)} to {_named(tag.after)}{more}")


def _named(image: Image | None) -> str:
    if image is None:
        return "nothing"
    return f"{image.digest} ({image.revision})" if image.revision else image.digest


def post(cluster: Cluster, events: Sequence[Event], now: datetime) -> None:
    """Write Events, each in the namespace of what it is about. What fails is a warning: a run does not depend on it."""
    given_up: set[str] = set()
    for event in events:
        namespace = event.involved.namespace
        if namespace in given_up:
            continue
        try:
            _post(cluster, namespace, event, now)
        except ClusterError as error:
            advice = " (grant create, get and update on events)" if error.reason is Reason.FORBIDDEN else ""
            log.warning("an Event in %s was not written: %s%s", namespace, error, advice)
            if error.reason in (Reason.FORBIDDEN, Reason.UNAUTHORIZED, Reason.UNREACHABLE, Reason.TIMEOUT):
                # The next one would fare no better.
                given_up.add(namespace)


def _post(cluster: Cluster, namespace: str, event: Event, now: datetime) -> None:
    body = _body(namespace, event, now)
    for tries in range(1, TRIES + 1):
        try:
            if tries == 1:
                cluster.create(EVENTS, namespace, body)
                return
            there = dict(cluster.get(EVENTS, namespace, body["metadata"]["name"]))
            there["count"] = int(there.get("count") or 1) + 1
            there["lastTimestamp"] = body["lastTimestamp"]
            cluster.replace(EVENTS, namespace, there)
            return
        except ClusterError as error:
            # It is there already, or somebody else counted on it just now.
            if error.code != 409 or tries == TRIES:
                raise


def _body(namespace: str, event: Event, now: datetime) -> dict[str, Any]:
    message = clean(event.message, LONGEST_MESSAGE)
    involved: Mapping[str, str | None] = {
        "apiVersion": event.involved.api_version,
        "kind": event.involved.kind,
        "namespace": event.involved.namespace,
        "name": event.involved.name,
        "uid": event.involved.uid,
    }
    same = "\n".join((event.involved.kind, event.involved.name, event.reason, message))
    # The name says what is told, so that the same is counted and not told again.
    name = f"{event.involved.name[:200]}.{hashlib.sha256(same.encode()).hexdigest()[:16]}"
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {key: value for key, value in involved.items() if value},
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": message,
        "source": {"component": SOURCE},
        "reportingComponent": SOURCE,
        "count": 1,
        "firstTimestamp": iso(now),
        "lastTimestamp": iso(now),
    }
