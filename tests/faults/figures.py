"""How much the suites of faults cover, by their own tables and by what their full runs counted (`measured`)."""

from __future__ import annotations

from tests.faults import arms, catalogue, test_interleavings, test_promote_crashes, test_sequences
from tests.faults.measured import total
from tests.faults.scenarios import SCENARIOS
from tests.mutants.catalogue import MUTANTS


def figures() -> list[tuple[str, str, str]]:
    """Each suite: what it is, how many cases there are in all, and how many gate each change."""
    matrix, others = catalogue.cases(), arms.cases()
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
            f"at least {total('crashes')}",
            "around each write to a stream",
        ),
        (
            "`promote move`, killed before and after each of its git commands, and given again",
            str(total("promote")),
            str(len(test_promote_crashes.GATING)),
        ),
        (
            f"{len(test_interleavings.DEEDS)} actions of other clients, "
            f"and {len(test_interleavings.PAIRS)} pairs of commands, between any two requests",
            str(total("interleavings") + total("pairs")),
            "around each request about streams",
        ),
        (
            f"random sequences of up to {test_sequences.LONG} steps",
            str(test_sequences.SEQUENCES),
            f"{test_sequences.GATING} of {test_sequences.STEPS} steps",
        ),
        (
            f"mistakes in the job that the tests must find: {len(MUTANTS)}",
            f"{total('mutants')} found",
            "by `make mutants`",
        ),
    ]
