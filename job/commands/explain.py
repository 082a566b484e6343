"""`explain`: what a word of the reports, settings and metrics means, from where the program itself has it."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from job.config.command import PROGRAM
from job.config.flags import SETTINGS
from job.domain.errors import UsageError
from job.domain.exit_status import ExitStatus
from job.domain.model import (
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
from job.domain.rehearsals import Obstacle
from job.domain.states import Problem, State
from job.domain.suggestions import did_you_mean
from job.domain.verification import QueryResult
from job.publish.metric_families import FAMILIES, PREFIX
from job.views.output import document, width_of, write
from job.views.schemas import DOCUMENTS, schema_of

_KINDS: dict[type[Explained], str] = {
    Result: "result of a tag",
    Reason: "reason of a failure",
    Skip: "reason for which a tag is skipped",
    Outcome: "outcome of a run",
    RolloutResult: "result of a rollout",
    Gate: "gate of a new image",
    GateVerdict: "verdict of a gate",
    Obstacle: "obstacle of a rehearsal",
    QueryResult: "result of a query of VERIFY",
    State: "state of a tag in status",
    Problem: "problem that status reports",
}
_RETRIED = {RetryClass.NEVER: "Not retried.", RetryClass.ONCE: "Retried once.", RetryClass.BACKOFF: "Retried."}
SCHEMA = "schema"


class Entry(NamedTuple):
    """One meaning of a word: what kind of thing it names, and in sentences what that is."""

    word: str
    kind: str
    meaning: str


def explain(words: list[str], *, as_table: bool) -> int:
    """Write what each word means; returns the exit status.

    Raises:
        UsageError: a word is unknown.
    """
    if words and words[0].lower() == SCHEMA:
        return _schema(words[1:])
    entries = list(all_entries())
    known = {entry.word.lower() for entry in entries}
    requested = [word.removeprefix("--").removeprefix(PREFIX).lower() for word in words]
    if unknown := [word for word in requested if word not in known]:
        hints = [did_you_mean(word, known) or "; see: import-images explain" for word in unknown]
        raise UsageError([f"{word!r} is not known{hint}" for word, hint in zip(unknown, hints, strict=True)])
    shown = [entry for word in requested for entry in entries if entry.word.lower() == word] if requested else entries
    if not as_table:
        document("Explain", {"words": [{"word": e.word, "what": e.kind, "meaning": e.meaning} for e in shown]})
        return ExitStatus.SUCCESS
    if not requested:
        write(lambda: sys.stdout.write(_index(entries)))
        return ExitStatus.SUCCESS
    write(lambda: sys.stdout.writelines(_paragraph(f"{e.word}: {e.kind}", e.meaning.replace("`", "")) for e in shown))
    return ExitStatus.SUCCESS


def words_after(words: list[str]) -> list[str]:
    """What may follow these words of a command line, for completion."""
    if words and words[0].lower() == SCHEMA:
        return [kind.lower() for kind in DOCUMENTS]
    return [SCHEMA, *dict.fromkeys(entry.word for entry in all_entries())]


def _schema(words: list[str]) -> int:
    """Write the JSON Schema of a document, named by its kind or by the command that prints it."""
    kinds = {kind.lower(): kind for kind in DOCUMENTS}
    # Commands that share a document, and those whose document has another name.
    names = {command: kind for kind, (commands, _, _) in DOCUMENTS.items() for command in commands.split(", ")}
    if not words:
        lines = [f"{kind.lower()}: {commands}\n" for kind, (commands, _, _) in DOCUMENTS.items()]
        write(lambda: sys.stdout.writelines(lines))
        return ExitStatus.SUCCESS
    word = " ".join(words).lower()
    kind = kinds.get(word) or names.get(word)
    if kind is None:
        hint = did_you_mean(word, [*kinds, *names]) or f"; see: {PROGRAM} explain {SCHEMA}"
        raise UsageError([f"no document is called {word!r}{hint}"])
    write(lambda: sys.stdout.write(json.dumps(schema_of(kind), indent=1) + "\n"))
    return ExitStatus.SUCCESS


def _index(entries: list[Entry]) -> str:
    """Every word, by what kind of thing it names."""
    kinds: dict[str, list[str]] = {}
    for entry in entries:
        kinds.setdefault(entry.kind, []).append(entry.word)
    kinds[f"JSON Schema of a document (explain {SCHEMA} NAME)"] = [kind.lower() for kind in DOCUMENTS]
    return "".join(_paragraph(f"{kind}:", ", ".join(dict.fromkeys(words))) for kind, words in kinds.items())


def _paragraph(heading: str, text: str) -> str:
    """A heading and an indented text, in the terminal's width. Names are never broken."""
    lines = textwrap.wrap(text, width_of(sys.stdout) - 2, break_long_words=False, break_on_hyphens=False)
    return "".join(f"{line}\n" for line in (heading, *(f"  {line}" for line in lines)))


def all_entries() -> Iterator[Entry]:
    """Everything that can be explained; a word may have several meanings."""
    value: Explained
    for kind, name in _KINDS.items():
        for value in kind:
            retried = f" {_RETRIED[value.retry_class]}" if isinstance(value, Reason) else ""
            yield Entry(value, name, value.meaning + retried)
    for status in ExitStatus:
        yield Entry(str(int(status)), "exit status", status.meaning)
    for setting in SETTINGS:
        default = f" Default: {setting.default}." if setting.default else ""
        names = [setting.name] if setting.in_environment else []
        names += [setting.flag] if setting.flag else []
        text = f"{setting.help[0].upper()}{setting.help[1:]}. ({', '.join(names)}){default}"
        yield Entry(setting.name, "setting", text)
        if setting.flag:
            yield Entry(setting.flag.removeprefix("--"), "flag", text)
    for family in FAMILIES:
        labels = f" Labels: {', '.join(family.labels)}." if family.labels else ""
        yield Entry(family.name, f"metric {PREFIX}...", family.help + labels)
    # Written by `make docs-tables` from the rules and their runbook.
    for alert in json.loads(Path(__file__).with_name("alerts.json").read_text(encoding="utf-8")):
        text = f"{alert['meaning']} Severity: {alert['severity']}. What to do: {alert['runbook']}"
        yield Entry(alert["name"], "alert", text)
