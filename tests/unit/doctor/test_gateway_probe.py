"""The probe of a gateway, against gateways of all kinds."""

from __future__ import annotations

import io

import pytest

from job.config.settings import GatewaySettings
from job.doctor.checks.gateway import PROBE, findings
from job.doctor.facts import Probed
from job.doctor.gateway_probe import probe
from job.doctor.table import print_findings
from tests.support.servers import Answered, Asked, Sums, serving


class Gateway:
    """Keeps the value of each group; what it does with a value of before is said by `sums`."""

    def __init__(self, *, sums: bool = False, shows: str = "", removes: int = 99) -> None:
        self.values: dict[str, float] = {}
        self.sums = sums
        self.shows = shows
        self.removes = removes

    def __call__(self, asked: Asked) -> Answered:
        if asked.method == "DELETE":
            self.removes -= 1
            if self.removes < 0:
                return Answered(500, b"out of order")
            self.values.pop(asked.path, None)
            return Answered(202)
        if asked.method == "POST":
            value = float(asked.body.split()[-1])
            self.values[asked.path] = value + (self.values.get(asked.path, 0.0) if self.sums else 0.0)
            return Answered(200)
        if self.shows == "nothing":
            return Answered(404)
        lines = [f'other{{a="b"}} {"7" * 50_000}', *(self._line(*each) for each in self.values.items())]
        return Answered(200, ("\n".join(lines) + "\n").encode())

    def _line(self, path: str, value: float) -> str:
        return f'{PROBE}{{instance="",job="import-images-doctor",probe="{path.rpartition("/")[2]}"}} {value:g}'


def probed(gateway: Gateway | Sums, *, aggregation: bool = False) -> tuple[Probed, list[str]]:
    with serving(instead=gateway) as server:
        return probe(GatewaySettings(server.url, aggregation)), server.methods()


def test_one_that_replaces() -> None:
    gateway = Gateway()
    found, methods = probed(gateway)
    assert (found.value, found.sums, found.leftover, found.problem) == (1.0, False, None, None)
    assert found.pushed
    assert methods == ["DELETE", "POST", "POST", "GET", "DELETE"]
    assert gateway.values == {}


def test_one_that_sums_and_removes() -> None:
    gateway = Gateway(sums=True)
    found, _ = probed(gateway)
    assert (found.value, found.sums) == (2.0, True)
    assert gateway.values == {}


@pytest.mark.parametrize("aggregation", [False, True])
def test_one_that_cannot_remove_gets_nothing_that_would_stay(aggregation: bool) -> None:
    sums = Sums()
    found, methods = probed(sums, aggregation=aggregation)
    assert (found.deletes, found.sums, found.problem) == (False, True, None)
    assert not found.pushed
    assert methods == ["DELETE", "POST"]
    assert sums.series == {}


def test_one_that_does_not_show_what_it_has() -> None:
    found, methods = probed(Gateway(shows="nothing"))
    assert (found.sums, found.leftover, found.problem) == (None, None, None)
    assert found.pushed
    assert methods[-1] == "DELETE"


def test_one_that_removes_only_once() -> None:
    found, _ = probed(Gateway(removes=1))
    assert found.pushed and found.leftover is not None
    assert found.leftover.startswith("/metrics/job/import-images-doctor/probe/")
    page = io.StringIO()
    print_findings(findings(found, None), {}, found, page)
    assert "could not be deleted" in page.getvalue()
    assert "and deleted again" not in page.getvalue()


@pytest.mark.parametrize(("status", "refused"), [(401, True), (403, True), (500, False), (302, False)])
def test_one_that_refuses(status: int, refused: bool) -> None:
    with serving(instead=lambda asked: Answered(status)) as server:
        found = probe(GatewaySettings(server.url))
    assert (found.refused, str(status) in (found.problem or "")) == (refused, True)


def test_one_that_may_be_read_and_not_pushed_to() -> None:
    def guarded(asked: Asked) -> Answered:
        return Answered(403 if asked.method == "POST" else 202)

    with serving(instead=guarded) as server:
        found = probe(GatewaySettings(server.url))
    assert found.refused
    assert not found.pushed
    assert found.leftover is None


def test_what_is_no_gateway() -> None:
    with serving(instead=lambda asked: Answered(404)) as server:
        found = probe(GatewaySettings(server.url))
    assert "is it the address of a Pushgateway?" in (found.problem or "")


def test_one_that_is_not_there() -> None:
    found = probe(GatewaySettings("http://127.0.0.1:1"))
    assert "refused" in (found.problem or "").lower()
