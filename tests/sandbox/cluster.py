"""The parts of one sandbox that its handlers share."""

from __future__ import annotations

from dataclasses import dataclass

from tests.sandbox.access import Access
from tests.sandbox.registry import RegistryClient
from tests.sandbox.settings import Settings
from tests.sandbox.store import Store
from tests.sandbox.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Cluster:
    """What there is, who may do what, and how to reach registries."""

    settings: Settings
    store: Store
    access: Access
    tokens: Tokens
    registries: RegistryClient
