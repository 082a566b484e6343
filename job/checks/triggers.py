"""Triggers that do not fire, or will not do what they were meant for, and workloads that have none.

Which mistakes there are is known to `job.workloads`; here they are told with the command that mends them. OpenShift
tells none of them: a trigger that it cannot read is one line in a controller's log.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from job.checks import Finding, Severity, not_checked
from job.checks.shapes import Names, Shape
from job.clusters import DEPLOYMENT_CONFIGS
from job.model import TagName
from job.remedies import oc, ours, reference
from job.workloads import TRIGGERS_ANNOTATION, Follows, Workload, object_in, objects_in

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@dataclass(frozen=True, slots=True)
class KnownTags:
    """The tags that there are.

    Attributes:
        images: each tag that is known, and whether it has an image.
        sources: where a tag of a stream is imported from, to tell what a missing one might follow.
        listed: the namespaces of which all streams are known.
        asked: streams of other namespaces that were asked for one by one, be they there or not.
        local: the tags whose images are pulled from the internal registry.
        broken: the tags that cannot be imported, which is told of them.
    """

    images: Mapping[TagName, bool]
    sources: Mapping[TagName, str] = field(default_factory=dict)
    listed: frozenset[str] = frozenset()
    asked: frozenset[tuple[str, str]] = frozenset()
    local: frozenset[TagName] = frozenset()
    broken: frozenset[TagName] = frozenset()

    def knows(self, tag: TagName) -> bool:
        """Whether it can be told if there is such a tag."""
        return tag.namespace in self.listed or (tag.namespace, tag.stream) in self.asked


@dataclass(frozen=True, slots=True)
class Bare:
    """A workload with containers that run the image of a tag, without a trigger for it.

    Attributes:
        workload: with the triggers that it has; None where it has none.
        uses: the tag of each such container, and in which way the template names it.
    """

    shape: Shape
    workload: Workload | None
    uses: Mapping[str, tuple[TagName, str]]


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
    mended = mend_triggers(workload, shape, known, names, bare)
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
            if _is_annotated(shape):
                resumed = _annotated(workload, _mended_entries(workload, shape, known, names, bare, resumes=True))
            else:
                resumed = _set_triggers(workload, each.tag, each.container)
            findings.append(found(NOTE, "trigger-paused", told, resumed))
        if not known.knows(each.tag):
            told = f"it follows {tag}, and whether there is such a tag cannot be seen"
            mend = oc(each.tag.namespace, "get", "imagestream", each.tag.stream)
            findings.append(not_checked(workload.namespace, str(workload), told, mend))
        elif each.tag not in known.images:
            told = f"it follows {tag}, and there is no such tag"
            findings.append(
                found(ERROR, "trigger-without-tag", told, _tag_mended(workload, shape, each, known, mended))
            )
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
            if workload is not None and _is_annotated(shape):
                mend = mend_triggers(workload, shape, known, names, bare)
            else:
                mend = _set_triggers(shape, tag, container)
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


def mend_triggers(workload: Workload, shape: Shape, known: KnownTags, names: Names, bare: Bare | None = None) -> str:
    """The command that puts all the triggers of a workload right, as far as it can be told what they were meant for.

    Args:
        workload: as it is.
        shape: what its template says.
        known: the tags that there are.
        names: what templates write for them.
        bare: its containers that lack a trigger, if there are such.
    """
    if workload.resource == DEPLOYMENT_CONFIGS or not shape.containers:
        first = next((each for each in workload.follows if each.problem), None)
        return _set_triggers(workload, first.tag if first else None, _container_of(shape, first, names))
    return _annotated(workload, _mended_entries(workload, shape, known, names, bare))


def _is_annotated(shape: Shape) -> bool:
    """Whether its triggers are in an annotation that can be written anew."""
    return shape.annotation is not None and bool(shape.containers)


def _set_triggers(workload: Workload | Shape, tag: TagName | None, container: str) -> str:
    words = ["set", "triggers", reference(workload.resource, workload.name)]
    source = tag.seen_from(workload.namespace) if tag else "STREAM:TAG"
    return oc(workload.namespace, *words, f"--from-image={source}", "-c", container or "CONTAINER")


def _annotated(workload: Workload, entries: Sequence[Mapping[str, Any]]) -> str:
    value = json.dumps(list(entries), separators=(",", ":"))
    where = reference(workload.resource, workload.name)
    return oc(workload.namespace, "annotate", "--overwrite", where, f"{TRIGGERS_ANNOTATION}={value}")


def _entry(tag: TagName | None, namespace: str, path: str, *, paused: bool = False) -> dict[str, Any]:
    source = {"kind": "ImageStreamTag", "name": str(tag) if tag else "STREAM:TAG"}
    if tag and tag.namespace != namespace:
        source["namespace"] = tag.namespace
    return {"from": source, "fieldPath": path, **({"paused": True} if paused else {})}


def _mended_entries(
    workload: Workload,
    shape: Shape,
    known: KnownTags,
    names: Names,
    bare: Bare | None,
    *,
    resumes: bool = False,
) -> list[dict[str, Any]]:
    """Every trigger as it should be: a container each, and where several were on one container the first.

    Args:
        workload: as it is.
        shape: what its template says.
        known: the tags that there are.
        names: what templates write for them.
        bare: its containers that lack a trigger.
        resumes: whether those that are paused are to fire again.
    """
    containers = {name for name, _ in shape.containers}
    triggers = [
        (_meant_tag(each, known), each, was_meant and not (resumes and each.paused and not each.problem))
        for each, was_meant in zip(workload.follows, _meant_paused(workload, shape.annotation), strict=True)
    ]

    def doubts(tag: TagName, follows: Follows) -> tuple[bool, bool]:
        return follows.container not in containers, known.knows(tag) and tag not in known.images

    # What is sure comes first, and where neither the container nor the tag is, it goes.
    triggers.sort(key=lambda found: doubts(found[0], found[1]))
    entries: dict[str, dict[str, Any]] = {}
    for tag, each, paused in triggers:
        if entries and all(doubts(tag, each)):
            continue
        container = _container_of(shape, each, names, taken=entries)
        entries.setdefault(container, _entry(tag, shape.namespace, shape.field_path(container), paused=paused))
    for container, (tag, _) in (bare.uses if bare else {}).items():
        entries.setdefault(container, _entry(tag, shape.namespace, shape.field_path(container)))
    if not entries:
        for container, image in shape.containers:
            if use := names.used(shape, image):
                entries[container] = _entry(use[0], shape.namespace, shape.field_path(container))
    if not entries:
        container = shape.containers[0][0]
        entries[container] = _entry(None, shape.namespace, shape.field_path(container))
    return list(entries.values())


def _meant_tag(follows: Follows, known: KnownTags) -> TagName:
    """The tag that a trigger has, or the one that it has a slip of the pen for, where that is told."""
    is_slip = not follows.problem and known.knows(follows.tag) and follows.tag not in known.images
    return (_near(follows.tag, known) if is_slip else None) or follows.tag


def _near(tag: TagName, known: KnownTags) -> TagName | None:
    """The tag with almost that name."""
    there = {str(each): each for each in known.images if each.namespace == tag.namespace}
    near = difflib.get_close_matches(str(tag), sorted(there), n=1, cutoff=0.75)
    return there[near[0]] if near else None


def _meant_paused(workload: Workload, annotation: str | None) -> list[bool]:
    """Of each trigger, whether it was meant to be paused, be that written as OpenShift reads it or not."""
    said = [
        any(str(entry.get(word)).lower() == "true" for word in ("pause", "paused"))
        for entry in _written(annotation)
        if _names_tag(entry)
    ]
    return said if len(said) == len(workload.follows) else [each.paused for each in workload.follows]


def _names_tag(entry: Mapping[str, Any]) -> bool:
    """Whether it says which tag it is for, as `job.workloads` reads it."""
    source = {key.lower(): value for key, value in object_in(entry, "from").items()}
    name = source.get("name")
    stream = name.partition(":")[0] if isinstance(name, str) else ""
    return bool(stream) and "@" not in stream


def _written(annotation: str | None) -> list[dict[str, Any]]:
    """The triggers of an annotation as they are written, fields in lower case; what else is in its list is left out."""
    try:
        value = json.loads(annotation or "")
    except (ValueError, RecursionError):
        return []
    entries = [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
    return [{key.lower(): each for key, each in entry.items()} for entry in entries]


def _container_of(shape: Shape, follows: Follows | None, names: Names, taken: Collection[str] = ()) -> str:
    """The container that a trigger is meant for: that of its path, else one that has the image, else a free one."""
    if follows and any(follows.container == name for name, _ in shape.containers):
        return follows.container
    tag = follows.tag if follows else None
    free = [(name, image) for name, image in shape.containers if name not in taken and name not in shape.initial]
    fitting = next((name for name, image in free if tag and names.used(shape, image, tag)), None)
    return fitting or (free or shape.containers or [("", "")])[0][0]


def _tag_mended(workload: Workload, shape: Shape, follows: Follows, known: KnownTags, mended: str) -> str:
    """Either the trigger has a slip of the pen, or the tag is still to be made."""
    tag = follows.tag
    if right := _near(tag, known):
        return mended if _is_annotated(shape) else _set_triggers(workload, right, follows.container)
    beside = next((source for each, source in known.sources.items() if _of_stream(each, tag)), None)
    head = (beside or "REGISTRY/REPOSITORY:TAG").partition("@")[0]
    path, slash, last = head.rpartition("/")
    source = f"{path}{slash}{last.partition(':')[0]}:{tag.tag}" if beside else head
    return oc(tag.namespace, "tag", "--source=docker", source, str(tag))


def _of_stream(tag: TagName, other: TagName) -> bool:
    return (tag.namespace, tag.stream) == (other.namespace, other.stream)


def _ignored_pauses(annotation: str | None) -> tuple[Severity, str] | None:
    """`pause`, as older web consoles wrote it: it is not `paused`, and OpenShift overlooks it."""
    said = [str(entry["pause"]).lower() for entry in _written(annotation) if "pause" in entry]
    if not said:
        return None
    told = 'a trigger has "pause", which is overlooked (it is called "paused")'
    return (WARNING, f"{told}: it fires all the same") if "true" in said else (NOTE, told)
