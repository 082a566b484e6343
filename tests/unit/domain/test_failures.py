"""From errors to reasons, however hostile the names in a message."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from job.domain.failures import of_http, of_image
from job.domain.model import By, Reason, RetryClass
from job.domain.text import clean
from tests.support.paths import CONFORMANCE

RECORDED: dict[str, Any] = json.loads((CONFORMANCE / "registry-errors.json").read_text(encoding="utf-8"))
FIELD: dict[str, Any] = json.loads((CONFORMANCE / "registry-errors-field.json").read_text(encoding="utf-8"))
RECORDED |= FIELD
OF_IMAGES = sorted(name for name, record in RECORDED.items() if "status" in record)
# Words that mean something in a message, as parts of names.
HOSTILE = (
    *("toomanyrequests", "too-many-requests", "unauthorized", "denied", "forbidden", "eof", "x509", "tls", "timeout"),
    *("connection-refused", "no-such-host", "manifest-unknown", "name-unknown", "http-429", "http-404", "dial", "tcp"),
    *("client.timeout", "context-deadline-exceeded", "proxyconnect", "status", "429", "401", "broken-pipe"),
)
LABELS = st.sampled_from([word for word in HOSTILE if "." not in word])
PATHS = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3).map("/".join)
HOSTS = st.builds(
    lambda labels, domain, port: ".".join([*labels, domain]) + port,
    st.lists(LABELS, min_size=1, max_size=2),
    st.sampled_from(["example.org", "invalid", "local"]),
    st.sampled_from(["", ":5000", ":429"]),
)
TAGS = st.sampled_from([*HOSTILE, "HTTP_429", "TooManyRequests", "Unauthorized"])


def reason_of(name: str, replacing: dict[str, str] | None = None) -> tuple[Reason, By]:
    status = RECORDED[name]["status"]
    message = status["message"]
    for old, new in (replacing or {}).items():
        message = message.replace(old, new)
    return of_image(status["reason"], message)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_every_recorded_error_has_its_reason(name: str) -> None:
    assert reason_of(name) == (Reason(RECORDED[name]["reason"]), By.REGISTRY)


@pytest.mark.parametrize("name", [name for name in sorted(RECORDED) if "whole_request" in RECORDED[name]])
def test_every_recorded_refusal_of_a_request_has_its_reason(name: str) -> None:
    assert of_http(RECORDED[name]["whole_request"]["code"]) is Reason(RECORDED[name]["reason"])


@pytest.mark.parametrize("name", OF_IMAGES)
@settings(max_examples=20)
@given(host=HOSTS, path=PATHS, tag=TAGS)
def test_names_never_change_the_reason(name: str, host: str, path: str, tag: str) -> None:
    spec = {f"REGISTRY/{name}:prod": f"{host}/{path}:{tag}", f"REGISTRY/{name}/app:prod": f"{host}/{path}:{tag}"}
    spec |= {"REGISTRY": host, "team/app:prod": f"{path}:{tag}"}
    # Where the recorded registry has a name of its own, put the hostile one in its place.
    spec |= {"127.0.0.1:1/x:prod": f"{host}/{path}:{tag}", "127.0.0.1:1/v2": f"{host}/v2"}
    spec |= {"registry.invalid/x:prod": f"{host}/{path}:{tag}", "registry.invalid": host.partition(":")[0]}
    assert reason_of(name, spec)[0] is Reason(RECORDED[name]["reason"])


@pytest.mark.parametrize("word", HOSTILE)
def test_a_registry_that_does_not_resolve_is_unreachable_whatever_its_name(word: str) -> None:
    assert reason_of("host-unknown", {"registry.invalid": f"{word}.example"})[0] is Reason.UNREACHABLE


@pytest.mark.parametrize("name", OF_IMAGES)
@pytest.mark.parametrize("digest", ["sha256:429", "sha256:401"])
def test_a_digest_never_changes_the_reason(name: str, digest: str) -> None:
    spec = {f"REGISTRY/{name}:prod": f"quay.io/denied/unauthorized@{digest}"}
    assert reason_of(name, spec)[0] is Reason(RECORDED[name]["reason"])


@pytest.mark.parametrize("name", ["server-error", "name-unknown"])
def test_a_registry_named_by_its_ipv6_address_never_changes_the_reason(name: str) -> None:
    spec = {f"REGISTRY/{name}:prod": "[fd00::429]:5000/denied/toomanyrequests:unauthorized"}
    assert reason_of(name, spec)[0] is Reason(RECORDED[name]["reason"])


def test_the_name_server_never_changes_the_reason() -> None:
    assert reason_of("host-unknown", {"DNS": "10.0.0.10:429"}) == (Reason.UNREACHABLE, By.REGISTRY)


def test_words_of_a_page_never_change_the_reason() -> None:
    message = 'Internal error occurred: h/x:y: error parsing HTTP 404 response body: "<html>too many \\"denied\\" 401"'
    assert of_image("InternalError", message)[0] is Reason.NOT_FOUND


def test_the_errors_of_several_mirrors_are_read_too() -> None:
    one = "denied.example/toomanyrequests/x:prod: received unexpected HTTP status: 503 Service Unavailable"
    other = "quay.io/unauthorized/x:prod: name unknown: repository not found"
    assert of_image("InternalError", f"Internal error occurred: [{one}, {other}]")[0] is Reason.NOT_FOUND


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("toomanyrequests: You have reached your pull rate limit.", Reason.RATE_LIMITED),
        ("received unexpected HTTP status: 429 Too Many Requests", Reason.RATE_LIMITED),
        ('Get "https://h/v2/": dial tcp 10.0.0.1:443: i/o timeout', Reason.UNREACHABLE),
        ('Get "https://h/v2/": dial tcp 10.0.0.1:443: connect: no route to host', Reason.UNREACHABLE),
        ('Get "https://h/v2/": x509: certificate signed by unknown authority', Reason.UNREACHABLE),
        ('Get "https://h/v2/": tls: failed to verify certificate: x509: certificate has expired', Reason.UNREACHABLE),
        ('Get "https://h/v2/": EOF', Reason.UNREACHABLE),
        ('Get "https://h/v2/": read tcp 10.0.0.1:1->10.0.0.2:443: read: connection reset by peer', Reason.UNREACHABLE),
        ('Get "https://h/v2/": context deadline exceeded (Client.Timeout exceeded while awaiting)', Reason.TIMEOUT),
        ('Get "https://h/v2/": net/http: TLS handshake timeout', Reason.TIMEOUT),
        ("unauthorized: access to the requested resource is not authorized", Reason.UNAUTHORIZED),
        ('Get "https://h/v2/": unauthorized: authentication required', Reason.UNAUTHORIZED),
        ("denied: requested access to the resource is denied", Reason.FORBIDDEN),
        ("name unknown: repository name not known to registry", Reason.NOT_FOUND),
        ("manifest unknown: manifest unknown", Reason.NOT_FOUND),
        ("received unexpected HTTP status: 500 Internal Server Error", Reason.REGISTRY_ERROR),
        ("content integrity error: the manifest was not the one asked for", Reason.REGISTRY_ERROR),
        ("something that nobody has ever seen", Reason.REGISTRY_ERROR),
        # An HTTP status is surer than the words of the page that came with it.
        ('error parsing HTTP 410 response body: unexpected end of JSON input: ""', Reason.NOT_FOUND),
        ('error parsing HTTP 400 response body: invalid character: "<html>not found</html>"', Reason.INVALID),
        ('error parsing HTTP 412 response body: no error details found in HTTP response body: "{}"', Reason.FORBIDDEN),
        ("received unexpected HTTP status: 408 Request Timeout", Reason.TIMEOUT),
        ("received unexpected HTTP status: 599 ", Reason.REGISTRY_ERROR),
        # Codes of the distribution specification.
        ("manifest invalid: manifest invalid", Reason.INVALID),
        ("unsupported: The operation is unsupported.", Reason.INVALID),
        ("blob unknown: blob unknown to registry", Reason.NOT_FOUND),
        ("unavailable: service unavailable", Reason.REGISTRY_ERROR),
        # Codes of a registry's own, of which the client leaves the message.
        ("unknown: Tag prod was deleted or has expired. To pull, revive via time machine", Reason.NOT_FOUND),
        ("unknown: The named manifest is not known to the registry, no such image", Reason.NOT_FOUND),
        ("unknown: repository team/denied:expired does not exist", Reason.NOT_FOUND),
        ("unknown: artifact team/unauthorized:denied not found", Reason.NOT_FOUND),
        ("unknown: Download request throttled", Reason.RATE_LIMITED),
        ("unknown: Rate exceeded", Reason.RATE_LIMITED),
        ("unknown: Forbidden", Reason.FORBIDDEN),
        ("unknown: current image with 3 vulnerabilities cannot be pulled due to configured policy", Reason.FORBIDDEN),
        ("unknown: User is not authorized to perform this operation", Reason.FORBIDDEN),
        ("unknown: your login token has expired", Reason.UNAUTHORIZED),
        ("unknown: Bad Request", Reason.INVALID),
        ("unknown: Precondition Failed", Reason.INVALID),
        ("unknown: temporarily unavailable, try again later", Reason.REGISTRY_ERROR),
        ("unknown: unknown error", Reason.REGISTRY_ERROR),
        ("unknown", Reason.REGISTRY_ERROR),
    ],
)
def test_what_a_registry_says(text: str, reason: Reason) -> None:
    message = f"Internal error occurred: quay.io/packit/worker:prod: {text}"
    assert of_image("InternalError", message) == (reason, By.REGISTRY)


@pytest.mark.parametrize(
    ("status_reason", "expected"),
    [
        ("NotFound", (Reason.NOT_FOUND, By.REGISTRY)),
        ("Unauthorized", (Reason.UNAUTHORIZED, By.REGISTRY)),
        ("Forbidden", (Reason.FORBIDDEN, By.API)),
        ("Invalid", (Reason.INVALID, By.API)),
        ("", (Reason.REGISTRY_ERROR, By.REGISTRY)),
        ("NeverHeardOf", (Reason.REGISTRY_ERROR, By.REGISTRY)),
    ],
)
def test_a_status_that_tells_its_reason(status_reason: str, expected: tuple[Reason, By]) -> None:
    assert of_image(status_reason, "quay.io/packit/worker:prod") == expected


@given(st.text(), st.text())
def test_any_message_has_a_reason_of_the_list(status_reason: str, message: str) -> None:
    reason, by = of_image(status_reason, message)
    assert isinstance(reason, Reason)
    assert isinstance(by, By)


@pytest.mark.timeout(5)
def test_a_long_message_takes_no_time() -> None:
    # A registry may say what it likes, and a regular expression at work keeps every thread waiting.
    for message in ("/" * 50_000, '"' * 50_000, "a:" * 25_000, "[/" * 25_000, 'a"\\' * 15_000, "a/ " * 15_000):
        assert of_image("InternalError", message)[0] is Reason.REGISTRY_ERROR


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (400, Reason.INVALID),
        (401, Reason.UNAUTHORIZED),
        (403, Reason.FORBIDDEN),
        (404, Reason.NOT_FOUND),
        (409, Reason.CONFLICT),
        (410, Reason.API_ERROR),
        (413, Reason.INVALID),
        (422, Reason.INVALID),
        (429, Reason.RATE_LIMITED),
        (500, Reason.API_ERROR),
        (502, Reason.API_ERROR),
        (503, Reason.API_ERROR),
        (504, Reason.TIMEOUT),
    ],
)
def test_a_refusal_of_the_api(code: int, reason: Reason) -> None:
    assert of_http(code) is reason


def test_what_another_try_may_change() -> None:
    lasting = {Reason.NOT_FOUND, Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.INVALID, Reason.ABORTED, Reason.TIMEOUT}
    lasting |= {Reason.UNUSABLE}
    assert {reason for reason in Reason if reason.retry_class is not RetryClass.BACKOFF} == lasting


TEXTS = st.text(max_size=3000) | st.text("a \n\x1b\u202e:/@=&\"'bearer token=", max_size=3000)


class TestClean:
    @given(TEXTS, st.integers(1, 600))
    def test_it_is_bounded(self, text: str, limit: int) -> None:
        assert len(clean(text, limit)) <= limit

    @given(TEXTS)
    def test_it_is_one_line_without_control_characters(self, text: str) -> None:
        cleaned = clean(text)
        assert len(cleaned.splitlines()) <= 1
        assert not [c for c in cleaned if unicodedata.category(c) in ("Cc", "Zl", "Zp")]
        assert not [c for c in cleaned if unicodedata.bidirectional(c) in ("LRO", "RLO", "LRE", "RLE", "PDF", "RLI")]

    @given(TEXTS)
    def test_twice_is_once(self, text: str) -> None:
        once = clean(text)
        assume(not once.endswith("…"))
        assert clean(once) == once

    @given(st.text("abc ,.é", max_size=400).map(str.strip))
    def test_what_is_fit_to_be_shown_stays(self, text: str) -> None:
        assert clean(text) == text

    @pytest.mark.parametrize(
        "text",
        [
            "https://user:hunter2@registry.example/v2/",
            "http://hunter2@h:9091",
            'Get "https://user:hunter2@h/v2/": EOF',
            "https://user:p@hunter2@h/",
            "Authorization: Bearer hunter2",
            "authorization: basic hunter2",
            "Bearer\nhunter2",
            "https://auth.example/token?access_token=hunter2&service=x",
            "token=hunter2",
            "password=hunter2 was refused",
            "https://s3.example/x?X-Amz-Signature=hunter2&a=b",
            "https://s3.example/x?X-Amz-Credential=hunter2",
        ],
    )
    def test_logins_and_tokens_are_left_out(self, text: str) -> None:
        assert "hunter2" not in clean(text)

    @given(st.integers(0, 2100), st.sampled_from([" ", "\n", "x"]))
    def test_a_login_is_left_out_wherever_a_long_message_is_cut(self, length: int, filler: str) -> None:
        assert "hunter2" not in clean(filler * length + "https://user:hunter2-and-more@h/ and so on" * 3)

    @pytest.mark.timeout(5)
    def test_a_long_message_takes_no_time(self) -> None:
        assert clean("://" * 400_000)
        assert clean("\x00" * 1_000_000) == ""
