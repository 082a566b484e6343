"""What a run cost, and who it was."""

from __future__ import annotations

from collections import Counter

from job.domain.records import dataclass, field


@dataclass(frozen=True, slots=True)
class Tally:
    """What a run cost in one namespace: requests by HTTP status, more tries by reason."""

    requests: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who works on which cluster.

    Attributes:
        server: the address of the API, without a login.
        context: the kubeconfig's context, if the login comes from one.
        user: the name that the API knows the login by; None where it is not known.
    """

    server: str
    context: str | None = None
    user: str | None = None

    def __str__(self) -> str:
        context = f" (context {self.context})" if self.context else ""
        return f"{self.server}{context}" + (f" as {self.user}" if self.user else "")
