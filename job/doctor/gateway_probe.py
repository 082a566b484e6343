"""Probing a gateway: whether it takes pushes, deletes groups and sums gauges.

The first request deletes a group that does not exist, which a Pushgateway accepts and which writes nothing. A gateway
that can delete then gets a gauge of 1 twice, which shows whether it sums, and the group is deleted again. A gateway
that cannot delete gets a push without metrics, which leaves nothing behind and shows whether it takes pushes.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress

from job.config.settings import GatewaySettings
from job.doctor.checks.gateway import PROBE, PROBE_JOB
from job.doctor.facts import Probed
from job.domain.text import clean
from job.publish.pushgateway import Gateway, GatewayError, refusal
from job.runtime.http import HttpError

# Answers to a method that a server does not support.
_NO_SUCH_METHOD = (404, 405, 501)
_MOST_BYTES = 64 << 20
# The longest line with a probe's sample; longer lines belong to other jobs.
_LONGEST_LINE = 4096


def probe(settings: GatewaySettings) -> Probed:
    """Probe the gateway. Errors are part of the result."""
    gateway = Gateway(settings)
    number = secrets.token_hex(4)
    path = f"/metrics/job/{PROBE_JOB}/probe/{number}"
    kind = settings.aggregation
    try:
        status, message = _ask(gateway, "DELETE", path, b"")
        if status in _NO_SUCH_METHOD:
            status, message = _ask(gateway, "POST", path, b"")
            if message:
                return Probed(gateway.url, kind, problem=message, refused=status in (401, 403))
            return Probed(gateway.url, kind, deletes=False)
        if message:
            return Probed(gateway.url, kind, problem=message, refused=status in (401, 403))
        return _twice(gateway, path, number, aggregation=kind)
    except GatewayError as error:
        return Probed(gateway.url, kind, problem=str(error))
    finally:
        gateway.close()


def _twice(gateway: Gateway, path: str, number: str, *, aggregation: bool) -> Probed:
    body = f"# TYPE {PROBE} gauge\n{PROBE} 1\n".encode()
    problem, refused, value, pushed = None, False, None, False
    try:
        for _ in range(2):
            status, problem = _ask(gateway, "POST", path, body)
            if problem:
                refused = status in (401, 403)
                break
            pushed = True
        else:
            value = _value(gateway, number)
    except GatewayError as error:
        # A push without an answer may have arrived.
        problem, pushed = str(error), True
    leftover: str | None = path
    with suppress(GatewayError):
        if not _ask(gateway, "DELETE", path, b"")[1]:
            leftover = None
    return Probed(
        gateway.url, aggregation, problem, refused, deletes=True, value=value, pushed=pushed, leftover=leftover
    )


def _ask(gateway: Gateway, method: str, path: str, body: bytes) -> tuple[int, str | None]:
    """The status of an answer, and its message unless it is a success."""
    response = gateway.request(method, path, body)
    try:
        good = 200 <= response.status < 300
        return response.status, None if good else str(refusal(response))
    except HttpError as error:
        raise GatewayError(clean(str(error)), passing=True) from error
    finally:
        response.close()


def _value(gateway: Gateway, number: str) -> float | None:
    """The probe's value in the text format that Prometheus reads; None where it cannot be read."""
    wanted = re.compile(rf'^{PROBE}\{{[^\n]*probe="{number}"[^\n]*\}} ([0-9.e+]+)\n'.encode(), re.MULTILINE)
    try:
        response = gateway.request("GET", "/metrics", None)
    except GatewayError:
        return None
    try:
        rest, read = b"", 0
        while response.status == 200 and read < _MOST_BYTES and gateway.seconds_left() > 0:
            part = response.read(1 << 16)
            if not part:
                break
            read += len(part)
            if match := wanted.search(rest + part):
                return float(match[1])
            # The chunk may end within a line.
            rest = (rest + part).rpartition(b"\n")[2][-_LONGEST_LINE:]
    except (HttpError, ValueError):
        return None
    finally:
        response.close()
    return None
