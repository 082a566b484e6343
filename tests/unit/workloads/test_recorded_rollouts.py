"""Verdicts on pods and rollouts that a real kubelet and real controllers reported, moment by moment."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from job.cluster import DEPLOYMENTS
from job.domain.model import Blame, Rollout, RolloutResult
from job.runtime.clock import Clock
from job.workloads.health import Health, health
from job.workloads.pods import pod_from
from job.workloads.rollouts import watch
from job.workloads.troubles import PATIENCE_SECONDS, trouble_of
from tests.support.recordings import POD_NAMES, TIMELINES, Move, Replay, Timeline, moments, timeline
from tests.unit.workload_objects import NEW, deployment, pod

HEALTHY, FAILED = RolloutResult.HEALTHY, RolloutResult.FAILED
IMAGE, CONFIGURATION, CONTAINER, NODE, UNKNOWN = Blame

# Of each recorded pod at its last moment: the verdict if nothing changes any more, who is to blame, and words of it.
PODS: Mapping[str, tuple[RolloutResult | None, Blame | None, str]] = {
    "completed": (None, UNKNOWN, "0 of 1 new pods are available"),
    # At its last moment it runs once more, until it crashes again.
    "crash-loop": (HEALTHY, None, ""),
    "healthy": (HEALTHY, None, ""),
    "image-not-found": (FAILED, IMAGE, "not found"),
    "init-cannot-be-pulled": (FAILED, CONTAINER, "container migrate: ImagePullBackOff"),
    "init-fails": (None, CONTAINER, "container migrate: CrashLoopBackOff (ended with exit code 7"),
    "invalid-image-name": (FAILED, IMAGE, "InvalidImageName"),
    "killed-for-memory": (HEALTHY, None, ""),
    "liveness-fails": (FAILED, IMAGE, "CrashLoopBackOff"),
    "missing-configmap-volume": (None, UNKNOWN, "0 of 1 new pods are available"),
    "missing-secret": (FAILED, CONFIGURATION, 'secret "nope" not found'),
    "never-ready": (None, IMAGE, "runs, but is not ready"),
    "no-such-command": (FAILED, IMAGE, "no such file or directory"),
    "no-such-command-once": (None, UNKNOWN, "0 of 1 new pods are available"),
    "registry-unknown-host": (FAILED, NODE, "no such host"),
    "registry-unreachable": (FAILED, NODE, "connection refused"),
    "repository-not-found": (FAILED, IMAGE, "not found"),
    "runs-as-root": (FAILED, IMAGE, "image will run as root"),
    "sidecar-cannot-be-pulled": (FAILED, CONTAINER, "container log: ImagePullBackOff"),
    "sidecar-crashes": (None, CONTAINER, "container log: CrashLoopBackOff"),
    "startup-fails": (FAILED, IMAGE, "CrashLoopBackOff"),
    "unschedulable": (None, NODE, "Insufficient cpu"),
    "wrong-architecture": (None, IMAGE, "CrashLoopBackOff (ended with exit code 1"),
}
# What decides at the first look that shows it; the others must last, or are decided by the end of the watch.
AT_ONCE = {
    "no-such-command-once",
    "invalid-image-name",
    "liveness-fails",
    "no-such-command",
    "runs-as-root",
    "startup-fails",
}


def test_every_recorded_pod_has_its_verdict() -> None:
    assert set(PODS) == set(POD_NAMES)


@pytest.mark.parametrize("name", POD_NAMES)
def test_a_recorded_pod(name: str) -> None:
    moment = moments(name)[-1]
    found = health(DEPLOYMENTS, moment.deployment, [moment.parsed], moment.wanted)
    result, blame, words = PODS[name]
    assert (found.result, found.blame) == (result, blame)
    assert words in (found.message or "")


@pytest.mark.parametrize("name", POD_NAMES)
def test_what_has_just_begun_decides_only_where_it_can_never_pass(name: str) -> None:
    verdicts = [
        health(DEPLOYMENTS, moment.deployment, [moment.parsed], moment.wanted, lambda pod, container: 0.0).result
        for moment in moments(name)
    ]
    assert (FAILED in verdicts) == (name in AT_ONCE)


def replayed(recording: Timeline, move: Move, stable: float = 15.0) -> Rollout:
    """A watch of what one move began, with the last frame standing on as long as it takes."""
    replay = Replay(recording, now=move.second)
    if recording.until(move) != recording.end:
        # What the next move changes is not this one's business.
        replay.recording = Timeline(recording.name, recording.resource, recording.during(move))
    clock = Clock(monotonic=replay.clock, sleep=lambda seconds: None, chance=lambda: 0.5)
    [rollout] = watch(
        replay,
        [recording.followed(move)],
        timeout=120.0,
        stopping=lambda: False,
        concurrency=1,
        stable=stable,
        clock=clock,
        pace=replay.pace,
    )
    return rollout


# Of each move of each recorded rollout: how it ends, who is to blame, and at most how many seconds that takes.
ENDS = {
    "daemonset-crash-and-back": ((FAILED, IMAGE, 26.5), (HEALTHY, None, 17.5)),
    "deployment-crash-and-back": ((FAILED, IMAGE, 17.5), (HEALTHY, None, 18.0)),
    "deployment-crashes-late": ((FAILED, IMAGE, 40.0),),
    "deployment-flaky-start": ((HEALTHY, None, 22.5),),
    "deployment-good": ((HEALTHY, None, 30.0),),
    "deployment-never-ready": ((FAILED, IMAGE, 22.5),),
    "deployment-pull-error-passes": ((HEALTHY, None, 61.0),),
    "deployment-slow-start": ((HEALTHY, None, 45.0),),
    "statefulset-crash-back-stuck-healed": ((FAILED, IMAGE, 18.5), (HEALTHY, None, 40.0)),
    "statefulset-good": ((HEALTHY, None, 23.0),),
}


def test_every_recorded_rollout_has_its_end() -> None:
    assert set(ENDS) == set(TIMELINES)


@pytest.mark.parametrize("name", TIMELINES)
def test_a_recorded_rollout(name: str) -> None:
    recording = timeline(name)
    ends = ENDS[name]
    assert len(ends) == len(recording.moves)
    for move, (result, blame, within) in zip(recording.moves, ends, strict=True):
        rollout = replayed(recording, move)
        assert (rollout.result, rollout.blame) == (result, blame)
        assert (rollout.seconds or 0.0) <= within, rollout
        assert rollout.is_broken == (result is not HEALTHY)


def test_a_crash_after_eight_seconds_is_missed_by_a_short_stable() -> None:
    recording = timeline("deployment-crashes-late")
    assert replayed(recording, recording.moves[0], stable=1.0).result is HEALTHY


def pulling(reason: str, message: str) -> Health:
    status = {"state": {"waiting": {"reason": reason, "message": message}}, "ready": False}
    data = deployment(replicas=1, status={"availableReplicas": 0})
    return health(DEPLOYMENTS, data, [pod_from(pod(DEPLOYMENTS, "web-1", NEW, status=status))], {"web": NEW})


@pytest.mark.parametrize(
    ("reason", "message", "blame", "decides"),
    [
        # CRI-O's words.
        ("ErrImagePull", "reading manifest prod in quay.io/x: manifest unknown", IMAGE, None),
        ("ImagePullBackOff", "ErrImagePull: reading manifest prod in quay.io/x: name unknown", IMAGE, PATIENCE_SECONDS),
        (
            "ImagePullBackOff",
            'ErrImagePull: initializing source docker://quay.io/x: pinging container registry quay.io: Get "https://": '
            "dial tcp 10.0.0.1:443: connect: no route to host",
            NODE,
            float("inf"),
        ),
        (
            "ImagePullBackOff",
            "ErrImagePull: reading manifest prod in quay.io/x: unauthorized: access to the requested resource is not",
            CONFIGURATION,
            PATIENCE_SECONDS,
        ),
        (
            "ErrImagePull",
            'no image found in image index for architecture "arm64", variant "v8", OS "linux"',
            IMAGE,
            0.0,
        ),
        ("CreateContainerError", "container create failed: executable file `/x` not found in $PATH", IMAGE, 0.0),
        ("CreateContainerError", "exec container process `/x`: Exec format error", IMAGE, 0.0),
        ("CreateContainerError", "context deadline exceeded", NODE, float("inf")),
        (
            "CreateContainerConfigError",
            "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root",
            IMAGE,
            0.0,
        ),
        ("CreateContainerConfigError", "couldn't find key token in Secret packit-prod/web", CONFIGURATION, 30.0),
        ("SignatureValidationFailed", "image pull failed: Source image rejected: no signature exists", IMAGE, 0.0),
        (
            "ErrImagePull",
            "SignatureValidationFailed: Source image rejected: A signature was required, but no signature exists",
            IMAGE,
            0.0,
        ),
        # containerd's.
        ("ErrImagePull", "failed to pull and unpack image: no match for platform in manifest: not found", IMAGE, 0.0),
        ("ErrImagePull", 'failed to authorize: 401 Unauthorized: "quay.io/not/found"', CONFIGURATION, None),
    ],
)
def test_the_words_of_both_runtimes(reason: str, message: str, blame: Blame, decides: float | None) -> None:
    trouble = trouble_of("web", {"state": {"waiting": {"reason": reason, "message": message}}}, lasting=True)
    assert trouble is not None
    assert (trouble.blame, trouble.decides) == (blame, decides)


def test_a_cluster_policy_that_refuses_the_image_is_named() -> None:
    found = pulling("SignatureValidationFailed", "Source image rejected: A signature was required")
    assert (found.result, found.blame) == (FAILED, IMAGE)
    assert "a cluster policy refuses the image: SignatureValidationFailed (Source image rejected" in str(found.message)


def test_a_cause_at_the_end_of_a_long_message_is_kept() -> None:
    long = "/".join(["quay.io"] + ["a-rather-long-name-of-a-repository"] * 12)
    found = pulling("ImagePullBackOff", f'Back-off pulling image "{long}": ErrImagePull: {long}: not found')
    assert str(found.message).rstrip(")").endswith("not found")
