"""The commands but `promote`, one record each."""

from __future__ import annotations

from job.commands import dispatch
from job.config.command import Arguments, Command
from job.config.flags import (
    CLUSTER,
    CONCURRENCY,
    EVERYWHERE,
    GATES,
    IMPORT_TIMEOUT,
    MESSAGES,
    METRICS,
    NAMESPACE_SELECTOR,
    ON_BAD_ROLLOUT,
    PLACE,
    REQUESTS,
    RETRIES,
    ROLLOUT_STABLE,
    ROLLOUT_TIMEOUT,
    SELECTION,
    SETTINGS,
    TIME_ZONE,
    VERIFICATION,
)
from job.config.formats import Format
from job.config.setting import Flag
from job.domain.exit_status import ExitStatus

_GLOBS = Arguments("globs; without TAG: --deployment, else every tag")
_ONE_TAG = Arguments("one stream and tag; without TAG: --deployment; with --run: globs, else all of the run")
_READ_ONLY = {
    ExitStatus.USAGE: "Bad usage or settings, or nothing matched.",
    ExitStatus.CLUSTER_UNUSABLE: "The cluster could not be used: unreachable, or not allowed.",
    ExitStatus.ABORTED: "Stopped by a signal.",
}
_NO_RIGHT = "The cluster could not be used, or the right to update the tag is missing; nothing was changed."
# What a command about one tag reads. The settings of runs, such as EXCLUDE and FREEZE, do not apply to it.
_TAG_SETTINGS = (
    *PLACE,
    *CLUSTER,
    *METRICS,
    *MESSAGES,
    RETRIES,
    IMPORT_TIMEOUT,
    ROLLOUT_TIMEOUT,
    ROLLOUT_STABLE,
    TIME_ZONE,
)


# What a command about the rules of namespaces reads.
_RULES_SETTINGS = (*PLACE, NAMESPACE_SELECTOR, *CLUSTER, CONCURRENCY, RETRIES)
_RULES_STATUSES = {
    ExitStatus.ATTENTION: "The rules of some namespace were changed, those of another could not be.",
    ExitStatus.USAGE: "Bad usage or settings, or a rule cannot be read (with its line); nothing was changed.",
    ExitStatus.CLUSTER_UNUSABLE: "The cluster could not be used, or the right to update the rules is missing.",
    ExitStatus.ABORTED: "Stopped by a signal.",
}
_REASON = Flag("--reason", "why, for everyone whom it stops; required", "TEXT")
_UNTIL = Flag("--until", "when it ends by itself: a time, or a duration such as 3d", "TIME|DURATION")
_IMAGES = Arguments("full digests, or commits of 7 to 64 digits", metavar="DIGEST|COMMIT", nargs="+")

_WHOLE_RUN = Flag("--run", "every tag that this run moved; last: the last one that moved a tag", "ID|last")

COMMANDS = (
    Command(
        "run",
        "import the tags of a deployment",
        "Imports what the registry has for each tag, and with --watch-rollouts waits for the workloads that follow "
        "the updated ones.",
        dispatch.run_command,
        settings=tuple(setting for setting in SETTINGS if setting not in EVERYWHERE),
        flags=(Flag("--plan", "import only the images of this plan, as plan -o json wrote it; -: stdin", "FILE"),),
        arguments=Arguments("globs; STREAM:TAG beats --deployment"),
        examples=(
            "import-images run --deployment prod -n packit-prod",
            "import-images run 'packit-*' --deployment prod --exclude packit-tests",
            "import-images run packit-worker:stg --output json",
            "import-images run --plan plan.json",
        ),
        statuses=dict.fromkeys(ExitStatus, "")
        | {ExitStatus.ATTENTION: "Some tag failed, or a namespace or its rollouts could not be read."},
    ),
    Command(
        "plan",
        "show what a run would import; writes nothing",
        "Selects the same tags as a run, and asks the server for the images that it would import.",
        dispatch.plan_command,
        settings=(*SELECTION, *EVERYWHERE, *CLUSTER, *REQUESTS, *GATES),
        arguments=Arguments("globs; STREAM:TAG beats --deployment"),
        examples=(
            "import-images plan --deployment prod -n packit-prod",
            "import-images plan 'packit-*:prod' --output json",
        ),
        statuses={
            ExitStatus.SUCCESS: "Every look-up was answered, whatever a run would change.",
            ExitStatus.ATTENTION: "Some image could not be looked up, or a namespace could not be read.",
            **_READ_ONLY,
        },
    ),
    Command(
        "status",
        "show what needs attention: failures, holds, old tags, runs, workloads on another image",
        "Writes nothing. Each problem comes with a command that fixes it.",
        dispatch.status_command,
        settings=(*SELECTION, *EVERYWHERE, *CLUSTER, *REQUESTS, TIME_ZONE),
        flags=(
            Flag("--all", "every tag, problem and run in the tables, however many"),
            Flag("--watch", "draw it again every few seconds, until Ctrl-C"),
        ),
        arguments=_GLOBS,
        examples=(
            "import-images status --deployment prod -n packit-prod",
            "import-images status 'packit-*' --output json",
            "import-images status --watch -n packit-prod",
        ),
        statuses={
            ExitStatus.SUCCESS: "Nothing needs attention.",
            ExitStatus.ATTENTION: "Something needs attention, or could not be read.",
            **_READ_ONLY,
        },
    ),
    Command(
        "history",
        "list the images that a tag has had, newest first",
        "",
        dispatch.history_command,
        settings=(*PLACE, NAMESPACE_SELECTOR, *EVERYWHERE, *CLUSTER, CONCURRENCY, RETRIES, IMPORT_TIMEOUT),
        flags=(
            Flag("--check", "ask which of the images are still in the registry"),
            Flag("--runs", "the runs instead, what each moved, and what was rolled back since"),
            Flag("--limit", "only the newest images of each tag, or with --runs the newest runs", "N"),
        ),
        arguments=Arguments("globs; without TAG: --deployment, else every tag"),
        examples=(
            "import-images history packit-worker:prod -n packit-prod",
            "import-images history packit-worker --deployment prod --check",
            "import-images history --runs -n packit-prod",
        ),
        statuses={
            ExitStatus.SUCCESS: "The history is shown.",
            ExitStatus.ATTENTION: "With `--check`: a registry did not answer for some image.",
            **_READ_ONLY,
        },
    ),
    Command(
        "rollback",
        "roll a tag back to an earlier image, hold it there, and watch the rollout",
        "Shows what it will do and asks. No run imports the tag until the hold ends.",
        dispatch.rollback_command,
        settings=_TAG_SETTINGS,
        flags=(
            Flag(
                "--to",
                "how many distinct images to go back (default 1), or a digest or its beginning",
                "N|DIGEST",
            ),
            _WHOLE_RUN,
            Flag("--reason", "why, for everyone who sees the hold", "TEXT"),
            Flag("--until", "when a run may release the tag: a time, or a duration such as 3d", "TIME|DURATION"),
            Flag("--until-newer", "a run may release the tag once the registry has another image than the bad one"),
            Flag("--no-block", "let other tags import the image that is left; without --run it is blocked"),
            Flag("--block", "with --run: block every image that is left; not all of a run's need be bad"),
            Flag("--yes", "do not ask"),
        ),
        arguments=_ONE_TAG,
        examples=(
            "import-images rollback packit-worker:prod -n packit-prod --reason 'crashes on start'",
            "import-images rollback packit-worker:prod --to 2 --until 3d --yes",
            "import-images rollback packit-worker:prod --to sha256:4f53cda18c2b --until-newer",
            "import-images rollback --run last -n packit-prod --reason 'the Tuesday run broke the queue'",
        ),
        statuses={
            ExitStatus.SUCCESS: "The tag is rolled back, and its workloads are healthy.",
            ExitStatus.ATTENTION: "Another client moved the tag meanwhile, or its workloads could not be watched.",
            ExitStatus.USAGE: "Bad usage or settings, no such image, or not confirmed; nothing was changed.",
            ExitStatus.CLUSTER_UNUSABLE: _NO_RIGHT,
            ExitStatus.UNHEALTHY: "Rolled back, and a rollout did not become healthy.",
            ExitStatus.ABORTED: "Stopped by a signal.",
        },
    ),
    Command(
        "resume",
        "release a held tag: restore its source, import, and watch the rollout",
        "Asks where the registry still has the image that was rolled back from or a blocked one, and unblocks it.",
        dispatch.resume_command,
        settings=(*_TAG_SETTINGS, ON_BAD_ROLLOUT),
        flags=(
            _WHOLE_RUN,
            Flag(
                "--yes", "do not ask where the registry still has the image that was rolled back from or a blocked one"
            ),
        ),
        arguments=_ONE_TAG,
        examples=(
            "import-images resume packit-worker:prod -n packit-prod",
            "import-images resume --run last -n packit-prod",
        ),
        statuses={
            ExitStatus.SUCCESS: "The tag is released and imported, and its workloads are healthy.",
            ExitStatus.ATTENTION: "Released, but the import failed or its workloads could not be watched.",
            ExitStatus.USAGE: "Bad usage or settings, the tag is not held, or not confirmed; nothing was changed.",
            ExitStatus.CLUSTER_UNUSABLE: _NO_RIGHT,
            ExitStatus.UNHEALTHY: "Imported, and a rollout did not become healthy.",
            ExitStatus.ABORTED: "Stopped by a signal.",
        },
    ),
    Command(
        "freeze",
        "stop all imports in a namespace, until the freeze ends or is thawed",
        "Every run ends as inside a window of FREEZE; rollback and resume go on.",
        dispatch.freeze_command,
        settings=(*_RULES_SETTINGS, TIME_ZONE),
        flags=(_REASON, _UNTIL),
        examples=(
            "import-images freeze -n packit-prod --reason 'demo on Thursday' --until 3d",
            "import-images freeze -n packit-prod --reason 'incident 42'",
        ),
        statuses={ExitStatus.SUCCESS: "The namespace is frozen.", **_RULES_STATUSES},
    ),
    Command(
        "thaw",
        "end the freezes of a namespace that `freeze` began",
        "Windows of FREEZE are settings, and stay.",
        dispatch.thaw_command,
        settings=_RULES_SETTINGS,
        examples=("import-images thaw -n packit-prod",),
        statuses={
            ExitStatus.SUCCESS: "The namespace is not frozen by a rule.",
            **_RULES_STATUSES,
            ExitStatus.USAGE: "Bad usage, it was not frozen, or a rule cannot be read; nothing was changed.",
        },
    ),
    Command(
        "block",
        "keep known-bad images out of every tag of a namespace",
        "By digest, or by the commit that they were built from. A tag that has one already keeps it.",
        dispatch.block_command,
        settings=(*_RULES_SETTINGS, TIME_ZONE),
        flags=(_REASON, _UNTIL),
        arguments=_IMAGES,
        examples=(
            "import-images block 4d5e6f7a8b9c -n packit-prod --reason 'loses messages'",
            f"import-images block sha256:{'4f53cda18c2b' * 5}4f53 --reason 'crashes on start' --until 14d",
        ),
        statuses={ExitStatus.SUCCESS: "The images are blocked.", **_RULES_STATUSES},
    ),
    Command(
        "unblock",
        "allow blocked images again",
        "The next run imports them; a held tag stays held.",
        dispatch.unblock_command,
        settings=_RULES_SETTINGS,
        arguments=Arguments("digests or their beginnings, or commits as they were blocked", "DIGEST|COMMIT", "+"),
        examples=("import-images unblock sha256:4f53cda18c2b -n packit-prod",),
        statuses={
            ExitStatus.SUCCESS: "The images are not blocked.",
            **_RULES_STATUSES,
            ExitStatus.USAGE: "Bad usage, it was not blocked, or a rule cannot be read; nothing was changed.",
        },
    ),
    Command(
        "doctor",
        "find what will go wrong: triggers that never fire, missing rights, and more",
        "Writes nothing. Each finding comes with a command that fixes it, where there is one.",
        dispatch.doctor_command,
        settings=(*SELECTION, *EVERYWHERE, *CLUSTER, *METRICS, *GATES, *VERIFICATION, *REQUESTS, TIME_ZONE),
        arguments=_GLOBS,
        examples=("import-images doctor --deployment prod -n packit-prod",),
        statuses={
            ExitStatus.SUCCESS: "There are at most notes.",
            ExitStatus.ATTENTION: "There is an error or a warning.",
            **_READ_ONLY,
        },
    ),
    Command(
        "notify",
        "send a test message to every service listed in NOTIFY",
        "Runs, rollbacks and resumes send their messages by themselves.",
        dispatch.notify_command,
        settings=MESSAGES,
        flags=(Flag("--test", "send it; without this the services are only listed"),),
        examples=("import-images notify --test",),
        statuses={
            ExitStatus.SUCCESS: "Every service took the message.",
            ExitStatus.ATTENTION: "Some service did not take it.",
            ExitStatus.USAGE: "NOTIFY is not set, an address is not complete, or apprise is not installed.",
        },
    ),
    Command(
        "explain",
        "say what a reason, result, outcome, exit status, setting, metric or alert means",
        "Without a word: list all of them. `schema NAME`: the JSON Schema of a document.",
        dispatch.explain_command,
        arguments=Arguments(
            "words of reports, settings, metrics and alerts; schema NAME",
            metavar="WORD",
            words=dispatch.explained_words,
        ),
        examples=(
            "import-images explain pinned",
            "import-images explain ROLLOUT_STABLE 5",
            "import-images explain schema report",
        ),
        statuses={
            ExitStatus.SUCCESS: "The words are explained.",
            ExitStatus.USAGE: "A word is not known.",
        },
    ),
    Command(
        "completion",
        "print the completion script of a shell: commands, flags, namespaces, streams, tags",
        "It takes argcomplete: pip install 'import-images[completion]'.",
        dispatch.completion_command,
        arguments=Arguments("bash, zsh or fish", metavar="SHELL", nargs=1, words=dispatch.shells),
        examples=(
            'eval "$(import-images completion bash)"',
            "import-images completion fish > ~/.config/fish/completions/import-images.fish",
        ),
        formats=(Format.TABLE,),
        statuses={
            ExitStatus.SUCCESS: "The code is written.",
            ExitStatus.USAGE: "No such shell, or argcomplete is not installed.",
        },
    ),
)
