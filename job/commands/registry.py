"""The commands but `promote`, one record each."""

from __future__ import annotations

import sys

from job.config.command import Arguments, Command, Invocation
from job.config.flags import (
    CLUSTER,
    CONCURRENCY,
    EVERYWHERE,
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
    Flag,
)
from job.config.formats import DOCUMENTS, Format
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


_WHOLE_RUN = Flag("--run", "every tag that this run moved; last: the last one that moved a tag", "ID|last")


def _run(call: Invocation) -> int:
    from job.commands.run import run
    from job.domain import model

    return run(model.Command.RUN, call.settings, call.stop, as_table=call.as_table)


def _plan(call: Invocation) -> int:
    from job.commands.run import run
    from job.domain import model

    return run(model.Command.PLAN, call.settings, call.stop, as_table=call.as_table)


def _history(call: Invocation) -> int:
    limit = _limit(call.options.limit)
    if call.options.runs:
        from job.commands.history_runs import history_runs

        return history_runs(call.settings, call.stop, as_table=call.as_table, limit=limit)
    from job.commands.history import history

    if not call.settings.wanted.patterns:
        from job.domain.errors import UsageError

        raise UsageError(["name a STREAM[:TAG], or ask for the runs: --runs"])
    return history(call.settings, call.stop, as_table=call.as_table, check=call.options.check, limit=limit)


def _limit(text: str | None) -> int | None:
    from job.config.parsers import integer
    from job.domain.errors import UsageError

    try:
        return None if text is None else integer(1, 1_000_000)(text)
    except ValueError as error:
        raise UsageError([f"--limit: {error}"]) from error


def _rollback(call: Invocation) -> int:
    from job.commands.rollback import rollback
    from job.commands.rollback_plan import Asked

    options = call.options
    # An empty --to is a mistake, unlike none.
    to = "1" if options.to is None else options.to
    asked = Asked(to, options.reason, options.until, options.until_newer, options.yes)
    if options.run:
        from job.commands.whole_run import rollback_run

        _refuse_together(call, "--to" if options.to is not None else None)
        return rollback_run(call.settings, asked, options.run, call.stop, as_table=call.as_table)
    _require_one_tag(call)
    return rollback(call.settings, asked, call.stop, as_table=call.as_table)


def _require_one_tag(call: Invocation) -> None:
    from job.domain.errors import UsageError

    if len(call.settings.wanted.patterns) != 1:
        raise UsageError(["name one STREAM[:TAG], or the run whose tags are meant: --run ID|last"])


def _refuse_together(call: Invocation, flag: str | None) -> None:
    from job.domain.errors import UsageError

    if flag:
        raise UsageError([f"{flag} is about one tag, and --run is about all tags of a run"])


def _resume(call: Invocation) -> int:
    if call.options.run:
        from job.commands.whole_run import resume_run

        options = call.options
        return resume_run(call.settings, options.run, call.stop, as_table=call.as_table, yes=options.yes)
    from job.commands.rollback import resume

    _require_one_tag(call)
    return resume(call.settings, call.stop, as_table=call.as_table, yes=call.options.yes)


def _status(call: Invocation) -> int:
    from job.status.command import status, watch

    options = call.options
    if not options.watch:
        return status(call.settings, call.stop, as_table=call.as_table, everything=options.all)
    if not (call.as_table and sys.stdout.isatty()):
        from job.domain.errors import UsageError

        raise UsageError(["--watch draws on a terminal, as a table"])
    return watch(call.settings, call.stop, everything=options.all)


def _notify(call: Invocation) -> int:
    from job.commands.notify import notify

    return notify(call.settings, test=call.options.test)


def _explain(call: Invocation) -> int:
    from job.commands.explain import explain

    return explain(call.options.patterns, as_table=call.as_table)


def _completion(call: Invocation) -> int:
    from job.commands.completion import print_code

    return print_code(call.options.patterns)


def _doctor(call: Invocation) -> int:
    from job.doctor.command import doctor

    return doctor(call.settings, call.stop, as_table=call.as_table)


COMMANDS = (
    Command(
        "run",
        "import the tags of a deployment",
        "Imports what the registry has for each tag, and with --watch-rollouts waits for the workloads that follow "
        "the updated ones.",
        _run,
        settings=tuple(setting for setting in SETTINGS if setting not in EVERYWHERE),
        arguments=Arguments("globs; STREAM:TAG beats --deployment"),
        examples=(
            "import-images run --deployment prod -n packit-prod",
            "import-images run 'packit-*' --deployment prod --exclude packit-tests",
            "import-images run packit-worker:stg --output json",
        ),
        statuses=dict.fromkeys(ExitStatus, "")
        | {ExitStatus.ATTENTION: "Some tag failed, or a namespace or its rollouts could not be read."},
    ),
    Command(
        "plan",
        "show what a run would import; writes nothing",
        "Selects the same tags as a run, and asks the server for the images that it would import.",
        _plan,
        settings=(*SELECTION, *EVERYWHERE, *CLUSTER, *REQUESTS),
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
        _status,
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
        _history,
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
        _rollback,
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
        "Asks where the registry still has the image that was rolled back from.",
        _resume,
        settings=(*_TAG_SETTINGS, ON_BAD_ROLLOUT),
        flags=(
            _WHOLE_RUN,
            Flag("--yes", "do not ask where the registry still has the image that was rolled back from"),
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
        "doctor",
        "find what will go wrong: triggers that never fire, rights that are missing, ...",
        "Writes nothing. Each finding comes with a command that fixes it, where there is one.",
        _doctor,
        settings=(*SELECTION, *EVERYWHERE, *CLUSTER, *METRICS, *REQUESTS, TIME_ZONE),
        arguments=_GLOBS,
        examples=("import-images doctor --deployment prod -n packit-prod",),
        formats=DOCUMENTS,
        statuses={
            ExitStatus.SUCCESS: "There are at most notes.",
            ExitStatus.ATTENTION: "There is an error or a warning.",
            **_READ_ONLY,
        },
    ),
    Command(
        "notify",
        "send a test message to every service of NOTIFY",
        "Runs, rollbacks and resumes send their messages by themselves.",
        _notify,
        settings=MESSAGES,
        flags=(Flag("--test", "send it; without this the services are only listed"),),
        examples=("import-images notify --test",),
        statuses={
            ExitStatus.SUCCESS: "Every service took the message.",
            ExitStatus.ATTENTION: "Some service did not take it.",
            ExitStatus.USAGE: "NOTIFY is not set, or an address is not complete.",
        },
    ),
    Command(
        "explain",
        "say what a reason, result, outcome, exit status, setting, metric or alert means",
        "Without a word: list all of them. `schema NAME`: the JSON Schema of a document.",
        _explain,
        arguments=Arguments("words of reports, settings, metrics and alerts; schema NAME", metavar="WORD"),
        examples=(
            "import-images explain pinned",
            "import-images explain ROLLOUT_STABLE 5",
            "import-images explain schema report",
        ),
        formats=(Format.TABLE, Format.JSON, Format.YAML),
        statuses={
            ExitStatus.SUCCESS: "The words are explained.",
            ExitStatus.USAGE: "A word is not known.",
        },
    ),
    Command(
        "completion",
        "print the script with which a shell completes commands, flags, namespaces, streams and tags",
        "It takes argcomplete: pip install 'import-images[completion]'.",
        _completion,
        arguments=Arguments("bash, zsh or fish", metavar="SHELL", nargs=1),
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
