"""The sub-commands and flags of `promote`. Nothing else is loaded for `--help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from job.config.flags import SETTINGS

TOLD = {
    "status": "where stable and rolling are, and which commit runs in the cluster now",
    "move": "move the stable branches, so that the registry builds the images",
    "wait": "wait until the images of exactly these commits are in the registry",
    "notes": "what went out with the last runs, as Markdown",
}
EXAMPLES = {
    "status": "  import-images promote status --deployment prod -n packit-prod",
    "move": """  import-images promote move --dry-run
  import-images promote move packit --to 4d5e6f7a8
  import-images promote move --wait --run --deployment prod -n packit-prod""",
    "wait": """  import-images promote wait --deployment prod -n packit-prod --timeout 2h
  import-images promote wait packit --run --deployment prod -n packit-prod""",
    "notes": """  import-images promote notes --deployment prod -n packit-prod
  import-images promote notes --since 7d --output json""",
}
STATUSES = """exit status:
  0 done, or there was nothing to do   1 some repository could not be read, moved or recorded
  2 bad usage or configuration, or not confirmed; nothing was touched
  3 the cluster could not be used      6 stopped by a signal or by --timeout
  with --run, once the images are there: that of the run"""
_OVERVIEW = """usage: import-images promote COMMAND [OPTIONS]

The step before a run: move the stable branches that production images are built from, wait for
the images of exactly those commits, import them, tell what went out. Repositories and the streams
they feed are in promote.toml (--config names another file; examples/promote.toml shows one).

commands:
{commands}

examples:
  import-images promote status
  import-images promote move --wait --run --deployment prod -n packit-prod    # all of it

{statuses}
'import-images promote COMMAND --help' tells more.
"""
# What the way to the cluster takes. With a run to follow, every setting counts.
_CLUSTER = frozenset(
    {"DEPLOYMENT", "NAMESPACE", "SERVICE", "INSECURE_SKIP_TLS_VERIFY", "CLIENT", "RETRIES", "TIME_ZONE"}
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The sub-command, as `promote`, and its options.

    Raises:
        SystemExit: for `--help` and usage errors, as argparse does.
    """
    first = arguments[0] if arguments else ""
    overview = _OVERVIEW.format(
        commands="\n".join(f"  {name:8}{told}" for name, told in TOLD.items()), statuses=STATUSES
    )
    if first in ("-h", "--help"):
        sys.stdout.write(overview)
        raise SystemExit(0)
    if first not in TOLD:
        told = f"{first!r} is not a command of promote" if first else "promote takes a command"
        sys.stderr.write(
            f"import-images promote: error: {told}: {', '.join(TOLD)}; see: import-images promote --help\n"
        )
        raise SystemExit(2)
    options = _parser(first).parse_intermixed_args(arguments[1:])
    options.promote, options.patterns = first, []
    if first == "notes" and options.output == "markdown":
        options.output = "table"
    return options


def _parser(command: str) -> argparse.ArgumentParser:
    told = TOLD[command]
    parser = argparse.ArgumentParser(
        prog=f"import-images promote {command}",
        description=told[0].upper() + told[1:] + ".",
        epilog=f"examples:\n{EXAMPLES[command]}\n\n{STATUSES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("repositories", nargs="*", metavar="REPO", help="names of promote.toml (default all)")
    add("--config", metavar="FILE", help="instead of promote.toml in the current folder")
    shown = "markdown (default) or json" if command == "notes" else "table (default on a terminal) or json"
    add("--output", metavar="FORMAT", help=shown)
    if command == "move":
        add("--to", action="append", default=[], metavar="[REPO=]COMMIT", help="where to; default the tip of rolling")
        add("--yes", action="store_true", help="do not ask")
        add("--force", action="store_true", help="allow what is no fast-forward; the name must be typed")
        add("--dry-run", action="store_true", help="show what would be moved, and ask the remote whether it may be")
        add("--wait", action="store_true", help="then wait for the images, as promote wait does")
    if command in ("move", "wait"):
        add("--run", action="store_true", help="then import them and watch the rollouts, as import-images run does")
        add("--timeout", metavar="DURATION", default="1h", help="how long to wait for the images (default 1h)")
        add("--interval", metavar="DURATION", default="30s", help="how often to ask for them (default 30s)")
    if command == "notes":
        add("--since", metavar="RUN|TIME|DURATION", help="from that run, or from then, on; default the last run")
    group = parser.add_argument_group(
        "the way to the cluster" + (", and the run" if command in ("move", "wait") else "")
    )
    for setting in SETTINGS:
        if command in ("move", "wait") or setting.name in _CLUSTER:
            setting.add(group)
    return parser
