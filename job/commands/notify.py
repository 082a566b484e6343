"""`notify`: check that the services of NOTIFY accept messages."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from job.config.settings import Settings
from job.domain.errors import UsageError
from job.domain.exit_status import ExitStatus
from job.publish.notify import Message, send, services_of
from job.views.output import document, write


def notify(settings: Settings, *, test: bool, as_table: bool) -> int:
    """List the services, or send each a test message; returns the exit status.

    Raises:
        UsageError: NOTIFY is not set, an address is not complete, or apprise is missing.
    """
    if settings.notify is None:
        raise UsageError(["NOTIFY: not set, so there is no service to send to"])
    services, problems = services_of(settings.notify)
    if problems:
        raise UsageError([f"NOTIFY: address {name}: {problem}" for name, problem in problems.items()])
    results: dict[str, str | None] = {}
    if test:
        text = "This is a test: messages of import-images arrive here."
        results = send(services, Message("import-images: test", text, text, {}))
    if as_table:
        lines = [f"{service.name}{_result(service.name, results)}\n" for service in services]
        hint = "" if test else "to send a test message: import-images notify --test\n"
        write(lambda: sys.stdout.write("".join(lines) + hint))
    else:
        document("Notify", {"services": [_document(service.name, results) for service in services]})
    return ExitStatus.SUCCESS if all(problem is None for problem in results.values()) else ExitStatus.ATTENTION


def _result(name: str, results: Mapping[str, str | None]) -> str:
    if name not in results:
        return ""
    problem = results[name]
    return ": sent" if problem is None else f": not sent: {problem}"


def _document(name: str, results: Mapping[str, str | None]) -> dict[str, Any]:
    problem = results.get(name)
    return {"name": name, "sent": problem is None if name in results else None, "message": problem}
