"""A repository's address, apart from its login, which git gets by a credential helper only."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote

from job.domain.records import dataclass, field
from job.domain.secrets import SECRETS

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
# `ext::command` and the like run a program of git's, or any program at all.
_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
_PORT = re.compile(r"[^:]*(:[0-9]+)?|\[[0-9A-Fa-f:.]*\](:[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a repository is, without its login; and the login.

    Attributes:
        url: as git gets it, without a password.
        base: scheme, host and port of an http URL, for git's `credential.<base>`; empty for other URLs.
        username: of an http URL with a login; may be empty.
        password: decoded; empty without one.
    """

    url: str
    base: str = ""
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def has_login(self) -> bool:
        """Whether the configuration gives a login."""
        return bool(self.username or self.password)

    @property
    def folder_name(self) -> str:
        """The name of its clone: readable, and unique for the URL; the login is not part of it."""
        readable = re.sub(r"[^A-Za-z0-9.-]+", "-", self.url.rstrip("/").removesuffix(".git")).strip("-.")[-60:]
        return f"{readable.lstrip('-.') or 'clone'}-{hashlib.sha256(self.url.encode()).hexdigest()[:16]}.git"


def parse_remote(url: str, folder: Path) -> Remote:
    """The address in a URL of promote.toml; a relative path starts at `folder`.

    A password may contain any character, encoded or not: a login ends at the last @ that a host can follow. The login
    is registered as a secret, so that no message shows it.

    Raises:
        ValueError: it names a program instead of an address; the message is without the URL.
    """
    if _HELPER.match(url):
        raise ValueError("must be an address; git would run a program for a URL with ::")
    if url.startswith(("./", "../", "~/")):
        return Remote(str((folder / Path(url).expanduser()).resolve()))
    match = _SCHEME.fullmatch(url)
    if match is None:
        return Remote(url)
    scheme, rest = match[1].lower(), match[2]
    login, address = _split_login(rest)
    if scheme not in ("http", "https"):
        # ssh takes no password; the user name is part of the address.
        user = login.partition(":")[0]
        return Remote(f"{scheme}://{user}@{address}" if user else f"{scheme}://{address}")
    user, _, password = login.partition(":")
    SECRETS.add_login(unquote(user), unquote(password))
    # A user name alone is a token.
    SECRETS.add(login, "" if password else unquote(user))
    base = f"{scheme}://{re.split('[/?#]', address, maxsplit=1)[0]}"
    return Remote(f"{scheme}://{address}", base, unquote(user), unquote(password))


def _split_login(rest: str) -> tuple[str, str]:
    """The login and the remainder of what follows a URL's `://`."""
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        login, _, _ = authority.rpartition("@")
        return login, rest[len(login) + 1 :]
    delimiter = rest[len(authority) : len(authority) + 1]
    if "@" in rest and (not _PORT.fullmatch(authority) or (delimiter in "?#" and ":" in authority)):
        # An unencoded slash, question mark or hash in the password.
        login, _, address = rest.rpartition("@")
        return login, address
    return "", rest
