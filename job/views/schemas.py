"""The JSON Schema of every document that a command prints. Every output of the tests is validated against these.

Keys may be added at any time, so that the schemas allow keys that they do not name.
"""

from __future__ import annotations

from job.domain.exit_status import ExitStatus
from job.domain.model import (
    By,
    Command,
    Gate,
    GateVerdict,
    Outcome,
    Reason,
    Result,
    RolloutResult,
    Skip,
    Stage,
    TriggerKind,
)
from job.domain.states import Problem, Severity, State
from job.views.promote_schemas import ARRIVALS, MOVES, NOTES, PROMOTE_STATUS
from job.views.queries_document import QUERY
from job.views.rules_schema import NAMESPACE_RULES, RULES
from job.views.schema_parts import (
    BOOLEAN,
    COUNT,
    DIALECT,
    DIGEST,
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TIME_OR_NULL,
    Schema,
    list_of,
    object_of,
    one_of,
    or_null,
)

TAG_NAME = {"namespace": TEXT, "stream": TEXT, "tag": TEXT}
OUTCOME = one_of(Outcome, also=["running"])
SHARD = or_null(object_of(index=COUNT, count={"type": "integer", "minimum": 1}))
RESULT_REASON = or_null(one_of(Reason, Skip))
IMAGE = or_null(
    object_of(
        digest=DIGEST,
        created=TIME_OR_NULL,
        imported_at=TIME_OR_NULL,
        revision=TEXT_OR_NULL,
        version=TEXT_OR_NULL,
        repository_url=TEXT_OR_NULL,
    )
)
HOLD = or_null(
    object_of(
        at=TIME_OR_NULL,
        by=TEXT_OR_NULL,
        reason=TEXT_OR_NULL,
        until=TIME_OR_NULL,
        until_newer=BOOLEAN,
        image=TEXT_OR_NULL,
        rolled_back_from=TEXT_OR_NULL,
    )
)
RUN = object_of(
    id=TEXT,
    command=one_of(Command),
    trigger=one_of(TriggerKind),
    job=TEXT_OR_NULL,
    scheduled_at=TIME_OR_NULL,
    started_at=TIME,
    finished_at=TIME,
    startup_seconds=NUMBER,
    outcome=one_of(Outcome),
    exit_status={"type": "integer", "enum": [int(status) for status in ExitStatus]},
    deployment=TEXT_OR_NULL,
    namespaces=list_of(TEXT),
    shard=SHARD,
    server=TEXT_OR_NULL,
    user=TEXT_OR_NULL,
    requests=COUNT,
    retries=COUNT,
)
GATE = object_of(
    gate=one_of(Gate),
    verdict=one_of(GateVerdict),
    digest=DIGEST,
    reason=RESULT_REASON,
    by=or_null(one_of(By)),
    message=TEXT_OR_NULL,
    where=TEXT_OR_NULL,
    since=TIME_OR_NULL,
    until=TIME_OR_NULL,
)
TAG_RESULT = object_of(
    **TAG_NAME,
    source=TEXT_OR_NULL,
    result=one_of(Result),
    reason=RESULT_REASON,
    by=or_null(one_of(By)),
    message=TEXT_OR_NULL,
    attempts=COUNT,
    seconds=NUMBER_OR_NULL,
    moved_with=list_of(TEXT),
    before=IMAGE,
    after=IMAGE,
    gates=list_of(GATE),
    candidate=IMAGE,
)
ROLLOUT = object_of(
    namespace=TEXT,
    kind=TEXT,
    name=TEXT,
    tags=list_of(TEXT),
    result=one_of(RolloutResult),
    message=TEXT_OR_NULL,
    seconds=NUMBER_OR_NULL,
)
ERROR = object_of(namespace=TEXT, stage=one_of(Stage), reason=one_of(Reason), message=TEXT)
REPORT = {
    "run": RUN,
    "tags": list_of(TAG_RESULT),
    "rollouts": list_of(ROLLOUT),
    "queries": list_of(QUERY),
    "errors": list_of(ERROR),
}
WHOLE_RUN = {"run_id": TEXT, "left_alone": list_of(object_of(namespace=TEXT, tag=TEXT, why=TEXT))}
STATUS = object_of(
    at=TIME,
    well=BOOLEAN,
    deployment=TEXT_OR_NULL,
    namespaces=list_of(TEXT),
    attention=list_of(
        object_of(
            namespace=TEXT,
            subject=TEXT,
            problem=one_of(Problem),
            message=TEXT,
            since=TIME_OR_NULL,
            command=TEXT_OR_NULL,
        )
    ),
    unknown=list_of(object_of(namespace=TEXT_OR_NULL, part=TEXT, message=TEXT)),
    tags=list_of(
        object_of(
            **TAG_NAME,
            source=TEXT_OR_NULL,
            state=one_of(State),
            reason=RESULT_REASON,
            by=or_null(one_of(By)),
            message=TEXT_OR_NULL,
            image=IMAGE,
            registry=IMAGE,
            old=BOOLEAN,
            hold=HOLD,
            last_success=TIME_OR_NULL,
            failed_runs=COUNT,
            failing_since=TIME_OR_NULL,
            gate=or_null(
                object_of(
                    gate=one_of(Gate),
                    verdict=one_of(GateVerdict),
                    digest=DIGEST,
                    message=TEXT,
                    where=TEXT_OR_NULL,
                    held_since=TIME_OR_NULL,
                    until=TIME_OR_NULL,
                )
            ),
        )
    ),
    schedules=list_of(
        object_of(
            namespace=TEXT,
            cronjob=TEXT,
            deployment=TEXT_OR_NULL,
            namespaces=list_of(TEXT),
            schedule=TEXT,
            time_zone=TEXT_OR_NULL,
            suspended=BOOLEAN,
            gates=list_of(one_of(Gate)),
            next_due=TIME_OR_NULL,
            missed=TIME_OR_NULL,
            last_run=TEXT_OR_NULL,
            last_run_delay=NUMBER_OR_NULL,
            message=TEXT_OR_NULL,
        )
    ),
    runs=list_of(
        object_of(
            namespace=TEXT,
            id=TEXT,
            command=one_of(Command),
            narrowed=BOOLEAN,
            trigger=one_of(TriggerKind),
            job=TEXT_OR_NULL,
            deployment=TEXT_OR_NULL,
            shard=SHARD,
            outcome=OUTCOME,
            exit_status=or_null({"type": "integer"}),
            scheduled_at=TIME_OR_NULL,
            started_at=TIME_OR_NULL,
            finished_at=TIME_OR_NULL,
            delay=NUMBER_OR_NULL,
            tags={"type": "object", "additionalProperties": COUNT},
        )
    ),
    workloads=list_of(
        object_of(
            namespace=TEXT,
            kind=TEXT,
            name=TEXT,
            tags=list_of(TEXT),
            result=one_of(RolloutResult, also=["under_way"]),
            message=TEXT_OR_NULL,
            command=TEXT_OR_NULL,
        )
    ),
    rules=list_of(object_of(**NAMESPACE_RULES)),
)
HISTORY = object_of(
    tags=list_of(
        object_of(
            **TAG_NAME,
            source=TEXT,
            hold=HOLD,
            import_error=or_null(object_of(reason=TEXT_OR_NULL, message=TEXT_OR_NULL, since=TIME_OR_NULL)),
            images=list_of(
                object_of(
                    digest=DIGEST,
                    pull_spec=TEXT_OR_NULL,
                    imported_at=TIME_OR_NULL,
                    until=TIME_OR_NULL,
                    seconds=or_null({"type": "integer"}),
                    current=BOOLEAN,
                    held=BOOLEAN,
                    put_back=BOOLEAN,
                    rolled_back_from=BOOLEAN,
                    created=TIME_OR_NULL,
                    revision=TEXT_OR_NULL,
                    version=TEXT_OR_NULL,
                    in_registry=or_null(BOOLEAN),
                )
            ),
        )
    )
)
MOVED = object_of(
    namespace=TEXT,
    tag=TEXT,
    from_=TEXT_OR_NULL,
    to=TEXT_OR_NULL,
    **dict.fromkeys(("from_revision", "to_revision", "from_link", "to_link", "compare"), TEXT_OR_NULL),
    rolled_back=BOOLEAN,
)
RUNS = object_of(
    runs=list_of(
        object_of(
            id=TEXT,
            command=one_of(Command),
            trigger=one_of(TriggerKind),
            job=TEXT_OR_NULL,
            namespaces=list_of(TEXT),
            deployment=TEXT_OR_NULL,
            outcome=OUTCOME,
            started_at=TIME_OR_NULL,
            finished_at=TIME_OR_NULL,
            moved=list_of(MOVED),
        )
    )
)
DOCTOR = object_of(
    namespaces=list_of(TEXT),
    deployment=TEXT_OR_NULL,
    exit_status={"type": "integer", "enum": [0, 1]},
    looked_at={"type": "object", "additionalProperties": COUNT},
    gateway_probed=BOOLEAN,
    findings=list_of(
        object_of(
            severity=one_of(Severity),
            check=TEXT,
            namespace=TEXT_OR_NULL,
            where=TEXT,
            message=TEXT,
            fix=list_of(TEXT),
            inspect=list_of(TEXT),
        )
    ),
)
ROLLBACK = {
    "from": TEXT,
    "to": TEXT,
    "in_registry": or_null(BOOLEAN),
    "warnings": list_of(TEXT),
    "hold": HOLD,
    "blocked": list_of(TEXT),
    **WHOLE_RUN,
}
NOTIFY = object_of(services=list_of(object_of(name=TEXT, sent=or_null(BOOLEAN), message=TEXT_OR_NULL)))
EXPLAIN = object_of(words=list_of(object_of(word=TEXT, what=TEXT, meaning=TEXT)))

# By the document's kind: the commands that print it, its version and its content.
DOCUMENTS: dict[str, tuple[str, int, Schema]] = {
    "Report": ("run, plan", 1, object_of(**REPORT)),
    "Rollback": ("rollback", 1, object_of(ROLLBACK, **REPORT)),
    "Resume": ("resume", 1, object_of({"released": HOLD, **WHOLE_RUN}, **REPORT)),
    "Status": ("status", 1, STATUS),
    "History": ("history", 1, HISTORY),
    "Runs": ("history --runs", 1, RUNS),
    "Rules": ("freeze, thaw, block, unblock", 1, RULES),
    "Doctor": ("doctor", 2, DOCTOR),
    "Notify": ("notify", 1, NOTIFY),
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
