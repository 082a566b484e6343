"""What the values of settings may be: from the text of a flag or variable to a checked value.

A parser raises ValueError with what is wrong. What is slow to load is imported where it is used, since the table of
settings names these functions and `--help` reads that table.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from enum import StrEnum

    from job.domain.addresses import Address
    from job.domain.gates import Proof
    from job.domain.model import Client, GatewayKind, NotifyOn, OnBadRollout
    from job.domain.schedule import Window
    from job.domain.selection import Pattern
    from job.domain.verification import Query

    E = TypeVar("E", bound=StrEnum)

T = TypeVar("T")

_NAMESPACE = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_TAG = r"(?a)\w[\w.-]{0,127}"
# Characters of stream and tag names (an ImageStream's name may hold dots and underscores) and of globs.
_GLOB = r"(?a)[\w.*?\[\]!:-]+"
_VISIBLE_ASCII = r"[\x21-\x7e]+"
_TRUE, _FALSE = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


def optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """The parser of a setting without a default: None where the text is empty."""

    def parse_if_given(text: str) -> T | None:
        return parse(text) if text else None

    return parse_if_given


def list_of(item: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """The parser of a comma-separated list; repetitions are dropped."""

    def parse(text: str) -> tuple[T, ...]:
        parts = [part for item in text.split(",") if (part := item.strip())]
        if text and not parts:
            raise ValueError(f"{text!r} names nothing")
        return tuple(dict.fromkeys(item(part) for part in parts))

    return parse


def boolean(text: str) -> bool:
    """True or false, as people write it."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def integer(least: int, most: int) -> Callable[[str], int]:
    """The parser of a whole number between two bounds, both included."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _one_of(choices: type[E], text: str) -> E:
    if text not in tuple(choices):
        raise ValueError(f"{text!r} is not {' or '.join(choices)}")
    return choices(text)


def client(text: str) -> Client:
    """How the cluster is reached."""
    from job.domain.model import Client

    return _one_of(Client, text)


def gateway_kind(text: str) -> GatewayKind:
    """What receives the metrics."""
    from job.domain.model import GatewayKind

    return _one_of(GatewayKind, text)


def on_bad_rollout(text: str) -> OnBadRollout:
    """What a run does about a bad rollout."""
    from job.domain.model import OnBadRollout

    return _one_of(OnBadRollout, text)


def notify_on(text: str) -> NotifyOn:
    """Which runs are worth a message."""
    from job.domain.model import NotifyOn

    return _one_of(NotifyOn, text)


def notify_urls(text: str) -> tuple[str, ...]:
    """Addresses of services, separated by spaces; an error message names its place and no part of it."""
    from job.domain.secrets import SECRETS

    urls = tuple(text.split())
    for number, url in enumerate(urls, 1):
        SECRETS.add(url)
        if not re.match(r"[a-z][a-z0-9+.-]*://", url, re.IGNORECASE):
            raise ValueError(f"address {number} does not begin with a scheme such as slack:// or https://")
        if re.search(r"[?&]verify=(no|false|0)", url, re.IGNORECASE):
            raise ValueError(f"address {number} switches TLS verification off, which is not supported")
    return urls


def namespace(text: str) -> str:
    """The name of a namespace."""
    if not re.fullmatch(_NAMESPACE, text):
        raise ValueError(f"{text!r} is not a namespace")
    return text


def word(text: str) -> str:
    """A name that a kubeconfig or the API gives something: on one line, and not empty."""
    if not text.isprintable():
        raise ValueError("holds a character that it cannot have, such as a line break")
    return text


def service(text: str) -> str:
    """The first part of a namespace's name."""
    if not re.fullmatch(_NAMESPACE, text):
        raise ValueError(f"{text!r} is not a name such as packit")
    return text


def tag(text: str) -> str:
    """The name of a tag."""
    if not re.fullmatch(_TAG, text):
        raise ValueError(f"{text!r} is not a tag such as prod")
    return text


def glob(text: str) -> Pattern:
    """`STREAM` or `STREAM:TAG`, each a glob."""
    from job.domain.selection import Pattern

    if not re.fullmatch(_GLOB, text):
        raise ValueError(f"{text!r} is not STREAM or STREAM:TAG (globs with * ? [ ] are allowed)")
    return Pattern.parse(text)


def proof(text: str) -> Proof:
    """`NAMESPACE/STREAM:TAG`, stream and tag each a glob."""
    from job.domain.gates import Proof

    return Proof.parse(text)


def queries(text: str) -> tuple[Query, ...]:
    """`NAME: PROMQL; NAME: PROMQL`."""
    from job.domain.verification import parse_queries

    return parse_queries(text)


def label_selector(text: str) -> str:
    """A label selector, which the API checks further."""
    if not re.fullmatch(r"[\w./,=!() -]+", text, re.ASCII):
        raise ValueError(f"{text!r} is not a label selector such as app=worker,tier!=db")
    return text


def secret(text: str) -> str:
    """A password or token, registered as a secret; no message repeats it."""
    from job.domain.secrets import SECRETS

    SECRETS.add(text)
    return login_name(text)


def login_name(text: str) -> str:
    """A user name. No message repeats it, in case it is a password in the wrong place."""
    if not re.fullmatch(r"[\x20-\x7e]+", text):
        raise ValueError("holds a character that it cannot have, such as a line break")
    return text


def file(text: str) -> str:
    """The path of a file that exists."""
    import os.path

    if "\0" in text or not os.path.isfile(text):  # noqa: PTH113 - pathlib is slow to load
        raise ValueError(f"{text!r} is not the path of a file that exists")
    return text


def seconds(text: str) -> float:
    """A duration such as `90s`, `10m`, `3d`."""
    from job.domain.durations import duration

    return duration(text)


def windows(text: str) -> tuple[Window, ...]:
    """Freeze windows: `CRON DURATION`, separated by semicolons."""
    if not text:
        return ()
    from job.domain.schedule import parse_windows

    return parse_windows(text)


def time_zone(text: str) -> str:
    """The name of a time zone."""
    from job.domain.schedule import parse_zone

    parse_zone(text)
    return text


def api_address(text: str) -> str:
    """The URL of the API; https where no scheme is given."""
    return _address(text, "https").url


def gateway_address(text: str) -> Address:
    """The URL of a Pushgateway, which may carry a login; http where no scheme is given."""
    return _address(text, "http")


def prometheus_url(text: str) -> str:
    """The URL of a Prometheus, which may have parameters (`?namespace=NAME`); https where no scheme is given."""
    url, mark, parameters = text.partition("?")
    address = _address(url, "https")
    if address.username:
        raise ValueError("holds a login; set PROMETHEUS_TOKEN instead")
    if not re.fullmatch(r"[\w.~%&=+-]*", parameters, re.ASCII):
        raise ValueError("not a URL such as https://host:port?namespace=NAME")
    return address.url + mark + parameters


def _address(text: str, scheme: str) -> Address:
    """A URL without login and trailing slash, and the login it had; the message of an error never repeats a login."""
    from urllib.parse import urlsplit, urlunsplit

    from job.domain.addresses import split_login
    from job.domain.records import replace
    from job.domain.secrets import SECRETS

    address = split_login(text if "://" in text else f"{scheme}://{text}")
    try:
        parts = urlsplit(address.url)
        # With a slash left out, the scheme would be read as the user name of a login.
        mistyped = re.match(r"https?:/(?!/)", text, re.IGNORECASE)
        good = not mistyped and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or "@" in address.url or not re.fullmatch(_VISIBLE_ASCII, address.url):
        # The text before an @ is treated as a login even where the rest makes no sense.
        login = text.rpartition("@")[0]
        SECRETS.add(login, login.rpartition(":")[2])
        raise ValueError(f"not a URL such as {scheme}://host:port")
    return replace(address, url=urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")))
