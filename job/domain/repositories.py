"""Repositories of source code on the web: their pages, and the commits that image labels name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from job.domain.model import Image

# The page of the repository that a stream's tag gets its images from; None where it is not known.
Pages = Callable[[str, str], str | None]
# An abbreviated hash has at least this many digits.
MIN_HASH_LENGTH = 7
# A label with a revision, and the one that names its repository. They are read in pairs, since an image inherits the
# labels of its base: the commit of one repository must not be linked to another.
LABEL_PAIRS = (
    ("org.opencontainers.image.revision", "org.opencontainers.image.source"),
    # Source-to-image. Before vcs-ref, which its builder images have of their own.
    ("io.openshift.build.commit.id", "io.openshift.build.source-location"),
    ("org.label-schema.vcs-ref", "org.label-schema.vcs-url"),
    ("vcs-ref", "vcs-url"),
    # Source-to-image without a commit: the branch or tag that was asked for.
    ("io.openshift.build.commit.ref", "io.openshift.build.source-location"),
)
_REVISION = r"(?:[\w./+-]*-[0-9]+-g)?([0-9a-fA-F]{7,64})(?:-dirty)?"
_WEB = r"(?:(?:https?|ssh|git)://(?:[^/@]*@)?([\w.-]+)(?::\d+)?/|(?:[\w.-]+@)([\w.-]+\.[\w.-]+):)([^?#\s]+?)/?"
_LONGEST_PAGE = 200
# The builder of an image writes its labels: nothing that a chat or a terminal could render, and no bare host.
_PLAIN_PAGE = r"https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,8}"


def revision_commit(label: str | None) -> str | None:
    """The hash in a revision label: `HASH`, `HASH-dirty`, or `v1.2-3-gHASH` as of `git describe`; None without one."""
    match = re.fullmatch(_REVISION, (label or "").strip()[:200])
    return match[1].lower() if match else None


def web_address(url: str) -> str | None:
    """The https address of a repository's page, without a login; None for a local path."""
    match = re.fullmatch(_WEB, url.strip())
    return f"https://{match[1] or match[2]}/{match[3].removesuffix('.git')}" if match else None


def page_of_label(labels: Mapping[str, Any]) -> str | None:
    """The page of the repository whose commit the labels of an image name; None where they do not name it."""
    name = next((source for revision, source in LABEL_PAIRS if labels.get(revision)), None)
    page = web_address(str(labels.get(name) or "")[: 2 * _LONGEST_PAGE]) if name else None
    return page if page and is_page(page) else None


def is_page(page: str) -> bool:
    """Whether a text is the page of a repository, and nothing that a chat or a terminal could render."""
    return len(page) <= _LONGEST_PAGE and re.fullmatch(_PLAIN_PAGE, page) is not None


def compare_link(web: str, old: str, new: str) -> str:
    """The page of a forge that compares two commits."""
    return f"{web}{_dash(web)}/compare/{old}...{new}"


def commit_link(web: str, commit: str) -> str:
    """The page of a forge that shows a commit."""
    return f"{web}{_dash(web)}/commit/{commit}"


def change_link(before: Image | None, after: Image | None) -> str | None:
    """Where the change from one image to another can be read.

    Returns:
        The page that compares their commits; that of the newer commit where the older one is not known or was built
        from another repository; None where the newer image names no repository or no commit.
    """
    commit = revision_commit(after.revision) if after else None
    if after is None or after.repository_url is None or commit is None:
        return None
    # Journals of earlier versions keep revisions only.
    same_repository = before is not None and before.repository_url in (None, after.repository_url)
    old = revision_commit(before.revision) if before and same_repository else None
    if old is None or old == commit:
        return commit_link(after.repository_url, commit)
    return compare_link(after.repository_url, old, commit)


def _dash(web: str) -> str:
    # GitLab separates a repository's pages from its subgroups by a dash.
    return "/-" if "gitlab" in web.split("/")[2] else ""
