"""What will go wrong, told from facts: one module a subject. Pure; the facts are gathered by `job.doctor.collect`.

A finding says what is wrong, where, and the commands that mend it. Its `check` is a name that stays the same, for
scripts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """`error`: it fails, or does nothing. `warning`: it will one day. `note`: for whoever did not mean it so."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        check: which check found it; stable.
        namespace: where; empty for what is in none.
        where: what it is about, such as `Deployment web` or `worker:prod`.
        message: what is wrong, in one sentence.
        mend: the commands that mend it, in order, for a shell.
    """

    severity: Severity
    check: str
    namespace: str
    where: str
    message: str
    mend: tuple[str, ...] = ()


def not_checked(namespace: str, where: str, why: str, *mend: str, severity: Severity = Severity.NOTE) -> Finding:
    """That a check could not be made. A right that is missing is a note, since whoever runs it need not have it."""
    return Finding(severity, "not-checked", namespace, where, why, mend)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings, each once, the worst first."""
    order = list(Severity)
    return tuple(
        sorted(dict.fromkeys(findings), key=lambda f: (order.index(f.severity), f.namespace, f.check, f.where))
    )
