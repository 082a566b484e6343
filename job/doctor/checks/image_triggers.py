"""Triggers that do not fire, or will not do what they were meant for, and workloads that have none.

`job.workloads.image_triggers` knows which mistakes there are; here each is reported with the command that fixes it.
OpenShift reports none of them: a trigger that it cannot read is one line in a controller's log.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from job.cluster.unstructured import object_in, objects_in
from job.doctor.checks import Finding, not_checked
from job.doctor.checks.tags import opt_out
from job.doctor.checks.trigger_fixes import TriggerFixes, is_annotated, set_triggers
from job.doctor.facts import Facts
from job.doctor.templates import KnownTags, Names, Shape, UntriggeredWorkload
from job.domain.model import Skip, TagName
from job.domain.selection import aliases_of
from job.domain.shell import DRY_RUN, oc, ours, piped
from job.domain.sources import copied_from
from job.domain.states import Severity
from job.imagestreams.api_types import stream_from
from job.workloads.image_triggers import Workload, folded

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def check(facts: Facts) -> list[Finding]:
    """Judge the triggers of every workload that matters, containers without one, and tags without followers."""
    every = _names_of_all(facts)
    shapes = {shape.key: shape for shape in (*facts.shapes, *facts.outside)}
    bare = without_trigger(facts.shapes, facts.workloads, _names_of_chosen(facts))
    bare_by_key = {untriggered_workload.shape.key: untriggered_workload for untriggered_workload in bare}
    problems: list[Finding] = []
    for workload in facts.meant_workloads:
        key = workload.resource.kind, workload.namespace, workload.name
        problems += of_workload(workload, shapes.get(key), facts.known, every, bare_by_key.get(key))
    problems += [
        finding for pull in facts.pulls if (finding := of_pull(pull.workload, pull.tag, pull.account, pull.allowed))
    ]
    problems += [finding for finding, _ in untriggered(bare, facts.known, every)]
    hint = "BuildConfigs" if facts.builds_unseen else ""
    fixes = {
        stream.name(tag): opt_out(stream.data, stream.name(tag))
        for stream in facts.chosen
        for tag in stream.those(None, Skip.HELD)
    }
    return [*problems, *unfollowed(_imported(facts), _followed(facts) | facts.built, facts.unseen, hint, fixes)]


def without_follower(facts: Facts) -> bool:
    """Whether no workload follows some tag, so that builds may be what it is imported for."""
    return bool(unfollowed(_imported(facts), _followed(facts), facts.unseen))


def _names_of_chosen(facts: Facts) -> Names:
    names = Names()
    for stream in facts.chosen:
        names.add(stream.data, [tag.name for tag in stream.those(None, Skip.HELD, Skip.PINNED, Skip.NO_SOURCE)])
    return names


def _names_of_all(facts: Facts) -> Names:
    names = Names()
    for data in (data for streams in facts.streams.values() for data in streams):
        names.add(data, [tag.name for tag in stream_from(data).tags])
    return names


def _imported(facts: Facts) -> dict[TagName, list[TagName]]:
    """The tags to import, each with its aliases and copies; not of namespaces whose workloads cannot be listed."""
    refused = {error.namespace for error in facts.errors}
    copies: dict[TagName, list[TagName]] = {}
    for stream in (stream_from(data) for streams in facts.streams.values() for data in streams):
        for tag in stream.tags:
            if origin := copied_from(stream, tag):
                copies.setdefault(origin, []).append(TagName(stream.namespace, stream.name, tag.name))
    return {
        stream.name(tag): [
            *(
                TagName(stream.stream.namespace, stream.stream.name, alias)
                for alias in aliases_of(stream.stream, tag.name)
            ),
            *copies.get(stream.name(tag), ()),
        ]
        for stream in facts.chosen
        if stream.stream.namespace not in refused
        for tag in stream.those(None, Skip.HELD)
    }


def _followed(facts: Facts) -> set[TagName]:
    """The tags that a workload follows, or whose image one uses."""
    bare = without_trigger(facts.shapes, facts.workloads, _names_of_chosen(facts))
    used = {tag for workload in bare for tag, _ in workload.uses.values()}
    return used | {follows.tag for workload in facts.workloads for follows in workload.follows}


def of_workload(
    workload: Workload, shape: Shape | None, known: KnownTags, names: Names, bare: UntriggeredWorkload | None = None
) -> list[Finding]:
    """What is wrong with the triggers of one workload.

    All findings whose fix writes the annotation have the same command, which writes the whole of it: with one command
    each, the last would undo the others. A paused trigger stays paused, except by the fix of that very finding, which
    does the rest as well.
    """
    shape = shape or Shape(workload.resource, workload.namespace, workload.name)

    def finding_of(severity: Severity, check: str, message: str, *fix: str) -> Finding:
        return Finding(severity, check, workload.namespace, str(workload), message, fix)

    problems = dict.fromkeys(follow.problem for follow in workload.follows if follow.problem and not follow.awaits)
    if workload.problem:
        problems.setdefault(workload.problem)
    fixes = TriggerFixes(workload, shape, known, names, bare)
    whole = fixes.everything()
    findings = [finding_of(ERROR, "trigger-never-fires", str(problem), *whole) for problem in problems]
    if pause := _ignored_pauses(shape.annotation):
        severity, message = pause
        findings.append(finding_of(severity, "trigger-pause-ignored", message, *whole))
    for follow in workload.follows:
        tag = follow.tag.seen_from(workload.namespace)
        if follow.problem:
            continue
        if follow.paused:
            message = f"its trigger on {tag} is paused: container {follow.container} gets no new image"
            findings.append(finding_of(NOTE, "trigger-paused", message, *fixes.resuming(follow)))
        if not known.knows(follow.tag):
            message = f"it follows {tag}; whether that tag exists cannot be seen"
            inspect = oc(follow.tag.namespace, "get", "imagestream", follow.tag.stream)
            findings.append(not_checked(workload.namespace, str(workload), message, inspect))
        elif follow.tag not in known.images:
            message = f"it follows {tag}, which does not exist"
            findings.append(finding_of(ERROR, "trigger-without-tag", message, *fixes.of_tag(follow)))
        elif not known.images[follow.tag] and not known.broken & {follow.tag, known.imported.get(follow.tag)}:
            message = f"it follows {tag}, which has no image yet"
            # A run imports nothing into a tag that images are pushed to, or that is left alone.
            source = known.imported.get(follow.tag)
            fix = (ours("run", source),) if source else ()
            findings.append(finding_of(WARNING, "trigger-without-image", message, *fix))
    return findings


def pulls_wanted(workload: Workload, shape: Shape | None, known: KnownTags) -> list[tuple[str, TagName]]:
    """The tags of other namespaces that a workload pulls through the internal registry, each with its account."""
    account = f"system:serviceaccount:{workload.namespace}:{shape.account if shape else 'default'}"
    tags = dict.fromkeys(follow.tag for follow in workload.follows)
    return [(account, tag) for tag in tags if tag.namespace != workload.namespace and tag in known.local]


def of_pull(workload: Workload, tag: TagName, user: str, allowed: bool | None) -> Finding | None:
    """Whether a workload can pull the image that a trigger on another namespace's tag gives it.

    Args:
        workload: the follower of the tag.
        tag: of another namespace.
        user: the API's name of the account of the workload's pods.
        allowed: whether that account may pull; None where the API did not say.
    """
    if allowed:
        return None
    account = user.removeprefix("system:serviceaccount:")
    name = "pull-from-" + account.replace(":", "-")
    who = f"--serviceaccount={account}"
    bind = ("create", "rolebinding", name, "--clusterrole=system:image-puller", who, *DRY_RUN)
    fix = (piped(oc(tag.namespace, *bind), oc(tag.namespace, "apply", "-f", "-")),)
    where = tag.seen_from(workload.namespace)
    if allowed is None:
        message = f"it follows {where}; whether account {account} may pull that cannot be asked"
        return not_checked(workload.namespace, str(workload), message, fix=fix)
    message = f"it follows {where}, which account {account} may not pull: its pods will not start"
    return Finding(ERROR, "trigger-cannot-pull", workload.namespace, str(workload), message, fix)


def without_trigger(
    shapes: Collection[Shape], workloads: Collection[Workload], names: Names
) -> list[UntriggeredWorkload]:
    """The workloads that run the image of a tag and have no trigger for it."""
    known = {(follower.resource.kind, follower.namespace, follower.name): follower for follower in workloads}
    untriggered_workloads = []
    for shape in shapes:
        workload = known.get(shape.key)
        if workload is not None and workload.problem:
            # The tag of its broken trigger is not known; the trigger itself is reported.
            continue
        triggered = {follow.container for follow in workload.follows} if workload else set()
        broken = {follow.tag for follow in workload.follows if follow.problem} if workload else set()
        uses = {
            container: use
            for container, image in shape.containers
            # A broken trigger on that tag does not find the container; the trigger itself is reported.
            if container not in triggered and (use := names.used(shape, image)) and use[0] not in broken
        }
        if uses:
            untriggered_workloads.append(UntriggeredWorkload(shape, workload, uses))
    return untriggered_workloads


def untriggered(
    untriggered_workloads: Iterable[UntriggeredWorkload], known: KnownTags, names: Names
) -> list[tuple[Finding, TagName]]:
    """Each container without a trigger for the tag whose image it runs, with that tag."""
    pairs = []
    for bare in untriggered_workloads:
        shape, workload = bare.shape, bare.workload
        for container, (tag, how) in bare.uses.items():
            where = tag.seen_from(shape.namespace)
            message = f"container {container} uses {where} {how}, without a trigger: no import redeploys it"
            if workload is not None and is_annotated(shape):
                fix = TriggerFixes(workload, shape, known, names, bare).everything()
            else:
                fix = set_triggers(shape, tag, container)
            finding = Finding(WARNING, "workload-without-trigger", shape.namespace, str(shape), message, fix)
            pairs.append((finding, tag))
    return pairs


def unfollowed(
    tags: Mapping[TagName, Collection[TagName]],
    followed: Collection[TagName],
    unseen: Sequence[str],
    hint: str = "",
    fixes: Mapping[TagName, tuple[str, ...]] | None = None,
) -> list[Finding]:
    """Tags that no workload follows, so that an import changes nothing.

    Args:
        tags: those to import, each with its aliases.
        followed: what workloads follow or use.
        unseen: namespaces that could not be read, where a follower may be.
        hint: what else could not be read.
        fixes: the commands that make runs skip a tag.
    """
    unread = ", ".join(filter(None, (f"the workloads of {', '.join(unseen)}" if unseen else "", hint)))
    message = "nothing that can be read follows it, so importing it redeploys nothing"
    message += f" (not readable: {unread})" if unread else ""
    severity = Severity.NOTE if unseen else Severity.WARNING
    return [
        Finding(
            severity,
            "tag-not-followed",
            tag.namespace,
            str(tag),
            message,
            (fixes or {}).get(tag, ()),
        )
        for tag, aliases in tags.items()
        if tag not in followed and not any(alias in followed for alias in aliases)
    ]


def built_from(data: Mapping[str, Any]) -> set[TagName]:
    """The tags whose new images start a build, from the JSON of a BuildConfig."""
    namespace, spec = str(object_in(data, "metadata").get("namespace", "")), object_in(data, "spec")
    images = set()
    strategy = next(
        (build_strategy for build_strategy in object_in(spec, "strategy").values() if isinstance(build_strategy, dict)),
        {},
    )
    for trigger in objects_in(spec, "triggers"):
        if isinstance(trigger.get("imageChange"), dict):
            source = object_in(trigger, "imageChange", "from") or object_in(strategy, "from")
            stream, _, tag = str(source.get("name", "")).partition(":")
            images.add(TagName(str(source.get("namespace") or namespace), stream, tag or "latest"))
    return images


def _ignored_pauses(annotation: str | None) -> tuple[Severity, str] | None:
    """`pause`, as older web consoles wrote it: OpenShift ignores it, since the field is `paused`."""
    try:
        value = json.loads(annotation or "")
    except (ValueError, RecursionError):
        return None
    entries = map(folded, value) if isinstance(value, list) else ()
    values = [str(entry["pause"]).lower() for entry in entries if "pause" in entry]
    if not values:
        return None
    message = 'a trigger has "pause", which is ignored (the field is "paused")'
    return (WARNING, f"{message}: it fires anyway") if "true" in values else (NOTE, message)
