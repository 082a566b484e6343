"""Which whole runs every `make test` makes: of files that take minutes a spread, chosen by name; `make test-all` all.

Each run starts a process or two, so that hundreds of them are more than ten minutes on two cores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import pytest

# In percent. Files that are not named here run whole.
SHARES = {
    "tests/integration/cluster/test_contract.py": 40,
    "tests/integration/cluster/test_oc.py": 60,
    "tests/integration/cluster/test_oc_runs.py": 50,
    "tests/integration/promote/test_chain.py": 40,
    "tests/integration/promote/test_hostile.py": 40,
    "tests/integration/promote/test_move.py": 40,
    "tests/integration/runs/test_doctor.py": 25,
    "tests/integration/runs/test_history.py": 50,
    "tests/integration/runs/test_holds.py": 50,
    "tests/integration/runs/test_hostile.py": 8,
    "tests/integration/runs/test_imports.py": 50,
    "tests/integration/runs/test_rollback.py": 25,
    "tests/integration/runs/test_rollouts.py": 35,
    "tests/integration/runs/test_selection.py": 40,
    "tests/integration/runs/test_settings.py": 40,
    "tests/integration/runs/test_status.py": 40,
    "tests/integration/runs/test_waves.py": 40,
}


def left_out(nodeid: str) -> bool:
    """Whether the test is left to `make test-all`; the same for everybody, and for ever."""
    share = SHARES.get(nodeid.partition("::")[0], 100)
    return int(hashlib.sha256(nodeid.encode()).hexdigest(), 16) % 100 >= share


def mark(items: Iterable[pytest.Item]) -> None:
    """Mark what is left out as slow; what is marked `always` is not left out by chance."""
    for item in items:
        if item.get_closest_marker("always") is None and left_out(item.nodeid):
            item.add_marker(pytest.mark.slow)
