"""The literal secrets of this process: tokens, passwords and logins, removed from everything that leaves it.

Whatever reads a secret (settings, a kubeconfig, an address with a login) registers it here, and every text for people
or machines passes `redact`. It is the one piece of state in the domain: a secret belongs to the
process, not to a call.
"""

from __future__ import annotations

import base64
import json
import shlex
from urllib.parse import quote, quote_plus

MASK = "***"
# A shorter value would also be found in words that are no secret, and blot out half of a message.
SHORTEST = 6


class Secrets:
    """The registered secrets, in every spelling in which a program repeats them."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        # Longest first, so that a login is replaced before the password inside it.
        self._spellings: tuple[str, ...] = ()

    def add(self, *values: str | None) -> None:
        """Register secrets; None and what is shorter than `SHORTEST` characters is ignored."""
        new = {value.strip() for value in values if value and len(value.strip()) >= SHORTEST} - self._known
        if not new:
            return
        # Only ever replaced as a whole, so that other threads need no lock to read them.
        known = self._known | new
        spellings = {spelling for value in known for spelling in _spellings(value)}
        self._known, self._spellings = known, tuple(sorted(spellings, key=lambda text: (-len(text), text)))

    def add_login(self, username: str | None, password: str | None) -> None:
        """Register a password, also in the form in which basic authentication sends it."""
        self.add(password)
        if password:
            login = f"{username or ''}:{password}"
            self.add(login, base64.b64encode(login.encode("utf-8", "surrogateescape")).decode().rstrip("="))

    def forget(self) -> None:
        """Forget all of them, for a process that serves another caller next."""
        self._known, self._spellings = frozenset(), ()

    def redact(self, text: str) -> str:
        """The text with `MASK` in place of each registered secret."""
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, MASK)
        return text


def _spellings(value: str) -> set[str]:
    """How URLs, JSON, Python and a shell write a value."""
    plain = value.encode("utf-8", "replace").decode()
    spellings = {value, plain, repr(value)[1:-1], shlex.quote(plain).strip("'")}
    for safe in ("", "/", "/@:"):
        spellings.add(quote(plain, safe=safe))
    spellings.add(quote_plus(plain))
    spellings |= {json.dumps(plain, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return spellings


SECRETS = Secrets()
