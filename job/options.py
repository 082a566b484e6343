"""The settings by name: their environment variables, their flags, and what `--help` says of them.

Apart from what reads them, so that `--help` loads nothing else.
"""

from __future__ import annotations

from typing import NamedTuple


class Setting(NamedTuple):
    """One setting: its environment variable, its flag (None: environment only) and what `--help` says."""

    name: str
    flag: str | None
    help: str
    short: str | None = None
    metavar: str | None = None
    default: str | None = None


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
    Setting("CLIENT", "--client", "how the cluster is reached: api", metavar="NAME", default="api"),
    Setting("PUSHGATEWAY_ADDRESS", "--pushgateway", "URL or HOST:PORT of the Pushgateway", metavar="ADDRESS"),
    Setting("PUSHGATEWAY_USERNAME", None, "user name for the Pushgateway"),
    Setting("PUSHGATEWAY_PASSWORD", None, "password for the Pushgateway"),
    Setting("PUSHGATEWAY_TOKEN", None, "bearer token for the Pushgateway"),
    Setting("PUSHGATEWAY_CA_FILE", None, "file of certificates to verify the Pushgateway by"),
    Setting("GATEWAY", "--gateway", "pushgateway, or aggregation", metavar="KIND", default="pushgateway"),
    Setting("CONCURRENCY", "--concurrency", "streams at a time, at most", metavar="N", default="32"),
    Setting("RETRIES", "--retries", "more tries of what may pass", metavar="N", default="4"),
    Setting("IMPORT_TIMEOUT", "--import-timeout", "limit of one import request", metavar="DURATION", default="1m"),
    Setting("DEADLINE", "--deadline", "limit of all imports together", metavar="DURATION", default="30m"),
    Setting("FREEZE", "--freeze", "windows in which a scheduled run imports nothing", metavar="WINDOWS"),
    Setting("TIME_ZONE", "--time-zone", "of FREEZE and the schedule; the CronJob's, else UTC", metavar="ZONE"),
    Setting("IGNORE_FREEZE", "--ignore-freeze", "run although it is frozen", default="false"),
    Setting("SHARDS", None, "how many pods of an Indexed Job share the streams"),
    Setting("JOB_COMPLETION_INDEX", None, "which of them this one is, from 0; set by Kubernetes"),
)
