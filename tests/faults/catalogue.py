"""The faults, the moments at which each makes sense, and which exit statuses then tell the truth.

The matrix is the product of both without the exclusions, each of which says why.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from tests.faults.moments import IMPORTS, STREAM_AT, Moment
from tests.faults.scene import NAMES

ALL = tuple(Moment)
BEFORE, AFTER = (Moment.START, Moment.LIST), (Moment.PUSH, Moment.JOURNAL, Moment.END)
Statuses = Callable[[Moment], Collection[int]]
Names = Callable[[Moment], Collection[str]]

NO_IMPORT = "it is about the answer to an import"
NOT_THE_REGISTRY = "the registry is asked only by imports"
NOT_THE_GATEWAY = "the gateway is asked only when metrics are pushed"
NOT_ASKED_ANY_MORE = "metrics are pushed last, after the lock is released: the API is asked for nothing from then on"
NOT_A_LIST = "only a list has pages"
NO_OBJECT = "nothing is written of which there is a version"
NO_OTHER = "no request of the kind came before, whose answer could be taken for this one's"
TOLD_ALREADY = "the tag was told by then, and truly so"
WRITTEN_ALREADY = "the journal has been written by then"
NOT_READ_YET = "at the start there is no journal that this run has begun; that is the moment before the list"
UNDER_WAY = "the write of that moment is under way by then, and another one does not follow"
LOGGED_ALREADY = "the last line is logged by then"
DATED_ALREADY = "the last that is written bears its time by then"
NO_DISK = "nothing but log lines is written to a disk before the report is"
ONCE_A_RUN = "the run begins in its journal once, after the start"
NO_ANSWER = "of the answer to a push nothing is read that could be large"
LEFT_ALREADY = "the termination message was left by then, and nothing else is written to a disk but log lines"


def its_stream(moment: Moment) -> Collection[str]:
    """The tags whose import meets the fault."""
    return {name for name in NAMES if name.partition(":")[0] == STREAM_AT.get(moment)}


def its_source(moment: Moment) -> Collection[str]:
    """The one tag that follows another place."""
    return {f"{STREAM_AT[moment]}:prod"}


def none(moment: Moment) -> Collection[str]:
    """It has nothing to do with imports."""
    return set()


def from_then_on(moment: Moment) -> Collection[str]:
    """Streams are imported by name; what was imported before the fault came stays so."""
    if moment in AFTER:
        return set()
    return {name for name in NAMES if name.partition(":")[0] >= STREAM_AT.get(moment, "a")}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: what it is called in the tests.
        kind: who makes it; see `making`.
        parts: what that needs to know.
        statuses: the exit statuses that tell the truth, by moment.
        struck: the tags that it keeps from being imported, by moment; no other may be told as failed.
        lacking: channels that may lack what they ought to say; the others never do.
        excluded: moments at which it makes no sense, and why.
        slow: moments at which the job waits long, for a timeout or for many tries.
        flawed: the image of one tag is gone from the registry, too.
        remembered: whether there is a journal.
        doubt: nobody can ask afterwards what became of an import.
        internal: the program itself may fail.
        environment: settings beside those of the scene.
    """

    name: str
    kind: str
    parts: Mapping[str, Any] = field(default_factory=dict)
    statuses: Statuses = lambda moment: (0,)
    struck: Names = its_stream
    lacking: frozenset[str] = frozenset()
    excluded: Mapping[Moment, str] = field(default_factory=dict)
    slow: Collection[Moment] = ()
    flawed: bool = False
    remembered: bool = True
    doubt: bool = False
    internal: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The same fault, whether it comes once, a few times or always, to reading or to writing.

        What is answered to the first requests for the journal is one family each for the read and the write.
        """
        return _VARIANT.sub("", self.name)


_VARIANT = re.compile(
    r"-(once|many|always|and-a-signal)$|(?<=^gateway-)read-(?=[0-9hr])|(?<=^journal-read)-\w+$|(?<=^journal-begin)-\w+$"
)


@dataclass(frozen=True)
class Case:
    """A fault at a moment."""

    fault: Fault
    moment: Moment

    @property
    def name(self) -> str:
        return f"{self.fault.name}-{self.moment}"

    @property
    def failing(self) -> Collection[str]:
        """The tags that can be told as failed."""
        flawed = {"a:stg"} if self.fault.flawed else set()
        return {*self.fault.struck(self.moment), *flawed}


def without(moments: Collection[Moment], why: str) -> dict[Moment, str]:
    return dict.fromkeys(moments, why)


def only(moments: Collection[Moment], why: str) -> dict[Moment, str]:
    return {moment: why for moment in ALL if moment not in moments}


def passes(moment: Moment) -> Collection[int]:
    """Another try is enough."""
    return (0,)


def breaks(moment: Moment) -> Collection[int]:
    """Without a list nothing is imported, without an import one stream's tags fail, and afterwards nothing changes."""
    if moment in BEFORE:
        return (3,)
    return (1,) if moment in IMPORTS else (0,)


def stops(moment: Moment) -> Collection[int]:
    """What was told by then stays as it is; before that the run is an aborted one, if anything is left to do."""
    if moment in AFTER:
        return (0,)
    return (0, 6) if moment is Moment.LAST else (6,)


# Longer than it takes to notice that the lock is lost.
LONG = {"IMPORT_TIMEOUT": "60s"}

# The API

EVENTS = frozenset({"events"})
SILENT = frozenset({"journal", "events", "lease"})
ERRORS: dict[str, dict[str, Any]] = {
    "500": {"status": {"code": 500}},
    "502": {"raw": {"status": 502, "content_type": "text/html", "body": "<html>502 Bad Gateway</html>"}},
    "503": {"status": {"code": 503, "headers": {"Retry-After": "1"}}},
    "504": {"status": {"code": 504}},
    "429": {"status": {"code": 429, "headers": {"Retry-After": "1"}}},
    "reset-before": {"reset": "before"},
    "reset-after": {"reset": "after"},
    "truncated": {"truncate": 60},
    "html": {"raw": {"status": 200, "content_type": "text/html", "body": "<html>Sign in</html>"}},
    "huge": {"raw": {"status": 200, "content_type": "application/json", "body": '["0123456789"]', "repeat": 750_000}},
    # Of the house's own invention: a connection that breaks within an answer, and an answer of nothing.
    "cut": {"cut": 60},
    "empty": {"raw": {"status": 200, "content_type": "application/json", "body": "{}"}},
}
# These took effect, so that an import may be found to have succeeded; of a tag that stays the same nobody can tell.
EFFECTIVE = ("reset-after", "truncated", "cut")


def _after_effect(moment: Moment) -> Collection[int]:
    if moment is Moment.FIRST:
        return (1,)
    return (0,) if moment in IMPORTS else breaks(moment)


def _unchanged(moment: Moment) -> Collection[str]:
    return {"a:stg"} if moment is Moment.FIRST else set()


def _of_api() -> Iterator[Fault]:
    for name, parts in ERRORS.items():
        once = {**parts, "times": 1}
        yield Fault(f"api-{name}-once", "rule", once, passes, lacking=EVENTS)
        statuses, struck = (_after_effect, _unchanged) if name in EFFECTIVE else (breaks, its_stream)
        slow = {Moment.JOURNAL}
        yield Fault(f"api-{name}-always", "rule", parts, statuses, struck, SILENT, slow=slow)
    for name, code in (("unauthorized", 401), ("forbidden", 403)):
        yield Fault(f"api-{name}", "rule", {"status": {"code": code}}, breaks, lacking=SILENT)
    unread = without([Moment.LIST], NO_OBJECT)
    for name, times in (("once", 1), ("many", 3), ("always", None)):
        parts = {"status": {"code": 409}, "times": times}
        yield Fault(f"api-conflict-{name}", "rule", parts, _conflicts(times), lacking=SILENT, excluded=unread)
        touch = {**unread, Moment.START: NO_OBJECT, Moment.PUSH: NO_OBJECT}
        touched = {"change": "before", "times": times}
        yield Fault(f"api-touched-{name}", "rule", touched, _conflicts(times), lacking=SILENT, excluded=touch)
    late = {Moment.PUSH, Moment.JOURNAL, *IMPORTS}
    short = {"DEADLINE": "6s", "RETRIES": "0"}
    yield Fault("api-hang", "rule", {"hang": True}, _hangs, from_then_on, SILENT, slow=late, environment=short)
    yield Fault("api-drip", "rule", {"drip": {"bytes": 400, "seconds": 0.02}}, passes)
    drip = {"drip": {"bytes": 1, "seconds": 0.5}}
    most = {Moment.START, *AFTER, *IMPORTS}
    yield Fault("api-endless", "rule", drip, _hangs, from_then_on, SILENT, slow=most, environment=short)
    yield Fault("api-gone", "api-gone", {}, breaks_for_good, from_then_on, SILENT, doubt=True, slow={Moment.JOURNAL})
    pages = only([Moment.LIST], NOT_A_LIST)
    for times in (1, None):
        parts = {"page": 2, "expired": times}
        name = "once" if times else "always"
        yield Fault(f"api-page-expired-{name}", "pages", parts, passes if times else breaks, excluded=pages)
    not_imports = only(IMPORTS, NO_IMPORT)
    yield Fault("api-host-not-allowed", "not-allowed", {}, breaks, its_source, excluded=not_imports)
    gone = without([Moment.START], "a stream that is gone before the list is not told of") | without(
        AFTER, TOLD_ALREADY
    )
    yield Fault("stream-deleted", "stream-deleted", {}, _deleted, excluded=gone)
    # The account is gone; with it each of its tokens is refused.
    yield Fault("token-expired", "token-expired", {}, breaks_for_good, from_then_on, SILENT, doubt=True)
    yield Fault("token-renewed", "token-renewed", {}, passes)
    # Inventions of the house.
    yield Fault("rights-withdrawn", "rights-withdrawn", {}, breaks_for_good, from_then_on, SILENT, doubt=True)
    mixed = without([each for each in ALL if each not in IMPORTS], NO_OTHER)
    yield Fault("api-mixed-up", "rule", {"mix_up": True, "times": 1}, lambda moment: (0, 1), excluded=mixed)
    yield Fault("tag-moves", "tag-moves", {}, passes, excluded=only(IMPORTS, NOT_THE_REGISTRY))
    held = without([Moment.START], "the list is later, and shows the hold") | without(AFTER, TOLD_ALREADY)
    yield Fault("rolled-back-meanwhile", "rolled-back", {}, passes, excluded=held)
    yield Fault(
        "suspended", "suspended", {}, _lost, from_then_on, SILENT, slow={Moment.LIST, *IMPORTS}, environment=LONG
    )


def _conflicts(times: int | None) -> Statuses:
    def statuses(moment: Moment) -> Collection[int]:
        if moment is Moment.START:
            return (0,) if times == 1 else (4,)
        return breaks(moment) if times != 1 and moment in IMPORTS else (0,)

    return statuses


def _hangs(moment: Moment) -> Collection[int]:
    return (0, 6) if moment in AFTER or moment is Moment.LAST else (6,)


def breaks_for_good(moment: Moment) -> Collection[int]:
    """From then on nothing can be asked of the API."""
    if moment in BEFORE:
        return (3,)
    # Every import refused for what makes the API unusable, or some of them.
    return {Moment.FIRST: (3,), Moment.BETWEEN: (1,), Moment.LAST: (1,)}.get(moment, (0,))


def _deleted(moment: Moment) -> Collection[int]:
    return (0,) if moment is Moment.LIST else (1,)


def _lost(moment: Moment) -> Collection[int]:
    if moment is Moment.START:
        return (4,)
    return stops(moment)


# The registry

REGISTRY = {
    "401": "unauthorized-json",
    "403": "denied",
    "404": "manifest-unknown",
    "429": "rate-limited-json",
    "500": "server-error",
    "502": "bad-gateway-html",
    "503": "unavailable",
    "504": "gateway-timeout",
    "hang": "slow-60",
    "redirect": "redirect-away",
    "not-a-manifest": "not-json",
    "token-refused": "token-refused",
}


def _of_registry() -> Iterator[Fault]:
    excluded = only(IMPORTS, NOT_THE_REGISTRY)
    for name, repository in REGISTRY.items():
        parts = {"repository": repository}
        yield Fault(f"registry-{name}", "registry", parts, lambda moment: (1,), its_source, excluded=excluded)
    for name, kind in (("wrong-digest", "wrong-digest"), ("unreachable", "registry-unreachable")):
        yield Fault(f"registry-{name}", kind, {}, lambda moment: (1,), its_source, excluded=excluded)


# The Pushgateway

REFUSALS = {"400": 400, "401": 401, "500": 500, "503": 503}


def _of_gateway() -> Iterator[Fault]:
    excluded = only([Moment.PUSH], NOT_THE_GATEWAY)

    def fault(name: str, kind: str, parts: Mapping[str, Any], *, slow: bool = False, read: bool = False) -> Fault:
        return Fault(
            f"gateway-{name}",
            kind,
            parts,
            lambda moment: (1,),
            lacking=frozenset({"metrics"}),
            excluded=excluded,
            slow={Moment.PUSH} if slow else (),
            flawed=True,
            # What is not remembered has to be read back.
            remembered=not read,
        )

    yield fault("refused", "gateway-refused", {})
    for name, code in REFUSALS.items():
        yield fault(name, "gateway", {"status": code})
        yield fault(f"{name}-once", "gateway", {"status": code, "times": 1})
        yield fault(f"read-{name}", "gateway", {"status": code, "reads": True}, read=True)
    yield fault("redirect", "gateway", {"status": 302})
    yield fault("read-redirect", "gateway", {"status": 302, "reads": True}, read=True)
    yield fault("hang", "gateway", {"hang": True}, slow=True)
    yield fault("hang-once", "gateway", {"hang": True, "times": 1}, slow=True)
    yield fault("takes-it-and-breaks", "gateway", {"status": 500, "after": True})
    for name in ("html", "truncated", "huge"):
        yield fault(f"read-{name}", "gateway", {"text": name, "reads": True}, read=True)
    yield fault("read-hang", "gateway", {"hang": True, "reads": True}, slow=True, read=True)
    signalled = fault("hang-and-a-signal", "gateway-signal", {})
    yield replace(signalled, lacking=frozenset({"metrics", "journal", "events"}))


# The lock


def _of_lock() -> Iterator[Fault]:
    slow = {Moment.LIST, *IMPORTS}
    yield Fault("lock-taken", "lock-taken", {}, _lost, from_then_on, frozenset({"lease"}), slow=slow, environment=LONG)
    unheld = without([Moment.START], "there is no lock yet")
    unseen = frozenset({"lease"})
    yield Fault("lock-deleted", "lock-deleted", {}, stops, from_then_on, unseen, unheld, slow, environment=LONG)


# The journal


def _of_journal() -> Iterator[Fault]:
    late = without([Moment.PUSH, Moment.END], WRITTEN_ALREADY)
    lacking = frozenset({"journal"})
    for name in ("full", "unparseable", "foreign", "deleted"):
        # What it says that is not a journal is told, and begun anew.
        yield Fault(
            f"journal-{name}",
            "journal",
            {"how": name},
            lambda moment: (1,),
            none,
            lacking=lacking,
            excluded=late,
            flawed=True,
        )
    not_yet = {**late, Moment.START: NOT_READ_YET, Moment.JOURNAL: UNDER_WAY}
    yield Fault(
        "journal-over-quota",
        "journal",
        {"how": "refused"},
        lambda moment: (1,),
        none,
        lacking=lacking,
        excluded=not_yet,
        flawed=True,
    )
    once = only([Moment.START], ONCE_A_RUN)
    answers = {name: ERRORS[name] for name in ("500", "html")}
    answers |= {"403": {"status": {"code": 403}}, "409": {"status": {"code": 409}}, "hang": {"hang": True}}
    for method, what, names in (
        ("GET", "read", ("500", "403", "html", "hang")),
        ("PUT", "begin", ("500", "403", "409")),
    ):
        for name in names:
            yield Fault(
                f"journal-{what}-{name}",
                "journal-begun",
                {**answers[name], "method": method},
                passes,
                # The others are tried again.
                lacking=lacking if name in ("403", "hang") else frozenset(),
                excluded=once,
                slow={Moment.START} if name == "hang" else (),
            )


# The process


def _of_process() -> Iterator[Fault]:
    yield Fault("sigterm", "signal", {"signal": "SIGTERM"}, stops, from_then_on, SILENT | {"metrics"})
    yield Fault("sigint", "signal", {"signal": "SIGINT"}, stops, from_then_on, SILENT | {"metrics"})
    killed = SILENT | {"report", "metrics", "termination"}
    yield Fault("sigkill", "signal", {"signal": "SIGKILL"}, lambda moment: (-9,), lacking=killed)
    yield Fault("deadline", "deadline", {}, _hangs, from_then_on, frozenset({"lease"}), environment={"DEADLINE": "6s"})
    unread = without([Moment.PUSH], NO_ANSWER)
    memory = {"answer": ERRORS["huge"]}
    yield Fault("out-of-memory", "memory", memory, _ends, lacking=killed, excluded=unread, internal=True)
    disk = without([each for each in ALL if each is not Moment.END], NO_DISK)
    yield Fault("disk-full", "disk-full", {}, passes, lacking=frozenset({"report", "termination"}), excluded=disk)
    unwritten = frozenset({"termination"})
    logged = without([Moment.PUSH], LOGGED_ALREADY)
    yield Fault("disk-full-for-logs", "logs-full", {}, passes, lacking=unwritten, excluded=logged)
    left = without(AFTER, LEFT_ALREADY)
    yield Fault("no-writable-disk", "no-disk", {}, passes, lacking=unwritten, excluded=left)
    for name, change in (("forward", "+30d"), ("back", "-30d")):
        dated = without([Moment.END, Moment.PUSH], DATED_ALREADY)
        yield Fault(f"clock-{name}", "clock", {"change": change}, passes, excluded=dated)


def _ends(moment: Moment) -> Collection[int]:
    """A defect of the program's own ends it, unless it only tells of the run by then."""
    return (0,) if moment in (Moment.JOURNAL, Moment.END) else (1,)


@cache
def faults() -> tuple[Fault, ...]:
    of_api = (replace(each, excluded={**each.excluded, Moment.PUSH: NOT_ASKED_ANY_MORE}) for each in _of_api())
    found = (*of_api, *_of_registry(), *_of_gateway(), *_of_lock(), *_of_journal(), *_of_process())
    assert len({fault.name for fault in found}) == len(found)
    return found


@cache
def cases() -> tuple[Case, ...]:
    """Every fault at every moment at which it makes sense."""
    return tuple(Case(fault, moment) for fault in faults() for moment in ALL if moment not in fault.excluded)


# Of each family of faults the case that gates each change: at the moment where it says most of the job. What breaks
# an import comes at an import, what breaks a write at a write; the errors of the API come at a moment each, so that
# every moment has several. Only moments at which the job does not wait long.
GATING = (
    *("api-reset-before-once-start", "api-drip-start", "api-gone-start", "api-hang-start", "journal-read-500-start"),
    *("journal-begin-409-start", "token-renewed-start", "rights-withdrawn-start", "disk-full-for-logs-start"),
    *("api-truncated-once-list", "api-cut-once-list", "api-endless-list", "api-page-expired-once-list"),
    *("journal-deleted-list", "no-writable-disk-list", "out-of-memory-list", "sigint-list"),
    *("api-huge-once-first", "api-touched-many-first", "stream-deleted-first", "sigkill-first", "deadline-first"),
    *("registry-504-first", "registry-not-a-manifest-first", "registry-unreachable-first", "journal-foreign-first"),
    *("journal-unparseable-first", "registry-404-first"),
    *("api-500-always-between", "api-html-always-between", "api-forbidden-between", "api-host-not-allowed-between"),
    *("rolled-back-meanwhile-between", "registry-hang-between", "registry-redirect-between", "registry-403-between"),
    *("registry-500-between", "registry-502-between", "registry-token-refused-between", "journal-full-between"),
    *("api-reset-after-always-last", "api-mixed-up-last", "tag-moves-last", "registry-401-last", "registry-429-last"),
    *("registry-503-last", "registry-wrong-digest-last", "journal-over-quota-last"),
    *("api-502-once-end", "api-503-always-end", "api-504-always-end", "api-429-once-journal", "api-empty-always-end"),
    *("token-expired-end", "gateway-refused-push", "gateway-400-push", "gateway-401-push", "gateway-500-once-push"),
    *("gateway-503-push", "gateway-redirect-push", "gateway-takes-it-and-breaks-push", "gateway-read-html-push"),
    *("gateway-read-truncated-push", "gateway-read-huge-push", "gateway-hang-and-a-signal-push"),
    *("api-conflict-many-journal", "sigterm-journal", "clock-forward-journal", "clock-back-journal"),
    *("api-unauthorized-end", "suspended-end", "lock-taken-end", "lock-deleted-end", "disk-full-end"),
)


@cache
def gating() -> frozenset[str]:
    """The names of the cases that gate each change: one of each family of faults."""
    return frozenset(GATING)
