"""The day of a bad image is played on the sandbox, as other whole runs are."""

from __future__ import annotations

from tests.integration.runs.conftest import place, sandbox

__all__ = ["place", "sandbox"]
