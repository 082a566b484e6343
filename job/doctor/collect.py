"""Collect the facts that the checks judge, part by part. Nothing is written to the cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from job.cluster.whoami import current_user
from job.doctor.access_reviews import Review, allowed
from job.doctor.checks.gates import proven_uses
from job.doctor.checks.image_triggers import pulls_wanted, without_follower
from job.doctor.checks.rbac import uses_of
from job.doctor.facts import ChosenStream, Facts, Part, Pull
from job.doctor.readers import (
    ask_registries,
    choose_tags,
    know_tags,
    read_builds,
    read_more_shapes,
    read_shapes,
    read_streams,
    why_whole,
)
from job.doctor.rights import PROVEN, Right, wanted
from job.doctor.templates import Available, KnownTags
from job.domain.errors import ClusterError
from job.domain.model import Command, Reason, Skip, TagName
from job.domain.records import replace
from job.imagestreams.api_types import spelt_repository
from job.imagestreams.lookup import Question
from job.journal.rules_store import RulesError
from job.run.blocked import running_blocked
from job.run.context import Context, nothing_matches
from job.run.engine import start
from job.run.rules import read_rules
from job.runtime.progress import Progress

log = logging.getLogger(__name__)


def collect(where: Context, parts: Collection[Part], progress: Progress) -> Facts:
    """Read the facts.

    Args:
        where: settings and cluster.
        parts: those that the checks need.
        progress: gets what is read.

    Raises:
        UsageError: no tag matches.
        ClusterError: the API cannot be used at all.
        StoppedError: the command is to stop.
    """
    me = current_user(where.cluster)
    try:
        namespaces = start(where, command=Command.DOCTOR, environment=os.environ).namespaces
    except ClusterError as error:
        if error.reason is not Reason.FORBIDDEN:
            raise
        return Facts(where.settings, me=me, no_namespaces=str(error))
    facts = Facts(where.settings, me=me, namespaces=namespaces)
    wanted = [part for part in Part if part in parts]
    for part in wanted:
        progress.begin(f"reading {part}")
        facts = COLLECTORS[part](where, facts)
    return facts


def _streams(where: Context, facts: Facts) -> Facts:
    streams, errors = read_streams(where, facts.namespaces)
    chosen = choose_tags(where, streams)
    if not chosen and not errors:
        raise nothing_matches(facts.namespaces, where.settings.wanted)
    return replace(facts, streams=streams, unlisted=errors, chosen=tuple(chosen))


def _cron_jobs(where: Context, facts: Facts) -> Facts:
    shapes, jobs = read_shapes(where, facts.namespaces)
    own = [job for job in jobs if any(job.imports(name, facts.deployment) for name in facts.namespaces)]
    return replace(facts, shapes=tuple(shapes), cron_jobs=tuple(own))


def _rights(where: Context, facts: Facts) -> Facts:
    reviews = {
        (namespace, user): {
            right: Review(namespace, right, None if user == facts.me else user) for _, right in wanted(user, namespace)
        }
        for namespace, user in uses_of(facts)
    }
    answers = allowed(where, [review for of_user in reviews.values() for review in of_user.values()])
    rights = {key: {right: answers[review] for right, review in of_user.items()} for key, of_user in reviews.items()}
    return replace(facts, rights=rights)


def _registries(where: Context, facts: Facts) -> Facts:
    chosen = [stream for stream in facts.chosen if stream.stream.namespace in facts.may_import]
    imports, earlier_images = ask_registries(where, chosen)
    cut = {answer.tag for answer in imports if answer.is_cut}
    restorable = _images_of(where, _removed(chosen))
    return replace(
        facts,
        imports=imports,
        earlier_images=earlier_images,
        whole=why_whole(where, chosen, cut),
        restorable=restorable,
    )


def _removed(chosen: Sequence[ChosenStream]) -> dict[TagName, Question]:
    """For each tag that is gone from its spec: the image of that tag in the repository that its images came from."""
    questions: dict[TagName, Question] = {}
    for stream in chosen:
        insecure = any((tag.import_policy or {}).get("insecure") is True for tag in stream.stream.tags)
        for tag in stream.those(Skip.REMOVED):
            name, policy = stream.name(tag), {"insecure": True} if insecure else {}
            questions[name] = Question(name.namespace, name.stream, f"{tag.origin}:{tag.name}", policy)
    return questions


def _images_of(where: Context, questions: Mapping[TagName, Question]) -> dict[TagName, Available]:
    """The images that the registries have, of those that are asked for."""
    answers = where.look_up(list(questions.values())) if questions else {}
    return {
        tag: Available(question.source, question.policy.get("insecure") is True)
        for tag, question in questions.items()
        if answers[question].image
    }


def _triggers(where: Context, facts: Facts) -> Facts:
    survey = where.survey(facts.namespaces)
    facts = replace(facts, workloads=survey.workloads, errors=survey.errors, unseen=survey.left_out)
    meant = facts.meant_workloads
    outside = read_more_shapes(where, [workload for workload in meant if workload.namespace not in facts.namespaces])
    known = know_tags(where, facts.streams, meant)
    broken = frozenset(answer.tag for answer in facts.imports if answer.policy.digest is None)
    known = replace(known, broken=broken, available=_available(where, facts, known))
    shapes = {shape.key: shape for shape in (*facts.shapes, *outside)}
    pulls = []
    for workload in meant:
        shape = shapes.get((workload.resource.kind, workload.namespace, workload.name))
        pulls += [(workload, account, tag) for account, tag in pulls_wanted(workload, shape, known)]
    reviews = [Review(tag.namespace, _pull_right(tag), account) for _, account, tag in pulls]
    answers = allowed(where, reviews)
    pulls_reviewed = zip(pulls, reviews, strict=True)
    may_pull = tuple(
        Pull(workload, tag, account, answers[review]) for (workload, account, tag), review in pulls_reviewed
    )
    return replace(facts, outside=tuple(outside), known=known, pulls=may_pull)


def _pull_right(tag: TagName) -> Right:
    return Right("image.openshift.io", "imagestreams/layers", "get", tag.stream)


def _available(where: Context, facts: Facts, known: KnownTags) -> dict[TagName, Available]:
    """The missing tags that workloads follow, as far as the repository of their stream has an image for them."""
    followed = {
        follows.tag for workload in facts.meant_workloads for follows in workload.follows if not follows.problem
    }
    siblings = {(name.namespace, name.stream): name for name in sorted(known.sources, key=str)}
    questions: dict[TagName, Question] = {}
    for tag in followed:
        sibling = siblings.get((tag.namespace, tag.stream))
        if sibling and tag not in known.images and tag.namespace in facts.may_import:
            source = f"{spelt_repository(known.sources[sibling])}:{tag.tag}"
            policy = {"insecure": True} if sibling in known.insecure else {}
            questions[tag] = Question(tag.namespace, tag.stream, source, policy)
    return _images_of(where, questions)


def _builds(where: Context, facts: Facts) -> Facts:
    if not without_follower(facts):
        return facts
    built, unseen = read_builds(where, facts.namespaces)
    return replace(facts, built=frozenset(built), builds_unseen=unseen)


def _rules(where: Context, facts: Facts) -> Facts:
    """The rules, and the tags that have a blocked image already."""
    now = datetime.now(UTC)
    for namespace in facts.namespaces:
        try:
            answer = read_rules(where, [namespace])[namespace]
            if isinstance(answer, ClusterError):
                raise answer
            rules = answer.in_force(now)
            running = tuple((image.name, image.rule) for image in running_blocked(where, namespace, rules))
        except RulesError as error:
            lines = ((namespace, line) for line in error.errors[:-1])
            facts = replace(facts, bad_rules=(*facts.bad_rules, *lines))
        except ClusterError as error:
            facts = replace(facts, unread_rules=(*facts.unread_rules, (namespace, str(error))))
        else:
            facts = replace(facts, rules={**facts.rules, namespace: rules}, blocked=(*facts.blocked, *running))
    return facts


def _gates(where: Context, facts: Facts) -> Facts:
    """What the accounts may read where images prove themselves, and what the queries of VERIFY say now."""
    reviews = {
        (use.namespace, use.user): {
            right: Review(use.namespace, right, None if use.user == facts.me else use.user) for right in PROVEN
        }
        for use in proven_uses(facts)
    }
    answers = allowed(where, [review for of_user in reviews.values() for review in of_user.values()]) if reviews else {}
    rights = {key: {right: answers[review] for right, review in of_user.items()} for key, of_user in reviews.items()}
    facts = replace(facts, proven_rights=rights)
    verification = where.settings.verification
    if verification is None:
        return facts
    from job.doctor.query_probe import ask

    return replace(facts, queries=ask(verification, where.stopping))


def _gateway(where: Context, facts: Facts) -> Facts:
    settings = where.settings.gateway
    if settings is None:
        return facts
    from job.doctor.gateway_probe import probe

    log.info("probing %s: one group is pushed and deleted again", settings.url)
    return replace(facts, probed=probe(settings))


def _clock(where: Context, facts: Facts) -> Facts:
    return replace(facts, clock_skew=where.cluster.clock_skew)


COLLECTORS: Mapping[Part, Callable[[Context, Facts], Facts]] = {
    Part.STREAMS: _streams,
    Part.CRON_JOBS: _cron_jobs,
    Part.RIGHTS: _rights,
    Part.REGISTRIES: _registries,
    Part.TRIGGERS: _triggers,
    Part.BUILDS: _builds,
    Part.RULES: _rules,
    Part.GATES: _gates,
    Part.GATEWAY: _gateway,
    Part.CLOCK: _clock,
}
