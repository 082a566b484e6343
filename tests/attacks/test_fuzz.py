"""Every parser of foreign input, fed with recorded documents in which parts are anything: it reads or refuses them.

Refusing is the error that the parser documents, or an empty result; never another exception, and never a hang. The
environment variable FUZZ_EXAMPLES asks for more examples of each; the nightly workflow takes thousands.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import math
import os
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from job.cluster import CRON_JOBS, DEPLOYMENT_CONFIGS, DEPLOYMENTS, STATEFUL_SETS, Resource
from job.cluster.api import _parsed
from job.cluster.headers import retry_after, unix_time
from job.cluster.oc.output import answers, refusal
from job.config.settings import Settings
from job.domain.errors import ClusterError, ImportImagesError, UsageError
from job.domain.gates import Policy, PolicyError, policy_of
from job.domain.holds import hold_of, is_over, without_annotation
from job.domain.model import BadRollout, Gate, GateVerdict, ImageFacts, Stream, Tag, TriggerKind
from job.domain.repositories import revision_commit, web_address
from job.domain.scope import Scope, Shard
from job.domain.selection import Wanted, choose
from job.domain.text import clean
from job.imagestreams.api_types import applied_by, facts_from, import_problem, items_of, reference_of, stream_from
from job.imagestreams.import_requests import answer_from, import_of
from job.journal.decoding import MOST_TAGS, PACKED_KEY, PLAIN_KEY, decode
from job.journal.encoding import encode
from job.journal.records import (
    MOST_RUNS,
    Journal,
    Move,
    RunRecord,
    TagRecord,
    is_superseded,
    shares_group,
    start_run,
)
from job.journal.waiting import Waiting, first_seen, wait_of
from job.promote.commits import parse_log
from job.promote.config_file import config_from
from job.promote.forge import github_checks, gitlab_checks, release_note
from job.promote.git import parse_version, summarize
from job.publish.gateway_answer import AnswerError, past_from
from job.publish.metric_families import BY_NAME
from job.publish.push import past_of
from job.run.lease import _seen
from job.run.plan_file import read_plan, settings_for
from job.workloads.cronjob import cron_job_from
from job.workloads.health import health
from job.workloads.kinds import workload_from
from job.workloads.pods import pod_from
from tests.attacks.mutations import ANYTHING, TEXTS, mutated, recorded

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
pytestmark = pytest.mark.timeout(120 + EXAMPLES)
fuzzed = settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=2000)

STREAMS, IMPORTS = recorded("ImageStream"), recorded("ImageStreamImport")
DEPLOYED, SETS = recorded("Deployment"), recorded("StatefulSet")
TRIGGERS = "image.openshift.io/triggers"
HOLD = {
    "version": 1,
    "by": "jane",
    "at": "2026-11-20T12:00:00Z",
    "reason": "bad",
    "until": "2026-12-20T12:00:00Z",
    "from": {"kind": "ImageStreamImage", "name": "app@sha256:" + "a" * 64},
    "image": "sha256:" + "a" * 64,
    "original": {"name": "prod", "from": {"kind": "DockerImage", "name": "quay.io/app:prod"}},
}
POD = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata": {"name": "p", "namespace": "n", "uid": "u", "ownerReferences": [{"kind": "ReplicaSet", "name": "r"}]},
    "spec": {"containers": [{"name": "app", "image": "quay.io/app@sha256:" + "b" * 64}]},
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-20T12:00:00Z"}],
        "containerStatuses": [
            {
                "name": "app",
                "ready": False,
                "restartCount": 3,
                "imageID": "quay.io/app@sha256:" + "b" * 64,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no"}},
            }
        ],
    },
}
CRON_JOB = {
    "kind": "CronJob",
    "apiVersion": "batch/v1",
    "metadata": {"name": "import-images", "namespace": "n", "uid": "u"},
    "spec": {
        "schedule": "0 2 * * 2",
        "timeZone": "Europe/Prague",
        "suspend": False,
        "startingDeadlineSeconds": 3600,
        "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "import-images", "env": []}]}}}},
    },
    "status": {"lastScheduleTime": "2026-11-20T12:00:00Z"},
}


@fuzzed
@given(mutated(STREAMS))
def test_image_streams(data: dict[str, Any]) -> None:
    stream = stream_from(data)
    for choice in choose(stream, Wanted(None)):
        hold_of(choice.tag)
        is_over(choice.tag)
        if choice.skip is None:
            json.dumps(import_of(stream, [choice.tag], write=True))
    for name in [tag.name for tag in stream.tags][:3]:
        items_of(data, name)
        reference_of(data, name)
        import_problem(data, name)
    applied_by(data)


@fuzzed
@given(mutated(IMPORTS), st.integers(1, 3))
def test_answers_of_imports(data: dict[str, Any], count: int) -> None:
    answer = answer_from(data, count)
    if answer is not None:
        assert len(answer.images) == count
        for image in answer.images:
            clean(str(image))


PLAN = {
    "kind": "Report",
    "version": 1,
    "run": {"command": "plan", "deployment": "prod", "server": "https://api:6443", "namespaces": ["n"]},
    "tags": [
        {
            "namespace": "n",
            "stream": "app",
            "tag": "prod",
            "source": "quay.io/app:prod",
            "result": result,
            "before": {"digest": "sha256:" + "a" * 64},
            "after": {"digest": "sha256:" + "b" * 64},
        }
        for result in ("updated", "unchanged", "skipped")
    ],
}


@fuzzed
@given(mutated([PLAN]) | ANYTHING)
def test_plans(value: object) -> None:
    with tempfile.NamedTemporaryFile("w") as file:
        json.dump(value, file)
        file.flush()
        with contextlib.suppress(UsageError):
            plan = read_plan(file.name)
            assert all(re.fullmatch(r"[\w.-]+", f"{name.namespace}{name.stream}{name.tag}") for name in plan.tags)
            assert all(tag.after.startswith("sha256:") for tag in plan.tags.values())
            with contextlib.suppress(UsageError):
                settings_for(plan, Settings())


@fuzzed
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_annotations_of_gates(min_age: str, proven_in: str, proven_for: str, rehearse: str) -> None:
    prefix = "import-images.dev/"
    texts = {"min-age": min_age, "proven-in": proven_in, "proven-for": proven_for, "rehearse": rehearse}
    annotations = {prefix + name: text for name, text in texts.items()}
    tag = Tag("prod", None, False, None, None, annotations, None)
    with contextlib.suppress(PolicyError):
        assert policy_of(Policy(), Stream("n", "app", "1", {}, (tag,)), tag).min_age >= 0


@fuzzed
@given(mutated([HOLD]) | TEXTS)
def test_holds(value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    entry = {
        "name": "prod",
        "from": HOLD["from"],
        "annotations": {"import-images.dev/hold": text},
        "importPolicy": {},
        "referencePolicy": {},
    }
    item = {"image": HOLD["image"], "created": "2026-11-20T12:00:00Z", "dockerImageReference": "x", "generation": 1}
    stream = stream_from(
        {
            "metadata": {"name": "app", "namespace": "n"},
            "spec": {"tags": [entry]},
            "status": {"tags": [{"tag": "prod", "items": [item]}]},
        }
    )
    for tag in stream.tags:
        hold_of(tag)
        is_over(tag)
    without_annotation(entry)


@fuzzed
@given(mutated(DEPLOYED + SETS), mutated([POD]))
def test_workloads_and_their_pods(data: dict[str, Any], pod: dict[str, Any]) -> None:
    resource = STATEFUL_SETS if data.get("kind") == "StatefulSet" else DEPLOYMENTS
    workload_from(resource, data)
    verdict = health(resource, data, [pod_from(pod)], {"app": "sha256:" + "b" * 64})
    assert isinstance(verdict.message, str | None)


@fuzzed
@given(
    st.sampled_from([DEPLOYMENTS, CRON_JOBS, DEPLOYMENT_CONFIGS]),
    mutated([{"from": {"kind": "ImageStreamTag", "name": "app:prod"}, "fieldPath": "spec.template.spec.x"}]) | ANYTHING,
    TEXTS,
)
def test_triggers(resource: Resource, trigger: object, text: str) -> None:
    for value in (json.dumps([trigger]), json.dumps(trigger), text):
        metadata = {"name": "web", "namespace": "n", "annotations": {TRIGGERS: value}}
        workload_from(resource, {"metadata": metadata, "spec": {"triggers": [trigger], "template": trigger}})


@fuzzed
@given(mutated([CRON_JOB]))
def test_cron_jobs(data: dict[str, Any]) -> None:
    cron_job_from(data)


@fuzzed
@given(ANYTHING, ANYTHING)
def test_facts_of_images(image: object, manifest: object) -> None:
    value = {"dockerImageMetadata": image, "dockerImageManifests": [manifest], "dockerImageLayers": manifest}
    facts_from(value, [manifest] if isinstance(manifest, dict) else [])


@fuzzed
@given(TEXTS | st.builds(lambda shard: json.dumps({"deployment": "prod", "shard": shard}), ANYTHING))
def test_locks(annotation: str) -> None:
    found = _seen({"metadata": {"name": "a", "annotations": {"import-images.dev/scope": annotation}}, "spec": {}})
    began = time.monotonic()
    found.scope.overlaps(Scope("prod", Shard(0, 4)))
    Scope("prod", Shard(0, 4)).overlaps(found.scope)
    assert time.monotonic() - began < 1


# The journal

DIGEST = "sha256:" + "a" * 64
WHEN = datetime(2026, 11, 20, 2, tzinfo=UTC)
WHOLE = Journal(
    tags={("app", "prod"): TagRecord(1.7e9, 2)},
    groups={"prod": 1.7e9},
    images={DIGEST: ImageFacts(WHEN, "1a2b", "1.0")},
    runs=(
        RunRecord(
            "20261120T020000Z-1a2b",
            WHEN,
            "success",
            WHEN,
            TriggerKind.SCHEDULED,
            "prod",
            Shard(0, 4),
            "import-images-29000000",
            exit_status=0,
            counts={"updated": 1},
            updated=(("app:prod", "1a2b", "3c4d"),),
            moves=(Move("app", "prod", None, DIGEST),),
        ),
    ),
    pushed={"import-images": ({"stream_namespace": "n", "deployment": "prod"},)},
    bad_rollouts=(BadRollout("n", "Deployment", "web", {("app", "prod"): DIGEST}),),
    notified=("failed n/app:prod",),
    waiting={("app", "prod"): Waiting(DIGEST, Gate.PROVEN, GateVerdict.HELD, 1.7e9, 1.7e9, 1.8e9, "stg/app:stg", "no")},
)
JOURNAL = json.loads(encode(WHOLE)["data"][PLAIN_KEY])


@fuzzed
@given(mutated([JOURNAL]) | ANYTHING, st.booleans())
def test_journals(value: object, packed: bool) -> None:
    """What is read is bounded, and every use of it works; all else is refused by ValueError."""
    text = json.dumps(value).encode()
    within = {"binaryData": {PACKED_KEY: base64.b64encode(gzip.compress(text)).decode()}}
    began = time.monotonic()
    try:
        journal = decode(within if packed else {"data": {PLAIN_KEY: text.decode()}})
    except ValueError:
        return
    assert len(journal.tags) <= MOST_TAGS and len(journal.runs) <= 2 * MOST_RUNS
    assert all(math.isfinite(tag.last_success or 0) and tag.failed_runs >= 0 for tag in journal.tags.values())
    mine = RunRecord("20261129T020000Z-0000", datetime(2026, 11, 29, tzinfo=UTC), deployment="prod")
    begun, _ = start_run(journal, mine, Scope("prod"))
    shares_group(begun, mine)
    past_of(begun, "n", "prod", None)
    for image in begun.waiting.values():
        wait_of(image, WHEN)
        first_seen(begun.waiting, image.digest)
    for run in begun.runs:
        is_superseded(begun, run)
    again = decode(encode(begun))
    assert len(again.runs) <= 2 * MOST_RUNS
    assert time.monotonic() - began < 2


def test_the_journal_that_is_changed_is_one_of_ours() -> None:
    """Else the fuzzer would only see refusals."""
    assert decode({"data": {PLAIN_KEY: json.dumps(JOURNAL)}}) == WHOLE


# HTTP


@given(st.none() | TEXTS | st.text("0123456789.eE+-_ infINFnaNGMT:,", max_size=40))
def test_dates(text: str | None) -> None:
    found = unix_time(text)
    assert found is None or math.isfinite(found)


@given(ANYTHING | st.text("0123456789.eE+-_ infINFnaN", max_size=12))
def test_retry_after(value: object) -> None:
    found = retry_after(value, 1.7e9)
    assert found is None or (math.isfinite(found) and found >= 0)


@pytest.mark.parametrize(
    "text", ["\uff11\uff12", "\u0967", "1_0", "inf", "nan", "-1", "1e3", "+5", "0x10", "9" * 400, ""]
)
def test_only_the_digits_of_the_standard_are_seconds(text: str) -> None:
    assert retry_after(text, 0.0) is None


class Response:
    """As much of an answer as the adapter reads after its body."""

    reason = "said so"

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers


@fuzzed
@given(
    st.integers(200, 599),
    ANYTHING | mutated([{"kind": "Status", "message": "no", "details": {"retryAfterSeconds": 3}, "code": 429}]),
    TEXTS,
)
def test_answers_of_the_api(status: int, value: object, header: str) -> None:
    for body in (json.dumps(value).encode(), header.encode("utf-8", "replace"), b"\xff\xfe"):
        try:
            found = _parsed(Response(status, {"Retry-After": header}), body)  # type: ignore[arg-type]
            assert found["kind"]
        except ClusterError as error:
            assert "\n" not in str(error) and len(str(error)) <= 500
            assert error.retry_after is None or error.retry_after >= 0


@fuzzed
@given(st.lists(TEXTS | st.sampled_from(['"Response" status="429"', "Error from server (NotFound): x", "error: "])))
def test_what_oc_writes(lines: list[str]) -> None:
    text = "\n".join(lines)
    answers(text)
    assert "\n" not in str(refusal(text))
    refusal(f"server response object: {text}")


GROUP = {"job": "import-images", "stream_namespace": "n"}
GATEWAY: dict[str, Any] = {
    "status": "success",
    "data": [
        {
            "labels": GROUP,
            "import_images_tag_failed_runs": {
                "type": "GAUGE",
                "metrics": [{"labels": {**GROUP, "stream": "a", "tag": "prod"}, "value": "3"}],
            },
        }
    ],
}


class Body:
    """An answer of a gateway, in pieces of any size."""

    headers: dict[str, str] = {}  # noqa: RUF012 - never changed

    def __init__(self, data: bytes, size: int) -> None:
        self._file = io.BytesIO(data)
        self._size = size

    def read(self, amount: int) -> bytes:
        return self._file.read(min(amount, self._size))


@fuzzed
@given(mutated([GATEWAY]) | ANYTHING, st.integers(1, 200), st.integers(0, 400))
def test_answers_of_a_gateway(value: object, size: int, cut: int) -> None:
    whole = json.dumps(value).encode()
    for data in (whole, whole[:cut], whole[:cut] + b'"' + whole[cut:]):
        with contextlib.suppress(AnswerError):
            body = Body(data, size)
            found = past_from(body, time.monotonic() + 5, GROUP, BY_NAME.keys(), 1)  # type: ignore[arg-type]
            for name, values in found.families.items():
                assert all(len(key) == len(BY_NAME[name].labels) for key in values)


# promote


@fuzzed
@given(TEXTS, st.text("abc[]=\"'{}\n#.,1", max_size=60), ANYTHING)
def test_promote_toml(text: str, toml: str, value: object) -> None:
    for content in (text, toml, f"[[repository]]\nname = {json.dumps(value)}\nurl = {json.dumps(text)}\n"):
        with contextlib.suppress(UsageError, ImportImagesError):
            config_from(content, Path("promote.toml"))


@fuzzed
@given(st.text(max_size=200) | st.text("\x00\x1f\n\t 0123456789abcdef", max_size=200))
def test_what_git_writes(text: str) -> None:
    with contextlib.suppress(ImportImagesError):
        parse_log(text)
    parse_version(text)
    assert len(summarize(text)) <= 500
    revision_commit(text)
    web_address(text)


@fuzzed
@given(ANYTHING, ANYTHING)
def test_answers_of_a_forge(one: object, other: object) -> None:
    github_checks({"check_runs": [one]}, {"statuses": [other]})
    github_checks(one, other)
    gitlab_checks(one)
    gitlab_checks([other])
    release_note(one)
