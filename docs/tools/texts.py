"""Texts of the tables that the code does not have.

Every mapping is complete: generating a table fails for a value without a text.
"""

from __future__ import annotations

from collections.abc import Mapping

from job.domain.model import Outcome, Reason, Result, RolloutResult, Skip
from job.status.model import Problem, State

RESULTS: Mapping[Result, str] = {
    Result.UPDATED: "The tag has a new image.",
    Result.UNCHANGED: "The registry has no other image than the tag.",
    Result.FAILED: "The import failed; the tag keeps the image it had. `reason` and `by` say why and who refused.",
    Result.SKIPPED: "The tag was not imported. `reason` says why.",
    Result.ROLLED_BACK: "The tag was updated and, because its rollout was bad, moved back to the image it had.",
}

REASONS: Mapping[Reason, str] = {
    Reason.NOT_FOUND: "The registry has no such image or repository.",
    Reason.UNAUTHORIZED: "By the registry: no valid pull secret. By the API: the token is wrong or has expired.",
    Reason.FORBIDDEN: "By the registry: the pull secret may not read the repository. By the API: a right is missing, "
    "or the cluster blocks the registry.",
    Reason.RATE_LIMITED: "The registry or the API asked to slow down.",
    Reason.REGISTRY_ERROR: "The registry answered with an error of its own.",
    Reason.UNREACHABLE: "No connection: address, DNS, TLS or network.",
    Reason.TIMEOUT: "No answer within `IMPORT_TIMEOUT`.",
    Reason.CONFLICT: "Another client kept changing the stream.",
    Reason.INVALID: "The API refuses the reference, or the registry is not one that the cluster allows.",
    Reason.API_ERROR: "The API failed.",
    Reason.ABORTED: "The run was stopped, by a signal or by `DEADLINE`, before the tag had a result.",
}

SKIPS: Mapping[Skip, str] = {
    Skip.HELD: "was rolled back and is held there ([the hold](commands/rollback.md#the-hold))",
    Skip.OPTED_OUT: 'has the annotation `import-images.dev/skip: "true"`, or its stream has and the tag does not '
    'say `"false"`',
    Skip.REFERENCE: "is a mere reference (`reference: true`), which imports nothing",
    Skip.ALIAS: "follows another tag of its stream (`from` is an ImageStreamTag), so it moves when that one does",
    Skip.COPY: "was copied from a tag of another stream or namespace; OpenShift does that once and never again",
    Skip.PINNED: "names a digest or an ImageStreamImage, so there is nothing newer to import",
    Skip.REMOVED: "is gone from `spec.tags`, and its images came from a registry; nothing imports it any more",
    Skip.NO_SOURCE: "has no source to import from: images are pushed into it",
    Skip.WAVE: "belongs to a wave after one that failed ([waves](rollouts.md#waves))",
}

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.SUCCESS: "All tags are as the registry has them, or were skipped.",
    Outcome.PARTIAL: "Some tags failed, or rollouts could not be watched.",
    Outcome.FAILURE: "All tags failed, or the namespace could not be read.",
    Outcome.UNHEALTHY: "Images were imported, and a rollout did not become healthy.",
    Outcome.ABORTED: "The run was stopped by a signal, by `DEADLINE`, or because it lost its lock.",
    Outcome.FROZEN: "A scheduled run within a freeze window; nothing was imported.",
    Outcome.LOCKED: "Another run holds the lock; nothing was imported.",
}

ROLLOUTS: Mapping[RolloutResult, str] = {
    RolloutResult.HEALTHY: "All pods run the image of the tag and are ready. A CronJob: its next Job will run it.",
    RolloutResult.FAILED: "Crash loop, image pull error, configuration error, `ProgressDeadlineExceeded`, or complete "
    "with another image. The message has the pod's own reason. Exit status 5.",
    RolloutResult.TIMED_OUT: "Not healthy within `ROLLOUT_TIMEOUT`. Exit status 5.",
    RolloutResult.WAITING: "The new image waits for a person: a paused Deployment, `OnDelete`, a partition. "
    "Exit status 5.",
    RolloutResult.WILL_NOT_REDEPLOY: "The image trigger cannot fire: `paused` as a string, a wrong `fieldPath`, and "
    "so on. Exit status 5.",
    RolloutResult.PAUSED: "The image trigger is switched off on purpose (`paused: true`).",
    RolloutResult.ABORTED: "No longer watched: the run was stopped (exit status 6), or the workload could not be read "
    "(5).",
}

STATES: Mapping[State, str] = {
    State.CURRENT: "The registry has no other image.",
    State.BEHIND: "The registry has another image; the next run imports it.",
    State.FAILED: "The registry or the API refuses the image.",
    State.UNKNOWN: "The registry could not be asked.",
    State.HELD: "A rollback holds it.",
    State.SKIPPED: "A run would skip it.",
}

PROBLEMS: Mapping[Problem, str] = {
    Problem.UNREAD: "A namespace could not be read.",
    Problem.SCHEDULE: "The schedule of the CronJob cannot be parsed.",
    Problem.SUSPENDED: "The CronJob is suspended.",
    Problem.RUN_MISSED: "A run was due and has not happened.",
    Problem.RUN_FAILED: "The last complete run failed.",
    Problem.RUN_HANGS: "A run started and did not finish: it was killed, or it hangs.",
    Problem.FAILING: "A tag fails to import.",
    Problem.NOT_KNOWN: "Whether a tag is current could not be checked.",
    Problem.STALE: "No run has confirmed a tag for more than two due times (15 days without a schedule).",
    Problem.HOLD_EXPIRED: "A hold has expired, and no run has released it.",
    Problem.HOLD_FORGOTTEN: "A tag has been held for more than 14 days, without an end.",
    Problem.ROLLOUT: "A workload does not run the image of its tag.",
}

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
