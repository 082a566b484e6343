"""One message a run, to services that really listen: Slack-like, Matrix-like, a signed webhook and a mail server."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.sandbox.client import IMAGE
from tests.sandbox.programs import free_port
from tests.support.place import Ended, Place
from tests.support.rights import ROLL_BACK
from tests.support.servers import Answered, Asked, Server, serving

KEY = "webhook-signing-key-4711"
CHAT_TOKEN = "chat0token0that0nobody0may0see0"
WEBHOOK_TOKEN = "webhook-path-token-1234567890"
PAGE = "https://github.com/packit/worker"
MAIL_PASSWORD = "mail-password-1234567890"


class Mailbox:
    """What a real SMTP server took."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        self.messages.append(message_from_bytes(envelope.content or b"", policy=policy.default))  # type: ignore[arg-type]
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


def _labels(commit: str) -> dict[str, str]:
    return {"org.opencontainers.image.revision": commit, "org.opencontainers.image.source": f"{PAGE}.git"}


def _took(asked: Asked) -> Answered:
    return Answered(200, b"ok")


def _matrix(asked: Asked) -> Answered:
    if "/login" in asked.path:
        return _json(access_token="matrix-session-token-123", user_id="@bot:local", home_server="local")
    if "/join/" in asked.path:
        return _json(room_id="!room:local")
    return _json(event_id="$1")


def _json(**values: object) -> Answered:
    return Answered(200, json.dumps(values).encode(), {"Content-Type": "application/json"})


def port_of(server: Server) -> int:
    return int(server.server_address[1])


@pytest.fixture
def place(sandbox: Any) -> Iterator[Place]:
    yield Place(sandbox, ROLL_BACK)
    sandbox.remove_faults()


def texts(chat: Server) -> list[str]:
    return [asked.json["text"] for asked in chat.asked]


def test_each_service_gets_each_news_once(place: Place, mailbox: tuple[Mailbox, int]) -> None:
    box, mail_port = mailbox
    with serving(instead=_took) as chat, serving(instead=_matrix) as matrix, serving(instead=_took) as webhook:
        urls = (
            f"mmost://127.0.0.1:{port_of(chat)}/{CHAT_TOKEN}",
            f"matrix://bot:{MAIL_PASSWORD}@127.0.0.1:{port_of(matrix)}/!room:local",
            f"http://127.0.0.1:{port_of(webhook)}/{WEBHOOK_TOKEN}",
            f"mailto://127.0.0.1:{mail_port}?smtp=127.0.0.1&from=import-images@example.org&to=team@example.org",
        )
        outputs: list[Ended] = []

        def run(*arguments: str) -> Ended:
            outputs.append(place.run(*arguments, "--output", "json", NOTIFY=" ".join(urls), NOTIFY_KEY=KEY))
            return outputs[-1]

        def sent() -> tuple[int, int, int, int]:
            rooms = [asked for asked in matrix.asked if "/send/" in asked.path]
            return len(chat.asked), len(rooms), len(webhook.asked), len(box.messages)

        first = place.push("worker", "one", labels=_labels("1a2b3c4d"))
        place.stream("worker")
        assert run("run").status == 0
        assert sent() == (1, 1, 1, 1), outputs[-1].stderr
        # Nothing new is no news.
        assert run("run").status == 0
        assert sent() == (1, 1, 1, 1)
        # It fails for the first time, and again.
        place.sandbox.registry.delete(f"{place.namespace}/worker", first)
        assert run("run").status == 1
        assert sent() == (2, 2, 2, 2)
        assert run("run").status == 1
        assert sent() == (2, 2, 2, 2)
        # It is well again, with a new image.
        second = place.push("worker", "two", labels=_labels("5e6f7a8b"))
        assert run("run").status == 0
        assert sent() == (3, 3, 3, 3)
        # By hand, with who did it; a run inside a freeze is no news.
        assert run("rollback", "worker:prod", "--yes", "--reason", "crashes").status == 0
        assert sent() == (4, 4, 4, 4)
        frozen = place.run("--output", "json", NOTIFY=" ".join(urls), FREEZE="* * * * * 1h")
        assert frozen.status == 2
        assert sent() == (4, 4, 4, 4)

        imported, failed, recovered, rolled_back = texts(chat)
        user = f"system:serviceaccount:{place.namespace}:import-images"
        assert all(f" by {user} on " in text for text in texts(chat))
        assert "Imported" in imported and f"{place.namespace}/worker:prod" in imported
        assert "Failed" in failed and "not_found, by the registry" in failed
        assert "import-images plan worker:prod" in failed
        assert "Resolved" in recovered and "Imported" in recovered
        assert f"{PAGE}/commit/1a2b3c4d" in imported
        assert f"{PAGE}/compare/1a2b3c4d...5e6f7a8b" in recovered
        assert "Rolled back" in rolled_back and "crashes" in rolled_back
        assert f"by system:serviceaccount:{place.namespace}:import-images" in rolled_back
        _check_webhook(webhook, [first, second])
        _check_lines([message.get_content() for message in box.messages], place)
        rooms = [asked.json["body"] for asked in matrix.asked if "/send/" in asked.path]
        _check_lines(rooms, place)
        assert all(text.startswith("import-images ") for text in rooms)
        assert [message["Subject"] for message in box.messages] == [text.splitlines()[0] for text in rooms]
        for text in (*(ended.stderr + ended.stdout for ended in outputs), *texts(chat), *map(str, box.messages)):
            for secret in (KEY, CHAT_TOKEN, WEBHOOK_TOKEN, MAIL_PASSWORD, place.token):
                assert secret not in text


def _check_lines(texts: list[str], place: Place) -> None:
    """Plain texts are read as lines: one for each tag, with its link or the command that helps."""
    imported, failed, recovered, rolled_back = (
        [line for line in text.splitlines() if "worker:prod" in line] for text in texts
    )
    name = f"- {place.namespace}/worker:prod"
    assert imported == [f"{name}: none to 1a2b3c4d {PAGE}/commit/1a2b3c4d"]
    assert len(failed) == 1 and failed[0].startswith(f"{name}: not_found, by the registry: ")
    assert failed[0].endswith(f". Try: import-images plan worker:prod -n {place.namespace}")
    assert f"{name}: 1a2b3c4d to 5e6f7a8b {PAGE}/compare/1a2b3c4d...5e6f7a8b" in recovered
    assert rolled_back[0].endswith(f" crashes. To go on: import-images resume worker:prod -n {place.namespace}")


def _check_webhook(webhook: Server, digests: list[str]) -> None:
    for asked in webhook.asked:
        signature = hmac.new(KEY.encode(), asked.body, hashlib.sha256).hexdigest()
        headers = {name.lower(): value for name, value in asked.headers.items()}
        assert headers["x-import-images-signature-256"] == f"sha256={signature}"
        assert asked.json["report"]["run"]["namespaces"]
    reports = [asked.json["report"]["tags"][0] for asked in webhook.asked]
    assert [tag["result"] for tag in reports] == ["updated", "failed", "updated", "rolled_back"]
    assert [tag["after"]["digest"] for tag in reports if tag["result"] != "failed"] == [*digests, digests[0]]


def test_what_is_gone_or_rolled_back_is_no_problem_any_more(place: Place) -> None:
    one, two = (f"{place.namespace} {content}" for content in ("one", "two"))
    place.imported("worker", one)
    alias = {"from": {"kind": "ImageStreamTag", "name": "prod"}}
    place.sandbox.patch(f"{IMAGE}/namespaces/{place.namespace}/imagestreams/worker", {"spec": {"tags": [
        place.spec("worker"), {"name": "live", **alias}]}})  # fmt: skip
    place.sandbox.create_workload(place.namespace, "Deployment", "worker", tag="worker:live", replicas=1)
    place.stream("away")
    place.sandbox.image_behaves(place.push("worker", two), "crash")
    with serving(instead=_took) as chat:
        settings = {
            "NOTIFY": f"mmost://127.0.0.1:{port_of(chat)}/{CHAT_TOKEN}",
            "NOTIFY_ON": "problem",
            "WATCH_ROLLOUTS": "true",
            "ROLLOUT_TIMEOUT": "30s",
        }

        def sent(*arguments: str, **more: str) -> tuple[int, int]:
            return place.run(*arguments, **settings, **more).status, len(chat.asked)

        assert sent() == (5, 1)
        # The command works as it is: the alias cannot be rolled back itself.
        assert f"Roll back: import-images rollback worker:prod -n {place.namespace}" in texts(chat)[-1]
        place.sandbox.delete(f"{IMAGE}/namespaces/{place.namespace}/imagestreams/away")
        place.sandbox.delete(f"/apis/apps/v1/namespaces/{place.namespace}/deployments/worker")
        assert sent() == (0, 2)
        resolved = texts(chat)[-1].partition("Resolved")[2]
        assert f"tag away:prod in {place.namespace}: it is gone" in resolved
        assert f"rollout {place.namespace}/Deployment/worker in {place.namespace}: it is gone" in resolved
        assert sent() == (0, 2)
        # What fails again later is new.
        place.stream("away")
        assert sent() == (1, 3)
        place.sandbox.delete(f"{IMAGE}/namespaces/{place.namespace}/imagestreams/away")
        assert sent() == (0, 4)


def test_each_bad_image_that_a_run_rolls_back_is_reported(place: Place) -> None:
    place.imported("worker", f"{place.namespace} one")
    place.sandbox.create_workload(place.namespace, "Deployment", "worker", tag="worker:prod", replicas=1)
    with serving(instead=_took) as chat:
        settings = {
            "NOTIFY": f"mmost://127.0.0.1:{port_of(chat)}/{CHAT_TOKEN}",
            "NOTIFY_ON": "problem",
            "ON_BAD_ROLLOUT": "rollback",
            "ROLLOUT_TIMEOUT": "30s",
        }
        for number, arguments in enumerate((("run",), ("resume", "worker:prod", "--yes")), 1):
            place.sandbox.image_behaves(place.push("worker", f"{place.namespace} bad {number}"), "crash")
            done = place.run(*arguments, **settings)
            assert (done.status, done.results, len(chat.asked)) == (5, {"worker:prod": "rolled_back"}, number)
            # It is back on the image before; another rollback would go back too far.
            assert "Rolled back" in texts(chat)[-1]
            assert "import-images rollback" not in texts(chat)[-1]
        assert place.run(**settings).results == {"worker:prod": "skipped held"}
        assert len(chat.asked) == 2


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_namespace_that_is_refused_is_reported_once(place: Place, is_alone: bool) -> None:
    other = place.sandbox.create_namespace()
    place.sandbox.grant(other, "import-images", ROLL_BACK, of=place.namespace)
    place.imported("worker")
    place.sandbox.create_stream(other, "worker", {"prod": place.source("worker")})
    place.sandbox.import_tag(other, "worker", "prod")
    with serving(instead=_took) as chat:
        settings = {
            "NOTIFY": f"mmost://127.0.0.1:{port_of(chat)}/{CHAT_TOKEN}",
            "NAMESPACE": other if is_alone else f"{other},{place.namespace}",
            "RETRIES": "0",
        }

        def sent() -> tuple[int, int]:
            return place.run(**settings).status, len(chat.asked)

        # Neither its rules nor, in one of several, its journal can be read.
        path = "configmaps/import-images-rules" if is_alone else "configmaps"
        place.sandbox.add_fault(path=f"/namespaces/{other}/{path}", status=500)
        status = 3 if is_alone else 1
        assert [sent(), sent()] == [(status, 1), (status, 1)]
        assert f"the rules of {other} cannot be read" in texts(chat)[-1]
        place.sandbox.remove_faults()
        assert [sent(), sent()] == [(0, 2), (0, 2)]
        assert f"rules of namespace {other}" in texts(chat)[-1].partition("Resolved")[2]


def test_a_service_that_hangs_or_refuses_costs_a_line_and_a_metric(place: Place) -> None:
    place.push("worker", "one")
    place.stream("worker")
    with serving(instead=lambda asked: Answered(500, b"no")) as refusing, serving(instead=_took) as chat:
        urls = (
            f"http://127.0.0.1:{port_of(refusing)}/{WEBHOOK_TOKEN}",
            f"mmost://127.0.0.1:{port_of(chat)}/{CHAT_TOKEN}",
            f"mmost://127.0.0.1:{free_port()}/{CHAT_TOKEN}",
        )
        ended = place.run("--output", "json", NOTIFY=" ".join(urls))
    assert ended.status == 0
    assert len(chat.asked) == 1
    assert "the message was not sent to service 1 (webhook) of NOTIFY: HTTP 500" in ended.stderr
    assert "the message was not sent to service 3 (mmost) of NOTIFY" in ended.stderr
    assert CHAT_TOKEN not in ended.stderr and WEBHOOK_TOKEN not in ended.stderr
    found = {dict(labels)["result"]: value for labels, value in place.metrics()["notifications"].items()}
    assert found == {"sent": 1.0, "failed": 2.0}


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("nowhere", "NOTIFY: address 1 does not begin with a scheme"),
        ("slack://short", "NOTIFY: address 1 (slack): its address is not complete"),
        (f"mmosts://chat.example/{CHAT_TOKEN}?verify=no", "NOTIFY: address 1 switches TLS verification off"),
    ],
)
def test_a_wrong_address_is_named_by_its_place(place: Place, setting: str, problem: str) -> None:
    ended = place.run("notify", "--test", NOTIFY=setting, HOST=None, TOKEN=None, NAMESPACE=None)
    assert ended.status == 2
    assert problem in ended.stderr
    assert setting not in ended.stderr


def test_a_bad_address_of_a_run_costs_the_others_nothing(place: Place) -> None:
    place.push("worker", "one")
    place.stream("worker")
    with serving(instead=_took) as chat:
        ended = place.run("run", NOTIFY=f"slack://short mmost://127.0.0.1:{port_of(chat)}/{CHAT_TOKEN}")
    assert (ended.status, len(chat.asked)) == (0, 1)
    assert "not sent to service 1 (slack) of NOTIFY: its address is not complete" in ended.stderr


def test_without_apprise_it_says_what_to_install(place: Place, tmp_path: Path) -> None:
    place.push("worker", "one")
    place.stream("worker")
    # Python's own way to say that a module is not installed.
    (tmp_path / "sitecustomize.py").write_text('import sys\nsys.modules["apprise"] = None\n')
    settings = {"NOTIFY": f"mmost://127.0.0.1:{free_port()}/{CHAT_TOKEN}", "PYTHONPATH": str(tmp_path)}
    install = "messages need apprise; install it: pip install 'import-images[notify]'"
    tried = place.run("notify", "--test", **settings)
    assert (tried.status, install in tried.stderr) == (2, True)
    ended = place.run("run", **settings)
    assert (ended.status, install in ended.stderr) == (0, True)


def test_a_test_message(place: Place) -> None:
    with serving(instead=_took) as chat:
        service = f"mmost://127.0.0.1:{port_of(chat)}/{CHAT_TOKEN}"
        ended = place.run("notify", "--test", "-o", "table", NOTIFY=service)
        listed = json.loads(place.run("notify", "-o", "json", NOTIFY=service).stdout)
    assert (ended.status, ended.stdout) == (0, "1 (mmost): sent\n")
    assert "This is a test" in texts(chat)[0] and len(chat.asked) == 1
    assert listed["services"] == [{"name": "1 (mmost)", "sent": None, "message": None}]
