"""Whether this machine's clock and the server's agree.

Due times, delays, freeze windows, the ends of holds and the ages of images are judged by this machine's clock.
"""

from __future__ import annotations

from job.doctor.checks import Finding, not_checked
from job.doctor.facts import Facts
from job.domain.states import Severity

WARNING_SECONDS = 5.0
ERROR_SECONDS = 60.0


def check(facts: Facts) -> list[Finding]:
    """Compare the clocks."""
    return findings(facts.clock_skew)


def findings(skew: float | None) -> list[Finding]:
    """What is wrong with the clock.

    Args:
        skew: seconds that the server's clock is ahead of this one, to about one; None where it is not known.
    """
    where = "the clock"
    if skew is None:
        return [not_checked("", where, "the server's time is not known: with CLIENT=oc no answer has it")]
    if abs(skew) <= WARNING_SECONDS:
        return []
    severity = Severity.ERROR if abs(skew) > ERROR_SECONDS else Severity.WARNING
    direction = "behind" if skew > 0 else "ahead of"
    message = f"it is {abs(skew):.0f} s {direction} the server's: due times and the ends of holds are wrong"
    return [Finding(severity, "clock-skew", "", where, message, ("sudo chronyc makestep",))]
