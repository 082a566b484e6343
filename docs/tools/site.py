"""A hook of MkDocs for pages at the top of the repository and for links that leave `docs/`.

All links in the sources are relative paths in the repository, so that they work in a checkout and on a forge. On the
site a link to another page stays one; a link to any other file of the repository becomes one to the forge. A link to
a file that does not exist stops the build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Pages of the site whose source a forge expects at the top of the repository.
PAGES = {
    "CHANGELOG.md": "docs/changelog.md",
    "CONTRIBUTING.md": "docs/contributing.md",
    "README.md": "docs/index.md",
    "SECURITY.md": "docs/security.md",
}
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)#\s]+)")


def resolved(link: str, source: str, repository: str) -> str:
    """Where a link points on the site.

    Args:
        link: the target as written, without its anchor.
        source: the file that holds the link, as a path in the repository.
        repository: the URL of the repository.

    Raises:
        FileNotFoundError: the repository has no such file.
    """
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    page = PAGES.get(source, source)
    if not (ROOT / target).exists():
        raise FileNotFoundError(f"{source}: no such file: {link}")
    if target in PAGES or target.startswith("docs/"):
        return posixpath.relpath(PAGES.get(target, target), posixpath.dirname(page))
    kind = "tree" if (ROOT / target).is_dir() else "blob"
    return f"{repository}/{kind}/main/{target}"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the top of the repository."""
    for source, page in PAGES.items():
        path = page.removeprefix("docs/")
        if files.get_file_from_path(path) is None:
            files.append(File.generated(config, path, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Resolve the links of a page."""
    path = f"docs/{page.file.src_uri}"
    source = next((name for name, target in PAGES.items() if target == path), path)
    repository = (config.repo_url or "").rstrip("/")
    try:
        return _LINK.sub(lambda match: resolved(match[1], source, repository), markdown)
    except FileNotFoundError as error:
        raise PluginError(str(error)) from error
