"""Makes each mutant in a copy of the tree, and runs the tests that must find it: `python -m tests.mutants [WORD...]`.

With words only the mutants whose name has all of them. Ends with 1 where one was not found, with 2 where no name has
the words.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.measured import record
from tests.mutants.catalogue import MUTANTS, Mutant
from tests.support.paths import ROOT

JOBS = 2
_PATIENCE = 900
# What pytest ends with when a test failed, and when none was found to run.
_FAILED = 1


def copy_tree(target: Path) -> None:
    """Copy what git knows of the checkout, as it is on the disk."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def edited(mutant: Mutant, source: str) -> str:
    """The source with the mistake.

    Raises:
        ValueError: the text to replace does not occur once.
    """
    if source.count(mutant.old) != 1:
        raise ValueError(f"{mutant.name}: job/{mutant.file} has the text {source.count(mutant.old)} times, not once")
    return source.replace(mutant.old, mutant.new)


def find(mutant: Mutant) -> str | None:
    """The first test that finds the mutant; None where all of them pass."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        file = tree / "job" / mutant.file
        file.write_text(edited(mutant, file.read_text(encoding="utf-8")), encoding="utf-8")
        # A process that the tests start has an environment of its own, and would find the installed checkout.
        program = tree / "import-images"
        lines = [f"#!{sys.executable}", "import sys", f"sys.path.insert(0, {str(tree)!r})"]
        program.write_text("\n".join([*lines, "from job.cli import main", "sys.exit(main())", ""]), encoding="utf-8")
        program.chmod(0o755)
        # PYTHONPATH puts the copy before that checkout for the tests themselves.
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", *mutant.tests],
            cwd=tree,
            env={**_environment(), "PYTHONPATH": str(tree), "IMPORT_IMAGES_PROGRAM": str(program)},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    if done.returncode not in (0, _FAILED):
        raise RuntimeError(f"{mutant.name}: the tests did not run:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    return failed[0].split(" ")[1] if done.returncode == _FAILED and failed else None


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


def main(words: list[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in words)]
    if not chosen:
        print(f"no mutant has {' and '.join(words)} in its name", file=sys.stderr)
        return 2
    missed = 0
    with ThreadPoolExecutor(JOBS) as pool:
        for mutant, test in zip(chosen, pool.map(find, chosen), strict=True):
            missed += test is None
            print(f"{'found' if test else 'NOT FOUND'}: {mutant.name}" + (f" ({test})" if test else ""), flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} mutants found")
    if chosen == list(MUTANTS):
        record("mutants", len(chosen) - missed)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
