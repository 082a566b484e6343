"""Where the checkout's own files are, whatever folder a test lives in."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
MONITORING = MANIFESTS / "components" / "monitoring"
CONFORMANCE = ROOT / "tests" / "sandbox" / "conformance"
