"""One run, from settings to report: list the streams, choose tags, import them, and say what became of it."""

from __future__ import annotations

import difflib
import logging
import random
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from job.clusters import IMAGE_STREAMS, Cluster
from job.describing import Describer
from job.errors import ClusterError, UsageError
from job.holds import is_over
from job.importing import Options, Surroundings, run_imports
from job.model import By, Outcome, Reason, Report, Result, RunError, Stream, TagResult, Tally
from job.openshift import stream_from
from job.pacing import Pool, wait_before
from job.reasons import PASSING, clean
from job.selection import Choice, Wanted, choose
from job.settings import Settings

log = logging.getLogger(__name__)

# Every import refused for one of these means that the cluster could not be used at all. Others tell of a tag.
UNUSABLE = frozenset({Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.UNREACHABLE, Reason.API_ERROR, Reason.RATE_LIMITED})
Progress = Callable[[int, int], None]


class Counts:
    """The tallies of a run while it goes on, by namespace."""

    def __init__(self) -> None:
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)

    def requested(self, namespace: str, code: str) -> None:
        """A request was sent; `code` is its HTTP status, or `none`."""
        self.tallies[namespace].requests[code] += 1

    def retried(self, namespace: str, reason: str) -> None:
        """Something will be tried again."""
        self.tallies[namespace].retries[reason] += 1


def run(
    settings: Settings,
    cluster: Cluster,
    counts: Counts,
    *,
    write: bool,
    stopping: Callable[[], bool] = lambda: False,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Import the tags that the settings ask for, or with `write` False look what would come in.

    Args:
        settings: what was asked for.
        cluster: the cluster.
        counts: what `cluster` counts its requests in.
        write: False for a plan.
        stopping: whether the run was told to stop.
        progress: called with how many tags have a result, of how many.

    Raises:
        UsageError: there is no namespace to work in.
    """
    started, begun = datetime.now(UTC), time.monotonic()
    namespaces = settings.namespaces or ((cluster.default_namespace,) if cluster.default_namespace else ())
    if not namespaces:
        raise UsageError(["NAMESPACE: not set, and the login names none; set it, or SERVICE and DEPLOYMENT"])
    deadline = begun + settings.deadline

    def stop() -> bool:
        return stopping() or time.monotonic() >= deadline

    listings = [_Listing(cluster, counts, namespace, settings) for namespace in namespaces]
    Pool(settings.concurrency).run(listings, stop, 0)
    chosen = [pair for listing in listings for pair in listing.chosen()]
    errors = [error for listing in listings if (error := listing.error())]
    total = sum(len(choices) for _, choices in chosen)
    tags: list[TagResult] = []
    if chosen:
        tags = _import(settings, cluster, counts, chosen, deadline, write, stopping, progress, total)
    elif not errors:
        errors = [_nothing_matched(listing, settings.wanted) for listing in listings]
    outcomes = {namespace: _outcome(namespace, tags, errors) for namespace in namespaces}
    return Report(
        id=f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}",
        command="run" if write else "plan",
        trigger="local",
        started_at=started,
        finished_at=datetime.now(UTC),
        outcome=_overall(list(outcomes.values())),
        exit_status=_exit_status(tags, errors, len(namespaces), write=write),
        deployment=settings.wanted.deployment,
        namespaces=namespaces,
        tags=tuple(tags),
        errors=tuple(errors),
        tallies=dict(counts.tallies),
        outcomes=outcomes,
    )


def _import(
    settings: Settings,
    cluster: Cluster,
    counts: Counts,
    chosen: Sequence[tuple[Stream, tuple[Choice, ...]]],
    deadline: float,
    write: bool,
    stopping: Callable[[], bool],
    progress: Progress,
    total: int,
) -> list[TagResult]:
    for stream, choices in chosen:
        for choice in choices:
            if is_over(choice.tag):
                place = f"{stream.namespace}/{stream.name}:{choice.tag.name}"
                log.info("the hold on %s is over: the tag was moved since", place)
    done = 0

    def settled() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    around = Surroundings(
        cluster=cluster,
        options=Options(write, settings.retries, settings.import_timeout, deadline),
        describer=Describer(cluster),
        pool=Pool(settings.concurrency),
        retried=counts.retried,
        settled=settled,
    )
    return run_imports(chosen, around, stopping)


class _Listing:
    """The streams of one namespace: all of them, or an error. A list that breaks is begun once more."""

    def __init__(self, cluster: Cluster, counts: Counts, namespace: str, settings: Settings) -> None:
        self.namespace = namespace
        self.streams = 0
        self.names: set[str] = set()
        self._cluster = cluster
        self._counts = counts
        self._settings = settings
        self._chosen: list[tuple[Stream, tuple[Choice, ...]]] | None = None
        self._problem: ClusterError | None = None

    def step(self) -> float | None:
        """List the streams, all pages; see `pacing.Task`."""
        chosen, self.streams = [], 0
        try:
            for item in self._cluster.list(IMAGE_STREAMS, self.namespace, self._settings.selector):
                stream = stream_from(item)
                self.streams += 1
                self.names.update(tag.name for tag in stream.tags)
                if choices := choose(stream, self._settings.wanted):
                    chosen.append((stream, choices))
        except ClusterError as error:
            again = self._problem is None and (error.reason in PASSING or error.reason is Reason.TIMEOUT)
            self._problem = error
            if not again:
                return None
            self._counts.retried(self.namespace, error.reason)
            return wait_before(1, error.reason, error.retry_after, random.random)
        self._chosen, self._problem = chosen, None
        return None

    def chosen(self) -> list[tuple[Stream, tuple[Choice, ...]]]:
        """The streams of which tags were chosen; none where the list broke."""
        return self._chosen or []

    def error(self) -> RunError | None:
        """Why there is no list, if there is none."""
        if self._chosen is not None:
            return None
        if self._problem is None:
            return RunError(self.namespace, "list", Reason.ABORTED, "stopped before the image streams were listed")
        message = f"cannot list image streams in {self.namespace}: {self._problem}"
        return RunError(self.namespace, "list", self._problem.reason, message)


def _nothing_matched(listing: _Listing, wanted: Wanted) -> RunError:
    asked = ", ".join(f"{p.stream}:{p.tag or wanted.deployment or '*'}" for p in wanted.patterns) or (
        f"tag {wanted.deployment}" if wanted.deployment else "any tag"
    )
    message = f"nothing in {listing.namespace} matches {asked}: {listing.streams} image streams were looked at"
    if wanted.deployment and wanted.deployment not in listing.names:
        near = difflib.get_close_matches(wanted.deployment, sorted(listing.names), n=3) or sorted(listing.names)[:5]
        if near:
            message += f"; tags there: {', '.join(near)}"
    return RunError(listing.namespace, "select", Reason.NOT_FOUND, clean(message))


def _outcome(namespace: str, tags: Sequence[TagResult], errors: Sequence[RunError]) -> Outcome:
    reasons = {error.reason for error in errors if error.namespace == namespace}
    taken = [tag for tag in tags if tag.namespace == namespace and tag.result is not Result.SKIPPED]
    failed = [tag for tag in taken if tag.result is Result.FAILED]
    if Reason.ABORTED in reasons or any(tag.reason is Reason.ABORTED for tag in failed):
        return Outcome.ABORTED
    if reasons or (failed and len(failed) == len(taken)):
        return Outcome.FAILURE
    return Outcome.PARTIAL if failed else Outcome.SUCCESS


def _overall(outcomes: Sequence[Outcome]) -> Outcome:
    found = set(outcomes)
    if Outcome.ABORTED in found:
        return Outcome.ABORTED
    return found.pop() if len(found) == 1 else Outcome.PARTIAL


def _exit_status(tags: Sequence[TagResult], errors: Sequence[RunError], namespaces: int, *, write: bool) -> int:
    taken = [tag for tag in tags if tag.result is not Result.SKIPPED]
    aborted = any(tag.reason is Reason.ABORTED for tag in taken) or any(e.reason is Reason.ABORTED for e in errors)
    if aborted:
        return 6
    unlisted = [error for error in errors if error.stage == "list"]
    if len(unlisted) == namespaces:
        return 3
    if not tags and not unlisted:
        return 2
    if taken and all(tag.result is Result.FAILED and tag.by is By.API and tag.reason in UNUSABLE for tag in taken):
        return 3
    if unlisted or any(tag.result is Result.FAILED for tag in taken):
        return 1
    return 0
