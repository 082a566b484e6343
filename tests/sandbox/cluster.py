"""The parts of one sandbox that its handlers share."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.sandbox.access import Access
from tests.sandbox.registry import RegistryClient
from tests.sandbox.settings import Settings
from tests.sandbox.store import Store
from tests.sandbox.tokens import Tokens


@dataclass(slots=True)
class Where:
    """How pods reach the API: its address, and the file of the certificate to verify it by."""

    address: str = ""
    authority: str = ""


@dataclass(frozen=True, slots=True)
class Cluster:
    """What there is, who may do what, and how to reach registries."""

    settings: Settings
    store: Store
    access: Access
    tokens: Tokens
    registries: RegistryClient
    where: Where = field(default_factory=Where)
    # The output of the pods that ran as processes, by their uid.
    logs: dict[str, bytes] = field(default_factory=dict)
