"""What the program makes of its arguments."""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Iterator

import pytest

from job import VERSION
from job.cli import COMMANDS, _parse, main
from job.config.command import Command
from job.config.flags import SECTIONS, SETTINGS
from job.config.setting import Setting
from job.domain import model
from job.domain.exit_status import ExitStatus

OWN = [command for command in COMMANDS.values() if command.name != "promote"]
FLAGS = [setting for setting in SETTINGS if setting.flag]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for setting in SETTINGS:
        monkeypatch.delenv(setting.name, raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ends_with(*arguments: str) -> int:
    try:
        return main(arguments)
    except SystemExit as ending:
        return int(ending.code or 0)


@pytest.mark.parametrize(
    ("arguments", "command", "patterns"),
    [
        ([], "run", []),
        (["run"], "run", []),
        (["plan"], "plan", []),
        (["run", "a", "b:c"], "run", ["a", "b:c"]),
        (["plan", "a"], "plan", ["a"]),
        (["run", "-n", "packit-prod", "a"], "run", ["a"]),
        (["run", "a", "--deployment", "prod", "b"], "run", ["a", "b"]),
        (["--deployment", "prod"], "run", []),
        (["run", "plan"], "run", ["plan"]),
        (["plan", "plan"], "plan", ["plan"]),
        (["plan", "run"], "plan", ["run"]),
        (["--deployment", "plan"], "run", []),
    ],
)
def test_a_command_comes_first_and_streams_anywhere(arguments: list[str], command: str, patterns: list[str]) -> None:
    found, options = _parse(arguments)
    assert (found.name, options.patterns) == (command, patterns)


@pytest.mark.parametrize(
    ("arguments", "correct"),
    [
        (["-n", "x", "plan"], "plan -n x"),
        (["--deployment", "plan", "plan", "a b"], "plan --deployment plan 'a b'"),
        (["--deployment", "prod", "run", "worker"], "run --deployment prod worker"),
    ],
)
def test_a_command_elsewhere_is_refused(arguments: list[str], correct: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(*arguments) == 2
    assert f"the command comes first: import-images {correct}; see: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rolback", "worker:prod"], "did you mean rollback?"),
        (["statsu"], "did you mean status?"),
        (["help"], "did you mean --help?"),
        (["worker:prod"], "to import a stream: import-images run worker:prod"),
        (["xyzzy"], "import-images run xyzzy"),
        (["-n", "packit-prod", "worker"], "import-images run worker"),
    ],
)
def test_what_is_no_command_does_nothing(words: list[str], hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(*words) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert hint in line and line.lower().endswith("see: import-images --help") and not captured.out


def test_a_mistyped_flag_is_answered_with_the_one_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with("run", "--deploymnet=prod") == 2
    assert "--deploymnet is not a flag of this command; did you mean --deployment?" in capsys.readouterr().err


@pytest.mark.parametrize(("pod", "helps"), [(False, True), (True, False)])
def test_the_bare_program_helps_at_a_terminal_and_runs_in_a_pod(
    pod: bool, helps: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    if pod:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    try:
        command, _ = _parse([])
        assert command.name == "run" and not helps
    except SystemExit as ended:
        assert ended.code == 0 and helps and "commands:" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["run", "plan", "status", "history", "rollback", "resume", "doctor"])
def test_a_command_is_never_taken_for_a_stream_to_import(command: str) -> None:
    found, options = _parse([command, "worker:prod"])
    assert (found.name, options.patterns) == (command, ["worker:prod"])


@pytest.mark.parametrize("command", OWN, ids=lambda command: command.name)
def test_no_words_mean_what_the_parser_makes_of_none(command: Command) -> None:
    if command.arguments and command.arguments.nargs != "*":
        with pytest.raises(SystemExit):
            command.parse([])
        return
    parsed = vars(command.parser().parse_intermixed_args([]))
    assert vars(command.parse([])) == {"patterns": [], **parsed}


def test_promote_takes_no_streams(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with("promote", "worker:prod") == 2
    assert "import-images promote: error: " in capsys.readouterr().err


@pytest.mark.parametrize("setting", FLAGS, ids=lambda setting: setting.name)
def test_every_flag_sets_its_setting(setting: Setting[object]) -> None:
    assert setting.flag
    value = [] if setting.metavar is None else ["text"]
    command = next(command for command in OWN if setting in command.settings)
    _, options = _parse([command.name, setting.flag, *value])
    assert getattr(options, setting.name) == (value[0] if value else "true")


@pytest.mark.parametrize(("short", "name"), [("-n", "NAMESPACE"), ("-l", "SELECTOR")])
def test_some_flags_are_short_too(short: str, name: str) -> None:
    _, options = _parse([short, "text"])
    assert getattr(options, name) == "text"


def test_what_is_not_given_is_left_to_the_environment() -> None:
    for command in OWN:
        needed = ["x"] if command.arguments else []
        options = command.parse(needed)
        assert all(getattr(options, setting.name) is None for setting in FLAGS if setting in command.settings)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--token", "x"],
        ["--host", "x"],
        ["--deploy", "prod"],
        ["--deployment"],
        ["--output", "xml"],
        ["--no-such-flag"],
        ["run", "--to", "1"],
        ["run", "a:b:c"],
        ["--concurrency", "0"],
        ["--import-timeout", "soon"],
    ],
)
def test_bad_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err and not captured.out


def test_all_bad_values_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with("run", "--concurrency", "0", "--retries", "x", "--gateway", "y", "a:b:c") == 2
    told = capsys.readouterr().err
    assert all(name in told for name in ("--concurrency", "--retries", "--gateway", "'a:b:c'"))


def test_a_bad_output_is_told_among_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with("--output", "xml", "--concurrency", "0") == 2
    told = capsys.readouterr().err
    assert "--output" in told and "--concurrency: " in told


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CONCURRENCY", "many")
    assert ends_with("run") == 2
    assert "CONCURRENCY: 'many'" in capsys.readouterr().err


def test_a_token_is_never_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TOKEN", "hunter2\x01")
    assert ends_with("run") == 2
    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_tells_of_every_command(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with(flag) == 0
    told = capsys.readouterr().out
    assert all(command in told for command in COMMANDS)
    assert "example" in told


def test_every_command_has_a_record() -> None:
    # What reports nothing about tags, such as a test message, is no command of the report.
    assert {command.value for command in model.Command} <= set(COMMANDS)


@pytest.mark.parametrize("command", OWN, ids=lambda command: command.name)
def test_help_of_a_command_shows_its_own_flags_settings_and_statuses(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(command.name, "--help") == 0
    told = capsys.readouterr().out
    assert all(example in told for example in command.examples)
    for setting in FLAGS:
        assert setting.flag and (setting.flag in told.split()) == (setting in command.settings)
        assert setting not in command.settings or not setting.in_environment or setting.name in told
    for flag in command.flags:
        assert flag.flag in told
    shown = told.partition("exit status:")[2]
    assert [int(number) for number in re.findall(r"^  (\d)  ", shown, re.MULTILINE)] == list(command.statuses)


@pytest.mark.parametrize("command", OWN, ids=lambda command: command.name)
def test_every_command_says_what_usage_errors_and_success_end_with(command: Command) -> None:
    assert {ExitStatus.SUCCESS, ExitStatus.USAGE} <= set(command.statuses)
    assert all(command.meaning(status).endswith(".") for status in command.statuses)


def test_every_setting_stands_in_one_section_and_serves_a_command() -> None:
    listed = [setting.name for section in SECTIONS.values() for setting in section]
    assert len(listed) == len(set(listed))
    assert {setting.name for command in OWN for setting in command.settings} == set(listed)


@pytest.mark.parametrize("command", ["rollback", "history"])
def test_settings_of_runs_do_not_touch_other_commands(command: str) -> None:
    environment = {"EXCLUDE": "*", "FREEZE": "nonsense", "SELECTOR": "a=b", "SHARDS": "x", "DEPLOYMENT": "prod"}
    assert COMMANDS[command].environment(environment) == {"DEPLOYMENT": "prod"}
    assert COMMANDS["run"].environment(environment) == environment


def test_an_unknown_flag_is_one_line_and_a_pointer(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with("plan", "--no-such-flag") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("import-images plan: error: ") and line.endswith("see: import-images plan --help")


def test_help_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ends_with("--help")
    ends_with("run", "--help")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("freeze", "web"), "'web': this command takes no arguments"),
        (("completion", "bash", "zsh"), "'zsh': this command takes no more arguments"),
    ],
)
def test_an_argument_too_many_is_not_called_a_flag(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(*words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [(), ("-v",), ("--quiet",)], ids=str)
def test_at_a_terminal_how_much_to_log_is_no_reason_to_run(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert ends_with(*words) == 0
    assert capsys.readouterr().out.startswith("usage: import-images COMMAND")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with("--version") == 0
    assert capsys.readouterr().out == f"import-images {VERSION}\n"


def test_explain_knows_every_reason_setting_and_metric(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("rate_limited", "ROLLOUT_STABLE", "retries", "import_images_tag_held", "5"):
        assert ends_with("explain", "--", word) == 0
        assert len(capsys.readouterr().out.splitlines()) >= 2
    assert ends_with("explain", "rate_limitd") == 2
    assert "did you mean rate_limited?" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_code_for_the_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with("completion", shell) == 0
    assert "import-images" in capsys.readouterr().out
    assert ends_with("completion", "tcsh") == 2


def test_verbose_and_quiet_exclude_each_other_and_every_command_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_with("status", "-v", "-q") == 2
    assert "not allowed with" in capsys.readouterr().err
    for command in COMMANDS.values():
        assert "--quiet" in command.parser().format_help()


@pytest.mark.parametrize(("flag", "level"), [("-v", logging.DEBUG), ("-q", logging.WARNING), ("", logging.INFO)])
def test_how_much_is_logged(flag: str, level: int) -> None:
    ends_with("explain", "pinned", *filter(None, [flag]))
    assert logging.getLogger("job").level == level
