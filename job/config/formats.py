"""The forms of output, each with what it is for."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """A value of `--output`: tables for people, one document for programs, or names for other commands."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"

    @property
    def is_table(self) -> bool:
        """Whether it is for people."""
        return self in (Format.TABLE, Format.WIDE)
