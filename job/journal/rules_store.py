"""Reading and writing the ConfigMap of the rules; people, GitOps and other runs write it too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from job.cluster import Cluster
from job.domain.errors import ClusterError, UsageError
from job.domain.records import dataclass, replace
from job.domain.retries import Attempts
from job.domain.rules import NONE, RULES, FullError, Rules
from job.domain.text import clean
from job.domain.times import parse_time
from job.journal import config_maps
from job.runtime.clock import SYSTEM, Clock

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class RulesError(UsageError):
    """The rules of a namespace cannot be read, so that nothing may be done there."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Rules before and after a change; `manager` applies them from a manifest, which will undo it."""

    before: Rules
    after: Rules
    manager: str | None = None


class RulesStore:
    """The rules of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Clock = SYSTEM) -> None:
        self.namespace = namespace
        self._cluster = cluster
        self._clock = clock

    def read(self) -> Rules:
        """The rules; none where there is no ConfigMap.

        Raises:
            RulesError: a rule cannot be read.
            ClusterError: the API refuses the ConfigMap.
        """
        config_map = self._get()
        return NONE if config_map is None else self._rules(config_map)

    def update(self, change: Callable[[Rules], Rules]) -> Changed:
        """Change the rules; after a conflict the change is applied again to what the other writer wrote.

        What does not change is not written, and a key whose rules stay the same keeps its text word for word.

        Raises:
            RulesError: a rule cannot be read, or there is no room for another.
            ClusterError: the API refuses it.
        """
        attempts = Attempts()
        before: Rules | None = None
        while True:
            try:
                config_map = self._get()
                now = NONE if config_map is None else self._rules(config_map)
                # An answer may be lost after the write took effect: then this is not what was there before.
                before = now if before is None else before
                after = change(now)
                if after != now:
                    self._put(config_map, now, after)
                return Changed(before, after, _manager(config_map))
            except FullError as error:
                raise RulesError([f"{self.namespace}/{RULES}: {error}"]) from error
            except ClusterError as error:
                retry = config_maps.POLICY.decide(error, attempts, self._clock.chance())
                if retry is None:
                    raise self._explained(error, "get, create and update") from error
                self._clock.sleep(retry.wait)
                attempts = retry.attempts

    def _get(self) -> Mapping[str, Any] | None:
        try:
            return config_maps.get(self._cluster, self.namespace, RULES)
        except ClusterError as error:
            raise self._explained(error, "get") from error

    def _rules(self, config_map: Mapping[str, Any]) -> Rules:
        # Most namespaces have no rules, and their runs need no parser.
        from job.journal.rules_text import RulesTextError, rules_from

        try:
            rules = rules_from(config_map)
        except RulesTextError as error:
            raise RulesError([f"{self.namespace}/{RULES}: {line}" for line in error.lines]) from error
        # A freeze that a person wrote without a time is at most as old as the object.
        created = parse_time((config_map.get("metadata") or {}).get("creationTimestamp"))
        return replace(rules, freezes=tuple(replace(freeze, at=freeze.at or created) for freeze in rules.freezes))

    def _put(self, config_map: Mapping[str, Any] | None, before: Rules, after: Rules) -> None:
        from job.journal.rules_text import BLOCKED_KEY, FREEZE_KEY, MOST_BYTES, data_of

        metadata = dict((config_map or {}).get("metadata") or {})
        labels = metadata.get("labels") or config_maps.LABELS
        metadata = {**metadata, "name": RULES, "namespace": self.namespace, "labels": labels}
        metadata.pop("managedFields", None)
        texts, written = dict((config_map or {}).get("data") or {}), data_of(after)
        for key, is_same in (
            (FREEZE_KEY, before.freezes == after.freezes),
            (BLOCKED_KEY, before.blocked == after.blocked),
        ):
            if not is_same:
                texts.pop(key, None)
                texts |= {key: written[key]} if key in written else {}
                if len(texts.get(key, "").encode()) > MOST_BYTES:
                    raise FullError(f"{key} would be larger than {MOST_BYTES >> 10} KiB, which no run reads")
        # What else the object has stays as it is.
        content = {**(config_map or {}), "metadata": metadata, "data": texts}
        config_maps.put(self._cluster, self.namespace, content, is_new=config_map is None)

    def _explained(self, error: ClusterError, verbs: str) -> ClusterError:
        if not error.lacks_right or "(grant " in str(error):
            return error
        advice = f"grant {verbs} on the ConfigMap {RULES} in {self.namespace}"
        return ClusterError(error.reason, f"{error} ({advice})", code=error.code)


def _manager(config_map: Mapping[str, Any] | None) -> str | None:
    """What applies the ConfigMap from a manifest; None where nothing shows that."""
    metadata = (config_map or {}).get("metadata") or {}
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        return "kubectl apply"
    entries = metadata.get("managedFields") or ()
    applied = (entry for entry in entries if isinstance(entry, dict) and entry.get("operation") == "Apply")
    return next((clean(str(entry.get("manager") or "server-side apply"), 60) for entry in applied), None)
