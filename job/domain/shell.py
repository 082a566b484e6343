"""Commands as a person can paste them into a shell."""

from __future__ import annotations

import shlex

from job.domain.model import TagName

# Flags of `oc create`, for `oc apply -f -`: together they may be repeated, unlike `create` alone.
DRY_RUN = ("--dry-run=client", "-o", "yaml")


def command(*words: str) -> str:
    """A command as a shell takes it."""
    return shlex.join(words)


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
