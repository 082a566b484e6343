"""Texts of the tables that the code does not have.

Every mapping is complete: generating a table fails for a value without a text.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, str] = {
    "__main__": "`python -m job`, the same program.",
    "cli": "From arguments and environment to a command and its exit status.",
    "promote": "The `promote` command: git, stable branches, waiting for images, release notes.",
    "commands": "One record per command (`registry`); the commands `run`, `plan`, `history`, `rollback`, `resume`.",
    "doctor": "The `doctor` command: one record per check (`registry`), facts, and in `checks` one pure module per "
    "subject.",
    "status": "The `status` command: `collect` facts, `assess` them, suggest a command, show the `table`.",
    "publish": "One report to many sinks (`publisher`): termination message, journal, Events, metrics.",
    "run": "One run: what started it (`origin`), the lock (`lease`), waves, rollouts, expired holds, the report.",
    "views": "What people and scripts read on stdout: tables and JSON documents.",
    "journal": "What is remembered between runs (`records`), and the ConfigMap that keeps it (`store`).",
    "imagestreams": "Image streams: list, select, import, look up, describe images, move tags (`retag`).",
    "workloads": "What follows the tags: image triggers, pods, rollouts, health, and one class per kind in `kinds`.",
    "cluster": "The API behind one small protocol, with an adapter per client; `connect` chooses one.",
    "config": "One record per setting (`flags`), the parsers, and the checked values (`settings`).",
    "runtime": "What a process needs: worker threads, retries, signals, logs, terminal.",
    "domain": "The nouns (`model`: results, reasons, skips, the report) and the rules (`selection`, `holds`, "
    "`schedule`, `failures`, `retries`, `outcome`), as pure values and functions. No I/O.",
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
