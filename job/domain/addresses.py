"""Addresses of servers: their logins, and whether what is sent there can be read on the way."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

from job.domain.records import dataclass, field
from job.domain.secrets import SECRETS

# A user name without a password is a token only from this length on: `git` in ssh://git@HOST is not one.
_SHORTEST_TOKEN = 16
_HOST = r"(?:\[[\w:.%-]+\]|[^\s\"'<>\\:@\[\]]+)(?::[0-9]{1,5})?"


@dataclass(frozen=True, slots=True)
class Address:
    """An address without its login, and the login it had."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def split_login(text: str) -> Address:
    """Take the login out of an address and register it as a secret.

    A password that was not percent-encoded may hold any character, also those that end the host (`/`, `?`, `#`), quotes
    and spaces. So where the text before the first of these is not a host and port, the login reaches to the last `@`.

    Args:
        text: `SCHEME://[USER[:PASSWORD]@]HOST...`, or the same without a scheme.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    delimiter = rest[len(authority) : len(authority) + 1]
    if "@" in authority and _is_host(authority.rpartition("@")[2]):
        login, _, host = authority.rpartition("@")
        host += rest[len(authority) :]
    elif "@" in rest and (not _is_host(authority) or (delimiter in "?#" and ":" in authority)):
        login, _, host = rest.rpartition("@")
    else:
        return Address(text)
    username, _, password = login.partition(":")
    username, password = unquote(username), unquote(password)
    if password:
        SECRETS.add(login, login.partition(":")[2])
        SECRETS.add_login(username, password)
    elif len(username) >= _SHORTEST_TOKEN:
        # Forges take a token in place of the user name.
        SECRETS.add(login, username)
    return Address(f"{scheme}{separator}{host}", username or None, password or None)


def _is_host(authority: str) -> bool:
    """Whether it can be a host with or without a port."""
    return re.fullmatch(_HOST, authority) is not None


def is_overheard(url: str, proxy: str | None = None) -> bool:
    """Whether what is sent there is readable for others: without TLS, and not within this machine alone.

    Args:
        url: the address.
        proxy: the address of the proxy that takes the request, if any; it reads what is sent without TLS.
    """
    parts = urlsplit(url)
    return parts.scheme == "http" and (proxy is not None or not _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address; a name such as `127.example.org` is another one's."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
