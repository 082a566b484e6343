"""One sandbox for all cases of a worker, as for other whole runs."""

from __future__ import annotations

from tests.integration.runs.conftest import sandbox

__all__ = ["sandbox"]
