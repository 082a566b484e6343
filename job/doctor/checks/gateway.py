"""Whether metrics can be pushed, and whether the gateway is of the kind that GATEWAY says."""

from __future__ import annotations

from job.config.settings import GatewaySettings
from job.doctor.checks import Finding, not_checked
from job.doctor.facts import Facts, Probed
from job.domain.shell import DRY_RUN, command, oc, piped
from job.domain.states import Severity
from job.workloads.cronjob import CronJob

# The group of the probe; no dashboard or alert reads it.
PROBE_JOB = "import-images-doctor"
PROBE = "import_images_doctor_probe"


def check(facts: Facts) -> list[Finding]:
    """Judge the gateway that was probed; without one, look for that of the CronJob."""
    settings, job = facts.settings.gateway, next(iter(facts.cron_jobs), None)
    if settings is not None or job is None or job.settings.gateway is None:
        return findings(facts.probed, job, settings)
    url = job.settings.gateway.url
    message = f"{job} pushes to {url}, which was not probed: name it by --pushgateway"
    fix = command("import-images", "doctor", *scope(facts), "--pushgateway", url)
    return [not_checked("", "gateway", message, fix)]


def scope(facts: Facts) -> list[str]:
    """The flags by which doctor examines the same again, wherever it runs."""
    labels, deployment = facts.settings.namespace_selector, facts.deployment
    words = ["--namespace-selector", labels] if labels else ["-n", ",".join(facts.namespaces)]
    return [*words, *(["--deployment", deployment] if deployment else [])]


def findings(probed: Probed | None, home: CronJob | None, given: GatewaySettings | None = None) -> list[Finding]:
    """What is wrong with the gateway.

    Args:
        probed: the result of the probe; None: no gateway is set.
        home: the CronJob whose settings a fix changes, if there is one.
        given: the probe's own settings; with a login there, a fix changes that login.
    """
    if probed is None:
        message = "PUSHGATEWAY_ADDRESS is not set: no metrics are pushed, so no alert reports a failed run"
        return [_found(Severity.NOTE, "gateway-not-set", "", message, *_set(home, PUSHGATEWAY_ADDRESS="HOST:9091"))]
    where = probed.address
    if probed.problem:
        if probed.refused:
            by_token = given is not None and given.token is not None
            logged_in = by_token or (given is not None and given.username is not None)
            message = f"it requires {'another' if logged_in else 'a'} login: {probed.problem}"
            words = ["PUSHGATEWAY_USERNAME=USER", "PUSHGATEWAY_PASSWORD=PASSWORD"]
            if by_token:
                # Beside a token a user name is refused.
                words = ["PUSHGATEWAY_TOKEN=TOKEN"]
            login = command("export", *words)
            if home and logged_in:
                # The Secret exists and may hold more than the login.
                login = oc(home.namespace, "set", "data", "secret/import-images", *words)
            elif home:
                literals = [f"--from-literal={word}" for word in words]
                secret = ("create", "secret", "generic", "import-images", *literals, *DRY_RUN)
                login = piped(oc(home.namespace, *secret), oc(home.namespace, "apply", "-f", "-"))
            return [_found(Severity.ERROR, "gateway-refuses", where, message, login)]
        return [
            _found(
                Severity.ERROR,
                "gateway-unreachable",
                where,
                f"it cannot be pushed to: {probed.problem}",
                inspect=(command("curl", "-sv", f"{where}/metrics", "-o", "/dev/null"),),
            )
        ]
    problems = []
    if probed.sums is None:
        message = "the probe cannot be read back, so whether it sums gauges is not known"
        severity = Severity.WARNING
        problems.append(
            not_checked("", f"gateway {where}", message, command("curl", "-s", f"{where}/metrics"), severity=severity)
        )
    elif probed.sums and not probed.aggregation:
        how = "it deletes no groups" if probed.value is None else _summed(probed.value)
        message = f"it is not a Pushgateway ({how}): it would add each run's gauges to those of earlier runs"
        problems.append(_found(Severity.ERROR, "gateway-sums", where, message, *_set(home, GATEWAY="aggregation")))
    elif not probed.sums and probed.aggregation:
        message = "GATEWAY is aggregation, but it is a Pushgateway: each run's counters would replace the earlier ones"
        problems.append(_found(Severity.ERROR, "gateway-replaces", where, message, *_set(home, GATEWAY="pushgateway")))
    if probed.leftover:
        message = f"the probe's group could not be deleted: {probed.leftover}"
        fix = command("curl", "-X", "DELETE", f"{where}{probed.leftover}")
        problems.append(_found(Severity.WARNING, "gateway-probe-left", where, message, fix))
    return problems


def _summed(value: float) -> str:
    return f"1 pushed twice became {value:g}"


def _found(
    severity: Severity, check: str, where: str, message: str, *fix: str, inspect: tuple[str, ...] = ()
) -> Finding:
    return Finding(severity, check, "", f"gateway {where}".strip(), message, fix, inspect)


def _set(home: CronJob | None, **settings: str) -> tuple[str, ...]:
    words = [f"{name}={value}" for name, value in settings.items()]
    if home is None:
        return (command("export", *words),)
    return (oc(home.namespace, "set", "env", f"cronjob/{home.name}", *words),)
