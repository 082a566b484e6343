"""A sandbox for the runs whose metrics are looked at."""

from __future__ import annotations

from tests.integration.runs.conftest import sandbox

__all__ = ["sandbox"]
