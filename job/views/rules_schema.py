"""The JSON Schema of the rules that commands print."""

from __future__ import annotations

from job.views.schema_parts import BOOLEAN, DIGEST, TEXT, TEXT_OR_NULL, TIME_OR_NULL, list_of, object_of, or_null

_TERMS = {"reason": TEXT_OR_NULL, "by": TEXT_OR_NULL, "at": TIME_OR_NULL, "until": TIME_OR_NULL}
FREEZE_RULE = object_of(**_TERMS)
BLOCK_RULE = object_of(digest=or_null(DIGEST), revision=TEXT_OR_NULL, **_TERMS, tags=or_null(list_of(TEXT)))
NAMESPACE_RULES = {"namespace": TEXT, "freezes": list_of(FREEZE_RULE), "blocked": list_of(BLOCK_RULE)}
RULES = object_of(namespaces=list_of(object_of(changed=BOOLEAN, **NAMESPACE_RULES)))
