"""The arguments of `promote`, and its help."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from job.config.flags import SETTINGS
from job.domain.errors import UsageError
from job.promote.arguments import parse
from job.promote.config import Config, Repository
from job.promote.moves import parse_targets
from job.promote.tables import print_rows
from job.views import tables

COMMANDS = ("status", "move", "wait", "notes")


def test_help_lists_every_sub_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(f"\n  {name} " in shown for name in COMMANDS)
    assert "examples:" in shown and max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_sub_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse([command, "--help"])
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert f"import-images promote {command}" in shown and "exit status:" in shown
    for flag in ("--config", "--output", "--deployment", "--namespace"):
        assert flag in shown.split() or f"{flag}," in shown
    if command in ("move", "wait"):
        assert all(setting.flag in shown for setting in SETTINGS if setting.flag)


@pytest.mark.parametrize("arguments", [[], ["nix"], ["move", "--nix"], ["status", "--to", "x"], ["wait", "--yes"]])
def test_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err


def test_a_mistyped_word_is_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["mvoe"])
    assert "'mvoe' is not a command of promote; did you mean move? See: " in capsys.readouterr().err
    worker = Repository("worker", "https://git.example.com/worker")
    with pytest.raises(UsageError, match=r"'wroker' is not a repository in promote\.toml; did you mean worker\?"):
        Config(Path(), None, "origin", (worker,)).select(["wroker"])
    with pytest.raises(UsageError, match=r"'zzz' is not a repository in promote\.toml; known: worker"):
        Config(Path(), None, "origin", (worker,)).select(["zzz"])


def test_names_anywhere() -> None:
    _, options = parse(["move", "worker", "--to", "web=x", "web", "--yes"])
    assert (options.promote, options.repositories, options.to) == ("move", ["worker", "web"], ["web=x"])
    assert parse(["notes", "--output", "markdown"])[1].output == "table"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom job.cli import main\n"
        "try: main(['promote', 'move', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'kubernetes', 'rich', 'urllib3', 'tomllib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_targets() -> None:
    errors: list[str] = []
    assert parse_targets(["main~2"], ["worker"], errors) == {"worker": "main~2"}
    assert parse_targets(["web=v1", "worker=a=b"], ["worker", "web"], errors) == {"web": "v1", "worker": "a=b"}
    assert not errors
    parse_targets(["v1", "web="], ["worker", "web"], errors)
    assert [error.partition(":")[0] for error in errors] == ["--to", "--to"]


def test_tables_fit() -> None:
    file = io.StringIO()
    print_rows([("REPOSITORY", "TO", "WHY"), ("x" * 120, "4d5e6f7a8", "because " * 30), ("a\x1b[31mb", "-", "")], file)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 100 and len(lines) > 4
    assert "4d5e6f7a8" in lines[1] and "…" in lines[1] and "because" in lines[2]
    assert "\x1b" not in file.getvalue()


@pytest.mark.parametrize(("columns", "without"), [(40, {"AGE"}), (80, set()), (200, set())])
def test_a_narrow_terminal_keeps_branches_and_what_is_behind(
    columns: int, without: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "width_of", lambda file: columns)
    file = io.StringIO()
    head = ("REPOSITORY", "STABLE", "AGE", "ROLLING", "AGE", "BEHIND")
    print_rows([head, ("packit-service", "1ff74fd03", "6h", "94e38ec9f", "6h", "2, 1 only on stable")], file)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    assert set(head) - set(lines[0].split()) == without
    assert "1ff74fd03" in lines[1] and "94e38ec9f" in lines[1] and "stable" in file.getvalue()
