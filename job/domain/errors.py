"""What ends a command early, each with its exit status and one line that says what, where and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence

from job.domain.exit_status import ExitStatus
from job.domain.model import Reason


class ImportImagesError(Exception):
    """The base of all errors that are reported to the user."""

    exit_status: int = ExitStatus.ATTENTION


class UsageError(ImportImagesError):
    """Bad usage or settings: nothing was touched. Carries every error that was found, not just the first."""

    exit_status = ExitStatus.USAGE

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


class StoppedError(ImportImagesError):
    """The run was asked to stop before it had begun to import."""

    exit_status = ExitStatus.ABORTED


class ClusterError(ImportImagesError):
    """A request to the API that did not succeed.

    Attributes:
        reason: the reason, of the closed list.
        code: the HTTP status, or None when there was no answer.
        retry_after: seconds that the server asked to wait, or None.
        answered: False where it is not known whether the request took effect.
    """

    exit_status = ExitStatus.CLUSTER_UNUSABLE

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        code: int | None = None,
        retry_after: float | None = None,
        answered: bool = True,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.retry_after = retry_after
        self.answered = answered

    @property
    def lacks_right(self) -> bool:
        """Whether a role is missing: admission (a quota, a policy, a namespace that ends) refuses with 403 too.

        The authorizer says who `cannot` do what to which resource (apiserver, responsewriters).
        """
        # Without the right to impersonate, no request is judged at all.
        admission = re.search(r"is forbidden: (?!User .* cannot )|denied the request|cannot impersonate", str(self))
        return self.reason is Reason.FORBIDDEN and not admission

    @property
    def may_have_taken_effect(self) -> bool:
        """Whether the request may have been carried out: a proxy may answer 5xx after the API has done the work."""
        return not self.answered or (self.code or 0) >= 500
