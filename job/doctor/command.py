"""`doctor`: find what will go wrong, each problem with the commands that fix it.

Nothing is written to the cluster. The probe of a Pushgateway pushes one group and deletes it again.
"""

from __future__ import annotations

from typing import Any

from job.config.settings import Settings
from job.doctor.checks import Finding, in_order
from job.doctor.collect import collect
from job.doctor.facts import Facts
from job.doctor.registry import CHECKS
from job.domain.errors import StoppedError
from job.domain.states import Severity
from job.run.context import IDENTITY_SECONDS
from job.run.session import place
from job.runtime.shutdown import Stop
from job.views.output import document, write

# The version of the document: 2 has `fix` and `inspect`.
VERSION = 2


def doctor(settings: Settings, stop: Stop, *, as_table: bool) -> int:
    """Show what will go wrong; returns the exit status."""
    parts = frozenset(part for check in CHECKS for part in check.needs)
    with place(settings, stop) as where:
        facts = collect(where, parts, where.progress)
        if stop:
            raise StoppedError("stopped before every check was made")
        identity = where.identify(IDENTITY_SECONDS)
    findings = examine(facts)
    status = 1 if any(finding.severity is not Severity.NOTE for finding in findings) else 0
    if as_table:
        from job.doctor.table import print_findings
        from job.views.tables import print_identity

        write(lambda: print_identity(identity))
        write(lambda: print_findings(findings, counts_of(facts), facts.probed))
    else:
        content = {
            "namespaces": list(facts.namespaces),
            "deployment": facts.deployment,
            "exit_status": status,
            "looked_at": counts_of(facts),
            "gateway_probed": facts.probed is not None and facts.probed.pushed,
            "findings": [_document(finding) for finding in findings],
        }
        document("Doctor", content, version=VERSION)
    return status


def examine(facts: Facts) -> tuple[Finding, ...]:
    """What all checks find in the facts. Without namespaces, only the check of the rights knows why."""
    checks = CHECKS if facts.no_namespaces is None else [check for check in CHECKS if check.name == "Rights"]
    return in_order(finding for check in checks for finding in check.findings(facts))


def counts_of(facts: Facts) -> dict[str, int]:
    """How many tags, workloads and CronJobs were checked; empty where no namespace could be."""
    if facts.no_namespaces is not None:
        return {}
    ours = {("CronJob", job.namespace, job.name) for job in facts.cron_jobs}
    return {
        "tags": sum(len(stream.choices) for stream in facts.chosen),
        "workloads": sum(shape.key not in ours for shape in facts.shapes),
        "cron_jobs": len(facts.cron_jobs),
    }


def _document(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "check": finding.check,
        "namespace": finding.namespace or None,
        "where": finding.where,
        "message": finding.message,
        "fix": list(finding.fix),
        "inspect": list(finding.inspect),
    }
