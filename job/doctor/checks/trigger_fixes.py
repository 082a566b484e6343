"""The commands that fix the triggers of a workload.

Triggers in an annotation are written as a whole, so one command fixes all that is wrong with them: of two, the second
would undo the first.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from typing import Any

from job.cluster import DEPLOYMENT_CONFIGS, reference
from job.doctor.templates import KnownTags, Names, Shape, UntriggeredWorkload
from job.domain.model import TagName
from job.domain.records import dataclass
from job.domain.shell import oc
from job.workloads.image_triggers import TRIGGERS_ANNOTATION, Follows, Workload

Entry = dict[str, Any]


def is_annotated(shape: Shape) -> bool:
    """Whether its triggers are in an annotation that can be rewritten."""
    return shape.annotation is not None and bool(shape.containers)


def set_triggers(workload: Workload | Shape, tag: TagName | None, container: str) -> tuple[str, ...]:
    """The command that sets one trigger; none where the tag or the container is not known."""
    if tag is None or not container:
        return ()
    words = ["set", "triggers", reference(workload.resource, workload.name)]
    return (oc(workload.namespace, *words, f"--from-image={tag.seen_from(workload.namespace)}", "-c", container),)


@dataclass(frozen=True, slots=True)
class TriggerFixes:
    """What fixes the triggers of one workload.

    Attributes:
        workload: as it is.
        shape: its template.
        known: the tags that exist.
        names: what templates write for them.
        bare: its containers that lack a trigger; None where all have one.
    """

    workload: Workload
    shape: Shape
    known: KnownTags
    names: Names
    bare: UntriggeredWorkload | None = None

    def everything(self) -> tuple[str, ...]:
        """The commands that fix all the triggers; none where their intent cannot be recognized."""
        if self.workload.resource == DEPLOYMENT_CONFIGS or not self.shape.containers:
            broken = [follows for follows in self.workload.follows if follows.problem]
            groups = (set_triggers(self.workload, follow.tag, self._container_of(follow)) for follow in broken)
            return tuple(dict.fromkeys(command for commands in groups for command in commands))
        return self._annotated(resumes=False)

    def resuming(self, follows: Follows) -> tuple[str, ...]:
        """The command that unpauses a trigger; with triggers in an annotation, every one of them."""
        if is_annotated(self.shape):
            return self._annotated(resumes=True)
        return set_triggers(self.workload, follows.tag, follows.container)

    def of_tag(self, follows: Follows) -> tuple[str, ...]:
        """The command for a trigger on a missing tag; none where it is neither misspelt nor in the registry."""
        tag = follows.tag
        if right := self._near(tag):
            if is_annotated(self.shape):
                return self.everything()
            return set_triggers(self.workload, right, follows.container)
        image = self.known.available.get(tag)
        if image is None:
            return ()
        insecure = ("--insecure",) if image.insecure else ()
        return (oc(tag.namespace, "tag", "--source=docker", *insecure, image.source, str(tag)),)

    def _annotated(self, *, resumes: bool) -> tuple[str, ...]:
        entries = list(self._entries(resumes=resumes).values())
        if not entries:
            return ()
        value = json.dumps(entries, separators=(",", ":"))
        where = reference(self.workload.resource, self.workload.name)
        return (oc(self.workload.namespace, "annotate", "--overwrite", where, f"{TRIGGERS_ANNOTATION}={value}"),)

    def _entries(self, *, resumes: bool) -> Mapping[str, Entry]:
        """The triggers as they should be, by container; of several on one container the first."""
        shape = self.shape
        entries: dict[str, Entry] = {}
        for tag, follow in self._surest_first():
            # A trigger of which neither the container nor the tag exists is dropped.
            if entries and all(self._doubts(tag, follow)):
                continue
            paused = follow.meant_paused and not (resumes and follow.paused and not follow.problem)
            container = self._container_of(follow, taken=entries)
            entries.setdefault(container, self._entry(tag, container, paused=paused))
        for container, (tag, _) in (self.bare.uses if self.bare else {}).items():
            entries.setdefault(container, self._entry(tag, container))
        if not entries:
            used = {container: self.names.used(shape, image) for container, image in shape.containers}
            entries = {container: self._entry(use[0], container) for container, use in used.items() if use}
        return entries

    def _surest_first(self) -> list[tuple[TagName, Follows]]:
        """The triggers, each with the tag that it is meant for; those that name existing things first."""
        pairs = [(self._meant(follow), follow) for follow in self.workload.follows]
        return sorted(pairs, key=lambda one: self._doubts(*one))

    def _doubts(self, tag: TagName, follows: Follows) -> tuple[bool, bool]:
        """Whether its container does not exist, and whether the tag does not."""
        is_there = any(follows.container == name for name, _ in self.shape.containers)
        return not is_there, self.known.knows(tag) and tag not in self.known.images

    def _meant(self, follows: Follows) -> TagName:
        """The tag of a trigger, or the existing one of which it is a misspelling."""
        is_misspelt = not follows.problem and self.known.knows(follows.tag) and follows.tag not in self.known.images
        return (self._near(follows.tag) if is_misspelt else None) or follows.tag

    def _near(self, tag: TagName) -> TagName | None:
        """The existing tag with almost that name."""
        there = {str(image): image for image in self.known.images if image.namespace == tag.namespace}
        near = difflib.get_close_matches(str(tag), sorted(there), n=1, cutoff=0.75)
        return there[near[0]] if near else None

    def _entry(self, tag: TagName, container: str, *, paused: bool = False) -> Entry:
        source = {"kind": "ImageStreamTag", "name": str(tag)}
        if tag.namespace != self.shape.namespace:
            source["namespace"] = tag.namespace
        return {"from": source, "fieldPath": self.shape.field_path(container), **({"paused": True} if paused else {})}

    def _container_of(self, follows: Follows | None, taken: Collection[str] = ()) -> str:
        """The container that a trigger is meant for: that of its path, else one with the image, else a free one."""
        shape = self.shape
        if follows and any(follows.container == name for name, _ in shape.containers):
            return follows.container
        tag = follows.tag if follows else None
        free = [(name, image) for name, image in shape.containers if name not in taken and name not in shape.initial]
        fitting = next((name for name, image in free if tag and self.names.used(shape, image, tag)), None)
        return fitting or (free or shape.containers or [("", "")])[0][0]
