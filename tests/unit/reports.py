"""Reports to say something about: one that reads well, and any that there could be."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from job.domain.model import (
    By,
    Command,
    Gate,
    GateVerdict,
    Hold,
    Image,
    Outcome,
    Reason,
    Report,
    Result,
    RunError,
    Skip,
    Stage,
    TagResult,
    Tally,
    TriggerKind,
    Verdict,
)

NAMESPACE = "packit-prod"
STARTED = datetime(2026, 11, 24, 2, 0, 3, tzinfo=UTC)
FINISHED = STARTED + timedelta(seconds=12.5)
OLD = Image("sha256:" + "a" * 64, STARTED - timedelta(days=9), STARTED - timedelta(days=7), "1a2b3c", "1.0")
NEW = Image("sha256:" + "b" * 64, STARTED - timedelta(days=1), STARTED, "4d5e6f", None)


def tag_result(stream: str = "packit-worker", tag: str = "prod", **values: Any) -> TagResult:
    """A tag that was updated, unless told otherwise."""
    base = TagResult(
        namespace=NAMESPACE,
        stream=stream,
        tag=tag,
        source=f"quay.io/packit/{stream}:{tag}",
        result=Result.UPDATED,
        attempts=1,
        seconds=0.41,
        before=OLD,
        after=NEW,
    )
    return replace(base, **values)


def failed(stream: str = "packit-service", reason: Reason = Reason.NOT_FOUND, **values: Any) -> TagResult:
    told = {"by": By.REGISTRY, "message": "not found", "after": OLD, "result": Result.FAILED, "reason": reason}
    return tag_result(stream, **{**told, **values})


def held(stream: str = "packit-held", until: datetime | None = None) -> TagResult:
    hold = Hold(STARTED - timedelta(days=2), until, "jane", "crashes", OLD.digest)
    return tag_result(stream, result=Result.SKIPPED, reason=Skip.HELD, hold=hold, after=OLD, attempts=0, seconds=None)


def gated(stream: str = "packit-young", message: str = "waits for 1d 4h", **values: Any) -> TagResult:
    """A tag whose new image a gate held back."""
    until = STARTED + timedelta(hours=28)
    verdict = Verdict(Gate.MIN_AGE, GateVerdict.HELD, NEW.digest, message, STARTED, until, reason=Skip.YOUNG)
    held_back = {"result": Result.SKIPPED, "reason": Skip.YOUNG, "after": OLD, "candidate": NEW, "message": message}
    return tag_result(stream, **{**held_back, "gates": (verdict,), **values})


def report_of(*tags: TagResult, outcome: Outcome = Outcome.SUCCESS, **values: Any) -> Report:
    """A report of a run of one namespace."""
    base = Report(
        id="20261124T020003Z-4f1c",
        command=Command.RUN,
        trigger=TriggerKind.LOCAL,
        started_at=STARTED,
        finished_at=FINISHED,
        outcome=outcome,
        exit_status=0,
        deployment="prod",
        namespaces=(NAMESPACE,),
        tags=tags,
        errors=(),
        tallies={NAMESPACE: Tally(Counter({"201": 3, "200": 1}), Counter({"conflict": 1}))},
        outcomes={NAMESPACE: outcome},
    )
    return replace(base, **values)


def unlisted(**values: Any) -> Report:
    """A report of a run that could not list one of its two namespaces."""
    error = RunError(NAMESPACE, Stage.LIST, Reason.FORBIDDEN, "cannot list image streams")
    told = {"outcome": Outcome.PARTIAL, "exit_status": 1, "errors": (error,), "namespaces": (NAMESPACE, "other")}
    outcomes = {NAMESPACE: Outcome.FAILURE, "other": Outcome.SUCCESS}
    return report_of(**{**told, "outcomes": outcomes, **values})


TIMES = st.sampled_from([STARTED, STARTED - timedelta(days=9, microseconds=1), datetime(1970, 1, 2, tzinfo=UTC)])
TEXT = st.text(max_size=6) | st.text('"\\\n\r\t{}#= é', max_size=6)
NAMES = st.text("ab-.", min_size=1, max_size=4)
IMAGES = st.builds(
    Image,
    st.text("ab:", min_size=1, max_size=8),
    st.none() | TIMES,
    st.none() | TIMES,
    st.none() | TEXT,
    st.none() | TEXT,
)
HOLDS = st.builds(Hold, st.none() | TIMES, st.none() | TIMES, st.none() | TEXT, st.none() | TEXT, st.just("sha256:a"))


@st.composite
def tag_results(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES) -> TagResult:
    result = draw(st.sampled_from(Result))
    reason: Reason | Skip | None = None
    if result is Result.FAILED:
        reason = draw(st.sampled_from(Reason))
    elif result is Result.SKIPPED:
        reason = draw(st.sampled_from(Skip))
    return TagResult(
        namespace=draw(st.sampled_from([NAMESPACE, "other"])),
        stream=draw(names),
        tag=draw(st.sampled_from(["prod", "stg"])),
        source=draw(st.none() | TEXT),
        result=result,
        reason=reason,
        by=draw(st.none() | st.sampled_from(By)),
        message=draw(st.none() | TEXT),
        attempts=draw(st.integers(0, 9)),
        seconds=draw(st.none() | st.floats(0, 1e6)),
        moved_with=tuple(draw(st.lists(NAMES, max_size=2))),
        before=draw(st.none() | IMAGES),
        after=draw(st.none() | IMAGES),
        hold=draw(HOLDS) if reason is Skip.HELD else None,
    )


@st.composite
def reports(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES) -> Report:
    tags = draw(st.lists(tag_results(names), max_size=3, unique_by=lambda tag: (tag.namespace, tag.stream, tag.tag)))
    outcomes = {namespace: draw(st.sampled_from(Outcome)) for namespace in (NAMESPACE, "other")}
    errors = st.builds(
        RunError,
        st.sampled_from([NAMESPACE, "other"]),
        st.sampled_from([Stage.LIST, Stage.SELECT]),
        st.sampled_from(Reason),
        TEXT,
    )
    counts = st.dictionaries(TEXT, st.integers(1, 99), max_size=2).map(lambda found: Counter[str](found))
    started = draw(TIMES)
    return Report(
        id=draw(TEXT),
        command=draw(st.sampled_from([Command.RUN, Command.PLAN])),
        trigger=draw(st.sampled_from(TriggerKind)),
        started_at=started,
        finished_at=started + timedelta(seconds=draw(st.integers(0, 3600))),
        outcome=draw(st.sampled_from(Outcome)),
        exit_status=draw(st.integers(0, 6)),
        deployment=draw(st.none() | st.sampled_from(["prod", "stg"])),
        namespaces=(NAMESPACE, "other"),
        tags=tuple(tags),
        errors=tuple(draw(st.lists(errors, max_size=2))),
        tallies={namespace: draw(st.builds(Tally, counts, counts)) for namespace in draw(st.sets(st.just(NAMESPACE)))},
        outcomes=outcomes,
    )
