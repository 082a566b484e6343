"""Man pages, generated from the records of the commands: `make docs-tables` writes them into docs/man."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from job import VERSION, cli
from job.config.command import PROGRAM, Command, sentence
from job.config.flags import SECTIONS
from job.domain.exit_status import ExitStatus

FOLDER = Path(__file__).parents[1] / "man"


def _text(text: str) -> str:
    """Plain text as roff: nothing in it is a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return "\\&" + text if text.startswith((".", "'")) else text


def _entry(term: str, text: str) -> list[str]:
    return [".TP", f".B {_text(term)}", _text(f"{sentence(text)}.")]


def _flags(command: Command) -> list[str]:
    lines = [".SH OPTIONS"]
    lines += _entry("-o, --output FORMAT", f"one of {', '.join(command.formats)}; default table, in a pod json")
    lines += _entry("-v, --verbose", "log more") + _entry("-q, --quiet", "log only warnings and errors")
    for flag in command.flags:
        lines += _entry(f"{flag.flag} {flag.metavar or ''}".strip(), flag.help)
    for title, section in SECTIONS.items():
        own = [setting for setting in section if setting in command.settings]
        if own:
            lines.append(f".SS {sentence(title)}")
        for setting in own:
            names = [name for name in (setting.short, setting.flag) if name]
            term = f"{', '.join(names)} {setting.metavar or ''}".strip() if names else setting.name
            default = f" (default {setting.default})" if setting.default else ""
            variable = f"; {setting.name}" if names and setting.in_environment else ""
            lines += _entry(term, f"{setting.help}{default}{variable}")
    return lines


def _statuses(meanings: Mapping[ExitStatus, str]) -> list[str]:
    lines = [".SH EXIT STATUS"]
    for status, meaning in meanings.items():
        lines += [".TP", f".B {status:d}", _text(meaning)]
    return lines


def _page(name: str, summary: str, lines: list[str]) -> str:
    head = [f'.TH {name.upper()} 1 "" "{PROGRAM} {VERSION}"', ".SH NAME", f"{_text(name)} \\- {_text(summary)}"]
    return "\n".join([*head, *lines]) + "\n"


def page_of(command: Command) -> str:
    """The page of one command."""
    metavar = f" [{command.arguments.metavar}...]" if command.arguments else ""
    lines = [".SH SYNOPSIS", f".B {_text(f'{PROGRAM} {command.name}')}", _text(f"[OPTIONS]{metavar}")]
    lines += [".SH DESCRIPTION", _text(" ".join(filter(None, (f"{sentence(command.summary)}.", command.description))))]
    if command.name != cli.PROMOTE.name:
        lines += _flags(command)
        lines += _statuses({status: command.meaning(status) for status in command.statuses})
    if command.examples:
        lines += [".SH EXAMPLES", ".nf", *map(_text, command.examples), ".fi"]
    lines += [".SH SEE ALSO", f".BR {_text(PROGRAM)} (1)"]
    return _page(f"{PROGRAM}-{command.name}", command.summary, lines)


def pages() -> dict[str, str]:
    """Every page, by the name of its file."""
    manual = {f"{PROGRAM}-{command.name}.1": page_of(command) for command in cli.COMMANDS.values()}
    lines = [".SH SYNOPSIS", f".B {_text(PROGRAM)}", _text("COMMAND [OPTIONS] [STREAM[:TAG]...]"), ".SH COMMANDS"]
    for command in cli.COMMANDS.values():
        lines += [".TP", f".BR {_text(f'{PROGRAM}-{command.name}')} (1)", _text(f"{sentence(command.summary)}.")]
    lines += _statuses({status: status.meaning for status in ExitStatus})
    summary = "import OpenShift image stream tags on a schedule, watch the rollouts, and report the result"
    return {f"{PROGRAM}.1": _page(PROGRAM, summary, lines), **manual}


def main() -> int:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for old in set(FOLDER.glob("*.1")) - {FOLDER / name for name in pages()}:
        old.unlink()
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
