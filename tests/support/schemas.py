"""Kubernetes' schemas, from a package that lies beside the other ones.

The kubernetes package loads kubernetes_validate wherever it finds it, which the job's own process must not pay for.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType


def _load() -> ModuleType:
    place = str(Path(sys.prefix) / "schemas")
    sys.path.append(place)
    try:
        return importlib.import_module("kubernetes_validate")
    finally:
        sys.path.remove(place)


kubernetes_validate = _load()
