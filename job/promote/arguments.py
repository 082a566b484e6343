"""The sub-commands and flags of `promote`. `--help` loads nothing else."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from job.config.flags import SETTINGS

SUMMARIES = {
    "status": "show the stable and rolling branches, and which commit runs in the cluster",
    "move": "move the stable branches, so that the images are built",
    "wait": "wait until the registry has the images built from exactly these commits",
    "notes": "write release notes of the last runs, as Markdown",
}
EXAMPLES = {
    "status": "  import-images promote status --deployment prod -n packit-prod",
    "move": """  import-images promote move --dry-run
  import-images promote move packit --to 4d5e6f7a8
  import-images promote move --wait --run --deployment prod -n packit-prod""",
    "wait": """  import-images promote wait --deployment prod -n packit-prod --timeout 2h
  import-images promote wait packit --run --deployment prod -n packit-prod""",
    "notes": """  import-images promote notes --deployment prod -n packit-prod
  import-images promote notes --since 7d --output json
  import-images promote notes library --between 2026-11-23""",
}
_STATUSES = """exit status:
  0 done, or there was nothing to do   1 a repository could not be read, moved or recorded
  2 bad usage or configuration, or not confirmed; nothing was changed
  3 the cluster could not be used      6 stopped by a signal or by --timeout
  with --run, once the images have arrived: the exit status of the run"""
_OVERVIEW = """usage: import-images promote COMMAND [OPTIONS]

The step before a run: move the stable branches that production images are built from, wait for
the images built from exactly those commits, import them, write release notes. promote.toml names
the repositories and the streams they feed (--config names another file; for an example see
examples/promote.toml).

commands:
{commands}

examples:
  import-images promote status
  import-images promote move --wait --run --deployment prod -n packit-prod    # everything at once

{statuses}
For a command's flags: import-images promote COMMAND --help
"""
# The settings of a command that only reads the cluster. A command that can run an import takes every setting.
_CLUSTER = frozenset(
    {"DEPLOYMENT", "NAMESPACE", "SERVICE", "INSECURE_SKIP_TLS_VERIFY", "CLIENT", "RETRIES", "TIME_ZONE"}
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; the sub-command is the attribute `promote`.

    Raises:
        SystemExit: for `--help` and usage errors, as argparse does.
    """
    first = arguments[0] if arguments else ""
    overview = _OVERVIEW.format(
        commands="\n".join(f"  {name:8}{summary}" for name, summary in SUMMARIES.items()), statuses=_STATUSES
    )
    if first in ("-h", "--help"):
        sys.stdout.write(overview)
        raise SystemExit(0)
    if first not in SUMMARIES:
        problem = f"{first!r} is not a command of promote" if first else "promote needs a command"
        sys.stderr.write(
            f"import-images promote: error: {problem}: {', '.join(SUMMARIES)}; see: import-images promote --help\n"
        )
        raise SystemExit(2)
    options = _parser(first).parse_intermixed_args(arguments[1:])
    options.promote, options.patterns = first, []
    if first == "notes" and options.output == "markdown":
        options.output = "table"
    return options


def _parser(command: str) -> argparse.ArgumentParser:
    summary = SUMMARIES[command]
    parser = argparse.ArgumentParser(
        prog=f"import-images promote {command}",
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"examples:\n{EXAMPLES[command]}\n\n{_STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("repositories", nargs="*", metavar="REPO", help="names in promote.toml (default: all)")
    add("--config", metavar="FILE", help="use this file instead of promote.toml in the current folder")
    formats = "markdown (default) or json" if command == "notes" else "table (default on a terminal) or json"
    add("--output", metavar="FORMAT", help=formats)
    if command == "move":
        add("--to", action="append", default=[], metavar="[REPO=]COMMIT", help="target; default: the tip of rolling")
        add("--yes", action="store_true", help="do not ask")
        add("--force", action="store_true", help="allow a move that loses commits; it is confirmed by typing the name")
        add("--dry-run", action="store_true", help="push nothing; ask the remote whether the push would be accepted")
        add("--wait", action="store_true", help="then wait for the images, as promote wait does")
    if command in ("move", "wait"):
        add("--run", action="store_true", help="then import them and watch the rollouts, as import-images run does")
        add("--timeout", metavar="DURATION", default="1h", help="how long to wait for the images (default 1h)")
        add("--interval", metavar="DURATION", default="30s", help="how often to check for them (default 30s)")
    if command == "notes":
        add(
            "--since", metavar="RUN|TIME|DURATION", help="the first run, or the start, of the period; default: last run"
        )
        add("--between", metavar="FROM[..TO]", help="instead of runs: commits of stable, from a time, run or commit on")
        add("--template", metavar="FILE", help="a jinja2 template for the Markdown; default: template in promote.toml")
    group = parser.add_argument_group("cluster" + (" and run" if command in ("move", "wait") else ""))
    for setting in SETTINGS:
        if command in ("move", "wait") or setting.name in _CLUSTER:
            setting.add(group)
    return parser
