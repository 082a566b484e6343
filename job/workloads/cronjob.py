"""The CronJob that runs import-images: found by its label, read as far as commands need it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from job.cluster import CRON_JOBS
from job.cluster.unstructured import object_in, objects_in
from job.config.flags import DEPLOYMENT, SETTINGS, SHARDS
from job.config.settings import Settings, as_far_as_known
from job.domain.durations import as_setting
from job.domain.records import dataclass, field
from job.domain.shell import command
from job.domain.text import clean
from job.workloads.kinds import pod_spec_of

NAME = "import-images"
LABEL = "app.kubernetes.io/name"


@dataclass(frozen=True, slots=True)
class CronJob:
    """A CronJob of ours.

    Attributes:
        spec: its spec, as the API writes it.
        container: the name of the container that runs the program.
        image: that container's.
        settings: by its environment and arguments, as far as they are written there.
        account: the service account of its pods.
        problems: what a run would refuse of these, as it would say it.
        shards: SHARDS, as far as it is written there.
        is_deployment_known: whether `deployment` is what its runs have; a ConfigMap or a Secret may hold it.
    """

    namespace: str
    name: str
    spec: Mapping[str, Any] = field(repr=False)
    container: str
    image: str
    settings: Settings
    account: str
    problems: tuple[str, ...] = ()
    shards: int | None = None
    is_deployment_known: bool = True

    def __str__(self) -> str:
        return f"CronJob {self.name}"

    @property
    def user(self) -> str:
        """The API's name of its account."""
        return f"system:serviceaccount:{self.namespace}:{self.account}"

    @property
    def deployment(self) -> str | None:
        """Whose tags it imports; None: every tag, or not known."""
        return self.settings.wanted.deployment

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Where it imports; empty with NAMESPACE_SELECTOR."""
        return self.settings.namespaces or (() if self.settings.namespace_selector else (self.namespace,))

    def imports(self, namespace: str, deployment: str | None = None) -> bool:
        """Whether it imports that deployment's tags (None: any) in that namespace; what labels choose may be any."""
        is_there = namespace in self.namespaces or not self.namespaces
        return is_there and (self.deployment is None or deployment in (None, self.deployment))


def planning(cron_job: CronJob) -> str | None:
    """The command that shows what the gates of a CronJob say of new images; None where it has none.

    A plan by hand has the settings of the user who asks. Without those of the CronJob it shows an import that the
    CronJob would hold back.
    """
    policy, labels = cron_job.settings.gates, cron_job.settings.namespace_selector
    if not policy.gates:
        return None
    words = ["--namespace-selector", labels] if labels else ["-n", ",".join(cron_job.namespaces)]
    words += ["--deployment", cron_job.deployment] if cron_job.deployment else []
    words += ["--min-age", as_setting(policy.min_age)] if policy.min_age else []
    if policy.proven_in:
        words += ["--proven-in", ",".join(map(str, policy.proven_in)), "--proven-for", as_setting(policy.proven_for)]
    return command("import-images", "plan", *words, *(["--rehearse"] if policy.rehearse else []))


def cron_job_from(data: Mapping[str, Any]) -> CronJob | None:
    """A CronJob of ours from its JSON, known by its label, its name or its container's; None for another one."""
    metadata, pod = object_in(data, "metadata"), pod_spec_of(CRON_JOBS, data)
    containers = objects_in(pod, "containers")
    own = next((candidate for candidate in containers if candidate.get("name") == NAME), None)
    labelled = object_in(metadata, "labels").get(LABEL) == NAME
    if not (own or labelled or metadata.get("name") == NAME):
        return None
    container = own or (containers[0] if containers else {})
    # Of several with one name the last counts, and what Kubernetes fills in is not known here.
    variables = {str(variable.get("name")): variable for variable in objects_in(container, "env")}
    environment = {
        name: value for name, variable in variables.items() if isinstance(value := variable.get("value"), str)
    }
    flags = _flags([str(word) for part in ("command", "args") for word in container.get(part) or ()])
    return CronJob(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        spec=object_in(data, "spec"),
        container=str(container.get("name", "")),
        image=str(container.get("image") or ""),
        settings=as_far_as_known(environment, flags),
        account=str(pod.get("serviceAccountName") or "default"),
        problems=tuple(_problems(environment, flags)),
        shards=_shards(environment),
        is_deployment_known=_is_deployment_known(container, variables, flags),
    )


def _flags(words: Sequence[str]) -> dict[str, str | None]:
    """The settings that a container's command line gives by flags, by the name of their environment variable."""
    by_flag = {flag: setting for setting in SETTINGS for flag in (setting.short, setting.flag) if flag}
    flags: dict[str, str | None] = {}
    remaining = iter(words)
    for word in remaining:
        flag, equals, value = word.partition("=")
        if setting := by_flag.get(flag):
            flags[setting.name] = "true" if setting.metavar is None else value if equals else next(remaining, "")
    return flags


def _shards(environment: Mapping[str, str]) -> int | None:
    try:
        return SHARDS.parse(environment.get(SHARDS.name, "").strip())
    except ValueError:
        return None


def _is_deployment_known(
    container: Mapping[str, Any], variables: Mapping[str, Mapping[str, Any]], flags: Mapping[str, str | None]
) -> bool:
    variable = variables.get(DEPLOYMENT.name)
    if DEPLOYMENT.name in flags:
        return "$(" not in (flags[DEPLOYMENT.name] or "")
    if variable is None:
        return not container.get("envFrom")
    return "valueFrom" not in variable and "$(" not in str(variable.get("value"))


def _problems(environment: Mapping[str, str], flags: Mapping[str, str | None]) -> Iterator[str]:
    """The settings that cannot be read, each by itself, since others may come from a Secret."""
    for setting in SETTINGS:
        # A flag beats the environment.
        given = flags.get(setting.name)
        text = (environment.get(setting.name, "") if given is None else given).strip()
        # What Kubernetes fills in is not known here, and files are those of the pod.
        if not text or "$(" in text or setting.name.endswith("_FILE"):
            continue
        try:
            setting.parse(text)
        except ValueError as error:
            yield clean(f"{setting.name if given is None else setting.flag}: {error}")
