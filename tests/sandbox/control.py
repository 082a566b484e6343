"""The control endpoint, for the sandbox's admin token only.

GET, PATCH  /sandbox/settings           all of `settings.Settings`; PATCH takes those to change
GET, POST   /sandbox/faults             the rules of `faults`; POST adds one and answers {"id": N}
DELETE      /sandbox/faults[/ID]        remove all rules, or one
GET, DELETE /sandbox/requests           the log of requests and the most that were under way at once; clear it
POST        /sandbox/expire-continue    make all continue tokens given out so far too old
"""

from __future__ import annotations

import json

from tests.sandbox.calls import Answer, answer_json
from tests.sandbox.cluster import Cluster
from tests.sandbox.controllers import Controllers
from tests.sandbox.faults import Faults, RequestLog, rule_of
from tests.sandbox.status import bad_request, no_such_path


class Control:
    """Answers the requests to /sandbox/."""

    def __init__(self, cluster: Cluster, faults: Faults, log: RequestLog, controllers: Controllers) -> None:
        self._cluster = cluster
        self._faults = faults
        self._log = log
        self._controllers = controllers

    def handle(self, method: str, path: str, body: bytes) -> Answer:
        try:
            given = json.loads(body) if body else {}
            return self._handle(method, path.strip("/").split("/")[1:], given)
        except (ValueError, TypeError) as problem:
            raise bad_request(str(problem)) from None

    def _handle(self, method: str, parts: list[str], given: object) -> Answer:
        settings = self._cluster.settings
        match (method, parts):
            case ("GET", ["settings"]):
                return answer_json(settings.as_json())
            case ("PATCH", ["settings"]) if isinstance(given, dict):
                settings.change(given)
                self._controllers.resync()
                return answer_json(settings.as_json())
            case ("GET", ["faults"]):
                return answer_json(self._faults.shown())
            case ("POST", ["faults"]) if isinstance(given, dict):
                return answer_json({"id": self._faults.add(rule_of(given))}, 201)
            case ("DELETE", ["faults"]):
                self._faults.remove(None)
                return answer_json({})
            case ("DELETE", ["faults", number]):
                if not self._faults.remove(int(number)):
                    raise no_such_path()
                return answer_json({})
            case ("GET", ["requests"]):
                return answer_json(self._log.shown())
            case ("DELETE", ["requests"]):
                self._log.clear()
                return answer_json({})
            case ("POST", ["expire-continue"]):
                return answer_json({"expired": self._cluster.store.expire_continue_tokens()})
        raise no_such_path()
