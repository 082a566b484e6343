"""The rules of a namespace as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from job.domain.rules import BlockRule, FreezeRule, Rules
from job.domain.times import iso


def rules_document(
    namespace: str, rules: Rules, tags_with: Callable[[BlockRule], Sequence[str] | None]
) -> dict[str, Any]:
    """The rules of a namespace; `tags_with` says which tags have an image that a rule blocks, None: not known."""
    return {
        "namespace": namespace,
        "freezes": [_terms(freeze) for freeze in rules.freezes],
        "blocked": [
            {
                "digest": rule.digest,
                "revision": rule.revision,
                **_terms(rule),
                "tags": None if (tags := tags_with(rule)) is None else list(tags),
            }
            for rule in rules.blocked
        ],
    }


def _terms(rule: FreezeRule | BlockRule) -> dict[str, Any]:
    return {"reason": rule.reason, "by": rule.by, "at": iso(rule.at), "until": iso(rule.until)}
