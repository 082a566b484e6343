"""The settings of a command: from flags, else from environment variables, else the defaults.

Every value is checked before anything is touched. All errors are reported at once, each with the name that was used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from job.config import flags as table
from job.config import parsers
from job.config.formats import Format
from job.config.setting import Setting
from job.domain.errors import UsageError
from job.domain.gates import Policy
from job.domain.model import Client, GatewayKind, NotifyOn, OnBadRollout
from job.domain.records import dataclass, field
from job.domain.scope import Shard
from job.domain.secrets import SECRETS
from job.domain.selection import Pattern, Wanted
from job.domain.suggestions import did_you_mean

if TYPE_CHECKING:
    from job.domain.schedule import Window
    from job.domain.verification import Query

T = TypeVar("T")

# One of the four processes that CLIENT=oc may run at once is left for the lock, since an import may take a minute.
OC_CONCURRENCY = 3


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where metrics go; `url` never carries a login."""

    url: str
    aggregation: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Where a run's message goes, and which runs are worth one.

    Attributes:
        urls: of services, as apprise writes them, or of webhooks; each holds its login.
        notify_on: which runs are worth a message.
        key: webhooks are signed with it.
    """

    urls: tuple[str, ...] = field(repr=False)
    notify_on: NotifyOn = NotifyOn.CHANGE
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """Queries that must stay true after rollouts, and the Prometheus that answers them.

    Attributes:
        queries: what is asked.
        seconds: for how long each must be true.
        url: of the Prometheus, without `/api/v1`; its parameters are sent along.
        token: bearer token.
        token_file: file with the token, read for each request.
        ca_file: file of certificates to verify it with.
    """

    queries: tuple[Query, ...]
    seconds: float
    url: str
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a run, checked. Durations are in seconds."""

    namespaces: tuple[str, ...] = ()
    namespace_selector: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    selector: str | None = None
    narrowed: bool = False
    all_namespaces: bool = False
    context: str | None = None
    kubeconfig: str | None = None
    as_user: str | None = None
    as_groups: tuple[str, ...] = ()
    ca_file: str | None = None
    host: str | None = None
    token: str | None = field(default=None, repr=False)
    verify_tls: bool = True
    client: Client = table.CLIENT.fallback
    gateway: GatewaySettings | None = None
    notify: NotifySettings | None = None
    concurrency: int = table.CONCURRENCY.fallback
    retries: int = table.RETRIES.fallback
    import_timeout: float = table.IMPORT_TIMEOUT.fallback
    deadline: float = table.DEADLINE.fallback
    watch_rollouts: bool = table.WATCH_ROLLOUTS.fallback
    rollout_timeout: float = table.ROLLOUT_TIMEOUT.fallback
    rollout_stable: float = table.ROLLOUT_STABLE.fallback
    on_bad_rollout: OnBadRollout = table.ON_BAD_ROLLOUT.fallback
    check_horizon: bool = table.CHECK_HORIZON.fallback
    gates: Policy = field(default_factory=Policy)
    verification: VerifySettings | None = None
    freeze: tuple[Window, ...] = ()
    time_zone: str | None = None
    ignore_freeze: bool = table.IGNORE_FREEZE.fallback


class _Reader:
    """Takes settings from flags and environment, and collects the errors in them.

    The environment does not count for what a given flag answers in another way: `--namespace-selector` beats NAMESPACE.
    """

    def __init__(self, flags: Mapping[str, str | None], environment: Mapping[str, str]) -> None:
        self.errors: list[str] = []
        self._flags = flags
        overridden = {name for setting in table.SETTINGS if self.has_flag(setting) for name in setting.overrides}
        self._environment = {name: text for name, text in environment.items() if name not in overridden}

    def has_flag(self, setting: Setting[object]) -> bool:
        """Whether its flag was given."""
        return self._flags.get(setting.name) is not None

    def name_used(self, setting: Setting[object]) -> str:
        """The name by which the user gave it, for messages."""
        return setting.flag if setting.flag and self.has_flag(setting) else setting.name

    def text(self, setting: Setting[object]) -> str:
        """Its value as written, empty where there is none."""
        flag = self._flags.get(setting.name)
        if flag is None:
            flag = self._environment.get(setting.name, "") if setting.in_environment else ""
        return flag.strip()

    def read(self, setting: Setting[T]) -> T:
        """The parsed value; the default where none is given, or where it is wrong, which adds an error."""
        text = self.text(setting)
        if not text:
            if setting in table.TARGET and self.has_flag(setting):
                # Most likely an unset variable of a script, which means neither the current context nor every tag.
                self.error(setting, "is empty")
            return setting.fallback
        try:
            return setting.parse(text)
        except ValueError as error:
            self.error(setting, str(error))
            return setting.fallback

    def error(self, setting: Setting[object], problem: str) -> None:
        """Add what is wrong with a setting."""
        self.errors.append(f"{self.name_used(setting)}: {problem}")


def read_settings(
    flags: Mapping[str, str | None],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: str | None = None,
    formats: Collection[str] = tuple(Format),
) -> Settings:
    """The checked settings of a command.

    Args:
        flags: the values of flags, by the name of their environment variable.
        arguments: the STREAM[:TAG] arguments.
        environment: the environment variables that apply to the command.
        output: the value of `--output`, only checked.
        formats: what that may be.

    Raises:
        UsageError: with every error that was found.
    """
    reader = _Reader(flags, environment)
    if output is not None and output not in formats:
        reader.errors.append(f"--output: {output!r} is not one of {', '.join(formats)}{did_you_mean(output, formats)}")
    settings = _read(reader, arguments)
    if reader.errors:
        raise UsageError(reader.errors)
    return settings


def as_far_as_known(environment: Mapping[str, str], flags: Mapping[str, str | None]) -> Settings:
    """The settings of another run, from what is known of its environment and flags; wrong values count as not given."""
    return _read(_Reader(flags, environment), ())


def _read(reader: _Reader, arguments: Sequence[str]) -> Settings:
    read = reader.read
    deployment = read(table.DEPLOYMENT)
    namespaces, namespace_selector = _namespaces(reader, deployment)
    patterns = _patterns(reader, arguments)
    host, token = _login(reader)
    as_user, as_groups = read(table.AS_USER), read(table.AS_GROUPS)
    if as_groups and not as_user:
        reader.error(table.AS_GROUPS, "given without --as; the API impersonates groups only along with a user")
    client = read(table.CLIENT)
    on_bad_rollout = read(table.ON_BAD_ROLLOUT)
    verification = _verification(reader)
    narrowed = bool(patterns) or reader.has_flag(table.SELECTOR) or reader.has_flag(table.EXCLUDE)
    return Settings(
        namespaces=namespaces,
        namespace_selector=namespace_selector,
        wanted=Wanted(deployment, patterns, read(table.EXCLUDE), _shard(reader)),
        selector=read(table.SELECTOR),
        all_namespaces=read(table.ALL_NAMESPACES),
        context=read(table.CONTEXT),
        kubeconfig=read(table.KUBECONFIG),
        as_user=as_user,
        as_groups=as_groups,
        ca_file=read(table.CA_FILE),
        narrowed=narrowed,
        host=host,
        token=token,
        verify_tls=not read(table.INSECURE_SKIP_TLS_VERIFY),
        client=client,
        gateway=_gateway(reader),
        notify=_notify(reader),
        concurrency=min(read(table.CONCURRENCY), OC_CONCURRENCY if client is Client.OC else 256),
        retries=read(table.RETRIES),
        import_timeout=read(table.IMPORT_TIMEOUT),
        deadline=read(table.DEADLINE),
        watch_rollouts=read(table.WATCH_ROLLOUTS)
        or on_bad_rollout is OnBadRollout.ROLLBACK
        or (verification is not None),
        rollout_timeout=read(table.ROLLOUT_TIMEOUT),
        rollout_stable=read(table.ROLLOUT_STABLE),
        on_bad_rollout=on_bad_rollout,
        check_horizon=read(table.CHECK_HORIZON),
        gates=_gates(reader),
        verification=verification,
        freeze=read(table.FREEZE),
        time_zone=read(table.TIME_ZONE),
        ignore_freeze=read(table.IGNORE_FREEZE),
    )


def _namespaces(reader: _Reader, deployment: str | None) -> tuple[tuple[str, ...], str | None]:
    """The names of the namespaces, or the labels that they have."""
    names, labels = reader.read(table.NAMESPACE), reader.read(table.NAMESPACE_SELECTOR)
    service = reader.read(table.SERVICE)
    if names and labels:
        reader.error(table.NAMESPACE_SELECTOR, "set together with NAMESPACE; choose one of them")
    if names or labels or not service or not deployment:
        return names, labels
    name = f"{service}-{deployment}"
    try:
        return (parsers.namespace(name),), None
    except ValueError as error:
        reader.errors.append(f"SERVICE and DEPLOYMENT: {error}; set NAMESPACE")
        return (), None


def _patterns(reader: _Reader, arguments: Sequence[str]) -> tuple[Pattern, ...]:
    patterns = []
    for argument in arguments:
        try:
            patterns.append(parsers.glob(argument))
        except ValueError as error:
            reader.errors.append(str(error))
    return tuple(patterns)


def _login(reader: _Reader) -> tuple[str | None, str | None]:
    """HOST and TOKEN, which are set together."""
    host, token = reader.read(table.HOST), reader.read(table.TOKEN)
    for value, setting, other in ((host, table.HOST, table.TOKEN), (token, table.TOKEN, table.HOST)):
        if value and not reader.text(other):
            advice = "set both, or neither to use the pod's service account or a kubeconfig"
            reader.error(setting, f"set without {other.name}; {advice}")
    return host, token


def _shard(reader: _Reader) -> Shard | None:
    count, index = reader.read(table.SHARDS), reader.read(table.JOB_COMPLETION_INDEX)
    if count is None:
        if index is not None:
            reader.error(table.JOB_COMPLETION_INDEX, "set without SHARDS, so each pod would do all of the work")
        return None
    if index is None or index >= count:
        problem = f"JOB_COMPLETION_INDEX must be a number below {count}; it is set by an Indexed Job"
        reader.error(table.SHARDS, problem)
        return None
    return Shard(index, count)


def _gateway(reader: _Reader) -> GatewaySettings | None:
    kind = reader.read(table.GATEWAY)
    address = reader.read(table.PUSHGATEWAY_ADDRESS)
    username = reader.read(table.PUSHGATEWAY_USERNAME)
    password = reader.read(table.PUSHGATEWAY_PASSWORD)
    token = reader.read(table.PUSHGATEWAY_TOKEN)
    ca_file = reader.read(table.PUSHGATEWAY_CA_FILE)
    if address is None:
        return None
    if address.username and reader.has_flag(table.PUSHGATEWAY_ADDRESS):
        # The flag carries a login of its own, which beats that of the environment.
        username = password = token = None
    username, password = username or address.username, password or address.password
    SECRETS.add_login(username, password)
    if password and not username:
        reader.error(table.PUSHGATEWAY_PASSWORD, "set without PUSHGATEWAY_USERNAME")
    if token and username:
        reader.error(table.PUSHGATEWAY_TOKEN, "set together with a user name; choose one of them")
    return GatewaySettings(address.url, kind is GatewayKind.AGGREGATION, username, password, token, ca_file)


def _notify(reader: _Reader) -> NotifySettings | None:
    urls, key = reader.read(table.NOTIFY), reader.read(table.NOTIFY_KEY)
    return NotifySettings(urls, reader.read(table.NOTIFY_ON), key) if urls else None


def _gates(reader: _Reader) -> Policy:
    read = reader.read
    return Policy(read(table.MIN_AGE) or 0.0, read(table.PROVEN_IN), read(table.PROVEN_FOR), read(table.REHEARSE))


def _verification(reader: _Reader) -> VerifySettings | None:
    queries, seconds, url = reader.read(table.VERIFY), reader.read(table.VERIFY_FOR), reader.read(table.PROMETHEUS_URL)
    token, token_file = reader.read(table.PROMETHEUS_TOKEN), reader.read(table.PROMETHEUS_TOKEN_FILE)
    ca_file = reader.read(table.PROMETHEUS_CA_FILE)
    if token and token_file:
        reader.error(table.PROMETHEUS_TOKEN_FILE, "set together with PROMETHEUS_TOKEN; choose one of them")
    if not queries:
        return None
    if url is None and not reader.text(table.PROMETHEUS_URL):
        reader.error(table.VERIFY, "set without PROMETHEUS_URL, which says whom to ask")
    return VerifySettings(queries, seconds, url, token, token_file, ca_file) if url else None
