"""Logins and tokens: none comes out, however it is spelled and whoever repeats it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from job.config.settings import read_settings
from job.domain.addresses import Address, is_overheard, split_login
from job.domain.errors import UsageError
from job.domain.secrets import SECRETS, Secrets
from job.domain.text import clean
from tests.integration.runs.conftest import sandbox as sandbox
from tests.sandbox.client import Sandbox
from tests.support.place import Place
from tests.support.secrets import ODD_PASSWORDS, WATCH
from tests.support.tiers import representatives

SPELLINGS = [
    '"token": "hunter2"',
    "'token': 'hunter2'",
    r"{\"password\": \"hunter2 and more\"}",
    '{"password":"it is hunter2"}',
    "access_token=hunter2",
    "refresh_token: hunter2",
    "password: hunter2",
    "passwd=hunter2",
    "X-Auth-Token: hunter2",
    "x-api-key: hunter2",
    "api_key=hunter2",
    "apikey=hunter2",
    "client_secret=hunter2&grant_type=x",
    "AWS_SECRET_ACCESS_KEY=hunter2",
    "REGISTRY_PASSWORD=hunter2",
    "user:hunter2@registry.example",
    "user:hunter2@10.0.0.1:5000/v2/",
    "robot$team+ci:hunter2@quay.io",
    "https://user:hunter2/x@registry.example/v2/",
    "https://user:it's hunter2@registry.example",
    'https://user:a"hunter2@registry.example',
    "https://user:a'hunter2'@registry.example",
    "Authorization: Token hunter2",
    '"Authorization": "Basic hunter2"',
    "Proxy-Authorization: Basic hunter2",
    "Cookie: session=hunter2",
    "oc login --token hunter2",
    "--password=hunter2",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_the_second_line_knows_every_spelling(text: str) -> None:
    assert "hunter2" not in clean(text)
    assert "hunter2" not in clean(f"Get {text}: EOF")


@pytest.mark.parametrize(
    "text",
    [
        "sha256~" + "a1" * 20,
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl",
        "ghp_" + "a1" * 18,
        "glpat-" + "a1" * 10,
    ],
)
def test_tokens_are_known_by_their_form(text: str) -> None:
    assert clean(f"it said {text}!") == "it said ***!"


@pytest.mark.parametrize(
    "text",
    [
        "quay.io/packit/worker:prod@sha256:0123abcd",
        "worker:prod@sha256:0123abcd",
        "https://quay.io:5000/v2/worker@sha256:0123abcd",
        "https://host:8443/path, see admin@example.com",
        'secrets "import-images" not found',
        "no basic auth credentials",
        "Basic authentication is required",
        "the login cannot be renewed: getting credentials: exec: executable aws not found",
        "PUSHGATEWAY_PASSWORD: set without PUSHGATEWAY_USERNAME",
        "TOKEN: set without HOST; set both",
        "unauthorized: authentication required",
        "read tcp 10.0.0.1:443->10.0.0.2:80: connection reset",
    ],
)
def test_what_is_no_login_stays_readable(text: str) -> None:
    assert clean(text) == text


# The first line: what the process was given


@pytest.mark.parametrize("password", ODD_PASSWORDS)
def test_a_registered_secret_is_found_in_each_form(password: str) -> None:
    secrets = Secrets()
    secrets.add_login("robot", password)
    forms = [
        password,
        quote(password, safe=""),
        json.dumps({"said": password}),
        repr(password),
        f"{{{password}}} and once more {password}",
    ]
    for form in forms:
        shown = secrets.redact(f"it said {form} here")
        assert password not in shown
        assert quote(password, safe="") not in shown
        assert json.dumps(password)[1:-1] not in shown


@given(st.text(min_size=6, max_size=30).filter(lambda text: len(text.strip()) >= 6), st.text(max_size=20))
def test_any_secret_is_found_wherever_it_is(secret: str, around: str) -> None:
    secrets = Secrets()
    secrets.add(secret)
    assert secret.strip() not in secrets.redact(around + secret + around).replace("***", "\x00")


def test_short_words_are_not_blotted_out() -> None:
    secrets = Secrets()
    secrets.add("", None, "a", "admin", " prod ")
    assert secrets.redact("admin of prod") == "admin of prod"


def test_what_the_settings_read_is_registered() -> None:
    environment = {
        "HOST": "https://api",
        "TOKEN": "token-of-the-run",
        "PUSHGATEWAY_ADDRESS": "http://pusher:word-of-an-address@gateway",
    }
    read_settings({}, (), environment)
    for word in ("token-of-the-run", "word-of-an-address"):
        assert word not in clean(f"x{word}y and it's {word}")
    with pytest.raises(UsageError):
        read_settings({}, (), {"PUSHGATEWAY_ADDRESS": "http:/pusher:word-of-a-typo@gateway"})
    assert "word-of-a-typo" not in clean("it said word-of-a-typo")


# Addresses


@pytest.mark.parametrize("password", ODD_PASSWORDS)
@pytest.mark.parametrize("tail", ["", "/path", ":8443/path"])
def test_a_login_is_taken_out_of_an_address(password: str, tail: str) -> None:
    for written in (password, quote(password, safe="")):
        address = split_login(f"https://robot:{written}@host.example{tail}")
        assert address == Address(f"https://host.example{tail}", "robot", password)
        assert password not in repr(address)
        assert password not in SECRETS.redact(f"it said {written}")


@pytest.mark.parametrize(
    "text",
    [
        "https://host.example",
        "https://host.example:8443/a@b",
        "https://[::1]:8443/a@b",
        "https://127.0.0.1/path?mail=me@example.com",
        "host.example:8443",
        "",
        "https://",
    ],
)
def test_an_address_without_a_login_stays(text: str) -> None:
    assert split_login(text) == Address(text)


def test_a_user_of_ssh_is_no_secret_and_a_token_for_a_user_is() -> None:
    assert split_login("ssh://git@host/path") == Address("ssh://host/path", "git")
    split_login("https://glpat-0123456789abcdef@host/path")
    assert SECRETS.redact("the git of glpat-0123456789abcdef") == "the git of ***"


@pytest.mark.parametrize(
    ("url", "overheard"),
    [
        ("http://127.0.0.1:9091", False),
        ("http://127.1.2.3", False),
        ("http://localhost", False),
        ("http://[::1]:9091", False),
        ("http://[::ffff:127.0.0.1]", False),
        ("http://127.evil.example", True),
        ("http://127.0.0.1.evil.example", True),
        ("http://localhost.evil.example", True),
        ("http://[::ffff:10.0.0.1]", True),
        ("http://gateway:9091", True),
        ("https://gateway", False),
    ],
)
def test_who_can_read_what_is_sent(url: str, overheard: bool) -> None:
    assert is_overheard(url) is overheard


def test_a_proxy_reads_what_is_sent_without_tls() -> None:
    assert is_overheard("http://127.0.0.1:8080", "http://proxy:3128")
    assert not is_overheard("https://api.example", "http://proxy:3128")


# Whole runs

ONE_BY_ONE = "the patterns are tried one by one above; a run each takes seconds"


def kubeconfig(place: Place, folder: Path, **cluster: str) -> Path:
    config = yaml.safe_load(place.sandbox.kubeconfig(place.token, place.namespace).read_text())
    config["clusters"][0]["cluster"].update({name.replace("_", "-"): value for name, value in cluster.items()})
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.mark.parametrize("text", representatives([" and ".join(SPELLINGS[:9]), *SPELLINGS], ONE_BY_ONE))
def test_a_server_that_repeats_logins_is_not_repeated(sandbox: Sandbox, tmp_path: Path, text: str) -> None:
    place = Place(sandbox)
    place.imported("app")
    number = place.import_fault("app", status={"code": 400, "message": f"it said {text}"})
    log = tmp_path / "termination-log"
    log.touch()
    done = place.run(TERMINATION_LOG=str(log))
    sandbox.remove_faults(number)
    assert done.status == 1, done.stderr
    assert "it said" in done.stdout
    WATCH.secrets.add("hunter2")
    WATCH.search(done.stdout + done.stderr + log.read_text(), "output", ["hunter2"])
    WATCH.search_sandbox(sandbox, place.namespace)


@pytest.mark.parametrize("password", representatives(ODD_PASSWORDS, ONE_BY_ONE, gating=2))
def test_a_proxy_with_odd_characters_is_used_and_its_login_not_told(sandbox: Sandbox, password: str) -> None:
    place = Place(sandbox)
    place.imported("app")
    WATCH.secrets.add(password)
    # Nobody listens there.
    proxy = f"http://robot:{password}@127.0.0.1:1"
    done = place.run(HTTP_PROXY=proxy, http_proxy=proxy, RETRIES="0", PUSHGATEWAY_ADDRESS=None)
    assert done.status == 3, done.stderr
    assert "internal error" not in done.stderr
    assert f"NO TLS to {sandbox.server} through the proxy 127.0.0.1" in done.stderr
    WATCH.search(done.stdout + done.stderr, "output", [password, quote(password, safe=""), "robot"])


@pytest.mark.parametrize(
    "proxy",
    representatives(["http://", "ftp://proxy:3128", "http://a b", "socks5://proxy:1080", "http://h:x"], ONE_BY_ONE),
)
def test_a_proxy_that_cannot_be_one_is_a_line(sandbox: Sandbox, proxy: str) -> None:
    done = Place(sandbox).run(HTTP_PROXY=proxy, http_proxy=proxy)
    assert done.status == 2, done.stderr
    assert "not the URL of an HTTP proxy" in done.stderr


@pytest.mark.parametrize("password", representatives(ODD_PASSWORDS, ONE_BY_ONE, gating=2))
def test_a_login_in_the_address_of_a_kubeconfig_is_not_told(sandbox: Sandbox, tmp_path: Path, password: str) -> None:
    place = Place(sandbox)
    server = f"http://robot:{password}@127.0.0.1:1"
    file = kubeconfig(place, tmp_path, server=server)
    done = place.run(HOST=None, TOKEN=None, KUBECONFIG=str(file), HOME=str(tmp_path), RETRIES="0")
    assert done.status == 3, done.stderr
    assert "http://127.0.0.1:1" in done.stderr
    WATCH.search(done.stdout + done.stderr, "output", [password, quote(password, safe=""), "robot"])


def test_a_log_line_never_holds_a_registered_secret(capsys: pytest.CaptureFixture[str]) -> None:
    from job.runtime.logs import set_up

    SECRETS.add("a plain sentence of mine")
    set_up()
    logging.getLogger("job").error("it said a plain sentence of mine, twice: %r", "a plain sentence of mine")
    assert capsys.readouterr().err == "import-images: error: it said ***, twice: '***'\n"
