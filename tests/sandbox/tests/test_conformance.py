"""The sandbox gives the answers that were recorded from a real OpenShift."""

from __future__ import annotations

import json

import pytest

from tests.sandbox.client import IMAGE, Sandbox, image
from tests.sandbox.conformance import replay

pytest_plugins = ["tests.sandbox.fixtures"]


@pytest.mark.parametrize("name", replay.NAMES)
def test_scenario(name: str, sandbox: Sandbox, namespace: str) -> None:
    assert replay.play(name, sandbox, sandbox.registry, namespace) == replay.recorded(name)


# Cases whose image is not simply the repository of that name; the slow ones are played with shorter times.
_SOURCES = {
    "connection-refused": "127.0.0.1:1/x:prod",
    "host-unknown": "registry.invalid/x:prod",
    "plain-http-without-insecure": "REGISTRY/denied:prod",
    "slow-20": "REGISTRY/slow-0.3:prod",
    "slow-20-with-timeout-5s": "REGISTRY/slow-1:prod",
}
_TIMEOUTS = {"reset": "300ms", "slow-20-with-timeout-5s": "200ms"}


@pytest.mark.parametrize("case", sorted(replay.recorded_errors()))
def test_registry_error(case: str, sandbox: Sandbox, namespace: str, failing_registry: str) -> None:
    sandbox.change_settings(retry_rate_limited=0.05)
    source = _SOURCES.get(case, f"REGISTRY/{case}{'/app' if case in replay.field_errors() else ''}:prod").replace(
        "REGISTRY", failing_registry
    )
    wanted = image(source, "prod", insecure=case != "plain-http-without-insecure")
    reply = sandbox.request(
        "POST",
        f"{IMAGE}/namespaces/{namespace}/imagestreamimports",
        {"metadata": {"name": "app"}, "spec": {"import": True, "images": [wanted]}},
        query={"timeout": _TIMEOUTS.get(case, "20s")},
    )

    answer = json.loads(reply.text.replace(failing_registry, "REGISTRY").replace("slow-0.3:", "slow-20:"))
    recorded = replay.recorded_errors()[case]
    assert reply.code == recorded["code"]
    if "whole_request" in recorded:
        assert {name: answer[name] for name in ("code", "message", "reason")} == recorded["whole_request"]
        return
    result = answer["status"]["images"][0]
    assert ("image" in result) == recorded["has_image"]
    assert result["status"] == {"metadata": {}, **recorded["status"]}


def test_rate_limited_text_is_asked_for_three_times(sandbox: Sandbox, namespace: str, failing_registry: str) -> None:
    sandbox.change_settings(retry_rate_limited=0.2)
    sandbox.clear_log()
    sandbox.import_images(namespace, "app", [image(f"{failing_registry}/rate-limited-text:prod", "prod")])
    record = sandbox.requests(path=f"{namespace}/imagestreamimports")[0]
    assert record["ended"] - record["started"] >= 0.4
