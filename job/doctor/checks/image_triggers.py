"""Triggers that do not fire, or will not do what they were meant for, and workloads that have none.

`job.workloads.image_triggers` knows which mistakes there are; here each is reported with the command that fixes it.
OpenShift reports none of them: a trigger that it cannot read is one line in a controller's log.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from job.cluster.unstructured import object_in, objects_in
from job.doctor.checks import Finding, Severity, not_checked
from job.doctor.checks.templates import Bare, KnownTags, Names, Shape
from job.doctor.checks.trigger_fixes import Mending, is_annotated, set_triggers
from job.domain.model import TagName
from job.domain.shell import oc, ours
from job.workloads.image_triggers import Workload, folded

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def of_workload(
    workload: Workload, shape: Shape | None, known: KnownTags, names: Names, bare: Bare | None = None
) -> list[Finding]:
    """What is wrong with the triggers of one workload.

    All findings whose mend writes the annotation have the same command, since it writes the whole of it: by one each
    the last would undo the others. A trigger that is paused stays so, but by the mend of just that, which does the rest
    as well.
    """
    shape = shape or Shape(workload.resource, workload.namespace, workload.name)

    def found(severity: Severity, check: str, message: str, *mend: str) -> Finding:
        return Finding(severity, check, workload.namespace, str(workload), message, mend)

    problems = dict.fromkeys(each.problem for each in workload.follows if each.problem)
    if workload.problem:
        problems.setdefault(workload.problem)
    mending = Mending(workload, shape, known, names, bare)
    mended = mending.everything()
    findings = [found(ERROR, "trigger-never-fires", str(problem), mended) for problem in problems]
    if pause := _ignored_pauses(shape.annotation):
        severity, told = pause
        findings.append(found(severity, "trigger-pause-ignored", told, mended))
    for each in workload.follows:
        tag = each.tag.seen_from(workload.namespace)
        if each.problem:
            continue
        if each.paused:
            told = f"its trigger on {tag} is paused: container {each.container} gets no new image"
            findings.append(found(NOTE, "trigger-paused", told, mending.resuming(each)))
        if not known.knows(each.tag):
            told = f"it follows {tag}, and whether there is such a tag cannot be seen"
            mend = oc(each.tag.namespace, "get", "imagestream", each.tag.stream)
            findings.append(not_checked(workload.namespace, str(workload), told, mend))
        elif each.tag not in known.images:
            told = f"it follows {tag}, and there is no such tag"
            findings.append(found(ERROR, "trigger-without-tag", told, mending.of_tag(each)))
        elif not known.images[each.tag] and each.tag not in known.broken:
            told = f"it follows {tag}, which has no image yet"
            findings.append(found(WARNING, "trigger-without-image", told, ours("run", each.tag)))
    return findings


def pulls_wanted(workload: Workload, shape: Shape | None, known: KnownTags) -> list[tuple[str, TagName]]:
    """What a workload pulls of other namespaces through the internal registry: the account, and the tag."""
    account = f"system:serviceaccount:{workload.namespace}:{shape.account if shape else 'default'}"
    tags = dict.fromkeys(each.tag for each in workload.follows)
    return [(account, tag) for tag in tags if tag.namespace != workload.namespace and tag in known.local]


def of_pull(workload: Workload, tag: TagName, user: str, allowed: bool | None) -> Finding | None:
    """Whether a trigger on another namespace's tag brings an image that can be pulled.

    Args:
        workload: the one that follows the tag.
        tag: of another namespace.
        user: the account of the workload's pods, by the API's name of it.
        allowed: whether that may pull; None: nobody could say.
    """
    if allowed:
        return None
    account = user.removeprefix("system:serviceaccount:")
    name = "pull-from-" + account.replace(":", "-")
    who = f"--serviceaccount={account}"
    mend = oc(tag.namespace, "create", "rolebinding", name, "--clusterrole=system:image-puller", who)
    where = tag.seen_from(workload.namespace)
    if allowed is None:
        told = f"it follows {where}, and whether account {account} may pull that cannot be asked"
        return not_checked(workload.namespace, str(workload), told, mend)
    told = f"it follows {where}, which account {account} may not pull: its pods will not start"
    return Finding(ERROR, "trigger-cannot-pull", workload.namespace, str(workload), told, (mend,))


def without_trigger(shapes: Collection[Shape], workloads: Collection[Workload], names: Names) -> list[Bare]:
    """The workloads that run the image of a tag and have no trigger for it."""
    known = {(each.resource.kind, each.namespace, each.name): each for each in workloads}
    found = []
    for shape in shapes:
        workload = known.get(shape.key)
        if workload is not None and workload.problem:
            # What its broken trigger is for is not known, and the trigger is told of.
            continue
        triggered = {each.container for each in workload.follows} if workload else set()
        broken = {each.tag for each in workload.follows if each.problem} if workload else set()
        uses = {
            container: use
            for container, image in shape.containers
            # With a broken trigger on that tag it has one, which does not find the container; that is told of.
            if container not in triggered and (use := names.used(shape, image)) and use[0] not in broken
        }
        if uses:
            found.append(Bare(shape, workload, uses))
    return found


def untriggered(found: Iterable[Bare], known: KnownTags, names: Names) -> list[tuple[Finding, TagName]]:
    """Each container without a trigger for the tag whose image it runs, with that tag."""
    told = []
    for bare in found:
        shape, workload = bare.shape, bare.workload
        for container, (tag, how) in bare.uses.items():
            where = tag.seen_from(shape.namespace)
            message = f"container {container} uses {where} {how}, without a trigger: no import redeploys it"
            if workload is not None and is_annotated(shape):
                mend = Mending(workload, shape, known, names, bare).everything()
            else:
                mend = set_triggers(shape, tag, container)
            finding = Finding(WARNING, "workload-without-trigger", shape.namespace, str(shape), message, (mend,))
            told.append((finding, tag))
    return told


def unfollowed(
    tags: Mapping[TagName, Collection[TagName]],
    followed: Collection[TagName],
    unseen: Sequence[str],
    hint: str = "",
    mends: Mapping[TagName, tuple[str, ...]] | None = None,
) -> list[Finding]:
    """Tags that no workload follows, so that an import changes nothing.

    Args:
        tags: those to import, each with the aliases that move along.
        followed: what workloads follow or use.
        unseen: the namespaces that could not be looked at, where a follower may be.
        hint: what else was not looked at.
        mends: what makes runs leave a tag alone.
    """
    left = ", ".join(filter(None, (f"the workloads of {', '.join(unseen)}" if unseen else "", hint)))
    told = "nothing that can be seen follows it, so importing it redeploys nothing"
    told += f" (not looked at: {left})" if left else ""
    severity = Severity.NOTE if unseen else Severity.WARNING
    return [
        Finding(
            severity,
            "tag-not-followed",
            tag.namespace,
            str(tag),
            told,
            (mends or {}).get(tag, ()),
        )
        for tag, aliases in tags.items()
        if tag not in followed and not any(alias in followed for alias in aliases)
    ]


def built_from(data: Mapping[str, Any]) -> set[TagName]:
    """The tags whose new images start a build, from the JSON of a BuildConfig."""
    namespace, spec = str(object_in(data, "metadata").get("namespace", "")), object_in(data, "spec")
    found = set()
    strategy = next((each for each in object_in(spec, "strategy").values() if isinstance(each, dict)), {})
    for trigger in objects_in(spec, "triggers"):
        if isinstance(trigger.get("imageChange"), dict):
            source = object_in(trigger, "imageChange", "from") or object_in(strategy, "from")
            stream, _, tag = str(source.get("name", "")).partition(":")
            found.add(TagName(str(source.get("namespace") or namespace), stream, tag or "latest"))
    return found


def _ignored_pauses(annotation: str | None) -> tuple[Severity, str] | None:
    """`pause`, as older web consoles wrote it: it is not `paused`, and OpenShift overlooks it."""
    try:
        value = json.loads(annotation or "")
    except (ValueError, RecursionError):
        return None
    entries = map(folded, value) if isinstance(value, list) else ()
    said = [str(entry["pause"]).lower() for entry in entries if "pause" in entry]
    if not said:
        return None
    told = 'a trigger has "pause", which is overlooked (it is called "paused")'
    return (WARNING, f"{told}: it fires all the same") if "true" in said else (NOTE, told)
