"""`notify`: check that the services of NOTIFY accept messages."""

from __future__ import annotations

import sys

from job.config.settings import Settings
from job.domain.errors import UsageError
from job.domain.exit_status import ExitStatus
from job.publish.notify import Message, send, services_of
from job.views.output import write


def notify(settings: Settings, *, test: bool) -> int:
    """List the services, or send each a test message; returns the exit status.

    Raises:
        UsageError: NOTIFY is not set, an address is not complete, or apprise is missing.
    """
    if settings.notify is None:
        raise UsageError(["NOTIFY: not set, so there is no service to send to"])
    services, problems = services_of(settings.notify)
    if problems:
        raise UsageError([f"NOTIFY: address {name}: {problem}" for name, problem in problems.items()])
    if not test:
        names = "".join(f"{service.name}\n" for service in services)
        write(lambda: sys.stdout.write(f"{names}to send a test message: import-images notify --test\n"))
        return ExitStatus.SUCCESS
    text = "This is a test: messages of import-images arrive here."
    results = send(services, Message("import-images: test", text, text, {}))
    lines = [f"{name}: {'sent' if problem is None else f'not sent: {problem}'}\n" for name, problem in results.items()]
    write(lambda: sys.stdout.write("".join(lines)))
    return ExitStatus.SUCCESS if all(problem is None for problem in results.values()) else ExitStatus.ATTENTION
