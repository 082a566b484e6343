"""A hostile journal: whoever may write ConfigMaps writes one, and the run must neither die of it nor hang."""

from __future__ import annotations

import base64
import gzip
import json
import tracemalloc
from typing import Any

import pytest

from job.journal.decoding import MOST_UNPACKED_BYTES, PACKED_KEY, PLAIN_KEY, decode
from job.journal.records import Journal, RunRecord
from tests.integration.runs.conftest import sandbox as sandbox
from tests.sandbox.client import Sandbox
from tests.support.place import Place
from tests.support.pods import JOURNAL, journal


def packed(text: str) -> dict[str, Any]:
    return {"binaryData": {PACKED_KEY: base64.b64encode(gzip.compress(text.encode(), 6)).decode()}}


def plain(value: object) -> dict[str, Any]:
    return {"data": {PLAIN_KEY: json.dumps({"version": 1, **value} if isinstance(value, dict) else value)}}


def filled(item: str, around: str = '{"version":1,"runs":[%s]}') -> str:
    """As many of an item as fit into what is unpacked at most."""
    return around % ",".join([item] * ((MOST_UNPACKED_BYTES - 100) // (len(item) + 1)))


# Each unpacks to a few MB within the first bound, and to hundreds as objects.
BOMBS = {
    "lists": filled("[]"),
    "objects": filled("{}"),
    "runs": filled('{"id":"a","outcome":"x"}'),
    "tags": filled('"a:b"', '{"version":1,"succeeded":{"1.0":[%s]}}'),
    "images": '{"version":1,"images":{' + ",".join(f'"{number}":[0,0,0]' for number in range(200_000)) + "}}",
    "groups": '{"version":1,"groups":{' + ",".join(f'"{number}":1' for number in range(200_000)) + "}}",
    "one long text": '{"version":1,"groups":{"%s":1}}' % ("x" * (MOST_UNPACKED_BYTES - 100)),
    "wide characters": '{"version":1,"groups":{"%s":1}}' % ("\U0001f600" * (MOST_UNPACKED_BYTES // 4 - 100)),
    "digits": '{"version":1,"failed_runs":{"a:b":%s}}' % ("9" * 2_000_000),
    "depth": '{"version":1,"runs":' + "[" * 2_000_000,
    "blanks": '{"version":1}' + " " * 40_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_within_little_memory(name: str) -> None:
    config_map = packed(BOMBS[name])
    assert len(config_map["binaryData"][PACKED_KEY]) < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"\w"):
            decode(config_map)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20


@pytest.mark.parametrize(
    "value",
    [
        {"runs": [{"id": "a", "outcome": "success", "shard": [0, 0]}]},
        {"runs": [{"id": "a", "outcome": "success", "shard": [0, 900_000_000]}]},
        {"runs": [{"id": "a", "outcome": "success", "shard": [-1, 4]}]},
        {"runs": [{"id": "a", "outcome": "success", "shard": [4, 4]}]},
        {"runs": [{"id": "a", "outcome": "success", "shard": ["0", "4"]}]},
        {"runs": [{"id": "a", "outcome": "success", "shard": [True, 4]}]},
        {"runs": [{"id": "x" * 2_000, "outcome": "success"}]},
        {"runs": [{"id": "a", "outcome": "success", "exit_status": 1e300}]},
        {"runs": [{"id": ["a"], "outcome": "success"}]},
        {"runs": [{"id": "a", "outcome": "success", "counts": {"failed": -1}}]},
        {"runs": [{"id": "a", "outcome": "success", "moves": [["a:b", None, 1, 0]]}], "digests": ["sha256:1"]},
        {"runs": [{"id": "a", "outcome": "success", "moves": [["a:b", -1, 0, 0]]}], "digests": ["sha256:1"]},
        {"runs": [{"id": "a", "outcome": "success", "moves": [["a:b", True, 0, 0]]}], "digests": ["a", "b"]},
        {"runs": [{"id": "a", "outcome": "success", "moves": [["a:b", None, None, 0]]}]},
        {"digests": [1]},
        {"digests": ["a"] * 200_001},
        {"groups": {"a": float("nan")}},
        {"groups": {"a": float("inf")}},
        {"groups": {"a": 1e300}},
        {"groups": {"a": -1}},
        {"succeeded": {"१.५": ["a:b"]}},
        {"succeeded": {"1_0": ["a:b"]}},
        {"succeeded": {"inf": ["a:b"]}},
        {"failed_runs": {"a:b": 10**30}},
        {"failed_runs": {"a:b": True}},
        {"images": {"a": ["x"]}},
        {"pushed": {"a": [{str(number): "x" for number in range(50)}]}},
    ],
)
def test_values_that_no_run_writes_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode(plain(value))


def test_the_journal_of_a_run_is_read() -> None:
    value = {"runs": [{"id": "a", "outcome": "success", "shard": [0, 4]}], "succeeded": {"1.5": ["a:b"]}}
    found = decode(plain(value))
    assert [run.shard and run.shard.count for run in found.runs] == [4]
    assert found.tags["a", "b"].last_success == 1.5


# Whole runs


def write(place: Place, config_map: dict[str, Any]) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": JOURNAL}, **config_map}
    place.sandbox.create(f"/api/v1/namespaces/{place.namespace}/configmaps", body)


@pytest.mark.parametrize("shard", [[0, 0], [0, 900_000_000]])
def test_status_neither_breaks_nor_hangs_on_a_shard(sandbox: Sandbox, shard: list[int]) -> None:
    place = Place(sandbox)
    place.imported("app")
    write(place, plain({"runs": [{"id": "a", "outcome": "success", "trigger": "scheduled", "shard": shard}]}))
    done = place.run("status")
    assert done.status in (0, 1), done.stderr
    assert "internal error" not in done.stderr
    assert "journal" in [unknown["part"] for unknown in done.report["unknown"]]


def test_a_run_begins_a_bomb_anew_and_says_so(sandbox: Sandbox) -> None:
    place = Place(sandbox)
    place.imported("app")
    write(place, packed(BOMBS["lists"]))
    done = place.run()
    assert done.status == 0, done.stderr
    assert "was started afresh" in done.stderr
    assert [run.outcome for run in journal(place).runs] == ["success"]
    assert isinstance(journal(place).runs[0], RunRecord)
    assert journal(place) != Journal()
