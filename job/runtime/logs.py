"""Log lines on stderr: for people on a terminal, as JSON lines in a container."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from contextlib import suppress
from typing import TextIO

from job.domain.text import clean
from job.runtime.progress import above, is_shown

LONGEST = 2000
# Upper bound of a traceback.
MOST_LINES = 60


def in_container() -> bool:
    """Whether a container's runtime collects what is written."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def log_defect(what: str, error: BaseException) -> None:
    """Log a defect of the program itself: what it cost, the error, and in which lines of code it happened.

    A pod's log always has the lines, since the run cannot be repeated to see them; elsewhere they come with `-v`.
    """
    text = f"{what}: {type(error).__name__}: {error}; please report it"
    logging.getLogger("job").error("%s", text, exc_info=error)


def _where(record: logging.LogRecord) -> list[str]:
    """The lines of code that an error came through, outermost first. They hold no values of variables."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return []
    lines = [line for part in traceback.format_exception(error) for line in part.rstrip().splitlines()]
    kept = lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES // 2], "...", *lines[-MOST_LINES // 2 :]]
    # The error's own text is among them, and a server may have written that.
    return [indent + clean(line, LONGEST) for line in kept for indent in (line[: len(line) - len(line.lstrip())],)]


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        verbose = logging.getLogger("job").isEnabledFor(logging.DEBUG)
        lines = [clean(record.getMessage(), LONGEST), *(_where(record) if verbose else [])]
        return f"import-images: {level}" + "\n".join(lines)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": clean(record.getMessage(), LONGEST),
            **({"traceback": where} if (where := _where(record)) else {}),
        }
        return json.dumps(line, ensure_ascii=False)


class _Handler(logging.StreamHandler[TextIO]):
    """Writes above the progress, if that is shown. Where stderr takes no more, further records are dropped."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if not (is_shown() and above(self.format(record))):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's way of naming
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)
            return
        with suppress(OSError, ValueError):
            # Else what could not be written would fail again at the end, and change the exit status.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


def _in_thread(problem: threading.ExceptHookArgs) -> None:
    log_defect("internal error", problem.exc_value or problem.exc_type())


def set_up(level: int = logging.INFO) -> None:
    """Send the program's log lines of that level and above to stderr.

    Those of libraries stay away: they may repeat URLs and headers.
    """
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Json() if in_container() else _Plain())
    logger = logging.getLogger("job")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level)
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    threading.excepthook = _in_thread
