"""Tags on their way to a result, and which of them may go together in one request."""

from __future__ import annotations

from collections.abc import Sequence

from job.domain.model import By, Item, Reason, Result, Skip, Tag
from job.domain.records import dataclass, field
from job.domain.retries import Attempts
from job.imagestreams.api_types import repository_of

# The server spends a budget of three images at once, and then two a second, on each request.
IMAGES_A_REQUEST = 3


@dataclass(slots=True, eq=False)
class Pending:
    """A tag on its way to a result."""

    tag: Tag
    before: Item | None
    attempts: int = 0
    seconds: float = 0.0
    ready: float = 0.0
    alone: bool = False
    spent: Attempts = field(default_factory=Attempts)
    failed: Reason | None = None
    # An answer was lost, so that the import may have taken effect all the same.
    doubtful: bool = False
    # The registry was asked, and what it has is not blocked.
    judged: bool = False
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """A result, but for the description of its images."""

    tag: Tag
    result: Result
    before: Item | None
    after: Item | None
    reason: Reason | Skip | None = None
    by: By | None = None
    message: str | None = None
    attempts: int = 0
    seconds: float | None = None


def batch_of(pending: Sequence[Pending], now: float) -> list[Pending]:
    """The next images that may go together, of those that are ready at that monotonic time.

    Two images of one repository that differ in `insecure` never share a request: the server would use the first one's
    for both.
    """
    batch: list[Pending] = []
    insecure: dict[str, bool] = {}
    for candidate in pending:
        if candidate.ready > now or (batch and candidate.alone):
            continue
        is_insecure = (candidate.tag.import_policy or {}).get("insecure") is True
        repository = repository_of(candidate.tag.source) if candidate.tag.source else ""
        if insecure.setdefault(repository, is_insecure) != is_insecure:
            continue
        batch.append(candidate)
        if candidate.alone or len(batch) == IMAGES_A_REQUEST:
            break
    return batch
