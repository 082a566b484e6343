"""The JSON Schemas of the documents that `promote` prints."""

from __future__ import annotations

from job.domain.states import Arrival, MoveResult
from job.views.schema_parts import (
    COUNT,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TIME_OR_NULL,
    list_of,
    object_of,
    one_of,
    or_null,
)

_COMMIT = {"commit": TEXT, "at": TIME_OR_NULL, "author": TEXT, "subject": TEXT}
_NOTED = object_of(**_COMMIT, pull_requests=list_of(TEXT), release_notes=list_of(TEXT))
_CHANGE = object_of(
    namespace=TEXT_OR_NULL,
    tags=list_of(TEXT),
    before=TEXT_OR_NULL,
    after=TEXT_OR_NULL,
    compare=TEXT_OR_NULL,
    commits=list_of(_NOTED),
    taken_back=list_of(_NOTED),
    pull_requests=list_of(TEXT),
    message=TEXT_OR_NULL,
)
PROMOTE_STATUS = object_of(
    repositories=list_of(
        object_of(
            name=TEXT,
            stable=or_null(object_of(**_COMMIT)),
            rolling=or_null(object_of(**_COMMIT)),
            between=or_null(COUNT),
            only_on_stable=or_null(COUNT),
            error=TEXT_OR_NULL,
            running=list_of(object_of(namespace=TEXT_OR_NULL, tag=TEXT, revision=TEXT_OR_NULL, place=TEXT)),
        )
    ),
    cluster_error=TEXT_OR_NULL,
)
MOVES = object_of(
    repositories=list_of(
        object_of(
            repository=TEXT,
            result=one_of(MoveResult),
            from_=TEXT_OR_NULL,
            to=TEXT_OR_NULL,
            commits=or_null(COUNT),
            message=TEXT_OR_NULL,
        )
    ),
    monorepo=or_null(object_of(commit=TEXT_OR_NULL, message=TEXT_OR_NULL)),
)
ARRIVALS = object_of(
    images=list_of(
        object_of(
            repository=TEXT,
            namespace=TEXT,
            stream=TEXT,
            tag=TEXT,
            commit=TEXT,
            state=one_of(Arrival),
            revision=TEXT_OR_NULL,
            message=TEXT_OR_NULL,
            seconds=NUMBER_OR_NULL,
        )
    )
)
NOTES = object_of(
    deployment=TEXT_OR_NULL,
    namespaces=list_of(TEXT),
    period=TEXT_OR_NULL,
    runs=list_of(object_of(id=TEXT, started_at=TIME_OR_NULL, finished_at=TIME_OR_NULL)),
    repositories=list_of(object_of(name=TEXT, url=TEXT_OR_NULL, changes=list_of(_CHANGE))),
    others=list_of(_CHANGE),
)
