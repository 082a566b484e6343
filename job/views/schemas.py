"""The JSON Schema of every document that a command prints. Every output of the tests is validated against these.

Keys may be added at any time, so that the schemas allow keys that they do not name.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from job.domain.exit_status import ExitStatus
from job.domain.model import By, Command, Outcome, Reason, Result, RolloutResult, Skip, Stage, TriggerKind

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TEXT: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
# RFC 3339 in UTC.
TIME: Schema = {"type": "string", "format": "date-time"}
DIGEST: Schema = {"type": "string", "pattern": "^[a-z0-9]+:[a-f0-9]+$"}


def _or_null(schema: Schema) -> Schema:
    if isinstance(schema.get("type"), str):
        values = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
        return {**schema, "type": [schema["type"], "null"], **values}
    return {"anyOf": [schema, {"type": "null"}]}


def _one_of(*kinds: Iterable[StrEnum], also: Iterable[str] = ()) -> Schema:
    return {"type": "string", "enum": list(dict.fromkeys([*(str(each) for kind in kinds for each in kind), *also]))}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(optional: Schema | None = None, **keys: Schema) -> Schema:
    """An object with these keys, `optional` ones besides; a trailing underscore of a key is not a part of it."""
    named = {key.rstrip("_"): schema for key, schema in keys.items()}
    return {"type": "object", "properties": {**named, **(optional or {})}, "required": list(named)}


TEXT_OR_NULL, TIME_OR_NULL, NUMBER_OR_NULL = _or_null(TEXT), _or_null(TIME), _or_null(NUMBER)
TAG_NAME = {"namespace": TEXT, "stream": TEXT, "tag": TEXT}
OUTCOME = _one_of(Outcome, also=["running"])
SHARD = _or_null(_object(index=COUNT, count={"type": "integer", "minimum": 1}))
RESULT_REASON = _or_null(_one_of(Reason, Skip))
IMAGE = _or_null(
    _object(digest=DIGEST, created=TIME_OR_NULL, imported_at=TIME_OR_NULL, revision=TEXT_OR_NULL, version=TEXT_OR_NULL)
)
HOLD = _or_null(
    _object(
        at=TIME_OR_NULL,
        by=TEXT_OR_NULL,
        reason=TEXT_OR_NULL,
        until=TIME_OR_NULL,
        until_newer=BOOLEAN,
        image=TEXT_OR_NULL,
        rolled_back_from=TEXT_OR_NULL,
    )
)
RUN = _object(
    id=TEXT,
    trigger=_one_of(TriggerKind),
    job=TEXT_OR_NULL,
    scheduled_at=TIME_OR_NULL,
    started_at=TIME,
    finished_at=TIME,
    outcome=_one_of(Outcome),
    exit_status={"type": "integer", "enum": [int(status) for status in ExitStatus]},
    deployment=TEXT_OR_NULL,
    namespaces=_list(TEXT),
    shard=SHARD,
    server=TEXT_OR_NULL,
    user=TEXT_OR_NULL,
    requests=COUNT,
    retries=COUNT,
)
TAG_RESULT = _object(
    **TAG_NAME,
    source=TEXT_OR_NULL,
    result=_one_of(Result),
    reason=RESULT_REASON,
    by=_or_null(_one_of(By)),
    message=TEXT_OR_NULL,
    attempts=COUNT,
    seconds=NUMBER_OR_NULL,
    moved_with=_list(TEXT),
    before=IMAGE,
    after=IMAGE,
)
ROLLOUT = _object(
    namespace=TEXT,
    kind=TEXT,
    name=TEXT,
    tags=_list(TEXT),
    result=_one_of(RolloutResult),
    message=TEXT_OR_NULL,
    seconds=NUMBER_OR_NULL,
)
ERROR = _object(namespace=TEXT, stage=_one_of(Stage), reason=_one_of(Reason), message=TEXT)
REPORT = {"run": RUN, "tags": _list(TAG_RESULT), "rollouts": _list(ROLLOUT), "errors": _list(ERROR)}
WHOLE_RUN = {"run_id": TEXT, "left_alone": _list(_object(namespace=TEXT, tag=TEXT, why=TEXT))}
STATUS = _object(
    at=TIME,
    well=BOOLEAN,
    deployment=TEXT_OR_NULL,
    namespaces=_list(TEXT),
    attention=_list(
        _object(
            namespace=TEXT,
            subject=TEXT,
            problem=TEXT,
            message=TEXT,
            since=TIME_OR_NULL,
            command=TEXT_OR_NULL,
        )
    ),
    unknown=_list(_object(namespace=TEXT_OR_NULL, part=TEXT, message=TEXT)),
    tags=_list(
        _object(
            **TAG_NAME,
            source=TEXT_OR_NULL,
            state=TEXT,
            reason=RESULT_REASON,
            by=_or_null(_one_of(By)),
            message=TEXT_OR_NULL,
            image=IMAGE,
            registry=IMAGE,
            old=BOOLEAN,
            hold=HOLD,
            last_success=TIME_OR_NULL,
            failed_runs=COUNT,
            failing_since=TIME_OR_NULL,
        )
    ),
    schedules=_list(
        _object(
            namespace=TEXT,
            cronjob=TEXT,
            deployment=TEXT_OR_NULL,
            namespaces=_list(TEXT),
            schedule=TEXT,
            time_zone=TEXT_OR_NULL,
            suspended=BOOLEAN,
            next_due=TIME_OR_NULL,
            missed=TIME_OR_NULL,
            last_run=TEXT_OR_NULL,
            last_run_delay=NUMBER_OR_NULL,
            message=TEXT_OR_NULL,
        )
    ),
    runs=_list(
        _object(
            namespace=TEXT,
            id=TEXT,
            command=_one_of(Command),
            narrowed=BOOLEAN,
            trigger=_one_of(TriggerKind),
            job=TEXT_OR_NULL,
            deployment=TEXT_OR_NULL,
            shard=SHARD,
            outcome=OUTCOME,
            exit_status=_or_null({"type": "integer"}),
            scheduled_at=TIME_OR_NULL,
            started_at=TIME_OR_NULL,
            finished_at=TIME_OR_NULL,
            delay=NUMBER_OR_NULL,
            tags={"type": "object", "additionalProperties": COUNT},
        )
    ),
    workloads=_list(
        _object(
            namespace=TEXT,
            kind=TEXT,
            name=TEXT,
            tags=_list(TEXT),
            result=_one_of(RolloutResult, also=["under_way"]),
            message=TEXT_OR_NULL,
            command=TEXT_OR_NULL,
        )
    ),
)
HISTORY = _object(
    tags=_list(
        _object(
            **TAG_NAME,
            source=TEXT,
            hold=HOLD,
            import_error=_or_null(_object(reason=TEXT_OR_NULL, message=TEXT_OR_NULL, since=TIME_OR_NULL)),
            images=_list(
                _object(
                    digest=DIGEST,
                    pull_spec=TEXT_OR_NULL,
                    imported_at=TIME_OR_NULL,
                    until=TIME_OR_NULL,
                    seconds=_or_null({"type": "integer"}),
                    current=BOOLEAN,
                    held=BOOLEAN,
                    put_back=BOOLEAN,
                    rolled_back_from=BOOLEAN,
                    created=TIME_OR_NULL,
                    revision=TEXT_OR_NULL,
                    version=TEXT_OR_NULL,
                    in_registry=_or_null(BOOLEAN),
                )
            ),
        )
    )
)
MOVED = _object(
    namespace=TEXT,
    tag=TEXT,
    from_=TEXT_OR_NULL,
    to=TEXT_OR_NULL,
    from_revision=TEXT_OR_NULL,
    to_revision=TEXT_OR_NULL,
    rolled_back=BOOLEAN,
)
RUNS = _object(
    runs=_list(
        _object(
            id=TEXT,
            command=_one_of(Command),
            trigger=_one_of(TriggerKind),
            job=TEXT_OR_NULL,
            namespaces=_list(TEXT),
            deployment=TEXT_OR_NULL,
            outcome=OUTCOME,
            started_at=TIME_OR_NULL,
            finished_at=TIME_OR_NULL,
            moved=_list(MOVED),
        )
    )
)
DOCTOR = _object(
    namespaces=_list(TEXT),
    deployment=TEXT_OR_NULL,
    exit_status={"type": "integer", "enum": [0, 1]},
    looked_at={"type": "object", "additionalProperties": COUNT},
    gateway_probed=BOOLEAN,
    findings=_list(
        _object(
            severity=TEXT,
            check=TEXT,
            namespace=TEXT_OR_NULL,
            where=TEXT,
            message=TEXT,
            fix=_list(TEXT),
            inspect=_list(TEXT),
        )
    ),
)
ROLLBACK = {
    "from": TEXT,
    "to": TEXT,
    "in_registry": _or_null(BOOLEAN),
    "warnings": _list(TEXT),
    "hold": HOLD,
    **WHOLE_RUN,
}
_COMMIT = {"commit": TEXT, "at": TIME_OR_NULL, "author": TEXT, "subject": TEXT}
_NOTED = _object(**_COMMIT, pull_requests=_list(TEXT), release_notes=_list(TEXT))
_CHANGE = _object(
    namespace=TEXT_OR_NULL,
    tags=_list(TEXT),
    before=TEXT_OR_NULL,
    after=TEXT_OR_NULL,
    compare=TEXT_OR_NULL,
    commits=_list(_NOTED),
    taken_back=_list(_NOTED),
    pull_requests=_list(TEXT),
    message=TEXT_OR_NULL,
)
PROMOTE_STATUS = _object(
    repositories=_list(
        _object(
            name=TEXT,
            stable=_or_null(_object(**_COMMIT)),
            rolling=_or_null(_object(**_COMMIT)),
            between=_or_null(COUNT),
            only_on_stable=_or_null(COUNT),
            error=TEXT_OR_NULL,
            running=_list(_object(namespace=TEXT_OR_NULL, tag=TEXT, revision=TEXT_OR_NULL, place=TEXT)),
        )
    ),
    cluster_error=TEXT_OR_NULL,
)
MOVES = _object(
    repositories=_list(
        _object(
            repository=TEXT,
            result=TEXT,
            from_=TEXT_OR_NULL,
            to=TEXT_OR_NULL,
            commits=_or_null(COUNT),
            message=TEXT_OR_NULL,
        )
    ),
    monorepo=_or_null(_object(commit=TEXT_OR_NULL, message=TEXT_OR_NULL)),
)
ARRIVALS = _object(
    images=_list(
        _object(
            repository=TEXT,
            **TAG_NAME,
            commit=TEXT,
            state=TEXT,
            revision=TEXT_OR_NULL,
            message=TEXT_OR_NULL,
            seconds=NUMBER_OR_NULL,
        )
    )
)
NOTES = _object(
    deployment=TEXT_OR_NULL,
    namespaces=_list(TEXT),
    period=TEXT_OR_NULL,
    runs=_list(_object(id=TEXT, started_at=TIME_OR_NULL, finished_at=TIME_OR_NULL)),
    repositories=_list(_object(name=TEXT, url=TEXT_OR_NULL, changes=_list(_CHANGE))),
    others=_list(_CHANGE),
)
EXPLAIN = _object(words=_list(_object(word=TEXT, what=TEXT, meaning=TEXT)))

# By the document's kind: the commands that print it, its version and its content.
DOCUMENTS: dict[str, tuple[str, int, Schema]] = {
    "Report": ("run, plan", 1, _object(**REPORT)),
    "Rollback": ("rollback", 1, _object(ROLLBACK, **REPORT)),
    "Resume": ("resume", 1, _object({"released": HOLD, **WHOLE_RUN}, **REPORT)),
    "Status": ("status", 1, STATUS),
    "History": ("history", 1, HISTORY),
    "Runs": ("history --runs", 1, RUNS),
    "Doctor": ("doctor", 2, DOCTOR),
    "Explain": ("explain", 1, EXPLAIN),
    "PromoteStatus": ("promote status", 1, PROMOTE_STATUS),
    "Moves": ("promote move", 1, MOVES),
    "Arrivals": ("promote wait", 1, ARRIVALS),
    "Notes": ("promote notes", 1, NOTES),
}


def schema_of(kind: str) -> Schema:
    """The JSON Schema of a document.

    Raises:
        KeyError: no document has that kind.
    """
    commands, version, content = DOCUMENTS[kind]
    head: Schema = {"kind": {"const": kind}, "version": {"const": version}}
    return {
        "$schema": DIALECT,
        "title": kind,
        "description": f"What import-images prints with --output json: {commands}.",
        **content,
        "properties": {**head, **content["properties"]},
        "required": [*head, *content["required"]],
    }
