"""Whether the gateway of the metrics is the one that it is taken for."""

from __future__ import annotations

from dataclasses import dataclass

from job.config.settings import GatewaySettings
from job.doctor.checks import Finding, Severity, not_checked
from job.domain.shell import command, oc
from job.workloads.cronjob import CronJob

# The group of the probe: no dashboard or alert reads it.
PROBE_JOB = "import-images-doctor"
PROBE = "import_images_doctor_probe"


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of the probe.

    Attributes:
        address: the gateway's, without a login.
        aggregation: what it is taken for.
        problem: why it could not be asked, or refused what was pushed.
        refused: whether that is for want of a login, or of the right one.
        deletes: whether it removes groups, as a Pushgateway does and one that sums does not.
        value: what it made of a gauge of 1 that was pushed twice; None where that cannot be read.
        pushed: whether a group came into it, as far as is known.
        left: the path of the group that it did not remove again.
    """

    address: str
    aggregation: bool
    problem: str | None = None
    refused: bool = False
    deletes: bool | None = None
    value: float | None = None
    pushed: bool = False
    left: str | None = None

    @property
    def sums(self) -> bool | None:
        """Whether it sums what it gets; None where it did not show."""
        if self.deletes is False:
            return True
        return None if self.value is None else self.value != 1.0


def findings(probed: Probed | None, home: CronJob | None, given: GatewaySettings | None = None) -> list[Finding]:
    """What is wrong with the gateway.

    Args:
        probed: what came of the probe; None: no gateway is set.
        home: the CronJob whose settings are to be changed, if there is one.
        given: what the probe was given; where that had a login, there is one to be changed.
    """
    if probed is None:
        told = "PUSHGATEWAY_ADDRESS is not set: no metrics are pushed, and no alert tells of a run that failed"
        return [_found(Severity.NOTE, "gateway-not-set", "", told, *_set(home, PUSHGATEWAY_ADDRESS="HOST:9091"))]
    where = probed.address
    if probed.problem:
        if probed.refused:
            by_token = given is not None and given.token is not None
            logged_in = by_token or (given is not None and given.username is not None)
            told = f"it wants {'another' if logged_in else 'a'} login: {probed.problem}"
            words = ["PUSHGATEWAY_USERNAME=USER", "PUSHGATEWAY_PASSWORD=PASSWORD"]
            if by_token:
                # Beside a token a user name is refused.
                words = ["PUSHGATEWAY_TOKEN=TOKEN"]
            login = command("export", *words)
            if home and logged_in:
                # There is such a Secret, which may hold more than the login.
                login = oc(home.namespace, "set", "data", "secret/import-images", *words)
            elif home:
                literals = [f"--from-literal={word}" for word in words]
                login = oc(home.namespace, "create", "secret", "generic", "import-images", *literals)
            return [_found(Severity.ERROR, "gateway-refuses", where, told, login)]
        return [
            _found(
                Severity.ERROR,
                "gateway-unreachable",
                where,
                f"it cannot be pushed to: {probed.problem}",
                command("curl", "-sv", f"{where}/metrics", "-o", "/dev/null"),
            )
        ]
    found = []
    if probed.sums is None:
        told = "what was pushed to it cannot be read back, so whether it sums gauges is not known"
        severity = Severity.WARNING
        found.append(
            not_checked("", f"gateway {where}", told, command("curl", "-s", f"{where}/metrics"), severity=severity)
        )
    elif probed.sums and not probed.aggregation:
        how = "it removes no groups, as gateways that sum do not" if probed.value is None else _summed(probed.value)
        told = f"it is no Pushgateway ({how}): each run's gauges would be added to those before"
        found.append(_found(Severity.ERROR, "gateway-sums", where, told, *_set(home, GATEWAY="aggregation")))
    elif not probed.sums and probed.aggregation:
        told = "GATEWAY says aggregation, and it is a Pushgateway: each run's counters replace those before"
        found.append(_found(Severity.ERROR, "gateway-replaces", where, told, *_set(home, GATEWAY="pushgateway")))
    if probed.left:
        told = f"the probe's group was not removed again: {probed.left}"
        mend = command("curl", "-X", "DELETE", f"{where}{probed.left}")
        found.append(_found(Severity.WARNING, "gateway-probe-left", where, told, mend))
    return found


def _summed(value: float) -> str:
    return f"1 pushed twice became {value:g}"


def _found(severity: Severity, check: str, where: str, told: str, *mend: str) -> Finding:
    return Finding(severity, check, "", f"gateway {where}".strip(), told, mend)


def _set(home: CronJob | None, **settings: str) -> tuple[str, ...]:
    words = [f"{name}={value}" for name, value in settings.items()]
    if home is None:
        return (command("export", *words),)
    return (oc(home.namespace, "set", "env", f"cronjob/{home.name}", *words),)
