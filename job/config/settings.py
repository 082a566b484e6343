"""What a run is told: by flags, else by environment variables, else by defaults.

Every value is checked before anything is touched, and all errors are told at once, each by the name that was used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from job.config.flags import SETTINGS
from job.domain.addresses import Address, split_login
from job.domain.durations import duration
from job.domain.errors import UsageError
from job.domain.model import Client, GatewayKind, OnBadRollout, Shard
from job.domain.schedule import Window, parse_windows, parse_zone
from job.domain.secrets import SECRETS
from job.domain.selection import Pattern, Wanted

T = TypeVar("T")
U = TypeVar("U")


# Of the four processes that CLIENT=oc may have at once, one is left for the lock: an import may take its whole minute.
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
class Settings:
    """All settings of a run, checked. Durations are in seconds."""

    namespaces: tuple[str, ...] = ()
    namespace_selector: str | None = None
    wanted: Wanted = field(default_factory=Wanted)
    selector: str | None = None
    narrowed: bool = False
    host: str | None = None
    token: str | None = field(default=None, repr=False)
    verify_tls: bool = True
    client: Client = Client.API
    gateway: GatewaySettings | None = None
    concurrency: int = 32
    retries: int = 4
    import_timeout: float = 60.0
    deadline: float = 1800.0
    watch_rollouts: bool = False
    rollout_timeout: float = 600.0
    on_bad_rollout: OnBadRollout = OnBadRollout.REPORT
    check_horizon: bool = False
    freeze: tuple[Window, ...] = ()
    time_zone: str | None = None
    ignore_freeze: bool = False


_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
# Characters of stream and tag names (an ImageStream's name may hold dots and underscores) and of globs.
_GLOB = re.compile(r"[\w.*?\[\]!:-]+", re.ASCII)
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _integer(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


E = TypeVar("E", bound=StrEnum)


def _one_of(choices: type[E]) -> Callable[[str], E]:
    def parse(text: str) -> E:
        if text not in tuple(choices):
            raise ValueError(f"{text!r} is not {' or '.join(choices)}")
        return choices(text)

    return parse


def _matching(expression: re.Pattern[str], what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not expression.fullmatch(text):
            raise ValueError(f"{text!r} is not {what}")
        return text

    return parse


def _secret(text: str) -> str:
    # The value is never repeated.
    SECRETS.add(text)
    if not re.fullmatch(r"[\x20-\x7e]+", text):
        raise ValueError("holds a character that it cannot have, such as a line break")
    return text


def _zone(text: str) -> str:
    parse_zone(text)
    return text


def _file(text: str) -> str:
    try:
        found = Path(text).is_file()
    except OSError:
        found = False
    if not found:
        raise ValueError("names no file that is there; it takes the path of a file")
    return text


def _glob(text: str) -> Pattern:
    if not _GLOB.fullmatch(text):
        raise ValueError(f"{text!r} is not STREAM or STREAM:TAG (globs with * ? [ ] are allowed)")
    return Pattern.parse(text)


def _list_of(item: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def parse(text: str) -> tuple[T, ...]:
        parts = [part for each in text.split(",") if (part := each.strip())]
        if not parts:
            raise ValueError(f"{text!r} names nothing")
        return tuple(dict.fromkeys(item(part) for part in parts))

    return parse


def _selector(text: str) -> str:
    if not re.fullmatch(r"[\w./,=!() -]+", text, re.ASCII):
        raise ValueError(f"{text!r} is not a label selector such as app=worker,tier!=db")
    return text


def _api_address(text: str) -> str:
    return _http_url(text, "https").url


def _http_url(text: str, scheme: str) -> Address:
    """A URL without login and trailing slash, and the login it had.

    Raises:
        ValueError: it is not a URL; the message never repeats a login.
    """
    address = split_login(text if "://" in text else f"{scheme}://{text}")
    try:
        parts = urlsplit(address.url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or "@" in address.url or not _VISIBLE_ASCII.fullmatch(address.url):
        # What stands before an @ is treated as a login even where the rest makes no sense.
        login = text.rpartition("@")[0]
        SECRETS.add(login, login.rpartition(":")[2])
        raise ValueError(f"not a URL such as {scheme}://host:port")
    return replace(address, url=urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")))


class _Reader:
    """Takes settings from flags and environment, and collects what is wrong with them."""

    def __init__(self, flags: Mapping[str, str | None], environment: Mapping[str, str]) -> None:
        self.flags = flags
        self.environment = environment
        self.errors: list[str] = []
        self.by_name = {setting.name: setting for setting in SETTINGS}

    def given_by_flag(self, name: str) -> bool:
        return self.flags.get(name) is not None

    def called(self, name: str) -> str:
        """The name by which the user gave it, for messages."""
        flag = self.by_name[name].flag
        return flag if flag and self.given_by_flag(name) else name

    def read(self, name: str, parse: Callable[[str], T], otherwise: U) -> T | U:
        """The parsed value; `otherwise` where it was not given, or wrong (which is then told)."""
        flag = self.flags.get(name)
        given = self.environment.get(name, "").strip() if flag is None else flag.strip()
        text = given or self.by_name[name].default
        if not text:
            return otherwise
        try:
            return parse(text)
        except ValueError as error:
            self.errors.append(f"{self.called(name)}: {error}")
            return otherwise


def read_settings(
    flags: Mapping[str, str | None],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: str | None = None,
) -> Settings:
    """Check all that a run was told.

    Args:
        flags: the values of flags, by the name of their environment variable.
        arguments: the STREAM[:TAG] arguments.
        environment: the environment variables.
        output: the value of `--output`, only checked.

    Raises:
        UsageError: with every error that was found.
    """
    reader = _Reader(flags, environment)
    if output not in (None, "table", "json"):
        reader.errors.append(f"--output: {output!r} is not table or json")
    settings = _read(reader, arguments)
    if reader.errors:
        raise UsageError(reader.errors)
    return settings


def as_far_as_known(environment: Mapping[str, str]) -> Settings:
    """The settings of another one's run, by what is known of its environment; what is wrong in it does not count."""
    return _read(_Reader({}, environment), ())


def _read(reader: _Reader, arguments: Sequence[str]) -> Settings:
    read = reader.read
    deployment = read("DEPLOYMENT", _matching(_TAG, "a tag such as prod"), None)
    service = read("SERVICE", _matching(_NAMESPACE, "a name such as packit"), None)
    namespaces: tuple[str, ...] = read("NAMESPACE", _list_of(_matching(_NAMESPACE, "a namespace")), ())
    namespace_selector = read("NAMESPACE_SELECTOR", _selector, None)
    if namespaces and namespace_selector:
        reader.errors.append(f"{reader.called('NAMESPACE_SELECTOR')}: set together with NAMESPACE; choose one of them")
    if not namespaces and not namespace_selector and service and deployment:
        namespaces = _composed(reader, f"{service}-{deployment}")
    patterns = []
    for argument in arguments:
        try:
            patterns.append(_glob(argument))
        except ValueError as error:
            reader.errors.append(str(error))
    host, token = read("HOST", _api_address, None), read("TOKEN", _secret, None)
    for present, name, missing in ((host, "HOST", "TOKEN"), (token, "TOKEN", "HOST")):
        if present and not reader.environment.get(missing, "").strip():
            reader.errors.append(
                f"{name}: set without {missing}; set both, or neither to use the pod's service account or a kubeconfig"
            )
    client = read("CLIENT", _one_of(Client), Client.API)
    on_bad_rollout = read("ON_BAD_ROLLOUT", _one_of(OnBadRollout), OnBadRollout.REPORT)
    return Settings(
        namespaces=namespaces,
        namespace_selector=namespace_selector,
        wanted=Wanted(deployment, tuple(patterns), read("EXCLUDE", _list_of(_glob), ()), _shard(reader)),
        selector=read("SELECTOR", _selector, None),
        narrowed=bool(patterns) or reader.given_by_flag("SELECTOR") or reader.given_by_flag("EXCLUDE"),
        host=host,
        token=token,
        verify_tls=not read("INSECURE_SKIP_TLS_VERIFY", _boolean, False),
        client=client,
        gateway=_gateway(reader),
        concurrency=min(read("CONCURRENCY", _integer(1, 256), 32), OC_CONCURRENCY if client is Client.OC else 256),
        retries=read("RETRIES", _integer(0, 20), 4),
        import_timeout=read("IMPORT_TIMEOUT", duration, 60.0),
        deadline=read("DEADLINE", duration, 1800.0),
        watch_rollouts=read("WATCH_ROLLOUTS", _boolean, False) or on_bad_rollout is OnBadRollout.ROLLBACK,
        rollout_timeout=read("ROLLOUT_TIMEOUT", duration, 600.0),
        on_bad_rollout=on_bad_rollout,
        check_horizon=read("CHECK_HORIZON", _boolean, False),
        freeze=read("FREEZE", parse_windows, ()),
        time_zone=read("TIME_ZONE", _zone, None),
        ignore_freeze=read("IGNORE_FREEZE", _boolean, False),
    )


def _composed(reader: _Reader, namespace: str) -> tuple[str, ...]:
    if _NAMESPACE.fullmatch(namespace):
        return (namespace,)
    reader.errors.append(f"SERVICE and DEPLOYMENT: {namespace!r} is not a namespace; set NAMESPACE")
    return ()


def _shard(reader: _Reader) -> Shard | None:
    count = reader.read("SHARDS", _integer(1, 1000), None)
    index = reader.read("JOB_COMPLETION_INDEX", _integer(0, 999), None)
    if count is None:
        if index is not None:
            reader.errors.append("JOB_COMPLETION_INDEX: set without SHARDS, so each pod would do all of the work")
        return None
    if index is None or index >= count:
        reader.errors.append(
            f"SHARDS: JOB_COMPLETION_INDEX must be a number below {count}; it is set by an Indexed Job"
        )
        return None
    return Shard(index, count)


def _gateway(reader: _Reader) -> GatewaySettings | None:
    kind = reader.read("GATEWAY", _one_of(GatewayKind), GatewayKind.PUSHGATEWAY)
    address = reader.read("PUSHGATEWAY_ADDRESS", lambda value: _http_url(value, "http"), None)
    username = reader.read("PUSHGATEWAY_USERNAME", _secret, None)
    password = reader.read("PUSHGATEWAY_PASSWORD", _secret, None)
    token = reader.read("PUSHGATEWAY_TOKEN", _secret, None)
    ca_file = reader.read("PUSHGATEWAY_CA_FILE", _file, None)
    if address is None:
        return None
    username, password = username or address.username, password or address.password
    SECRETS.add_login(username, password)
    if password and not username:
        reader.errors.append("PUSHGATEWAY_PASSWORD: set without PUSHGATEWAY_USERNAME")
    if token and username:
        reader.errors.append("PUSHGATEWAY_TOKEN: set together with a user name; choose one of them")
    return GatewaySettings(address.url, kind is GatewayKind.AGGREGATION, username, password, token, ca_file)
