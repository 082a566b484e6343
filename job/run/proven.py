"""The gate PROVEN_IN: an image must have been in other tags first, whose followers are healthy now.

Those tags are usually another namespace's, which is read with the rights that the run's account has there. What may not
be read holds the image back: it never counts as proven.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from job.cluster import CRON_JOBS, IMAGE_STREAMS, PODS
from job.cluster.unstructured import object_in
from job.domain.errors import ClusterError
from job.domain.gates import Proof, judge_stay, stays
from job.domain.history import bad_images
from job.domain.holds import hold_of
from job.domain.model import Gate, GateVerdict, Hold, Item, Reason, RolloutResult, Skip, TagName, Verdict
from job.domain.records import dataclass, replace
from job.domain.text import clean
from job.imagestreams.api_types import items_of, stream_from
from job.imagestreams.descriptions import Describer
from job.run.context import Run
from job.run.gates import Candidate, Guard
from job.runtime.pool import gather
from job.workloads.discovery import survey
from job.workloads.followers import Followed, Moved, followed_by, verdict
from job.workloads.health import is_idle
from job.workloads.kinds import kind_of
from job.workloads.pods import pod_from

log = logging.getLogger(__name__)

T = TypeVar("T")
# Of one tag's history: older images are not asked for their revision.
MOST_DESCRIBED = 20
_LATE = ClusterError(Reason.ABORTED, "stopped before the answer came")

# Which streams are read: by namespace, and by name or all of them.
_Place = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class _History:
    """A tag in which images prove themselves: the images that it has had, newest first, and the hold on it."""

    name: TagName
    items: tuple[Item, ...]
    hold: Hold | None


_Answers = Mapping[_Place, Sequence[_History] | ClusterError]


def judge(guard: Guard, candidates: Sequence[Candidate]) -> Mapping[TagName, Verdict]:
    """The verdicts; see `job.run.gates`."""
    run = guard.run
    answers = _read(run, {_place(proof, c) for c in candidates for proof in c.policy.proven_in})
    describer = Describer(run.cluster, run.stopping)
    for journal in guard.journals.values():
        for digest, facts in journal.images.items():
            describer.learn(digest, facts)
    by_place = {
        (candidate.name, proof): _by_time(run, describer, candidate, proof, answers[_place(proof, candidate)])
        for candidate in candidates
        for proof in candidate.policy.proven_in
    }
    proven = {name for pairs in by_place.values() for verdict, name in pairs if verdict.passed and name}
    unhealthy = _unhealthy(run, proven, answers)
    verdicts: dict[TagName, Verdict] = {}
    for candidate in candidates:
        of_proofs = [by_place[candidate.name, proof] for proof in candidate.policy.proven_in]
        verdicts[candidate.name] = _together([_best(pairs, unhealthy) for pairs in of_proofs])
    if run.stopping():
        # What was not read in time says nothing of the images: only what was proven by then is known.
        return {name: verdict for name, verdict in verdicts.items() if verdict.passed}
    return verdicts


def _place(proof: Proof, candidate: Candidate) -> _Place:
    return proof.namespace, proof.stream_for(candidate.name.stream)


def _together(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict of several places, of which each has to let the image through."""
    refused = [verdict for verdict in verdicts if not verdict.passed]
    if not refused:
        # Proven since the last of them.
        last = max(verdicts, key=lambda verdict: verdict.since.timestamp() if verdict.since else 0.0)
        return replace(last, message="; ".join(verdict.message or "" for verdict in verdicts))
    # One that may never let it through says most, else the one that takes longest.
    first = max(refused, key=lambda verdict: verdict.until.timestamp() if verdict.until else float("inf"))
    return replace(first, message="; ".join(verdict.message or "" for verdict in refused))


def _all(run: Run, calls: Mapping[T, Callable[[], Any]]) -> dict[T, Any]:
    patient = {key: functools.partial(run.retrier.call, call) for key, call in calls.items()}
    answers = gather(patient, run.settings.concurrency, run.stopping)
    return {key: answers.get(key, _LATE) for key in calls}


def _read(run: Run, places: set[_Place]) -> _Answers:
    return _all(run, {place: functools.partial(_histories, run, place) for place in places})


def _histories(run: Run, place: _Place) -> list[_History]:
    namespace, name = place
    if name is None:
        streams = list(run.cluster.list(IMAGE_STREAMS, namespace))
    else:
        try:
            streams = [dict(run.cluster.get(IMAGE_STREAMS, namespace, name))]
        except ClusterError as error:
            if error.code != 404:
                raise
            streams = []
    return [
        _History(TagName(namespace, stream.name, tag.name), items_of(data, tag.name), hold_of(tag))
        for data in streams
        for stream in [stream_from(data)]
        for tag in stream.tags
    ]


def _by_time(
    run: Run, describer: Describer, candidate: Candidate, proof: Proof, answer: Sequence[_History] | ClusterError
) -> list[tuple[Verdict, TagName | None]]:
    """What each tag of one place says of the time that it has had the image, the best first."""
    digest, own = candidate.image.digest, candidate.name.stream
    held = Verdict(Gate.PROVEN, GateVerdict.HELD, digest, where=str(proof), reason=Skip.UNPROVEN)
    if isinstance(answer, ClusterError):
        return [(replace(held, message=_why_unread(answer, "get and list", "imagestreams", proof.namespace)), None)]
    histories = [history for history in answer if proof.includes(history.name.stream, history.name.tag, own)]
    if not histories:
        stream = proof.stream_for(own) or proof.stream
        return [(replace(held, message=f"there is no {proof.namespace}/{stream}:{proof.tag}"), None)]
    verdicts = [(_of_tag(run, describer, candidate, history), history.name) for history in histories]
    return sorted(
        verdicts,
        key=lambda pair: (
            not pair[0].passed,
            pair[0].until.timestamp() if pair[0].until else float("inf"),
            pair[1],
        ),
    )


def _of_tag(run: Run, describer: Describer, candidate: Candidate, history: _History) -> Verdict:
    image, where, now = candidate.image, _shown(history.name), run.now()
    proven_for = candidate.policy.proven_for
    bad = bad_images(history.items, history.hold)
    if image.digest in bad:
        message = f"{where} was rolled back from it"
        return Verdict(Gate.PROVEN, GateVerdict.HELD, image.digest, message, where=where, reason=Skip.UNPROVEN)
    by_digest = stays(history.items, lambda item: item.digest == image.digest)
    by_time = judge_stay(image.digest, where, by_digest, proven_for, now)
    if by_time.passed or not image.revision:
        return by_time
    newest = history.items[:MOST_DESCRIBED]
    name = history.name
    describer.describe_all(((name.namespace, name.stream, item.digest) for item in newest), run.settings.concurrency)

    def is_same(item: Item) -> bool:
        facts = describer.facts(item.digest)
        same = item.digest == image.digest or (facts is not None and facts.revision == image.revision)
        return same and item.digest not in bad

    by_time = judge_stay(image.digest, where, stays(newest, is_same), proven_for, now)
    if not by_time.passed and describer.is_refused(name.namespace):
        right = f"revisions there are not known: grant get on imagestreamimages in {name.namespace}"
        return replace(by_time, message=f"{by_time.message}; {right}")
    return by_time


def _shown(name: TagName) -> str:
    return f"{name.namespace}/{name}"


def _why_unread(error: ClusterError, verbs: str, what: str, namespace: str) -> str:
    if error.lacks_right:
        return f"{what} in {namespace} may not be read: grant {verbs} on {what} there"
    return clean(f"{what} in {namespace} cannot be read: {error}")


def _unhealthy(run: Run, names: set[TagName], answers: _Answers) -> Mapping[TagName, tuple[GateVerdict, str]]:
    """By tag, why its followers cannot be said to be healthy."""
    problems: dict[TagName, tuple[GateVerdict, str]] = {}
    if not names:
        return problems
    current = {
        history.name: Moved(history.items[0].digest)
        for answer in answers.values()
        if not isinstance(answer, ClusterError)
        for history in answer
        if history.name in names and history.items
    }
    namespaces = sorted({name.namespace for name in names})
    there = survey(run.cluster, namespaces, retrier=run.retrier, concurrency=run.settings.concurrency, everywhere=False)
    unread = {error.namespace: error.message for error in there.errors}
    followed = followed_by(there.workloads, current)
    verdicts = _all(run, {follower: functools.partial(_health, run, follower) for follower in followed})
    for name in names:
        followers = {one: verdicts[one] for one in followed if name in one.tags}
        bad = [(one, why) for one, why in followers.items() if isinstance(why, str | ClusterError)]
        if name.namespace in unread:
            problems[name] = GateVerdict.HELD, f"the health of what follows it is not known: {unread[name.namespace]}"
        elif bad:
            workload, why = bad[0][0].workload, bad[0][1]
            if isinstance(why, ClusterError):
                why = _why_unread(why, "get on workloads and list", "pods", name.namespace)
            problems[name] = GateVerdict.HELD, f"{workload.resource.kind} {workload.name} there is not healthy: {why}"
        elif not followers:
            problems[name] = GateVerdict.INCONCLUSIVE, "nothing follows it there, so nothing shows that it runs"
        elif not any(followers.values()):
            workload = next(iter(followers)).workload
            idle = f"{workload.resource.kind} {workload.name} there is to run nothing now"
            problems[name] = GateVerdict.INCONCLUSIVE, f"{idle}, so nothing shows that the image runs"
    return problems


def _health(run: Run, followed: Followed) -> str | bool:
    """Why a workload is not healthy with what its tags have now; where it is, whether it runs anything."""
    workload = followed.workload
    data = run.cluster.get(workload.resource, workload.namespace, workload.name)
    selector = kind_of(workload.resource).selector(data) or None
    pods = [] if workload.resource == CRON_JOBS else run.cluster.list(PODS, workload.namespace, selector)
    health = verdict(followed, data, [pod_from(pod) for pod in pods])
    if health.result is RolloutResult.HEALTHY:
        return not is_idle(workload.resource, data)
    metadata = object_in(data, "metadata")
    return health.message or f"{metadata.get('name')} is not healthy"


def _best(
    pairs: Sequence[tuple[Verdict, TagName | None]], unhealthy: Mapping[TagName, tuple[GateVerdict, str]]
) -> Verdict:
    """The verdict of one place, in which one tag is enough; a tag without followers says less than any other."""
    verdicts = [_with_health(verdict, name, unhealthy) for verdict, name in pairs]
    return min(verdicts, key=lambda verdict: (not verdict.passed, verdict.verdict is GateVerdict.INCONCLUSIVE))


def _with_health(
    verdict: Verdict, name: TagName | None, unhealthy: Mapping[TagName, tuple[GateVerdict, str]]
) -> Verdict:
    if not verdict.passed or name is None or name not in unhealthy:
        return verdict
    result, why = unhealthy[name]
    return replace(verdict, verdict=result, message=f"{verdict.message}, but {why}", until=None, reason=Skip.UNPROVEN)
