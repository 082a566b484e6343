"""The reference tables of the documentation, generated from the code that they describe.

`make docs-tables` writes them into the pages, between `<!-- table: NAME -->` and `<!-- end of table -->`; a test fails
while a page differs from the code. A table holds what the code knows; explanations are written by hand
below it.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from docs.tools import man, texts
from job import cli
from job.commands import registry
from job.config import flags
from job.config.command import Command, sentence
from job.doctor.registry import CHECKS, NOT_CHECKED
from job.domain.exit_status import ExitStatus
from job.domain.model import (
    Blame,
    Explained,
    Gate,
    GateVerdict,
    Outcome,
    Reason,
    Result,
    RetryClass,
    RolloutResult,
    Skip,
)
from job.domain.rehearsals import Obstacle, Rehearsal
from job.domain.states import Problem, State
from job.domain.text import humanize
from job.imagestreams.api_types import REVISION_LABELS, VERSION_LABELS
from job.publish import metric_families
from manifests.dashboards.expressions import ON_REASON
from tests.faults.figures import figures

ROOT = Path(__file__).parents[2]
JOB = ROOT / "job"
RULES = ROOT / "manifests" / "components" / "monitoring" / "prometheus-rule.yaml"
ALERT_WORDS = JOB / "commands" / "alerts.json"
_BLOCK = re.compile(r"(<!-- table: (?P<name>[a-z -]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join([_row(headings), _row("---" for _ in headings), *map(_row, rows)])


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def settings() -> str:
    """Every setting: environment variable, flag, default and meaning."""
    rows = []
    for setting in flags.SETTINGS:
        names = ", ".join(_code(name) for name in (setting.flag, setting.short) if name)
        rows.append(
            (_code(setting.name if setting.in_environment else None), names, _code(setting.default), setting.help)
        )
    return table(("Environment", "Flag", "Default", "Meaning"), rows)


def flags_of(command: Command) -> str:
    """The flags that only this command has."""
    rows = [(f"`{flag.flag}`", _code(flag.metavar), flag.help) for flag in command.flags]
    return table(("Flag", "Value", "Meaning"), rows)


def commands(folder: str) -> str:
    """Every command, with a link to its page as seen from a folder."""
    rows = []
    for name, command in cli.COMMANDS.items():
        page = "docs/promote.md" if name == "promote" else f"docs/commands/{name}.md"
        rows.append((f"[`{name}`]({posixpath.relpath(page, folder)})", sentence(command.summary)))
    return table(("Command", "What it does"), rows)


def _meanings(heading: str, values: Iterable[Explained]) -> str:
    """Every value of a closed list."""
    return table((heading, "Meaning"), ((_code(value), value.meaning) for value in values))


def statuses() -> str:
    """Every exit status."""
    return table(("Exit status", "Meaning"), ((f"{status:d}", status.meaning) for status in ExitStatus))


def statuses_of(command: Command) -> str:
    """Every exit status of a command."""
    rows = ((f"{status:d}", command.meaning(status)) for status in command.statuses)
    return table(("Exit status", "Meaning"), rows)


def reasons() -> str:
    """Every reason of a failure, whether it is retried, and what to do."""
    rows = []
    for reason in Reason:
        again = {RetryClass.ONCE: "once", RetryClass.BACKOFF: "yes", RetryClass.NEVER: "no"}[reason.retry_class]
        rows.append((_code(reason), reason.meaning, again, sentence(ON_REASON[reason])))
    return table(("Reason", "Meaning", "Retried", "What to do"), rows)


def blames() -> str:
    """Everything that may be to blame for a bad rollout."""
    rows = ((_code(blame), blame.meaning, "yes" if blame is Blame.IMAGE else "no") for blame in Blame)
    return table(("To blame", "What that is", "Rolled back"), rows)


def obstacles() -> str:
    """Everything that may keep a rehearsal from passing, and what becomes of the tag."""
    results = {Rehearsal.UNUSABLE: "`failed: unusable`", Rehearsal.INCONCLUSIVE: "`skipped: unrehearsed`"}
    # Messages have the words with a space.
    rows = ((f"`{humanize(obstacle)}`", obstacle.meaning, results[obstacle.result]) for obstacle in Obstacle)
    return table(("Obstacle", "Meaning", "The tag"), rows)


def states() -> str:
    """Every state of a tag in `status`."""
    return table(("State", "Meaning"), ((_code(state), state.meaning) for state in State))


def doctor_checks() -> str:
    """Every problem that `doctor` may report, by check."""
    rows = []
    for check in CHECKS:
        rows += [
            ("" if number else check.name, _code(name), text)
            for number, (name, text) in enumerate(check.problems.items())
        ]
    rows += [("Any", _code(name), text) for name, text in NOT_CHECKED.items()]
    return table(("Subject", "`check`", "Found when"), rows)


def problems() -> str:
    """Every problem that `status` reports."""
    return table(("Problem", "Meaning"), ((_code(problem), problem.meaning) for problem in Problem))


def families() -> str:
    """Every metric: name without the prefix, labels and help text."""
    rows = ((_code(family.name), ", ".join(family.labels), family.help) for family in metric_families.FAMILIES)
    return table(("Name", "Labels", "Meaning"), rows)


def labels() -> str:
    """The labels from which facts about an image are read."""
    rows = (("`revision`", REVISION_LABELS), ("`version`", VERSION_LABELS))
    return table(("Key", "Labels"), ((key, ", ".join(map(_code, names))) for key, names in rows))


def alerts() -> str:
    """Every alert, with a link to its section of the runbook."""
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["spec"]["groups"]
    rows = [
        (
            f"[`{rule['alert']}`](alerts.md#{rule['alert'].lower()})",
            rule["labels"]["severity"],
            rule["annotations"]["summary"],
        )
        for group in groups
        for rule in group["rules"]
    ]
    return table(("Alert", "Severity", "When"), rows)


_MEANING = re.compile(
    r"^## (?P<name>ImportImages\w+)\n\n\*\*What it means\.\*\* (?P<text>.+?)\n\n", re.MULTILINE | re.DOTALL
)


def alert_words() -> str:
    """What `explain` knows of alerts, as JSON: from the rules, and from the page that is their runbook."""
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    meanings = {match["name"]: " ".join(match["text"].split()) for match in _MEANING.finditer(page)}
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["spec"]["groups"]
    words = [
        {
            "name": rule["alert"],
            "severity": rule["labels"]["severity"],
            "meaning": meanings[rule["alert"]],
            "runbook": rule["annotations"]["runbook_url"],
        }
        for group in groups
        for rule in group["rules"]
    ]
    return json.dumps(words, indent=1, ensure_ascii=False) + "\n"


def faults() -> str:
    """What the suites of faults cover."""
    return table(("Suite", "Cases", "Of these in `make test`"), figures())


def contract() -> list[tuple[str, ...]]:
    """The layers of import-linter's contract, top first, each with its packages."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    return [tuple(name.strip() for name in layer.split("|")) for layer in layers]


def imports() -> dict[str, set[str]]:
    """Which packages of `job` each package of it imports, wherever in its modules it does."""
    by_package: dict[str, set[str]] = {name: set() for layer in contract() for name in layer}
    for path in sorted(JOB.rglob("*.py")):
        package = path.relative_to(JOB).with_suffix("").parts[0]
        if package == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for module in _modules(node):
                parts = module.split(".")
                if parts[0] == "job" and len(parts) > 1 and parts[1] != package:
                    by_package.setdefault(package, set()).add(parts[1])
    return by_package


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom) or not node.module:
        return []
    # `from job import cli` names the package behind the word import; `from job import VERSION` names none.
    modules = [f"job.{alias.name}" for alias in node.names] if node.module == "job" else [node.module]
    return [module for module in modules if any((ROOT / part).exists() for part in _paths(module))]


def _paths(module: str) -> tuple[str, str]:
    path = module.replace(".", "/")
    return path, f"{path}.py"


def drawing() -> str:
    """The layers as a drawing."""
    width = 30
    lines = ["```", f"┌{'─' * width}┐"]
    for number, layer in enumerate(contract()):
        if number:
            lines.append(f"├{'─' * width}┤")
        outside = "; ".join(filter(None, (texts.OUTSIDE.get(name) for name in layer)))
        lines.append(f"│ {'   '.join(layer).ljust(width - 1)}│" + (f" ◄─► {outside}" if outside else ""))
    return "\n".join([*lines, f"└{'─' * width}┘", "```"])


def layers() -> str:
    """The packages from the top layer to the bottom one, with what each is for."""
    rows = [(f"`{name}`", texts.PACKAGES[name]) for layer in contract() for name in layer]
    return table(("Package", "What belongs in it"), rows)


def imported() -> str:
    """What each package imports, in the order of the layers."""
    by_package, order = imports(), [name for layer in contract() for name in layer]
    rows = [(f"`{name}`", ", ".join(f"`{other}`" for other in order if other in by_package[name])) for name in order]
    return table(("Package", "Imports"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "commands": partial(commands, "docs/commands"),
    "commands of the readme": partial(commands, "."),
    **{f"flags of {name}": partial(flags_of, parser) for name, parser in cli.COMMANDS.items() if parser.flags},
    **{f"statuses of {record.name}": partial(statuses_of, record) for record in registry.COMMANDS},
    "statuses": statuses,
    "results": partial(_meanings, "Result", Result),
    "reasons": reasons,
    "skips": partial(_meanings, "Reason", Skip),
    "outcomes": partial(_meanings, "Outcome", Outcome),
    "gates": partial(_meanings, "Gate", Gate),
    "verdicts": partial(_meanings, "Verdict", GateVerdict),
    "obstacles": obstacles,
    "rollouts": partial(_meanings, "Result", RolloutResult),
    "blames": blames,
    "states": states,
    "problems": problems,
    "doctor checks": doctor_checks,
    "metrics": families,
    "labels": labels,
    "alerts": alerts,
    "faults": faults,
    "drawing": drawing,
    "layers": layers,
    "imports": imported,
}


def pages() -> list[Path]:
    """The files that may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def refreshed(text: str) -> str:
    """The text of a page with every table as the code is now."""
    return _BLOCK.sub(lambda match: f"{match[1]}\n{TABLES[match['name']]()}\n\n{match[3]}", text)


def main() -> int:
    """Write the tables into the pages."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        if (new := refreshed(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(f"{page.relative_to(ROOT)}: written")
    ALERT_WORDS.write_text(alert_words(), encoding="utf-8")
    return man.main()


if __name__ == "__main__":
    sys.exit(main())
