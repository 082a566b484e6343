"""Logins in the URLs of promote.toml: in no output, no file and no command line, whatever characters they have."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job.promote.git import summarize
from job.promote.remote import parse_remote
from tests.support.forge import Folder

PASSWORDS = {
    "quote": "hunter2'x\"y",
    "slash": "hunter2/x/y",
    "space": "hunter2 x y",
    "at": "hunter2@x",
    "colon": "hunter2:x",
    "hash": "hunter2#x?y",
    "percent": "hunter2%2Fx%40",
    "shell": "hunter2$(id)`id`;x",
    "backslash": r"hunter2\\x\n",
}


class Forge(http.server.BaseHTTPRequestHandler):
    """A forge that asks for a login, and repeats it in its answer; meanwhile it lists all command lines."""

    logins: list[str]
    command_lines: list[str]

    def do_GET(self) -> None:
        login = self.headers.get("Authorization", "")
        self.logins.append(base64.b64decode(login.removeprefix("Basic ")).decode())
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                self.command_lines.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
        self.send_response(403 if login else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="forge"')
        body = f"no access for {self.logins[-1]}\n".encode()
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
        pass


@contextmanager
def forge() -> Iterator[tuple[type[Forge], int]]:
    handler = type("Handler", (Forge,), {"logins": [], "command_lines": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield handler, server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_a_login_reaches_the_forge_and_nothing_else(folder: Folder, password: str) -> None:
    with forge() as (seen, port):
        escaped = password.replace("\\", "\\\\").replace('"', '\\"')
        url = f"http://jane:{escaped}@127.0.0.1:{port}/team/worker.git"
        folder.config.write_text(f'[[repository]]\nname = "worker"\nurl = "{url}"\n', encoding="utf-8")
        done = folder.promote("status", "--output", "json")
    assert done.status == 1 and "cannot be fetched" in done.stderr
    # Git decodes nothing itself: the helper gives the password as it was meant.
    expected = password if password != PASSWORDS["percent"] else "hunter2/x@"
    assert seen.logins[-1] == f"jane:{expected}"
    assert "hunter2" not in done.stdout + done.stderr
    assert any("remote-http" in line for line in seen.command_lines)
    assert not any("hunter2" in line for line in seen.command_lines)
    written = [file for file in (folder.folder / ".cache").rglob("*") if file.is_file()]
    assert written and not any(b"hunter2" in file.read_bytes() or "hunter2" in str(file) for file in written)


def test_a_token_as_user_name(folder: Folder) -> None:
    with forge() as (seen, port):
        url = f"http://ghp_hunter2hunter2@127.0.0.1:{port}/team/worker.git"
        folder.config.write_text(f'[[repository]]\nname = "worker"\nurl = "{url}"\n', encoding="utf-8")
        done = folder.promote("status", "--output", "json")
    assert seen.logins[-1] == "ghp_hunter2hunter2:"
    assert "hunter2" not in done.stdout + done.stderr + "".join(seen.command_lines)


def test_the_user_s_own_helper_does_not_get_the_login(folder: Folder) -> None:
    """A helper that stores what it gets must not store a login that promote.toml gave."""
    stored = folder.folder / "stored"
    settings = folder.folder / "gitconfig"
    settings.write_text(f'[credential]\n\thelper = "!cat >> {stored}; :"\n', encoding="utf-8")
    with forge() as (seen, port):
        url = f"http://jane:hunter2hunter2@127.0.0.1:{port}/team/worker.git"
        folder.config.write_text(f'[[repository]]\nname = "worker"\nurl = "{url}"\n', encoding="utf-8")
        folder.promote("status", "--output", "json", GIT_CONFIG_GLOBAL=str(settings))
    assert seen.logins[-1] == "jane:hunter2hunter2"
    assert not stored.exists()


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=6, max_size=40))
def test_any_password_is_separated_from_the_address(password: str) -> None:
    from urllib.parse import quote

    for written in (quote(password, safe=""), quote(password, safe="/#?'\"")):
        remote = parse_remote(f"https://jane:{written}@example.com/team/worker.git", Path("/"))
        assert (remote.url, remote.base) == ("https://example.com/team/worker.git", "https://example.com")
        assert (remote.username, remote.password) == ("jane", password)
        assert password not in repr(remote) or password in "https://example.com/team/worker.git"


@pytest.mark.parametrize(
    ("url", "address", "base"),
    [
        ("https://example.com/@scope/worker", "https://example.com/@scope/worker", "https://example.com"),
        ("https://example.com:8443/a@b", "https://example.com:8443/a@b", "https://example.com:8443"),
        ("https://[::1]:8443/a@b", "https://[::1]:8443/a@b", "https://[::1]:8443"),
        ("HTTPS://me:x@example.com", "https://example.com", "https://example.com"),
        ("ssh://git:hunter2@example.com:2222/a", "ssh://git@example.com:2222/a", ""),
        ("git@github.com:team/worker.git", "git@github.com:team/worker.git", ""),
        ("/srv/git/worker.git", "/srv/git/worker.git", ""),
        ("../worker", "/up/worker", ""),
    ],
)
def test_addresses(url: str, address: str, base: str) -> None:
    remote = parse_remote(url, Path("/up/here"))
    assert (remote.url, remote.base) == (address, base)


def test_what_a_server_repeats_is_masked() -> None:
    parse_remote("https://jane:hunter2%27x%2Fy@example.com/worker", Path("/"))
    stderr = "remote: hunter2'x/y is wrong\nfatal: hunter2%27x%2Fy and jane:hunter2'x/y\n"
    assert "hunter2" not in summarize(stderr)
