"""Whether this clock and the server's agree.

By this one it is told when a run was due and how late it was, whether a freeze or the end of a hold has come, and how
old an image is.
"""

from __future__ import annotations

from job.doctor.checks import Finding, Severity, not_checked

WARNING_SECONDS = 5.0
ERROR_SECONDS = 60.0


def findings(skew: float | None) -> list[Finding]:
    """What is wrong with the clock.

    Args:
        skew: seconds that the server's is ahead of this one, to about one; None where it is not known.
    """
    where = "the clock"
    if skew is None:
        return [not_checked("", where, "how late it is for the server is not known (CLIENT=oc does not tell)")]
    if abs(skew) <= WARNING_SECONDS:
        return []
    severity = Severity.ERROR if abs(skew) > ERROR_SECONDS else Severity.WARNING
    told = (
        f"it is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the server's: due times and holds end wrongly"
    )
    return [Finding(severity, "clock-skew", "", where, told, ("sudo chronyc makestep",))]
