"""The commands that put the triggers of a workload right.

Triggers in an annotation are written as a whole, so that all that is wrong with them is mended by one command: of two
the second would undo the first.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from job.cluster import DEPLOYMENT_CONFIGS, reference
from job.doctor.checks.templates import Bare, KnownTags, Names, Shape
from job.domain.model import TagName
from job.domain.shell import oc
from job.workloads.image_triggers import TRIGGERS_ANNOTATION, Follows, Workload

Entry = dict[str, Any]


def is_annotated(shape: Shape) -> bool:
    """Whether its triggers are in an annotation that can be written anew."""
    return shape.annotation is not None and bool(shape.containers)


def set_triggers(workload: Workload | Shape, tag: TagName | None, container: str) -> str:
    """The command that sets one trigger; placeholders where the tag or the container is not known."""
    words = ["set", "triggers", reference(workload.resource, workload.name)]
    source = tag.seen_from(workload.namespace) if tag else "STREAM:TAG"
    return oc(workload.namespace, *words, f"--from-image={source}", "-c", container or "CONTAINER")


@dataclass(frozen=True, slots=True)
class Mending:
    """What there is to mend the triggers of one workload by.

    Attributes:
        workload: as it is.
        shape: what its template says.
        known: the tags that there are.
        names: what templates write for them.
        bare: its containers that lack a trigger, if there are such.
    """

    workload: Workload
    shape: Shape
    known: KnownTags
    names: Names
    bare: Bare | None = None

    def everything(self) -> str:
        """The command that puts all the triggers right, as far as it can be told what they were meant for."""
        if self.workload.resource == DEPLOYMENT_CONFIGS or not self.shape.containers:
            first = next((each for each in self.workload.follows if each.problem), None)
            return set_triggers(self.workload, first.tag if first else None, self._container_of(first))
        return self._annotated(resumes=False)

    def resuming(self, follows: Follows) -> str:
        """The command that lets a paused trigger fire again; with triggers in an annotation, every one of them."""
        if is_annotated(self.shape):
            return self._annotated(resumes=True)
        return set_triggers(self.workload, follows.tag, follows.container)

    def of_tag(self, follows: Follows) -> str:
        """The command for a trigger on a tag that is not there: it has a slip of the pen, or the tag is to be made."""
        tag = follows.tag
        if right := self._near(tag):
            return (
                self.everything() if is_annotated(self.shape) else set_triggers(self.workload, right, follows.container)
            )
        beside = next((source for each, source in self.known.sources.items() if _same_stream(each, tag)), None)
        head = (beside or "REGISTRY/REPOSITORY:TAG").partition("@")[0]
        path, slash, last = head.rpartition("/")
        source = f"{path}{slash}{last.partition(':')[0]}:{tag.tag}" if beside else head
        return oc(tag.namespace, "tag", "--source=docker", source, str(tag))

    def _annotated(self, *, resumes: bool) -> str:
        value = json.dumps(list(self._entries(resumes=resumes).values()), separators=(",", ":"))
        where = reference(self.workload.resource, self.workload.name)
        return oc(self.workload.namespace, "annotate", "--overwrite", where, f"{TRIGGERS_ANNOTATION}={value}")

    def _entries(self, *, resumes: bool) -> Mapping[str, Entry]:
        """Every trigger as it should be, by its container; where several were on one container the first."""
        shape = self.shape
        entries: dict[str, Entry] = {}
        for tag, each in self._surest_first():
            # Where neither the container nor the tag is known, it goes.
            if entries and all(self._doubts(tag, each)):
                continue
            paused = each.meant_paused and not (resumes and each.paused and not each.problem)
            container = self._container_of(each, taken=entries)
            entries.setdefault(container, self._entry(tag, container, paused=paused))
        for container, (tag, _) in (self.bare.uses if self.bare else {}).items():
            entries.setdefault(container, self._entry(tag, container))
        if not entries:
            used = {container: self.names.used(shape, image) for container, image in shape.containers}
            entries = {container: self._entry(use[0], container) for container, use in used.items() if use}
        if not entries:
            container = shape.containers[0][0]
            entries[container] = self._entry(None, container)
        return entries

    def _surest_first(self) -> list[tuple[TagName, Follows]]:
        """The triggers, each with the tag that it is meant for."""
        found = [(self._meant(each), each) for each in self.workload.follows]
        return sorted(found, key=lambda one: self._doubts(*one))

    def _doubts(self, tag: TagName, follows: Follows) -> tuple[bool, bool]:
        """Whether its container is not there, and whether that tag is not."""
        is_there = any(follows.container == name for name, _ in self.shape.containers)
        return not is_there, self.known.knows(tag) and tag not in self.known.images

    def _meant(self, follows: Follows) -> TagName:
        """The tag that a trigger has, or the one that it has a slip of the pen for, where that is told."""
        is_slip = not follows.problem and self.known.knows(follows.tag) and follows.tag not in self.known.images
        return (self._near(follows.tag) if is_slip else None) or follows.tag

    def _near(self, tag: TagName) -> TagName | None:
        """The tag with almost that name."""
        there = {str(each): each for each in self.known.images if each.namespace == tag.namespace}
        near = difflib.get_close_matches(str(tag), sorted(there), n=1, cutoff=0.75)
        return there[near[0]] if near else None

    def _entry(self, tag: TagName | None, container: str, *, paused: bool = False) -> Entry:
        source = {"kind": "ImageStreamTag", "name": str(tag) if tag else "STREAM:TAG"}
        if tag and tag.namespace != self.shape.namespace:
            source["namespace"] = tag.namespace
        return {"from": source, "fieldPath": self.shape.field_path(container), **({"paused": True} if paused else {})}

    def _container_of(self, follows: Follows | None, taken: Collection[str] = ()) -> str:
        """The container that a trigger is meant for: that of its path, else one that has the image, else a free one."""
        shape = self.shape
        if follows and any(follows.container == name for name, _ in shape.containers):
            return follows.container
        tag = follows.tag if follows else None
        free = [(name, image) for name, image in shape.containers if name not in taken and name not in shape.initial]
        fitting = next((name for name, image in free if tag and self.names.used(shape, image, tag)), None)
        return fitting or (free or shape.containers or [("", "")])[0][0]


def _same_stream(tag: TagName, other: TagName) -> bool:
    return (tag.namespace, tag.stream) == (other.namespace, other.stream)
