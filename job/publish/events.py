"""A report as Kubernetes Events: one for each updated or failed tag, failures first, then a summary of the run.

At most `MOST` tags of a run get one, since Events are a shared and bounded store. An Event that repeats an existing one
raises that one's count, as Kubernetes' own components do.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from job.cluster import EVENTS, Cluster
from job.domain.errors import ClusterError
from job.domain.involved import Involved
from job.domain.model import JOURNAL, Image, Outcome, Reason, Report, Result, Rollout, TagResult
from job.domain.records import dataclass
from job.domain.text import clean, humanize
from job.domain.times import iso
from job.domain.verdicts import first_refusal
from job.publish.sink import Publication
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
    """The Events of a report; `run` is the CronJob or Job that the summary is about, if there is one."""
    failed = [tag for tag in report.tags if tag.result is Result.FAILED]
    broken = [rollout for rollout in report.rollouts if rollout.is_bad and rollout.namespace in report.namespaces]
    moved = sorted(
        (tag for tag in report.tags if tag.result in (Result.UPDATED, Result.ROLLED_BACK)),
        key=lambda tag: tag.result is not Result.ROLLED_BACK,
    )
    # An image that waits is no news in every run; an Event that says the same again raises the count of the first.
    gated = [tag for tag in report.tags if tag.result is Result.SKIPPED and first_refusal(tag.gates)]
    candidates = [*map(_of_tag, failed), *map(_of_rollout, broken), *map(_of_tag, moved), *map(_of_gate, gated)]
    events = candidates[:MOST]
    left_out = len(candidates) - len(events)
    if run is None and left_out:
        # There is neither CronJob nor Job to report how many were left out.
        run = Involved("v1", "ConfigMap", candidates[MOST].involved.namespace, JOURNAL)
    if run is not None:
        expected = report.outcome in (Outcome.SUCCESS, Outcome.FROZEN)
        message = summary(report) + (f"; {left_out} more tags changed or failed" if left_out else "")
        events.append(Event(run, f"Import{report.outcome.capitalize()}", message, warning=not expected))
    return tuple(events)


class EventsSink:
    """Writes the report as Events."""

    name = "Events"
    needs_lock = True

    def publish(self, publication: Publication) -> Publication:
        """See `Sink`."""
        run, report = publication.run, publication.report
        post(run.cluster, events_of(report, run.trigger.owner), report.finished_at)
        return publication


def _of_rollout(rollout: Rollout) -> Event:
    # Most runs have no Event about a rollout.
    from job.workloads.kinds import KINDS

    (api_version,) = (resource.api_version for resource in KINDS if resource.kind == rollout.kind)
    workload = Involved(api_version, rollout.kind, rollout.namespace, rollout.name)
    tags = ", ".join(name.seen_from(rollout.namespace) for name in rollout.tags)
    message = f"{humanize(rollout.result)} after the import of {tags}: {rollout.message or ''}"
    return Event(workload, "RolloutNotHealthy", message, warning=True)


def _of_tag(tag: TagResult) -> Event:
    stream = Involved("image.openshift.io/v1", "ImageStream", tag.namespace, tag.stream)
    if tag.result is Result.FAILED:
        return Event(stream, "ImportFailed", f"{tag.tag}: {tag.reason}: {tag.message}", warning=True)
    if tag.result is Result.ROLLED_BACK:
        message = f"{tag.tag}: back on {_named(tag.after)}: {tag.message or 'rolled back'}"
        return Event(stream, "ImageRolledBack", message, warning=True)
    more = f": {tag.message}" if tag.message else ""
    return Event(stream, "ImageImported", f"{tag.tag}: from {_named(tag.before)} to {_named(tag.after)}{more}")


def _of_gate(tag: TagResult) -> Event:
    refusal = first_refusal(tag.gates)
    assert refusal is not None
    stream = Involved("image.openshift.io/v1", "ImageStream", tag.namespace, tag.stream)
    held = f"{tag.tag}: {tag.reason}: gate {refusal.gate} holds {_named(tag.candidate)} back"
    if refusal.until:
        # How long still changes with every run, which would make another Event of each.
        where = f" ({refusal.where})" if refusal.where else ""
        return Event(stream, "ImageHeldBack", f"{held} until {iso(refusal.until)}{where}")
    return Event(stream, "ImageHeldBack", f"{held}: {refusal.message or refusal.verdict}")


def _named(image: Image | None) -> str:
    if image is None:
        return "nothing"
    return f"{image.digest} ({image.revision})" if image.revision else image.digest


def post(cluster: Cluster, events: Sequence[Event], now: datetime) -> None:
    """Write Events, each in the namespace of its object. Failures are warnings: a run does not depend on Events."""
    given_up: set[str] = set()
    for event in events:
        namespace = event.involved.namespace
        if namespace in given_up:
            continue
        try:
            _post(cluster, namespace, event, now)
        except ClusterError as error:
            advice = " (grant create, get and update on events)" if error.lacks_right else ""
            log.warning("an Event in %s was not written: %s%s", namespace, error, advice)
            if error.reason in (Reason.FORBIDDEN, Reason.UNAUTHORIZED, Reason.UNREACHABLE, Reason.TIMEOUT):
                # The next one would fail in the same way.
                given_up.add(namespace)


def _post(cluster: Cluster, namespace: str, event: Event, now: datetime) -> None:
    body = _body(namespace, event, now)
    for tries in range(1, TRIES + 1):
        try:
            if tries == 1:
                cluster.create(EVENTS, namespace, body)
                return
            existing = dict(cluster.get(EVENTS, namespace, body["metadata"]["name"]))
            existing["count"] = int(existing.get("count") or 1) + 1
            existing["lastTimestamp"] = body["lastTimestamp"]
            cluster.replace(EVENTS, namespace, existing)
            return
        except ClusterError as error:
            # It exists already, or another client has just raised its count.
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
    content = "\n".join((event.involved.kind, event.involved.name, event.reason, message))
    # The name follows from the content, so that a repetition raises the count of the existing Event.
    name = f"{event.involved.name[:200]}.{hashlib.sha256(content.encode()).hexdigest()[:16]}"
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
