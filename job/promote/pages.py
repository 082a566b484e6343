"""The pages of the repositories that feed streams, for commands that link commits."""

from __future__ import annotations

import logging
from pathlib import Path

from job.domain.errors import UsageError
from job.domain.repositories import Pages
from job.promote.config import FILE, Config
from job.promote.config_file import read_config

log = logging.getLogger(__name__)


def pages_here() -> Pages:
    """What `promote.toml` in the current folder knows; nothing without one, or where it is not valid."""
    if not Path(FILE).is_file():
        return lambda stream, tag: None
    try:
        return pages_of(read_config(None))
    except UsageError as error:
        log.warning("%s is left out, so some commits have no link: %s", FILE, error.errors[0])
        return lambda stream, tag: None


def pages_of(config: Config) -> Pages:
    """What a configuration knows. A tag that two repositories feed has no page."""

    def page(stream: str, tag: str) -> str | None:
        pages = {
            repository.page
            for repository in config.repositories
            for feed in repository.feeds
            if feed.stream == stream and feed.tag in (None, tag)
        }
        return pages.pop() if len(pages) == 1 else None

    return page
