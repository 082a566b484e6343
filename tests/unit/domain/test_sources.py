"""Where a tag's images come from, and what is said of a tag that nothing moves."""

from __future__ import annotations

import pytest

from job.domain.model import Item, Skip, Source, Stream, Tag, TagName
from job.domain.sources import AliasFault, AliasPath, alias_path, copied_from, explain_skip

IMAGE = Source("DockerImage", "quay.io/packit/worker:prod")


def follows(target: str, namespace: str | None = None) -> Source:
    return Source("ImageStreamTag", target, namespace)


def stream(**sources: Source | None) -> Stream:
    tags = (Tag(name, source, False, None, None, {}, None) for name, source in sources.items())
    return Stream("packit-prod", "worker", "1", {}, tuple(tags))


@pytest.mark.parametrize(
    ("sources", "path"),
    [
        ({"live": follows("prod"), "prod": IMAGE}, AliasPath(("live", "prod"))),
        ({"live": follows("worker:prod"), "prod": IMAGE}, AliasPath(("live", "prod"))),
        ({"live": follows("a"), "a": follows("prod"), "prod": IMAGE}, AliasPath(("live", "a", "prod"))),
        ({"live": IMAGE}, AliasPath(("live",))),
        # A copy ends a path: nothing follows from there on.
        ({"live": follows("a"), "a": follows("base:prod")}, AliasPath(("live", "a"))),
        ({"live": follows("latest")}, AliasPath(("live", "latest"), AliasFault.MISSING)),
        ({"live": follows("a"), "a": follows("latest")}, AliasPath(("live", "a", "latest"), AliasFault.MISSING)),
        # What only a failed import left in the status is no tag that could move another.
        ({"live": follows("empty"), "empty": None}, AliasPath(("live", "empty"), AliasFault.MISSING)),
        ({"live": follows("live")}, AliasPath(("live", "live"), AliasFault.ITSELF)),
        ({"live": follows("a"), "a": follows("live")}, AliasPath(("live", "a", "live"), AliasFault.CIRCLE)),
        (
            {"live": follows("a"), "a": follows("b"), "b": follows("a")},
            AliasPath(("live", "a", "b", "a"), AliasFault.CIRCLE),
        ),
    ],
)
def test_where_an_alias_leads(sources: dict[str, Source | None], path: AliasPath) -> None:
    of = stream(**sources)
    assert alias_path(of, of.tags[0]) == path
    message = explain_skip(of, of.tags[0], Skip.ALIAS)
    assert (message is None) == (path.fault is None)


def test_a_tag_that_was_pushed_can_be_followed() -> None:
    pushed = Tag("built", None, False, None, None, {}, Item("sha256:1", None))
    of = Stream("packit-prod", "worker", "1", {}, (Tag("live", follows("built"), False, None, None, {}, None), pushed))
    assert alias_path(of, of.tags[0]) == AliasPath(("live", "built"))


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        (follows("base:prod"), TagName("packit-prod", "base", "prod")),
        (follows("worker:prod", "packit-stg"), TagName("packit-stg", "worker", "prod")),
        (follows("prod", "packit-stg"), TagName("packit-stg", "worker", "prod")),
        (follows("prod", "packit-prod"), None),
        (follows("worker:prod"), None),
        (IMAGE, None),
        (None, None),
    ],
)
def test_what_was_copied(source: Source | None, origin: TagName | None) -> None:
    of = stream(live=source)
    assert copied_from(of, of.tags[0]) == origin


def test_a_copy_and_a_removed_tag_are_explained_with_the_command_that_fixes_them() -> None:
    of = stream(prod=follows("base:prod", "images"))
    assert explain_skip(of, of.tags[0], Skip.COPY) == (
        "copied once from images/base:prod, which it does not follow; "
        "again: oc -n packit-prod tag images/base:prod worker:prod"
    )
    gone = Tag("prod", None, False, None, None, {}, Item("sha256:1", None), "quay.io/packit/worker")
    assert explain_skip(of, gone, Skip.REMOVED) == (
        "no longer imported: it is gone from spec.tags; its images came from quay.io/packit/worker; "
        "restore: oc -n packit-prod tag --source=docker quay.io/packit/worker:prod worker:prod"
    )


@pytest.mark.parametrize("skip", [Skip.HELD, Skip.OPTED_OUT, Skip.REFERENCE, Skip.PINNED, Skip.NO_SOURCE, Skip.WAVE])
def test_what_is_meant_needs_no_word(skip: Skip) -> None:
    of = stream(prod=IMAGE)
    assert explain_skip(of, of.tags[0], skip) is None
