"""Commands as a person can paste them into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from job.domain.model import TagName

# Flags of `oc create`, for `oc apply -f -`: together they may be repeated, unlike `create` alone.
DRY_RUN = ("--dry-run=client", "-o", "yaml")


# The flags by which this process found its cluster and login.
_login_flags: tuple[str, ...] = ()


def name_login(context: str | None, kubeconfig: str | None, as_user: str | None, as_groups: Sequence[str]) -> None:
    """Let every suggested command name the login that this process was given.

    Pasted without it, a command would go to the current context: to another cluster, where a namespace may have the
    same name. Like the registered secrets, this belongs to the process, not to a call.
    """
    global _login_flags
    values = (("--context", context), ("--kubeconfig", kubeconfig), ("--as", as_user))
    given = [word for flag, value in values if value for word in (flag, value)]
    _login_flags = (*given, *(word for group in as_groups for word in ("--as-group", group)))


def command(*words: str) -> str:
    """A command as a shell takes it; one of `oc` or of this program with the flags of the login."""
    # After the command of this program, which comes first.
    at = {"oc": 1, "import-images": 2}.get(words[0])
    return shlex.join(words if at is None else (*words[:at], *_login_flags, *words[at:]))


def piped(*commands: str) -> str:
    """Commands of which each reads what the one before prints."""
    return " | ".join(commands)


def oc(namespace: str, *words: str) -> str:
    """A command of `oc` in a namespace."""
    return command("oc", "-n", namespace, *words)


def ours(verb: str, name: TagName, *more: str) -> str:
    """A command of this program about one tag."""
    return command("import-images", verb, str(name), "-n", name.namespace, *more)


def resuming(name: TagName) -> str:
    """The command that releases a held tag."""
    return ours("resume", name)
