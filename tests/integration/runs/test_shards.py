"""One run in several pods of an Indexed Job."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest

from tests.support.place import Ended, Place, ended, metrics_of
from tests.support.pods import journal, lease, make_cron_job, manual, scheduled
from tests.support.tiers import representatives


def run_shards(place: Place, count: int, **environment: str) -> list[Ended]:
    """All pods of an Indexed Job, side by side."""
    with ExitStack() as stack:
        pods = [
            stack.enter_context(place.running(SHARDS=str(count), JOB_COMPLETION_INDEX=str(index), **environment))
            for index in range(count)
        ]
        return [ended(pod) for pod in pods]


def groups(place: Place) -> set[str]:
    """The shards that the Pushgateway has groups of; empty for the one without."""
    found = metrics_of(place.sandbox.pushgateway, stream_namespace=place.namespace)
    return {dict(labels).get("shard", "") for labels in found.get("build_info", {})}


@pytest.mark.parametrize("streams", representatives([200, 1000], "a thousand streams take half a minute"))
def test_four_shards_import_every_stream_once(place: Place, streams: int) -> None:
    place.push("all", "one")
    for number in range(streams):
        place.stream(f"s{number}", {"prod": place.source("all")})
    pod = scheduled(place, make_cron_job(place))
    done = run_shards(place, 4, **pod)
    assert [each.status for each in done] == [0] * 4, [each.stderr[-500:] for each in done]
    assert Counter(name for each in done for name in each.results) == Counter(f"s{n}:prod" for n in range(streams))
    assert {result for each in done for result in each.results.values()} == {"updated"}
    assert set(Counter(each["stream"] for each in place.imports()).values()) == {1}
    for index, each in enumerate(done):
        assert each.report["run"]["shard"] == {"index": index, "count": 4}
        assert lease(place, f"import-images-prod-shard-{index}-of-4")["holderIdentity"] == ""
        held = metrics_of(
            place.sandbox.pushgateway, stream_namespace=place.namespace, deployment="prod", shard=str(index)
        )
        assert held["tags"][(("result", "updated"),)] == len(each.results)
        assert len(held["tag_result"]) == len(each.results)
    found = journal(place)
    assert len(found.tags) == streams
    assert Counter(run.outcome for run in found.runs) == {"success": 4}


def test_fewer_shards_leave_no_stale_groups(place: Place) -> None:
    for number in range(8):
        place.imported(f"s{number}")
    cron_job = make_cron_job(place)
    run_shards(place, 4, **scheduled(place, cron_job))
    assert groups(place) == {"0", "1", "2", "3"}
    run_shards(place, 2, **scheduled(place, cron_job, "import-images-2"))
    assert groups(place) == {"0", "1"}
    place.run(**scheduled(place, cron_job, "import-images-3"))
    assert groups(place) == {""}


def test_an_empty_share_is_a_success(place: Place) -> None:
    place.imported("worker")
    done = run_shards(place, 3)
    assert [each.status for each in done] == [0] * 3
    assert sorted(len(each.results) for each in done) == [0, 0, 1]
    assert {each.report["run"]["outcome"] for each in done} == {"success"}


def test_a_manual_run_for_another_deployment_leaves_the_cron_jobs_metrics_alone(place: Place) -> None:
    for tag in ("prod", "stg"):
        place.push("worker", tag, tag)
    place.stream("worker", {tag: place.source("worker", tag) for tag in ("prod", "stg")})
    cron_job = make_cron_job(place)
    place.run(**scheduled(place, cron_job))
    assert place.run(**manual(place, cron_job), DEPLOYMENT="stg").status == 0
    assert place.metrics()["tags"]
    assert place.metrics(deployment="stg")["tags"]
