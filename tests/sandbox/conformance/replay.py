"""Plays recorded scenarios and makes the answers comparable.

A scenario is a list of steps:
    {"push": {"repo": .., "tag": .., "content": .., "platforms": [..], "labels": {..}}, "as": NAME}
    {"do": METHOD, "path": PATH, "body": {..}, "query": {..}, "type": CONTENT-TYPE, "as": NAME}
    {"same": [PLACE, PLACE]} or {"differ": [PLACE, PLACE]}    two values of earlier answers, by NAME.json.path
`${PLACE}` in any text is replaced by that value; `quiet` answers are not compared, of others `only` some places may be.
What depends on the moment (uids, versions, times) is blanked, and the registry and namespace get fixed names; all
else is compared as it is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.sandbox.client import Api
from tests.sandbox.status import Json, JsonValue
from tests.support.registries import CREATED, Registry

HERE = Path(__file__).parent
NAMES = sorted(file.stem for file in (HERE / "scenarios").glob("*.json"))

_BLANKED = {"uid", "resourceVersion", "creationTimestamp", "created", "lastTransitionTime"}
_CHECKED = "openshift.io/image.dockerRepositoryCheck"


def scenario(name: str) -> list[Json]:
    steps: list[Json] = json.loads((HERE / "scenarios" / f"{name}.json").read_text())
    return steps


def recorded(name: str) -> list[Json]:
    answers: list[Json] = json.loads((HERE / "golden" / f"{name}.json").read_text())
    return answers


def field_errors() -> dict[str, Json]:
    """What OpenShift made of the answers of real products, by name; the image of each is `REGISTRY/NAME/app:prod`."""
    errors: dict[str, Json] = json.loads((HERE / "registry-errors-field.json").read_text())
    return errors


def recorded_errors() -> dict[str, Json]:
    """What OpenShift made of each way to fail, by its name: the made-up ones and those of real products."""
    errors: dict[str, Json] = json.loads((HERE / "registry-errors.json").read_text())
    return errors | {name: {"code": 201, "has_image": False, **each} for name, each in field_errors().items()}


def play(name: str, api: Api, registry: Registry, namespace: str) -> list[Json]:
    """What each step of a scenario gives, comparable to what was recorded."""
    return Player(api, registry, namespace).play(scenario(name))


class Player:
    """Plays steps in one namespace, which must exist."""

    def __init__(self, api: Api, registry: Registry, namespace: str) -> None:
        self._api = api
        self._registry = registry
        self._namespace = namespace
        self._names: Json = {"registry": registry.address, "namespace": namespace}

    def play(self, steps: list[Json]) -> list[Json]:
        results: list[Json] = []
        for step in steps:
            results += self._play(step)
        return results

    def _play(self, step: Json) -> list[Json]:
        if "push" in step:
            digest = self._registry.push(**self._filled(step["push"]))
            self._names[step["as"]] = digest
            return [{"push": digest}]
        for word in ("same", "differ"):
            if word in step:
                one, other = (_look_up(self._names, place) for place in step[word])
                return [{word: step[word], "holds": (one == other) == (word == "same")}]
        return self._ask(step)

    def _ask(self, step: Json) -> list[Json]:
        reply = self._api.request(
            step["do"],
            self._filled(step["path"]),
            self._filled(step.get("body")),
            query=step.get("query"),
            content_type=step.get("type", "application/json"),
        )
        answer = {"code": reply.code, "json": reply.json}
        self._names[step["as"]] = answer
        if step.get("quiet"):
            return []
        shown = self._comparable(answer)
        if "only" not in step:
            return [shown]
        return [{"only": place, "code": reply.code, "value": _look_up(shown, place)} for place in step["only"]]

    def _filled(self, value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            return {name: self._filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if isinstance(value, str):
            return re.sub(r"\$\{([^}]+)\}", lambda found: str(_look_up(self._names, found[1])), value)
        return value

    def _comparable(self, value: JsonValue, name: str = "") -> JsonValue:
        if isinstance(value, dict):
            return {key: self._comparable(each, key) for key, each in value.items() if key != "managedFields"}
        if isinstance(value, list):
            return [self._comparable(each) for each in value]
        if (name in _BLANKED and value) or name == _CHECKED or (name == "Created" and value != CREATED):
            return "*"
        if not isinstance(value, str):
            return value
        value = value.replace(self._registry.address, "REGISTRY").replace(self._namespace, "NAMESPACE")
        return re.sub(r'updated from "\d+" to "\d+"', 'updated from "*" to "*"', value)


def _look_up(value: JsonValue, place: str) -> JsonValue:
    for part in re.findall(r"[^.\[\]]+", place):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value
