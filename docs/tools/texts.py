"""Texts of the tables that the code does not have.

Every mapping is complete: generating a table fails for a value without a text.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, str] = {
    "__main__": "`python -m job`, the same program.",
    "cli": "From arguments and environment to a command and its exit status.",
    "promote": "The `promote` command: git, stable branches, waiting for images, release notes.",
    "commands": "The commands `run`, `plan`, `history`, `rollback` and `resume`.",
    "doctor": "The `doctor` command; `doctor/checks` has one pure module per subject.",
    "status": "The `status` command: collect, assess, suggest a command, show.",
    "publish": "One report to many places: metrics, Pushgateway, Events, termination message, journal.",
    "run": "One run: who started it, the lock, waves, imports, rollouts, expired holds.",
    "views": "What people and scripts read on stdout: tables and JSON documents.",
    "journal": "What is remembered between runs, and the ConfigMap that keeps it.",
    "imagestreams": "Image streams: list, select, import, look up, describe images, move tags.",
    "workloads": "What follows the tags: image triggers, rollouts, pods, health by kind.",
    "cluster": "The API behind one small protocol, with an adapter for each client.",
    "config": "Settings: names, flags, defaults, validation.",
    "runtime": "What a process needs: worker threads, retries, signals, logs, terminal.",
    "domain": "The nouns and rules, as pure values and functions. No I/O.",
}

# The part of the outside world that a package, and no other one, deals with.
OUTSIDE: Mapping[str, str] = {
    "promote": "git",
    "publish": "Pushgateway, termination message",
    "views": "stdout",
    "cluster": "the API (kubernetes, or oc)",
    "config": "flags, environment",
    "runtime": "threads, signals, logs, terminal",
}
