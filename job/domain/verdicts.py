"""What a gate says of one image, as the report has it."""

from __future__ import annotations

from datetime import datetime

from job.domain.enums import By, Gate, GateVerdict, Reason, Skip
from job.domain.records import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says of an image that a tag would get.

    Attributes:
        gate: which gate.
        verdict: what it says.
        digest: of the image that it judged.
        message: why, for a person; how long the image still waits is in `until`.
        since: when what the gate waits for began: the image was built, first seen, or imported where it proves itself.
        until: when the gate will let the image through, as far as that is known.
        where: where the image proves itself, as NAMESPACE/STREAM:TAG.
        reason: what becomes of the tag unless the verdict is `passed`: a skip, or a failure.
        by: which side refused, where that makes the tag fail.
    """

    gate: Gate
    verdict: GateVerdict
    digest: str
    message: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    where: str | None = None
    reason: Reason | Skip | None = None
    by: By | None = None

    @property
    def passed(self) -> bool:
        """Whether the gate lets the image through; one that a plan does not ask does not decide."""
        return self.verdict in (GateVerdict.PASSED, GateVerdict.NOT_ASKED)


def first_refusal(verdicts: tuple[Verdict, ...]) -> Verdict | None:
    """The verdict that decides what becomes of the tag: the first one that is not `passed`.

    That of VERIFY is no such: it comes after the import, and its rollouts decide.
    """
    return next((verdict for verdict in verdicts if not verdict.passed and verdict.gate is not Gate.VERIFY), None)


def refusals(verdicts: tuple[Verdict, ...]) -> str:
    """What the gates that refuse an image say: the message of its tag. Empty where all let it through."""
    return "; ".join(verdict.message or str(verdict.gate) for verdict in verdicts if not verdict.passed)
