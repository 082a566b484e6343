"""Which tags a run takes, and why it leaves the others alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from job.domain.holds import hold_of
from job.domain.model import ANNOTATION_PREFIX, Skip, Stream, Tag
from job.domain.records import dataclass
from job.domain.scope import Shard
from job.domain.sources import alias_target, copied_from

SKIP_ANNOTATION = f"{ANNOTATION_PREFIX}skip"
WAVE_ANNOTATION = f"{ANNOTATION_PREFIX}wave"


@dataclass(frozen=True, slots=True)
class Pattern:
    """`STREAM[:TAG]`, each part a shell-style glob; `tag` is None where it was not given."""

    stream: str
    tag: str | None = None

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read `STREAM[:TAG]`.

        Raises:
            ValueError: a part is empty.
        """
        stream, colon, tag = text.partition(":")
        if not stream or (colon and not tag) or ":" in tag:
            raise ValueError(f"{text!r} is not STREAM or STREAM:TAG")
        return cls(stream, tag or None)

    def matches(self, stream: str, tag: str, default: str | None) -> bool:
        """Whether the tag is meant; `default` replaces a tag part that was not given (None: any)."""
        wanted = self.tag if self.tag is not None else default
        if not fnmatchcase(stream, self.stream):
            return False
        # DEPLOYMENT is a name, not a glob.
        return wanted is None or (tag == wanted if self.tag is None else fnmatchcase(tag, wanted))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run was asked for: the deployment's tag, the arguments, what to leave out."""

    deployment: str | None = None
    patterns: tuple[Pattern, ...] = ()
    exclude: tuple[Pattern, ...] = ()
    shard: Shard | None = None

    def includes(self, stream: str, tag: str) -> bool:
        """Whether the tag was asked for. An argument STREAM:TAG beats DEPLOYMENT."""
        patterns = self.patterns or (Pattern("*"),)
        return any(pattern.matches(stream, tag, self.deployment) for pattern in patterns) and not any(
            pattern.matches(stream, tag, None) for pattern in self.exclude
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """A tag that was asked for: to be imported, or left alone for the reason in `skip`."""

    tag: Tag
    skip: Skip | None


def is_opted_out(stream: Stream, tag: Tag) -> bool | None:
    """What the annotation of the tag, else of its stream says; None where it is neither true nor false."""
    text = tag.annotations.get(SKIP_ANNOTATION, stream.annotations.get(SKIP_ANNOTATION, "false"))
    return {"true": True, "false": False}.get(text.strip().lower())


def skip_reason(stream: Stream, tag: Tag) -> Skip | None:
    """Why the tag must be left alone, the first reason that applies; None when it is to be imported."""
    if hold_of(tag) is not None:
        return Skip.HELD
    if is_opted_out(stream, tag):
        return Skip.OPTED_OUT
    if tag.reference:
        return Skip.REFERENCE
    if tag.source is None:
        return Skip.REMOVED if tag.origin else Skip.NO_SOURCE
    if tag.source.kind == "ImageStreamTag":
        return Skip.COPY if copied_from(stream, tag) else Skip.ALIAS
    if tag.source.kind != "DockerImage" or "@" in tag.source.name:
        return Skip.PINNED
    return None


# After every numbered wave.
LAST_WAVE = 10**6


def wave_of(stream: Stream, tag: Tag) -> int | None:
    """The wave of the tag: by its own annotation, else its stream's, else 0; None where that is not a number."""
    text = tag.annotations.get(WAVE_ANNOTATION, stream.annotations.get(WAVE_ANNOTATION, "0")).strip()
    return int(text) if re.fullmatch(r"-?[0-9]{1,6}", text) else None


def choose(stream: Stream, wanted: Wanted) -> tuple[Choice, ...]:
    """The tags of the stream that were asked for, in the stream's order."""
    return tuple(Choice(tag, skip_reason(stream, tag)) for tag in stream.tags if wanted.includes(stream.name, tag.name))


def in_share(namespace: str, stream: str, shard: Shard | None) -> bool:
    """Whether the stream falls to this share of the run.

    By rendezvous hashing (highest random weight): each share has a weight for each stream and the heaviest takes it, so
    that another count of shares moves as few streams as possible.
    """
    if shard is None:
        return True
    import hashlib

    name = f"{namespace}/{stream}".encode()

    def weight(index: int) -> bytes:
        return hashlib.blake2b(name, digest_size=8, salt=index.to_bytes(8, "big")).digest()

    return max(range(shard.count), key=weight) == shard.index


def aliases_of(stream: Stream, name: str) -> frozenset[str]:
    """The tags of the stream that follow the named one, directly or through one another."""
    followed: dict[str, list[str]] = {}
    for tag in stream.tags:
        target = alias_target(stream, tag)
        if target is not None:
            followed.setdefault(target, []).append(tag.name)
    aliases: set[str] = set()
    reached: Sequence[str] = followed.get(name, ())
    while reached:
        fresh = [tag for tag in reached if tag not in aliases and tag != name]
        aliases.update(fresh)
        reached = [follower for tag in fresh for follower in followed.get(tag, ())]
    return frozenset(aliases)
