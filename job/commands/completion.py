"""Completion in the shell, by argcomplete: commands, flags, and the namespaces, streams and tags of the cluster."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from job.config.command import PROGRAM, Command
from job.domain.errors import ImportImagesError, UsageError
from job.domain.exit_status import ExitStatus

if TYPE_CHECKING:
    from job.cluster import Cluster
    from job.config.settings import Settings

Query = Callable[["Cluster", "Settings"], list[str]]
Commands = Callable[[], Mapping[str, Command]]

SHELLS = ("bash", "zsh", "fish")
# Set by the shell's function, to the number of words before those of the program.
REQUESTED = "_ARGCOMPLETE"
_MISSING = "completion needs argcomplete: pip install 'import-images[completion]'"


def print_code(shells: list[str]) -> int:
    """Write what a shell has to read for completion; returns the exit status.

    Raises:
        UsageError: no such shell, or argcomplete is not installed.
    """
    if len(shells) != 1 or shells[0] not in SHELLS:
        raise UsageError([f"completion takes one of {', '.join(SHELLS)}"])
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError as error:
        raise UsageError([_MISSING]) from error
    sys.stdout.write(f"{shellcode([PROGRAM, 'kubectl-import_images'], True, shells[0])}\n")
    return ExitStatus.SUCCESS


def complete(commands: Mapping[str, Command], groups: Mapping[str, Commands]) -> None:
    """Answer the shell's request and end the process; returns where argcomplete is not installed.

    Args:
        commands: by name.
        groups: the commands of a command that has its own, by its name.
    """
    try:
        from argcomplete import autocomplete
    except ImportError:
        return
    logging.getLogger("job").addHandler(logging.NullHandler())
    logging.getLogger("job").propagate = False
    line = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", "0") or 0)]
    words = line.split()
    typed = words if line.endswith(" ") else words[:-1]
    command, offered, depth = _command_of(typed, commands, groups)
    # The names of commands count as words before those of the program.
    os.environ[REQUESTED] = str(depth)
    if command is None:
        parser = argparse.ArgumentParser(prog=PROGRAM)
        parser.add_argument("command", choices=list(offered))
    else:
        parser = command.parser()
        _add_completers(parser, command)
    autocomplete(parser, always_complete_options="long")


def _command_of(
    typed: Sequence[str], commands: Mapping[str, Command], groups: Mapping[str, Commands]
) -> tuple[Command | None, Mapping[str, Command], int]:
    """The command of a line, or None with the commands that may follow; and how many words name program and command."""
    name = typed[1] if len(typed) > 1 else ""
    if name not in groups:
        return commands.get(name), commands, 2 if name in commands else 1
    own = groups[name]()
    second = typed[2] if len(typed) > 2 else ""
    return own.get(second), own, 3 if second in own else 2


def _add_completers(parser: argparse.ArgumentParser, command: Command) -> None:
    completers: dict[str, Callable[..., list[str]]] = {
        "NAMESPACE": _with_cluster(command, _namespaces),
        "CONTEXT": lambda parsed_args, **_: _contexts(parsed_args),
    }
    completers["output"] = lambda **_: [str(form) for form in command.formats]
    if command.takes_tags:
        completers["patterns"] = _with_cluster(command, _tags)
    elif command.arguments and command.arguments.words:
        words = command.arguments.words
        completers["patterns"] = lambda parsed_args, **_: words(parsed_args)
    for action in parser._actions:
        completer = completers.get(action.dest) or _literal(action.metavar)
        if completer:
            action.completer = completer  # type: ignore[attr-defined]


def _literal(metavar: str | tuple[str, ...] | None) -> Callable[..., list[str]] | None:
    """Offers the values that a help text names: `last` of `ID|last`; capitals stand for any value."""
    values = [word for word in str(metavar or "").split("|") if word.islower()]
    return (lambda **_: values) if values else None


def _with_cluster(command: Command, query: Query) -> Callable[..., list[str]]:
    """A completer that asks the cluster of the flags typed so far; without an answer there are no suggestions."""

    def completer(parsed_args: argparse.Namespace, **_: object) -> list[str]:
        from job.cluster.connect import connect
        from job.config.settings import read_settings

        flags = {setting.name: getattr(parsed_args, setting.name, None) for setting in command.settings}
        try:
            settings = read_settings(flags, [], command.environment(os.environ))
            cluster = connect(settings, lambda *_: None)
            try:
                return query(cluster, settings)
            finally:
                cluster.close()
        except ImportImagesError:
            return []

    return completer


def _namespaces(cluster: Cluster, settings: Settings) -> list[str]:
    from job.cluster import PROJECTS

    return [str(item["metadata"]["name"]) for item in cluster.list(PROJECTS, "")]


def _tags(cluster: Cluster, settings: Settings) -> list[str]:
    """`STREAM:TAG` of every tag, and with DEPLOYMENT just `STREAM`."""
    from job.cluster import IMAGE_STREAMS
    from job.imagestreams.api_types import stream_from

    names = settings.namespaces or tuple(filter(None, [cluster.default_namespace]))
    streams = [stream_from(data) for name in names for data in cluster.list(IMAGE_STREAMS, name)]
    deployment = settings.wanted.deployment
    deployed = [stream.name for stream in streams if deployment and stream.tag(deployment)]
    return deployed + [f"{stream.name}:{tag.name}" for stream in streams for tag in stream.tags]


def _contexts(parsed_args: argparse.Namespace) -> list[str]:
    from job.cluster.kubeconfig import context_names

    return context_names(getattr(parsed_args, "KUBECONFIG", None))
