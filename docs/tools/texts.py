"""Texts of the tables that the code does not have.

Every mapping is complete: generating a table fails for a value without a text.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, str] = {
    "__main__": "`python -m job`: the same as `import-images`.",
    "cli": "Parses the arguments, runs the command, returns its exit status.",
    "promote": "The `promote` command: git, stable branches, waiting for images, release notes.",
    "commands": "One record per command (`registry`), and a module for each command that has no package of its own.",
    "doctor": "The `doctor` command: one record per check (`registry`), the `facts` and their `readers`, and in "
    "`checks` one pure module per subject.",
    "status": "The `status` command: `collect` facts, `assess` them, suggest a command, show tables (their `columns`).",
    "publish": "`publisher` gives the report of a run to every sink, each a module: termination message, journal, "
    "Events, stdout, metrics (declared in `metric_families`, filled in `metrics`), messages.",
    "run": "One run: what started it (`origin`), freezes and blocked images (`rules`), the lock and its duration "
    "(`lease`), waves with their `gates`, rollouts, queries after them (`verification`, `prometheus`), expired "
    "holds, the report.",
    "views": "Tables and JSON documents on stdout, for people and scripts.",
    "journal": "What is stored in ConfigMaps: records of earlier runs (`records`, `store`), and freezes and blocked "
    "images (`rules_text`, `rules_store`).",
    "imagestreams": "Image streams: list, select, import, look up, describe images, move tags (`retag`).",
    "workloads": "The workloads that follow the tags: image triggers, pods, rollouts, health, trial pods of new "
    "images (`rehearsal`, `rehearsal_pod`), and in `kinds` one class per kind, which also reads its triggers.",
    "cluster": "The API behind one small protocol (with a `Resource` for each kind of object, in `__init__`), and an "
    "adapter per client; `connect` chooses one.",
    "config": "One record per setting (`flags`), the parsers, and the checked values (`settings`).",
    "runtime": "The services of a process: worker threads, retries, signals, logs, terminal.",
    "domain": "The enumerations (`enums`: failure reasons with whether each is retried, skip reasons, outcomes, "
    "clients), the data types (`model`: tags, results, the report) and the decisions (`selection`, "
    "`holds` with their annotation, `schedule`, `failures`, `retries`, `outcome`), as pure values and functions; "
    "no I/O.",
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
