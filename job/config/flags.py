"""The settings: one record each, with its environment variable, flag, parser, default and help text.

`--help`, the reader of settings, completion and the documentation use this table. It loads nothing slow, so that
`--help` stays quick.
"""

from __future__ import annotations

from job.config import parsers
from job.config.parsers import optional
from job.config.setting import Setting

DEPLOYMENT = Setting(
    "DEPLOYMENT", "the tag to import in each stream", optional(parsers.tag), flag="--deployment", metavar="TAG"
)
NAMESPACE = Setting(
    "NAMESPACE",
    "one or more namespaces, comma-separated",
    parsers.list_of(parsers.namespace),
    flag="--namespace",
    short="-n",
    metavar="NAMES",
    overrides=("NAMESPACE_SELECTOR",),
)
SERVICE = Setting(
    "SERVICE",
    "with DEPLOYMENT: the namespace is SERVICE-DEPLOYMENT",
    optional(parsers.service),
    flag="--service",
    metavar="NAME",
    overrides=("NAMESPACE", "NAMESPACE_SELECTOR"),
)
NAMESPACE_SELECTOR = Setting(
    "NAMESPACE_SELECTOR",
    "every namespace with these labels, instead of names",
    optional(parsers.label_selector),
    flag="--namespace-selector",
    metavar="LABELS",
    overrides=("NAMESPACE", "SERVICE"),
)
ALL_NAMESPACES = Setting(
    "ALL_NAMESPACES",
    "every namespace that you may read and that has such tags",
    parsers.boolean,
    default="false",
    flag="--all-namespaces",
    short="-A",
    overrides=("NAMESPACE", "NAMESPACE_SELECTOR", "SERVICE"),
    in_environment=False,
)
SELECTOR = Setting(
    "SELECTOR",
    "label selector on streams",
    optional(parsers.label_selector),
    flag="--selector",
    short="-l",
    metavar="LABELS",
)
EXCLUDE = Setting(
    "EXCLUDE",
    "globs STREAM[:TAG] to leave out, comma-separated",
    parsers.list_of(parsers.glob),
    flag="--exclude",
    metavar="GLOBS",
)
HOST = Setting(
    "HOST",
    "API address; with TOKEN, instead of a kubeconfig or the pod's service account",
    optional(parsers.api_address),
)
TOKEN = Setting("TOKEN", "bearer token for HOST", optional(parsers.secret))
CA_FILE = Setting("CA_FILE", "file of certificates to verify HOST with", optional(parsers.file))
CONTEXT = Setting(
    "CONTEXT",
    "context of the kubeconfig; the current one",
    optional(parsers.word),
    flag="--context",
    metavar="NAME",
    overrides=("HOST", "TOKEN", "CA_FILE"),
    in_environment=False,
)
KUBECONFIG = Setting(
    "KUBECONFIG",
    "kubeconfig to use, instead of those that the variable KUBECONFIG names",
    optional(parsers.file),
    flag="--kubeconfig",
    metavar="FILE",
    overrides=("HOST", "TOKEN", "CA_FILE"),
    in_environment=False,
)
AS_USER = Setting(
    "AS_USER", "user to impersonate", optional(parsers.word), flag="--as", metavar="USER", in_environment=False
)
AS_GROUPS = Setting(
    "AS_GROUPS",
    "groups to impersonate, comma-separated; with --as",
    parsers.list_of(parsers.word),
    flag="--as-group",
    metavar="GROUPS",
    in_environment=False,
)
INSECURE_SKIP_TLS_VERIFY = Setting(
    "INSECURE_SKIP_TLS_VERIFY",
    "do not verify the API's certificate",
    parsers.boolean,
    default="false",
    flag="--insecure-skip-tls-verify",
)
CLIENT = Setting(
    "CLIENT",
    "api, or oc: use your oc (or kubectl) and its login",
    parsers.client,
    default="api",
    flag="--client",
    metavar="api|oc",
)
PUSHGATEWAY_ADDRESS = Setting(
    "PUSHGATEWAY_ADDRESS",
    "URL or HOST:PORT of the Pushgateway",
    optional(parsers.gateway_address),
    flag="--pushgateway",
    metavar="ADDRESS",
)
PUSHGATEWAY_USERNAME = Setting("PUSHGATEWAY_USERNAME", "user name for the Pushgateway", optional(parsers.login_name))
PUSHGATEWAY_PASSWORD = Setting("PUSHGATEWAY_PASSWORD", "password for the Pushgateway", optional(parsers.secret))
PUSHGATEWAY_TOKEN = Setting("PUSHGATEWAY_TOKEN", "bearer token for the Pushgateway", optional(parsers.secret))
PUSHGATEWAY_CA_FILE = Setting(
    "PUSHGATEWAY_CA_FILE", "file of certificates to verify the Pushgateway with", optional(parsers.file)
)
GATEWAY = Setting(
    "GATEWAY",
    "pushgateway, or aggregation",
    parsers.gateway_kind,
    default="pushgateway",
    flag="--gateway",
    metavar="pushgateway|aggregation",
)
CONCURRENCY = Setting(
    "CONCURRENCY",
    "the most streams imported at the same time",
    parsers.integer(1, 256),
    default="64",
    flag="--concurrency",
    metavar="N",
)
RETRIES = Setting(
    "RETRIES",
    "how often to retry temporary failures",
    parsers.integer(0, 20),
    default="4",
    flag="--retries",
    metavar="N",
)
IMPORT_TIMEOUT = Setting(
    "IMPORT_TIMEOUT",
    "limit of one import request",
    parsers.seconds,
    default="1m",
    flag="--import-timeout",
    metavar="DURATION",
)
DEADLINE = Setting(
    "DEADLINE",
    "limit of imports and of watching rollouts",
    parsers.seconds,
    default="30m",
    flag="--deadline",
    metavar="DURATION",
)
WATCH_ROLLOUTS = Setting(
    "WATCH_ROLLOUTS",
    "wait for the rollouts of the workloads that follow the updated tags",
    parsers.boolean,
    default="false",
    flag="--watch-rollouts",
)
ROLLOUT_TIMEOUT = Setting(
    "ROLLOUT_TIMEOUT",
    "limit of the rollouts of one wave",
    parsers.seconds,
    default="10m",
    flag="--rollout-timeout",
    metavar="DURATION",
)
ROLLOUT_STABLE = Setting(
    "ROLLOUT_STABLE",
    "how long pods must be ready without a restart to be healthy",
    parsers.seconds,
    default="15s",
    flag="--rollout-stable",
    metavar="DURATION",
)
ON_BAD_ROLLOUT = Setting(
    "ON_BAD_ROLLOUT",
    "report, or rollback: roll back the images whose rollout is bad, and hold them",
    parsers.on_bad_rollout,
    default="report",
    flag="--on-bad-rollout",
    metavar="report|rollback",
)
CHECK_HORIZON = Setting(
    "CHECK_HORIZON",
    "ask which earlier images are still in the registry",
    parsers.boolean,
    default="false",
    flag="--check-horizon",
)
FREEZE = Setting(
    "FREEZE", "windows in which a scheduled run imports nothing", parsers.windows, flag="--freeze", metavar="WINDOWS"
)
TIME_ZONE = Setting(
    "TIME_ZONE",
    "time zone of FREEZE and the schedule; the CronJob's, else UTC",
    optional(parsers.time_zone),
    flag="--time-zone",
    metavar="ZONE",
)
IGNORE_FREEZE = Setting(
    "IGNORE_FREEZE", "run in spite of a freeze", parsers.boolean, default="false", flag="--ignore-freeze"
)
SHARDS = Setting("SHARDS", "how many pods of an Indexed Job share the streams", optional(parsers.integer(1, 1000)))
JOB_COMPLETION_INDEX = Setting(
    "JOB_COMPLETION_INDEX",
    "the index of this pod, from 0; set by Kubernetes",
    optional(parsers.integer(0, 999)),
)

MIN_AGE = Setting(
    "MIN_AGE",
    "import no image that was built, or first seen, less than this ago",
    optional(parsers.seconds),
    flag="--min-age",
    metavar="DURATION",
)
PROVEN_IN = Setting(
    "PROVEN_IN",
    "import only what has been in these tags first, comma-separated, such as packit-stg/*:stg",
    parsers.list_of(parsers.proof),
    flag="--proven-in",
    metavar="TAGS",
)
PROVEN_FOR = Setting(
    "PROVEN_FOR",
    "for how long PROVEN_IN asks for",
    parsers.seconds,
    default="1d",
    flag="--proven-for",
    metavar="DURATION",
)

REHEARSE = Setting(
    "REHEARSE",
    "import only images of which nodes could make a container that runs nothing",
    parsers.boolean,
    default="false",
    flag="--rehearse",
)
VERIFY = Setting(
    "VERIFY",
    "queries NAME: PROMQL, separated by semicolons, that must be true after healthy rollouts",
    parsers.queries,
    flag="--verify",
    metavar="QUERIES",
)
VERIFY_FOR = Setting(
    "VERIFY_FOR",
    "for how long the queries of VERIFY must be true",
    parsers.seconds,
    default="10m",
    flag="--verify-for",
    metavar="DURATION",
)
PROMETHEUS_URL = Setting(
    "PROMETHEUS_URL",
    "URL of the Prometheus that VERIFY asks",
    optional(parsers.prometheus_url),
    flag="--prometheus",
    metavar="URL",
)
PROMETHEUS_TOKEN = Setting("PROMETHEUS_TOKEN", "bearer token for the Prometheus", optional(parsers.secret))
PROMETHEUS_TOKEN_FILE = Setting(
    "PROMETHEUS_TOKEN_FILE", "file with the bearer token for the Prometheus", optional(parsers.file)
)
PROMETHEUS_CA_FILE = Setting(
    "PROMETHEUS_CA_FILE", "file of certificates to verify the Prometheus with", optional(parsers.file)
)

NOTIFY = Setting(
    "NOTIFY",
    "where a message of a run goes: URLs as apprise writes them, or of webhooks, separated by spaces",
    parsers.notify_urls,
)
NOTIFY_ON = Setting(
    "NOTIFY_ON",
    "which runs are worth a message: change, always or problem",
    parsers.notify_on,
    default="change",
    flag="--notify-on",
    metavar="change|always|problem",
)
NOTIFY_KEY = Setting("NOTIFY_KEY", "webhooks are signed with it (HMAC with SHA-256)", optional(parsers.secret))

# One namespace, by a name or by its parts.
PLACE = (DEPLOYMENT, NAMESPACE, SERVICE)
# Which tags a run imports, in which namespaces.
SELECTION = (*PLACE, NAMESPACE_SELECTOR, SELECTOR, EXCLUDE, SHARDS, JOB_COMPLETION_INDEX)
CLUSTER = (CONTEXT, KUBECONFIG, AS_USER, AS_GROUPS, HOST, TOKEN, CA_FILE, INSECURE_SKIP_TLS_VERIFY, CLIENT)
# Which cluster, namespace, user and tags are meant: none of their flags may be empty.
TARGET = (CONTEXT, KUBECONFIG, *PLACE, NAMESPACE_SELECTOR, SELECTOR, AS_USER, AS_GROUPS)
# What a command that only reads may be asked about at once.
EVERYWHERE = (ALL_NAMESPACES,)
METRICS = (
    PUSHGATEWAY_ADDRESS,
    PUSHGATEWAY_USERNAME,
    PUSHGATEWAY_PASSWORD,
    PUSHGATEWAY_TOKEN,
    PUSHGATEWAY_CA_FILE,
    GATEWAY,
)
MESSAGES = (NOTIFY, NOTIFY_ON, NOTIFY_KEY)
REQUESTS = (CONCURRENCY, RETRIES, IMPORT_TIMEOUT, DEADLINE)
ROLLOUTS = (WATCH_ROLLOUTS, ROLLOUT_TIMEOUT, ROLLOUT_STABLE, ON_BAD_ROLLOUT, CHECK_HORIZON)
PROMETHEUS = (PROMETHEUS_URL, PROMETHEUS_TOKEN, PROMETHEUS_TOKEN_FILE, PROMETHEUS_CA_FILE)
GATES = (MIN_AGE, PROVEN_IN, PROVEN_FOR, REHEARSE)
VERIFICATION = (VERIFY, VERIFY_FOR, *PROMETHEUS)
SCHEDULE = (FREEZE, TIME_ZONE, IGNORE_FREEZE)

# Under these headings, in this order, `--help` and the documentation list the settings.
SECTIONS: dict[str, tuple[Setting[object], ...]] = {
    "tags": (*SELECTION, *EVERYWHERE),
    "cluster": CLUSTER,
    "metrics": METRICS,
    "messages": MESSAGES,
    "requests": REQUESTS,
    "gates": (*GATES, *VERIFICATION),
    "rollouts": ROLLOUTS,
    "schedule": SCHEDULE,
}
SETTINGS: tuple[Setting[object], ...] = tuple(setting for section in SECTIONS.values() for setting in section)
