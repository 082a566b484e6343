"""The gate REHEARSE: every workload that would get a new image has a node pull it first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from job.cluster import JOBS
from job.domain.involved import Involved
from job.domain.model import By, Gate, GateVerdict, Image, Reason, Skip, Stream, TagName, Verdict
from job.domain.rehearsals import Obstacle, Rehearsal
from job.domain.sources import alias_path
from job.domain.text import clean
from job.imagestreams.api_types import spelt_repository
from job.run.context import Run, scope_of
from job.run.gates import Candidate, Guard
from job.workloads.follower_images import NewImage, follower_images_of
from job.workloads.rehearsal import Rehearsed, Stage, rehearse, remove_leftovers

_LONGEST_MESSAGE = 800


def judge(guard: Guard, candidates: Sequence[Candidate]) -> Mapping[TagName, Verdict]:
    """The verdicts; see `job.run.gates`. A plan creates no pods."""
    if guard.run.dry_run:
        message = "a plan creates no pods; a run rehearses it"
        return {candidate.name: _verdict(candidate, GateVerdict.NOT_ASKED, message) for candidate in candidates}
    followers: dict[TagName, tuple[TagName, ...]] = {}
    images: dict[TagName, NewImage] = {}
    streams = {(stream.namespace, stream.name): stream for stream, _ in guard.chosen}
    for candidate in candidates:
        stream = streams.get((candidate.name.namespace, candidate.name.stream))
        followers[candidate.name] = (candidate.name, *_aliases(stream, candidate.name))
        image = f"{spelt_repository(candidate.source)}@{candidate.image.digest}"
        images |= dict.fromkeys(followers[candidate.name], NewImage(image, _is_local(stream, candidate.name)))
    survey = guard.survey or guard.run.survey(guard.run.namespaces)
    # Who follows a tag is not known where workloads cannot be listed, and no follower would be a pass.
    unread = {error.namespace: error.message for error in survey.errors}
    images = {name: image for name, image in images.items() if name.namespace not in unread}
    stage, follower_images = _stage(guard), follower_images_of(survey.workloads, images)
    elsewhere = {candidate.workload.namespace for candidate in follower_images} - stage.namespaces
    remove_leftovers(stage, sorted(elsewhere))
    results = rehearse(stage, follower_images)
    verdicts = {}
    for candidate in candidates:
        tags, problem = set(followers[candidate.name]), unread.get(candidate.name.namespace)
        own = [result for result in results if not tags.isdisjoint(result.candidate.tags)]
        if guard.run.stopping() and (problem or any(result.obstacle is Obstacle.LATE for result in own)):
            # It was not judged, as any tag that a run did not reach before it was stopped.
            continue
        unclear = _verdict(candidate, GateVerdict.INCONCLUSIVE, problem) if problem else None
        verdicts[candidate.name] = unclear or _together(candidate, own)
    return verdicts


def tidy(guard: Guard) -> None:
    """Remove the pods that killed runs have left in the namespaces of the tags."""
    guard.run.progress.begin("looking for pods of killed runs")
    stage = _stage(guard)
    remove_leftovers(stage, sorted(stage.namespaces))


def _stage(guard: Guard) -> Stage:
    run = guard.run
    return Stage(
        cluster=run.cluster,
        run=run.id,
        scope=scope_of(run.settings.wanted),
        # Not those of the run: another one may have the lock of a namespace.
        namespaces=frozenset(stream.namespace for stream, _ in guard.chosen),
        owner=_job_of(run),
        timeout=run.settings.rollout_timeout,
        retrier=run.retrier,
    )


def _job_of(run: Run) -> Involved | None:
    """The Job of the run, as far as its uid is known."""
    trigger = run.trigger
    if trigger.owner is None or not trigger.job or not trigger.job_id or "/" in trigger.job_id:
        return None
    return Involved(JOBS.api_version, JOBS.kind, trigger.owner.namespace, trigger.job, trigger.job_id)


def _aliases(stream: Stream | None, name: TagName) -> tuple[TagName, ...]:
    """The tags of the stream that follow the tag, so that their workloads get the image, too."""
    if stream is None:
        return ()
    paths = {tag.name: alias_path(stream, tag) for tag in stream.tags if tag.name != name.tag}
    return tuple(TagName(name.namespace, name.stream, tag) for tag, path in paths.items() if path.end == name.tag)


def _is_local(stream: Stream | None, name: TagName) -> bool:
    """Whether workloads pull the tag's images through the integrated registry."""
    tag = stream.tag(name.tag) if stream else None
    return bool(tag and tag.reference_policy and tag.reference_policy.get("type") == "Local")


def _together(candidate: Candidate, results: Sequence[Rehearsed]) -> Verdict:
    """One verdict of all followers, of which each has to be able to use the image."""
    if wrong := _other_architecture(candidate.before, candidate.image):
        return _verdict(candidate, GateVerdict.HELD, wrong)
    if not results:
        return _verdict(candidate, GateVerdict.PASSED, "no workload follows the tag")
    unusable = [result for result in results if result.result is Rehearsal.UNUSABLE]
    unclear = [result for result in results if result.result is Rehearsal.INCONCLUSIVE]
    message = clean("; ".join(map(str, unusable or unclear or results)), _LONGEST_MESSAGE)
    if unusable:
        return _verdict(candidate, GateVerdict.HELD, message)
    return _verdict(candidate, GateVerdict.INCONCLUSIVE if unclear else GateVerdict.PASSED, message)


def _verdict(candidate: Candidate, verdict: GateVerdict, message: str) -> Verdict:
    reason: Reason | Skip | None = Reason.UNUSABLE if verdict is GateVerdict.HELD else None
    if verdict is GateVerdict.INCONCLUSIVE:
        reason = Skip.UNREHEARSED
    by = By.NODE if verdict is GateVerdict.HELD else None
    return Verdict(Gate.REHEARSE, verdict, candidate.image.digest, message, reason=reason, by=by)


def _other_architecture(before: Image | None, after: Image) -> str | None:
    """Why an image without an index is for other nodes: a runtime pulls it anyway, and only its programs fail."""
    if before is None or after.architecture is None:
        return None
    known = {platform.partition("/")[2] for platform in before.platforms}
    known |= {before.architecture} if before.architecture else set()
    if not known or any(platform.partition("/")[0] == after.architecture for platform in known):
        return None
    return f"architecture: it is for {after.architecture} alone, and the image before for {', '.join(sorted(known))}"
