"""Log lines on stderr: for people on a terminal, as JSON lines in a container."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from typing import TextIO

from job.domain.text import clean

LONGEST = 2000


def in_container() -> bool:
    """Whether a container's runtime collects what is written."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"import-images: {level}{clean(record.getMessage(), LONGEST)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": clean(record.getMessage(), LONGEST),
        }
        return json.dumps(line, ensure_ascii=False)


class _Handler(logging.StreamHandler[TextIO]):
    """Where stderr takes no more, as on a full disk, the run goes on without being heard."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's way of naming
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
            return
        with suppress(OSError, ValueError):
            # Else what could not be written would fail again at the end, and change the exit status.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


def _told(problem: threading.ExceptHookArgs) -> None:
    # A defect of the program itself, in one of its threads: one line, as of everything else.
    logging.getLogger("job").error(
        "internal error: %s: %s; please report it", problem.exc_type.__name__, problem.exc_value
    )


def set_up() -> None:
    """Send the program's log lines to stderr. Those of libraries stay away: they may repeat URLs and headers."""
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Json() if in_container() else _Plain())
    logger = logging.getLogger("job")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO)
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    threading.excepthook = _told
