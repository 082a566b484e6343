"""Findings, and the pure functions that make them from facts: one module per subject.

`job.doctor.collect` gathers the facts; `job.doctor.registry` lists the checks. The name of a finding (`check`) is part
of the interface: scripts rely on it.
"""

from __future__ import annotations

from collections.abc import Iterable

from job.domain.records import dataclass
from job.domain.states import Severity


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem.

    Attributes:
        check: the name of the problem; stable.
        namespace: where; empty for a problem outside of any namespace.
        where: the object, such as `Deployment web` or `worker:prod`.
        message: what is wrong, in one sentence.
        fix: shell commands that fix it, in order; empty where no command can.
        inspect: shell commands that show more of it.
        cause: what findings of one cause have in common; the table groups by it. Empty: the message.
    """

    severity: Severity
    check: str
    namespace: str
    where: str
    message: str
    fix: tuple[str, ...] = ()
    inspect: tuple[str, ...] = ()
    cause: str = ""


def not_checked(
    namespace: str,
    where: str,
    why: str,
    *inspect: str,
    fix: tuple[str, ...] = (),
    severity: Severity = Severity.NOTE,
) -> Finding:
    """A check that could not be made. A missing right is a note: the user need not have it."""
    return Finding(severity, "not-checked", namespace, where, why, fix, inspect)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings without duplicates, the most severe first."""
    order = list(Severity)
    return tuple(
        sorted(dict.fromkeys(findings), key=lambda f: (order.index(f.severity), f.namespace, f.check, f.where))
    )
