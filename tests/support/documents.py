"""Every document that a test gets is held against its schema."""

from __future__ import annotations

import functools
import json
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from job.views.schemas import DOCUMENTS, schema_of


def check_document(text: str) -> None:
    """Assert that a document is what its schema says, with no key that the schema does not name.

    A text that is not a document of ours is not checked.
    """
    if not text.startswith("{"):
        return
    try:
        found = json.loads(text)
    except ValueError:
        # Of a process that was killed, or a text of another kind.
        return
    if isinstance(found, dict) and isinstance(found.get("kind"), str) and "version" in found:
        assert found["kind"] in DOCUMENTS, f"job/views/schemas.py does not know {found['kind']}"
        problems = [f"{error.json_path}: {error.message}" for error in _validator(found["kind"]).iter_errors(found)]
        assert not problems, "not as job/views/schemas.py says:\n" + "\n".join(problems[:5])


@functools.cache
def _validator(kind: str) -> Draft202012Validator:
    schema = closed(schema_of(kind))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def closed(schema: Any) -> Any:
    """The schema without room for other keys, which the documented one leaves."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    return {**found, "additionalProperties": False} if "required" in schema and "properties" in schema else found
