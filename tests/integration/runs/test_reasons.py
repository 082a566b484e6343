"""What registries answered to a real OpenShift, and the reason that the job's report then has."""

from __future__ import annotations

import json

from tests.sandbox.client import Json
from tests.support.paths import CONFORMANCE
from tests.support.place import Place

RECORDED: dict[str, Json] = json.loads((CONFORMANCE / "registry-errors.json").read_text(encoding="utf-8"))
FIELD: dict[str, Json] = json.loads((CONFORMANCE / "registry-errors-field.json").read_text(encoding="utf-8"))
# A repository answers like the recorded one, only sooner.
SOONER = {"slow-20": "slow-1", "slow-20-with-timeout-5s": "slow-9"}
ALL = RECORDED | FIELD
ELSEWHERE = {"connection-refused": "127.0.0.1:1/x:prod", "host-unknown": "registry.invalid/x:prod"}


def source(name: str, faulty: str) -> Json:
    repository = f"{name}/app" if name in FIELD else SOONER.get(name, name)
    place = ELSEWHERE.get(name) or f"{faulty}/{repository}:prod"
    policy = {"insecure": True}
    if name == "plain-http-without-insecure":
        place, policy = f"{faulty}/denied:prod", {}
    return {"from": {"kind": "DockerImage", "name": place}, "importPolicy": policy}


def expected(name: str, faulty: str) -> Json:
    """What the report is to say of a tag."""
    recorded = ALL[name]
    status = recorded.get("status") or recorded["whole_request"]
    return {
        "result": "failed",
        "reason": recorded["reason"],
        "by": "api" if "whole_request" in recorded else "registry",
        "message": str(status["message"]).replace("REGISTRY", faulty).replace("slow-20", "slow-1").strip(),
        "attempts": 1,
        "before": None,
        "after": None,
    }


def test_each_recorded_answer_ends_in_its_reason(place: Place, faulty: str) -> None:
    assert (len(RECORDED), len(FIELD)) == (25, 10)
    for name in ALL:
        place.stream(name, {"prod": source(name, faulty)})
    with place.sandbox.settings(retry_rate_limited=0.1):
        done = place.run(RETRIES="0", IMPORT_TIMEOUT="3s")
    assert done.status == 1, done.stderr
    wanted = {f"{name}:prod": expected(name, faulty) for name in ALL}
    assert {name: {key: tag[key] for key in wanted[name]} for name, tag in done.tags.items()} == wanted


def test_each_answer_is_that_of_its_own_tag(place: Place, faulty: str) -> None:
    """One request asks for both tags, and the first of them fails."""
    digest = place.push("app", "one")
    place.stream("app", {"broken": source("denied", faulty), "prod": place.source("app")})
    done = place.run(DEPLOYMENT="", RETRIES="0")
    assert len(place.imports()) == 1
    assert done.results == {"app:broken": "failed forbidden", "app:prod": "updated"}
    assert done.tags["app:prod"]["after"]["digest"] == digest == place.current("app")
    assert (done.tags["app:broken"]["after"], place.current("app", "broken")) == (None, None)


def test_registry_that_is_blocked_was_never_asked(place: Place) -> None:
    digest = place.push("app", "one")
    assert digest
    place.stream("app")
    with place.sandbox.settings(blocked_registries=[place.sandbox.registry_address]):
        done = place.run()
    tag = done.tags["app:prod"]
    assert (tag["result"], tag["reason"], tag["by"]) == ("failed", "forbidden", "api")


def test_message_is_one_line_without_secrets(place: Place) -> None:
    place.imported("app")
    text = "no\nway\t\x1b[31m https://user:word-1@host/ Bearer word-2 token=word-3" + "x" * 5000
    place.import_fault(status={"code": 400, "message": text})
    done = place.run(RETRIES="0")
    message = done.tags["app:prod"]["message"]
    assert len(message) <= 500
    assert message.isprintable()
    for secret in ("word-1", "word-2", "word-3"):
        assert secret not in done.stdout + done.stderr
