"""What rehearsals find out: whether the nodes of a workload can use an image that its tag does not have yet."""

from __future__ import annotations

from typing import Self

from job.domain.enums import Explained


class Rehearsal(Explained):
    """What became of a rehearsal: whether a node of a workload can use an image that its tag does not have yet."""

    PASSED = "passed", "A node pulled the image and created a container of it."
    UNUSABLE = "unusable", "A node cannot use the image."
    INCONCLUSIVE = "inconclusive", "It is not known: something else kept the pod from showing it."


class Obstacle(Explained):
    """What kept a rehearsal from passing.

    Attributes:
        result: what it says of the image.
    """

    result: Rehearsal

    def __new__(cls, value: str, meaning: str = "", result: Rehearsal = Rehearsal.UNUSABLE) -> Self:
        """A member: its value, what it means and what it says of the image. The defaults are for a look-up by value."""
        member = str.__new__(cls, value)
        member._value_, member.meaning, member.result = value, meaning, result
        return member

    GONE = "gone", "The registry has no such image any more."
    REFUSED = "refused", "The registry refuses the pull secrets of the workload."
    NO_LOGIN = "no_login", "The registry asks for a login, and the workload has no pull secret."
    POLICY = "policy", "A policy of the cluster refuses the image, such as one that requires signatures."
    ARCHITECTURE = "architecture", "The image has nothing for the architecture of the node."
    UNFIT = "unfit", "The node cannot pull the image, or make a container of it, for another reason that it names."
    QUOTA = "quota", "A quota of the namespace has no room for the pod.", Rehearsal.INCONCLUSIVE
    NOT_CREATED = "not_created", "The API refuses the pod, or failed.", Rehearsal.INCONCLUSIVE
    UNSCHEDULABLE = "unschedulable", "No node takes the pod.", Rehearsal.INCONCLUSIVE
    NODE = "node", "The node, its network or the registry fails.", Rehearsal.INCONCLUSIVE
    REMOVED = "removed", "Another client removed the pod.", Rehearsal.INCONCLUSIVE
    LATE = (
        "late",
        "There was no result within `ROLLOUT_TIMEOUT`, or before the run was stopped.",
        Rehearsal.INCONCLUSIVE,
    )
