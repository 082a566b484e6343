"""Commits in the labels of images, and the pages of their repositories."""

from __future__ import annotations

from dataclasses import replace

import pytest

from job.domain.model import Image
from job.domain.repositories import (
    change_link,
    commit_link,
    compare_link,
    page_of_label,
    revision_commit,
    web_address,
)

FULL = "4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d3e"
PAGE = "https://github.com/packit/worker"
OLD = Image("sha256:a", None, None, "1a2b3c4d", None)
NEW = replace(OLD, digest="sha256:b", revision="5e6f7a8b", repository_url=PAGE)


@pytest.mark.parametrize(
    ("label", "commit"),
    [
        (FULL, FULL),
        (f" {FULL.upper()}\n", FULL),
        (FULL[:7], FULL[:7]),
        (FULL + "-dirty", FULL),
        ("v1.2-3-g4d5e6f7", "4d5e6f7"),
        ("release/1.2-30-g4d5e6f7-dirty", "4d5e6f7"),
        (None, None),
        ("", None),
        ("main", None),
        ("v1.0", None),
        ("4d5e6f", None),
        (FULL + "x", None),
        ("x" * 100_000, None),
    ],
)
def test_revision_labels(label: str | None, commit: str | None) -> None:
    assert revision_commit(label) == commit


@pytest.mark.parametrize(
    ("url", "web"),
    [
        ("https://github.com/packit/packit", "https://github.com/packit/packit"),
        ("https://github.com/packit/packit.git", "https://github.com/packit/packit"),
        ("https://me:hunter2@github.com/packit/packit.git/", "https://github.com/packit/packit"),
        ("git@github.com:packit/packit.git", "https://github.com/packit/packit"),
        ("ssh://git@example.com:2222/team/worker", "https://example.com/team/worker"),
        ("/srv/git/worker.git", None),
        ("../worker", None),
        ("file:///srv/git/worker.git", None),
    ],
)
def test_web_address(url: str, web: str | None) -> None:
    assert web_address(url) == web


def test_pages() -> None:
    assert compare_link("https://github.com/a/b", "1", "2") == "https://github.com/a/b/compare/1...2"
    assert compare_link("https://gitlab.com/a/b/c", "1", "2") == "https://gitlab.com/a/b/c/-/compare/1...2"
    assert commit_link("https://gitlab.example.com/a/b", "1") == "https://gitlab.example.com/a/b/-/commit/1"


@pytest.mark.parametrize(
    ("labels", "page"),
    [
        ({"org.opencontainers.image.revision": FULL, "org.opencontainers.image.source": PAGE}, PAGE),
        ({"org.opencontainers.image.revision": FULL, "org.opencontainers.image.source": f"{PAGE}.git"}, PAGE),
        ({"vcs-ref": FULL, "vcs-url": "git@github.com:packit/worker.git"}, PAGE),
        ({"io.openshift.build.commit.id": FULL, "io.openshift.build.source-location": PAGE}, PAGE),
        # Its own commit, but the repository of the base image.
        ({"org.opencontainers.image.revision": FULL, "vcs-ref": "1234567", "vcs-url": PAGE}, None),
        ({"org.opencontainers.image.source": PAGE}, None),
        ({}, None),
    ],
)
def test_the_repository_is_the_one_of_the_commit(labels: dict[str, str], page: str | None) -> None:
    assert page_of_label(labels) == page


@pytest.mark.parametrize(
    "source",
    [
        "javascript:alert(1)",
        "https://localhost/team/worker",
        "https://example.com",
        "https://example.com/a)b",
        "https://example.com/<!channel>",
        "https://example.com/@here/x",
        "https://example.com/a|b",
        "https://example.com/a`b",
        "https://example.com/a//b",
        "https://example.com/../b",
        "https://example.com/" + "a" * 300,
        ["a"],
        None,
    ],
)
def test_an_address_that_something_could_render_is_none(source: object) -> None:
    assert page_of_label({"vcs-ref": FULL, "vcs-url": source}) is None


def test_no_login_stays_in_a_page() -> None:
    page = page_of_label({"vcs-ref": FULL, "vcs-url": "https://me:hunter2hunter2@github.com/packit/worker"})
    assert page == PAGE


@pytest.mark.parametrize(
    ("before", "after", "link"),
    [
        (OLD, NEW, f"{PAGE}/compare/1a2b3c4d...5e6f7a8b"),
        (replace(OLD, repository_url=PAGE), NEW, f"{PAGE}/compare/1a2b3c4d...5e6f7a8b"),
        (replace(OLD, repository_url="https://github.com/packit/other"), NEW, f"{PAGE}/commit/5e6f7a8b"),
        (replace(OLD, revision="v1.0"), NEW, f"{PAGE}/commit/5e6f7a8b"),
        (replace(OLD, revision="5e6f7a8b"), NEW, f"{PAGE}/commit/5e6f7a8b"),
        (None, NEW, f"{PAGE}/commit/5e6f7a8b"),
        (OLD, replace(NEW, revision="v1.1-2-g5e6f7a8b-dirty"), f"{PAGE}/compare/1a2b3c4d...5e6f7a8b"),
        (OLD, replace(NEW, revision="main"), None),
        (OLD, replace(NEW, repository_url=None), None),
        (OLD, None, None),
    ],
)
def test_where_a_change_can_be_read(before: Image | None, after: Image | None, link: str | None) -> None:
    assert change_link(before, after) == link
