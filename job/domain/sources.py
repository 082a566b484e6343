"""Where a tag's images come from, and whether anything still moves the tag.

A source that follows another tag of the same stream is live: OpenShift moves it along. A source in another stream or
namespace is resolved once, when the spec tag is written, and never again (openshift-apiserver,
pkg/image/apiserver/registry/imagestream/strategy.go).
"""

from __future__ import annotations

from enum import StrEnum

from job.domain.model import Skip, Stream, Tag, TagName
from job.domain.records import dataclass
from job.domain.shell import oc


class AliasFault(StrEnum):
    """Why an alias leads to no image."""

    MISSING = "missing"
    ITSELF = "itself"
    CIRCLE = "circle"


@dataclass(frozen=True, slots=True)
class AliasPath:
    """The tags that an alias leads through.

    Attributes:
        tags: their names in the alias's stream: the alias, what it follows, and so on. In a cycle the last
            name repeats an earlier one; a missing tag is the last name.
        fault: why there is no image at the end; None where the last tag is one that exists and follows no other.
    """

    tags: tuple[str, ...]
    fault: AliasFault | None = None

    @property
    def end(self) -> str:
        """The name of the last tag."""
        return self.tags[-1]


def alias_target(stream: Stream, tag: Tag) -> str | None:
    """The tag of the same stream that this one follows; None where it follows none, or another stream's."""
    source = tag.source
    if source is None or source.kind != "ImageStreamTag" or source.namespace not in (None, stream.namespace):
        return None
    name, colon, target = source.name.partition(":")
    if not colon:
        return name
    return target if name == stream.name else None


def copied_from(stream: Stream, tag: Tag) -> TagName | None:
    """The tag of another stream or namespace whose image this tag took once; None where there is none."""
    source = tag.source
    if source is None or source.kind != "ImageStreamTag" or alias_target(stream, tag) is not None:
        return None
    name, colon, target = source.name.partition(":")
    # OpenShift reads a name without a colon as a tag of the same stream, here in the other namespace.
    return TagName(source.namespace or stream.namespace, *((name, target) if colon else (stream.name, name)))


def alias_path(stream: Stream, tag: Tag) -> AliasPath:
    """The tags that an alias leads through; for a tag that is not an alias, only its own name."""
    names = [tag.name]
    current: Tag | None = tag
    while current is not None and (target := alias_target(stream, current)) is not None:
        names.append(target)
        if target in names[:-1]:
            return AliasPath(tuple(names), AliasFault.ITSELF if len(names) == 2 else AliasFault.CIRCLE)
        current = stream.tag(target)
    exists = current is not None and (current.source is not None or current.current is not None)
    return AliasPath(tuple(names), None if exists or len(names) == 1 else AliasFault.MISSING)


def explain_skip(stream: Stream, tag: Tag, skip: Skip) -> str | None:
    """Why nothing moves a skipped tag although its owner may expect that, and how to fix it; None where all is well."""
    if skip is Skip.ALIAS:
        return _explain_alias(stream, alias_path(stream, tag))
    name = f"{stream.name}:{tag.name}"
    if skip is Skip.COPY and (origin := copied_from(stream, tag)):
        copy_again = oc(stream.namespace, "tag", f"{origin.namespace}/{origin}", name)
        return f"copied once from {origin.seen_from(stream.namespace)}, which it does not follow; again: {copy_again}"
    if skip is Skip.REMOVED:
        restore = oc(stream.namespace, "tag", "--source=docker", f"{tag.origin}:{tag.name}", name)
        return f"no longer imported: it is gone from spec.tags; its images came from {tag.origin}; restore: {restore}"
    return None


def _explain_alias(stream: Stream, path: AliasPath) -> str | None:
    match path.fault:
        case None:
            return None
        case AliasFault.MISSING:
            problem = f"it follows {stream.name}:{path.end}, which does not exist"
        case AliasFault.ITSELF:
            problem = "it follows itself"
        case AliasFault.CIRCLE:
            problem = f"it follows a circle of tags: {' -> '.join(path.tags)}"
    return f"nothing moves this tag: {problem}; let it follow a tag that is imported"
