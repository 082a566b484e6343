"""How a command shows what it found: tables or one document on stdout, the rest on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from job.config.formats import Format
from job.domain.secrets import SECRETS

if TYPE_CHECKING:
    from job.domain.model import Report

log = logging.getLogger(__name__)


# Where there is no terminal, and within what a terminal may be.
WIDTH, LEAST_WIDTH, MOST_WIDTH = 100, 40, 250
_format = Format.TABLE


def choose(form: Format) -> None:
    """Set the form of what this process shows."""
    global _format
    _format = form


def is_wide() -> bool:
    """Whether tables show digests in full."""
    return _format is Format.WIDE


def width_of(file: TextIO) -> int:
    """How many columns a text for people may have: those of the terminal, within reason."""
    width = WIDTH
    if file.isatty():
        import shutil

        width = shutil.get_terminal_size((WIDTH, 24)).columns
    return max(LEAST_WIDTH, min(MOST_WIDTH, width))


def show(report: Report, *, as_table: bool) -> int:
    """Write the report to stdout, what went wrong with whole namespaces to stderr; returns the exit status."""
    write(lambda: _print(report, as_table=as_table))
    for error in report.errors:
        log.error("%s", error.message)
    if not as_table:
        from job.views.documents import summary

        log.log(logging.INFO if report.exit_status == 0 else logging.ERROR, "%s", summary(report))
    return report.exit_status


def document(kind: str, content: Mapping[str, Any], version: int = 1) -> None:
    """Write one document as JSON, as YAML, or as the names of what it is about.

    Args:
        kind: what it is, for the reader.
        content: JSON values.
        version: changes with the meaning or name of a key.
    """
    text = _text({"kind": kind, "version": version, **content})
    write(lambda: sys.stdout.write(SECRETS.redact(text)))


def _text(content: Mapping[str, Any]) -> str:
    if _format is Format.NAME:
        from job.views.names import names_of

        return "".join(f"{name}\n" for name in names_of(content))
    if _format is Format.YAML:
        import yaml

        # By way of JSON, so that enums are plain text.
        plain = yaml.safe_dump(json.loads(json.dumps(content)), sort_keys=False, allow_unicode=True, width=120)
        return str(plain)
    return json.dumps(content, indent=1) + "\n"


def write(printing: Callable[[], object]) -> None:
    """Write to stdout.

    A reader that has gone, a full disk or too little memory must neither keep the other channels from being written nor
    change the exit status, which says what was done.
    """
    try:
        printing()
        sys.stdout.flush()
    except (OSError, MemoryError) as problem:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(problem, BrokenPipeError):
            log.error("the report could not be written: %s", str(problem) or type(problem).__name__)


def _print(report: Report, *, as_table: bool) -> None:
    if as_table:
        from job.views.tables import print_report

        print_report(report, sys.stdout)
    elif _format in (Format.YAML, Format.NAME):
        from job.views.documents import as_document

        sys.stdout.write(SECRETS.redact(_text({"kind": "Report", "version": 1, **as_document(report)})))
    else:
        from job.views.documents import json_lines

        sys.stdout.writelines(SECRETS.redact(line) for line in json_lines(report))
