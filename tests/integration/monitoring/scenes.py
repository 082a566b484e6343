"""Namespaces in each state that a deployment can be in, as runs of the job leave them in a Pushgateway.

What no run comes to within seconds, since it is days old, is a report, pushed the way the job does.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from job.config.settings import GatewaySettings
from job.domain.model import (
    Gate,
    GateVerdict,
    Hold,
    Image,
    Outcome,
    Report,
    Result,
    Skip,
    TagResult,
    Tally,
    Verdict,
)
from job.domain.rules import RULES
from job.publish.metric_families import Past
from job.publish.pushgateway import Gateway, push
from tests.sandbox.client import Refused, Sandbox
from tests.support.place import Place
from tests.support.pods import make_cron_job, scheduled
from tests.support.rights import WATCH
from tests.support.servers import Answered, serving
from tests.unit.reports import held, report_of, tag_result

STATES = ("good", "partial", "failure", "frozen", "ruled", "bad", "late", "refused")
DAY = timedelta(days=1)


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - days * DAY


def image(days: float, revision: str = "7e8f90") -> Image:
    """An image that was built so many days ago, and came in a day later."""
    return Image(f"sha256:{revision:0<64}", days_ago(days), days_ago(days - 1), revision, None)


class Scene:
    """A Pushgateway, and the namespaces whose runs push there."""

    def __init__(self, sandbox: Sandbox, gateway: str) -> None:
        self.sandbox = sandbox
        self.gateway = gateway
        # The namespace in each state.
        self.namespaces: dict[str, str] = {}

    def make(self, *states: str) -> None:
        """Bring a namespace into each of these states."""
        for state in states:
            self.namespaces[state] = getattr(self, f"_{state}")()

    def place(self) -> Place:
        """A namespace of its own."""
        return Place(self.sandbox)

    def run(self, place: Place, status: int, *arguments: str, **environment: str) -> None:
        """A run of the job, as a process."""
        done = place.run(*arguments, PUSHGATEWAY_ADDRESS=self.gateway, **environment)
        assert done.status == status, done.stderr
        assert "not pushed" not in done.stderr

    def push(self, namespace: str, *tags: TagResult, ended: datetime, outcome: Outcome, **values: Any) -> None:
        """What a run says that ended then, pushed as the job does it."""
        report: Report = report_of(
            *(replace(tag, namespace=namespace) for tag in tags),
            outcome=outcome,
            namespaces=(namespace,),
            outcomes={namespace: outcome},
            tallies={namespace: Tally(Counter({"201": 3}), Counter())},
            started_at=ended - timedelta(seconds=20),
            finished_at=ended,
            **values,
        )
        gateway = Gateway(GatewaySettings(self.gateway))
        try:
            push(report, gateway, {namespace: Past()}, narrowed=False)
        finally:
            gateway.close()

    def _good(self) -> str:
        """A scheduled run that went well, though the API stumbled once."""
        place = self.place()
        place.imported("app")
        place.imported("other")
        place.push("app", "two")
        fault = place.import_fault("app", times=1, status={"code": 503})
        with serving(instead=lambda asked: Answered(200)) as service:
            message = {"NOTIFY": service.url, "NOTIFY_ON": "always"}
            self.run(place, 0, **scheduled(place, make_cron_job(place), late=42), **message, RETRIES="2")
        place.sandbox.remove_faults(fault)
        return place.namespace

    def _partial(self) -> str:
        """One tag was imported once and has failed twice since; another is held for a long time."""
        place = self.place()
        place.imported("app")
        bad = place.imported("broken")
        good, _ = place.imported("held"), place.push("held", "two")
        place.sandbox.import_tag(place.namespace, "held", "prod")
        place.roll_back("held", good, at=f"{days_ago(20):%Y-%m-%dT%H:%M:%SZ}")
        self.run(place, 0)
        place.sandbox.registry.delete(f"{place.namespace}/broken", bad)
        for _ in range(2):
            self.run(place, 1)
        return place.namespace

    def _failure(self) -> str:
        """All there is was never in the registry; of all tags, not of one deployment."""
        place = self.place()
        place.stream("gone")
        done = place.run(PUSHGATEWAY_ADDRESS=self.gateway, DEPLOYMENT=None)
        assert done.status == 1, done.stderr
        return place.namespace

    def _frozen(self) -> str:
        """A scheduled run inside a freeze window, after one that went well."""
        place = self.place()
        place.imported("app")
        cron_job = make_cron_job(place)
        self.run(place, 0, **scheduled(place, cron_job))
        self.rules(place, freeze=f"- reason: the demo\n  until: {days_ago(-1):%Y-%m-%dT%H:%M:%SZ}\n")
        self.run(place, 0, **scheduled(place, cron_job, "import-images-2"), FREEZE="* * * * * 1h")
        return place.namespace

    def _ruled(self) -> str:
        """A rule froze it long ago, after a run that kept a blocked image out."""
        place = self.place()
        place.imported("app")
        place.imported("other")
        cron_job = make_cron_job(place)
        self.run(place, 0, **scheduled(place, cron_job))
        blocked = f"- digest: {place.push('other', 'two')}\n"
        self.rules(place, blocked=blocked)
        self.run(place, 0, **scheduled(place, cron_job, "import-images-2"))
        self.rules(place, blocked=blocked, freeze=f"- reason: lost\n  at: {days_ago(20):%Y-%m-%dT%H:%M:%SZ}\n")
        self.run(place, 0, **scheduled(place, cron_job, "import-images-3"))
        return place.namespace

    def rules(self, place: Place, **data: str) -> None:
        """Write the rules of a namespace as a person does."""
        path = f"/api/v1/namespaces/{place.namespace}/configmaps"
        with suppress(Refused):
            self.sandbox.delete(f"{path}/{RULES}")
        self.sandbox.create(path, {"metadata": {"name": RULES}, "data": data})

    def _bad(self) -> str:
        """An image came in with which a workload does not come up, while another one does."""
        place = Place(self.sandbox, WATCH)
        for kind, name in (("StatefulSet", "packit-worker"), ("Deployment", "packit-service")):
            place.imported(name)
            place.sandbox.create_workload(place.namespace, kind, name, tag=f"{name}:prod")
        place.push("packit-service", f"service {place.namespace}")
        place.sandbox.image_behaves(place.push("packit-worker", f"worker {place.namespace}"), "crash")
        self.run(place, 5, WATCH_ROLLOUTS="true")
        return place.namespace

    def _late(self) -> str:
        """A job that has not run for long, with a hold that is over and little to go back to."""
        name = "shop-late"
        old = image(40)
        hold = Hold(days_ago(21), days_ago(2), "jane", "crashes", old.digest)
        self.push(
            name,
            tag_result(after=old, rollback_targets=1),
            tag_result("packit-service", after=old, rollback_targets=4),
            replace(
                tag_result("packit-young", after=old, result=Result.SKIPPED, reason=Skip.YOUNG),
                gates=(Verdict(Gate.MIN_AGE, GateVerdict.HELD, image(21).digest, "waits", reason=Skip.YOUNG),),
            ),
            replace(held("packit-held"), after=old, hold=hold),
            ended=days_ago(20),
            outcome=Outcome.SUCCESS,
            trigger="scheduled",
            scheduled_at=days_ago(20) - timedelta(minutes=5),
            next_run=days_ago(13),
        )
        return name

    def _refused(self) -> str:
        """A run whose push was taken, and then one that was not."""
        name = "shop-refused"
        self.push(name, tag_result(after=image(3)), ended=days_ago(0.2), outcome=Outcome.SUCCESS)
        self.spoil(name)
        return name

    def spoil(self, namespace: str) -> None:
        """Push what a Pushgateway refuses: a metric whose type contradicts what there is."""
        url = f"{self.gateway}/metrics/job/import-images/deployment/prod/stream_namespace/{namespace}"
        body = b"# TYPE import_images_tags counter\nimport_images_tags 1\nimport_images_tags 2\n"
        request = urllib.request.Request(url, data=body, method="POST")
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except urllib.error.HTTPError as error:
            assert error.code == 400
        else:
            raise AssertionError("it was taken")
