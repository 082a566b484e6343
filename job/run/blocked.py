"""Blocked images: where one already is, and what rollbacks and releases change of the list."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence

from job.cluster import IMAGE_STREAMS, Cluster
from job.domain.errors import ImportImagesError
from job.domain.holds import Terms
from job.domain.model import Stream, TagName
from job.domain.records import dataclass, replace
from job.domain.rules import BlockRule, Rules, with_blocked
from job.imagestreams.api_types import stream_from
from job.imagestreams.descriptions import Describer
from job.journal.rules_store import RulesStore
from job.run.context import Context

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A tag that has a blocked image."""

    name: TagName
    digest: str
    rule: BlockRule


def running_blocked(where: Context, namespace: str, rules: Rules) -> tuple[Running, ...]:
    """The tags of a namespace that have a blocked image; without blocked images nothing is asked.

    Raises:
        ClusterError: its streams cannot be listed.
    """
    if not rules.blocked:
        return ()
    streams = where.patient(lambda: [stream_from(data) for data in where.cluster.list(IMAGE_STREAMS, namespace)])
    describer = Describer(where.cluster, where.stopping)
    if any(rule.revision for rule in rules.blocked):
        # A stream has only digests; from which revision an image was built is asked for.
        wanted = dict.fromkeys((s.namespace, s.name, t.current.digest) for s in streams for t in s.tags if t.current)
        describer.describe_all(wanted, where.settings.concurrency)
    return tuple(_running(streams, rules, describer))


def _running(streams: Iterable[Stream], rules: Rules, describer: Describer) -> Iterable[Running]:
    for stream in streams:
        for tag in stream.tags:
            if tag.current is None:
                continue
            facts = describer.facts(tag.current.digest)
            if rule := rules.blocking(tag.current.digest, facts.revision if facts else None):
                yield Running(TagName(stream.namespace, stream.name, tag.name), tag.current.digest, rule)


def rule_of_rollback(digest: str, terms: Terms) -> BlockRule:
    """The rule that keeps out an image that a tag was rolled back from, for as long as the tag is to be held."""
    # Written to the second, so that what is read again is the same.
    at = terms.at.replace(microsecond=0)
    return BlockRule(digest=digest, reason=terms.reason, by=terms.by, at=at, until=terms.until)


def block_left(cluster: Cluster, namespace: str, rules: Sequence[BlockRule]) -> str | None:
    """Block images that tags were rolled back from; what is blocked already keeps its terms.

    Returns:
        Why they are not blocked. The tags are held all the same, so this is no failure of the rollback.
    """

    def change(now: Rules) -> Rules:
        lasting = {rule.what for rule in now.in_force(rules[0].at).blocked} if rules[0].at else set()
        return with_blocked(now, [rule for rule in rules if rule.what not in lasting])

    if not rules:
        return None
    try:
        RulesStore(cluster, namespace).update(change)
    except ImportImagesError as error:
        log.warning("%s: not blocked, so that another tag may import it: %s", namespace, error)
        return str(error)
    log.info("%s: blocked: %s", namespace, ", ".join(dict.fromkeys(rule.what for rule in rules)))
    return None


def unblock(cluster: Cluster, namespace: str, blocked: Collection[BlockRule]) -> Rules:
    """Take rules off the list, before a tag that gets such an image is released; returns the rules that stay.

    Raises:
        RulesError: a rule cannot be read.
        ClusterError: the API refuses it.
    """
    names = {rule.what for rule in blocked}

    def change(now: Rules) -> Rules:
        return replace(now, blocked=tuple(rule for rule in now.blocked if rule.what not in names))

    after = RulesStore(cluster, namespace).update(change).after
    log.info("%s: unblocked: %s", namespace, ", ".join(sorted(names)))
    return after
