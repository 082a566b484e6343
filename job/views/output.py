"""How a command shows what it found: a table or a JSON document on stdout, the rest on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from job.domain.secrets import SECRETS

if TYPE_CHECKING:
    from job.domain.model import Report

log = logging.getLogger(__name__)


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
    """Write one JSON document; its version changes with the meaning or name of a key."""
    text = json.dumps({"kind": kind, "version": version, **content}, indent=1)
    write(lambda: sys.stdout.write(SECRETS.redact(text) + "\n"))


def write(printing: Callable[[], object]) -> None:
    """Write to stdout. Whoever read it may have gone, or the disk may be full; the others are told all the same."""
    try:
        printing()
        sys.stdout.flush()
    except OSError as problem:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(problem, BrokenPipeError):
            log.error("the report could not be written: %s", problem)


def _print(report: Report, *, as_table: bool) -> None:
    if as_table:
        from job.views.tables import print_report

        print_report(report, sys.stdout)
    else:
        from job.views.documents import json_lines

        sys.stdout.writelines(SECRETS.redact(line) for line in json_lines(report))
