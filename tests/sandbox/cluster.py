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
    # What containers of an image do by its own label, by digest: a node sees it whether or not it was imported.
    behaviours: dict[str, str] = field(default_factory=dict)
    # The output of the pods that ran as processes, by their uid.
    logs: dict[str, bytes] = field(default_factory=dict)
