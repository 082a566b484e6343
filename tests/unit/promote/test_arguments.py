"""What `promote` makes of its arguments, and what its help tells."""

from __future__ import annotations

import subprocess
import sys

import pytest

from job.config.flags import SETTINGS
from job.promote.arguments import parse
from job.promote.moves import aims, columns

COMMANDS = ("status", "move", "wait", "notes")


def test_help_tells_of_every_sub_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(["--help"])
    told = capsys.readouterr().out
    assert caught.value.code == 0
    assert all(f"\n  {name} " in told for name in COMMANDS)
    assert "examples:" in told and max(map(len, told.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_sub_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse([command, "--help"])
    told = capsys.readouterr().out
    assert caught.value.code == 0
    assert f"import-images promote {command}" in told and "exit status:" in told
    for flag in ("--config", "--output", "--deployment", "--namespace"):
        assert flag in told.split() or f"{flag}," in told
    if command in ("move", "wait"):
        assert all(setting.flag in told for setting in SETTINGS if setting.flag)


@pytest.mark.parametrize("arguments", [[], ["nix"], ["move", "--nix"], ["status", "--to", "x"], ["wait", "--yes"]])
def test_bad_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err


def test_names_anywhere() -> None:
    options = parse(["move", "worker", "--to", "web=x", "web", "--yes"])
    assert (options.promote, options.repositories, options.to) == ("move", ["worker", "web"], ["web=x"])
    assert parse(["notes", "--output", "markdown"]).output == "table"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom job.cli import main\n"
        "try: main(['promote', 'move', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'kubernetes', 'rich', 'urllib3', 'tomllib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_aims() -> None:
    errors: list[str] = []
    assert aims(["main~2"], ["worker"], errors) == {"worker": "main~2"}
    assert aims(["web=v1", "worker=a=b"], ["worker", "web"], errors) == {"web": "v1", "worker": "a=b"}
    assert not errors
    aims(["v1", "web="], ["worker", "web"], errors)
    assert [error.partition(":")[0] for error in errors] == ["--to", "--to"]


def test_columns_give_way() -> None:
    written: list[str] = []
    columns([("A", "B"), ("x" * 120, "yes")], written.append)
    assert [len(line) for line in written] == [99, 101]
    assert written[1].endswith("…  yes\n")
