"""The settings by name: their environment variables, their flags, and what `--help` says of them.

Apart from what reads them, so that `--help` loads nothing else.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple


class Setting(NamedTuple):
    """One setting: its environment variable, its flag (None: environment only) and what `--help` says."""

    name: str
    flag: str | None
    help: str
    short: str | None = None
    metavar: str | None = None
    default: str | None = None

    def add(self, parser: argparse._ActionsContainer) -> None:
        """Let a parser, or a group of one, know its flag."""
        if self.flag is None:
            return
        names = [name for name in (self.short, self.flag) if name]
        told = self.help + (f" (default {self.default})" if self.default else "") + f"; {self.name}"
        if self.metavar is None:
            parser.add_argument(*names, dest=self.name, action="store_const", const="true", help=told)
        else:
            parser.add_argument(*names, dest=self.name, metavar=self.metavar, help=told)


SETTINGS: tuple[Setting, ...] = (
    Setting("DEPLOYMENT", "--deployment", "the tag to import in each stream", metavar="TAG"),
    Setting("NAMESPACE", "--namespace", "one or more namespaces, comma-separated", "-n", "NAMES"),
    Setting("SERVICE", "--service", "with DEPLOYMENT: the namespace is SERVICE-DEPLOYMENT", metavar="NAME"),
    Setting(
        "NAMESPACE_SELECTOR",
        "--namespace-selector",
        "instead of names: every namespace with these labels",
        metavar="LABELS",
    ),
    Setting("SELECTOR", "--selector", "label selector on streams", "-l", "LABELS"),
    Setting("EXCLUDE", "--exclude", "what to leave out: globs STREAM[:TAG], comma-separated", metavar="GLOBS"),
    Setting("HOST", None, "API address; with TOKEN, instead of a kubeconfig or the pod's service account"),
    Setting("TOKEN", None, "bearer token for HOST"),
    Setting(
        "INSECURE_SKIP_TLS_VERIFY",
        "--insecure-skip-tls-verify",
        "do not verify the API's certificate",
        default="false",
    ),
    Setting("CLIENT", "--client", "api, or oc: by your oc (or kubectl) and its login", metavar="NAME", default="api"),
    Setting("PUSHGATEWAY_ADDRESS", "--pushgateway", "URL or HOST:PORT of the Pushgateway", metavar="ADDRESS"),
    Setting("PUSHGATEWAY_USERNAME", None, "user name for the Pushgateway"),
    Setting("PUSHGATEWAY_PASSWORD", None, "password for the Pushgateway"),
    Setting("PUSHGATEWAY_TOKEN", None, "bearer token for the Pushgateway"),
    Setting("PUSHGATEWAY_CA_FILE", None, "file of certificates to verify the Pushgateway by"),
    Setting("GATEWAY", "--gateway", "pushgateway, or aggregation", metavar="KIND", default="pushgateway"),
    Setting("CONCURRENCY", "--concurrency", "streams at a time, at most", metavar="N", default="32"),
    Setting("RETRIES", "--retries", "more tries of what may pass", metavar="N", default="4"),
    Setting("IMPORT_TIMEOUT", "--import-timeout", "limit of one import request", metavar="DURATION", default="1m"),
    Setting(
        "DEADLINE", "--deadline", "limit of imports and the watching of rollouts", metavar="DURATION", default="30m"
    ),
    Setting("WATCH_ROLLOUTS", "--watch-rollouts", "wait for what follows the updated tags", default="false"),
    Setting(
        "ROLLOUT_TIMEOUT", "--rollout-timeout", "limit of the rollouts of one wave", metavar="DURATION", default="10m"
    ),
    Setting(
        "ON_BAD_ROLLOUT",
        "--on-bad-rollout",
        "report, or rollback: put back the images whose rollout is bad, and hold them",
        metavar="ACTION",
        default="report",
    ),
    Setting("CHECK_HORIZON", "--check-horizon", "ask which earlier images are still in the registry", default="false"),
    Setting("FREEZE", "--freeze", "windows in which a scheduled run imports nothing", metavar="WINDOWS"),
    Setting("TIME_ZONE", "--time-zone", "of FREEZE and the schedule; the CronJob's, else UTC", metavar="ZONE"),
    Setting("IGNORE_FREEZE", "--ignore-freeze", "run although it is frozen", default="false"),
    Setting("SHARDS", None, "how many pods of an Indexed Job share the streams"),
    Setting("JOB_COMPLETION_INDEX", None, "which of them this one is, from 0; set by Kubernetes"),
)

# What a command about one tag listens to.
OF_ONE_TAG = frozenset(
    {
        "DEPLOYMENT",
        "NAMESPACE",
        "SERVICE",
        "INSECURE_SKIP_TLS_VERIFY",
        "CLIENT",
        "PUSHGATEWAY_ADDRESS",
        "RETRIES",
        "IMPORT_TIMEOUT",
        "ROLLOUT_TIMEOUT",
        "TIME_ZONE",
    }
)


class Flag(NamedTuple):
    """A flag of one command, which no environment variable sets."""

    flag: str
    help: str
    metavar: str | None = None
    default: str | None = None

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Let the parser know it."""
        if self.metavar is None:
            parser.add_argument(self.flag, action="store_true", help=self.help)
        else:
            parser.add_argument(self.flag, metavar=self.metavar, default=self.default, help=self.help)


FLAGS: dict[str, tuple[Flag, ...]] = {
    "history": (Flag("--check", "ask which of the images are still in the registry"),),
    "rollback": (
        Flag("--to", "how many distinct images to go back (default 1), or a digest or its beginning", "N|DIGEST", "1"),
        Flag("--reason", "why, for everybody who meets the hold", "TEXT"),
        Flag("--until", "when a run may let the tag go: a time, or a duration such as 3d", "TIME|DURATION"),
        Flag("--until-newer", "a run may let the tag go once the registry has another image than the bad one"),
        Flag("--yes", "do not ask"),
    ),
}
