"""Every recorded pod and rollout can be read in the shapes that the job takes."""

from __future__ import annotations

import pytest

from job.cluster import DAEMON_SETS, DEPLOYMENTS, PODS, STATEFUL_SETS
from job.domain.errors import ClusterError
from job.workloads.health import health
from tests.support import recordings
from tests.support.recordings import POD_NAMES, TIMELINES, Replay


def test_all_recordings_are_there() -> None:
    assert (len(POD_NAMES), len(TIMELINES)) == (23, 10)
    assert {recordings.timeline(name).resource for name in TIMELINES} == {DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS}


@pytest.mark.parametrize("name", POD_NAMES)
def test_every_moment_of_a_pod_belongs_to_its_deployment(name: str) -> None:
    for moment in recordings.moments(name):
        assert moment.wanted["app"].startswith("sha256:")
        if moment.data["status"]["phase"] == "Running":
            assert moment.parsed.runs({name: frozenset({digest}) for name, digest in moment.digests.items()})
        seen = health(DEPLOYMENTS, moment.deployment, [moment.parsed], moment.wanted)
        # It is this Deployment's pod, and its template runs the image: otherwise nothing could be said of the pod.
        assert "not redeployed" not in (seen.message or "")
        assert moment.parsed.active is False or moment.parsed.ready or seen.result is not None or seen.message


@pytest.mark.parametrize("name", TIMELINES)
def test_every_rollout_ends_with_its_last_image_seen_by_its_controller(name: str) -> None:
    recorded = recordings.timeline(name)
    assert recorded.moves
    assert [frame.second for frame in recorded.frames] == sorted(frame.second for frame in recorded.frames)
    for move in recorded.moves:
        frames = recorded.during(move)
        assert len(frames) > 3
        assert all(frame.template["app"] == move.digest for frame in frames)
        last = frames[-1].workload
        assert last["status"]["observedGeneration"] == last["metadata"]["generation"]
    # An image that was set back is the one of the beginning, and says what it replaced.
    assert [bool(move.bad) for move in recorded.moves] == [False, True][: len(recorded.moves)]


def test_replay_shows_the_frame_of_its_moment_and_keeps_what_is_deleted() -> None:
    recorded = recordings.timeline("statefulset-crash-back-stuck-healed")
    replay = Replay(recorded, step=46.0)
    name = recorded.frames[0].workload["metadata"]["name"]
    before = replay.get(STATEFUL_SETS, "", name)
    assert replay.pace(1, 1) == 0.0
    after = replay.get(STATEFUL_SETS, "", name)
    assert (before["metadata"]["generation"], after["metadata"]["generation"]) == (1, 3)
    assert [pod["metadata"]["name"] for pod in replay.list(PODS, "")] == ["s-crash-0"]
    replay.delete(PODS, "", "s-crash-0")
    assert replay.deleted == [(46.0, "s-crash-0")]
    with pytest.raises(ClusterError, match="not found"):
        replay.get(DEPLOYMENTS, "", name)
