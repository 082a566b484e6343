"""How much the suites of faults cover, counted from their own tables; the documentation shows it."""

from __future__ import annotations

from tests.faults import arms, catalogue, test_interleavings, test_promote_crashes, test_sequences
from tests.faults.scenarios import SCENARIOS
from tests.mutants.catalogue import MUTANTS


def figures() -> list[tuple[str, str, str]]:
    """Each suite: what it is, how many cases there are in all, and how many gate each change."""
    matrix, others = catalogue.cases(), arms.cases()
    requests = sum(scenario.requests for scenario in SCENARIOS)
    return [
        (
            f"a run: {len(catalogue.faults())} faults at up to {len(catalogue.ALL)} moments",
            str(len(matrix)),
            str(len(catalogue.gating())),
        ),
        (
            f"{len(arms.ARMS)} arms ({', '.join(arm.name for arm in arms.ARMS)}): "
            f"{len({case.trouble.name for case in others})} faults at up to 5 moments",
            str(len(others)),
            str(sum(map(arms.gates, others))),
        ),
        (
            f"killed before and after each request of {len(SCENARIOS)} scenarios, and begun again",
            f"at least {2 * requests}",
            "around each write to a stream",
        ),
        (
            "`promote move`, killed before and after each of its git commands, and given again",
            f"at least {2 * test_promote_crashes.COMMANDS}",
            str(len(test_promote_crashes.GATING)),
        ),
        (
            f"{len(test_interleavings.DEEDS)} deeds of others, and {len(test_interleavings.PAIRS)} pairs of commands, "
            "between any two requests",
            "each request",
            "around each request about streams",
        ),
        (
            f"random sequences of up to {test_sequences.LONG} steps",
            str(test_sequences.SEQUENCES),
            f"{test_sequences.GATING} of {test_sequences.STEPS} steps",
        ),
        ("mistakes in the job that the tests must find", str(len(MUTANTS)), "by `make mutants`"),
    ]
