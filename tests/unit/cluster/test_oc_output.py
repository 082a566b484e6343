"""What programs of other versions say than the one that the contract is tested with."""

from __future__ import annotations

import pytest

from job.cluster.oc.output import answers, refusal
from job.domain.model import Reason

OLD = """I1121 02:00:00.000000    9377 round_trippers.go:560] GET https://h/api/v1/namespaces/a/configmaps/x 404 Not Found in 6 milliseconds
I1121 02:00:00.000000    9377 helpers.go:246] server response object: [{
  "metadata": {},
  "status": "Failure",
  "message": "configmaps \\"x\\" not found",
  "reason": "NotFound",
  "code": 404
}]
"""  # noqa: E501
FATAL = """F1121 02:00:00.000000   12345 helpers.go:115] Error from server (NotFound): configmaps "x" not found"""


def test_answers_as_older_ones_log_them() -> None:
    lost = "I1121 02:00:00.0 1 round_trippers.go:438] POST https://h/api/v1/x  in 3 milliseconds\n"
    assert answers(OLD + lost) == ["404", "none"]
    assert answers("") == []


@pytest.mark.parametrize("said", [OLD, FATAL, 'Error from server (NotFound): configmaps "x" not found\n'])
def test_the_same_refusal_in_many_words(said: str) -> None:
    error = refusal(said)
    assert (error.reason, error.code, str(error)) == (Reason.NOT_FOUND, 404, 'configmaps "x" not found')


@pytest.mark.parametrize(
    ("said", "reason", "code", "answered"),
    [
        ("error: You must be logged in to the server (Unauthorized)", Reason.UNAUTHORIZED, 401, True),
        ("error: You must be logged in to the server (the server has asked for it)", Reason.UNAUTHORIZED, 401, True),
        ("Error from server (Conflict): changed", Reason.CONFLICT, 409, True),
        ("Error from server (AlreadyExists): there", Reason.CONFLICT, 409, True),
        ("Error from server (Timeout): slow", Reason.TIMEOUT, 504, True),
        ("Error from server (TooManyRequests): slower", Reason.RATE_LIMITED, 429, True),
        ("The connection to the server h:1 was refused - did you ...?", Reason.UNREACHABLE, None, True),
        ("Unable to connect to the server: dial tcp 192.0.2.1:6443: i/o timeout", Reason.UNREACHABLE, None, True),
        ("Unable to connect to the server: net/http: TLS handshake timeout", Reason.UNREACHABLE, None, True),
        ("Unable to connect to the server: x509: certificate has expired", Reason.UNREACHABLE, None, True),
        ("Unable to connect to the server: EOF", Reason.UNREACHABLE, None, False),
        ("Unable to connect to the server: http2: server sent GOAWAY", Reason.UNREACHABLE, None, False),
        ("Unable to connect to the server: context deadline exceeded", Reason.TIMEOUT, None, False),
        ("Unable to connect to the server: getting credentials: exec: no", Reason.UNAUTHORIZED, None, True),
        ("error: unexpected", Reason.API_ERROR, None, False),
        ("", Reason.API_ERROR, None, False),
    ],
)
def test_what_is_made_of_words(said: str, reason: Reason, code: int | None, answered: bool) -> None:
    error = refusal(said)
    assert (error.reason, error.code, error.answered) == (reason, code, answered)


def test_an_answer_that_broke_off() -> None:
    line = 'I1121 02:00:00.0 1 round_trippers.go:632] "Response" verb="POST" url="https://h/x" status="201 Created"\n'
    error = refusal(f"{line}error: unexpected EOF\n")
    assert (error.reason, error.code, error.answered, str(error)) == (
        Reason.UNREACHABLE, 201, False, "unexpected EOF",
    )  # fmt: skip


def test_nothing_secret_is_repeated() -> None:
    said = "Unable to connect to the server: proxyconnect tcp: http://me:hush@proxy:3128 Bearer abc.def\nmore"
    assert str(refusal(said)) == "proxyconnect tcp: http://***@proxy:3128 Bearer *** more"
