"""What kind of gateway there is, found out by asking it.

First it is asked to remove a group that it does not have: a Pushgateway does that, and nothing is written. Only one
that can remove again gets a gauge of 1, twice, which shows whether it sums; the group then goes. To one that cannot, a
push without any metric is sent, which leaves nothing behind and shows whether it takes pushes at all.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress

import urllib3

from job.config.settings import GatewaySettings
from job.doctor.checks.gateway import PROBE, PROBE_JOB
from job.doctor.facts import Probed
from job.domain.text import clean
from job.publish.pushgateway import Gateway, GatewayError, refusal

# What servers answer to a method that they do not have.
_NO_SUCH_METHOD = (404, 405, 501)
_MOST_BYTES = 64 << 20


def probe(settings: GatewaySettings) -> Probed:
    """Ask the gateway. No error is raised: what goes wrong is in the answer."""
    gateway = Gateway(settings)
    number = secrets.token_hex(4)
    path = f"/metrics/job/{PROBE_JOB}/probe/{number}"
    kind = settings.aggregation
    try:
        status, told = _ask(gateway, "DELETE", path, b"")
        if status in _NO_SUCH_METHOD:
            status, told = _ask(gateway, "POST", path, b"")
            if told:
                return Probed(gateway.url, kind, problem=told, refused=status in (401, 403))
            return Probed(gateway.url, kind, deletes=False)
        if told:
            return Probed(gateway.url, kind, problem=told, refused=status in (401, 403))
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
        # What got no answer may have come all the same.
        problem, pushed = str(error), True
    left: str | None = path
    with suppress(GatewayError):
        if not _ask(gateway, "DELETE", path, b"")[1]:
            left = None
    return Probed(gateway.url, aggregation, problem, refused, deletes=True, value=value, pushed=pushed, left=left)


def _ask(gateway: Gateway, method: str, path: str, body: bytes) -> tuple[int, str | None]:
    """The status of an answer, and what it says if it is none of success."""
    response = gateway.request(method, path, body)
    try:
        good = 200 <= response.status < 300
        return response.status, None if good else str(refusal(response))
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise GatewayError(clean(str(error)), passing=True) from error
    finally:
        response.close()


def _value(gateway: Gateway, number: str) -> float | None:
    """What the gateway shows of the probe, in the format that Prometheus reads; None where that cannot be read."""
    wanted = re.compile(rf'^{PROBE}\{{[^\n]*probe="{number}"[^\n]*\}} ([0-9.e+]+)\n'.encode(), re.MULTILINE)
    try:
        response = gateway.request("GET", "/metrics", None)
    except GatewayError:
        return None
    try:
        rest, read = b"", 0
        while response.status == 200 and read < _MOST_BYTES and (part := response.read1(1 << 16)):
            read += len(part)
            if found := wanted.search(rest + part):
                return float(found[1])
            # A line may be cut in two.
            rest = (rest + part).rpartition(b"\n")[2]
    except (urllib3.exceptions.HTTPError, OSError, ValueError):
        return None
    finally:
        response.close()
    return None
