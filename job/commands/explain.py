"""`explain`: what a word of the reports, settings and metrics means, from where the program itself has it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from job.config.flags import SETTINGS
from job.domain.errors import UsageError
from job.domain.exit_status import ExitStatus
from job.domain.model import Explained, Outcome, Reason, Result, RetryClass, RolloutResult, Skip
from job.domain.suggestions import did_you_mean
from job.views.output import write

_KINDS: dict[type[Explained], str] = {
    Result: "result of a tag",
    Reason: "reason of a failure",
    Skip: "reason for which a tag is skipped",
    Outcome: "outcome of a run",
    RolloutResult: "result of a rollout",
}
_RETRIED = {RetryClass.NEVER: "Not retried.", RetryClass.ONCE: "Retried once.", RetryClass.BACKOFF: "Retried."}
_PREFIX = "import_images_"


class Entry(NamedTuple):
    """One meaning of a word: what kind of thing it names, and in sentences what that is."""

    word: str
    kind: str
    meaning: str


def explain(words: list[str]) -> int:
    """Write what each word means; returns the exit status.

    Raises:
        UsageError: a word is unknown.
    """
    entries = list(all_entries())
    known = {entry.word.lower() for entry in entries}
    asked = [word.removeprefix("--").removeprefix(_PREFIX).lower() for word in words]
    if unknown := [word for word in asked if word not in known]:
        hints = [did_you_mean(word, known) or "; see: import-images explain" for word in unknown]
        raise UsageError([f"{word!r} is not known{hint}" for word, hint in zip(unknown, hints, strict=True)])
    if not asked:
        write(lambda: sys.stdout.write(_index(entries)))
        return ExitStatus.SUCCESS
    found = [entry for word in asked for entry in entries if entry.word.lower() == word]
    write(lambda: sys.stdout.writelines(f"{e.word}: {e.kind}\n  {e.meaning.replace('`', '')}\n" for e in found))
    return ExitStatus.SUCCESS


def _index(entries: list[Entry]) -> str:
    """Every word, by what kind of thing it names."""
    kinds: dict[str, list[str]] = {}
    for entry in entries:
        kinds.setdefault(entry.kind, []).append(entry.word)
    return "".join(f"{kind}:\n  {', '.join(dict.fromkeys(words))}\n" for kind, words in kinds.items())


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
    from job.publish.metrics import FAMILIES

    for family in FAMILIES:
        labels = f" Labels: {', '.join(family.labels)}." if family.labels else ""
        yield Entry(family.name, f"metric {_PREFIX}...", family.help + labels)
