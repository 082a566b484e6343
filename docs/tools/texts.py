"""Texts of the tables that the code does not have.

Every mapping is complete: generating a table fails for a value without a text.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, str] = {
    "__main__": "`python -m job`, the same program.",
    "cli": "Turns arguments and environment into a command, and the command into an exit status.",
    "promote": "The `promote` command: git, stable branches, waiting for images, release notes.",
    "commands": "One record per command (`registry`), and a module for each command that has no package of its own.",
    "doctor": "The `doctor` command: one record per check (`registry`), the `facts` and their `readers`, and in "
    "`checks` one pure module per subject.",
    "status": "The `status` command: `collect` facts, `assess` them, suggest a command, show tables (their `columns`).",
    "publish": "One report to many sinks (`publisher`, a module per sink): termination message, journal, Events, "
    "stdout, metrics (`metric_families`; the values of a run in `metrics`), messages.",
    "run": "One run: what started it (`origin`), the `rules`, the lock (`lease`, with its times), waves with "
    "their `gates`, rollouts and queries (`verification`, `prometheus`), expired holds, the report.",
    "views": "Tables and JSON documents on stdout, for people and scripts.",
    "journal": "What ConfigMaps keep: the memory of earlier runs (`records`, `store`), and the rules (`rules_text`, "
    "`rules_store`).",
    "imagestreams": "Image streams: list, select, import, look up, describe images, move tags (`retag`).",
    "workloads": "The workloads that follow the tags: image triggers, pods, rollouts, health, rehearsals (`rehearsal`; "
    "their pods in `rehearsal_pod`), and in `kinds` one class per kind, which also reads its triggers.",
    "cluster": "The API behind one small protocol (with a `Resource` for each kind of object, in `__init__`), and an "
    "adapter per client; `connect` chooses one.",
    "config": "One record per setting (`flags`), the parsers, and the checked values (`settings`).",
    "runtime": "The services of a process: worker threads, retries, signals, logs, terminal.",
    "domain": "The closed lists (`enums`: reasons and whether each is retried, skips, outcomes, clients), the nouns "
    "(`model`: tags, results, the report) and the rules (`selection`, `holds` with their annotation, `schedule`, "
    "`failures`, `retries`, `outcome`), as pure values and functions. No I/O.",
}

# The part of the outside world that a package, and no other one, deals with.
OUTSIDE: Mapping[str, str] = {
    "promote": "git",
    "publish": "Pushgateway, Events, messages",
    "run": "Prometheus",
    "views": "stdout",
    "cluster": "the API (kubernetes, or oc)",
    "config": "flags, environment",
    "runtime": "threads, signals, logs, terminal",
}
